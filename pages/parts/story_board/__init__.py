"""The story of one record, played in the browser: plain, then encrypted. Every number is computed from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from hefl_core.figures.leak import Leak, as_grey, as_shown, as_static
from pages.parts import frame
from pages.parts.i18n import _, numeral

_HERE = Path(__file__).parent
_COMPONENT = st.components.v2.component(
    "hefl_story",
    html=(_HERE / "board.html").read_text(encoding="utf-8"),
    css=(_HERE / "board.css").read_text(encoding="utf-8"),
    js=(_HERE / "board.js").read_text(encoding="utf-8"),
)
_NUMBERS_SHOWN = 240


def story_board(found: Leak, *, key: str) -> None:
    """Play the story once, from the beginning."""
    _COMPONENT(
        key=key,
        data={
            "scenes": scenes(found),
            "rows": _rows(found),
            "pictures": _pictures(found),
            "diagnosis": _answer(found),
            "plain": as_shown(found.update[:_NUMBERS_SHOWN]),
            "cipher": as_static(found.ciphertext[:_NUMBERS_SHOWN]),
            "columns": found.side or 0,
            "dark": frame.dark(),
            "presenter": frame.presenter(),
            "words": {
                "hospital": _("In the hospital"),
                "coordinator": _("At the server (coordinator)"),
                "play": _("Play"),
                "pause": _("Pause"),
                "replay": _("Replay"),
                "scene": _("Scene"),
                "here": _("the record"),
                "from_plain": _("computed from the plain update"),
                "from_cipher": _("computed from the encrypted update"),
                "nothing": _("nothing yet"),
            },
        },
    )


def _rows(found: Leak) -> list[dict[str, str]]:
    return [
        {
            "name": _(row.name),
            "unit": _(row.unit) if row.unit else "",
            "here": numeral(row.here),
            "from_plain": numeral(row.from_plain),
            "from_cipher": numeral(row.from_cipher),
        }
        for row in found.card
    ]


def _pictures(found: Leak) -> dict[str, list[float]]:
    if found.side is None:
        return {}
    return {
        "here": as_grey(found.record),
        "from_plain": as_grey(found.from_plain),
        "from_cipher": as_grey(found.from_cipher),
    }


def _answer(found: Leak) -> str:
    """What the record says about its person or picture."""
    if found.dataset == "breast_cancer":
        return _("Diagnosis: {label}").format(label=_(found.label))
    return _("Label: {label}").format(label=_(found.label))


def scenes(found: Leak) -> list[dict[str, Any]]:
    """Text and picture of each scene."""
    n, d = len(found.names), f"{len(found.update):,}"
    from_plain, from_cipher = found.recovered
    size = _("{n} bytes").format(n=f"{found.plain_nbytes:,}")
    locked = _("{n} bytes, {scheme}").format(n=f"{found.ciphertext_nbytes:,}", scheme=found.scheme)
    update, encrypted = _("model update, not the record"), _("the same update, encrypted")
    stays = _("stays here")
    nonsense = _("These numbers: the same division, done on ciphertext; not the record's.") if found.survives else ""
    shown = _("{shown} of {n} values").format(shown=len(found.card) or n, n=n)
    return [
        {
            "text": _("A patient's record. It stays in the hospital.")
            if found.dataset == "breast_cancer"
            else _("One record of the data. It stays in the hospital."),
            "left": shown,
            "wire": "none",
        },
        {
            "text": _("What leaves is a model update: {d} numbers that the model learned from this record.").format(
                d=d
            ),
            "left": stays,
            "wire": "plain",
            "thing": update,
            "size": size,
            "arrives": True,
            "right": _("An update arrived, no record. Is that safe?"),
        },
        {
            "text": _(
                "No. From the update of one step on one record the coordinator computes the record, by one division per value."
            ),
            "left": stays,
            "wire": "plain",
            "thing": update,
            "size": size,
            "arrives": True,
            "shows": "from_plain",
            "leaks": True,
            "reveal": True,
            "right": _("{found} of {n} values agree with the record.").format(found=from_plain, n=n),
        },
        {
            "text": _("Now the hospital encrypts the same update before it leaves."),
            "left": stays,
            "wire": "cipher",
            "thing": encrypted,
            "size": locked,
        },
        {
            "text": _("The same division finds the record in this run too: nothing was encrypted.")
            if not found.survives
            else _("The same division on what arrives now gives noise."),
            "left": stays,
            "wire": "cipher",
            "thing": encrypted,
            "size": locked,
            "arrives": True,
            "shows": "from_cipher",
            "leaks": not found.survives,
            "reveal": True,
            "right": " ".join(
                (_("{found} of {n} values agree with the record.").format(found=from_cipher, n=n), nonsense)
            ),
        },
        {
            "text": _("The coordinator adds updates that it cannot read. Only the hospitals open the sum.")
            if found.survives
            else _("The coordinator adds updates that it can read."),
            "left": stays,
            "wire": "cipher",
            "thing": encrypted,
            "size": locked,
            "arrives": True,
            "shows": "from_cipher",
            "leaks": not found.survives,
            "right": " ".join((_("It holds ciphertext and a public key."), nonsense)) if found.survives else "",
        },
    ]

"""The story of one record, played in the browser: plain, then encrypted. Every number is computed from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from hefl_core.figures.leak import Leak, as_shown
from pages.parts import frame
from pages.parts.i18n import _

_HERE = Path(__file__).parent
_COMPONENT = st.components.v2.component(
    "hefl_story",
    html=(_HERE / "board.html").read_text(encoding="utf-8"),
    css=(_HERE / "board.css").read_text(encoding="utf-8"),
    js=(_HERE / "board.js").read_text(encoding="utf-8"),
)
_STRONGEST = 3.0
"""Standard deviations drawn in full colour."""


def story_board(found: Leak, *, key: str) -> None:
    """Play the story once, from the beginning."""
    update = list(found.update[:240])
    _COMPONENT(
        key=key,
        data={
            "scenes": scenes(found),
            "record": as_shown(found.record, _STRONGEST),
            "from_plain": as_shown(found.from_plain, _STRONGEST),
            "from_cipher": as_shown(found.from_cipher, _STRONGEST),
            "plain": as_shown(found.update[:240], max(abs(value) for value in update)),
            "cipher": [byte / 127.5 - 1 for byte in found.ciphertext[:240]],
            "columns": found.side or 6,
            "dark": frame.dark(),
            "presenter": frame.presenter(),
            "autoplay": True,
            "words": {
                "hospital": _("Hospital"),
                "coordinator": _("Coordinator"),
                "play": _("Play"),
                "pause": _("Pause"),
                "scene": _("Scene"),
            },
        },
    )


def scenes(found: Leak) -> list[dict[str, Any]]:
    """Text and picture of each scene."""
    d, n = f"{len(found.update):,}", len(found.record)
    alike_plain, alike_cipher = found.likeness
    some = ", ".join(f"{name} {value:.4g}" for name, value in list(zip(found.names, found.raw, strict=True))[:2])
    again = ", ".join(
        f"{name} {value:.4g}" for name, value in list(zip(found.names, found.raw_from_plain, strict=True))[:2]
    )
    here = _("{some}, …: {label}").format(some=some, label=found.label)
    readable = not found.survives
    return [
        {
            "text": _("One record of {n} measurements, from the data set {data}. It never leaves the hospital.").format(
                n=n, data=found.dataset
            ),
            "left": here,
            "wire": "none",
        },
        {
            "text": _("Plain federated learning sends only what the model learned from it: {d} numbers.").format(d=d),
            "left": here,
            "wire": "plain",
            "size": _("{n} bytes").format(n=f"{found.plain_nbytes:,}"),
            "arrives": True,
            "right": _("an update, no record. Is that safe?"),
        },
        {
            "text": _("One division brings the record back: x = ΔW / Δb."),
            "left": here,
            "wire": "plain",
            "size": _("{n} bytes").format(n=f"{found.plain_nbytes:,}"),
            "arrives": True,
            "shows": "from_plain",
            "reveal": True,
            "right": _("{again}, … · largest error {error:.0e} · likeness {like:.2f}").format(
                again=again, error=found.error, like=alike_plain
            ),
        },
        {
            "text": _("Now the hospital encrypts the same update before it leaves."),
            "left": here,
            "wire": "cipher",
            "size": _("{n} bytes, {scheme}").format(n=f"{found.ciphertext_nbytes:,}", scheme=found.scheme),
        },
        {
            "text": _("The same division finds the record in this run too: nothing was encrypted.")
            if readable
            else _("The same division on what arrives now gives static."),
            "left": here,
            "wire": "cipher",
            "size": _("{n} bytes, {scheme}").format(n=f"{found.ciphertext_nbytes:,}", scheme=found.scheme),
            "arrives": True,
            "shows": "from_cipher",
            "reveal": True,
            "right": _("likeness {like:.2f}; unrelated lists reach {chance:.2f} by chance").format(
                like=alike_cipher, chance=found.chance
            ),
        },
        {
            "text": _("The coordinator adds what it cannot read; only the hospitals open the sum of all updates."),
            "left": here,
            "wire": "cipher",
            "size": found.key_id,
            "arrives": True,
            "shows": "from_cipher",
            "right": _("it holds ciphertext and a public key"),
        },
    ]

"""The stepper: a transcript animated in the browser, driven by arrow keys and space. It only moves a cursor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from pages.parts import labels
from pages.parts.i18n import _, language

_HERE = Path(__file__).parent
_COMPONENT = st.components.v2.component(
    "hefl_stepper",
    html=(_HERE / "stepper.html").read_text(encoding="utf-8"),
    css=(_HERE / "stepper.css").read_text(encoding="utf-8"),
    js=(_HERE / "stepper.js").read_text(encoding="utf-8"),
)


def stepper(
    picture: dict[str, Any], position: int, *, key: str, dark: bool, presenter: bool, run: str, height: int
) -> tuple[int, str | None]:
    """Draw the stepper. Returns its cursor, and the clicked seat if there is one.

    ``run`` and ``key`` change with the transcript; ``position`` is the cursor's place when a new one is drawn. The data for
    the browser stay the same from step to step, so that Streamlit need not send them again.
    """
    last = len(picture["messages"])
    start = st.session_state.setdefault("stepper:start", {})
    if key not in start:
        start.clear()
        start[key] = min(position, last)
    result = _COMPONENT(
        key=key,
        data=scene(picture)
        | {"position": start[key], "run": run, "dark": dark, "presenter": presenter, "height": height},
        default={"position": start[key]},
        on_position_change=lambda: None,
        on_seat_change=lambda: None,
    )
    return min(int(result.position or 0), last), result.seat


def follower(address: str, *, dark: bool, height: int) -> None:
    """Draw what the leader has on the screen, step by step; what stands beside it goes into ``[data-led]`` of the page."""
    words = {"nobody": _("Nobody shows a run. This page goes on by itself once somebody does.")}
    _COMPONENT(
        key="follower", data={"follow": address, "dark": dark, "presenter": False, "height": height, "words": words}
    )


def scene(picture: dict[str, Any]) -> dict[str, Any]:
    """A picture with the words that it is drawn with: all that a follower's stepper needs."""
    return picture | {"words": _words(picture["lanes"])}


def _words(lanes: list[str]) -> dict[str, Any]:
    return {
        "language": language(),
        "parties": {name: labels.party(name) for name in lanes},
        "steps": labels.steps(),
        "work": labels.works(),
        "locks": labels.locks(),
        "keys": _("Key epoch"),
        "round": _("Round"),
        "play": _("Play"),
        "pause": _("Pause"),
        "step": _("Step (→)"),
        "back": _("Back (←)"),
        "first": _("To the beginning (Home)"),
        "speed": _("Speed"),
        "jump": _("Jump to a message"),
        "see_as": _("See it as this party"),
        "absent": _("This seat never gets this message; it sees nothing of it."),
        "clients": _("{n} clients"),
        "bytes": _("bytes"),
        "nothing_yet": _("Nothing was sent yet. Press → or Play."),
    }

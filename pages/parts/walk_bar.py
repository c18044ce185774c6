"""The bar on top of every page: along the stops of a walk, or, on a projector, along the pages."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from hefl_core.teaching.walks import WALKS, Walk
from pages.parts import frame, predictions
from pages.parts.i18n import _


def bar(pages: Sequence[st.Page], here: st.Page) -> None:
    """Nothing where there is neither a walk nor a projector."""
    walk = frame.walking()
    if walk is None and not frame.presenter():
        return
    with st.container(horizontal=True, vertical_alignment="center", key="walk-bar"):
        if walk is not None:
            _along_stops(walk, here)
        else:
            _along_pages([page for page in pages if page.visibility == "visible"], here)
            st.space("stretch")
        if walk is not None and not frame.presenter():
            st.button(_("Leave the walk"), on_click=frame.leave_walk, key="walk-off", type="tertiary")
        if frame.presenter():
            st.button(
                _("Leave presenter mode"),
                icon=":material/close:",
                on_click=frame.set_presenter,
                args=(False,),
                key="presenter-off",
                type="tertiary",
            )


def _along_stops(walk: Walk, here: st.Page) -> None:
    number = int(st.session_state["stop"])
    if st.button(_("Back"), icon=":material/chevron_left:", key="stop-before", disabled=number == 1):
        frame.open_stop(walk, number - 1)
    st.markdown(f"**{number} / {len(walk.stops)}**", width="content")
    if st.button(_("Next"), icon=":material/chevron_right:", key="stop-after", disabled=number == len(walk.stops)):
        frame.open_stop(walk, number + 1)
    _question(walk, number)
    if (here.url_path or "start") != walk.at(number).page and st.button(
        _("Back to the walk"), icon=":material/route:", key="stop-again", type="tertiary"
    ):
        frame.open_stop(walk, number)


def _question(walk: Walk, number: int) -> None:
    """What to ask here; what to say is behind the sign, so that the room does not read it first."""
    stop = walk.at(number)
    with st.container(key="walk-question", width="stretch"):
        st.markdown(f":material/forum: **{_(stop.ask)}**", help=_(stop.say), width="content")
    if number == len(walk.stops) and predictions.score():
        st.markdown(f":material/scoreboard: {predictions.score()}", width="content")


def _along_pages(shown: Sequence[st.Page], here: st.Page) -> None:
    at = next((number for number, page in enumerate(shown) if page.url_path == here.url_path), 0)
    if st.button(_("Back"), icon=":material/chevron_left:", key="page-before", disabled=at == 0, type="tertiary"):
        st.switch_page(shown[at - 1])
    st.markdown(f"**{here.title}**", width="content")
    last = at == len(shown) - 1
    if st.button(_("Next"), icon=":material/chevron_right:", key="page-after", disabled=last, type="tertiary"):
        st.switch_page(shown[at + 1])


def choose() -> None:
    """Every walk, to begin it; in the sidebar."""
    with st.popover(_("Walks"), icon=":material/route:", width="stretch"):
        for walk in WALKS:
            minutes = walk.minutes(len(walk.stops))[1]
            label = _("{title}, {minutes} minutes").format(title=_(walk.title), minutes=minutes)
            if st.button(label, key=f"walk-{walk.name}", width="stretch"):
                frame.open_stop(walk, 1)

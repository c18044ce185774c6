"""Start: what leaves the hospital? One minute on one real record.

The same record and the same update, plain and encrypted.
"""

from __future__ import annotations

import streamlit as st

from hefl_core.errors import HeflError
from hefl_core.federation.experiment import Experiment
from hefl_core.figures.leak import Leak, leak
from pages.parts import frame, html, run_progress
from pages.parts.i18n import _
from pages.parts.story_board import story_board

ROWS = 6


@st.cache_data(max_entries=32, show_spinner=False, scope="session")
def _leak(experiment: Experiment, row: int) -> Leak:
    return leak(experiment, row)


def page() -> None:
    """The story, the numbers behind it, and the way to the next page."""
    st.html(html.STYLE)
    with st.container(horizontal=True, vertical_alignment="center", key="head"):
        if not frame.presenter():
            st.title(_("What leaves the hospital?"), anchor=False, width="content")
            st.space("stretch")
        row = st.segmented_control(
            _("Patient"),
            list(range(ROWS)),
            default=min(frame.patient(), ROWS - 1),
            format_func=lambda i: str(i + 1),
            key="patient",
            required=True,
        )
        frame.follow(row or 0)
    try:
        found = _leak(frame.experiment(), row or 0)
    except HeflError as error:
        frame.explain(error)
        return
    if frame.session().experiment is None:
        run_progress.begin(frame.session(), frame.experiment())
    story_board(found, key="story")
    _numbers(found)
    _onward()


def _numbers(found: Leak) -> None:
    with st.expander(_("The numbers: what the record says, what each way gives back"), icon=":material/table:"):
        st.dataframe(
            {
                _("measurement"): found.names,
                _("in the record"): found.raw,
                _("from the plain update"): found.raw_from_plain,
                _("from the ciphertext (standardised)"): found.from_cipher,
            },
            hide_index=True,
            height=260,
        )
        st.caption(
            _(
                "Computed just now: one gradient step of the first layer on one record; key {key} was made for this picture. "
                "With more records in a batch the division gives a mixture, and stronger attacks are needed: see the Attack lab."
            ).format(key=found.key_id)
        )


def _onward() -> None:
    """The guarantee behind the picture, and the next page."""
    session = frame.session()
    session.wait(run_progress.PATIENCE_SECONDS)
    findings = session.result.claims if session.result and session.experiment == frame.experiment() else ()
    html.badges(("coordinator-blind", "scheme-security"), findings)
    if st.button(_("Walk a whole encrypted round"), type="primary", icon=":material/arrow_forward:", key="go-round"):
        st.switch_page("pages/one_round.py")


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()

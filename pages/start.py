"""Start: what leaves the hospital? One minute on one real record.

The same record and the same update, plain and encrypted.
"""

from __future__ import annotations

import streamlit as st

from hefl_core.errors import HeflError
from hefl_core.figures.leak import Leak, leak
from hefl_core.terms.experiment import Experiment
from pages.parts import frame, html, run_progress
from pages.parts.i18n import _
from pages.parts.plain_claims import plain_sentences
from pages.parts.story_board import story_board

ROWS = 6


@st.cache_data(max_entries=32, show_spinner=False, scope="session")
def _leak(experiment: Experiment, row: int) -> Leak:
    return leak(experiment, row)


def page() -> None:
    """The story, its answer, the numbers behind it, and the way to the next page."""
    st.html(html.STYLE)
    with st.container(horizontal=True, vertical_alignment="center", key="head"):
        if not frame.presenter():
            st.title(_("What leaves the hospital?"), anchor=False, width="content")
            st.space("stretch")
        row = st.segmented_control(
            _("Patient") if frame.experiment().dataset == "breast_cancer" else _("Record"),
            list(range(ROWS)),
            default=min(frame.patient(), ROWS - 1),
            format_func=lambda i: str(i + 1),
            key="patient",
            required=True,
        )
    if not frame.presenter():
        st.markdown(
            _(
                "Hospitals train one model together. Each sends an update: by how much its records change the model's numbers. "
                "Can the server that collects the updates read a record from them?"
            )
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
    _answer(found)
    _onward()
    _numbers(found)


def _answer(found: Leak) -> None:
    """What this record's computation showed, in one sentence."""
    plain, cipher = found.recovered
    st.markdown(
        _(
            "**Answer:** from this record's plain update the coordinator computes **{plain} of {n}** values, each by one "
            "division; from the encrypted one, by the same division, **{cipher} of {n}**. Luck would reach {luck:.1f}: in so many "
            "values another record agrees with this one, on average."
        ).format(plain=plain, cipher=cipher, n=len(found.names), luck=found.others_agree)
    )


def _numbers(found: Leak) -> None:
    with st.expander(_("The numbers: what the record says, what each way gives back"), icon=":material/table:"):
        st.dataframe(
            {
                _("measurement"): found.names,
                _("in the record"): found.raw,
                _("from the plain update"): found.raw_from_plain,
                _("from the encrypted update"): found.raw_from_cipher,
            },
            hide_index=True,
            height=260,
        )
        alike_plain, alike_cipher = found.likeness
        st.markdown(
            _(
                "Likeness (correlation with the record): {plain:.2f} from the plain update, {cipher:.2f} from the encrypted one; "
                "unrelated lists of this length stay below {chance:.2f} in 95 of 100 cases."
            ).format(plain=alike_plain, cipher=alike_cipher, chance=found.chance)
        )
        st.markdown(
            _(
                "Computed just now: one gradient step of the first layer on one record; key {key} was made for this picture. The "
                "division is x = ΔW / Δb: the change of a weight over the change of its bias. With more records in a batch it "
                "gives a mixture, and stronger attacks are needed: see the Attack lab."
            ).format(key=found.key_id)
        )
        _source(found)


def _source(found: Leak) -> None:
    sources = {
        "breast_cancer": _(
            "A real patient, without a name: Breast Cancer Wisconsin (Diagnostic), UCI Machine Learning Repository, CC BY 4.0, as "
            "shipped with scikit-learn. The table states no units; its authors measured in pixels of a microscope picture."
        ),
        "digits": _(
            "A real handwritten digit: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, CC BY 4.0, as "
            "shipped with scikit-learn."
        ),
    }
    if found.dataset in sources:
        st.markdown(sources[found.dataset])


def _onward() -> None:
    """The guarantee behind the picture, checked on this session's run, and the next page."""
    session, wanted = frame.session(), frame.experiment()
    session.wait(run_progress.PATIENCE_SECONDS)
    mine = session.experiment == wanted
    findings = session.result.claims if session.result and mine else ()
    html.badges(("coordinator-blind", "scheme-security"), findings, plain=plain_sentences())
    st.markdown(html.what_badges_mean())
    if session.running:
        run_progress.watch(session)
    elif not findings:
        if session.error is not None and mine:
            frame.explain(session.error)
        st.button(
            _("Run a round and check it now"),
            icon=":material/fact_check:",
            on_click=run_progress.begin,
            args=(session, wanted),
            key="check-claim",
        )
    if st.button(_("Walk a whole encrypted round"), type="primary", icon=":material/arrow_forward:", key="go-round"):
        st.switch_page("pages/one_round.py")


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()

"""Report: the run in one file, its transcript, and the command that checks it.

Downloads of the report and the evidence file (HTML), the transcript, its pin and the experiment, and how to check them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st
import streamlit.components.v1 as components

from hefl_core.app.attacked import Attacked, beside_control
from hefl_core.app.evidence.said import SAID
from hefl_core.app.report import MAX_NAME, Cover, to_html
from hefl_core.checks.claims.ledger import NOT_PROMISED
from hefl_core.errors import HeflError
from hefl_core.federation.record.verify import pin_of
from hefl_core.runtime.result import RunResult
from pages.parts import frame, run_progress
from pages.parts.i18n import _, language, separators


def page() -> None:
    """The whole page."""
    if not frame.presenter():
        st.title(_("Report"), anchor=False)
    st.markdown(
        _(
            "What can you hand to somebody who was not here? One file about this session's run: what was promised, what the checks "
            "found, what the coordinator could read. And the transcript, every message of the run, which anybody can check."
        )
    )
    run_progress.ensure_run()
    result = frame.session().result
    if result is None:
        st.caption(_("The report is written when the run is finished."))
        return
    run_progress.where(frame.session())
    cover = _cover()
    html = _html(frame.session().number, result, cover)
    _downloads(result, html)
    st.markdown(_("Anybody can check the transcript, offline and without a secret:"))
    st.code("hefl verify transcript.zip --roster transcript.jsonl.roster", language="bash", wrap_lines=True)
    st.markdown(
        _(
            "**Answer:** the check finds a changed, missing or added message and a wrong sum. It cannot show that the hospitals' "
            "data were right, or that nobody kept a copy of a key."
        )
    )
    st.caption(_("Print the report from the browser to get a PDF. This is what it looks like:"))
    components.html(html, height=900, scrolling=True)


def _cover() -> Cover:
    """Title and author as typed; day, audience and language of this screen."""
    left, right = st.columns(2)
    title = left.text_input(_("Title of the report"), max_chars=MAX_NAME, key="report:title")
    author = right.text_input(_("Author"), max_chars=MAX_NAME, key="report:author")
    return Cover(title, author, audience=frame.audience(), language=language(), translate=_, separators=separators())


def _html(number: int, result: RunResult, cover: Cover) -> str:
    """The report, rendered anew when the run or what stands above it changes."""
    asked = (number, replace(cover, translate=str))
    kept = st.session_state.get("report")
    if kept is None or kept[0] != asked:
        kept = (asked, to_html(result, cover, _attacked(number, result)))
        st.session_state["report"] = kept
    text: str = kept[1]
    return text


def _attacked(number: int, result: RunResult) -> tuple[Attacked, ...]:
    """The attacks on this run and on its control, once per run; none where the control cannot be run."""
    kept = st.session_state.get("report:attacked")
    if kept is None or kept[0] != number:
        found: tuple[Attacked, ...] = ()
        with st.spinner(_("Attacking this run, and the same run without encryption …")):
            try:
                found = beside_control(result)
            except HeflError as error:
                frame.explain(error)
        kept = (number, found)
        st.session_state["report:attacked"] = kept
    attacked: tuple[Attacked, ...] = kept[1]
    return attacked


def _downloads(result: RunResult, html: str) -> None:
    with st.container(horizontal=True):
        st.download_button(
            _("Report (HTML)"),
            html,
            "report.html",
            "text/html",
            icon=":material/description:",
            type="primary",
            key="dl:html",
        )
        words = {text: _(text) for text in (*SAID, *NOT_PROMISED)}  # here: the download runs without a language
        st.download_button(
            _("Evidence file (HTML)"),
            partial(frame.session().evidence, result.transcript, language(), words),
            "evidence.html",
            "text/html",
            icon=":material/fact_check:",
            key="dl:evidence",
            help=_(
                "One file that checks itself in its reader's browser: signatures, chains, order, and the sums added again from the "
                "ciphertexts. It asks no server. Tell its readers the roster's fingerprint by another way."
            ),
        )
        st.download_button(
            _("Transcript (zip)"),
            partial(
                frame.session().record, result.transcript
            ),  # the session is asked for here: the download runs in another thread, without a session
            "transcript.zip",
            "application/zip",
            icon=":material/receipt_long:",
            key="dl:transcript",
        )
        st.download_button(
            _("Roster pin"),
            pin_of(result.transcript).to_json(),
            "transcript.jsonl.roster",
            "application/json",
            icon=":material/push_pin:",
            key="dl:pin",
        )
        st.download_button(
            _("Result (JSON)"),
            result.to_json(),
            "result.json",
            "application/json",
            icon=":material/data_object:",
            key="dl:json",
        )
        st.download_button(
            _("Experiment"),
            result.experiment.to_json(),
            "experiment.json",
            "application/json",
            icon=":material/science:",
            key="dl:experiment",
        )


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()

"""Report: the run in one file, its transcript, and the command that checks it.

Downloads of the report (HTML), the transcript, its pin and the experiment, and how to check them.
"""

from __future__ import annotations

from functools import partial

import streamlit as st
import streamlit.components.v1 as components

from hefl_core.app.report import to_html
from hefl_core.federation.record.verify import pin_of
from hefl_core.runtime.result import RunResult
from pages.parts import frame, run_progress
from pages.parts.i18n import _


def page() -> None:
    """The whole page."""
    if not frame.presenter():
        st.title(_("Report"), anchor=False)
    run_progress.ensure_run()
    result = frame.session().result
    if result is None:
        st.caption(_("The report is written when the run is finished."))
        return
    run_progress.where(frame.session())
    html = _html(frame.session().number, result)
    _downloads(result, html)
    st.markdown(_("Anybody can check the transcript, offline and without a secret:"))
    command = "python -m hefl_core verify transcript.jsonl --roster transcript.jsonl.roster"
    st.code(command, language="bash", wrap_lines=True)
    st.caption(_("Print the report from the browser to get a PDF. This is what it looks like:"))
    components.html(html, height=900, scrolling=True)


def _html(number: int, result: RunResult) -> str:
    """The report, rendered once per run of this session."""
    kept = st.session_state.get("report")
    if kept is None or kept[0] != number:
        kept = (number, to_html(result))
        st.session_state["report"] = kept
    text: str = kept[1]
    return text


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

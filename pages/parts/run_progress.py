"""The run of the sidebar's experiment: started if there is none, shown with its progress, cancelled on demand."""

from __future__ import annotations

import streamlit as st

from hefl_core.app.report import sharing
from hefl_core.app.run_forecast import RunForecast
from hefl_core.app.session import WARM_UP, Session
from hefl_core.errors import HeflError, RoundError
from hefl_core.runtime.events import Progress
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment
from pages.parts import frame
from pages.parts.i18n import _
from pages.parts.quoting import quoted

PATIENCE_SECONDS = 1.2
"""A run in this process usually ends sooner; then no progress is shown."""


def ensure_run() -> Run | None:
    """The run of the sidebar's experiment once one round is done, or what a stopped one had sent; None before that."""
    session, wanted = frame.session(), frame.experiment()
    if session.experiment != wanted:
        begin(session, wanted)
        session.wait(PATIENCE_SECONDS)
    if session.running:
        watch(session)
    if session.error is not None:
        frame.explain(session.error)
        st.button(_("Start again"), icon=":material/replay:", on_click=begin, args=(session, wanted), key="run-again")
    elif session.cancelled:
        st.info(_("You stopped this run. What was sent until then is on record."))
        st.button(_("Start again"), icon=":material/replay:", on_click=begin, args=(session, wanted), key="run-again")
    run = session.run
    return run if run is not None and (run.rounds or (session.cancelled and _has_sent(run))) else None


def _has_sent(run: Run) -> bool:
    """Whether a run that was stopped early had begun to send."""
    try:
        return bool(run.transcript.sent)
    except RoundError:
        return False


def begin(session: Session, wanted: Experiment, runtime: str | None = None) -> None:
    """Start a run; a refusal is kept for the page, not raised."""
    try:
        session.start(wanted, runtime)
    except HeflError as error:
        session.experiment, session.error, session.run, session.result = wanted, error, None, None


def watch(session: Session) -> None:
    """Show progress every 0.4 seconds; redraw the page when the first round or the run is over."""
    had = len(session.run.rounds) if session.run else 0

    @st.fragment(run_every=0.4)
    def look() -> None:
        run = session.run
        rounds = len(run.rounds) if run else 0
        if not session.running or (had == 0 and rounds):
            frame.again()
        total = session.experiment.rounds if session.experiment else 1
        with st.container(horizontal=True, vertical_alignment="center", key="progress"):
            st.progress(min(1.0, rounds / total), _latest(session, rounds, total))
            if session.running and session.experiment is not None:
                _how_long(session.experiment)
            st.button(_("Stop"), icon=":material/stop:", on_click=session.cancel, key="stop-run")

    look()


def _how_long(experiment: Experiment) -> None:
    """The forecast of a run that is under way, from unit costs that are measured beside it."""
    said: RunForecast | None = st.session_state.get("run_forecast")
    if said is None or said.experiment != experiment:
        said = st.session_state["run_forecast"] = RunForecast(experiment)
        said.start()
    if said.seconds is not None:
        st.markdown(
            _("forecast: its encryption takes {seconds:.0f} s of computing on this machine").format(
                seconds=said.seconds
            ),
            width="content",
        )


def _latest(session: Session, rounds: int, total: int) -> str:
    events, _cursor = session.bus.since(0)
    said = [event.text for event in events if isinstance(event, Progress)]
    doing = said[-1] if said and not rounds else _("training under encryption")
    return _("{doing}: rounds {rounds} of {total}, messages {n}").format(
        doing=doing, rounds=rounds, total=total, n=len(events) - len(said)
    )


def where(session: Session) -> None:
    """Show which parties share a process in this run; behind a click what that means, and the cure."""
    result = session.result
    if result is None:
        return
    apart = result.runtime == "ray"
    label = _(":green[●] processes of their own") if apart else _(":orange[●] one process for all")
    with st.popover(label, type="tertiary", key="where"):
        if apart:
            shared = "; ".join(sharing(result, _)) or _("every client has a process of its own")
            st.markdown(
                _("Coordinator, auditor and KMS are processes of their own; {shared}.").format(shared=quoted(shared))
            )
            if result.shared_processes:
                st.markdown(
                    _(
                        "Parties that share a process could read each other's memory here. Between organisations each has "
                        "a machine of its own."
                    )
                )
            return
        st.markdown(
            _(
                "Every message, signature and ciphertext is real, but this is a rehearsal: one process plays all parties, so "
                "nothing but the protocol keeps them apart. In processes of their own the operating system does."
            )
        )
        _separate(session)


def _separate(session: Session) -> None:
    """Run the same experiment again in separate processes, or say why that is not possible."""
    if WARM_UP.ready and session.experiment is not None:
        st.button(
            _("Run again in separate processes"),
            icon=":material/memory:",
            on_click=begin,
            args=(session, session.experiment, "ray"),
            key="run-on-ray",
        )
    elif WARM_UP.coming:
        st.caption(_("Ray, which gives each party a process, is still starting; open this again in a moment."))
    else:
        st.caption(_("Ray, which gives each party a process, is not running on this server."))

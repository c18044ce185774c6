"""The blindness test on the page: search the server's process live, and one that breaks the rules."""

from __future__ import annotations

import streamlit as st

from hefl_core.app.blindness_job import FULL_ROUNDS, BlindnessJob, of_experiment, of_run
from hefl_core.app.session import WARM_UP, Session
from hefl_core.checks.blindness.examination import require_encryption
from hefl_core.errors import HeflError
from hefl_core.probes.findings import Blindness
from pages.parts import frame, run_progress
from pages.parts.i18n import _, numeral
from pages.parts.quoting import quoted

LAST_LOOK, LAST_FULL, AFTER_RUN = "blind:look", "blind:full", "blind:after-run"


def section() -> None:
    """Question, answer, buttons, and the findings of this session's last tests."""
    session = frame.session()
    with st.container(border=True, key="blind-test"):
        st.header(_("Can you prove that the server learns nothing?"), anchor=False)
        st.markdown(
            _(
                "Nobody can prove an absence by looking. We can look thoroughly, and show that we would have seen it: every "
                "client makes **fingerprints** of what is private (its records, its update, its keys, the model), and we search "
                "for them in the **memory of the server's process**, in the memory it shares with others, and in everything "
                "that was ever sent to it. Then we plant a key and an update in a **second server that breaks the rules**, and "
                "the same search must find them. If it does not, the test calls itself blind."
            )
        )
        _take_in(session)
        if session.blindness_job is not None and session.blindness_job.running:
            _watch(session.blindness_job)
        else:
            _buttons(session)
        for key, title in ((LAST_LOOK, _("This session's run")), (LAST_FULL, _("Last full test"))):
            if (found := st.session_state.get(key)) is not None:
                _show(found, title)
        _limits()


def _take_in(session: Session) -> None:
    """Keep a finished test's findings for the page; those on the session's own run also enter its claims."""
    blindness_job = session.blindness_job
    if blindness_job is None or blindness_job.running:
        return
    if blindness_job.found is not None and st.session_state.get("blind:taken") is not blindness_job:
        st.session_state["blind:taken"] = blindness_job
        st.session_state[LAST_FULL if blindness_job.full else LAST_LOOK] = blindness_job.found
        if not blindness_job.full:
            session.take_finding(blindness_job.found)
    if blindness_job.cancelled and blindness_job.found is None:
        st.info(_("You stopped this test. What it had looked at until then proves nothing."))
    elif blindness_job.error is not None:
        frame.explain(blindness_job.error)


def _buttons(session: Session) -> None:
    """Buttons for the possible tests; a run in one process is first repeated in separate ones."""
    result = session.result
    if result is None or not WARM_UP.ready:
        _wait(session)
        return
    try:
        require_encryption(result.experiment)
    except HeflError as error:
        frame.explain(error)
        return
    if st.session_state.pop(AFTER_RUN, None) == session.number and result.runtime == "ray":
        _look(session)
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        own = result.runtime == "ray"
        st.button(
            _("Look into the server now") if own else _("Give everybody a process, then look into the server"),
            type="primary",
            icon=":material/search:",
            on_click=_look if own else _run_then_look,
            args=(session,),
            key="blind-look",
        )
        st.button(
            _("Full test: {n} rounds, about two minutes").format(n=FULL_ROUNDS),
            icon=":material/manage_search:",
            on_click=lambda: session.inquire(of_experiment(result.experiment)),
            key="blind-full",
            help=_(
                "A run of its own with every party alone; two looks in each round, and a list of all that Ray hands over."
            ),
        )


def _wait(session: Session) -> None:
    """Wait for Ray; if it does not come up, the caption stays."""
    finished = session.result is not None

    @st.fragment(run_every=1.0 if WARM_UP.coming else None)
    def look() -> None:
        if finished and WARM_UP.ready:  # Ray may have come up since the page was drawn
            st.rerun()
        st.caption(
            _(
                "The test needs a finished run, and Ray: only parties in processes of their own can be looked into one by one."
            )
        )

    look()


def _look(session: Session) -> None:
    if session.run is not None and session.result is not None:
        session.inquire(of_run(session.run, session.result))


def _run_then_look(session: Session) -> None:
    if session.experiment is not None:
        run_progress.begin(session, session.experiment, "ray")
        st.session_state[AFTER_RUN] = session.number


def _watch(blindness_job: BlindnessJob) -> None:
    @st.fragment(run_every=0.5)
    def look() -> None:
        if not blindness_job.running:
            st.rerun()
        progress = blindness_job.progress
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(progress.fraction or 0.0, _(progress.text))
            st.button(_("Stop"), icon=":material/stop:", on_click=blindness_job.cancel, key="blind-stop")

    look()


# -- what was found ------------------------------------------------------------------------------------------------


def _show(found: Blindness, title: str) -> None:
    st.markdown(f"{_verdict(found)} **{title}** · {found.when} · {found.experiment.scheme}")
    messages, fields = found.decoded
    cells = (
        (_("needles searched"), f"{found.needle_count:,}"),
        (_("server processes"), f"{len(found.looked)}"),
        (_("memory read"), f"{found.mebibytes:.0f} MiB"),
        (_("messages decoded"), f"{messages:,}"),
        (_("found"), f"{len(found.findings)}"),
        (_("planted and found"), _("{n} of {all}").format(n=found.controls_found, all=len(found.controls))),
    )
    for column, (label, value) in zip(st.columns(len(cells)), cells, strict=True):
        column.metric(label, numeral(value))
    st.markdown(
        _(
            "Searched: {kinds}. Looked into {looked}. {messages} messages with {fields} fields were held against a list of what "
            "may reach a server; no field on it is a count of examples. Of {trials} guesses which of two updates was "
            "encrypted, {right} were right (a coin: {half})."
        ).format(
            kinds=", ".join(f"{count} × {_(kind)}" for kind, count in found.needles),
            looked=_and([_("{party} (looks: {n})").format(party=_(one.party), n=one.looks) for one in found.looked]),
            messages=f"{messages:,}",
            fields=f"{fields:,}",
            trials=found.guessing.trials,
            right=found.guessing.right,
            half=found.guessing.by_chance,
        )
    )
    for finding in found.findings[:10]:
        st.error(quoted(finding), icon=":material/visibility:")
    _controls(found)


def _verdict(found: Blindness) -> str:
    if not found.sighted:
        return f":red-badge[:material/visibility_off: {_('the test is blind itself: it proves nothing')}]"
    if found.findings:
        return f":red-badge[:material/visibility: {_('the server can see something')}]"
    return f":green-badge[:material/check: {_('nothing found, by a test that finds')}]"


def _controls(found: Blindness) -> None:
    lines = [
        f":{'green' if control.found else 'red'}[:material/{'check' if control.found else 'close'}:] "
        f"{_(control.planted)}: {quoted(control.evidence)}"
        for control in found.controls
    ]
    with st.expander(_("What was planted, and whether the test found it"), expanded=not frame.presenter()):
        st.markdown("\n".join(f"- {line}" for line in lines))


def _and(parts: list[str]) -> str:
    return _(" and ").join(parts)


def _limits() -> None:
    st.markdown(
        "**"
        + _("What this does not prove.")
        + "** "
        + _(
            "That nothing was there between two looks. That no transformed copy lies somewhere: we search the numbers as float32, "
            "float64, quantised and packed, in pieces of 32 bytes and more, and keys in the forms that the libraries use. That no "
            "side channel tells, such as how long a client trains. That ciphertexts hide what they should: statistics can only "
            "accuse; the security of the scheme is an assumption with a name, listed below as argued."
        )
    )

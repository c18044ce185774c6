"""One round: walk the messages of a real run, from any seat.

The stepper, and four linked views of the message under the cursor, from one seat.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from hefl_core.app.led_routes import ADDRESS
from hefl_core.app.led_run import LED_RUN
from hefl_core.errors import HeflError, RuntimeUnavailable
from hefl_core.federation.record.transcript import Transcript
from hefl_core.federation.record.transcript_zip import unpack
from hefl_core.federation.record.verify import CutOff, verify
from hefl_core.figures.formula import error_line, formula
from hefl_core.figures.knowledge import Matrix, clients_of, knowledge, seats_of
from hefl_core.figures.questions import question_before
from hefl_core.figures.sequence import Message, Observations, load_plain, picture, sequence
from hefl_core.figures.thing import thing
from hefl_core.ids import COORDINATOR, OBSERVER
from hefl_core.runtime.result import Finding, RoundResult
from hefl_core.shown import bare_name
from pages.parts import frame, html, labels, narration, predictions, run_progress
from pages.parts.frame import presenter
from pages.parts.i18n import _, language
from pages.parts.quoting import in_html, quoted
from pages.parts.stepper import follower, scene, stepper

MOST_CLIENTS = 8


@dataclass(frozen=True)
class Walked:
    """A transcript to walk, and (for this session's own runs) its observations."""

    name: str
    transcript: Transcript
    observations: Observations
    findings: Sequence[Finding]
    rounds: Sequence[RoundResult]
    live: bool = False


def page() -> None:
    """The whole page."""
    st.html(html.STYLE + predictions.STYLE)
    if frame.following():
        _follow()
        return
    head = st.container(horizontal=True, vertical_alignment="center", key="head")
    if not presenter():
        head.title(_("One round"), anchor=False, width="content")
        head.markdown(_("Who sends what to whom, and who can read it?"), width="content")
    with head:
        walked = _loaded() or _live()
        _let_follow(walked)
    if walked is None:
        return
    for reason in walked.transcript.manifest.experiment.insecure:
        st.markdown(f":red-badge[:material/lock_open: INSECURE] {reason}")
    _walk(walked)
    if st.session_state.get("replayed") and "loaded" not in st.session_state:
        st.caption(_("Experiment, seat and cursor come from the address; keys and ciphertexts are new."))
    _files(walked)


def _live() -> Walked | None:
    run = run_progress.ensure_run()
    if run is None:
        return None
    session = frame.session()
    if not presenter():
        run_progress.where(session)
    done = session.result
    return Walked(
        f"run-{session.number}",
        run.transcript,
        run.observer.observations,
        done.claims if done else (),
        tuple(run.rounds),
        live=True,
    )


# -- many look at one run ----------------------------------------------------------------------------------------


def _let_follow(walked: Walked | None) -> None:
    """The switch by which a session shows its run to others, or the way to the one that is shown."""
    if walked is None or not walked.live or presenter():
        return
    mine = frame.session()
    if LED_RUN.session not in (None, mine):
        frame.follow_leader()
        return
    led = st.toggle(
        _("Let others follow"), LED_RUN.session is mine, key="lead", help=_("They open /one_round?follow=1")
    )
    try:
        (LED_RUN.lead if led else LED_RUN.end)(mine)
    except RuntimeUnavailable as error:  # another session was faster
        frame.explain(error)


def _follow() -> None:
    """Somebody else's run: as the leader walks it, or at one's own pace."""
    head = st.container(horizontal=True, vertical_alignment="center", key="head")
    head.title(_("One round"), anchor=False, width="content")
    head.markdown(_("You follow a run that somebody else shows."), width="content")
    leader = LED_RUN.session
    alone = head.toggle(_("At my own pace"), key="own-pace", on_change=_begin_at_the_leaders)
    head.button(_("A run of my own"), on_click=frame.stop_following, key="unfollow")
    if alone and leader is not None and leader.run is not None:
        run = leader.run
        _walk(Walked(f"led-{leader.number}", run.transcript, run.observer.observations, (), tuple(run.rounds)))
        return
    left, right = st.columns([52, 48], gap="medium")
    with left:
        follower(ADDRESS, dark=frame.dark(), height=276)
    with right, st.container(key="follows"):
        st.html("<div data-led></div>")


def _begin_at_the_leaders() -> None:
    """One's own pace begins where the leader is."""
    st.session_state["cursor"] = LED_RUN.screen.cursor
    st.session_state["jump"] += 1


def _show_followers(walked: Walked, found: Matrix, seat: str, position: int) -> None:
    """Send the followers what is on this screen, if this session leads."""
    mine = frame.session() if walked.live else None
    if mine is None or LED_RUN.session is not mine:
        return
    pieces = [_matrix(found, seat)]
    if position:
        message = _messages(walked, seat)[position - 1]
        pieces.append(f"<h2>{position}. {in_html(_title(message))}</h2>")
        if message.lock != "absent":
            pieces.append(_thing(walked, message, found, seat))
    LED_RUN.show(mine, json.dumps(scene(_picture(walked, seat))).encode(), position, "".join(pieces))


# -- a saved one -------------------------------------------------------------------------------------------------


def _loaded() -> Walked | None:
    """A saved transcript instead of this session's run."""
    kept = st.session_state.get("loaded")
    if kept is None:
        return None
    transcript, said = kept
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(_("You are walking a saved transcript. {said}").format(said=said), icon=":material/history:")
        st.button(_("Back to the live run"), on_click=_forget, key="unload")
    return Walked(transcript.manifest.id, transcript, {}, (), ())


def _forget() -> None:
    del st.session_state["loaded"]
    st.session_state["cursor"] = 0


# -- the walk --------------------------------------------------------------------------------------------------


def _seats(transcript: Transcript) -> tuple[str, ...]:
    """The observer, then every seat; of many clients only the first few."""
    late = set(clients_of(transcript)[MOST_CLIENTS:])
    return (OBSERVER, *(seat for seat in seats_of(transcript) if seat not in late))


def _choose_seat(transcript: Transcript) -> str:
    seats = _seats(transcript)
    if st.session_state.get("seat") not in seats:
        st.session_state["seat"] = OBSERVER
    if st.session_state.get("seat:choice") != st.session_state["seat"]:
        st.session_state["seat:choice"] = st.session_state["seat"]
    st.pills(
        _("See it as"),
        seats,
        format_func=labels.party,
        key="seat:choice",
        required=True,
        label_visibility="collapsed",
        on_change=_seat_chosen,
    )
    return str(st.session_state["seat"])


def _seat_chosen() -> None:
    st.session_state["seat"] = st.session_state["seat:choice"] or OBSERVER
    st.session_state["first run"] = False


@st.fragment
def _walk(walked: Walked) -> None:
    """The part that depends on cursor and seat; redrawn alone."""
    state = st.session_state
    transcript = walked.transcript
    with st.container(horizontal=True, vertical_alignment="center", key="seats"):
        seat = _choose_seat(transcript)
        if presenter() and walked.live:
            run_progress.where(frame.session())
    left, right = st.columns([52, 48], gap="medium")
    run = f"{walked.name}-{state.get('jump', 0)}"
    with left:
        position, clicked = stepper(
            _picture(walked, seat),
            state["cursor"],
            key=f"stepper-{run}",
            dark=frame.dark(),
            presenter=presenter(),
            run=run,
            height=270 if presenter() else 276,
        )
    chosen = clicked if clicked in _seats(transcript) else seat
    frame.place(min(position, len(transcript.sent)), chosen)
    if chosen != seat:
        frame.redraw()
    found = knowledge(transcript, state["cursor"], _seats(transcript)[1:])
    with right, st.container(key="follows"):
        st.html(_matrix(found, seat))
        _absent(transcript, state["cursor"])
        _ask(walked, state["cursor"])
        _details(walked, found, seat, state["cursor"])
        st.html(f'<i class="shown" data-shown="{state["cursor"]}"></i>')
    _show_followers(walked, found, seat, state["cursor"])


def _matrix(found: Matrix, seat: str) -> str:
    """Who knows what, and in words who reads this message."""
    reader = COORDINATOR if seat == OBSERVER else seat
    said = f'<div class="note read">{in_html(html.caption(found, reader))}</div>'
    return html.matrix(found, seat) + html.legend(found) + said


def _absent(transcript: Transcript, cursor: int) -> None:
    """Name the parties left out of the round under the cursor, and why."""
    here = transcript.sent[max(0, cursor - 1)].position.round
    for one in (absence for absence in transcript.left_out if absence.position.round == here):
        st.caption(
            _(":orange[●] round {round}, {step}: {party} was left out ({reason})").format(
                round=one.position.round,
                step=bare_name(one.step),
                party=bare_name(one.party),
                reason=quoted(one.reason),
            )
        )


def _picture(walked: Walked, seat: str) -> dict[str, Any]:
    """The stepper's picture, computed once per seat, language and state of the transcript."""
    wanted = (walked.name, len(walked.transcript.lines), len(walked.observations), seat, language())
    kept = st.session_state.get("picture")
    if kept is None or kept[0] != wanted:
        plain = load_plain(walked.transcript)
        stories = [narration.tell(message, plain=plain) for message in _messages(walked, seat)]
        scene = picture(walked.transcript, seat, walked.observations) | {"stories": stories}
        kept = st.session_state["picture"] = (wanted, scene)
    return kept[1]  # type: ignore[no-any-return]


def _messages(walked: Walked, seat: str) -> tuple[Message, ...]:
    """Every message as this seat has it, computed once."""
    wanted = (walked.name, len(walked.transcript.lines), len(walked.observations), seat)
    kept = st.session_state.get("messages")
    if kept is None or kept[0] != wanted:
        kept = st.session_state["messages"] = (wanted, sequence(walked.transcript, seat, walked.observations))
    return kept[1]  # type: ignore[no-any-return]


def views(walked: Walked, found: Matrix, seat: str, position: int) -> None:
    """The message under the cursor: in words, as bytes, as a formula, and the claims about it."""
    if position:
        st.markdown(narration.tell(_messages(walked, seat)[position - 1], plain=load_plain(walked.transcript)))
    _details(walked, found, seat, position)


def _details(walked: Walked, found: Matrix, seat: str, position: int) -> None:
    """The message under the cursor without its story, which the stepper tells."""
    if position == 0:
        st.markdown(
            _("Press **→** to send the first message, **space** to play, or click a party to see it as that party.")
        )
        return
    message = _messages(walked, seat)[position - 1]
    st.markdown(f"## {position}. {_title(message)}")
    if message.lock == "absent":
        return
    st.html(_thing(walked, message, found, seat))
    if frame.audience() == "thesis":
        _proof(walked, message, found, seat)
        return
    with st.expander(_("Formula, fingerprints and checks"), icon=":material/function:", key="proof"):
        _proof(walked, message, found, seat)


def _proof(walked: Walked, message: Message, found: Matrix, seat: str) -> None:
    """The formula with the run's numbers, the fingerprints, and the claims with their verdicts."""
    text = formula(walked.transcript, message, found, seat, walked.observations)
    if text and frame.audience() != "stakeholder":
        st.latex(text)
    if message.step == "receipt" and seat == OBSERVER:
        done = next((item for item in walked.rounds if item.round == message.round), None)
        line = error_line(done.max_abs_error, done.error_bound) if done else ""
        if line and frame.audience() != "stakeholder":
            st.latex(line)
    it = thing(walked.transcript, message, found, seat, walked.observations)
    st.html(html.facts([fact for fact in it.facts if _is_fingerprint(fact)]))
    html.badges(narration.CLAIMS.get(message.step, ()), walked.findings)


def _title(message: Message) -> str:
    return (
        labels.steps().get(message.step, bare_name(message.step))
        if message.lock != "absent"
        else _("nothing to see from here")
    )


def _thing(walked: Walked, message: Message, found: Matrix, seat: str) -> str:
    """The message as this seat has it: facts, what is private in it, and bytes."""
    it = thing(walked.transcript, message, found, seat, walked.observations)
    pieces = [html.facts([fact for fact in it.facts if not _is_fingerprint(fact)])]
    if it.private is not None:
        pieces.append(html.private(it.private))
    if it.raw:
        pieces.append(html.bytes_of(it))
    return "".join(pieces)


def _is_fingerprint(fact: tuple[str, str]) -> bool:
    return "SHA-256" in fact[0] or "digest" in fact[0]


# -- predict, then reveal --------------------------------------------------------------------------------------


def _ask(walked: Walked, position: int) -> None:
    """The question whose answer this step was, and the one before the next step; the score after the last."""
    if frame.audience() != "class":
        return
    for place, revealed in ((position - 1, True), (position, False)):
        asked = question_before(walked.transcript, place) if place >= 0 else None
        if asked is not None:
            text, options, why = narration.question(asked)
            name = f"{walked.name}:{asked.id}"
            predictions.ask(name, text, options, asked.answer, why, revealed=revealed, place=place)
    if position == len(walked.transcript.sent) and predictions.score():
        st.markdown(f":material/scoreboard: **{predictions.score()}**")


# -- files -----------------------------------------------------------------------------------------------------


def _files(walked: Walked) -> None:
    """Download the transcript, or walk a saved one."""
    session = frame.session()  # asked for here: the download runs in another thread, without a session
    with st.expander(_("Transcript: download, or walk a saved one"), icon=":material/folder_zip:"):
        left, right = st.columns(2)
        left.download_button(
            _("Download this transcript (zip)"),
            lambda: session.record(walked.transcript),
            file_name="transcript.zip",
            mime="application/zip",
            icon=":material/download:",
            key="download",
            on_click="ignore",
        )
        left.caption(_("Check it anywhere: `hefl verify transcript.zip`."))
        given = right.file_uploader(_("A saved transcript (zip or jsonl)"), type=["zip", "jsonl"], key="upload")
        if given is not None and st.session_state.get("uploaded") != given.file_id:
            st.session_state["uploaded"] = given.file_id
            _load(given.getvalue())


def _load(data: bytes) -> None:
    """Walk an uploaded transcript from its beginning; an invalid one is rejected."""
    try:
        transcript = unpack(data)
        said = _verdict(transcript)
        knowledge(transcript, len(transcript.sent))
    except HeflError as error:
        frame.explain(error)
        return
    st.session_state["loaded"] = (transcript, said)
    st.session_state["cursor"] = 0
    st.session_state["jump"] = st.session_state.get("jump", 0) + 1
    st.rerun()


def _verdict(transcript: Transcript) -> str:
    """The check's verdict; the record of a run under way has no end. Raises: IntegrityError naming the first break."""
    try:
        return _("Its signatures, its conversation and its sums were checked: {verdict}").format(
            verdict=quoted(verify(transcript))
        )
    except CutOff as error:
        return _("All that is there was checked, and its end is missing: {error}").format(error=quoted(error))


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()

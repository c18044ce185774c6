"""Live class: the wall. Phones join by a QR code, encrypt their answers, and open only the sum.

The class itself is in hefl_core/classroom. This page shows its public state and calls the teacher's verbs.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from hefl_core.classroom import live_class as c
from hefl_core.classroom.addresses import LOOPBACK, addresses
from hefl_core.classroom.custody import CLASSROOM as CLASSROOM_PRESET
from hefl_core.classroom.custody import DEALER_FREE, DEALT, ONE, Held
from hefl_core.classroom.live_class import Settings
from hefl_core.classroom.open_class import CLASSROOM, OpenClass
from hefl_core.classroom.page_files import digests
from hefl_core.classroom.qr import qr_svg
from hefl_core.classroom.question import parse_questions
from hefl_core.classroom.state import LeakState, State
from hefl_core.errors import HeflError
from hefl_core.schemes.quorum import Quorum
from pages.parts import frame
from pages.parts.i18n import _
from pages.parts.quoting import quoted

WALL_SECONDS, CONTROL_SECONDS = 1.0, 2.0
MOST_BOTS, MOST_ROUNDS, PORT = 40, 10, 8502
LATEST = 8
"""Ciphertexts whose digests are on the wall."""


def page() -> None:
    """The whole page."""
    if not frame.presenter():
        st.title(_("Live class"), anchor=False)
    opened = CLASSROOM.now
    if opened is None or opened.live.phase == c.CLOSED:
        if opened is not None:
            _take_home(opened)
        _open()
        return
    left, right = st.columns([2, 3])
    with left:
        _door(opened)
    with right:
        _wall()
    _controls()
    if not frame.presenter():
        _ask(opened)
        _housekeeping(opened)


def _do(act: Callable[[], object]) -> None:
    """Call a verb and draw the page anew; a refusal is explained."""
    try:
        act()
    except HeflError as error:
        frame.explain(error)
    else:
        st.rerun()


# -- before a class ------------------------------------------------------------------------------------------------


def _open() -> None:
    st.write(
        _(
            "Every phone in the room becomes a hospital: it encrypts in its own browser, this computer adds what it cannot read, "
            "and the sum is opened. The phones need this computer's network; a hotspot of yours works (docs/class_network.md)."
        )
    )
    held = _held()
    found = {f"{one.address} ({one.interface})": one.address for one in addresses()}
    where = st.selectbox(_("Address of this computer"), list(found), key="class:address")
    if found[where] == LOOPBACK:
        st.caption(_("This address reaches this computer only: no phone can join. It serves to try a class with bots."))
    port = st.number_input(_("Port"), 0, 65535, PORT, key="class:port", help=_("0: any free one"))
    if st.button(_("Open the class"), key="class:open", type="primary", icon=":material/co_present:"):
        _do(lambda: CLASSROOM.open(Settings(held, page=digests()), found[where], int(port)))


def _held() -> Held:
    kinds = {
        ONE: _("One key, on this computer: it can read every answer"),
        DEALT: _("Dealt: this computer makes the key, deals it to 5 phones, any 3 open, and deletes it"),
        DEALER_FREE: _("Without a dealer: 5 phones make the key, any 3 open; this computer never has it"),
    }
    kind = st.radio(_("The key"), list(kinds), format_func=lambda kind: kinds[kind], key="class:custody")
    return Held() if kind == ONE else Held(kind, Quorum(3, 5), CLASSROOM_PRESET)


# -- during a class ------------------------------------------------------------------------------------------------


def _door(opened: OpenClass) -> None:
    """How to come in, and what this computer could read."""
    st.image(qr_svg(opened.server.url), width="stretch")
    st.markdown(f"### {quoted(opened.server.host)}")
    st.markdown(f"## {quoted(opened.live.seats.code)}")
    said = {
        ONE: _("This computer has the key. It could read every single answer."),
        DEALT: _(
            "This computer dealt the key and deletes each share as it is fetched. Until then it could read every answer."
        ),
        DEALER_FREE: _(
            "The phones make the key. This computer alone can open nothing, if its page is honest and nobody in the roster is "
            "invented."
        ),
    }[opened.live.settings.held.kind]
    st.caption(said)
    if opened.live.flooding is not None:
        st.caption(quoted(opened.live.flooding))


@st.fragment(run_every=WALL_SECONDS)
def _wall() -> None:
    """Roster, phase, what arrives, and what was opened: the state that every phone has."""
    opened = CLASSROOM.now
    if opened is None:
        return
    state = opened.live.state()
    st.subheader(_phase(state), anchor=False)
    if state.closed_because:
        st.warning(_("A sum stays closed: {why}").format(why=quoted(state.closed_because)), icon=":material/lock:")
    if state.question is not None:
        for one in state.question.questions:
            st.markdown(f"#### {quoted(one.text)}")
    if state.phase in (c.ASKING, c.TRAINING, c.SUM, c.OPENING):
        st.write(_("Ciphertexts here: {n} of {all}").format(n=state.arrived, all=state.of))
        _arriving(opened)
    if state.opening is not None:
        _votes(state)
    if state.round is not None and state.round.accuracy is not None:
        numbers = {"n": state.round.number, "all": state.round.of, "accuracy": f"{state.round.accuracy:.3f}"}
        st.metric(_("Round {n} of {all}: accuracy of the model").format(**numbers), numbers["accuracy"])
    if state.phase == c.RESULT:
        _result(state)
    if state.leak is not None:
        _leak(state.leak, state)
    with st.expander(_("Who can read what?"), icon=":material/visibility:"):
        _readers(opened)
    if opened.live.key.undelivered:
        left = len(opened.live.key.undelivered)
        st.warning(
            _("Shares that are still on this computer: {n}. They are dropped before the first question.").format(n=left)
        )
    _roster(state)


def _phase(state: State) -> str:
    said = {
        c.LOBBY: _("Phones join"),
        c.CEREMONY: _("The holders' phones make the key"),
        c.PREDICT: _("Predict first: what will the sum say?"),
        c.ASKING: _("Answer, encrypted"),
        c.SUM: _("The sum, still encrypted"),
        c.OPENING: _("Open the sum? The holders decide"),
        c.RESULT: _("The sum, opened"),
        c.TRAINING: _("Training together"),
        c.LEAK: _("One update without encryption"),
        c.CLOSED: _("The class is over"),
    }[state.phase]
    return f"{said} · {_('paused')}" if state.paused else said


def _arriving(opened: OpenClass) -> None:
    summing = opened.live.summing
    if summing is None:
        return
    for addend in summing.addends[-LATEST:]:
        st.markdown(_("seat {n}: {digest}").format(n=addend.seat, digest=quoted(addend.digest)))


def _votes(state: State) -> None:
    opening = state.opening
    if opening is None:
        return
    names = {seat.holder: seat.name for seat in state.seats if seat.holder is not None}
    verdicts = {True: _("yes"), False: _("no"), None: _("not yet")}
    st.dataframe(
        [
            {
                _("holder"): index,
                _("phone"): names.get(index, ""),
                _("open?"): verdicts[True if index in opening.yes else False if index in opening.no else None],
                _("opens it"): index in opening.asked,
            }
            for index in opening.holders
        ],
        hide_index=True,
    )


def _result(state: State) -> None:
    result, question = state.result, state.question
    if result is None or question is None:
        return
    for number, (one, answer, check) in enumerate(
        zip(question.questions, result.questions, result.checks, strict=True)
    ):
        if answer.counts is not None:
            rows = [{_("choice"): choice, _("count"): n} for choice, n in zip(one.choices, answer.counts, strict=True)]
            bar = st.column_config.ProgressColumn(_("count"), format="%d", min_value=0, max_value=result.voters)
            st.dataframe(rows, hide_index=True, column_config={_("count"): bar})
            if state.predictions is not None:
                said = ", ".join(str(n) for n in state.predictions[number])
                st.caption(_("Predicted, in this order: {said}").format(said=quoted(said)))
        elif answer.mean is not None:
            st.metric(_("mean of {n} numbers").format(n=answer.count), f"{answer.mean:.2f}")
        if check:
            st.error(_("The sum check failed: {found}. Nobody can be named.").format(found=quoted(check)))
    st.caption(
        _(
            "The sum check sees ballots that are too heavy. It does not see a ballot of (+2, −1), which moves a vote and keeps the "
            "sum."
        )
    )


def _leak(leak: LeakState, state: State) -> None:
    """The volunteer's patient beside what was computed from the plain update alone."""
    name = next((seat.name for seat in state.seats if seat.seat == leak.seat), "")
    if not leak.read:
        st.write(
            _("{name} was asked to send the update of one patient in the clear. What will stand here?").format(
                name=quoted(name)
            )
        )
        return
    st.markdown(
        _(
            "**Read:** {same} of {all} values of the patient of {name}, and its diagnosis, {label} (it is {true}). One division of "
            "the plain update, nothing else; a ciphertext has nothing to divide."
        ).format(
            same=leak.same,
            all=len(leak.read),
            name=quoted(name),
            label=quoted(leak.read_label),
            true=quoted(leak.label),
        )
    )
    columns = zip(leak.features, leak.patient, leak.read, strict=True)
    rows = [
        {_("measurement"): name, _("on the phone"): round(here, 3), _("computed from the update"): round(read, 3)}
        for name, here, read in columns
    ]
    st.dataframe(rows, hide_index=True, height=260)
    st.caption(
        _("Standardised values. With ten patients in one step the division gives a mixture; more steps give less.")
    )


def _readers(opened: OpenClass) -> None:
    """The matrix: who can read a single answer, the sum, and with what."""
    held = opened.live.settings.held
    yes, no, result = _("yes"), _("no"), _("once it is opened")
    rows = [(_("this computer"), yes, yes)] if held.kind == ONE else [
        (_("this computer alone, an honest page"), no if held.kind == DEALER_FREE else _("until the shares are fetched"), result),
        (_("fewer than {t} holders with this computer").format(t=held.quorum.threshold), no, result),
        (_("{t} holders with this computer, against their phones' rules").format(t=held.quorum.threshold), yes, yes),
    ]  # fmt: skip
    rows += [
        (_("another phone"), no, result),
        (_("somebody who listens on the Wi-Fi"), no, _("the opened one, as on this wall")),
    ]
    st.dataframe(
        [{_("who"): who, _("a single answer"): one, _("the sum"): total} for who, one, total in rows], hide_index=True
    )


def _roster(state: State) -> None:
    st.caption(_("Seats: {n}. Count them: an invented phone would be on this list.").format(n=len(state.seats)))
    st.dataframe(
        [
            {
                _("seat"): seat.seat,
                _("name"): seat.name,
                _("holder"): "" if seat.holder is None else str(seat.holder),
                _("bot"): seat.bot,
                _("here"): seat.here,
                _("sent"): seat.seat in state.answered,
            }
            for seat in state.seats
        ],
        hide_index=True,
    )


# -- the teacher's buttons -------------------------------------------------------------------------------------------


@st.fragment(run_every=CONTROL_SECONDS)
def _controls() -> None:
    opened = CLASSROOM.now
    if opened is None:
        return
    live, teacher = opened.live, opened.teacher
    row = st.container(horizontal=True)
    label = _label(opened)
    if label and row.button(label, key="class:next", type="primary", shortcut="Right"):
        _do(lambda: _step(opened))
    if live.phase in (c.PREDICT, c.ASKING, c.SUM, c.OPENING, c.TRAINING):
        said = _("Begin this round again") if live.phase == c.TRAINING else _("Leave it closed")
        if row.button(said, key="class:give-up", icon=":material/lock:"):
            _do(teacher.give_up)
    if row.button(_("Go on") if live.paused else _("Pause"), key="class:pause", shortcut="p"):
        _do(lambda: teacher.pause(not live.paused))


def _label(opened: OpenClass) -> str:
    """What the next step is called; empty where there is none."""
    live = opened.live
    if live.phase == c.LOBBY and live.settings.held.quorum.collective and not live.holders:
        return _("Hand the key to five phones")
    if live.phase == c.RESULT and live.round is not None:
        return _("End the training")
    return {
        c.PREDICT: _("Begin to answer"),
        c.ASKING: _("Add up"),
        c.SUM: _("Have it opened"),
        c.TRAINING: _("Go on without the missing phones"),
    }.get(live.phase, "")


def _step(opened: OpenClass) -> None:
    """Do the next step."""
    teacher = opened.teacher
    steps: dict[str, Callable[[], object]] = {
        c.LOBBY: teacher.name_holders,
        c.RESULT: teacher.end_training,
        c.PREDICT: teacher.begin_answers,
        c.ASKING: teacher.add_up,
        c.SUM: teacher.open_sum,
        c.TRAINING: teacher.add_up,
    }
    steps[opened.live.phase]()


def _ask(opened: OpenClass) -> None:
    st.subheader(_("Ask"), anchor=False)
    with st.form("class:ask"):
        text = st.text_area(
            _("Questions, one a line, all in one ciphertext"),
            _("Have you ever copied homework? | yes | no | I do not say"),
            help=_("text | choice | choice, or text # 12 for a number up to 12"),
            key="class:questions",
        )
        predict = st.checkbox(_("Predict first"), key="class:predict")
        if st.form_submit_button(_("Ask")):
            _do(lambda: opened.teacher.ask([one for sheet in parse_questions(text) for one in sheet], predict=predict))
    if st.button(
        _("One volunteer, without encryption"), key="class:volunteer", icon=":material/lock_open:", help=_volunteers()
    ):
        _do(opened.teacher.ask_volunteer)
    rounds = st.number_input(_("Rounds of training"), 1, MOST_ROUNDS, 5, key="class:rounds")
    if st.button(_("Train together"), key="class:train", icon=":material/model_training:"):
        _do(lambda: opened.teacher.train(int(rounds)))


def _volunteers() -> str:
    return _(
        "The first phone that is here is asked to send the update of one patient without encryption; its owner decides."
    )


def _housekeeping(opened: OpenClass) -> None:
    with st.expander(_("Seats, names, files")):
        bots = st.number_input(_("Bots"), 1, MOST_BOTS, 3, key="class:bots")
        if st.button(_("Seat them"), key="class:seat-bots", help=_("Clients of this computer, marked as bots.")):
            _do(lambda: opened.bots.add(int(bots)))
        if st.button(_("Show no names"), key="class:anonymise", help=_("On the wall and in the record; for good.")):
            _do(opened.teacher.anonymise)
        if st.button(_("New code"), key="class:code", help=_("The old one opens nothing any more.")):
            _do(opened.teacher.renew_code)
        seat = st.number_input(_("Seat"), 1, opened.live.settings.seats, 1, key="class:seat")
        if st.button(_("End this seat"), key="class:remove", disabled=int(seat) > len(opened.live.seats)):
            _do(lambda: opened.teacher.remove(int(seat)))
        st.caption(_("SHA-256 of each file that phones are served; a second device can compare (/hashes)"))
        st.dataframe([{_("file"): name, "SHA-256": found} for name, found in digests()], hide_index=True)
    if st.button(_("Close the class"), key="class:close", icon=":material/logout:"):
        _do(opened.close)


def _take_home(opened: OpenClass) -> None:
    """The files of the class that was closed; `verify` checks the first."""
    st.success(_("The class is closed, its keys are gone, and its port listens no more."))
    row = st.container(horizontal=True)
    row.download_button(_("Record of the class"), opened.content, "hefl.class", key="class:record")
    row.download_button(_("Counts as CSV"), opened.teacher.to_csv(), "class.csv", key="class:csv")
    st.caption(_("`hefl verify hefl.class` adds every sum again and, where phones held the key, opens it again."))


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()

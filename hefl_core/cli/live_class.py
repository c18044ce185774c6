"""``class``: a live class without the application; the terminal is the wall, Enter is the teacher's button."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.table import Table

from hefl_core.classroom import live_class as c
from hefl_core.classroom.addresses import LOOPBACK, addresses
from hefl_core.classroom.custody import DEALER_FREE, DEALT, ONE, Held
from hefl_core.classroom.live_class import LiveClass, Settings
from hefl_core.classroom.open_class import OpenClass
from hefl_core.classroom.page_files import digests
from hefl_core.classroom.qr import qr_text
from hefl_core.classroom.question import MOST_QUESTIONS_BYTES, Question, Sheet, parse_question, parse_questions
from hefl_core.classroom.state import ResultState
from hefl_core.cli.ends.files import kept, output, require_different
from hefl_core.cli.ends.streams import STDERR, STDOUT
from hefl_core.ending import SIGNALS
from hefl_core.errors import ParameterError
from hefl_core.schemes.quorum import Quorum
from hefl_core.shown import visible
from hefl_core.wire.files import read_regular, replace_file

LOOK_SECONDS: Final = 0.05


def class_(
    question: Annotated[
        list[str] | None, typer.Argument(help="'text | choice | choice', or 'text # 12' for a number up to 12")
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="a file with a question a line; those between empty lines share a ciphertext")
    ] = None,
    custody: Annotated[str, typer.Option(help="one, T-of-N (dealt to phones) or dealer-free:T-of-N")] = ONE,
    preset: Annotated[str, typer.Option(help="omitted: bfv-lean for one key, bfv-threshold-classroom for T-of-N")] = "",
    address: Annotated[
        str | None, typer.Option(help="of this computer in the room's network; omitted: the usual")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one")] = 8502,
    phones: Annotated[int | None, typer.Option(min=1, help="begin by itself once so many have joined")] = None,
    seats: Annotated[int, typer.Option(min=3, help="most phones")] = 60,
    min_cohort: Annotated[
        int, typer.Option(min=0, help="fewest answers in a sum that is opened; 0: as custody needs")
    ] = 0,
    bots: Annotated[int, typer.Option(min=0, help="clients of this computer that fill seats, marked as bots")] = 0,
    predict: Annotated[bool, typer.Option(help="every phone predicts the result before it answers")] = False,
    rounds: Annotated[int, typer.Option(min=0, help="train together for so many rounds, after the questions")] = 0,
    anonymous: Annotated[bool, typer.Option(help="no names on the wall or in the record")] = False,
    transcript: Annotated[Path | None, typer.Option(callback=output, help="write the record, for `verify`")] = None,
    csv: Annotated[Path | None, typer.Option(callback=output, help="write the opened counts")] = None,
    hashes: Annotated[
        bool, typer.Option(help="print the SHA-256 of every file that phones are served, and end")
    ] = False,
) -> None:
    """Open a live class in this network: phones join by a QR code, encrypt their answers, and open only the sum."""
    if hashes:
        for name, found in digests():
            typer.echo(f"{found}  {name}")
        return
    require_different((transcript, csv))
    sheets = _sheets(question or (), questions)
    if not sheets and not rounds:
        raise ParameterError("class: expected a question or rounds, found neither", "hefl class 'Tea? | yes | no'")
    if phones is None and not sys.stdin.isatty():
        raise ParameterError("class: expected a terminal whose Enter begins, found none", "give --phones")
    settings = Settings(parse_custody(custody, preset), seats, min_cohort, digests())
    opened = OpenClass(settings, address or addresses()[0].address, port)
    wall = _Wall(opened, phones)
    try:
        wall.show()
        opened.bots.add(bots)
        if anonymous:
            opened.teacher.anonymise()
        wall.gather()
        for asked in sheets:
            wall.ask(asked, predict)
        if rounds:
            wall.train(rounds)
    except _Ended:
        STDERR.print("ended before its end: the record holds what happened")
    finally:
        content, table = opened.close(), opened.teacher.to_csv()
        if transcript:
            kept(transcript, lambda path: replace_file(path, content, owner_only=True))
        if csv:
            kept(csv, lambda path: replace_file(path, table.encode(), owner_only=True))


def parse_custody(text: str, preset: str = "") -> Held:
    """Read ``one``, ``3-of-5`` or ``dealer-free:3-of-5``. Raises: ParameterError.

    >>> str(parse_custody("dealer-free:3-of-5").quorum), parse_custody("one").kind
    ('3-of-5', 'one')
    """
    if text == ONE:
        return Held(ONE, Quorum(1, 1), preset)
    kind, _, quorum = text.rpartition(":")
    threshold, _, holders = quorum.partition("-of-")
    if kind not in ("", DEALER_FREE) or not (threshold.isdecimal() and holders.isdecimal()):
        raise ParameterError(f"custody: expected one, 3-of-5 or dealer-free:3-of-5, found {text[:80]!r}")
    return Held(kind or DEALT, Quorum(int(threshold), int(holders)), preset)


def _sheets(asked: Sequence[str], file: Path | None) -> tuple[tuple[Question, ...], ...]:
    """Each argument is a sheet of its own. Raises: DataError."""
    found = tuple((parse_question(line),) for line in asked)
    if file is None:
        return found
    raw = read_regular(file, MOST_QUESTIONS_BYTES, file.name[:80])
    return (*found, *parse_questions(raw.decode("utf-8", errors="replace")))


class _Ended(Exception):
    """Ctrl-C: the class ends, and its files are written."""


class _Wall:
    """Shows the class, and waits: for Enter, or for what comes first by itself."""

    def __init__(self, opened: OpenClass, phones: int | None) -> None:
        self._opened, self._phones = opened, phones
        self._live: LiveClass = opened.live
        self._over, self._pressed = threading.Event(), threading.Event()
        for number in SIGNALS:
            signal.signal(number, lambda *_: self._over.set())
        if sys.stdin.isatty():
            threading.Thread(target=self._keys, daemon=True).start()

    def _keys(self) -> None:
        while sys.stdin.readline():
            self._pressed.set()

    def _wait(self, what: str, there: Callable[[], bool], *, enter: bool = True) -> None:
        """Until ``there``, or Enter. Raises: _Ended."""
        STDERR.print(f"{what}{'; Enter: go on' if enter and sys.stdin.isatty() else ''}", markup=False)
        self._pressed.clear()
        while not there() and not (enter and self._pressed.is_set()):
            if self._over.wait(LOOK_SECONDS):
                raise _Ended
        if self._over.is_set():
            raise _Ended

    def show(self) -> None:
        """The address, the code, and who could read what."""
        server, held = self._opened.server, self._live.settings.held
        STDERR.print(qr_text(server.url), markup=False, highlight=False)
        typer.echo(server.url)
        if server.address == LOOPBACK:
            STDERR.print("this address reaches this computer only", markup=False)
        said = {
            ONE: "this computer has the key: it could read every single answer",
            DEALT: f"this computer dealt the key {held.quorum} to phones and deletes each share as it is fetched",
            DEALER_FREE: f"the phones make the key, {held.quorum}: this computer never has it",
        }[held.kind]
        STDERR.print(f"custody: {said}", markup=False)
        if self._live.flooding is not None:
            STDERR.print(f"{self._live.flooding}", markup=False)

    def gather(self) -> None:
        """Wait for phones; where they hold the key, name the holders and wait for their shares."""
        wanted, live = self._phones, self._live
        self._wait("waiting for phones", lambda: wanted is not None and _here(live) >= wanted)
        if not live.settings.held.quorum.collective:
            return
        self._opened.teacher.name_holders()
        self._wait("waiting for the holders to have their shares", lambda: _have_shares(live), enter=False)

    def ask(self, questions: tuple[Question, ...], predict: bool) -> None:
        """Ask, add up, have it opened, show it."""
        live, teacher = self._live, self._opened.teacher
        sheet = teacher.ask(questions, predict=predict)
        for one in questions:
            STDERR.print(f"question: {visible(one.text)}", markup=False)
        if predict:
            self._wait("waiting for predictions", lambda: live.predicted >= _here(live))
            teacher.begin_answers()
        self._wait("waiting for answers", lambda: _all_answered(live))
        teacher.add_up()
        teacher.open_sum()
        self._wait("waiting for the holders to open the sum", lambda: live.phase != c.OPENING, enter=False)
        if live.phase == c.RESULT and live.result is not None:
            STDOUT.print(_table(sheet, live.result))
        else:
            STDERR.print(f"the sum stays closed: {visible(live.said)}", markup=False)

    def train(self, rounds: int) -> None:
        """Train, and show the accuracy of each round."""
        live = self._live
        self._opened.teacher.train(rounds)
        for number in range(1, rounds + 1):
            self._wait(f"round {number}", partial(_done, live, number), enter=False)
        last = live.result
        STDOUT.print(f"trained for {rounds} rounds: accuracy {last.accuracy if last else None}", highlight=False)


def _here(live: LiveClass) -> int:
    return sum(live.present(seat.number) for seat in live.seats)


def _have_shares(live: LiveClass) -> bool:
    return live.phase != c.CEREMONY and not live.key.undelivered


def _all_answered(live: LiveClass) -> bool:
    answered = live.state().answered
    here = [seat.number for seat in live.seats if live.present(seat.number)]
    return len(answered) >= live.settings.cohort and set(here) <= set(answered)


def _done(live: LiveClass, number: int) -> bool:
    """Whether this round was opened."""
    result = live.state().result
    return result is not None and (result.number or 0) >= number


def _table(sheet: Sheet, result: ResultState) -> Table:
    """Counts of each question, and what the sum check says."""
    table = Table(title=f"sum of {result.voters} answers, opened; no single one was")
    for column in ("question", "choice", "count"):
        table.add_column(column)
    for question, answer, check in zip(sheet.questions, result.questions, result.checks, strict=True):
        rows = (
            zip(question.choices, answer.counts, strict=True)
            if answer.counts is not None
            else (("mean", "none" if answer.mean is None else f"{answer.mean:.2f}"),)
        )
        for choice, count in rows:
            table.add_row(escape(visible(question.text)), escape(visible(choice)), str(count))
        if check:
            table.add_row("[red]sum check[/]", check, "")
    return table

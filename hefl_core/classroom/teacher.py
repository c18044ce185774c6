"""The teacher's verbs. They are calls in the process that runs the class: no route of the server leads to one."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from hefl_core.classroom import live_class as c
from hefl_core.classroom import record as r
from hefl_core.classroom.custody import DEALER_FREE
from hefl_core.classroom.live_class import LiveClass
from hefl_core.classroom.question import Question, Sheet
from hefl_core.classroom.seat import new_code
from hefl_core.errors import RoundError


class Teacher:
    """Acts on one class. Raises: RoundError for a verb that does not fit the phase."""

    def __init__(self, live: LiveClass) -> None:
        self.live = live

    def _require(self, *phases: str) -> None:
        if self.live.phase not in phases:
            raise RoundError(
                f"class: expected the phase {' or '.join(phases)}, found {self.live.phase}; end that first"
            )

    def name_holders(self, seats: Sequence[int] = ()) -> tuple[int, ...]:
        """Make these seats the holders 1..n, or the first n phones that are here. Begins a ceremony without a dealer.

        Raises: RoundError for one key, a second time, a bot (its share would be this computer's), or too few phones.
        """
        live = self.live
        with live.lock:
            self._require(c.LOBBY)
            held = live.settings.held
            if not held.quorum.collective or live.holders:
                raise RoundError("holders: expected a key that is held together and no holders yet, found otherwise")
            phones = [seat.number for seat in live.seats if not seat.bot and not seat.removed]
            chosen = (list(seats) or [seat for seat in phones if live.present(seat)])[: held.quorum.holders]
            if len(set(chosen)) != held.quorum.holders or not set(chosen) <= set(phones):
                raise RoundError(
                    f"holders: expected {held.quorum.holders} phones, found {len(set(chosen) & set(phones))}; let more join "
                    "(bots hold nothing: their share would be this computer's)"
                )
            for index, number in enumerate(chosen, 1):
                live.seats.make_holder(number, index)
            live.holders = tuple(chosen)
            live.record.write(r.Holding(live.holders))
            if held.kind == DEALER_FREE:
                live.phase = c.CEREMONY
            live.changed()
            return live.holders

    def _require_holders(self) -> None:
        """A key that is ready, with no share of it left in this process. Raises: RoundError; Refusal (409)."""
        live = self.live
        live.key.require_public()
        if live.settings.held.quorum.collective and not live.holders:
            raise RoundError("class: expected holders for the key's shares, found none; name them first")
        live.key.settle()

    def ask(self, questions: Sequence[Question], *, predict: bool = False) -> Sheet:
        """Ask questions, all in one ciphertext; with ``predict`` every phone predicts before it may answer.

        Raises: RoundError while holders are missing; Refusal before the key is made.
        """
        live = self.live
        with live.lock:
            self._require(c.LOBBY, c.RESULT, c.LEAK)
            self._require_holders()
            live.sheet = Sheet(live.next_number(), tuple(questions))
            live.begin_question(live.sheet)
            live.phase = c.PREDICT if predict else c.ASKING
            live.changed()
            return live.sheet

    def begin_answers(self) -> None:
        """End the predictions. Raises: RoundError."""
        with self.live.lock:
            self._require(c.PREDICT)
            self.live.phase = c.ASKING
            self.live.changed()

    def add_up(self) -> None:
        """End the answers: the sum stands encrypted on the wall. In a training: go on without the missing phones."""
        live = self.live
        with live.lock:
            self._require(c.ASKING, c.TRAINING)
            live.add_up()
            if live.phase == c.ASKING:
                live.phase = c.SUM
                live.changed()
            else:
                live.open_sum()

    def open_sum(self) -> None:
        """Have the sum opened."""
        live = self.live
        with live.lock:
            self._require(c.SUM)
            live.phase = c.OPENING
            live.open_sum()

    def give_up(self) -> None:
        """Leave the sum closed, when holders that said yes have gone: no other set may open it. A round begins anew."""
        live = self.live
        with live.lock:
            self._require(c.OPENING, c.TRAINING, c.SUM, c.ASKING, c.PREDICT)
            live.stays_closed("the teacher gave it up")

    def train(self, rounds: int) -> None:
        """Deal patients and begin the first of so many rounds. Raises: RoundError with fewer phones than the smallest cohort."""
        live = self.live
        with live.lock:
            self._require(c.LOBBY, c.RESULT, c.LEAK)
            self._require_holders()
            here = sum(live.present(seat.number) for seat in live.seats)
            if here < live.settings.cohort or rounds < 1:
                raise RoundError(
                    f"training: expected {live.settings.cohort} phones and a round, found {here}, {rounds}"
                )
            live.begin_training(rounds)
            live.changed()

    def end_training(self) -> None:
        """Go back to the lobby after the last round."""
        with self.live.lock:
            self._require(c.RESULT)
            self.live.round = None
            self.live.phase = c.LOBBY
            self.live.changed()

    def ask_volunteer(self, seat: int | None = None) -> int:
        """Ask one phone, or the first that is here, for the update of one patient in the clear; its seat.

        Raises: RoundError where no such phone is here.
        """
        live = self.live
        with live.lock:
            self._require(c.LOBBY, c.RESULT, c.LEAK)
            here = [one.number for one in live.seats if live.present(one.number) and not one.removed]
            if not here or seat not in (None, *here):
                raise RoundError(
                    f"volunteer: expected a phone that is here, found seat {seat}; let it open the page again"
                )
            live.begin_leak(here[0] if seat is None else seat)
            live.changed()
            return here[0] if seat is None else seat

    def pause(self, paused: bool = True) -> None:
        """Take no uploads for a while, or take them again."""
        with self.live.lock:
            self.live.paused = paused
            self.live.changed()
            self.live.go_on()

    def anonymise(self) -> None:
        """Show numbers instead of names from now on, in the record too. It cannot be undone."""
        with self.live.lock:
            self.live.anonymous = True
            for seat in self.live.seats:
                self.live.seats.name(seat.number, f"phone {seat.number}")
            self.live.changed()

    def remove(self, seat: int) -> None:
        """End a seat: its token is worth nothing any more. Raises: RoundError for no seat."""
        with self.live.lock:
            if seat not in {one.number for one in self.live.seats}:
                raise RoundError(f"seat {seat}: expected one of the class, found none")
            self.live.seats.remove(seat)
            self.live.changed()

    def renew_code(self) -> str:
        """A new join code, and wrong tries forgotten."""
        with self.live.lock:
            self.live.seats.code = new_code()
            self.live.seats.tries.forget()
            self.live.changed()
            return self.live.seats.code

    def close(self) -> bytes:
        """End the class: keys are dropped, phones see it; the record. Raises: RoundError a second time."""
        live = self.live
        with live.lock:
            if live.phase == c.CLOSED:
                raise RoundError("class: it is closed already")
            live.phase, live.opening, live.summing, live.round, live.leak = c.CLOSED, None, None, None, None
            live.key.end()
            if not live.anonymous:
                live.record.write(r.Named(tuple((seat.number, seat.name) for seat in live.seats)))
            live.record.close()
            content = live.record.content()
            live.record.end()
            live.changed()
            return content

    def to_csv(self) -> str:
        """Every opened question as a table: a line for each choice. No names: the sums have none."""
        file = io.StringIO()
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("question", "text", "choice", "count", "voters", "check"))
        for sheet, result in self.live.results:
            for question, answer, check in zip(sheet.questions, result.questions, result.checks, strict=True):
                if answer.counts is not None:
                    for choice, count in zip(question.choices, answer.counts, strict=True):
                        out.writerow((sheet.id, plain(question.text), plain(choice), count, result.voters, check))
                else:
                    out.writerow((sheet.id, plain(question.text), "mean", answer.mean, result.voters, check))
        return file.getvalue()


def plain(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula.

    >>> plain("=1+1"), plain("yes")
    ("'=1+1", 'yes')
    """
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\\t") else cell

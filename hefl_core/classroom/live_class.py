"""A live class as a state machine: what phones send, what the teacher does, and what all see.

    lobby → (ceremony) → lobby → predict → question → sum → opening → result → … → training → result → closed

Phones' messages come from the server's thread, the teacher's verbs from another: one lock guards all. The teacher's verbs
(:class:`~hefl_core.classroom.teacher.Teacher`) are calls of this process, never routes.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np

from hefl_core.classroom import record as r
from hefl_core.classroom import state as s
from hefl_core.classroom import training as t
from hefl_core.classroom.custody import Ceremony, ClassKey, Held, smallest_cohort
from hefl_core.classroom.guards import Refusal
from hefl_core.classroom.question import Question, Sheet, signed
from hefl_core.classroom.seat import Seat, Seats, new_code
from hefl_core.classroom.summing import BOUND, QUESTION, ROUND, Opening, Summing, open_alone
from hefl_core.classroom.verify import values_to_bytes
from hefl_core.errors import HeflError, IntegrityError, ParameterError, RoundError
from hefl_core.learning.base import Examples
from hefl_core.schemes.base import CiphertextVector, Opened

LOBBY, CEREMONY, PREDICT, ASKING, SUM = "lobby", "ceremony", "predict", "question", "sum"
OPENING, RESULT, TRAINING, LEAK, CLOSED = "opening", "result", "training", "leak", "closed"
MOST_SEATS: Final = 100
MOST_OPENINGS: Final = 40
"""Sums that a class opens at most: the flooding of its key is stated for as many."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a class is opened with. Raises: ParameterError for numbers that do not go together."""

    held: Held = field(default_factory=Held)
    seats: int = 60
    min_cohort: int = 0
    page: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        most = min(MOST_SEATS, self.held.scheme.preset.max_terms)
        if not self.held.quorum.holders <= self.seats <= most:
            raise ParameterError(f"seats: expected {self.held.quorum.holders} to {most}, found {self.seats}")
        if not self.least <= self.cohort <= self.seats:
            raise ParameterError(
                f"min_cohort: expected {self.least} to {self.seats}, found {self.min_cohort}",
                "a sum of few is nearly one answer",
            )

    @property
    def least(self) -> int:
        """The smallest cohort that this custody allows."""
        return smallest_cohort(self.held.quorum)

    @property
    def cohort(self) -> int:
        """Fewest members of a sum that is opened."""
        return self.min_cohort or self.least


@dataclass(frozen=True)
class Round:
    """A training round that is under way: the model of its start, and the seats that take part."""

    number: int
    of: int
    attempt: int
    model: t.Vector
    members: tuple[int, ...]
    accuracy: float | None


class LiveClass:
    """Raises, where a message or verb does not fit: Refusal with a status for phones, RoundError for the teacher."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        self.seats = Seats(new_code(), settings.seats)
        self.key = ClassKey(settings.held)
        self.flooding = settings.held.flooding(settings.seats, MOST_OPENINGS)
        self.record = r.Record()
        self.phase = LOBBY
        self.paused = self.anonymous = False
        self.holders: tuple[int, ...] = ()
        self.sheet: Sheet | None = None
        self.summing: Summing | None = None
        self.opening: Opening | None = None
        self.round: Round | None = None
        self.deal: t.Deal | None = None
        self.leak: s.LeakState | None = None
        self.results: list[tuple[Sheet, s.ResultState]] = []
        self.result: s.ResultState | None = None
        self.said = ""
        self._predictions: dict[int, tuple[int, ...]] = {}
        self._masks: set[bytes] = set()
        self._present: Counter[int] = Counter()
        self._sums = self._openings = 0
        self._revision = 0
        self._listeners: list[Callable[[], None]] = []
        self._sent: s.State | None = None
        self.record.write(r.Began(settings.held, settings.cohort, settings.seats, settings.page))
        if self.key.public is not None:
            self.record.write(r.Keyed(self.key.public, b""))

    # -- what all see ---------------------------------------------------------------------------------------------

    def listen(self, listener: Callable[[], None]) -> None:
        """Have a function called after each change."""
        self._listeners.append(listener)

    def changed(self) -> None:
        """Tell everybody."""
        self._revision += 1
        self._sent = None
        for listener in self._listeners:
            listener()

    def state(self) -> s.State:
        """The public state."""
        with self.lock:
            if self._sent is None:
                self._sent = self._state()
            return self._sent

    def _state(self) -> s.State:
        summing = self.summing
        shown = self.phase in (PREDICT, ASKING, SUM, OPENING, RESULT)
        return s.State(
            phase=self.phase, revision=self._revision, paused=self.paused, custody=self.settings.held.kind,
            min_cohort=self.settings.cohort, max_seats=self.settings.seats,
            seats=tuple(self._seat_state(seat) for seat in self.seats if not seat.removed),
            arrived=len(summing.addends) if summing else 0, of=len(self.expected()),
            answered=summing.seats if summing else (),
            question=self._question_state() if shown and self.sheet else None,
            opening=self._opening_state(), result=self.result, round=self._round_state(),
            ceremony=self._ceremony_state(), leak=self.leak,
            predictions=self._predicted() if self.phase == RESULT and self._predictions and self.sheet else None,
            closed_because=self.said,
        )  # fmt: skip

    def _seat_state(self, seat: Seat) -> s.SeatState:
        name = f"phone {seat.number}" if self.anonymous else seat.name
        return s.SeatState(seat.number, name, seat.bot, seat.holder, self._present[seat.number] > 0)

    def _question_state(self) -> s.QuestionState:
        assert self.sheet is not None
        parts = tuple(
            s.PartState(q.text, q.kind, q.choices, q.most, first, q.slots)
            for q, first in zip(self.sheet.questions, self.sheet.firsts(), strict=True)
        )
        one = parts[0]
        return s.QuestionState(
            self.sheet.id,
            one.text,
            one.kind,
            one.choices,
            one.most,
            self.sheet.slots,
            BOUND,
            self.settings.seats,
            parts,
        )

    def _opening_state(self) -> s.OpeningState | None:
        found = self.opening
        if found is None:
            return None
        summing, active = found.summing, found.active
        return s.OpeningState(
            id=summing.id, kind=summing.kind, c1=f"/sum/{summing.id}", addends=f"/addends/{summing.id}",
            terms=len(summing.addends),
            members=tuple(s.MemberState(one.seat, one.digest) for one in summing.addends),
            holders=tuple(range(1, len(self.holders) + 1)), yes=tuple(sorted(found.yes)), no=tuple(sorted(found.no)),
            active=active, asked=active or (),
        )  # fmt: skip

    def _round_state(self) -> s.RoundState | None:
        if self.round is None or self.deal is None:
            return None
        now, model = self.round, self.deal.model
        return s.RoundState(
            number=now.number, of=now.of, attempt=now.attempt, model=tuple(now.model.tolist()), classes=model.classes,
            learning_rate=t.LEARNING_RATE, local_epochs=t.LOCAL_EPOCHS, bound=t.BOUND, max_terms=self.settings.seats,
            length=model.parameters, members=now.members, accuracy=now.accuracy,
        )  # fmt: skip

    def _ceremony_state(self) -> s.CeremonyState | None:
        found = self.key.ceremony
        if found is None or not self.holders:
            return None
        quorum = self.settings.held.quorum
        return s.CeremonyState(
            found.step, found.seed.hex(), found.arrived, quorum.holders, quorum.holders, quorum.threshold
        )

    def _predicted(self) -> tuple[tuple[int, ...], ...]:
        assert self.sheet is not None
        return tuple(
            tuple(sum(picks[at] == choice for picks in self._predictions.values()) for choice in range(len(q.choices)))
            for at, q in enumerate(self.sheet.questions)
        )

    def expected(self) -> tuple[int, ...]:
        """Seats from which an upload may still come: a round's members, or everybody."""
        if self.round is not None:
            return self.round.members
        return tuple(seat.number for seat in self.seats if not seat.removed)

    # -- what phones send -----------------------------------------------------------------------------------------

    def join(self, code: str, name: str, address: str) -> tuple[Seat, str]:
        """A seat for a phone with the code. Raises: Refusal (401, 409, 429)."""
        with self.lock:
            if self.phase == CLOSED:
                raise Refusal(409, "class: it is closed")
            return self._seated(*self.seats.join(code, name, address))

    def join_bot(self, name: str) -> tuple[Seat, str]:
        """A seat for a client of this process, marked as such. Raises: Refusal (429)."""
        with self.lock:
            return self._seated(*self.seats.add(name, bot=True))

    def _seated(self, seat: Seat, token: str) -> tuple[Seat, str]:
        self.record.write(r.Seated(seat.number, seat.bot))
        self.changed()
        return seat, token

    def arrive(self, seat: int) -> None:
        """A page of this seat is connected."""
        with self.lock:
            self._present[seat] += 1
            now, summing = self.round, self.summing
            # Nobody has sent anything yet: a phone that comes now, or comes back, still belongs to this round.
            if self.phase == TRAINING and now and summing and not summing.addends and seat not in now.members:
                self.round = replace(now, members=(*now.members, seat))
            self.changed()

    def leave(self, seat: int) -> None:
        """A page of this seat is gone."""
        with self.lock:
            self._present[seat] -= 1
            self.changed()
            self.go_on()

    def present(self, seat: int) -> bool:
        """Whether a page of this seat is connected."""
        return self._present[seat] > 0

    def predict(self, sheet: int, seat: Seat, picks: Sequence[int]) -> None:
        """A prediction, which is no secret: one choice for each question. Raises: Refusal (409); ParameterError."""
        with self.lock:
            if self.phase not in (PREDICT, ASKING) or self.sheet is None or self.sheet.id != sheet:
                raise Refusal(409, "prediction: expected the question on the wall, found another; it is over")
            if seat.number in self._predictions:
                raise Refusal(409, "prediction: expected one from each seat, found a second; the first one counts")
            self.sheet.integers(picks)
            self._predictions[seat.number] = tuple(picks)
            self.changed()

    @property
    def predicted(self) -> int:
        """Seats that predicted."""
        return len(self._predictions)

    def upload(self, kind: str, number: int, seat: Seat, body: bytes) -> str:
        """An encrypted answer, or an update of a round; its digest. Raises: Refusal (409); WireError."""
        with self.lock:
            summing = self.summing
            due = (
                summing is not None and (summing.id if kind == QUESTION else self.round and self.round.number) == number
            )
            growing = self.phase == (ASKING if kind == QUESTION else TRAINING) and summing and summing.total is None
            if summing is None or not due or not growing or self.paused:
                raise Refusal(
                    409, f"upload: expected one for what the wall asks now, found one for {kind} {number}; wait"
                )
            if seat.number not in self.expected():
                raise Refusal(409, "upload: this seat joined after the round began; it takes part in the next one")
            found = summing.add(seat.number, body, self._masks)
            self.record.write(r.Uploaded(summing.id, seat.number, body))
            self.changed()
            self.go_on()
            return found

    def require_holder(self, seat: Seat) -> int:
        """The seat's number among the holders. Raises: Refusal (403)."""
        if seat.holder is None:
            raise Refusal(403, "holder: expected a phone that holds a share, found another")
        return seat.holder

    def require_opening(self, number: int) -> Opening:
        """The opening under way. Raises: Refusal (409)."""
        if self.opening is None or self.opening.summing.id != number:
            raise Refusal(409, f"opening {number}: expected the one under way, found none or another; it is over")
        return self.opening

    def consent(self, number: int, seat: Seat, yes: bool) -> None:
        """A holder's owner decided. Raises: Refusal (403, 409)."""
        with self.lock:
            opening = self.require_opening(number)
            opening.consent(self.require_holder(seat), yes)
            left = len(self.holders) - len(opening.no)
            if left < self.settings.held.quorum.threshold:
                self.stays_closed(f"{len(opening.no)} of {len(self.holders)} holders said no")
            else:
                self.changed()

    def partial(self, number: int, seat: Seat, body: bytes) -> None:
        """A holder's part; the last one opens the sum. Raises: Refusal (403, 409); WireError."""
        with self.lock:
            opening, index = self.require_opening(number), self.require_holder(seat)
            complete = opening.answer(index, body)
            self.record.write(r.Answered(number, index, opening.parts[index].active, body))
            if not complete:
                self.changed()
                return
            try:
                opened = opening.open()
            except HeflError as error:
                self.stays_closed(f"a part was damaged or foreign: {error}")
                return
            self._opened(opening.summing, opened)

    def refuse(self, number: int, seat: Seat, reason: str) -> None:
        """A holder of the fixed set does not answer: this sum stays closed. Raises: Refusal (403, 409)."""
        with self.lock:
            opening, index = self.require_opening(number), self.require_holder(seat)
            if index not in (opening.active or ()):
                raise Refusal(403, f"holder {index}: expected one of the set that answers, found another")
            self.stays_closed(f"holder {index} refused: {reason}")

    def share(self, seat: Seat) -> bytes:
        """A holder's dealt share, once. Raises: Refusal (403, 409)."""
        with self.lock:
            found = self.key.take_share(self.require_holder(seat))
            self.changed()
            return found

    def ceremony_step(self, step: str, seat: Seat, body: bytes) -> None:
        """A holder's part of the ceremony; the last contribution makes the public key. Raises: Refusal; WireError."""
        with self.lock:
            ceremony = self.require_ceremony()
            ceremony.put(step, self.require_holder(seat), body)
            if step == "contribution" and ceremony.step != "contribution":
                self.key.finish_ceremony()
                self.record.write(r.Keyed(self.key.require_public(), ceremony.digest()))
            if ceremony.step == "done":
                self.phase = LOBBY
            self.changed()

    def require_ceremony(self) -> Ceremony:
        """The ceremony. Raises: Refusal (409) where a dealer made the key, or nobody holds shares yet."""
        if self.key.ceremony is None or not self.holders:
            raise Refusal(409, "ceremony: expected a key that phones make, found none under way")
        return self.key.ceremony

    def patients(self, seat: Seat) -> Examples:
        """The rows dealt to a seat. Raises: Refusal (409) before a training."""
        if self.deal is None:
            raise Refusal(409, "patients: expected a training, found none; wait for the wall")
        return self.deal.rows[seat.number - 1]

    def plain(self, seat: Seat, body: bytes) -> None:
        """The volunteer's update in the clear: what it gives away goes on the wall. Raises: Refusal (403, 409); WireError."""
        with self.lock:
            asked = self.require_volunteer(seat)
            assert self.deal is not None
            rows, dataset = self.deal.rows[seat.number - 1], self.deal.dataset
            read, label = t.read_patient(np.frombuffer(body, "<f8"), self.deal.model.classes)
            patient = rows.features[0].astype(np.float64)
            self.leak = msgspec.structs.replace(
                asked, features=tuple(dataset.feature_names), patient=tuple(patient.tolist()), read=tuple(read.tolist()),
                label=dataset.classes[int(rows.labels[0])], read_label=dataset.classes[label],
                same=int(np.sum(np.abs(read - patient) < t.SAME)),
            )  # fmt: skip
            self.record.write(r.Volunteered(seat.number))
            self.changed()

    def require_volunteer(self, seat: Seat) -> s.LeakState:
        """What the volunteer is asked for. Raises: Refusal (403) for another seat; (409) when nobody is asked, or it came."""
        if self.phase != LEAK or self.leak is None or self.leak.read:
            raise Refusal(
                409, "plain update: expected a volunteer to be asked for it, found none; it stays on the phone"
            )
        if self.leak.seat != seat.number:
            raise Refusal(403, "plain update: expected the volunteer's, found another phone's; it was not kept")
        return self.leak

    # -- sums -----------------------------------------------------------------------------------------------------

    def begin_leak(self, seat: int) -> None:
        """Ask one seat for the update of its first patient in the clear; what was before is over."""
        self.deal = t.Deal.of(self.settings.seats)
        self._begin_anew()
        self.sheet = self.summing = None
        self.leak = s.LeakState(seat, self.deal.model.parameters, t.PLAIN_RATE, t.BOUND)
        self.phase = LEAK

    def _begin_anew(self) -> None:
        self.result = self.round = self.leak = None
        self._predictions.clear()

    def begin_training(self, rounds: int) -> None:
        """Deal patients and begin the first round; what was before is over."""
        self.deal = t.Deal.of(self.settings.seats)
        self._begin_anew()
        first = self.deal.first_model()
        self.sheet = None
        self.phase = TRAINING
        self.round = Round(1, rounds, 1, first, (), self.deal.accuracy(first))
        self.begin_round(1, 1)

    def begin_question(self, sheet: Sheet) -> None:
        """Ask for answers to a sheet; what was before is over."""
        self._begin_anew()
        self._begin_sum(QUESTION, sheet)

    def _begin_sum(self, kind: str, sheet: Sheet | None, attempt: int = 1) -> None:
        length, integers = (1, sheet.slots) if sheet else (self._model_length, 1)
        number = sheet.id if sheet else self.next_number()
        key = self.key.require_public()
        bound = BOUND if sheet else t.BOUND
        label = CiphertextVector(key.id, length, integers, False, bound, self.settings.seats, 1, ())
        self.summing = Summing(number, kind, self.key, label, sheet)
        questions = tuple((q.text, q.choices, q.most) for q in sheet.questions) if sheet else ()
        model = values_to_bytes(self.round.model) if self.round else b""
        self.record.write(r.Asked(number, kind, attempt, questions, label, model))

    @property
    def _model_length(self) -> int:
        assert self.deal is not None
        return self.deal.model.parameters

    def next_number(self) -> int:
        """A number for the next question or round: no two sums of a class have one in common."""
        self._sums += 1
        return self._sums

    def add_up(self) -> None:
        """End the uploads. Raises: RoundError below the smallest cohort."""
        summing = self.summing
        if summing is None or summing.total is not None:
            raise RoundError("sum: expected a question or round under way, found none")
        if len(summing.addends) < self.settings.cohort:
            raise RoundError(
                f"sum: expected at least {self.settings.cohort} answers, found {len(summing.addends)}; wait for more, since a "
                "sum of few is nearly one answer"
            )
        total = summing.finish()
        self.record.write(r.Summed(summing.id, summing.seats, total))

    def open_sum(self) -> None:
        """Have the sum opened: by this computer, or by the holders' phones. Raises: RoundError past the key's cap."""
        summing = self.summing
        if summing is None or summing.total is None or self.opening is not None:
            raise RoundError("opening: expected a sum that is closed, found none; add up first")
        if self._openings >= MOST_OPENINGS or (self.flooding and self._openings >= self.flooding.per_holder):
            raise RoundError(f"opening: this class's key has opened {self._openings} sums, its most; open a new class")
        self._openings += 1
        if self.settings.held.quorum.collective:
            self.opening = Opening(summing, self.key)
            self.changed()
        else:
            self._opened(summing, open_alone(summing, self.key))

    def stays_closed(self, why: str) -> None:
        """Leave this sum closed for good; of a training, begin the round again with fresh ciphertexts."""
        if self.summing is None:
            raise RoundError("sum: expected one under way, found none")
        number = self.summing.id
        self.record.write(r.Dropped(number, why))
        self.said, self.opening, self.summing = why, None, None
        if self.round is not None:
            self.begin_round(self.round.number, self.round.attempt + 1)
        else:
            self.phase = LOBBY
        self.changed()

    def _opened(self, summing: Summing, opened: Opened) -> None:
        modulus = opened.modulus
        self.record.write(r.Opened(summing.id, opened.integers, values_to_bytes(opened.values)))
        self.opening, self.said = None, ""
        voters = len(summing.addends)
        if summing.sheet is not None:
            self.result = result_of(summing.sheet, [signed(word, modulus) for word in opened.integers], voters)
            self.results.append((summing.sheet, self.result))
            self.phase = RESULT
        else:
            self._next_model(opened, voters)
        self.changed()

    # -- training ---------------------------------------------------------------------------------------------------

    def begin_round(self, number: int, attempt: int) -> None:
        """Ask the seats that are here for an update of the current model."""
        assert self.round is not None and self.deal is not None
        here = tuple(seat.number for seat in self.seats if self.present(seat.number) and not seat.removed)
        now = self.round
        self.round = Round(number, now.of, attempt, now.model, here, now.accuracy)
        self._begin_sum(ROUND, None, attempt)

    def go_on(self) -> None:
        """Add up and open a round once every member that is still here has sent its update."""
        summing = self.summing
        if self.phase != TRAINING or self.round is None or summing is None or summing.total is not None or self.paused:
            return
        missing = [seat for seat in self.round.members if self.present(seat) and seat not in summing.seats]
        if not missing and len(summing.addends) >= self.settings.cohort:
            self.add_up()
            self.open_sum()

    def _next_model(self, opened: Opened, voters: int) -> None:
        assert self.round is not None and self.deal is not None
        if opened.integers != (voters,):
            raise IntegrityError(f"round: expected {voters} updates in the sum, its count says {opened.integers}")
        now = self.round
        # Phones start from float32 parameters, as this project's trainers do.
        model = (now.model + opened.values / voters).astype(np.float32).astype(np.float64)
        accuracy = self.deal.accuracy(model)
        self.result = s.ResultState(self._sums, ROUND, voters, number=now.number, accuracy=accuracy)
        self.round = Round(now.number, now.of, now.attempt, model, now.members, accuracy)
        if now.number < now.of:
            self.begin_round(now.number + 1, 1)
        else:
            self.phase, self.summing = RESULT, None


def result_of(sheet: Sheet, integers: Sequence[int], voters: int) -> s.ResultState:
    """What an opened sum says, question by question, with what its check found."""
    parts = sheet.split(integers)
    answers = tuple(_answer(question, sums) for question, sums in zip(sheet.questions, parts, strict=True))
    checks = tuple(question.check(sums, voters) for question, sums in zip(sheet.questions, parts, strict=True))
    one = answers[0]
    return s.ResultState(sheet.id, QUESTION, voters, answers, checks, counts=one.counts, mean=one.mean, count=one.count)


def _answer(question: Question, sums: Sequence[int]) -> s.AnswerState:
    if question.choices:
        return s.AnswerState(counts=tuple(sums))
    total, count = sums
    return s.AnswerState(total=total, count=count, mean=total / count if count > 0 else None)

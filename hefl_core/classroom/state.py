"""Public state of a class: what every phone is sent, whole, after each change. Nothing secret is in it."""

from __future__ import annotations

import msgspec


class SeatState(msgspec.Struct, frozen=True):
    """A seat. ``here``: its page is connected."""

    seat: int
    name: str
    bot: bool
    holder: int | None
    here: bool


class PartState(msgspec.Struct, frozen=True):
    """One question: its integers are first .. first + slots - 1."""

    text: str
    kind: str
    choices: tuple[str, ...]
    most: int
    first: int
    slots: int


class QuestionState(msgspec.Struct, frozen=True):
    """The questions of one ciphertext; ``text``, ``kind``, ``choices`` and ``most`` are those of the first."""

    id: int
    text: str
    kind: str
    choices: tuple[str, ...]
    most: int
    slots: int
    bound: float
    max_terms: int
    questions: tuple[PartState, ...]


class MemberState(msgspec.Struct, frozen=True):
    """A ciphertext in the sum: its seat, and the SHA-256 of its upload."""

    seat: int
    digest: str


class OpeningState(msgspec.Struct, frozen=True):
    """A sum that holders are asked to open. ``active``: those who answer, fixed once t said yes."""

    id: int
    kind: str
    c1: str
    addends: str
    terms: int
    members: tuple[MemberState, ...]
    holders: tuple[int, ...]
    yes: tuple[int, ...]
    no: tuple[int, ...]
    active: tuple[int, ...] | None
    asked: tuple[int, ...]


class RoundState(msgspec.Struct, frozen=True):
    """A training round."""

    number: int
    of: int
    attempt: int
    model: tuple[float, ...]
    classes: int
    learning_rate: float
    local_epochs: int
    bound: float
    max_terms: int
    length: int
    members: tuple[int, ...]
    accuracy: float | None


class LeakState(msgspec.Struct, frozen=True):
    """A volunteer that sends the update of its first patient in the clear; once it came: what was computed from it alone.

    ``patient`` and ``read``: standardised, equally long; ``same``: how many of them agree.
    """

    seat: int
    length: int
    learning_rate: float
    bound: float
    features: tuple[str, ...] = ()
    patient: tuple[float, ...] = ()
    label: str = ""
    read: tuple[float, ...] = ()
    read_label: str = ""
    same: int = 0


class CeremonyState(msgspec.Struct, frozen=True):
    """A key that the holders' phones make."""

    step: str
    seed: str
    arrived: int
    of: int
    holders: int
    threshold: int


class AnswerState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the sum says about one question: counts, or a number's mean."""

    counts: tuple[int, ...] | None = None
    total: int | None = None
    mean: float | None = None
    count: int | None = None


class ResultState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The opened sum of a sheet, or of a training round."""

    id: int
    kind: str
    voters: int
    questions: tuple[AnswerState, ...] = ()
    checks: tuple[str, ...] = ()
    counts: tuple[int, ...] | None = None
    mean: float | None = None
    count: int | None = None
    number: int | None = None
    accuracy: float | None = None


class State(msgspec.Struct, frozen=True):
    """The whole."""

    phase: str
    revision: int
    paused: bool
    custody: str
    min_cohort: int
    max_seats: int
    seats: tuple[SeatState, ...]
    arrived: int
    of: int
    answered: tuple[int, ...]
    question: QuestionState | None
    opening: OpeningState | None
    result: ResultState | None
    round: RoundState | None
    ceremony: CeremonyState | None
    leak: LeakState | None
    predictions: tuple[tuple[int, ...], ...] | None
    closed_because: str

    def to_json(self) -> bytes:
        """As it is sent."""
        return msgspec.json.encode(self)

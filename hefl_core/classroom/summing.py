"""One sum of a class: uploads under one label, added as they come, then opened by this computer or by t holders' phones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from hefl_core.classroom import bridge
from hefl_core.classroom.custody import ClassKey
from hefl_core.classroom.guards import Refusal
from hefl_core.classroom.question import Sheet
from hefl_core.errors import RoundError
from hefl_core.schemes.base import CiphertextVector, Opened, PartialDecryption

QUESTION, ROUND = "question", "round"
BOUND = 1.0
"""Of the one value that follows a question's integers; it is 0."""


@dataclass(frozen=True, slots=True)
class Addend:
    """What is kept of an upload: its seat, the SHA-256 of its body, and c1, which holders add again."""

    seat: int
    digest: str
    c1: bytes


class Summing:
    """Uploads of one sheet or round. ``label``: the one that every upload has, fixed here and never by a phone."""

    def __init__(self, number: int, kind: str, key: ClassKey, label: CiphertextVector, sheet: Sheet | None) -> None:
        self.id, self.kind, self.label, self.sheet = number, kind, label, sheet
        self._key = key
        self._running = key.scheme.accumulator(key.require_public())
        self.addends: list[Addend] = []
        self.total: CiphertextVector | None = None

    @property
    def seats(self) -> tuple[int, ...]:
        """The seats whose uploads are in the sum, in the order of addition."""
        return tuple(addend.seat for addend in self.addends)

    def add(self, seat: int, body: bytes, masks: set[bytes]) -> str:
        """Check an upload and add it; its digest. ``masks``: of every c1 in the class so far.

        Raises: WireError for a damaged one; Refusal (409) for the seat's second, or a c1 that was there before.
        """
        if seat in self.seats:
            raise Refusal(409, "upload: expected one from each seat, found a second; the first one counts")
        label, preset = self.label, self._key.scheme.preset
        vector = bridge.upload(
            body, self._key.require_public(), preset, length=label.length, integers=label.integers,
            tagged=label.tagged, bound=label.bound or BOUND, max_terms=label.max_terms,
        )  # fmt: skip
        (mask,) = self._key.scheme.mask_digests(vector)
        if mask in masks:
            raise Refusal(409, "upload: its c1 was in the class before; a copied ballot does not count")
        self._running.add(vector)
        masks.add(mask)
        found = hashlib.sha256(body).hexdigest()
        self.addends.append(Addend(seat, found, body[len(body) // 2 :]))
        return found

    def finish(self) -> CiphertextVector:
        """The sum; nothing is added any more. Raises: RoundError without uploads."""
        self.total = self._running.total()
        return self.total


class Opening:
    """The holders' answers to one sum: first yes or no, then, from exactly t that said yes, their parts.

    One set for one c1, ever: the set is fixed before the first part, and a set that does not answer leaves the sum closed.
    """

    def __init__(self, summing: Summing, key: ClassKey) -> None:
        if summing.total is None:
            raise RoundError("opening: expected a finished sum, found one that still grows; add up first")
        self.summing, self.total, self._key = summing, summing.total, key
        self.yes: set[int] = set()
        self.no: set[int] = set()
        self.active: tuple[int, ...] | None = None
        self.parts: dict[int, PartialDecryption] = {}

    def consent(self, index: int, yes: bool) -> None:
        """A holder's owner said yes or no; once the set is fixed it changes nothing. Raises: Refusal (409) a second time."""
        if index in self.yes | self.no:
            raise Refusal(409, f"holder {index}: expected one answer, found a second; the first one stays")
        if self.active is not None:
            return
        (self.yes if yes else self.no).add(index)
        if len(self.yes) == self._key.held.quorum.threshold:
            self.active = tuple(sorted(self.yes))

    def answer(self, index: int, body: bytes) -> bool:
        """A holder's part; whether all are there. Raises: WireError; Refusal (403, 409)."""
        if self.active is None or index not in self.active:
            raise Refusal(403, f"holder {index}: expected one of the set {self.active}; nobody else answers")
        if index in self.parts:
            raise Refusal(409, f"holder {index}: expected one part of this sum, found a second; the first one counts")
        self.parts[index] = bridge.partial(body, self._key.scheme.preset, self.total, index, self.active)
        return len(self.parts) == len(self.active)

    def open(self) -> Opened:
        """The opened sum. Raises: QuorumError below t parts; IntegrityError for a damaged part."""
        return self._key.scheme.open(self._key.require_public(), self.total, tuple(self.parts.values()))


def open_alone(summing: Summing, key: ClassKey) -> Opened:
    """Custody ``one``: this computer opens the sum with its key. Raises: IntegrityError."""
    total = summing.finish() if summing.total is None else summing.total
    part = key.scheme.partial_decrypt(key.whole, total, (1,))
    return key.scheme.open(key.require_public(), total, (part,))

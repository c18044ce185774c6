"""Check a class's record offline: chain, uploads, sums added again, and what the holders' parts open.

What it cannot check: that a seat was a person, that a phone encrypted what its owner chose, or names: phones sign nothing, so a
record agrees with itself or it does not. A phone shows the digest of its own ciphertext; who kept it can find it here. With
custody ``one`` the opened numbers are this computer's word: its key opened them and is gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hefl_core.classroom import bridge
from hefl_core.classroom import record as r
from hefl_core.classroom.custody import Held, smallest_cohort
from hefl_core.errors import HeflError, IntegrityError
from hefl_core.schemes.base import Accumulator, CiphertextVector, PublicKey
from hefl_core.schemes.ring import seal
from hefl_core.schemes.ring.bfv import BFVScheme
from hefl_core.wire.files import regular


@dataclass(frozen=True, slots=True)
class ClassVerdict:
    """What was checked. ``opened``: sums whose opened numbers follow from the holders' parts; ``word``: that do not."""

    lines: int
    seats: int
    bots: int
    uploads: int
    sums: int
    opened: int
    word: int
    dropped: int

    def __str__(self) -> str:
        bots = f", {self.bots} of them bots" if self.bots else ""
        said = [
            f"class record, {self.lines} lines in one chain; {self.seats} seats{bots}",
            f"{self.uploads} ciphertexts checked, {self.sums} sums added again, equal byte for byte",
        ]
        if self.opened:
            said.append(f"{self.opened} opened again from the holders' parts: the same numbers")
        if self.word:
            said.append(f"{self.word} opened by the key of this computer: its word, nothing to check")
        if self.dropped:
            said.append(f"{self.dropped} stayed closed")
        return "; ".join(said) + "; self-consistent, not authenticated: phones sign nothing"


def verify_class(path: Path) -> ClassVerdict:
    """Verify a class's record. Raises: IntegrityError naming the first break."""
    with regular(path, r.MAX_RECORD_BYTES, path.name[:80]) as file:
        return verify_record(file)


def verify_record(file: BinaryIO) -> ClassVerdict:
    """Verify a class's record from its first byte. Raises: IntegrityError naming the first break."""
    checker, number = _Checker(), 1
    try:
        for line, raw in r.read_lines(file):
            checker.take(line, raw)
            number += 1
    except HeflError as error:
        raise IntegrityError(f"line {number}: {error}") from error
    except Exception as error:  # untrusted bytes: whatever they provoke in a library is a break of the record
        raise IntegrityError(f"line {number}: it cannot be read ({type(error).__name__})") from error
    return checker.finish()


@dataclass
class _Asked:
    """A question or round: its uploads are added as they come."""

    asked: r.Asked
    running: dict[int, CiphertextVector]
    total: CiphertextVector | None = None
    parts: tuple[r.Answered, ...] = ()
    done: bool = False


class _Checker:
    """The state of one pass over the lines."""

    def __init__(self) -> None:
        self._head, self._count, self._closed = b"", 0, False
        self._held: Held | None = None
        self._cohort = 0
        self._key: PublicKey | None = None
        self._seats: dict[int, r.Seated] = {}
        self._asked: dict[int, _Asked] = {}
        self._masks: set[bytes] = set()
        self._sums = self._opened = self._word = self._dropped = 0

    def take(self, line: r.Line, raw: bytes) -> None:
        """Check one line. Raises: whatever is wrong with it."""
        if line.previous != self._head:
            raise IntegrityError("the chain breaks here: a line before it was changed, dropped, doubled or swapped")
        if self._closed or (self._held is None) != isinstance(line.entry, r.Began):
            raise IntegrityError("expected one first line, one last line, and the others between them")
        takers: dict[type, Callable[[Any], None]] = {
            r.Began: self._began, r.Keyed: self._keyed, r.Seated: self._seated, r.Holding: self._holding,
            r.Asked: self._ask, r.Uploaded: self._upload, r.Summed: self._sum, r.Answered: self._answer,
            r.Opened: self._open, r.Volunteered: self._volunteer, r.Dropped: self._drop, r.Named: self._named,
            r.Closed: self._close,
        }  # fmt: skip
        takers[type(line.entry)](line.entry)
        self._head = hashlib.sha256(raw).digest()
        self._count += 1

    @property
    def _scheme(self) -> BFVScheme:
        assert self._held is not None
        return self._held.scheme

    def _public(self) -> PublicKey:
        if self._key is None:
            raise IntegrityError("expected the class's key before this line, found none")
        return self._key

    def _began(self, entry: r.Began) -> None:
        least = smallest_cohort(entry.held.quorum)
        if entry.min_cohort < least:
            raise IntegrityError(f"smallest cohort: expected {least} or more, found {entry.min_cohort}")
        self._held, self._cohort = entry.held, entry.min_cohort

    def _keyed(self, entry: r.Keyed) -> None:
        if self._key is not None or self._held is None or entry.key.quorum != self._held.quorum:
            raise IntegrityError("expected one key, held as the first line says, found another")
        seal.check_public_key(self._scheme.preset, entry.key)
        self._key = entry.key

    def _seated(self, entry: r.Seated) -> None:
        if entry.seat in self._seats:
            raise IntegrityError(f"seat {entry.seat}: taken twice")
        self._seats[entry.seat] = entry

    def _holding(self, entry: r.Holding) -> None:
        if len(set(entry.seats)) != len(entry.seats) or not set(entry.seats) <= set(self._seats):
            raise IntegrityError(f"holders: expected different seats of the class, found {entry.seats}")

    def _ask(self, entry: r.Asked) -> None:
        if entry.id in self._asked or entry.label.blocks or entry.label.key_id != self._public().id:
            raise IntegrityError(f"question {entry.id}: asked twice, or under another key")
        self._asked[entry.id] = _Asked(entry, {})

    def _under_way(self, number: int) -> _Asked:
        found = self._asked.get(number)
        if found is None or found.done:
            raise IntegrityError(f"question {number}: expected it to be open, found none or one that is over")
        return found

    def _upload(self, entry: r.Uploaded) -> None:
        found = self._under_way(entry.id)
        if entry.seat not in self._seats or entry.seat in found.running or found.total is not None:
            raise IntegrityError(f"upload of seat {entry.seat}: no seat, its second, or after the sum")
        label = found.asked.label
        vector = bridge.upload(
            entry.body, self._public(), self._scheme.preset, length=label.length, integers=label.integers,
            tagged=label.tagged, bound=label.bound or 1.0, max_terms=label.max_terms,
        )  # fmt: skip
        (mask,) = self._scheme.mask_digests(vector)
        if mask in self._masks:
            raise IntegrityError(f"upload of seat {entry.seat}: its c1 was in the class before; a copy is no ballot")
        self._masks.add(mask)
        found.running[entry.seat] = vector

    def _sum(self, entry: r.Summed) -> None:
        found = self._under_way(entry.id)
        if (
            found.total is not None
            or len(set(entry.seats)) != len(entry.seats)
            or not set(entry.seats) <= set(found.running)
        ):
            raise IntegrityError(f"sum {entry.id}: expected one, of uploads that are on record, each once")
        if len(entry.seats) < self._cohort:
            raise IntegrityError(
                f"sum {entry.id}: expected {self._cohort} members or more, found {len(entry.seats)}; a sum of few is nearly "
                "one answer"
            )
        running: Accumulator = self._scheme.accumulator(self._public())
        for seat in entry.seats:
            running.add(found.running[seat])
        if running.total() != entry.total:
            raise IntegrityError(f"sum {entry.id}: adding the {len(entry.seats)} uploads again gives other bytes")
        found.total, found.running = entry.total, {}
        self._sums += 1

    def _answer(self, entry: r.Answered) -> None:
        found = self._under_way(entry.id)
        if found.total is None or any(part.index == entry.index for part in found.parts):
            raise IntegrityError(f"part of holder {entry.index}: before its sum, or its second")
        found.parts = (*found.parts, entry)

    def _open(self, entry: r.Opened) -> None:
        found = self._under_way(entry.id)
        if found.total is None:
            raise IntegrityError(f"opened {entry.id}: before its sum")
        found.done = True
        if not self._public().quorum.collective:
            self._word += 1
            return
        parts = [
            bridge.partial(part.body, self._scheme.preset, found.total, part.index, part.active) for part in found.parts
        ]
        opened = self._scheme.open(self._public(), found.total, parts)
        if (opened.integers, values_to_bytes(opened.values)) != (entry.integers, entry.values):
            raise IntegrityError(f"opened {entry.id}: the holders' parts open to other numbers")
        self._opened += 1

    def _volunteer(self, entry: r.Volunteered) -> None:
        if entry.seat not in self._seats:
            raise IntegrityError(f"volunteer: expected a seat of the class, found {entry.seat}")

    def _drop(self, entry: r.Dropped) -> None:
        self._under_way(entry.id).done = True
        self._dropped += 1

    def _named(self, entry: r.Named) -> None:
        if tuple(seat for seat, _ in entry.names) != tuple(self._seats):
            raise IntegrityError("names: expected one for each seat, found others")

    def _close(self, entry: r.Closed) -> None:
        if entry.count != self._count:
            raise IntegrityError(f"last line: expected {self._count} lines before it, it counts {entry.count}")
        self._closed = True

    def finish(self) -> ClassVerdict:
        """Raises: IntegrityError without a last line."""
        if not self._closed:
            raise IntegrityError(f"line {self._count}: expected a last line at the end; the tail is cut off")
        return ClassVerdict(
            lines=self._count,
            seats=len(self._seats),
            bots=sum(seat.bot for seat in self._seats.values()),
            uploads=len(self._masks),
            sums=self._sums,
            opened=self._opened,
            word=self._word,
            dropped=self._dropped,
        )


def values_to_bytes(values: Any) -> bytes:
    """Opened values as the record has them. Shapes: float64 (d,)."""
    return np.ascontiguousarray(values, dtype="<f8").tobytes()

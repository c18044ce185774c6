"""A party's durable log: accepted and sent messages, in order, written before it answers.

Every event is an envelope in the party's encrypted key store (SQLite, WAL, fsync at each commit). On replay received
messages are checked again; sent messages are made again and must come out with the same signed header. Values that would
come out differently (a trained and noised update, a ciphertext) are made once and kept beside the events. At the end of a
round a checkpoint replaces all of it, so the log never holds more than the open round.

Leaks: nothing that the party did not have; sealed messages stay sealed, private values lie under the store's key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from hefl_core.keys.identity import Identity
from hefl_core.keys.kms.records import keep_identity, kept_identities, recall_identity
from hefl_core.keys.vault.store import KeyStore
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position, SignedHeader

EVENTS: Final = "round-log/events"
MADE: Final = "round-log/made"
STATE: Final = "round-log"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A party's state between two rounds.

    ``position`` and ``plan``: of the last plan it made or followed; ``rounds_done``: the last round that it saw end.
    ``sequence``, ``previous`` and ``unrecorded``: its place in the chain of its own messages (wire/outbox.py).
    ``own``: the state of its role.
    """

    position: Position | None
    rounds_done: int
    state: bytes
    plan: bytes
    sequence: int
    previous: bytes
    unrecorded: tuple[SignedHeader, ...]
    own: bytes


class RoundLog:
    """Append-only within a round; idempotent by the message's digest.

    Raises: RuntimeUnavailable when the store cannot be written (full, locked); IntegrityError when it was changed.
    """

    def __init__(self, store: KeyStore) -> None:
        self.store = store
        self._names = store.list(EVENTS)
        self._next = 1 + max((int(name) for name in self._names), default=0)
        self._known: set[bytes] = set()
        self._unwritten: list[Envelope] = []
        self._replaying = False

    def identity(self, name: str, role: str) -> Identity:
        """The party's keys: made and kept at the first start, recalled at every later one."""
        if name not in kept_identities(self.store):
            keep_identity(self.store, Identity(name, role))
        return recall_identity(self.store, name)

    def append(self, envelope: Envelope) -> None:
        """Write an event; on return it is on disk, and so is every one before it. The same one again changes nothing."""
        # Events of a failed write stay in `_unwritten`: the next call writes them first, so the order on disk holds.
        digest = envelope.header.digest
        if digest not in self._known:
            self._known.add(digest)
            self._unwritten.append(envelope)
        if not self._unwritten:
            return
        with self.store.transaction():
            for number, event in enumerate(self._unwritten, start=self._next):
                self.store.put(EVENTS, f"{number:012d}", event.to_bytes())
        self._next += len(self._unwritten)
        self._unwritten = []

    def once(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What ``make`` gave when it was first called under this name in this round; on return it is on disk."""
        made = self.store.find(MADE, name)
        if made is None:
            made = make()
            self.store.put(MADE, name, made)
        return made

    def made(self, name: str) -> bytes | None:
        """A value of :meth:`once`; None where there is none."""
        return self.store.find(MADE, name)

    def forget_made(self, name: str) -> None:
        """Drop a value of :meth:`once`; on return it is overwritten on disk."""
        self.store.delete(MADE, name)

    def replay(self) -> Iterator[Envelope]:
        """The events since the last checkpoint, in order. Replaying them ends no round."""
        self._replaying = True
        for name in self._names:
            envelope = Envelope.from_bytes(self.store.get(EVENTS, name))
            self._known.add(envelope.header.digest)
            yield envelope
        self._replaying = False

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The state after the last finished round; None before the end of the first."""
        row = self.store.find(STATE, "checkpoint")
        return None if row is None else decode(row, Checkpoint)

    def end_round(self, checkpoint: Checkpoint) -> None:
        """Replace the round's events by the checkpoint, in one transaction."""
        if self._replaying:
            return
        with self.store.transaction():
            for table in (EVENTS, MADE):
                for name in self.store.list(table):
                    self.store.delete(table, name)
            self.store.put(STATE, "checkpoint", encode(checkpoint))
        self._known, self._unwritten = set(), []

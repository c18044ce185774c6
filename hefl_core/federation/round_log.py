"""The coordinator's durable memory: what it accepted and what it said, in order, written down before it answers.

Every event is an envelope in an encrypted key store (SQLite, WAL, fsync at each commit). What the party received is
checked again when it is replayed; what it said is made again and must come out byte for byte the same, as signatures,
sums and active sets are deterministic. When a round is over a checkpoint takes the place of its events, so the log never
holds more than the round under way.

Leaks: nothing that the coordinator did not have; uploads lie in it as they came, sealed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hefl_core.keys.archive import keep_identity, kept_identities, recall_identity
from hefl_core.keys.identity import Identity
from hefl_core.keys.store import KeyStore
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position

EVENTS: Final = "round-log/events"
STATE: Final = "round-log"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What remains of the rounds that are over. ``seen``: digests of ciphertexts and seeds that must not come again."""

    closed: Position
    state: bytes
    previous_plan: bytes
    sequence: int
    previous: bytes
    seen: tuple[bytes, ...]


class RoundLog:
    """Append-only within a round; idempotent by the message's digest.

    Raises: RuntimeUnavailable when the store cannot be written (full, locked); IntegrityError when it was changed.
    """

    def __init__(self, store: KeyStore) -> None:
        self.store = store
        self._names = store.list(EVENTS)
        self._next = 1 + max((int(name) for name in self._names), default=0)
        self._known: set[bytes] = set()

    def identity(self, name: str, role: str) -> Identity:
        """The party's keys: made and kept at the first start, recalled at every later one."""
        if name not in kept_identities(self.store):
            keep_identity(self.store, Identity(name, role))
        return recall_identity(self.store, name)

    def append(self, envelope: Envelope) -> None:
        """Write an event; on return it is on disk. The same one again changes nothing."""
        digest = envelope.header.digest
        if digest in self._known:
            return
        self.store.put(EVENTS, f"{self._next:012d}", envelope.to_bytes())
        self._next += 1
        self._known.add(digest)

    def replay(self) -> Iterator[Envelope]:
        """The events since the last checkpoint, in order."""
        for name in self._names:
            envelope = Envelope.from_bytes(self.store.get(EVENTS, name))
            self._known.add(envelope.header.digest)
            yield envelope

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Where the last finished round left the party; None before the end of the first."""
        row = self.store.find(STATE, "checkpoint")
        return None if row is None else decode(row, Checkpoint)

    def end_round(self, checkpoint: Checkpoint) -> None:
        """Replace the round's events by what remains of it, in one transaction."""
        with self.store.transaction():
            for name in self.store.list(EVENTS):
                self.store.delete(EVENTS, name)
            self.store.put(STATE, "checkpoint", encode(checkpoint))
        self._known = set()

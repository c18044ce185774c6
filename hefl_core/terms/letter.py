"""A message ready for the post, with its cost."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from hefl_core.wire.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Work:
    """The cost of one step. Units: seconds of wall clock, seconds of process CPU."""

    step: str
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Spent:
    """The sender's cost of one message of this kind."""

    kind: str
    work: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message ready for the post, with its cost if the sender is keyless; a client's costs stay with the client.

    Between processes a large body travels beside its letter; ``reference`` then stands for the bytes.
    """

    envelope: Envelope
    work: tuple[Work, ...]
    nbytes: int
    body_digest: bytes
    reference: object = None

    @classmethod
    def of(cls, envelope: Envelope, work: Sequence[Work] = (), *, own: bool = False) -> Letter:
        """Weigh and label an envelope. ``own``: its caller made it, and knows the digest of a body in the open."""
        known = own and not envelope.header.sealed
        digest = envelope.header.content_digest if known else hashlib.sha256(envelope.body).digest()
        return cls(envelope, tuple(work), envelope.nbytes, digest)

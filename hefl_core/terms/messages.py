"""The messages of a round. Each is the content of one signed envelope.

Kinds, in the order of a round: plan, commitment, commitments, [acknowledgement], update, sum, confirmation, [ready, request,
partial], receipt; those in brackets under collective custody only. An objection in place of a sum ends the attempt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hefl_core.errors import RoundError
from hefl_core.ids import digest
from hefl_core.schemes.base import CiphertextVector
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import SignedHeader

PLAN, COMMITMENT, COMMITMENTS = "plan", "commitment", "commitments"
UPDATE, SUM, CONFIRMATION = "update", "sum", "confirmation"
ACKNOWLEDGEMENT, OBJECTION = "acknowledgement", "objection"
READY, REQUEST, PARTIAL, RECEIPT = "ready", "request", "partial", "receipt"
MAX_ATTEMPTS: Final = 3
"""A round that does not end in so many attempts is given up: witnesses accept no further plan."""


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """The coordinator's terms for the cohort. ``bound`` None: adaptive, known to the clients only.

    ``previous``: header digest of the plan before. ``theta_0``: float32 little-endian bytes, in round 1 only.
    Leaks: nothing of the clients; the coordinator wrote all of it.
    """

    epoch_record: bytes
    previous: bytes
    cohort: tuple[str, ...]
    min_cohort: int
    bound: float | None
    max_terms: int
    examples_max: int
    length: int
    theta_0: bytes | None


@dataclass(frozen=True, slots=True)
class Commitment:
    """SHA-256 and size of the ciphertext that this client will upload.

    ``spares``: under collective custody, SHA-256 of what it will upload in each later attempt of this round: the same
    update, encrypted afresh. A client that has seen the others' uploads of one attempt can choose nothing for the next.
    Leaks: participation, size and time; the ciphertext itself stays with the client for now.
    """

    ciphertext_digest: bytes
    nbytes: int
    spares: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CommitmentList:
    """The commitments that arrived in time, in the cohort's order: every listed client must be in the sum."""

    listed: tuple[SignedHeader, ...]
    commitments: tuple[Commitment, ...]

    @property
    def digest(self) -> bytes:
        """Every upload's header names this digest, so that no client chooses a ciphertext after seeing the others'."""
        return digest(*(encode(item) for item in self.listed))

    @property
    def senders(self) -> tuple[str, ...]:
        """The listed clients."""
        return senders(self.listed)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The auditor's statement that it has the list with this header, before any upload (collective custody).

    Without it a coordinator could show a client a list of its own, and have an accomplice commit after seeing the upload.
    """

    listed: bytes


@dataclass(frozen=True, slots=True)
class Objection:
    """The auditor's statement that it lacks updates of the list with this header: not received, or not readable.

    Without it an update that only the coordinator can read would be a member of the round's first sum, and no sum of these
    members could be confirmed. Leaks: participation.
    """

    listed: bytes
    lacking: tuple[str, ...]


LACKED: Final = "the auditor has none that it can read"
"""These words in a note stand for the auditor's objection, whoever is the note's author."""


def lacking(client: str) -> RoundError:
    """What a note says of a client that the auditor's objection names."""
    return RoundError(f"update of {client}: {LACKED}; it is in no sum")


@dataclass(frozen=True, slots=True)
class EncryptedSum:
    """⊞ of the uploads, and the signed header of each upload (no payloads).

    Leaks: the contributors, to the clients; the sum, only to a party that can decrypt.
    """

    total: CiphertextVector
    updates: tuple[SignedHeader, ...]

    @property
    def members(self) -> tuple[str, ...]:
        """The clients whose updates are in it."""
        return senders(self.updates)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The auditor's statement: the same updates, added again without a key, gave the same bytes block by block."""

    plan: bytes
    updates: tuple[bytes, ...]
    blocks: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """A holder's statement that it has this confirmed sum and would answer. The active set is chosen from these only.

    A holder that died before costs nothing; one that dies later costs an attempt.
    """

    sum: bytes
    confirmation: bytes


@dataclass(frozen=True, slots=True)
class DecryptionRequest:
    """Names the active set A, once: only these holders answer, and only for this sum."""

    active: tuple[str, ...]
    sum: bytes
    confirmation: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """A client's statement that it checked, decrypted and applied this sum. Carries no number that depends on data."""

    sum: bytes
    state: bytes


@lru_cache(maxsize=1)
def read_sum(body: bytes) -> EncryptedSum:
    """Decode a sum's body; the parties of one process decode the newest one once between them. Raises: WireError."""
    return decode(body, EncryptedSum)


@lru_cache(maxsize=1)
def block_digests(body: bytes) -> tuple[bytes, ...]:
    """SHA-256 of each block of a sum, as :func:`read_sum`. Raises: WireError."""
    return tuple(hashlib.sha256(block).digest() for block in read_sum(body).total.blocks)


@lru_cache(maxsize=1)
def sum_digest(body: bytes) -> bytes:
    """The digest of a sum's ciphertext that a part names, as :func:`read_sum`. Raises: WireError."""
    return digest(read_sum(body).total.to_bytes())


def senders(headers: Sequence[SignedHeader]) -> tuple[str, ...]:
    """The signers of these headers, in order."""
    return tuple(item.header.sender for item in headers)


def next_state(state: bytes, plan: bytes, updates: tuple[bytes, ...], total: bytes) -> bytes:
    """State digest after a round: public data only, never a function of the model."""
    return digest(state, plan, *updates, total)

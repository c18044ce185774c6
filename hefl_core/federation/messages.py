"""What the parties say to each other in a round. Each message is the content of one signed envelope.

Kinds, in the order of a round: plan, commitment, commitments, update, sum, confirmation, [ready, request, partial], receipt;
those in brackets under collective custody only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hefl_core.ids import digest
from hefl_core.schemes.base import CiphertextVector
from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import SignedHeader

PLAN, COMMITMENT, COMMITMENTS = "plan", "commitment", "commitments"
UPDATE, SUM, CONFIRMATION = "update", "sum", "confirmation"
READY, REQUEST, PARTIAL, RECEIPT = "ready", "request", "partial", "receipt"
MAX_ATTEMPTS: Final = 3
"""A round that does not end in so many attempts is given up: witnesses follow no further one."""


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """What the coordinator asks of the cohort. ``bound`` None: adaptive, known to the clients only.

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

    Leaks: participation, size and time; the ciphertext itself stays at home for now.
    """

    ciphertext_digest: bytes
    nbytes: int


@dataclass(frozen=True, slots=True)
class CommitmentList:
    """The commitments that arrived in time, in the cohort's order: who is listed must be in the sum."""

    listed: tuple[SignedHeader, ...]
    commitments: tuple[Commitment, ...]

    @property
    def digest(self) -> bytes:
        """What every upload's header names, so that nobody chooses a ciphertext after seeing the others'."""
        return digest(*(encode(item) for item in self.listed))

    @property
    def senders(self) -> tuple[str, ...]:
        """The listed clients."""
        return tuple(item.header.sender for item in self.listed)


@dataclass(frozen=True, slots=True)
class EncryptedSum:
    """⊞ of the uploads, and the signed header of each upload (no payloads).

    Leaks: to the clients, who contributed; the sum only to whoever can decrypt.
    """

    total: CiphertextVector
    updates: tuple[SignedHeader, ...]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The auditor's word: the same updates, added again without a key, gave the same bytes block by block."""

    plan: bytes
    updates: tuple[bytes, ...]
    blocks: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """A holder's word that it has this confirmed sum and would answer: the active set is named among those only.

    Whoever died before costs nothing then; a holder that dies later costs an attempt.
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
    """A client's word that it checked, decrypted and applied this sum. Carries no number that depends on data."""

    sum: bytes
    state: bytes


def next_state(state: bytes, plan: bytes, updates: tuple[bytes, ...], total: bytes) -> bytes:
    """State digest after a round: public data only, never a function of the model."""
    return digest(state, plan, *updates, total)

"""Key epochs: each record names the one before it, which rules out a rollback to an older key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Final

from hefl_core.errors import KeyNotActive, ParameterError, RoundError
from hefl_core.ids import KMS, digest
from hefl_core.keys.audit import AuditEntry
from hefl_core.keys.ceremony_result import Approvals
from hefl_core.schemes.base import PublicKey
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import load_preset
from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import NO_DIGEST

DEALER_FREE: Final = "dealer-free"
DIGEST_BYTES: Final = 32


def public_key_digest(key: PublicKey) -> bytes:
    """SHA-256 of the canonical public key: what the epoch record names."""
    return hashlib.sha256(key.to_bytes()).digest()


def fingerprint(key: PublicKey) -> str:
    """The fingerprint that a key's id must carry. It binds the preset's numbers, the quorum and the key."""
    return digest(preset_digest(key.id.preset), encode(key.quorum), key.material).hex()


def preset_digest(name: str) -> bytes:
    """SHA-256 of a preset's numbers as this version of the package has them."""
    return load_preset(name).digest


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What the KMS signs about one key. ``previous`` is the digest of the record before it (empty in the first).

    ``dealer``: the party that knew the whole key for a moment, 'kms', or none ('dealer-free').
    ``max_decryptions``: how many ciphertexts a holder answers in this epoch; each block of a sum is one.
    Raises: ParameterError for values that contradict each other.
    """

    experiment: str
    epoch: int
    previous: bytes
    preset: str
    preset_digest: bytes
    public_key_digest: bytes
    quorum: Quorum
    dealer: str
    roster_digest: bytes
    first_round: int
    last_round: int
    max_decryptions: int

    def __post_init__(self) -> None:
        if self.epoch < 1 or not 1 <= self.first_round <= self.last_round or self.max_decryptions < 1:
            raise ParameterError(
                f"epoch record: expected epoch ≥ 1, 1 ≤ first ≤ last round and max_decryptions ≥ 1, "
                f"found epoch {self.epoch}, rounds {self.first_round} to {self.last_round}, "
                f"{self.max_decryptions} decryptions"
            )
        if self.dealer not in (KMS, DEALER_FREE):
            raise ParameterError(
                f"epoch record: expected dealer '{KMS}' or '{DEALER_FREE}', found {self.dealer[:40]!r}"
            )
        lengths = {len(self.preset_digest), len(self.public_key_digest), len(self.roster_digest)}
        if lengths != {DIGEST_BYTES} or len(self.previous) not in (0, DIGEST_BYTES):
            raise ParameterError(f"epoch record: expected digests of {DIGEST_BYTES} bytes, found {sorted(lengths)}")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical record."""
        return digest(b"hefl/epoch-record", encode(self))


@dataclass(frozen=True, slots=True)
class EpochAnnouncement:
    """The announcement of a new epoch to all members: record, key, the records before it, the audit log so far.

    ``approvals``: every client's signature under a key that was made without a dealer.
    Leaks: it is public.
    """

    record: EpochRecord
    public_key: PublicKey
    history: tuple[EpochRecord, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    approvals: Approvals | None = None


class EpochState(Enum):
    """The life of a key. Encrypting needs ACTIVE; decrypting ACTIVE or DECRYPT_ONLY; at most one epoch is ACTIVE."""

    PENDING = "pending"
    ACTIVE = "active"
    DECRYPT_ONLY = "decrypt-only"
    DESTROYED = "destroyed"


class EpochLedger:
    """The records that one party has accepted: epochs only go up, each record follows the one before.

    The newest record is active; the one before stays good for decrypting until it is destroyed.
    """

    def __init__(self, experiment: str) -> None:
        self.experiment = experiment
        self._records: dict[int, EpochRecord] = {}
        self._destroyed: set[int] = set()

    def copy(self) -> EpochLedger:
        """A copy on which a change can be tried."""
        other = EpochLedger(self.experiment)
        other._records, other._destroyed = dict(self._records), set(self._destroyed)
        return other

    @property
    def highest(self) -> int:
        """The newest epoch accepted, 0 when there is none."""
        return max(self._records, default=0)

    @property
    def newest(self) -> EpochRecord | None:
        """The newest record."""
        return self._records.get(self.highest)

    @property
    def records(self) -> tuple[EpochRecord, ...]:
        """All records, oldest first."""
        return tuple(self._records[epoch] for epoch in sorted(self._records))

    def accept(self, record: EpochRecord) -> None:
        """Move on to a new epoch; the same record again changes nothing.

        Raises: KeyNotActive for a lower epoch; RoundError for another experiment, a second record of one epoch, a
            ``previous`` that is not the newest record's digest, or rounds that do not go on.
        """
        if record.experiment != self.experiment:
            raise RoundError(
                f"epoch {record.epoch}: expected experiment {self.experiment[:16]}, found {record.experiment[:16]}"
            )
        known = self._records.get(record.epoch)
        if known == record:
            return
        if known is not None:
            raise RoundError(
                f"epoch {record.epoch}: expected record {known.digest.hex()[:16]}, found {record.digest.hex()[:16]}; "
                "the KMS signed two records for one epoch: stop and ask it by another way"
            )
        if record.epoch < self.highest:
            raise KeyNotActive(
                f"epoch {record.epoch}: expected one after {self.highest}; a rollback to an older key is refused"
            )
        newest = self.newest
        expected = newest.digest if newest else NO_DIGEST
        if record.previous != expected:
            raise RoundError(
                f"epoch {record.epoch}: expected it to follow {expected.hex()[:16] or 'nothing'}, "
                f"found {record.previous.hex()[:16] or 'nothing'}; ask the KMS for the records in between"
            )
        if newest and record.first_round < newest.first_round:
            raise RoundError(
                f"epoch {record.epoch}: expected a first round from {newest.first_round}, found {record.first_round}"
            )
        self._records[record.epoch] = record

    def record(self, epoch: int) -> EpochRecord:
        """The accepted record of this epoch. Raises: KeyNotActive when there is none."""
        found = self._records.get(epoch)
        if found is None:
            raise KeyNotActive(f"epoch {epoch}: no record was accepted; expected one up to {self.highest}, ask the KMS")
        return found

    def state(self, epoch: int) -> EpochState:
        """This epoch's state. Raises: KeyNotActive when no record was accepted."""
        self.record(epoch)
        if epoch in self._destroyed:
            return EpochState.DESTROYED
        return EpochState.ACTIVE if epoch == self.highest else EpochState.DECRYPT_ONLY

    def destroy(self, epoch: int) -> None:
        """Note that the share of this epoch is gone. Raises: KeyNotActive when no record was accepted."""
        self.record(epoch)
        self._destroyed.add(epoch)

    def require_encrypt(self, epoch: int, round: int) -> EpochRecord:
        """The record, if it may encrypt in this round. Raises: KeyNotActive."""
        record, state = self.record(epoch), self.state(epoch)
        if state is not EpochState.ACTIVE:
            raise KeyNotActive(
                f"epoch {epoch} is {state.value}: expected the active epoch {self.highest} to encrypt under"
            )
        return self._within(record, round)

    def require_decrypt(self, epoch: int, round: int) -> EpochRecord:
        """The record, if it may decrypt a sum of this round. Raises: KeyNotActive."""
        record, state = self.record(epoch), self.state(epoch)
        if state is EpochState.DESTROYED:
            raise KeyNotActive(f"epoch {epoch} is destroyed: nothing of it can be decrypted any more")
        return self._within(record, round)

    @staticmethod
    def _within(record: EpochRecord, round: int) -> EpochRecord:
        if not record.first_round <= round <= record.last_round:
            raise KeyNotActive(
                f"epoch {record.epoch} serves rounds {record.first_round} to {record.last_round}, "
                f"found round {round}; rotate"
            )
        return record

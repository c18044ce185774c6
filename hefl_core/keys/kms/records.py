"""The KMS's state as rows of its key store: only this file knows their names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from hefl_core.errors import KeyNotActive, KeyUseError
from hefl_core.ids import KMS
from hefl_core.keys.audit import AuditEntry, AuditLog
from hefl_core.keys.custody import Custody
from hefl_core.keys.epochs import EpochRecord, EpochState
from hefl_core.keys.identity import Identity
from hefl_core.keys.prekeys import Prekey
from hefl_core.keys.roster import Member, Roster
from hefl_core.keys.vault.store import KeyStore
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import NO_DIGEST, Envelope, SignedHeader

TABLE: Final = "kms"
AUDIT: Final = "kms/audit"
EPOCHS: Final = "kms/epochs"
MESSAGES: Final = "kms/messages"
PREKEYS: Final = "kms/prekeys"
UNSENT: Final = "kms/unsent"
IDENTITIES: Final = "identities"


def keep_identity(store: KeyStore, identity: Identity) -> None:
    """Put a party's private keys into an encrypted store. Raises: KeyUseError when the name is taken there."""
    with store.transaction():
        if store.find(IDENTITIES, identity.name) is not None:
            raise KeyUseError(f"key store: {identity.name} has keys in it already; recall them, or choose another name")
        store.put(IDENTITIES, identity.name, identity._export())


def recall_identity(store: KeyStore, name: str) -> Identity:
    """Read :func:`keep_identity` back. Raises: KeyUseError when there is none."""
    return Identity._import(store.get(IDENTITIES, name))


def kept_identities(store: KeyStore) -> tuple[str, ...]:
    """Names of the identities in a store."""
    return store.list(IDENTITIES)


@dataclass(frozen=True, slots=True)
class Settings:
    """The fixed settings of a KMS. ``sum_blocks``: ciphertexts of one sum, public like the model's size."""

    experiment: str
    preset: str
    custody: Custody
    sum_blocks: int = 1


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A member, and whether it is left out from the next epoch on."""

    member: Member
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class KeyEpoch:
    """One epoch at the KMS. ``record`` is None while a dealer-free ceremony has not registered its key.

    ``announced``: whether it ever was active, so that parties may know it.
    """

    epoch: int
    state: EpochState
    roster: Roster
    first_round: int
    last_round: int
    record: EpochRecord | None = None
    announced: bool = False


class Archive:
    """Typed access to the KMS's rows. Nothing is cached: every read returns what a restart would find."""

    def __init__(self, store: KeyStore) -> None:
        self.store = store

    def settings(self) -> Settings | None:
        """The settings of this store, None when it is new."""
        row = self.store.find(TABLE, "settings")
        return None if row is None else decode(row, Settings)

    def create(self, settings: Settings) -> None:
        """Set up a new store, with a new identity unless one was put there beforehand."""
        with self.store.transaction():
            self.store.put(TABLE, "settings", encode(settings))
            if KMS not in kept_identities(self.store):
                keep_identity(self.store, Identity(KMS, KMS))
            self.store.put(TABLE, "members", encode(()))
            self.set_outbox(0, NO_DIGEST)

    def identity(self) -> Identity:
        """The KMS's own keys."""
        return recall_identity(self.store, KMS)

    def outbox(self) -> tuple[int, bytes]:
        """Number of the next message, digest of the one before."""
        return decode(self.store.get(TABLE, "outbox"), tuple[int, bytes])

    def set_outbox(self, sequence: int, previous: bytes) -> None:
        """Note the place after the message sent last."""
        self.store.put(TABLE, "outbox", encode((sequence, previous)))

    def members(self) -> tuple[Enrolled, ...]:
        """Everybody ever enrolled, in order."""
        return decode(self.store.get(TABLE, "members"), tuple[Enrolled, ...])

    def set_members(self, members: tuple[Enrolled, ...]) -> None:
        """Replace the list."""
        self.store.put(TABLE, "members", encode(members))

    def audit(self) -> AuditLog:
        """The whole log."""
        rows = (self.store.get(AUDIT, name) for name in self.store.list(AUDIT))
        return AuditLog([decode(row, AuditEntry) for row in rows])

    def last_audit(self) -> AuditEntry | None:
        """The newest entry."""
        names = self.store.list(AUDIT)
        return decode(self.store.get(AUDIT, names[-1]), AuditEntry) if names else None

    def add_audit(self, entry: AuditEntry) -> None:
        """Keep one more entry."""
        self.store.put(AUDIT, f"{entry.sequence:08d}", encode(entry))

    def epochs(self) -> tuple[KeyEpoch, ...]:
        """All epochs, oldest first."""
        rows = (self.store.get(EPOCHS, name) for name in self.store.list(EPOCHS))
        return tuple(decode(row, KeyEpoch) for row in rows)

    def epoch(self, number: int) -> KeyEpoch:
        """One epoch. Raises: KeyNotActive when it never was."""
        row = self.store.find(EPOCHS, f"{number:08d}")
        if row is None:
            raise KeyNotActive(f"epoch {number}: the KMS never opened it; ask for the active one")
        return decode(row, KeyEpoch)

    def put_epoch(self, epoch: KeyEpoch) -> None:
        """Write or replace an epoch."""
        self.store.put(EPOCHS, f"{epoch.epoch:08d}", encode(epoch))

    def move(self, epoch: KeyEpoch, state: EpochState) -> KeyEpoch:
        """Write an epoch's new state."""
        moved = replace(epoch, state=state)
        self.put_epoch(moved)
        return moved

    def message(self, epoch: int, name: str) -> Envelope | None:
        """A message of an epoch, None when it was never made or is deleted."""
        row = self.store.find(MESSAGES, f"{epoch:08d}/{name}")
        return None if row is None else Envelope.from_bytes(row)

    def put_message(self, epoch: int, name: str, envelope: Envelope) -> None:
        """Keep a message, so that asking again brings the same bytes."""
        self.store.put(MESSAGES, f"{epoch:08d}/{name}", envelope.to_bytes())

    def deposited(self) -> tuple[tuple[int, str], ...]:
        """Epoch and client of every deposited sealing key that is not used up."""
        places = (name.partition("/") for name in self.store.list(PREKEYS))
        return tuple((int(epoch), client) for epoch, _, client in places)

    def prekeys(self, epoch: int | None = None) -> dict[tuple[int, str], Prekey]:
        """The deposited sealing keys (of one epoch), by epoch and client."""
        places = [place for place in self.deposited() if epoch is None or place[0] == epoch]
        return {(n, name): decode(self.store.get(PREKEYS, f"{n:08d}/{name}"), Prekey) for n, name in places}

    def put_prekey(self, prekey: Prekey) -> None:
        """Keep a deposited sealing key."""
        self.store.put(PREKEYS, f"{prekey.epoch:08d}/{prekey.client}", encode(prekey))

    def drop_prekeys(self, epoch: int) -> None:
        """Delete the sealing keys of the epochs up to this one: each is used once."""
        for name in self.store.list(PREKEYS):
            if int(name.partition("/")[0]) <= epoch:
                self.store.delete(PREKEYS, name)

    def keep_headers(self, epoch: int) -> None:
        """Keep the signed headers of an abandoned epoch: its messages took numbers in the chain but may never be sent."""
        for name in self.store.list(MESSAGES):
            if name.startswith(f"{epoch:08d}/"):
                signed = Envelope.from_bytes(self.store.get(MESSAGES, name)).signed_header
                self.store.put(UNSENT, f"{signed.header.sequence:012d}", encode(signed))

    def unsent(self, after: int) -> tuple[SignedHeader, ...]:
        """The headers of abandoned epochs past this number, in order."""
        rows = (self.store.get(UNSENT, name) for name in self.store.list(UNSENT) if int(name) > after)
        return tuple(decode(row, SignedHeader) for row in rows)

    def delete_messages(self, epoch: int, prefix: str) -> None:
        """Delete an epoch's messages whose names begin with ``prefix``."""
        for name in self.store.list(MESSAGES):
            if name.startswith(f"{epoch:08d}/{prefix}"):
                self.store.delete(MESSAGES, name)

"""What one party accepts from the KMS: roster, epoch record, public key and, for clients, share, tag and sealing keys.

All trust rests on one pinned key, the KMS's: it signs the roster, the roster names all other keys. The relaying coordinator
can withhold these messages; it cannot change one, nor roll a party back to an older epoch. Where members were agreed on
beforehand (a kit), the KMS cannot name others either.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Final

from hefl_core.errors import (
    IntegrityError,
    KeyMismatch,
    KeyNotActive,
    KeyUseError,
    RoundError,
    SecretKeyEscape,
    WireError,
)
from hefl_core.ids import KMS
from hefl_core.keys.audit import AuditLog
from hefl_core.keys.custody import Custody, ShareHolder
from hefl_core.keys.decryption_policy import Question
from hefl_core.keys.epochs import (
    DEALER_FREE,
    EpochAnnouncement,
    EpochLedger,
    EpochRecord,
    fingerprint,
    preset_digest,
    public_key_digest,
)
from hefl_core.keys.identity import Identity, Reader, SealingKey
from hefl_core.keys.prekeys import AHEAD, Prekey, Prekeys
from hefl_core.keys.roster import CLIENT, Member, Roster, RosterPin
from hefl_core.keys.sealing import open_envelope, share_info, unpack_share
from hefl_core.keys.secret import Hidden
from hefl_core.keys.sum_tag import TagKey
from hefl_core.keys.vault.store import KeyStore
from hefl_core.schemes.base import PartialDecryption, PublicKey, Scheme, SecretShare
from hefl_core.schemes.registry import load_preset
from hefl_core.wire.canonical import decode
from hefl_core.wire.envelope import NO_DIGEST, Envelope
from hefl_core.wire.limits import MAX_MESSAGE_BYTES

KINDS: Final = ("roster", "epoch", "share")
"""In the order in which they are taken."""


class Enrolment(Hidden):
    """The messages that one party has accepted from the KMS. ``kms_signing_key`` is the pinned root; ``pin`` also pins a roster.
    ``members``: the only parties that a roster may list, auditor and coordinator included (empty: anybody).

    Messages are taken in the order roster, epoch, share. A refused message and a repeated one change nothing. The
    properties describe the newest epoch.

    ``custody``: what the experiment agreed on; a record with another threshold or dealer is refused then.
    With a ``store`` a restarted party resumes: the accepted messages are kept and taken again, with all their checks. A
    dealt share is stored sealed, as it arrived, beside the key that opens it.
    """

    def __init__(
        self,
        identity: Identity,
        experiment: str,
        kms_signing_key: bytes,
        *,
        pin: RosterPin | None = None,
        custody: Custody | None = None,
        members: Sequence[Member] = (),
        store: KeyStore | None = None,
    ) -> None:
        self.identity = identity
        self.experiment = experiment
        self.ledger = EpochLedger(experiment)
        self.holder = ShareHolder(identity.name, store)
        self._prekeys = Prekeys(identity, experiment, store) if identity.role == CLIENT else None
        self._root = kms_signing_key
        self._pin = pin
        self._custody = custody
        self._members = tuple(members)
        self._rosters: dict[int, Roster] = {}
        self._keys: dict[int, PublicKey] = {}
        self._audit_seen = (0, NO_DIGEST)
        self._store = store
        self._resume()

    def _label(self) -> str:
        return f"{self.identity.name}, epoch {self.ledger.highest}"

    # -- what is accepted ---------------------------------------------------------------------------------------

    @property
    def roster(self) -> Roster:
        """The members of the newest epoch. Raises: RoundError before a roster arrived."""
        if not self._rosters:
            raise RoundError(f"{self.identity.name}: expected a roster from the KMS, found none; enrol first")
        return self._rosters.get(self.ledger.highest) or self._rosters[max(self._rosters)]

    @property
    def record(self) -> EpochRecord:
        """The newest epoch record. Raises: KeyNotActive before one arrived."""
        return self.ledger.record(self.ledger.highest)

    @property
    def public_key(self) -> PublicKey:
        """The newest epoch's public key. Raises: KeyNotActive before one arrived."""
        return self.public_key_of(self.record.epoch)

    @property
    def share(self) -> SecretShare:
        """This client's share of the newest epoch's key. Raises: KeyNotActive where there is none."""
        return self.holder.share(self.record.epoch)

    @property
    def tag_key(self) -> TagKey:
        """The newest epoch's tag key. Raises: KeyNotActive where there is none."""
        return self.tag_key_of(self.record.epoch)

    @property
    def awaits_key(self) -> bool:
        """Whether a roster arrived without its key, which is still being made."""
        return self.newest_roster > self.ledger.highest

    @property
    def newest_roster(self) -> int:
        """The epoch of the newest roster; 0 before the first."""
        return max(self._rosters, default=0)

    @property
    def audit_head(self) -> bytes:
        """Digest of the last entry of the KMS's audit log that this party has seen."""
        return self._audit_seen[1]

    def roster_of(self, epoch: int) -> Roster:
        """The roster of an epoch, also while its key is still being made. Raises: RoundError when none arrived."""
        if epoch not in self._rosters:
            raise RoundError(f"{self.identity.name}: no roster of epoch {epoch}; ask the KMS for it")
        return self._rosters[epoch]

    def public_key_of(self, epoch: int) -> PublicKey:
        """An accepted epoch's public key. Raises: KeyNotActive where there is none."""
        if epoch not in self._keys:
            raise KeyNotActive(
                f"{self.identity.name}: no key of epoch {epoch}; expected one up to {self.ledger.highest}"
            )
        return self._keys[epoch]

    def tag_key_of(self, epoch: int) -> TagKey:
        """An accepted epoch's tag key. Raises: KeyNotActive when it did not arrive, or is destroyed."""
        self.ledger.record(epoch)
        return self.holder.tag_key(epoch)

    def sealing_keys(self, first: int) -> tuple[Prekey, ...]:
        """This client's public sealing keys for the epochs from ``first`` on (keys/prekeys.py), for the KMS.

        Raises: SecretKeyEscape for another role; KeyNotActive for a destroyed epoch; KeyUseError for too many.
        """
        if self._prekeys is None:
            raise SecretKeyEscape(
                f"{self.identity.name}: a {self.identity.role} is sealed to with the key that it enrolled"
            )
        newest = max(self.newest_roster, self.ledger.highest)
        if first > newest + AHEAD:
            raise KeyUseError(f"sealing key: expected an epoch up to {newest + AHEAD}, found {first}; it is far ahead")
        return self._prekeys.offer(first)

    def reader(self, epoch: int) -> Reader:
        """The key that opens messages sealed to this party in an epoch. Raises: KeyNotActive when a client's is destroyed."""
        return self.identity if self._prekeys is None else self.sealing_key(epoch)

    def sealing_key(self, epoch: int) -> SealingKey:
        """A client's private key of an epoch. Raises: KeyNotActive where there is none."""
        if self._prekeys is None:
            raise KeyNotActive(f"{self.identity.name}: a {self.identity.role} has no sealing key of an epoch")
        return self._prekeys.key(epoch)

    def destroy(self, epoch: int) -> None:
        """Forget the secrets of an epoch for good: share, tag key, and the key that opened what was sealed in it.

        An epoch that never arrived here is closed too: its sealing key, made ahead, is destroyed as well.
        """
        with nullcontext() if self._store is None else self._store.transaction():
            self.holder.destroy(epoch)
            if self._prekeys is not None:
                self._prekeys.destroy(epoch)
            if self._store is not None:
                self._store.delete(*self._row("share", epoch))
        if epoch in {record.epoch for record in self.ledger.records}:
            self.ledger.destroy(epoch)

    def answer(self, question: Question, scheme: Scheme) -> PartialDecryption:
        """This client's part in decrypting a confirmed sum, by the rules of :meth:`ShareHolder.answer`.

        Raises: KeyNotActive when the epoch does not decrypt (any more); DecryptionRefused naming the rule.
        """
        position = question.position
        record = self.ledger.require_decrypt(position.epoch, position.round)
        return self.holder.answer(question, record=record, roster=self._rosters[record.epoch], scheme=scheme)

    # -- what arrives -------------------------------------------------------------------------------------------

    def receive(self, envelope: Envelope) -> None:
        """Check a message of the KMS and keep its content.

        Raises: WireError for bytes, signature or addressee; IntegrityError for contents that contradict the record or
            rewrite the audit log; KeyNotActive and RoundError for an epoch out of order; KeyMismatch for another key;
            SecretKeyEscape for a share that came to a party that must not hold one.
        """
        header = envelope.header
        take = {"roster": self._take_roster, "epoch": self._take_epoch, "share": self._take_share}.get(header.kind)
        if take is None:
            raise RoundError(f"{header.kind}: expected a roster, epoch or share from the KMS")
        # Before any parsing or opening: a keyless party must never have a share in memory, whoever sent it.
        if header.kind == "share" and self.identity.role != CLIENT:
            raise SecretKeyEscape(
                f"{self.identity.name}: a share was sent to a {self.identity.role}, who must never hold one"
            )
        envelope.check(self._root, experiment=self.experiment, recipient=self.identity.name, limit=MAX_MESSAGE_BYTES)
        if header.sender != KMS or (header.position.round, header.position.attempt) != (0, 1):
            raise RoundError(
                f"{header.kind}: expected the KMS's, for round 0, found {header.sender}'s for {header.position.round}"
            )
        take(envelope)
        if self._store is not None:
            self._store.put(*self._row(header.kind, header.position.epoch), envelope.to_bytes())

    def _row(self, kind: str, epoch: int) -> tuple[str, str]:
        """Table and name of a kept message; the names sort in the order in which the messages were taken."""
        return f"enrolment/{self.identity.name}", f"{epoch:08d}/{KINDS.index(kind)}"

    def _resume(self) -> None:
        if self._store is None:
            return
        table, _ = self._row("roster", 0)
        for name in self._store.list(table):
            self.receive(Envelope.from_bytes(self._store.get(table, name)))
        for record in self.ledger.records:
            if self.holder.is_destroyed(record.epoch):
                self.ledger.destroy(record.epoch)

    def _take_roster(self, envelope: Envelope) -> None:
        if envelope.header.sealed:
            raise WireError("roster: expected it in the open, found it sealed")
        roster = decode(envelope.body, Roster)
        if (roster.experiment, roster.epoch) != (self.experiment, envelope.header.position.epoch):
            raise IntegrityError("roster: the header and the roster name different epochs or experiments; refuse it")
        known = self._rosters.get(roster.epoch)
        if known is not None and known != roster:
            raise RoundError(f"roster of epoch {roster.epoch}: a second, different one; the KMS signed two, ask it")
        if known is None and roster.epoch < max(self._rosters, default=0):
            raise KeyNotActive(f"roster of epoch {roster.epoch}: expected one after {max(self._rosters)}; a rollback")
        # Epoch 0 is no roster's: without a pin only the experiment and the KMS's key are compared.
        (self._pin or RosterPin(self.experiment, self._root, 0, b"")).check(roster)
        if self._members:
            roster.check_members(self._members)
        roster.check_vouchers()
        if roster.member(self.identity.name).lasting != self.identity.member:
            raise IntegrityError(
                f"roster of epoch {roster.epoch}: the keys listed for {self.identity.name} are not mine; "
                "somebody substituted them: refuse to take part"
            )
        self._rosters[roster.epoch] = roster

    def _take_epoch(self, envelope: Envelope) -> None:
        if envelope.header.sealed:
            raise WireError("epoch: expected it in the open, found it sealed")
        announcement = decode(envelope.body, EpochAnnouncement)
        record, key = announcement.record, announcement.public_key
        if record.epoch != envelope.header.position.epoch:
            raise IntegrityError(f"epoch {record.epoch}: the header says {envelope.header.position.epoch}; refuse it")
        self._check_record(record)
        check_key(record, key)
        self._check_dealer(announcement)
        if envelope.header.key_id != str(key.id):
            raise KeyMismatch(f"epoch {record.epoch}: header and key name different keys; refuse it")
        self.holder.check(key.id)
        log = AuditLog(announcement.audit)
        log.verify(self._root, newest_only=True)
        # An epoch accepted before comes again with the log of its day, shorter than the one seen since.
        if self.ledger.highest < record.epoch:
            log.check_extends(*self._audit_seen)
        ledger = self._extended(announcement)
        self.ledger = ledger
        self._keys[record.epoch] = key
        if len(log) > self._audit_seen[0]:
            self._audit_seen = (len(log), log.head)

    def _check_record(self, record: EpochRecord) -> None:
        roster = self._rosters.get(record.epoch)
        if roster is None and record.epoch < self.ledger.highest:
            raise KeyNotActive(f"epoch {record.epoch}: expected one after {self.ledger.highest}; a rollback is refused")
        if roster is None:
            raise RoundError(f"epoch {record.epoch}: expected its roster first; ask the KMS for it")
        if record.roster_digest != roster.digest:
            raise IntegrityError(
                f"epoch {record.epoch}: expected roster {roster.digest.hex()[:16]}, "
                f"found {record.roster_digest.hex()[:16]}"
            )
        cap = getattr(load_preset(record.preset), "max_decryptions", None)
        if cap and record.max_decryptions > cap:
            raise IntegrityError(
                f"epoch {record.epoch}: expected at most {cap} decryptions, as {record.preset}'s flooding allows, found "
                f"{record.max_decryptions}; refuse it"
            )
        if record.quorum.holders != len(roster.clients):
            raise IntegrityError(
                f"epoch {record.epoch}: expected {len(roster.clients)} holders, one per client, found {record.quorum}"
            )

    def _check_dealer(self, announcement: EpochAnnouncement) -> None:
        """Compare with the agreed custody; a key that claims no dealer needs every client's signature."""
        record, approved, agreed = announcement.record, announcement.approvals, self._custody
        found = Custody(record.quorum, record.dealer == DEALER_FREE)
        if agreed is not None and found != agreed.for_clients(record.quorum.holders):
            raise IntegrityError(f"epoch {record.epoch}: expected custody {agreed} as agreed, found {found}; refuse it")
        if (record.dealer == DEALER_FREE) != (approved is not None):
            raise IntegrityError(
                f"epoch {record.epoch}: dealer {record.dealer!r} and its approvals contradict each other"
            )
        if approved is not None:
            approved.check(self._rosters[record.epoch])
            result = approved.result
            if (result.preset, result.quorum, result.public_key_digest) != (
                record.preset,
                record.quorum,
                record.public_key_digest,
            ):
                raise IntegrityError(f"epoch {record.epoch}: the clients approved another key; refuse it")

    def _extended(self, announcement: EpochAnnouncement) -> EpochLedger:
        """The ledger with this record and those before it that this party missed."""
        if announcement.record.epoch < self.ledger.highest:
            self.ledger.accept(announcement.record)
        ledger = self.ledger.copy()  # a history that breaks half way must change nothing
        for record in (*announcement.history, announcement.record):
            ledger.accept(record)
        return ledger

    def _take_share(self, envelope: Envelope) -> None:
        header = envelope.header
        record = self.ledger.record(header.position.epoch)
        key = self.public_key_of(record.epoch)
        index = self._rosters[record.epoch].index(self.identity.name)
        if record.dealer == DEALER_FREE:
            raise IntegrityError(f"share: expected none of epoch {record.epoch}, its clients made the key; refuse it")
        if header.key_id != str(key.id):
            raise KeyMismatch(f"share: expected one of {key.id.short}, found {header.key_id[:80]}; refuse it")
        if not header.sealed:
            raise WireError("share: expected it sealed, found it in the open; the key is burnt, rotate it")
        info = share_info(self.experiment, key.id, record.quorum, index, KMS)
        share, tag_key = unpack_share(open_envelope(self.reader(record.epoch), envelope, info))
        if share.id != key.id:
            raise KeyMismatch(f"share: expected one of {key.id.short}, found one of {share.id.short}; refuse it")
        if (share.index, share.quorum) != (index, record.quorum):
            raise IntegrityError(f"share: expected number {index} of {record.quorum}, found {share!r}; refuse it")
        if tag_key is None:
            raise WireError("share: expected a tag key with it, found none; ask the KMS again")
        self.holder.take(share, tag_key)

    def adopt(self, share: SecretShare, tag_key: TagKey, *, self_tests: int = 0) -> None:
        """Keep the share and tag key that this client made in a ceremony; ``self_tests`` decryptions count against its cap.

        With a store it is written there, encrypted: no other party could supply it again.
        Raises: SecretKeyEscape for another role; KeyMismatch when the KMS registered another key.
        """
        if self.identity.role != CLIENT:
            raise SecretKeyEscape(f"{self.identity.name}: a {self.identity.role} must never hold a share")
        epoch = share.id.epoch
        if epoch in self._keys and self._keys[epoch].id != share.id:
            raise KeyMismatch(f"epoch {epoch}: expected {self._keys[epoch].id.short}, made {share.id.short}; refuse it")
        if not self.has_made(epoch):
            self.holder.adopt(share, tag_key, self_tests)

    def has_made(self, epoch: int) -> bool:
        """Whether this client has a share of an epoch that the KMS has not announced."""
        return epoch > self.ledger.highest and epoch in self.holder.epochs

    def abandon(self, epoch: int) -> None:
        """Forget shares made for epochs before this one and never announced: their ceremony failed."""
        for made in [made for made in self.holder.epochs if self.ledger.highest < made < epoch]:
            self.holder.destroy(made)


def check_key(record: EpochRecord, key: PublicKey) -> None:
    """Check that a public key is the one a record announces, made with the numbers this package has.

    Raises: KeyMismatch for another key; IntegrityError for other parameters.
    """
    if public_key_digest(key) != record.public_key_digest:
        raise KeyMismatch(
            f"epoch {record.epoch}: expected key {record.public_key_digest.hex()[:16]}, "
            f"found {public_key_digest(key).hex()[:16]}; refuse it"
        )
    if (key.id.epoch, key.id.preset, key.quorum) != (record.epoch, record.preset, record.quorum):
        raise KeyMismatch(f"epoch {record.epoch}: record and key {key.id.short} ({key.quorum}) contradict each other")
    if preset_digest(record.preset) != record.preset_digest:
        raise IntegrityError(
            f"epoch {record.epoch}: preset {record.preset} has other numbers here than at the KMS; "
            "install the same version everywhere"
        )
    if fingerprint(key) != key.id.fingerprint:
        raise KeyMismatch(
            f"epoch {record.epoch}: expected a key with fingerprint {fingerprint(key)[:16]}, found {key.id.short}; refuse it"
        )

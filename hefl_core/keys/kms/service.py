"""The key management service: enrols parties, opens key epochs, deals shares, and keeps no key.

The states of an epoch: pending → active → decrypt-only → destroyed. Every step is one transaction of the key store, and
the change from one active epoch to the next is a single one, so a restart at any point finds exactly one active epoch.

The KMS is the dealer: while :meth:`KMS.open_epoch` or :meth:`KMS.rotate` runs it knows the whole key (unless custody is
dealer-free); it keeps the sealed shares only. Python gives no guarantee that freed memory is overwritten.

The KMS seals to a client's key for that epoch, deposited beforehand and signed by the client. A client without a deposited
key is left out of the epoch.

A repeated change changes nothing: its answer may have been lost. Enrolment is the same for the same member, an epoch for the
same rounds with the same clients, an end for the same epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from hefl_core.errors import IntegrityError, KeyNotActive, KeyUseError, ParameterError, QuorumError, RoundError
from hefl_core.ids import AUDITOR, COORDINATOR
from hefl_core.ids import KMS as NAME
from hefl_core.keys.audit import AuditLog
from hefl_core.keys.ceremony_result import APPROVAL_KIND, Approvals, CeremonyResult, approvals
from hefl_core.keys.custody import Custody
from hefl_core.keys.epochs import (
    DEALER_FREE,
    EpochAnnouncement,
    EpochRecord,
    EpochState,
    preset_digest,
    public_key_digest,
)
from hefl_core.keys.identity import check_sealing
from hefl_core.keys.kms.issuer import EPOCH, ROSTER, SHARE, Issuer
from hefl_core.keys.kms.records import Archive, Enrolled, KeyEpoch, Settings
from hefl_core.keys.prekeys import AHEAD, MOST, Prekey
from hefl_core.keys.roster import CLIENT, Member, Roster, check_voucher
from hefl_core.keys.sealing import only_clients
from hefl_core.keys.secret import Hidden
from hefl_core.keys.sum_tag import TagKey
from hefl_core.keys.vault.store import KeyStore
from hefl_core.schemes.base import PublicKey, SecretShare
from hefl_core.schemes.flooding import flooding, wanted_answers
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import NO_DIGEST, Envelope, SignedHeader

MEMBER_ROLES: Final = (COORDINATOR, AUDITOR, CLIENT)


class KMS(Hidden):
    """One experiment's key management service over an encrypted store (in memory unless one is given).

    ``clock`` gives whole seconds since 1970 for the audit log. ``sum_blocks``: ciphertexts of one sum, for the cap on how many
    each holder answers in an epoch (schemes/flooding.py).
    Raises: ParameterError when the store belongs to another experiment, preset or custody.
    """

    name = NAME

    def __init__(
        self,
        experiment: str,
        preset: str,
        custody: Custody,
        *,
        store: KeyStore | None = None,
        clock: Callable[[], float] = time.time,
        sum_blocks: int = 1,
    ) -> None:
        self._archive = Archive(store or KeyStore())
        self._scheme = open_scheme(preset)
        wanted = Settings(experiment, preset, custody, sum_blocks)
        with self._archive.store.transaction():
            if self._archive.settings() is None:
                self._archive.create(wanted)
        self.settings = self._archive.settings() or wanted
        if self.settings != wanted:
            raise ParameterError(
                f"key store: expected experiment {experiment[:16]} with {preset}, {custody}, sums of {sum_blocks} blocks; found "
                f"{self.settings.experiment[:16]} with {self.settings.preset}, {self.settings.custody}, {self.settings.sum_blocks}",
                "use another store",
            )
        self._identity = self._archive.identity()
        self._issuer = Issuer(self._archive, self._identity, experiment, clock)

    @classmethod
    def reopen(cls, store: KeyStore, *, clock: Callable[[], float] = time.time) -> KMS:
        """The KMS that a store belongs to. Raises: KeyUseError when it was never set up."""
        settings = Archive(store).settings()
        if settings is None:
            raise KeyUseError(
                "key store: expected one that a KMS was set up in, found a new one; run the ceremony first"
            )
        blocks = settings.sum_blocks
        return cls(settings.experiment, settings.preset, settings.custody, store=store, clock=clock, sum_blocks=blocks)

    def _label(self) -> str:
        return f"{self.settings.experiment[:16]}, {self.settings.preset}, {self.settings.custody}"

    # -- its public side -----------------------------------------------------------------------------------------

    @property
    def member(self) -> Member:
        """The root of trust: pin its signing key out of band."""
        return self._identity.member

    @property
    def audit_log(self) -> AuditLog:
        """Every recorded action."""
        return self._archive.audit()

    @property
    def epochs(self) -> tuple[KeyEpoch, ...]:
        """All epochs, oldest first."""
        return self._archive.epochs()

    @property
    def active(self) -> KeyEpoch:
        """The one active epoch. Raises: KeyNotActive when none is."""
        active = [epoch for epoch in self.epochs if epoch.state is EpochState.ACTIVE]
        if not active:
            raise KeyNotActive("no key epoch is active; expected one, open it first")
        return active[0]

    # -- members ------------------------------------------------------------------------------------------------

    def enrol(self, member: Member) -> None:
        """Take a party in; the same one again changes nothing. After the first epoch only clients can join, from the next on.

        Raises: RoundError for a name or key that is taken, a second coordinator or auditor, another role, or a
            coordinator or auditor after the first epoch.
        """
        enrolled = self._archive.members()
        if Enrolled(member) in enrolled:
            return
        if member.role not in MEMBER_ROLES:
            raise RoundError(f"enrol {member.name}: expected a role of {', '.join(MEMBER_ROLES)}, found {member.role}")
        if member.role != CLIENT:
            if self.epochs:
                raise RoundError(f"enrol {member.name}: an epoch is open; only clients join now, from the next one on")
            if any(known.member.role == member.role for known in enrolled):
                raise RoundError(f"enrol {member.name}: there is a {member.role} already; expected one")
        fresh = {member.name, member.signing, member.sealing} - {b""}
        for known in (self.member, *(e.member for e in enrolled)):
            if {known.name, known.signing, known.sealing} & fresh:
                raise RoundError(f"enrol {member.name}: its name or one of its keys is {known.name}'s; make fresh ones")
        with self._archive.store.transaction():
            self._archive.set_members((*enrolled, Enrolled(member)))
            self._issuer.note("enrol", member.name, (("role", member.role), ("signing", member.signing.hex())))

    def revoke(self, client: str) -> None:
        """Leave a client out from the next epoch on; rotate to enforce it. Its share of the active epoch still works.

        Raises: RoundError for a name that is not an enrolled client.
        """
        enrolled = self._archive.members()
        known = [e for e in enrolled if e.member.name == client and e.member.role == CLIENT]
        if not known:
            raise RoundError(f"revoke: expected an enrolled client, found {client[:80]!r}")
        if known[0].revoked:
            return
        with self._archive.store.transaction():
            self._archive.set_members(tuple(replace(e, revoked=e.revoked or e.member.name == client) for e in enrolled))
            self._issuer.note("revoke", client)

    def clients_to_ask(self) -> tuple[str, ...]:
        """Clients that have no key deposited for one of the next ``AHEAD`` / 2 epochs: ask them before the next one.

        Keys for later epochs do not count: the relay could hold back the earlier ones.
        """
        coming = range(len(self.epochs) + 1, len(self.epochs) + 1 + AHEAD // 2)
        deposited = set(self._archive.deposited())
        return tuple(name for name in self._clients() if any((epoch, name) not in deposited for epoch in coming))

    def deposit(self, prekeys: Sequence[Prekey]) -> None:
        """Keep clients' sealing keys for epochs to come; the same ones again change nothing.

        Raises: RoundError for a party that is no enrolled client, an epoch that is past or too far away, a second key for one
            epoch, or a key that is in use; IntegrityError for one that its client did not sign; KeyUseError for one to which
            nobody can seal.
        """
        kept, members = self._archive.prekeys(), {m.name: m for m in self._taking_part()}
        epochs = range(len(self.epochs) + 1, len(self.epochs) + 1 + MOST)
        used = {prekey.sealing for prekey in kept.values()} | {member.sealing for member in members.values()}
        fresh = [prekey for prekey in prekeys if kept.get((prekey.epoch, prekey.client)) != prekey]
        for prekey in fresh:
            if prekey.client not in members or members[prekey.client].role != CLIENT or prekey.epoch not in epochs:
                raise RoundError(
                    f"deposit: expected an enrolled client's key for epoch {epochs[0]} to {epochs[-1]}, found "
                    f"{prekey.client[:40]!r}'s for {prekey.epoch}"
                )
            if (prekey.epoch, prekey.client) in kept or prekey.sealing in used:
                raise RoundError(
                    f"deposit: expected a fresh key of {prekey.client} for epoch {prekey.epoch}, found another"
                )
            check_voucher(self.settings.experiment, prekey.epoch, prekey.line(members[prekey.client]))
            check_sealing(prekey.client, prekey.epoch, prekey.sealing)
            used.add(prekey.sealing)
        with self._archive.store.transaction():
            for prekey in fresh:
                self._archive.put_prekey(prekey)

    def _taking_part(self) -> list[Member]:
        """The members that are not revoked, by roles."""
        members = [e.member for e in self._archive.members() if not e.revoked]
        return [m for role in MEMBER_ROLES for m in members if m.role == role]

    def _clients(self) -> list[str]:
        return [m.name for m in self._taking_part() if m.role == CLIENT]

    # -- states of an epoch -------------------------------------------------------------------------------------

    def open_epoch(self, first_round: int, last_round: int) -> None:
        """Make the first key, deal its shares, delete it.

        Raises: RoundError when an epoch is active (rotate), nobody is enrolled, or custody is dealer-free;
            ParameterError when the clients are not as many as the custody says.
        """
        if self._serves(first_round, last_round):
            return
        if any(epoch.state is EpochState.ACTIVE for epoch in self.epochs):
            raise RoundError(f"epoch {self.active.epoch} is active: expected none; rotate instead")
        self._activate(self._deal(first_round, last_round))

    def rotate(self, first_round: int, last_round: int | None = None) -> None:
        """Move to a new key from this round on: joiners come in, the revoked stay out, the old key only decrypts.

        Raises: RoundError without an active epoch, or for a first round before the active one's; ParameterError when
            fewer clients are left than the threshold.
        """
        active = self.active
        last = max(active.last_round, first_round) if last_round is None else last_round
        if not self._serves(first_round, last):
            self._activate(self._deal(first_round, last))

    def _serves(self, first_round: int, last_round: int) -> bool:
        """Whether the active key is for these rounds, and none of its clients was revoked since."""
        clients = set(self._clients())
        return any(
            (epoch.first_round, epoch.last_round) == (first_round, last_round) and clients >= set(epoch.roster.clients)
            for epoch in self.epochs
            if epoch.state is EpochState.ACTIVE
        )

    def destroy(self, epoch: int) -> None:
        """End a decrypt-only epoch: its sealed shares are deleted and never given out again.

        Raises: KeyNotActive when it is active (rotate first).
        """
        known = self._archive.epoch(epoch)
        if known.state is EpochState.ACTIVE:
            raise KeyNotActive(f"destroy: epoch {epoch} is active; expected a decrypt-only one")
        if known.state is not EpochState.DESTROYED:
            self._end(known, "destroy")

    def end(self, epoch: int) -> None:
        """End the last epoch when the rounds are over: nothing is active any more, and its sealed shares are deleted.

        Raises: KeyNotActive when it never was.
        """
        known = self._archive.epoch(epoch)
        with self._archive.store.transaction():
            if known.state is EpochState.ACTIVE:
                self._archive.move(known, EpochState.DECRYPT_ONLY)
                self._issuer.note("retire", f"epoch-{epoch}")
            self.destroy(epoch)

    def _end(self, epoch: KeyEpoch, action: str) -> None:
        with self._archive.store.transaction():
            self._archive.move(epoch, EpochState.DESTROYED)
            if not epoch.announced:
                self._archive.keep_headers(epoch.epoch)
            self._archive.delete_messages(epoch.epoch, SHARE)
            self._issuer.note(action, f"epoch-{epoch.epoch}")

    def _point(self, name: str) -> None:
        """A named point of a rotation: tests stop the KMS here and start it again."""

    def _prepare(self, first_round: int, last_round: int) -> tuple[Roster, Custody]:
        """Abandon epochs that a restart interrupted; return the next epoch's roster and custody."""
        active = [epoch for epoch in self.epochs if epoch.state is EpochState.ACTIVE]
        if active and first_round < active[0].first_round:
            raise RoundError(f"rotate: expected a first round from {active[0].first_round} on, found {first_round}")
        for left_over in [e for e in self.epochs if e.state is EpochState.PENDING]:
            self._end(left_over, "abandon")
        self._point("cleared")
        clients, wanted = self._clients(), self.settings.custody
        if not clients:
            raise RoundError("open an epoch: expected enrolled clients, found none")
        if not self._history() and len(clients) != wanted.quorum.holders:
            raise ParameterError(
                f"custody {wanted}: expected {wanted.quorum.holders} clients, found {len(clients)}",
                "enrol as many as the custody says",
            )
        roster = self._next_roster()
        if not 1 <= first_round <= last_round:
            raise ParameterError(f"epoch: expected 1 ≤ first ≤ last round, found {first_round} to {last_round}")
        return roster, wanted.for_clients(len(roster.clients))

    def _next_roster(self) -> Roster:
        """The next epoch's roster: every client with a sealing key for it. Raises: QuorumError for too few."""
        number, need = len(self.epochs) + 1, self.settings.custody.quorum.threshold
        kept, clients = self._archive.prekeys(number), self._clients()
        prekeys = {name: kept[number, name] for name in clients if (number, name) in kept}
        without = [name for name in clients if name not in prekeys]
        if without and len(prekeys) < need:
            raise QuorumError(
                f"epoch {number}: expected sealing keys of {need} clients at least, found {len(prekeys)}, none of "
                f"{', '.join(without)}; ask them for theirs",
                have=len(prekeys),
                need=need,
            )
        members = [member for member in self._taking_part() if member.name not in without]
        lines = [prekeys[m.name].line(m) if m.role == CLIENT else m for m in members]
        return Roster(self.settings.experiment, number, (self.member, *lines))

    def _history(self) -> tuple[EpochRecord, ...]:
        """The announced records, oldest first."""
        return tuple(epoch.record for epoch in self.epochs if epoch.record and epoch.announced)

    def _deal(self, first_round: int, last_round: int) -> int:
        """A pending epoch with a dealt key; its number."""
        if self.settings.custody.dealer_free:
            raise RoundError(f"custody {self.settings.custody}: the KMS deals no key; run the ceremony and register it")
        roster, custody = self._prepare(first_round, last_round)
        key, shares = self._scheme.keygen(custody.quorum, epoch=roster.epoch)
        self._point("key made")
        with self._archive.store.transaction():
            epoch = self._announce_roster(roster, first_round, last_round)
            self._keep(epoch, key, shares)
        del shares
        self._point("prepared")
        return roster.epoch

    def begin_ceremony(self, first_round: int, last_round: int) -> Envelope:
        """Begin a dealer-free epoch: its signed roster, for the clients to make the key among themselves.

        Raises: RoundError when custody has a dealer, or the key for these rounds is made; as :meth:`open_epoch` and
            :meth:`rotate`.
        """
        if not self.settings.custody.dealer_free:
            raise RoundError(
                f"custody {self.settings.custody}: the KMS deals the key; open an epoch, or rotate, instead"
            )
        if self._serves(first_round, last_round):
            raise RoundError(f"ceremony: the key from round {first_round} on is made; expected a later first round")
        roster, custody = self._prepare(first_round, last_round)
        with self._archive.store.transaction():
            self._announce_roster(roster, first_round, last_round)
            self._issuer.note("begin ceremony", f"epoch-{roster.epoch}", (("quorum", str(custody.quorum)),))
        return self.roster_envelope(roster.epoch)

    def register(self, key: PublicKey, result: CeremonyResult, headers: Sequence[SignedHeader]) -> None:
        """Make a jointly made key the active one. The KMS sees a public key and signatures, nothing else.

        ``headers``: the signed header of every client's approval.
        Raises: RoundError when no ceremony is under way; IntegrityError unless every client approved exactly this key.
        """
        active = [epoch.record for epoch in self.epochs if epoch.state is EpochState.ACTIVE]
        if any(record and record.public_key_digest == public_key_digest(key) for record in active):
            return
        pending = [epoch for epoch in self.epochs if epoch.state is EpochState.PENDING]
        if pending and pending[0].record and pending[0].record.public_key_digest == public_key_digest(key):
            self._activate(pending[0].epoch)  # a restart came between
            return
        if not pending or pending[0].record:
            raise RoundError("register: expected a ceremony under way, found none; begin one")
        epoch, custody = pending[0], self.settings.custody.for_clients(len(pending[0].roster.clients))
        gathered = approvals(result, headers, epoch.roster)
        expected = (self.settings.preset, custody.quorum, public_key_digest(key))
        if expected != (result.preset, result.quorum, result.public_key_digest):
            raise IntegrityError(
                f"register: the approved result is not this key, {self.settings.preset} {custody.quorum}"
            )
        if (key.id.epoch, key.id.preset, key.quorum) != (epoch.epoch, self.settings.preset, custody.quorum):
            raise IntegrityError(f"register: expected a key of epoch {epoch.epoch}, {custody}, found {key.id.short}")
        with self._archive.store.transaction():
            self._keep(epoch, key, (), gathered)
        self._point("prepared")
        self._activate(epoch.epoch)

    def receive(self, envelope: Envelope) -> None:
        """A client's approval of a ceremony, addressed to the KMS; :meth:`register` checks all of them together.

        Raises: RoundError for any other message; WireError for one that is not the client's.
        """
        header = envelope.header
        if header.kind != APPROVAL_KIND:
            raise RoundError(f"KMS: expected an approval, found a {header.kind[:40]} of {header.sender[:40]}")
        sender = self._archive.epoch(header.position.epoch).roster.member(header.sender)
        envelope.check(sender.signing, experiment=self.settings.experiment, recipient=self.name)

    def _announce_roster(self, roster: Roster, first_round: int, last_round: int) -> KeyEpoch:
        epoch = KeyEpoch(roster.epoch, EpochState.PENDING, roster, first_round, last_round)
        self._archive.put_epoch(epoch)
        self._archive.drop_prekeys(roster.epoch)
        for name in [name for name in self._clients() if name not in roster]:
            self._issuer.note("leave out", name, (("epoch", str(roster.epoch)), ("reason", "no sealing key")))
        self._issuer.to_all(roster, ROSTER, encode(roster))
        return epoch

    def _keep(
        self, epoch: KeyEpoch, key: PublicKey, shares: Sequence[SecretShare], approved: Approvals | None = None
    ) -> None:
        """Write a pending epoch's record and messages; nothing secret but dealt shares, each sealed to its client."""
        dealer = NAME if approved is None else DEALER_FREE
        history = self._history()
        record = EpochRecord(
            experiment=self.settings.experiment,
            epoch=epoch.epoch,
            previous=history[-1].digest if history else NO_DIGEST,
            preset=self.settings.preset,
            preset_digest=preset_digest(self.settings.preset),
            public_key_digest=public_key_digest(key),
            quorum=key.quorum,
            dealer=dealer,
            roster_digest=epoch.roster.digest,
            first_round=epoch.first_round,
            last_round=epoch.last_round,
            max_decryptions=self._max_decryptions(epoch, key.quorum),
        )
        details = (
            ("record", record.digest.hex()),
            ("key", str(key.id)),
            ("quorum", str(key.quorum)),
            ("dealer", dealer),
        )
        self._archive.put_epoch(replace(epoch, record=record))
        self._issuer.note("prepare", f"epoch-{epoch.epoch}", details)
        announcement = EpochAnnouncement(record, key, history, self.audit_log.entries, approved)
        self._issuer.to_all(epoch.roster, EPOCH, encode(announcement), key_id=str(key.id))
        if approved is None:
            tag_key = TagKey()
            for name, share in zip(epoch.roster.clients, shares, strict=True):
                self._issuer.share(epoch.roster, epoch.roster.member(name), share, tag_key)
        self._point("preparing")

    def _max_decryptions(self, epoch: KeyEpoch, quorum: Quorum) -> int:
        """Ciphertexts that each holder answers: enough for the epoch's rounds and attempts, within what flooding allows.

        Raises: ParameterError where one sum is more than that.
        """
        free, blocks = self.settings.custody.dealer_free, self.settings.sum_blocks
        wanted = wanted_answers(blocks, epoch.last_round - epoch.first_round + 1, dealer_free=free)
        stated = flooding(self._scheme.preset, quorum, quorum.holders, wanted, blocks=blocks, dealer_free=free)
        return wanted if stated is None else stated.per_holder

    def _activate(self, number: int) -> None:
        """The one step that changes which epoch is active: old and new in a single transaction."""
        with self._archive.store.transaction():
            pending = self._archive.epoch(number)
            if pending.state is not EpochState.PENDING:
                raise RoundError(f"epoch {number} is {pending.state.value}: another rotation came between; begin again")
            for epoch in self.epochs:
                if epoch.state is EpochState.ACTIVE:
                    self._archive.move(epoch, EpochState.DECRYPT_ONLY)
                    self._issuer.note("retire", f"epoch-{epoch.epoch}")
            self._point("activating")
            self._archive.move(replace(pending, announced=True), EpochState.ACTIVE)
            self._issuer.note("activate", f"epoch-{number}")
        self._point("activated")

    # -- messages it issues -------------------------------------------------------------------------------------

    def roster_envelope(self, epoch: int | None = None) -> Envelope:
        """The signed roster of an epoch (the active one), to all its members; the same bytes each time.

        Raises: KeyNotActive for an epoch that never was.
        """
        return self._given(epoch, ROSTER)

    def epoch_envelope(self, epoch: int | None = None) -> Envelope:
        """The signed record and public key of an epoch, to all its members; the same bytes each time.

        Raises: KeyNotActive for an epoch that never was, or is pending.
        """
        return self._given(epoch, EPOCH)

    def share_envelope(self, client: str, epoch: int | None = None) -> Envelope:
        """A client's share and tag key, sealed to it alone; the same bytes each time.

        Leaks: to the relay: which client holds a share of which key; nothing of the share.
        Raises: SecretKeyEscape for a coordinator, auditor or KMS; KeyUseError for a revoked client; RoundError for an
            unknown one, or where the clients made the key themselves; KeyNotActive for an epoch that is pending or destroyed.
        """
        known = self._epoch(epoch)
        for enrolled in self._archive.members():
            if enrolled.member.name == client:
                only_clients(enrolled.member)
                if enrolled.revoked and client not in known.roster:
                    raise KeyUseError(f"epoch {known.epoch}: {client} was revoked; it holds no share of this key")
        only_clients(known.roster.member(client))
        if self.settings.custody.dealer_free:
            raise RoundError(
                f"share: expected a dealt key, found custody {self.settings.custody}; the KMS holds no share of it"
            )
        return self._given(epoch, f"{SHARE}/{client}")

    def unrecorded(self, after: int) -> tuple[SignedHeader, ...]:
        """The signed headers of messages past number ``after`` that were made for abandoned epochs.

        Leaks: nothing that a sent message does not say in the open.
        """
        return self._archive.unsent(after)

    def _epoch(self, epoch: int | None) -> KeyEpoch:
        return self.active if epoch is None else self._archive.epoch(epoch)

    def _given(self, epoch: int | None, name: str) -> Envelope:
        known = self._epoch(epoch)
        message = self._archive.message(known.epoch, name)
        if message is None or (known.state is EpochState.PENDING and name != ROSTER):
            raise KeyNotActive(f"epoch {known.epoch} is {known.state.value}: expected one that gives out its {name}")
        return message

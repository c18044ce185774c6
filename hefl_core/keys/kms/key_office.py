"""The keys of an experiment on one machine, in one encrypted file: what ``keys ceremony|list|rotate|revoke|audit`` do.

All parties' identities share one store here, so it protects against theft of the file, not against the operator of the
machine. Between organisations each party keeps its own store (docs/deployment.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from hefl_core.errors import KeyUseError, RoundError
from hefl_core.ids import AUDITOR, COORDINATOR, client_name
from hefl_core.keys.audit import AuditLog
from hefl_core.keys.ceremony import APPROVAL, DealerFreeScheme, Participant, conduct
from hefl_core.keys.custody import Custody, ShareHolder
from hefl_core.keys.enrolment import Enrolment
from hefl_core.keys.identity import Identity
from hefl_core.keys.kms.records import keep_identity, kept_identities, recall_identity
from hefl_core.keys.kms.service import KMS
from hefl_core.keys.prekeys import Prekeys
from hefl_core.keys.roster import CLIENT, Roster, RosterPin
from hefl_core.keys.secret import Hidden
from hefl_core.keys.vault.store import KeyStore
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.wire.canonical import decode


@dataclass(frozen=True, slots=True)
class EpochLine:
    """One line of ``keys list``. ``key_id`` is empty when no key was made."""

    epoch: int
    state: str
    key_id: str
    custody: str
    dealer: str
    clients: tuple[str, ...]
    first_round: int
    last_round: int
    max_decryptions: int


class KeyService(Hidden):
    """A KMS and its parties over one store."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self.kms = KMS.reopen(store)

    @classmethod
    def ceremony(
        cls, store: KeyStore, experiment: str, preset: str, custody: str, *, clients: int, last_round: int
    ) -> KeyService:
        """Make identities for coordinator, auditor and clients, enrol them, and open the first key epoch.

        Raises: KeyUseError when the store is in use already; ParameterError for a custody or preset that does not fit.
        """
        if store.list("kms"):
            raise KeyUseError("key store: expected a new one, found one in use; rotate its key, or choose another file")
        held = Custody.parse(custody, clients)
        with store.transaction():
            kms = KMS(experiment, preset, held, store=store)
            names = [
                (COORDINATOR, COORDINATOR),
                (AUDITOR, AUDITOR),
                *((client_name(i + 1), CLIENT) for i in range(clients)),
            ]
            for name, role in names:
                _take_in(store, kms, name, role)
            if held.dealer_free:
                _make_together(store, kms, last_round)
            else:
                _deposit(store, kms)
                kms.open_epoch(1, last_round)
        return cls(store)

    def join(self, client: str) -> None:
        """Enrol one more client; it gets its share at the next rotation. Raises: RoundError when the name is taken."""
        with self._store.transaction():
            _take_in(self._store, self.kms, client, CLIENT)

    def lines(self) -> tuple[EpochLine, ...]:
        """All epochs, oldest first. Leaks: public things only."""
        return tuple(
            EpochLine(
                epoch=epoch.epoch,
                state=epoch.state.value,
                key_id=_key_id(self.kms.audit_log, epoch.epoch),
                custody=str(Custody(epoch.record.quorum, epoch.record.dealer != "kms")) if epoch.record else "",
                dealer=epoch.record.dealer if epoch.record else "",
                clients=epoch.roster.clients,
                first_round=epoch.first_round,
                last_round=epoch.last_round,
                max_decryptions=epoch.record.max_decryptions if epoch.record else 0,
            )
            for epoch in self.kms.epochs
        )

    def rotate(self, first_round: int, last_round: int | None = None, *, destroy_old: bool = False) -> EpochLine:
        """Move to a new key; with ``destroy_old`` every decrypt-only epoch ends too.

        Raises: as :meth:`KMS.rotate`; RoundError when the active key is for these rounds already: a party that repeats a request
            gets no second key, and an owner must not take that for a change.
        """
        newest = self.kms.active.epoch
        if self.kms.settings.custody.dealer_free:
            last = last_round or max(first_round, self.kms.active.last_round)
            _make_together(self._store, self.kms, last, first_round)
        else:
            _deposit(self._store, self.kms)
            self.kms.rotate(first_round, last_round)
        if self.kms.active.epoch == newest:
            raise RoundError(
                f"rotate: expected a first round after {first_round}, from which the active key serves, found the same; "
                "nothing was changed: name a later first round"
            )
        if destroy_old:
            for line in self.lines():
                if line.state == "decrypt-only":
                    self.kms.destroy(line.epoch)
        return self.lines()[-1]

    def revoke(self, client: str) -> None:
        """Leave a client out from the next epoch on. Raises: RoundError for an unknown one."""
        self.kms.revoke(client)

    def audit(self) -> AuditLog:
        """The audit log, verified. Raises: IntegrityError naming the first entry that breaks."""
        log = self.kms.audit_log
        log.verify(self.kms.member.signing)
        return log

    def pin(self) -> RosterPin:
        """The root to give to ``verify --roster``."""
        return RosterPin.of(self.kms.active.roster, self.kms.member.signing)

    def enrolment(self, name: str) -> Enrolment:
        """A party as it stands after receiving everything of the active epoch. Raises: RoundError for an unknown name."""
        if name not in kept_identities(self._store):
            raise RoundError(f"{name[:80]!r}: expected one of {', '.join(kept_identities(self._store))}")
        identity = recall_identity(self._store, name)
        enrolment = Enrolment(
            identity,
            self.kms.settings.experiment,
            self.kms.member.signing,
            custody=self.kms.settings.custody,
            store=self._store,
        )
        enrolment.receive(self.kms.roster_envelope())
        enrolment.receive(self.kms.epoch_envelope())
        if identity.role == CLIENT and not self.kms.settings.custody.dealer_free:
            enrolment.receive(self.kms.share_envelope(name))
        return enrolment


def _take_in(store: KeyStore, kms: KMS, name: str, role: str) -> None:
    identity = Identity(name, role)
    keep_identity(store, identity)
    kms.enrol(identity.member)


def _deposit(store: KeyStore, kms: KMS) -> None:
    """Deposit sealing keys of this store's clients for the epochs to come."""
    first = len(kms.epochs) + 1
    for name in kms.clients_to_ask():
        kms.deposit(Prekeys(recall_identity(store, name), kms.settings.experiment, store).offer(first))


def _make_together(store: KeyStore, kms: KMS, last_round: int, first_round: int = 1) -> None:
    """A dealer-free ceremony among the clients of this store."""
    _deposit(store, kms)
    roster = decode(kms.begin_ceremony(first_round, last_round).body, Roster)
    scheme = cast(DealerFreeScheme, open_scheme(kms.settings.preset))
    quorum = kms.settings.custody.for_clients(len(roster.clients)).quorum
    people = [_participant(store, name, roster, scheme, quorum) for name in roster.clients]
    for _ in conduct(people):
        pass
    for person in people:
        ShareHolder(person.name, store).adopt(person.share(), person.tag_key(), person.self_tests)
    headers = [person.say(APPROVAL)[0].signed_header for person in people]
    kms.register(people[0].joint_key, people[0].result(), headers)


def _participant(store: KeyStore, name: str, roster: Roster, scheme: DealerFreeScheme, quorum: Quorum) -> Participant:
    identity = recall_identity(store, name)
    return Participant(identity, roster, scheme, quorum, Prekeys(identity, roster.experiment, store).key(roster.epoch))


def _key_id(log: AuditLog, epoch: int) -> str:
    for entry in log.entries:
        if entry.action == "prepare" and entry.subject == f"epoch-{epoch}":
            return dict(entry.details)["key"]
    return ""

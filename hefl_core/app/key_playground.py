"""A key management service to experiment with: real keys, real ciphertexts, several epochs, and a thief.

Every party enrols and receives its messages with all checks. Rounds carry a short random vector per client, so that a
rotation takes a moment. A theft copies the victims' real shares; decryption with them is tried, not assumed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hefl_core.errors import HeflError, KeyNotActive, RoundError
from hefl_core.ids import AUDITOR, COORDINATOR, client_name
from hefl_core.ids import KMS as KMS_NAME
from hefl_core.keys.audit import AuditEntry
from hefl_core.keys.custody import Custody
from hefl_core.keys.enrolment import Enrolment
from hefl_core.keys.epochs import EpochState
from hefl_core.keys.identity import Identity
from hefl_core.keys.kms.service import KMS
from hefl_core.keys.roster import CLIENT
from hefl_core.schemes.base import CiphertextVector, SecretShare, Vector
from hefl_core.schemes.registry import load_preset, open_scheme

LENGTH = 12
LAST_ROUND = 1000
MAX_ROUNDS = 24
CLOSE = 1e-3
"""Decrypted and true values agree when they differ by less than this."""


@dataclass(frozen=True)
class Recorded:
    """One client's ciphertext as a coordinator (or an eavesdropper) keeps it; ``truth`` is for the comparison only."""

    round: int
    epoch: int
    client: str
    ciphertext: CiphertextVector
    truth: Vector


@dataclass(frozen=True, slots=True)
class Tried:
    """The thief's result on one recorded ciphertext. ``said``: the first number, or why decryption failed."""

    round: int
    epoch: int
    client: str
    opened: bool
    said: str


@dataclass(frozen=True, slots=True)
class EpochLine:
    """One epoch for the page. ``seconds``: the time that making and dealing its key took.

    ``revoked``: clients of an earlier epoch that this one leaves out; ``threshold``: holders that a decryption needs.
    """

    epoch: int
    state: EpochState
    quorum: str
    threshold: int
    dealer: str
    clients: tuple[str, ...]
    revoked: tuple[str, ...]
    key_id: str
    rounds: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes on the wire and at rest, measured on this playground's keys and ciphertexts."""

    public_key: int
    sealed_share: int
    ciphertext: int
    plain: int
    security_bits: int
    standard: str


class KeyPlayground:
    """A KMS, a coordinator, an auditor and clients; ``recorded`` holds every upload.

    Raises: ParameterError with a suggestion where the preset cannot carry the custody.
    """

    def __init__(self, preset: str, clients: int, custody: str) -> None:
        self.preset = preset
        self.custody = custody
        name = secrets.token_hex(16)
        self.kms = KMS(name, preset, Custody.parse(custody, clients))
        self._scheme = open_scheme(preset)
        people = [Identity(COORDINATOR, COORDINATOR), Identity(AUDITOR, AUDITOR)]
        people += [Identity(client_name(number), CLIENT) for number in range(1, clients + 1)]
        self.parties = {person.name: Enrolment(person, name, self.kms.member.signing) for person in people}
        for person in people:
            self.kms.enrol(person.member)
        self.recorded: list[Recorded] = []
        self._seconds: dict[int, float] = {}
        self._tried: dict[tuple[int, int], bool] = {}
        self._open(lambda: self.kms.open_epoch(1, LAST_ROUND))

    # -- what can be done --------------------------------------------------------------------------------------

    @property
    def round(self) -> int:
        """The last round played, 0 before the first."""
        return self.recorded[-1].round if self.recorded else 0

    @property
    def clients(self) -> tuple[str, ...]:
        """The clients of the active epoch."""
        return self.kms.active.roster.clients

    def play_round(self) -> None:
        """Every client of the active epoch encrypts a random vector; all ciphertexts are recorded.

        Raises: RoundError past the playground's number of rounds.
        """
        number = self.round + 1
        if number > MAX_ROUNDS:
            raise RoundError(f"key playground: expected at most {MAX_ROUNDS} rounds, found {number}; start it again")
        for client in self.clients:
            enrolment = self.parties[client]
            enrolment.ledger.require_encrypt(enrolment.record.epoch, number)
            truth = np.asarray(np.random.default_rng().uniform(-0.5, 0.5, LENGTH), dtype=np.float64)
            key: object = enrolment.share if self._scheme.preset.symmetric else enrolment.public_key
            vector = self._scheme.encrypt(key, truth, max_terms=self._terms)  # type: ignore[arg-type]
            self.recorded.append(Recorded(number, enrolment.record.epoch, client, vector, truth))

    def live_through(self) -> str:
        """A key's life as an example: two rounds, a rotation, a round, the last client revoked, a round.

        Returns: why nobody was revoked, where so few clients are left that the custody does not allow it; else ''.
        """
        self.play_round()
        self.play_round()
        self.rotate()
        self.play_round()
        refused = ""
        try:
            self.revoke(self.clients[-1])
        except HeflError as error:
            refused = str(error)
            self.rotate()
        self.play_round()
        return refused

    @property
    def _terms(self) -> int:
        return min(16, self._scheme.preset.max_terms if hasattr(self._scheme.preset, "max_terms") else 16)

    def rotate(self) -> None:
        """Make a new key for the next round on; the old one only decrypts.

        Raises: RoundError when no round was played under the present key: the KMS makes one key for a first round.
        """
        active = self.kms.active
        if active.first_round > self.round:
            raise RoundError(
                f"key playground: expected a round under the key of epoch {active.epoch}, found none; play one"
            )
        self._rotate()

    def _rotate(self) -> None:
        self._open(lambda: self.kms.rotate(self.round + 1, LAST_ROUND))

    def revoke(self, client: str) -> None:
        """Exclude a client, and rotate so that it takes effect. Raises: RoundError, ParameterError."""
        left = len(self.clients) - 1
        self.kms.settings.custody.for_clients(left)
        self.kms.revoke(client)
        self._rotate()

    def destroy(self, epoch: int) -> None:
        """Delete an old epoch's shares at the KMS and at every client. Raises: KeyNotActive for the active one."""
        self.kms.destroy(epoch)
        for enrolment in self.parties.values():
            if epoch in {record.epoch for record in enrolment.ledger.records}:
                enrolment.destroy(epoch)

    def _open(self, make: Callable[[], None]) -> None:
        started = time.perf_counter()
        for name in self.kms.clients_to_ask():
            self.kms.deposit(self.parties[name].sealing_keys(len(self.kms.epochs) + 1))
        make()
        active = self.kms.active
        for name, enrolment in self.parties.items():
            if name not in active.roster:
                continue
            enrolment.receive(self.kms.roster_envelope())
            enrolment.receive(self.kms.epoch_envelope())
            if name in active.roster.clients:
                enrolment.receive(self.kms.share_envelope(name))
        self._seconds[active.epoch] = time.perf_counter() - started

    # -- a theft -----------------------------------------------------------------------------------------------

    def steal(self, epoch: int, victims: tuple[str, ...]) -> tuple[Tried, ...]:
        """Steal the victims' shares of one epoch and try them on every recorded ciphertext.

        Raises: KeyNotActive when a victim no longer holds a share of that epoch; RoundError without a victim.
        """
        if not victims:
            raise RoundError("theft: expected at least one victim, found none; choose a client")
        shares = [self.parties[name].holder.share(epoch) for name in victims]
        return tuple(self._try(item, shares) for item in self.recorded)

    def theft_opens(self, epoch: int) -> tuple[int, ...] | None:
        """Rounds that as many stolen shares of this epoch open as a decryption needs; None: no such share is left to steal.

        Tried on the first upload of each round; what was tried once is remembered.
        """
        line = next(line for line in self.epochs if line.epoch == epoch)
        holding = [name for name in line.clients if self._holding(name, epoch) not in ("", "public key", "destroyed")]
        if len(holding) < line.threshold:
            return None
        shares = [self.parties[name].holder.share(epoch) for name in holding[: line.threshold]]
        first = {item.round: item for item in reversed(self.recorded)}
        for number, item in first.items():
            if (epoch, number) not in self._tried:
                self._tried[epoch, number] = self._try(item, shares).opened
        return tuple(sorted(number for number in first if self._tried[epoch, number]))

    def _try(self, item: Recorded, shares: list[SecretShare]) -> Tried:
        """Decrypt one ciphertext with these shares and nothing else."""
        try:
            values = self._decrypt(item, shares)
        except HeflError as error:
            return Tried(item.round, item.epoch, item.client, False, str(error))
        with np.errstate(all="ignore"):
            close = bool(np.max(np.abs(values - item.truth)) < CLOSE)
        said = f"{values[0]:+.4f}" if close else "decrypts to noise"
        return Tried(item.round, item.epoch, item.client, close, said)

    def _decrypt(self, item: Recorded, shares: list[SecretShare]) -> Vector:
        """Relabel the ciphertext with the stolen key's id, as a thief would, and decrypt it."""
        key = self.parties[COORDINATOR].public_key_of(shares[0].id.epoch)
        total = replace(item.ciphertext, key_id=key.id)
        active = tuple(sorted(share.index for share in shares))[: key.quorum.threshold]
        used = [share for share in shares if share.index in active]
        partials = [self._scheme.partial_decrypt(share, total, active) for share in used]
        return self._scheme.combine(key, total, partials)

    # -- what there is to see ----------------------------------------------------------------------------------

    @property
    def epochs(self) -> tuple[EpochLine, ...]:
        """All epochs, oldest first, with the rounds that ran under each."""
        return tuple(
            EpochLine(
                epoch=epoch.epoch,
                state=epoch.state,
                quorum=str(epoch.record.quorum) if epoch.record else "",
                threshold=epoch.record.quorum.threshold if epoch.record else 1,
                dealer=epoch.record.dealer if epoch.record else "",
                clients=epoch.roster.clients,
                revoked=tuple(name for name in self._ever if name not in epoch.roster.clients),
                key_id=self.parties[COORDINATOR].public_key_of(epoch.epoch).id.short,
                rounds=tuple(sorted({item.round for item in self.recorded if item.epoch == epoch.epoch})),
                seconds=self._seconds.get(epoch.epoch, 0.0),
            )
            for epoch in self.kms.epochs
            if epoch.announced
        )

    @property
    def _ever(self) -> tuple[str, ...]:
        return tuple(name for name in self.parties if name not in (COORDINATOR, AUDITOR))

    def holdings(self) -> dict[str, dict[int, str]]:
        """Party -> epoch -> what it holds: 'share 2 of 5', 'the whole key', 'public key', 'dealt', 'destroyed' or ''.

        'dealt': the KMS made the key, dealt it, deleted it, and keeps sealed shares only.
        """
        held = {KMS_NAME: {line.epoch: _of_the_kms(line) for line in self.epochs}}
        return held | {
            name: {line.epoch: self._holding(name, line.epoch) for line in self.epochs} for name in self.parties
        }

    def _holding(self, name: str, epoch: int) -> str:
        enrolment = self.parties[name]
        known = {record.epoch: record for record in enrolment.ledger.records}
        if epoch not in known:
            return ""
        try:
            share = enrolment.holder.share(epoch)
        except KeyNotActive:
            return "destroyed" if enrolment.holder.is_destroyed(epoch) else "public key"
        quorum = known[epoch].quorum
        return f"share {share.index} of {quorum.holders}" if quorum.collective else "the whole key"

    def sizes(self) -> Sizes:
        """Sizes in the active epoch. Plays a round first if none was played."""
        if not self.recorded:
            self.play_round()
        active, preset = self.kms.active, load_preset(self.preset)
        return Sizes(
            public_key=len(self.parties[COORDINATOR].public_key_of(active.epoch).material),
            sealed_share=len(self.kms.share_envelope(self.clients[0]).body),
            ciphertext=self.recorded[-1].ciphertext.nbytes,
            plain=4 * LENGTH,
            security_bits=preset.security_bits,
            standard=preset.security_standard,
        )

    @property
    def audit(self) -> tuple[AuditEntry, ...]:
        """The KMS's signed log."""
        return self.kms.audit_log.entries


def _of_the_kms(line: EpochLine) -> str:
    return "destroyed" if line.state is EpochState.DESTROYED else "dealt"

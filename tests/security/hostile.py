"""A coordinator that deviates, played by hand against honest parties: the shipped classes, keeping every rule.

What it may do: choose whom a message reaches, whom a list names, whom a request asks, when an attempt ends. What its
accomplices may do: hand over what they hold. Nothing here reaches into an honest party.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hefl_core.federation.client import Client
from hefl_core.federation.coordinator import Coordinator
from hefl_core.federation.epoch import key_epoch
from hefl_core.federation.post import ByCall, Post
from hefl_core.federation.record.transcript import Transcript
from hefl_core.ids import AUDITOR, COORDINATOR, client_name
from hefl_core.keys.vault.store import KeyStore
from hefl_core.runtime.client_home import dealt_data, home_of, model_of
from hefl_core.runtime.stage import custody_of, enrol, first_model, make_auditor, make_client, make_kms
from hefl_core.schemes.base import Opened, PartialDecryption
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment
from hefl_core.terms.messages import DecryptionRequest, EncryptedSum
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position


class Choosing(Coordinator):
    """Lists whom it likes and asks whom it likes; everything else as honest, so that nothing else is refused."""

    members: tuple[str, ...] = ()
    active: tuple[str, ...] = ()

    def received(self, position: Position, kind: str) -> dict[str, Envelope]:
        found = super().received(position, kind)
        return {name: found[name] for name in self.members if name in found} if kind == m.COMMITMENT else found

    def _summed(self, number: int) -> None:
        """It does not keep to the members of an earlier sum."""

    def _first_list(self, position: Position) -> None:
        """Nor to the spares of an earlier list."""

    def _spared(self, position: Position, names: Sequence[str]) -> tuple[str, ...]:
        """Nor does it leave out who did not upload."""
        return ()

    def _make_list(self, position: Position) -> Envelope:
        self._uploads = {name: upload for name, upload in self._uploads.items() if name in self.carried}
        return super()._make_list(position)

    carried: tuple[str, ...] = ()

    def _make_request(self, position: Position) -> Envelope:
        confirmation, total = self.envelope(position, m.CONFIRMATION, AUDITOR), self.said(position, m.SUM)
        request = DecryptionRequest(self.active, total.header.digest, confirmation.header.digest)
        listed = self.said(position, m.COMMITMENTS).header.commitments
        clients = self.enrolment.roster.clients
        return self._compose(m.REQUEST, position, clients, encode(request), commitments=listed)


class World:
    """The parties of one experiment with its first key, and a hostile hand on every wire.

    ``kinds``: classes of accomplices, by client number. ``store``: the auditor's; it outlives the auditor's object.
    """

    def __init__(
        self, experiment: Experiment, kinds: dict[int, type[Client]] | None = None, store: KeyStore | None = None
    ) -> None:
        manifest = dealt_data(experiment).manifest(experiment)
        kms = make_kms(manifest)
        self.coordinator = Choosing(COORDINATOR, manifest, kms.member, first_model(manifest))
        self.auditor = make_auditor(manifest, kms.member, store)
        self.clients: dict[str, Client] = {}
        for number in range(1, experiment.clients + 1):
            name, kind = client_name(number), (kinds or {}).get(number)
            if kind is None:
                self.clients[name] = make_client(manifest, kms.member, number, None)
            else:
                home = home_of(experiment, number)
                self.clients[name] = kind(name, manifest, kms.member, home, model_of(manifest).init)
        custody = custody_of(manifest)
        self.parties = enrol(kms, self.coordinator, self.auditor, tuple(self.clients.values()), custody)
        self.manifest, self.rounds = manifest, experiment.rounds
        self.post = Post(Transcript(manifest, kms.member), ByCall())
        self.new_key(1)

    def new_key(self, first_round: int) -> None:
        last = self.manifest.experiment.last_round_of(first_round)
        if self.parties.kms.epochs:
            self.another_key(first_round, last)
        self.announce(first_round, last)

    def another_key(self, first_round: int, last_round: int) -> None:
        """A key that the KMS makes although it has one for these rounds; the shipped KMS answers that with the first."""
        kms = self.parties.kms
        kms._activate(kms._deal(first_round, last_round))

    def announce(self, first_round: int, last_round: int) -> None:
        """The KMS's newest key, to everybody."""
        for _ in key_epoch(first_round, last_round, self.parties, self.post):
            pass

    def deliver(self, envelope: Envelope, *names: str) -> None:
        """To whom the coordinator pleases. Raises: whatever the first that refuses raises."""
        for name in names:
            party = {COORDINATOR: self.coordinator, AUDITOR: self.auditor, **self.clients}[name]
            party.receive(envelope)

    def said(self, name: str, step: str, position: Position) -> Envelope:
        return getattr(self.clients[name], step)(position).envelope

    def list_of(self, position: Position, members: Sequence[str], carried: Sequence[str] = ()) -> Envelope:
        """Plan and commitments among the members, and the list of them; nobody but the coordinator has it yet."""
        self.coordinator.members, self.coordinator.carried = tuple(members), tuple(carried)
        self.deliver(self.coordinator.plan(position).envelope, AUDITOR, *self.clients)
        for name in members:
            if name not in carried:
                self.deliver(self.said(name, "commit", position), COORDINATOR)
        return self.coordinator.commitments(position).envelope

    def acknowledge(self, position: Position, members: Sequence[str]) -> None:
        if self.parties.collective:
            self.deliver(self.auditor.acknowledge(position).envelope, *members)

    def uploads(self, position: Position, members: Sequence[str], carried: Sequence[str] = ()) -> None:
        for name in members:
            if name not in carried:
                self.deliver(self.said(name, "upload", position), COORDINATOR, AUDITOR)

    def sum_of(self, position: Position, members: Sequence[str], carried: Sequence[str] = ()) -> EncryptedSum:
        """An attempt among these members up to the auditor's confirmation."""
        self.deliver(self.list_of(position, members, carried), AUDITOR, *members)
        self.acknowledge(position, members)
        self.uploads(position, members, carried)
        total = self.coordinator.aggregate(position).envelope
        self.deliver(total, AUDITOR, *members)
        self.deliver(self.auditor.confirm(position).envelope, COORDINATOR, *members)
        return decode(total.body, EncryptedSum)

    def applied(self, position: Position, *names: str) -> None:
        """These clients apply the sum that they were shown; under collective custody all of them answered before."""
        for name in names:
            self.deliver(self.said(name, "apply", position), COORDINATOR, AUDITOR)

    def open_with(self, position: Position, total: EncryptedSum, accomplices: Sequence[str], honest: str) -> Opened:
        """The sum, from one honest holder's answer and what the accomplices hold themselves."""
        self.coordinator.active = tuple(sorted((*accomplices, honest)))
        self.deliver(self.coordinator.request_decryption(position).envelope, honest, *accomplices)
        answer = self.said(honest, "partial_decryption", position)
        reader = self.clients[accomplices[0]]
        scheme, roster = reader.scheme, reader.enrolment.roster
        active = tuple(sorted(roster.index(name) for name in self.coordinator.active))
        partials = [PartialDecryption.from_bytes(reader.open_content(answer))]
        for name in accomplices:
            share = self.clients[name].enrolment.share
            partials.append(scheme.partial_decrypt(share, total.total, active))
        return scheme.open(reader.public_key, total.total, partials, bound=self.bound)

    @property
    def bound(self) -> float:
        return float(self.manifest.experiment.declared_bound)

    def truth(self, name: str) -> tuple[np.ndarray, int]:
        """n_k/n_max · Δ_k and n_k of a client, for the score."""
        client: Any = self.clients[name]
        return client.private_side().weighted, client._home.examples


def names(*numbers: int) -> tuple[str, ...]:
    return tuple(client_name(number) for number in numbers)

"""Parties and a KMS that has opened one epoch, on the scheme that hides nothing and costs nothing."""

from __future__ import annotations

from dataclasses import dataclass

from hefl_core.ids import AUDITOR, COORDINATOR, client_name
from hefl_core.keys.custody import Custody
from hefl_core.keys.enrolment import Enrolment
from hefl_core.keys.identity import Identity
from hefl_core.keys.kms import KMS
from hefl_core.keys.store import KeyStore

EXPERIMENT = "experiment-1"
PRESET = "plaintext"


@dataclass
class World:
    kms: KMS
    coordinator: Identity
    auditor: Identity
    clients: tuple[Identity, ...]

    @property
    def identities(self) -> tuple[Identity, ...]:
        return (self.coordinator, self.auditor, *self.clients)

    def enrolment(self, identity: Identity) -> Enrolment:
        return Enrolment(identity, EXPERIMENT, self.kms.member.signing)

    def enrolled(self, identity: Identity) -> Enrolment:
        enrolment = self.enrolment(identity)
        enrolment.receive(self.kms.roster_envelope())
        enrolment.receive(self.kms.epoch_envelope())
        if identity.role == "client":
            enrolment.receive(self.kms.share_envelope(identity.name))
        return enrolment


def make_world(clients: int = 3, *, custody: str = "individual", store: KeyStore | None = None) -> World:
    kms = KMS(EXPERIMENT, PRESET, Custody.parse(custody, clients), store=store, clock=lambda: 1_700_000_000)
    people = tuple(Identity(client_name(i + 1), "client") for i in range(clients))
    world = World(kms, Identity(COORDINATOR, "coordinator"), Identity(AUDITOR, "auditor"), people)
    for identity in world.identities:
        kms.enrol(identity.member)
    return world

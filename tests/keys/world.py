"""Parties and a KMS that has opened one epoch, on the scheme that hides nothing and costs nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from hefl_core.ids import AUDITOR, COORDINATOR, KeyId, client_name, digest
from hefl_core.keys.custody import Custody
from hefl_core.keys.enrolment import Enrolment
from hefl_core.keys.identity import Identity
from hefl_core.keys.kms.service import KMS
from hefl_core.keys.prekeys import Prekeys
from hefl_core.keys.roster import Roster
from hefl_core.keys.vault.store import KeyStore
from hefl_core.schemes.base import PublicKey, SecretShare
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import load_preset
from hefl_core.wire.canonical import encode

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

    def __post_init__(self) -> None:
        self.prekeys = {client.name: Prekeys(client, EXPERIMENT) for client in self.clients}

    def enrolment(self, identity: Identity, **more: Any) -> Enrolment:
        """A party that knows nothing yet; a client has the sealing keys that the KMS was given."""
        enrolment = Enrolment(identity, EXPERIMENT, self.kms.member.signing, **more)
        enrolment._prekeys = self.prekeys.get(identity.name)
        return enrolment

    def deposit(self, *identities: Identity) -> None:
        """Sealing keys of these clients (of all) for the epochs to come."""
        for identity in identities or self.clients:
            self.kms.deposit(
                self.prekeys.setdefault(identity.name, Prekeys(identity, EXPERIMENT)).offer(self.next_epoch)
            )

    @property
    def next_epoch(self) -> int:
        return len(self.kms.epochs) + 1

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
    world.deposit()
    return world


def roster_of(experiment: str, epoch: int, *people: Identity) -> tuple[Roster, dict[str, Prekeys]]:
    """A roster of these and a KMS, as a KMS would sign it, and the clients' private halves."""
    keys = {person.name: Prekeys(person, experiment) for person in people if person.role == "client"}
    lines = [keys[p.name].offer(epoch)[0].line(p.member) if p.name in keys else p.member for p in people]
    kms = () if any(person.role == "kms" for person in people) else (Identity("kms", "kms").member,)
    return Roster(experiment, epoch, (*kms, *lines)), keys


class Dealer:
    """A scheme that only deals: random shares of any quorum, each remembered in ``dealt``."""

    def __init__(self, name: str = PRESET) -> None:
        self.preset = load_preset(name)
        self.dealt: list[bytes] = []

    def keygen(self, quorum: Quorum, *, epoch: int = 1) -> tuple[PublicKey, tuple[SecretShare, ...]]:
        material = os.urandom(32)
        fingerprint = digest(self.preset.digest, encode(quorum), material).hex()
        key_id = KeyId("plaintext", self.preset.name, epoch, fingerprint)
        secrets = [os.urandom(64) for _ in range(quorum.holders)]
        self.dealt += secrets
        shares = tuple(SecretShare(key_id, quorum, i + 1, secret) for i, secret in enumerate(secrets))
        return PublicKey(key_id, quorum, material), shares

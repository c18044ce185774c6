"""Set up the parties: enrol them with the KMS, and say which of them share a process."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hefl_core.federation.auditor import Auditor
from hefl_core.federation.client import Client, Home
from hefl_core.federation.coordinator import Coordinator
from hefl_core.federation.post import ByCall, Carrier
from hefl_core.federation.round import Parties
from hefl_core.federation.round_log import RoundLog
from hefl_core.ids import AUDITOR, COORDINATOR, client_name
from hefl_core.ids import KMS as KMS_NAME
from hefl_core.keys.custody import Custody
from hefl_core.keys.kms.service import KMS
from hefl_core.keys.roster import Member
from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.unlock import KeyFile
from hefl_core.runtime.client_home import home_of, initial_parameters, model_of
from hefl_core.schemes.registry import opened_count
from hefl_core.terms.experiment import Manifest


def make_kms(manifest: Manifest, store: KeyStore | None = None) -> KMS:
    """A key management service for one run. It resumes from its store; without one it keeps everything in memory."""
    blocks = opened_count(manifest.experiment.preset, manifest.parameters)
    return KMS(manifest.id, manifest.experiment.preset.name, custody_of(manifest), store=store, sum_blocks=blocks)


def make_coordinator(
    manifest: Manifest, kms: Member, store: KeyStore | None = None, members: Sequence[Member] = ()
) -> Coordinator:
    """A coordinator. It sees public values only: θ_0 comes from the manifest, so no client's record enters its process.

    With a ``store`` it keeps a round log there and resumes from it. ``members``: those of its kit, if it has one; it
    accepts no roster with others.
    """
    return Coordinator(COORDINATOR, manifest, kms, first_model(manifest), _log(store), members)


def first_model(manifest: Manifest) -> bytes:
    """θ_0, public, as the plan of round 1 carries it. The manifest's schema gives the shapes; no data is read."""
    return initial_parameters(manifest).astype("<f4").tobytes()


def open_store(home: Path, party: str, kind: type[KeyStore] = KeyStore) -> KeyStore:
    """Open a party's store with its key file; create them if missing. Raises: as :class:`KeyStore`."""
    key = home / f"{party}.key"
    return kind(home / f"{party}.db", KeyFile(key) if key.exists() else KeyFile.create(key))


def make_auditor(
    manifest: Manifest, kms: Member, store: KeyStore | None = None, members: Sequence[Member] = ()
) -> Auditor:
    """An auditor. It sees public values only. ``store``, ``members``: as for the coordinator."""
    return Auditor(AUDITOR, manifest, kms, _log(store), members)


def make_client(
    manifest: Manifest,
    kms: Member,
    index: int,
    observer: Member | None,
    store: KeyStore | None = None,
    home: Home | None = None,
    members: Sequence[Member] = (),
) -> Client:
    """Client ``index`` (from 1) with its own home: the given one, else the one dealt to it.

    ``store``, ``members``: as for the coordinator.
    """
    own = home or home_of(manifest.experiment, index)
    return Client(client_name(index), manifest, kms, own, model_of(manifest).init, observer, _log(store), members)


def _log(store: KeyStore | None) -> RoundLog | None:
    return None if store is None else RoundLog(store)


@dataclass(frozen=True, slots=True)
class Host:
    """A process that holds parties, for honest labels and for searches of its memory."""

    parties: tuple[str, ...]
    pid: int
    node: str


def whereabouts(hosts: Sequence[Host]) -> str:
    """The parties on each node, in words.

    >>> whereabouts([Host(("kms",), 1, "a"), Host(("client-1", "client-2"), 2, "b"), Host(("auditor",), 3, "a")])
    'kms, auditor on a; client-1, client-2 on b'
    """
    nodes: dict[str, list[str]] = {}
    for host in hosts:
        nodes.setdefault(host.node, []).extend(host.parties)
    return "; ".join(f"{', '.join(parties)} on {node}" for node, parties in nodes.items())


@dataclass(frozen=True)
class Stage:
    """Parties ready for a run, how letters travel between them, and which processes they live in."""

    parties: Parties
    carrier: Carrier
    hosts: tuple[Host, ...]
    close: Callable[[], None]

    @property
    def shared_processes(self) -> tuple[str, ...]:
        """The parties that share a process, in words."""
        return tuple(f"{', '.join(host.parties)} share a process" for host in self.hosts if len(host.parties) > 1)


class Runtime(Protocol):
    """A way to run the parties: in this process, on Ray, or as services."""

    def __call__(self, manifest: Manifest, observer: Member | None) -> Stage:
        """Set up the parties of a run, enrolled, the first epoch opened."""


def custody_of(manifest: Manifest) -> Custody:
    """The custody of the run's keys."""
    return Custody.parse(manifest.experiment.custody, manifest.experiment.clients)


def enrol(kms: KMS, coordinator: Coordinator, auditor: Auditor, clients: Sequence[Client], custody: Custody) -> Parties:
    """Enrol all parties with the KMS; the run opens the first key epoch (federation/epoch.py)."""
    for party in (coordinator, auditor, *clients):
        kms.enrol(party.member)
    return Parties(kms, coordinator, auditor, tuple(clients), custody.quorum.collective, custody.dealer_free)


def local_stage(manifest: Manifest, observer: Member | None) -> Stage:
    """All parties are objects in this process: for lessons, tests and instant runs."""
    kms = make_kms(manifest)
    root, numbers = kms.member, range(1, manifest.experiment.clients + 1)
    clients = tuple(make_client(manifest, root, index, observer) for index in numbers)
    return local_stage_of(kms, make_coordinator(manifest, root), make_auditor(manifest, root), clients, manifest)


def local_stage_of(
    kms: KMS,
    coordinator: Coordinator,
    auditor: Auditor,
    clients: Sequence[Client],
    manifest: Manifest,
    close: Callable[[], None] = lambda: None,
) -> Stage:
    """A stage in this process, from given parties."""
    parties = enrol(kms, coordinator, auditor, clients, custody_of(manifest))
    everybody = (KMS_NAME, COORDINATOR, AUDITOR, *(client.name for client in clients))
    return Stage(parties, ByCall(), (Host(everybody, os.getpid(), platform.node()),), close)

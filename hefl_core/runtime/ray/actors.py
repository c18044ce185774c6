"""The parties as Ray actors, each in its own process: thin shells around the party objects; letters move by reference.

Coordinator, auditor and KMS never share a process; clients share hosts on a small machine (and the run says so).
Ray's object store is mapped into every process of a node: only headers, ciphertexts and sealed bytes enter it.

Ray restarts a process that dies. It restores its parties from their stores: they resume where they were and repeat the same
messages (federation/round_log.py).
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from hefl_core.errors import HeflError, RuntimeUnavailable
from hefl_core.federation.client import Client
from hefl_core.federation.outside import public_error
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name, is_client
from hefl_core.keys.roster import Member
from hefl_core.keys.vault.store import KeyStore
from hefl_core.ops.metrics import IN, OUT
from hefl_core.ops.node_metrics import MESSAGE, REFUSAL, ROUNDS, STEP, MetricLine, NodeMetrics
from hefl_core.probes.private_forms import client_fingerprints
from hefl_core.runtime import calls, stage
from hefl_core.runtime.client_results import note_refusal
from hefl_core.runtime.events import EventBus, Progress
from hefl_core.runtime.ray.carrier import (
    BESIDE,
    PID_FILE,
    SETUP_DEADLINE_SECONDS,
    STEP_DEADLINE_SECONDS,
    RayCarrier,
    RemoteParty,
)
from hefl_core.runtime.ray.cluster import CLUSTER, ray
from hefl_core.runtime.ray.placement import Placement, home_here, placement_for
from hefl_core.runtime.ray.table_box import TableBox, seal_tables, table_of
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.letter import Letter
from hefl_core.wire.envelope import Envelope
from hefl_core.wire.fingerprint import Salt

LARGE_BODY_BYTES = 32 * 1024
LEAVE_SECONDS: Final = 5.0
MAX_PROCESS_RESTARTS: Final = 100


@dataclass(frozen=True, slots=True)
class PartySpec:
    """A party that a host holds, and how to make it."""

    name: str
    maker: str
    args: tuple[Any, ...]


class PartyHost:
    """A process that holds one party, or several clients. Only letters, members and errors leave it.

    ``home``: a directory on its node with its parties' encrypted stores. Ray restarts the actor with the same arguments.
    ``specs``: its parties: name, one of stage.py's makers, and the maker's arguments without the store.
    """

    def __init__(self, home: str, specs: Sequence[PartySpec]) -> None:
        self._home = home_here(home)
        self._node_metrics = NodeMetrics.of_this_node()
        self._specs = {spec.name: spec for spec in specs}
        self._parties: dict[str, Any] = {}
        self._stores: dict[str, KeyStore] = {}
        self._settled: dict[str, Any] = {}
        self._box = calls.guarded(self._open_box)
        if self._box is None:
            self._settle_all()

    def _open_box(self) -> TableBox | None:
        """A box where this host's clients wait for the run's table; None where they need none, or kept theirs."""
        terms = [spec.args[0] for spec in self._specs.values() if spec.maker == "make_client"]
        if not terms or table_of(terms[0]) is None:
            return None
        self._move_in()
        box = TableBox(self._home, terms[0])
        return None if box.recall() else box

    def reception(self) -> Any:
        """The public key to which the run's table is sealed for this host."""
        return self._box.member if isinstance(self._box, TableBox) else self._box

    def take_table(self, sealed: bytes) -> None:
        """Take the run's table, then settle the clients; an error stands for each client that waits for it."""
        error = calls.guarded(lambda: self._box.take(sealed)) if isinstance(self._box, TableBox) else self._box
        if isinstance(error, HeflError):
            self._settled = dict.fromkeys(self._specs, public_error(error))
        else:
            self._settle_all()

    def _settle_all(self) -> None:
        self._settled = {name: self.come_back(name) for name in self._specs}

    def settled(self, name: str) -> Any:
        """A party's public member line, or the error that kept it from starting."""
        if name not in self._settled:
            return RuntimeUnavailable(f"{name}: its process was replaced before it had the run's table; start again")
        return self._settled[name]

    def come_back(self, name: str) -> Any:
        """Restore a party from its store (a new party at the first start). Returns as :meth:`settled`."""
        return self._outside(name, calls.guarded(lambda: self._settle(self._specs[name])))

    def _move_in(self) -> None:
        """Create the folder. Raises: RuntimeUnavailable naming it when that fails."""
        try:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._home / PID_FILE).write_text(str(os.getpid()))
        except OSError as error:
            raise RuntimeUnavailable(
                f"{', '.join(self._specs)}: expected a folder that can be written on {platform.node()}, "
                f"{self._home} is none ({error.strerror}); set HEFL_HOME where that node is started"
            ) from error

    def _settle(self, spec: PartySpec) -> Member:
        name = spec.name
        self._move_in()
        if name in self._stores:
            self._stores.pop(name).close()
        self._parties.pop(name, None)
        self._stores[name] = stage.open_store(self._home, name)
        self._parties[name] = getattr(stage, spec.maker)(*spec.args, self._stores[name])
        member: Member = self._parties[name].member
        return member

    def _party(self, name: str) -> Any:
        if name not in self._parties:
            raise RuntimeUnavailable(f"{name}: it could not come back from its store; restore it, or go on without it")
        return self._parties[name]

    def whereabouts(self) -> stage.Host:
        """This process and its parties."""
        return stage.Host(tuple(self._specs), os.getpid(), platform.node())

    @ray.method(num_returns=2)  # type: ignore[untyped-decorator]
    def call(self, name: str, method: str, args: tuple[Any, ...] = ()) -> tuple[Any, bytes | None]:
        """Call a party's method. A large body is an object of its own beside the letter, which the caller owns."""
        return _parted(self._counted(name, method, lambda: self._answer(name, method, args)))

    def _answer(self, name: str, method: str, args: tuple[Any, ...]) -> Any:
        return calls.answer(self._party(name), calls.role_of(name), method, args, owner=True)

    def _counted(self, name: str, step: str, work: Callable[[], Any], arrived: int | None = None) -> Any:
        """Do the work and report its metrics to the node's service. ``arrived``: bytes of the received message."""
        before, started = self._rounds_done(name), time.perf_counter()
        answer = self._outside(name, calls.guarded(work))
        lines: list[MetricLine] = [] if arrived is None else [(MESSAGE, IN, arrived)]
        if isinstance(answer, HeflError):
            lines.append((REFUSAL, type(answer).__name__, 1))
        elif arrived is None:
            lines.append((STEP, step, time.perf_counter() - started))
        if isinstance(answer, Letter | Envelope):  # the KMS answers with an envelope, its caller makes the letter
            lines.append((MESSAGE, OUT, answer.nbytes))
        if (done := self._rounds_done(name) - before) > 0:
            lines.append((ROUNDS, "", done))
        self._node_metrics.note(lines)
        return answer

    def _rounds_done(self, name: str) -> int:
        return getattr(self._parties.get(name), "rounds_done", 0)  # the KMS sees no rounds

    def fingerprints(self, salt: Salt, count: int, seed: int) -> Any:
        """Salted fingerprints of this host's clients' private data, to search other processes for. No secret leaves."""
        clients = [party for party in self._parties.values() if isinstance(party, Client)]
        found = calls.guarded(lambda: [one for c in clients for one in client_fingerprints(c, salt, count, seed)])
        return public_error(found) if isinstance(found, HeflError) else found

    def deliver(self, name: str, envelope: Envelope, body: bytes | None) -> Any:
        """Hand a message to a party; Ray has already turned the reference into bytes."""
        whole = envelope if body is None else replace(envelope, body=body)
        return self._counted(name, "receive", lambda: self._party(name).receive(whole), whole.nbytes)

    def leave(self) -> None:
        """Delete the parties' stores when the run is over."""
        for store in self._stores.values():
            store.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _outside(self, name: str, answer: Any) -> Any:
        """Strip the numbers from a client's error before it leaves the process; the full text stays in its home."""
        if not (is_client(name) and isinstance(answer, HeflError)):
            return answer
        with suppress(OSError):  # a text that cannot be kept is lost, never sent
            note_refusal(self._home, answer)
        return public_error(answer)


def _parted(answer: Any) -> tuple[Any, bytes | None]:
    if isinstance(answer, Letter) and len(answer.envelope.body) > LARGE_BODY_BYTES:
        return replace(answer, envelope=replace(answer.envelope, body=b""), reference=BESIDE), answer.envelope.body
    return answer, None


class RayRuntime:
    """Starts the parties on Ray: one process each for coordinator, auditor and KMS, and hosts for the clients.

    ``host``: another kind of host (checks/blindness/hosts.py).
    """

    def __init__(
        self,
        clients_per_host: int | None,
        bus: EventBus,
        deadline_seconds: float | None = None,
        host: type[PartyHost] | None = None,
    ) -> None:
        self._host = host
        self._per_host = clients_per_host
        self._bus = bus
        self.deadline_seconds = STEP_DEADLINE_SECONDS if deadline_seconds is None else deadline_seconds

    def __call__(self, manifest: Manifest, observer: Member | None) -> stage.Stage:
        """Start everything. Raises: RuntimeUnavailable when Ray or a host does not come up in time."""
        CLUSTER.wait(self._bus)
        self._bus.publish(Progress("starting the parties' processes"))
        place = placement_for(manifest.experiment.clients)
        folder = tempfile.TemporaryDirectory(prefix="hefl-", ignore_cleanup_errors=True)
        hosts: list[Any] = []
        try:
            return self._settle(manifest, observer, hosts, folder, place)
        except BaseException:
            _end(hosts, folder)
            raise

    def _settle(
        self,
        manifest: Manifest,
        observer: Member | None,
        hosts: list[Any],
        folder: tempfile.TemporaryDirectory[str],
        place: Placement,
    ) -> stage.Stage:
        def house(*specs: PartySpec) -> list[RemoteParty]:
            home = Path(folder.name) / specs[0].name
            where = place.options([spec.name for spec in specs], len(hosts))
            hosts.append(host_class(self._host or PartyHost).options(**where).remote(str(home), specs))
            return [RemoteParty(spec.name, hosts[-1], home, self.deadline_seconds) for spec in specs]

        kms = house(PartySpec(KMS, "make_kms", (manifest,)))[0].settle()
        root = kms.member
        waiting = [
            *house(PartySpec(COORDINATOR, "make_coordinator", (manifest, root))),
            *house(PartySpec(AUDITOR, "make_auditor", (manifest, root))),
        ]
        offices = len(hosts)
        groups = self._groups(manifest.experiment.clients, place)
        for group in groups:
            waiting += house(*(PartySpec(client_name(k), "make_client", (manifest, root, k, observer)) for k in group))
        if table_of(manifest) is not None:
            _deliver_tables(manifest, hosts[offices:], groups)
        coordinator, auditor, *clients = [party.settle() for party in waiting]
        parties = stage.enrol(kms, coordinator, auditor, clients, stage.custody_of(manifest))  # type: ignore[arg-type]
        houses = tuple(ray.get([host.whereabouts.remote() for host in hosts], timeout=SETUP_DEADLINE_SECONDS))
        self._bus.publish(Progress(stage.whereabouts(houses)))
        return stage.Stage(parties, RayCarrier(self.deadline_seconds), houses, lambda: _end(hosts, folder))

    def _groups(self, count: int, place: Placement) -> list[range]:
        """The clients' numbers by host."""
        per_host = place.clients_per_host(self._per_host, count)
        return [range(first, min(first + per_host, count + 1)) for first in range(1, count + 1, per_host)]


def host_class(kind: type[PartyHost]) -> Any:
    """An actor class that Ray restarts when its process dies. Ray retries an unanswered call once: handlers are idempotent."""
    return ray.remote(num_cpus=0, max_restarts=MAX_PROCESS_RESTARTS, max_task_retries=1)(kind)


def _deliver_tables(manifest: Manifest, hosts: Sequence[Any], groups: Sequence[Sequence[int]]) -> None:
    """Seal to each host the run's table, or the tables of its own clients only.

    Raises: RuntimeUnavailable, or a host's own error.
    """
    try:
        readers = ray.get([host.reception.remote() for host in hosts], timeout=SETUP_DEADLINE_SECONDS)
    except ray.exceptions.RayError as error:
        raise RuntimeUnavailable(f"clients: their processes do not start ({type(error).__name__})") from None
    for host, reader, clients in zip(hosts, readers, groups, strict=True):
        if isinstance(reader, HeflError):
            raise reader
        host.take_table.remote(seal_tables(manifest, reader, clients))


def _end(hosts: Sequence[Any], folder: tempfile.TemporaryDirectory[str]) -> None:
    """Have each host delete its home, then end the processes."""
    with suppress(ray.exceptions.RayError):
        ray.get([host.leave.remote() for host in hosts], timeout=LEAVE_SECONDS)
    for host in hosts:
        ray.kill(host, no_restart=True)
    folder.cleanup()

"""The same parties, each in a process of its own: thin shells around them, and a carrier that moves letters by reference.

Coordinator, auditor and KMS always live alone; clients share hosts on a small machine (and the run says so).
Ray's object store is mapped into every process of a node: only headers, ciphertexts and sealed bytes enter it.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from hefl_core.errors import HeflError, RuntimeUnavailable
from hefl_core.federation.experiment import Manifest
from hefl_core.federation.party import Letter
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name
from hefl_core.keys.roster import Member
from hefl_core.runtime import stage
from hefl_core.runtime.cluster import CLUSTER, ray
from hefl_core.runtime.events import EventBus, Progress
from hefl_core.wire.envelope import Envelope

LARGE_BODY_BYTES = 32 * 1024
STEP_DEADLINE_SECONDS = 120.0
SETUP_DEADLINE_SECONDS = 120.0


class PartyHost:
    """A process that houses one party, or several clients. Only letters, members and errors come out."""

    def __init__(self) -> None:
        self._parties: dict[str, Any] = {}

    def settle(self, name: str, maker: str, args: tuple[Any, ...]) -> Any:
        """Create a party here with one of stage.py's makers and return its public member line."""
        return self._guarded(lambda: self._settle(name, maker, args))

    def _settle(self, name: str, maker: str, args: tuple[Any, ...]) -> Member:
        party = getattr(stage, maker)(*args)
        self._parties[name] = party
        member: Member = party.member
        return member

    def whereabouts(self) -> stage.Host:
        """This process and who lives in it."""
        return stage.Host(tuple(self._parties), os.getpid(), platform.node())

    def call(self, name: str, method: str, *args: Any) -> Any:
        """A party's method. A large body stays in the object store; the letter carries its reference."""
        return self._guarded(lambda: _lighten(self._call(name, method, args)))

    def _call(self, name: str, method: str, args: tuple[Any, ...]) -> Any:
        found = getattr(self._parties[name], method)
        return found(*args) if callable(found) else found

    def deliver(self, name: str, envelope: Envelope, body: bytes | None) -> Any:
        """Hand a message to a party; Ray has already turned the reference into bytes."""
        whole = envelope if body is None else replace(envelope, body=body)
        return self._guarded(lambda: self._parties[name].receive(whole))

    @staticmethod
    def _guarded(work: Callable[[], Any]) -> Any:
        """Errors of ours come back as values; of any other only the kind: its text could hold anything."""
        try:
            return work()
        except HeflError as error:
            return error.with_traceback(None)
        except Exception as error:
            where = error.__traceback__
            while where is not None and where.tb_next is not None:
                where = where.tb_next
            place = f"{where.tb_frame.f_code.co_name}:{where.tb_lineno}" if where else "?"
            return RuntimeUnavailable(f"unexpected {type(error).__name__} in {place}")


def _lighten(answer: Any) -> Any:
    if isinstance(answer, Letter) and len(answer.envelope.body) > LARGE_BODY_BYTES:
        reference = ray.put(answer.envelope.body)
        return replace(answer, envelope=replace(answer.envelope, body=b""), reference=reference)
    return answer


class RemoteParty:
    """Stands for a party elsewhere: the same methods, answered by its host within the deadline."""

    def __init__(self, name: str, host: Any, member: Member) -> None:
        self.name = name
        self.member = member
        self.host = host

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        if method == "public_key":
            return self.ask(method)
        return lambda *args: self.ask(method, *args)

    def ask(self, method: str, *args: Any) -> Any:
        """Call and wait. Raises: whatever the party raises; RuntimeUnavailable past the deadline."""
        answer = fetch(self.host.call.remote(self.name, method, *args), self.name, STEP_DEADLINE_SECONDS)
        if isinstance(answer, HeflError):
            raise answer
        return answer


def fetch(reference: Any, party: str, seconds: float) -> Any:
    """An actor's answer, or the error that stands for it; every wait has a deadline."""
    try:
        return ray.get(reference, timeout=seconds)
    except ray.exceptions.GetTimeoutError:
        return RuntimeUnavailable(
            f"{party}: expected an answer within {seconds:.0f} s, none came; it hangs or is stopped"
        )
    except ray.exceptions.RayError as error:
        return RuntimeUnavailable(f"{party}: its process is gone ({type(error).__name__}); start the round again")


class RayCarrier:
    """Delivers and asks all at once; answers are taken as they finish, until the deadline."""

    def __init__(self, deadline_seconds: float = STEP_DEADLINE_SECONDS) -> None:
        self._deadline = deadline_seconds

    def deliver(self, letter: Letter, to: Sequence[RemoteParty]) -> Iterator[tuple[RemoteParty, HeflError | None]]:
        """Send the header with the body's reference to every receiver at once."""
        asked = {r.host.deliver.remote(r.name, letter.envelope, letter.reference): r for r in to}
        yield from self._as_they_finish(asked)

    def gather(self, parties: Sequence[RemoteParty], step: str, argument: object) -> Iterator[tuple[RemoteParty, Any]]:
        """Ask every party at once."""
        asked = {p.host.call.remote(p.name, step, argument): p for p in parties}
        yield from self._as_they_finish(asked)

    def _as_they_finish(self, asked: dict[Any, RemoteParty]) -> Iterator[tuple[RemoteParty, Any]]:
        end = time.monotonic() + self._deadline
        waiting = list(asked)
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1, timeout=max(0.0, end - time.monotonic()))
            if not done:
                for reference in waiting:
                    name = asked[reference].name
                    yield asked[reference], RuntimeUnavailable(f"{name}: no answer within {self._deadline:.0f} s")
                return
            for reference in done:
                yield asked[reference], fetch(reference, asked[reference].name, self._deadline)

    def body(self, letter: Letter) -> bytes:
        """Fetch the body for the record."""
        if letter.reference is None:
            return letter.envelope.body
        body: bytes = ray.get(letter.reference, timeout=self._deadline)
        return body


class RayRuntime:
    """Sets the stage on Ray: one process each for coordinator, auditor and KMS, and hosts for the clients."""

    def __init__(
        self, clients_per_host: int | None, bus: EventBus, deadline_seconds: float = STEP_DEADLINE_SECONDS
    ) -> None:
        self._per_host = clients_per_host
        self._bus = bus
        self._deadline = deadline_seconds

    def __call__(self, manifest: Manifest, observer: Member | None) -> stage.Stage:
        """Raises: RuntimeUnavailable when Ray or a host does not come up in time."""
        CLUSTER.wait(self._bus)
        self._bus.publish(Progress("starting the parties' processes"))
        host_class = ray.remote(num_cpus=0)(PartyHost)
        count = manifest.experiment.clients
        per_host = self._per_host or (-(-count // 2) if CLUSTER.address == "local" else 1)
        groups = [range(first, min(first + per_host, count + 1)) for first in range(1, count + 1, per_host)]
        hosts = [host_class.remote() for _ in range(3 + len(groups))]
        try:
            return self._settle(manifest, observer, hosts, groups)
        except BaseException:
            _end(hosts)
            raise

    def _settle(
        self, manifest: Manifest, observer: Member | None, hosts: list[Any], groups: list[range]
    ) -> stage.Stage:
        kms = self._place(KMS, hosts[0].settle.remote(KMS, "make_kms", (manifest,)), hosts[0])
        waiting = [
            (COORDINATOR, hosts[1], hosts[1].settle.remote(COORDINATOR, "make_coordinator", (manifest, kms.member))),
            (AUDITOR, hosts[2], hosts[2].settle.remote(AUDITOR, "make_auditor", (manifest, kms.member))),
        ]
        for host, group in zip(hosts[3:], groups, strict=True):
            for index in group:
                args = (manifest, kms.member, index, observer)
                waiting.append((client_name(index), host, host.settle.remote(client_name(index), "make_client", args)))
        coordinator, auditor, *clients = [self._place(name, asked, host) for name, host, asked in waiting]
        parties = stage.enrol(kms, coordinator, auditor, clients, stage.custody_of(manifest))
        houses = tuple(fetch(host.whereabouts.remote(), "host", SETUP_DEADLINE_SECONDS) for host in hosts)
        return stage.Stage(parties, RayCarrier(self._deadline), houses, lambda: _end(hosts))

    @staticmethod
    def _place(name: str, asked: Any, host: Any) -> Any:
        member = fetch(asked, name, SETUP_DEADLINE_SECONDS)
        if isinstance(member, HeflError):
            raise member
        return RemoteParty(name, host, member)


def _end(hosts: Sequence[Any]) -> None:
    for host in hosts:
        ray.kill(host, no_restart=True)

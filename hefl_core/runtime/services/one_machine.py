"""All services of one experiment on this machine, with real processes and certificates over loopback.

One person owns every directory here, so reading the clients' own result files is fair; between organisations no party
could.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import msgspec

from hefl_core.ending import ENDING
from hefl_core.errors import RuntimeUnavailable
from hefl_core.federation.client import OwnClip
from hefl_core.federation.record.transcript import Transcript
from hefl_core.ids import COORDINATOR, client_name
from hefl_core.learning import shelf
from hefl_core.runtime.client_results import FOLDER, RoundLine, read_rounds
from hefl_core.runtime.events import EventBus, Progress
from hefl_core.runtime.journal import TRANSCRIPT
from hefl_core.runtime.observer import phases, wall_phases
from hefl_core.runtime.result import Clipped, Environment, RoundResult, RunResult, TableNote
from hefl_core.runtime.services.provision import party_names, provision_all, role_of
from hefl_core.runtime.services.roles import RESULT
from hefl_core.terms.experiment import Experiment, Manifest

STOP_SECONDS: Final = 10.0
MAX_REVIVALS: Final = 3
NOTE: Final = "strict: every directory is yours here, so the clients' own results were read; elsewhere nobody could"


class Network(Protocol):
    """A network of namespaces on this machine, in which each service may have its own."""

    @property
    def addresses(self) -> Mapping[str, str]:
        """Each party's address."""

    def enter(self, name: str) -> Sequence[str]:
        """Command prefix that runs a command in this party's namespace."""


class OneMachine:
    """Provisioned directories below ``folder`` and the processes that serve them, each in its namespace of ``network``.

    Without a network all of them share this machine's loopback.
    """

    def __init__(
        self, experiment: Experiment, folder: Path, network: Network | None = None, log_level: str = "info"
    ) -> None:
        self.folder = folder
        self.names = party_names(experiment.clients)
        self._network = network
        self._log_level = log_level
        host = network.addresses[COORDINATOR] if network else "127.0.0.1"
        self.manifest: Manifest = provision_all(folder, experiment, coordinator=f"{host}:{_free_port()}", metrics=False)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._revivals: Counter[str] = Counter()

    def start(self, *names: str) -> None:
        """Start these parties' services, each with its own log file."""
        for name in names:
            command = [sys.executable, "-m", "hefl_core", "serve", role_of(name)]
            command += ["--config", str(self.folder / name / "service.toml")]
            command = [*(self._network.enter(name) if self._network else ()), *command]
            environment = {key: value for key, value in os.environ.items() if not key.startswith("HEFL_")}
            environment["HEFL_LOG_LEVEL"] = self._log_level
            with ENDING.held(), self.log_path(name).open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )

    def revive(self) -> tuple[str, ...]:
        """Restart, a few times each, the processes that a signal killed; not those that ended with an error."""
        # Popen reports death by signal N as -N
        killed = [name for name, process in self.processes.items() if (process.poll() or 0) < 0]
        able = tuple(name for name in killed if self._revivals[name] < MAX_REVIVALS)
        self._revivals.update(able)
        self.start(*able)
        return able

    def stop(self) -> None:
        """End every running process: SIGTERM first, then SIGKILL."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log_path(self, name: str) -> Path:
        """A party's log file."""
        return self.folder / f"{name}.log"

    def log(self, name: str) -> list[dict[str, object]]:
        """A party's log lines so far."""
        lines = self.log_path(name).read_text(encoding="utf-8").splitlines()
        return [found for line in lines if (found := _line(line)) is not None]

    def ended_badly(self) -> str:
        """The first party that ended with an error, and its last log line; empty if none did."""
        for name, process in self.processes.items():
            if process.poll():
                lines = self.log_path(name).read_text(encoding="utf-8").splitlines()
                return f"{name} ended with {process.returncode}: {lines[-1][-300:] if lines else 'it said nothing'}"
        return ""


def run_strict(
    experiment: Experiment, bus: EventBus, at_the_end: Callable[[OneMachine], None] = lambda machine: None
) -> RunResult:
    """Provision, start all services, wait for the end, read the results, clean up.

    ``at_the_end``: called before the directories are deleted.
    Raises: RuntimeUnavailable when a service ends with an error; as :func:`provision_all`.
    """
    started = time.perf_counter()
    experiment = experiment.but(dataset=shelf.resolve(experiment.dataset))
    with tempfile.TemporaryDirectory(prefix="hefl-strict-") as folder:
        bus.publish(Progress("making every party's keys, certificates and directory"))
        machine = OneMachine(experiment, Path(folder) / "parties")
        with _running(machine, machine.names):
            bus.publish(Progress("starting the services"))
            first = _follow(machine, bus)
        at_the_end(machine)
        return result_of(experiment.but(observed=False), machine, first - started)


@contextmanager
def _running(machine: OneMachine, names: Sequence[str]) -> Iterator[None]:
    try:
        machine.start(*names)
        yield
    finally:
        machine.stop()


def _follow(machine: OneMachine, bus: EventBus) -> float:
    """Wait for the coordinator to end, publishing its rounds. Returns the time at which the first round was over."""
    told, first = 0, 0.0
    while True:
        for name in machine.revive():
            bus.publish(Progress(f"the process of {name} was killed; it is started again"))
        ended = machine.processes[COORDINATOR].poll() is not None
        rounds = [line for line in machine.log(COORDINATOR) if line["event"] == "round"]
        for line in rounds[told:]:
            first = first or time.perf_counter()
            bus.publish(Progress(f"round {line['round']} of {machine.manifest.experiment.rounds}"))
        told = len(rounds)
        if failure := machine.ended_badly():
            raise RuntimeUnavailable(f"strict: {failure}")
        if ended:
            return first
        time.sleep(0.1)


def result_of(experiment: Experiment, machine: OneMachine, cold_start: float) -> RunResult:
    """The coordinator's result, with the clients' own results."""
    folder = machine.folder / COORDINATOR / FOLDER
    found = msgspec.json.decode((folder / RESULT).read_bytes())
    clients = [client_name(index + 1) for index in range(experiment.clients)]
    own = {name: {line.round: line for line in read_rounds(machine.folder / name)} for name in clients}
    rounds = msgspec.convert(found["rounds"], tuple[RoundResult, ...])
    return RunResult(
        experiment=experiment,
        runtime="strict",
        environment=Environment.here(),
        parameters=found["parameters"],
        key_id=found["key_id"],
        cold_start_seconds=cold_start,
        rounds=tuple(
            _with_own(item, {name: lines[item.round] for name, lines in own.items() if item.round in lines})
            for item in rounds
        ),
        insecure=experiment.insecure,
        shared_processes=(),
        transcript=Transcript.load(folder / TRANSCRIPT),
        table=TableNote.of(experiment.dataset),
    )


def _with_own(item: RoundResult, by_name: Mapping[str, RoundLine]) -> RoundResult:
    lines = list(by_name.values())
    models = tuple(sorted({line.model for line in lines}))
    spent = [one for line in lines for one in line.spent]
    found = replace(
        item,
        seconds=wall_phases(item.seconds.aggregate, spent, item.seconds.total),
        cpu_seconds=phases(item.cpu_seconds.aggregate, spent, "cpu_seconds"),
        clipped=_clipped([by_name[name].own_clip if name in by_name else None for name in item.contributors]),
    )
    if len(models) != 1:
        return replace(found, models=models)
    first = lines[0]
    return replace(
        found, accuracy=first.accuracy, loss=first.loss, metrics=first.metrics, model=models[0], models=models
    )


def _clipped(own: Sequence[OwnClip | None]) -> Clipped | None:
    """What the contributors cut, together; None where one did not write it down."""
    seen = [one for one in own if one is not None]
    if len(seen) < len(own):
        return None
    entries = [one.entries for one in seen]
    return Clipped(sum(one.shortened for one in seen), sum(count > 0 for count in entries), sum(entries))


def _line(text: str) -> dict[str, object] | None:
    """Parse a log line; None for an incomplete or foreign line."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port

"""Faults of a network: a plug pulled for a while, a slow line. In strict mode, each service in its own namespace.

Each fault has its own run, since a cut outlasts many quick rounds. It strikes when the coordinator's log shows that the
named message was sent, and is repaired after some seconds. The parties' own files are read afterwards, as by their owner.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from hefl_core.checks.faults.campaign import ALONE, FEWER, KEPT, LOST, RETRIED, TOGETHER, UNREACHED, WRONG, FaultOutcome
from hefl_core.checks.faults.faults import Fault
from hefl_core.checks.faults.judge import judge_last
from hefl_core.checks.faults.namespaces import Network, why_not, why_not_slow
from hefl_core.errors import IntegrityError
from hefl_core.federation.record.verify import verify
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name
from hefl_core.runtime.client_results import FOLDER, MODEL
from hefl_core.runtime.result import RunResult
from hefl_core.runtime.services.channel import KEEPALIVE_MS
from hefl_core.runtime.services.coordinator_server import ABSENCE_SECONDS, STEP_DEADLINE_SECONDS
from hefl_core.runtime.services.one_machine import OneMachine, result_of
from hefl_core.runtime.services.provision import party_names

CUT, BLINK, SLOW = "plug pulled", "plug out and in", "slow line"
KINDS: Final = (CUT, BLINK, SLOW)
POINTS: Final = ("plan", "commitment", "commitments", "update", "sum", "confirmation")
SECONDS: Final = {CUT: 45.0, BLINK: 2.0, SLOW: 3.0}
"""Duration. A cut outlasts the coordinator's wait for an absent party; the others do not."""
AWAY_SECONDS: Final = 2 * KEEPALIVE_MS / 1000 + ABSENCE_SECONDS
"""An unanswered ping reveals a silent line; then the party has some time to come back."""
PATIENCE_SECONDS: Final = STEP_DEADLINE_SECONDS + 60
ROUNDS: Final = 3


def skipped() -> tuple[tuple[str, str], ...]:
    """The faults that cannot be made on this machine, and why."""
    if reason := why_not():
        return tuple((kind, reason) for kind in KINDS)
    reason = why_not_slow()
    return ((SLOW, reason),) if reason else ()


def network_faults(seed: int, count: int) -> Iterator[FaultOutcome]:
    """Run ``count`` experiments with one fault each, of every possible kind, under both custodies in turn."""
    rng = random.Random(seed)
    missing = dict(skipped())
    kinds = [kind for kind in KINDS if kind not in missing]
    for number in range(count if kinds else 0):
        kind, together = kinds[number % len(kinds)], number // len(kinds) % 2 == 1
        client = client_name(rng.randint(1, ALONE.clients))
        # coordinator, auditor and KMS have no substitute, so the round waits for them; only a client can be left out
        party = client if kind == CUT else rng.choice([client, COORDINATOR, AUDITOR, KMS])
        yield one_network_fault(Fault(party, rng.choice(POINTS), kind, rng.randint(1, 2)), together=together)


def one_network_fault(fault: Fault, *, together: bool) -> FaultOutcome:
    """Run with ``fault`` after its message in round ``occurrence``, and classify the outcome.

    Raises: RuntimeUnavailable when there are no namespaces.
    """
    experiment = (TOGETHER if together else ALONE).but(rounds=ROUNDS, observed=False)
    names = party_names(experiment.clients)
    with tempfile.TemporaryDirectory(prefix="hefl-network-") as folder, Network(names) as network:
        machine = OneMachine(experiment, Path(folder) / "parties", network, log_level="debug")
        try:
            machine.start(*names)
            watch = _Watch(machine, network, fault)
            error = watch.until_the_end()
            result = None if error else result_of(experiment, machine, 0.0)
        finally:
            machine.stop()
        return _outcome(fault, machine, result, error, watch)


class _Watch:
    """Follows the coordinator's log: strikes, repairs, and notes the longest silence after the fault."""

    def __init__(self, machine: OneMachine, network: Network, fault: Fault) -> None:
        self._machine, self._network, self._fault = machine, network, fault
        self._lines = 0
        self._since: float | None = None
        self.standstill = 0.0
        self.mended = True
        self.struck: float | None = None

    def until_the_end(self) -> str:
        """Wait for the coordinator to end. Returns the failure, or ''."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            ended = self._machine.processes[COORDINATOR].poll() is not None
            self._read()
            self._mend_when_due()
            if failure := self._machine.ended_badly():
                return failure
            if ended:
                return ""
            time.sleep(0.02)
        return f"no end within {PATIENCE_SECONDS:.0f} s"

    def _read(self) -> None:
        now = time.monotonic()
        lines = self._machine.log(COORDINATOR)
        new, self._lines = lines[self._lines :], len(lines)
        sent = [line for line in new if line["event"] == "sent"]
        if sent and self._since is not None:
            self.standstill, self._since = max(self.standstill, now - self._since), now
        if self.struck is None and any(self._is_it(line) for line in sent):
            self._strike(now)

    def _is_it(self, line: dict[str, object]) -> bool:
        return line["step"] == self._fault.point and line["round"] == self._fault.occurrence

    def _strike(self, now: float) -> None:
        (self._network.slow if self._fault.kind == SLOW else self._network.cut)(self._fault.party)
        self.struck = self._since = now
        self.mended = False

    def _mend_when_due(self) -> None:
        if self.struck is not None and not self.mended:
            if time.monotonic() - self.struck >= SECONDS[self._fault.kind]:
                self._network.heal(self._fault.party)
                self.mended = True


def _outcome(fault: Fault, machine: OneMachine, result: RunResult | None, error: str, watch: _Watch) -> FaultOutcome:
    wrong, distance = "", 0.0
    if result is not None:
        wrong, distance = _wrong(machine, result)
    if watch.struck is None:
        kind = UNREACHED
    elif wrong:
        kind = WRONG
    elif result is None or len(result.rounds) < ROUNDS:
        kind = LOST
    elif any(item.attempts > 1 for item in result.rounds):
        kind = RETRIED
    else:
        missed = any(len(item.contributors) < result.experiment.clients for item in result.rounds)
        kind = FEWER if missed else KEPT
    experiment = machine.manifest.experiment
    return FaultOutcome(
        fault=fault,
        where="network namespaces",
        custody=experiment.custody,
        result=kind,
        detail=wrong or error,
        rounds_checked=len(result.rounds) if result else 0,
        attempts=max((item.attempts for item in result.rounds), default=0) if result else 0,
        max_error=distance,
        recovery_seconds=max(0.0, watch.standstill - _allowance(fault)),
    )


def _allowance(fault: Fault) -> float:
    """Duration of the fault itself, or of the deadline after which the run continues without the party."""
    return SECONDS[fault.kind] if fault.kind != CUT else AWAY_SECONDS


def _wrong(machine: OneMachine, result: RunResult) -> tuple[str, float]:
    """What is wrong with a completed run, and the last model's distance from plain FedAvg."""
    numbers = [item.round for item in result.rounds]
    if numbers != list(range(1, len(numbers) + 1)):
        return f"rounds recorded as {numbers}", 0.0
    try:
        verify(result.transcript)
    except IntegrityError as found:
        return f"the transcript does not verify: {found}", 0.0
    name = result.rounds[-1].contributors[0]
    model = np.load(machine.folder / name / FOLDER / MODEL, allow_pickle=False)
    distance, allowed = judge_last(result.experiment, machine.manifest, result.rounds, model)
    if not distance <= allowed:
        return f"the last model is off by {distance:.3g}; allowed {allowed:.3g}", distance
    apart = any(item.model is None for item in result.rounds)
    return ("the clients have different models" if apart else ""), distance

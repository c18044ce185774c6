"""Many runs with one fault each, checked: what became of the round, and whether the model is still right."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from hefl_core.checks.faults.faults import LIES, Disk, Fault, Injector, Victim, all_faults
from hefl_core.checks.faults.judge import judge
from hefl_core.errors import HeflError, IntegrityError
from hefl_core.federation.record.verify import verify
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name
from hefl_core.keys.custody import Custody
from hefl_core.keys.identity import Identity
from hefl_core.keys.roster import Member
from hefl_core.keys.vault.store import KeyStore
from hefl_core.runtime import stage
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment, Manifest

ALONE: Final = Experiment(dataset="digits", model="logistic", clients=4, rounds=3, epoch_rounds=2, scheme="bfv-lean")
TOGETHER: Final = ALONE.but(scheme="INSECURE_bfv-threshold-1024", custody="2-of-4")
NO_DEALER: Final = TOGETHER.but(custody="dealer-free:2-of-4")
ONE_TIME: Final = TOGETHER.but(scheme="INSECURE_onetime-1024", bound=0.25)  # the judge knows no adaptive bound
"""Small and quick: faults concern the protocol, which is the same for large parameters."""

KEPT, FEWER, RETRIED, STOPPED = "nothing lost", "went on without", "another attempt", "stopped by name"
LOST, WRONG, UNREACHED = "LOST", "WRONG", "not reached"


@dataclass(frozen=True, slots=True)
class FaultOutcome:
    """One fault and its run's outcome. ``recovery_seconds``: the longest standstill after the fault, beyond a deadline.

    ``refusals``: how many messages the parties counted as refused or had already.
    """

    fault: Fault
    where: str
    custody: str
    result: str
    detail: str
    rounds_checked: int
    attempts: int
    max_error: float
    recovery_seconds: float
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """A campaign. ``skipped``: faults that cannot be made on this machine, with the reason."""

    seed: int
    seconds: float
    deadline_seconds: float
    outcomes: tuple[FaultOutcome, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Number of faults by result."""
        return dict(Counter(outcome.result for outcome in self.outcomes))

    @property
    def broken(self) -> tuple[FaultOutcome, ...]:
        """The runs that broke the promise."""
        return tuple(outcome for outcome in self.outcomes if outcome.result in (LOST, WRONG))

    def to_json(self) -> str:
        """The report as JSON, with the counts."""
        parts = {"counts": self.counts, "kept": not self.broken} | {f.name: getattr(self, f.name) for f in fields(self)}
        return msgspec.json.format(msgspec.json.encode(parts), indent=1).decode()


def local_faults(seed: int, count: int, *, durable: bool = True) -> Iterator[FaultOutcome]:
    """Run ``count`` experiments in this process, one fault each, spread over all parties, points and kinds.

    ``durable`` False removes the parties' stores: the positive control, in which rounds must be lost.
    """
    rng = random.Random(seed)
    todo: list[tuple[Experiment, Fault]] = []
    while len(todo) < count:
        some = [
            (experiment, fault)
            for experiment in (ALONE, TOGETHER, NO_DEALER, ONE_TIME)
            for fault in all_faults(experiment.clients, rng, Custody.parse(experiment.custody, experiment.clients))
        ]
        todo += sorted(some, key=lambda _: rng.random())
    for experiment, fault in todo[:count]:
        yield one_fault(experiment, fault, random.Random(rng.random()), durable=durable)


def one_fault(experiment: Experiment, fault: Fault, rng: random.Random, *, durable: bool = True) -> FaultOutcome:
    """Run with one fault and classify the outcome."""
    injector = Injector(fault, rng)
    run = Run(experiment, stage=disturbed_stage(injector, durable=durable))
    standstill, last = 0.0, 0.0
    error: Exception | None = None
    with closing(run):
        try:
            for _ in run.steps():
                now = time.monotonic()
                if injector.fired is not None:
                    standstill, last = max(standstill, now - max(last, injector.fired)), now
        except Exception as found:  # any error here loses the round
            error = found
        return _outcome(run, injector, experiment, error, standstill)


def _outcome(
    run: Run, injector: Injector, experiment: Experiment, error: Exception | None, standstill: float
) -> FaultOutcome:
    fault, verdict = injector.fault, judge(run)
    wrong = [
        *(f"round {n}: {what}" for n, what in verdict.wrong),
        *(f"a letter that was {kind} was accepted" for kind in injector.accepted),
    ]
    if fault.kind in LIES and injector.fired and not injector.refused:
        wrong.append(f"a letter that was {fault.kind} was not refused")
    done = len(run.rounds)
    if error is None:
        try:
            verify(run.transcript)
        except IntegrityError as found:
            wrong.append(f"the transcript does not verify: {found}")
    if injector.fired is None:
        result, detail = UNREACHED, ""
    elif wrong:
        result, detail = WRONG, "; ".join(wrong)
    elif isinstance(error, HeflError) and _hopeless(fault, experiment):
        result, detail = STOPPED, f"after {done} rounds: {type(error).__name__}: {error}"
    elif error is not None or done < experiment.rounds:
        result, detail = LOST, f"after {done} rounds: {type(error).__name__}: {error}"
    elif any(item.attempts > 1 for item in run.rounds):
        result, detail = RETRIED, ""
    elif any(len(item.contributors) < experiment.clients for item in run.rounds):
        result, detail = FEWER, ""
    else:
        result, detail = KEPT, ""
    return FaultOutcome(
        fault=fault,
        where="objects",
        custody=experiment.custody,
        result=result,
        detail=detail,
        rounds_checked=verdict.checked,
        attempts=max((item.attempts for item in run.rounds), default=0),
        max_error=verdict.max_error,
        recovery_seconds=standstill,
        refusals=len(injector.refused),
    )


def _hopeless(fault: Fault, experiment: Experiment) -> bool:
    """Whether no run can survive: these three have no substitute for a destroyed store, and a dealer-free key needs all."""
    needs_all = Custody.parse(experiment.custody, experiment.clients).dealer_free
    return fault.kind == "store" and (needs_all or fault.party in (KMS, COORDINATOR, AUDITOR))


def disturbed_stage(injector: Injector, *, durable: bool = True) -> stage.Runtime:
    """The durable local stage (restart.py) with an injector in front of every party."""

    def open_stage(manifest: Manifest, observer: Member | None) -> stage.Stage:
        folder = tempfile.TemporaryDirectory(prefix="hefl-faults-")
        home = Path(folder.name)
        made: dict[str, Victim] = {}

        def settle(name: str, make: Callable[[KeyStore], Any]) -> Any:
            def store() -> KeyStore:
                return stage.open_store(home, name, Disk) if durable else Disk()

            made[name] = Victim(name, home / f"{name}.db", store, make, injector)
            return made[name]

        def client(index: int) -> Any:
            return settle(client_name(index), lambda store: stage.make_client(manifest, root, index, observer, store))

        def close() -> None:
            for party in made.values():
                party.release()
            folder.cleanup()

        injector.signer = lambda name: cast(Identity, made[name]._party.identity)
        kms = settle(KMS, lambda store: stage.make_kms(manifest, store))
        root = kms.member
        coordinator = settle(COORDINATOR, lambda store: stage.make_coordinator(manifest, root, store))
        auditor = settle(AUDITOR, lambda store: stage.make_auditor(manifest, root, store))
        clients = tuple(client(index) for index in range(1, manifest.experiment.clients + 1))
        return stage.local_stage_of(kms, coordinator, auditor, clients, manifest, close)

    return open_stage

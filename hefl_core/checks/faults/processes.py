"""Faults that only processes suffer: SIGKILL and SIGSTOP, on Ray, and a carrier that repeats or delays letters.

All faults share one run, one per round, so that Ray starts once. A fault strikes right after the named message was
delivered, while the next step is under way.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Final

from hefl_core.checks.faults.campaign import ALONE, FEWER, KEPT, LOST, RETRIED, UNREACHED, WRONG, FaultOutcome
from hefl_core.checks.faults.faults import SLOW_SECONDS, Fault
from hefl_core.checks.faults.judge import judge
from hefl_core.errors import HeflError, IntegrityError
from hefl_core.federation.record.transcript import Sent
from hefl_core.federation.record.verify import verify
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name
from hefl_core.keys.roster import Member
from hefl_core.runtime import stage
from hefl_core.runtime.events import EventBus
from hefl_core.runtime.ray.actors import RayRuntime
from hefl_core.runtime.ray.carrier import PID_FILE, RayCarrier, RemoteParty
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment, Manifest
from hefl_core.terms.letter import Letter

DEADLINE_SECONDS: Final = 4.0
KILL, STOP, TWICE, SLOW = "SIGKILL", "SIGSTOP", "twice", "slow"
KINDS: Final = (KILL, KILL, STOP, TWICE, SLOW)
KEY_POINTS: Final = ("roster", "epoch", "share")
ROUND_POINTS: Final = ("plan", "commitment", "commitments", "update", "sum", "confirmation", "receipt")
WORKING_SECONDS: Final = 0.02
"""A signal comes up to this long after the message, to hit the next step at work."""


def process_faults(seed: int, count: int, deadline_seconds: float = DEADLINE_SECONDS) -> Iterator[FaultOutcome]:
    """Inject ``count`` faults into one run of as many rounds. Raises: RuntimeUnavailable when Ray does not come up."""
    rng = random.Random(seed)
    experiment = ALONE.but(rounds=count, epoch_rounds=3)
    faults = {number: draw(rng, number, experiment) for number in range(1, count + 1)}
    disturbed = Disturbed(experiment, faults, rng, deadline_seconds)
    for _ in disturbed.steps():
        pass
    yield from disturbed.outcomes()


def draw(rng: random.Random, number: int, experiment: Experiment) -> Fault:
    """Draw a fault for one round. The KMS is struck only while it works: when a key begins."""
    key = (number - 1) % (experiment.epoch_rounds or experiment.rounds) == 0 and rng.random() < 2 / 3
    parties = (COORDINATOR, AUDITOR, client_name(rng.randint(1, experiment.clients)), *((KMS,) if key else ()))
    return Fault(rng.choice(parties), rng.choice(KEY_POINTS if key else ROUND_POINTS), rng.choice(KINDS), number)


class Disturbed:
    """A run on Ray with at most one fault per round. ``faults``: by round; its point is passed once in a round."""

    def __init__(
        self,
        experiment: Experiment,
        faults: Mapping[int, Fault],
        rng: random.Random,
        deadline_seconds: float = DEADLINE_SECONDS,
        clients_per_host: int = 1,
    ) -> None:
        self.faults, self.rng, self.deadline_seconds = faults, rng, deadline_seconds
        self.error: HeflError | None = None
        self._noise = Noise()
        runtime = RayRuntime(clients_per_host, EventBus(), deadline_seconds)
        self.run = Run(experiment, "ray", stage=_noisy(runtime, self._noise))
        self._fired: dict[int, float] = {}
        self._standstill: dict[int, float] = {}

    def steps(self) -> Iterator[Sent]:
        """Every message of the disturbed run; an error ends it and is kept. The processes end with it."""
        last = 0.0
        with closing(self.run):
            try:
                for sent in self.run.steps():
                    now = time.monotonic()
                    if self._fired:
                        newest = max(self._fired)
                        stood = now - max(last, self._fired[newest])
                        self._standstill[newest] = max(self._standstill.get(newest, 0.0), stood)
                    last = now
                    self._strike(sent)
                    yield sent
            except HeflError as error:
                self.error = error

    def _strike(self, sent: Sent) -> None:
        number = len(self.run.rounds) + 1
        fault = self.faults.get(number)
        if fault is None or number in self._fired or fault.point != sent.step:
            return
        self._fired[number] = time.monotonic()
        if fault.kind in (KILL, STOP):
            pid = int((self.party(fault.party).home / PID_FILE).read_text())
            what = signal.SIGKILL if fault.kind == KILL else signal.SIGSTOP
            threading.Timer(self.rng.uniform(0, WORKING_SECONDS), _signal, (pid, what)).start()
        else:
            self._noise.kind = fault.kind

    def party(self, name: str) -> RemoteParty:
        """A party by its name."""
        return next(party for party in self.everybody if party.name == name)

    @property
    def everybody(self) -> tuple[RemoteParty, ...]:
        """All parties of the run."""
        parties = self.run.parties
        found: Any = (parties.kms, parties.coordinator, parties.auditor, *parties.clients)
        return tuple(found)

    def outcomes(self) -> list[FaultOutcome]:
        """Each fault's outcome, once the run is over."""
        verdict = judge(self.run)
        wrong = dict(verdict.wrong)
        if self.error is None:
            try:
                verify(self.run.transcript)
            except IntegrityError as found:
                wrong[max(self.faults)] = f"the transcript does not verify: {found}"
        return [self._outcome(number, fault, wrong, verdict.max_error) for number, fault in self.faults.items()]

    def _outcome(self, number: int, fault: Fault, wrong: Mapping[int, str], max_error: float) -> FaultOutcome:
        rounds = self.run.rounds
        item = rounds[number - 1] if number <= len(rounds) else None
        detail = ""
        if number in wrong:
            result, detail = WRONG, wrong[number]
        elif item is None:
            result, detail = LOST, f"{type(self.error).__name__}: {self.error}"
        elif number not in self._fired:
            result = UNREACHED
        elif item.attempts > 1:
            result = RETRIED
        else:
            result = FEWER if len(item.contributors) < self.run.experiment.clients else KEPT
        beyond = self._standstill.get(number, 0.0) - (self.deadline_seconds if fault.kind == STOP else 0.0)
        return FaultOutcome(
            fault=replace(fault, occurrence=1),
            where="processes",
            custody=self.run.experiment.custody,
            result=result,
            detail=detail,
            rounds_checked=int(item is not None),
            attempts=item.attempts if item else 0,
            max_error=max_error,
            recovery_seconds=max(0.0, beyond),
        )


def _signal(pid: int, what: signal.Signals) -> None:
    """Send a signal; a process that has ended needs none."""
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return


class Noise:
    """The fault for the next letter; '' for none."""

    kind = ""


class NoisyCarrier(RayCarrier):
    """A carrier that delivers its next letter twice, or late but within the deadline, as ``noise`` says."""

    def __init__(self, deadline_seconds: float, noise: Noise) -> None:
        super().__init__(deadline_seconds)
        self._noise = noise

    def deliver(self, letter: Letter, to: Sequence[RemoteParty]) -> Iterator[tuple[RemoteParty, HeflError | None]]:
        """As :class:`RayCarrier`."""
        kind, self._noise.kind = self._noise.kind, ""
        if kind == TWICE:
            list(super().deliver(letter, to))
        if kind == SLOW:
            time.sleep(SLOW_SECONDS * 10)
        yield from super().deliver(letter, to)


def _noisy(runtime: RayRuntime, noise: Noise) -> stage.Runtime:
    def open_stage(manifest: Manifest, observer: Member | None) -> stage.Stage:
        set_up = runtime(manifest, observer)
        return replace(set_up, carrier=NoisyCarrier(runtime.deadline_seconds, noise))

    return open_stage

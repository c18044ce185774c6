"""A blindness test in the background, for a screen: progress, cancel, and what it found."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hefl_core.app.job import Job
from hefl_core.checks.blindness.examination import full_test, look_at
from hefl_core.federation.experiment import Experiment
from hefl_core.probes.findings import Blindness
from hefl_core.runtime.events import EventBus, Progress
from hefl_core.runtime.result import RoundResult, RunResult
from hefl_core.runtime.run import Run

FULL_ROUNDS = 20
Conduct = Callable[[EventBus, threading.Event], Blindness]


class BlindnessJob(Job):
    """One test. ``found`` is None until it is over; what a cancelled one saw until then proves nothing."""

    def __init__(self, conduct: Conduct, rounds: int = 0) -> None:
        super().__init__("blindness test")
        self.found: Blindness | None = None
        self._conduct, self._rounds = conduct, rounds
        self._bus = EventBus()

    @property
    def full(self) -> bool:
        """Whether it runs rounds of its own, or looks into a run that is there."""
        return self._rounds > 0

    @property
    def progress(self) -> Progress:
        """The last word, and how far: rounds of a full test, else what the steps say of themselves."""
        events, _ = self._bus.since(0)
        done = sum(isinstance(event, RoundResult) for event in events)
        said = [event for event in events if isinstance(event, Progress)]
        if self.full and 0 < done < self._rounds:
            return Progress(f"{done} of {self._rounds} rounds, two looks in each", done / (self._rounds + 1))
        text = said[-1].text if said else "starting"
        last = said[-1].fraction if said else None
        return Progress(text, min(0.99, last or 0.0) if not self.full or done else 0.0)

    def work(self) -> None:
        """Conduct it."""
        self.found = self._conduct(self._bus, self._cancel)


def of_run(run: Run, result: RunResult) -> BlindnessJob:
    """One look into the processes of a run that is over."""
    return BlindnessJob(lambda bus, cancel: look_at(run, result, bus, cancel))


def of_experiment(experiment: Experiment) -> BlindnessJob:
    """The whole test: rounds of its own, every party alone in a process, two looks in each round."""
    longer = experiment.but(rounds=max(FULL_ROUNDS, experiment.rounds))
    return BlindnessJob(lambda bus, cancel: full_test(longer, bus=bus, cancel=cancel)[1], longer.rounds)

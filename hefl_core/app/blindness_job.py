"""A blindness test in the background, for a page: progress, cancel, and the result."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hefl_core.app.job import Job
from hefl_core.checks.blindness.examination import full_test, look_at
from hefl_core.probes.findings import Blindness
from hefl_core.runtime.events import EventBus, Progress
from hefl_core.runtime.result import RoundResult, RunResult
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment

FULL_ROUNDS = 20
Conduct = Callable[[EventBus, threading.Event], Blindness]


class BlindnessJob(Job):
    """One test. ``found`` is None until it is over; a cancelled test proves nothing."""

    def __init__(self, conduct: Conduct, rounds: int = 0) -> None:
        super().__init__("blindness test")
        self.found: Blindness | None = None
        self._conduct, self._rounds = conduct, rounds
        self._bus = EventBus()

    @property
    def full(self) -> bool:
        """Whether it runs its own rounds, instead of examining an existing run."""
        return self._rounds > 0

    @property
    def progress(self) -> Progress:
        """The last message and the fraction done: by rounds for a full test, else as the steps report it."""
        events, _ = self._bus.since(0)
        done = sum(isinstance(event, RoundResult) for event in events)
        said = [event for event in events if isinstance(event, Progress)]
        if self.full and 0 < done < self._rounds:
            return Progress(f"{done} of {self._rounds} rounds, two looks in each", done / (self._rounds + 1))
        text = said[-1].text if said else "starting"
        last = said[-1].fraction if said else None
        return Progress(text, min(0.99, last or 0.0) if not self.full or done else 0.0)

    def work(self) -> None:
        """Run the test."""
        self.found = self._conduct(self._bus, self._cancel)


def of_run(run: Run, result: RunResult) -> BlindnessJob:
    """One search of a finished run's processes."""
    return BlindnessJob(lambda bus, cancel: look_at(run, result, bus, cancel))


def of_experiment(experiment: Experiment) -> BlindnessJob:
    """The full test: its own rounds, every party alone in a process, two searches in each round."""
    longer = experiment.but(rounds=max(FULL_ROUNDS, experiment.rounds))
    return BlindnessJob(lambda bus, cancel: full_test(longer, bus=bus, cancel=cancel)[1], longer.rounds)

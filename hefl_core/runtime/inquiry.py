"""A blindness test in the background, for a screen: progress, cancel, and what it found."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hefl_core.errors import HeflError, RuntimeUnavailable
from hefl_core.federation.experiment import Experiment
from hefl_core.runtime.blindness import Blindness, full_test, look_at
from hefl_core.runtime.events import EventBus, Progress
from hefl_core.runtime.result import RoundResult, RunResult
from hefl_core.runtime.run import Run

FULL_ROUNDS = 20
Conduct = Callable[[EventBus, threading.Event], Blindness]


class Inquiry:
    """One test in a thread. ``found`` is None until it is over, ``error`` is what stopped it."""

    def __init__(self, conduct: Conduct, rounds: int = 0) -> None:
        self.found: Blindness | None = None
        self.error: HeflError | None = None
        self._conduct, self._rounds = conduct, rounds
        self._bus, self._cancel = EventBus(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="inquiry", daemon=True)

    @property
    def full(self) -> bool:
        """Whether it runs rounds of its own, or looks into a run that is there."""
        return self._rounds > 0

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self._thread.is_alive()

    @property
    def cancelled(self) -> bool:
        """Whether its audience ended it."""
        return self._cancel.is_set()

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

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self) -> None:
        """End it at its next look; what it saw until then proves nothing."""
        self._cancel.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end; whether it came in time."""
        self._thread.join(seconds)
        return not self.running

    def _work(self) -> None:
        try:
            self.found = self._conduct(self._bus, self._cancel)
        except HeflError as error:
            self.error = error
        except Exception as error:  # a process that was freed meanwhile, in Ray's words
            self.error = RuntimeUnavailable(f"blindness test: stopped by {type(error).__name__}; start it again")


def of_run(run: Run, result: RunResult) -> Inquiry:
    """One look into the processes of a run that is over."""
    return Inquiry(lambda bus, cancel: look_at(run, result, bus, cancel))


def of_experiment(experiment: Experiment) -> Inquiry:
    """The whole test: rounds of its own, every party alone in a process, two looks in each round."""
    longer = experiment.but(rounds=max(FULL_ROUNDS, experiment.rounds))
    return Inquiry(lambda bus, cancel: full_test(longer, bus=bus, cancel=cancel)[1], longer.rounds)

"""One experiment under several schemes, and its baselines: plain FedAvg, each client alone, all data in one place."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hefl_core.app.job import Job
from hefl_core.evaluation import Evaluation
from hefl_core.federation.experiment import Experiment
from hefl_core.figures.training import Curve, Point
from hefl_core.learning.base import LocalTraining
from hefl_core.learning.baselines import centralised, each_alone
from hefl_core.learning.trainers import open_trainer
from hefl_core.runtime.client_home import dealt_data, initial_parameters
from hefl_core.runtime.result import RunResult
from hefl_core.runtime.run import Run
from hefl_core.schemes.registry import load_preset

PLAIN = "plain FedAvg"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice:
    """The trainings to compare."""

    schemes: tuple[str, ...]
    alone: bool = True
    centralised: bool = True


class Comparison(Job):
    """Trainings one after another; ``curves`` grows while they run. All with the NumPy trainer.

    ``results`` holds the finished federated runs. Cancelling takes effect after the round under way.
    """

    def __init__(self, experiment: Experiment, choice: Choice) -> None:
        super().__init__("comparison")
        self.experiment, self.choice = experiment.but(trainer="numpy"), choice
        self.curves: dict[str, Curve] = {}
        self.results: dict[str, RunResult] = {}

    @property
    def progress(self) -> float:
        """Fraction of the encrypted and plain trainings' rounds that are done: 0..1."""
        wanted = (1 + len(self.choice.schemes)) * self.experiment.rounds
        return min(1.0, sum(len(curve.points) for curve in self._federated()) / wanted)

    def _federated(self) -> Sequence[Curve]:
        return [curve for name, curve in self.curves.items() if name == PLAIN or name in self.choice.schemes]

    def work(self) -> None:
        """Run all trainings."""
        self._federate(PLAIN, self._under("plaintext"))
        if self.choice.alone:
            self._alone()
        for scheme in self.choice.schemes:
            self._federate(scheme, self._under(scheme))
        if self.choice.centralised:
            self._centralised()

    def _under(self, scheme: str) -> Experiment:
        """The experiment under another scheme; what only its own scheme knows is left to the other one's default."""
        fits = self.experiment.bound != "adaptive" or load_preset(scheme).family in ("bfv", "paillier", "onetime")
        bound = self.experiment.bound if fits else None
        return self.experiment.but(scheme=scheme, custody="individual", bound=bound)

    def _federate(self, name: str, experiment: Experiment) -> None:
        """Run the protocol; each round's result becomes a point when it arrives."""
        run, started = Run(experiment, "local"), time.perf_counter()
        points: list[Point] = []
        for _ in run.steps():
            if self.cancelled:
                return
            self._take(name, run, points, started)
        self._take(name, run, points, started)
        self.results[name] = run.result()

    def _take(self, name: str, run: Run, points: list[Point], started: float) -> None:
        """Turn the rounds finished since the last call into points."""
        for result in run.rounds[len(points) :]:
            sent = (points[-1].megabytes if points else 0.0) + result.bytes.upload_per_client / 1e6
            seconds = time.perf_counter() - started
            accuracy, loss = result.accuracy or 0.0, result.loss or 0.0
            points.append(Point(result.round, accuracy, loss, sent, seconds, result.metrics))
            self.curves[name] = Curve(name, tuple(points), control=name == PLAIN)

    def _alone(self) -> None:
        """Keep the best and the worst client alone: more lines would show less."""
        rows = self._baseline(each_alone)
        ordered = sorted(rows, key=lambda row: row[-1].accuracy)
        self.curves["best client alone"] = _curve("best client alone", ordered[-1])
        self.curves["worst client alone"] = _curve("worst client alone", ordered[0])

    def _centralised(self) -> None:
        self.curves["all data in one place"] = _curve("all data in one place", self._baseline(centralised))

    def _baseline(self, train: Callable[..., T]) -> T:
        e, whole = self.experiment, dealt_data(self.experiment)
        trainer = open_trainer("numpy", whole.model)
        theta = initial_parameters(whole.manifest(e))
        how = LocalTraining(e.local_epochs, e.batch, e.learning_rate, e.seed)
        return train(trainer, theta, whole.parts, whole.dataset.test, e.rounds, how)


def _curve(name: str, evaluations: Sequence[Evaluation]) -> Curve:
    points = (
        Point(number, one.accuracy, one.loss, metrics=one.metrics) for number, one in enumerate(evaluations, start=1)
    )
    return Curve(name, tuple(points))

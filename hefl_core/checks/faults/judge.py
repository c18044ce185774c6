"""Check a disturbed run: every round once, and each model equal to plain FedAvg over its contributors.

The reference is computed here without any party: every contributor's training is repeated from the model before the round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hefl_core.federation.client import Observation
from hefl_core.learning.base import Parameters
from hefl_core.runtime.client_home import home_of, initial_parameters
from hefl_core.runtime.result import RoundResult
from hefl_core.runtime.run import Run
from hefl_core.schemes.registry import open_scheme
from hefl_core.terms.experiment import Experiment, Manifest

FLOAT32_STEPS = 4 * float(np.finfo(np.float32).eps)
"""θ is kept in float32: relative rounding of one addition and its conversions."""


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """``wrong``: rounds and reasons, empty when all are right. ``checked``: rounds compared with the reference.

    ``unseen``: rounds whose model no client could show, checked by digest and through the next round only.
    """

    wrong: tuple[tuple[int, str], ...]
    checked: int
    unseen: int
    max_error: float


def judge(run: Run) -> RunVerdict:
    """Check all rounds that a run reports; whether it reports all that the experiment asked for is another question."""
    experiment = run.experiment
    wrong = [(item.round, f"recorded as round {n}") for n, item in enumerate(run.rounds, 1) if item.round != n]
    theta = initial_parameters(run.transcript.manifest)
    checked, unseen, largest, carried = 0, 0, 0.0, 0.0
    for item in run.rounds:
        seen = run.observer.observations[item.round]
        expected = step(experiment, theta, item)
        found = _model(seen)
        if len({one.theta_digest for one in seen}) > 1:
            wrong.append((item.round, "the clients have different models"))
        rounding = FLOAT32_STEPS * float(np.max(np.abs(expected)))
        allowed = carried + _allowed(experiment, run.transcript.manifest, item) + rounding
        if found is None:
            # θ is the reference itself now: this round's error is still in the next model that is seen, and in no later one
            theta, unseen, carried = expected, unseen + 1, allowed
            continue
        error = float(np.max(np.abs(found.astype(np.float64) - expected)))
        if not error <= allowed:  # written so that NaN counts as wrong
            names = ", ".join(item.contributors)
            wrong.append((item.round, f"off by {error:.3g} from the plain mean of {names}; allowed {allowed:.3g}"))
        theta, checked, largest, carried = found, checked + 1, max(largest, error), 0.0
    return RunVerdict(tuple(wrong), checked, unseen, largest)


def step(experiment: Experiment, theta: Parameters, item: RoundResult) -> Parameters:
    """One round of plain FedAvg over the recorded contributors, each counted once. Shapes: float32 (d,)."""
    homes = [home_of(experiment, int(name.removeprefix("client-"))) for name in item.contributors]
    examples = sum(home.examples for home in homes)
    mean = np.zeros(theta.size)
    for home in homes:
        update = home.train(theta, item.round).astype(np.float64) - theta.astype(np.float64)
        mean += update * (home.examples / examples)
    return (theta.astype(np.float64) + mean).astype(np.float32)


def _model(seen: tuple[Observation, ...]) -> Parameters | None:
    shown = next((one.theta for one in seen if one.theta), None)
    return None if shown is None else np.frombuffer(shown, dtype=np.float32)


def judge_last(
    experiment: Experiment, manifest: Manifest, rounds: Sequence[RoundResult], model: Parameters
) -> tuple[float, float]:
    """The last model's distance from plain FedAvg over every round's contributors, and the allowed distance.

    For remote parties, whose earlier models are known by digest only. Shapes: ``model`` float32 (d,).
    """
    theta = initial_parameters(manifest)
    allowed = 0.0
    for item in rounds:
        theta = step(experiment, theta, item)
        allowed += _allowed(experiment, manifest, item) + FLOAT32_STEPS * float(np.max(np.abs(theta)))
    return float(np.max(np.abs(model.astype(np.float64) - theta))), allowed


def _allowed(experiment: Experiment, manifest: Manifest, item: RoundResult) -> float:
    """The scheme's stated bound on the error of this round's mean."""
    examples = sum(home_of(experiment, int(name.removeprefix("client-"))).examples for name in item.contributors)
    bound = experiment.declared_bound
    if bound is None:
        raise ValueError("judge: expected a fixed bound")
    scheme = open_scheme(experiment.preset.name)
    of_sum = scheme.sum_error(bound, len(item.contributors), experiment.clients) * manifest.error_factor
    return of_sum * manifest.examples_max / examples + 1e-12

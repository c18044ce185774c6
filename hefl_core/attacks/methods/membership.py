"""Membership inference: was this record in the training data? From one update, a sum of updates, the finished model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hefl_core.attacks.methods.label_leak import own_gradients, probabilities
from hefl_core.attacks.view import MODEL, Doubles, View
from hefl_core.errors import ParameterError
from hefl_core.ids import digest
from hefl_core.learning.base import Examples, LocalTraining, Parameters
from hefl_core.learning.numpy_trainer import NumpyTrainer

RIDGE = 1e-6
"""Damping of the normal equations relative to their trace: candidates' gradients are close to dependent."""


def by_gradients(view: View, candidates: Examples) -> Doubles:
    """One score per candidate: its weight in the combination of candidates' gradients that explains the update best.

    Shapes: (n,); larger means more likely a member. Works while there are fewer candidates than parameters.
    Source: least squares over per-example gradients, after Melis 2019, section 4 and Ngo 2024 (2403.17775), section 3.
    """
    gradients = own_gradients(view, candidates.features, candidates.labels)
    observed = -view.update() / view.public.learning_rate
    gram = gradients @ gradients.T  # n × n normal equations in place of d × d: n < d
    gram += RIDGE * (np.trace(gram) / len(gram)) * np.eye(len(gram))
    return np.asarray(np.linalg.solve(gram, gradients @ observed))


def confidence(parameters: Parameters, view: View, candidates: Examples) -> Doubles:
    """Logit of the probability that a model gives a candidate's own label, log(p / (1 - p)). Shapes: (n,)."""
    found = probabilities(view.public.model.layers, parameters, candidates.features)
    own = found[np.arange(len(candidates)), candidates.labels]
    rest = np.maximum(found.sum(axis=1) - own, 1e-30)
    return np.asarray(np.log(np.maximum(own, 1e-30)) - np.log(rest))


def by_loss(view: View, candidates: Examples) -> Doubles:
    """Score by the final model's loss, which is smaller on training records. Shapes: (n,).

    Source: Yeom 2018, section 3 (the LOSS attack).
    """
    return confidence(_final(view), view, candidates)


def by_shadows(
    view: View, candidates: Examples, shadows: Sequence[Parameters], inside: Sequence[npt.NDArray[np.bool_]]
) -> Doubles:
    """Likelihood ratio of the final model's confidence against models trained with and without each candidate.

    Shapes: ``inside`` one bool array (n,) per shadow model; scores (n,).
    Source: Carlini 2022 (LiRA), algorithm 1, online variant with one Gaussian variance for all.
    """
    observed = by_loss(view, candidates)
    seen = np.array([confidence(shadow, view, candidates) for shadow in shadows])
    member = np.array(inside, bool)
    means = []
    rest = np.empty_like(seen)
    for chosen in (member, ~member):
        mean = np.where(chosen, seen, 0).sum(axis=0) / np.maximum(chosen.sum(axis=0), 1)
        rest = np.where(chosen, seen - mean, rest)
        means.append(mean)
    variance = float(np.mean(rest**2)) or 1.0
    # log N(x; in) - log N(x; out): with one variance the normalisations cancel.
    return np.asarray(((observed - means[1]) ** 2 - (observed - means[0]) ** 2) / (2 * variance))


def shadow_models(
    view: View, candidates: Examples, how: LocalTraining, count: int, seed: int
) -> tuple[list[Parameters], list[npt.NDArray[np.bool_]]]:
    """Models that the attacker trains, each on a random half of the candidates, and these halves."""
    rng = np.random.default_rng(seed)
    trainer = NumpyTrainer(view.public.model)
    models, halves = [], []
    for number in range(count):
        inside = rng.permutation(len(candidates)) < len(candidates) // 2
        theta = view.public.model.init(digest(b"shadow", str((seed, number)).encode()))
        models.append(trainer.train(theta, candidates.take(np.flatnonzero(inside)), replace(how, seed=number)))
        halves.append(inside)
    return models, halves


def _final(view: View) -> Parameters:
    model = view.array(MODEL)
    if model is None:
        raise ParameterError(f"{view.seat}: does not hold the final model", "choose a client's or a user's seat")
    return model.astype(np.float32)

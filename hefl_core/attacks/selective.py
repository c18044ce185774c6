"""Selective encryption, for comparison only: part of an update encrypted, the rest open. No party here uses it.

The leak of the open part is measured with the attacks' own tools: the gradient of a dense layer has low rank, so part of
its entries determines the others.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hefl_core.attacks import scoring
from hefl_core.attacks.lab import Lab, Setting
from hefl_core.attacks.view import Doubles
from hefl_core.errors import ParameterError
from hefl_core.learning.base import Examples, Parameters
from hefl_core.learning.models import Model
from hefl_core.learning.numpy_trainer import loss_and_gradient
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.vectors import Array, unflatten

Mask = npt.NDArray[np.bool_]
"""True where an entry is encrypted. Shapes: (d,)."""
FLOAT32, SWEEPS = 4, 60
LAYERS = ("first layer", "last layer")


def by_layer(model: Model, number: int) -> Mask:
    """Encrypts the weights and biases of one dense layer. Raises: ParameterError for a layer that is not there."""
    if not 0 <= number < len(model.layers):
        raise ParameterError(f"layer: expected 0..{len(model.layers) - 1}, found {number}; choose one that is there")
    arrays = [np.full(shape, at // 2 == number) for at, shape in enumerate(model.shapes)]
    return np.concatenate([array.reshape(-1) for array in arrays])


def sensitivity(model: Model, theta: Parameters, examples: Examples) -> Doubles:
    """How strongly each entry of the gradient depends on the private labels, averaged over the examples.

    The gradient is linear in the labels, so the derivative by label c is the gradient's change when c is claimed instead of
    class 0. Shapes: (d,).
    Source: Jin 2023 (FedML-HE), section 2.4, privacy leakage analysis by sensitivity.
    """
    arrays = unflatten(np.asarray(theta, np.float64), model.shapes)
    total = np.zeros(model.parameters)
    for row in examples.features:
        by_class = np.array([_claimed(model, arrays, row, label) for label in range(model.classes)])
        total += np.abs(by_class[1:] - by_class[0]).sum(axis=0)
    return total / len(examples)


def _claimed(model: Model, arrays: list[Array], row: Array, label: int) -> Doubles:
    slopes = loss_and_gradient(model, arrays, row[None], np.array([label]))[1]
    return np.concatenate([np.asarray(slope, np.float64).reshape(-1) for slope in slopes])


def most_sensitive(found: Doubles, share: float) -> Mask:
    """Encrypts this share (0..1) of the entries, the most sensitive ones. Raises: ParameterError."""
    if not 0 <= share <= 1:
        raise ParameterError(f"share: expected 0..1, found {share:g}; 0.1 encrypts a tenth")
    mask = np.zeros(len(found), bool)
    mask[np.argsort(-found, kind="stable")[: round(share * len(found))]] = True
    return mask


def read_record(gradient: Doubles, mask: Mask, model: Model, theta: Parameters, usual: Doubles) -> Doubles:
    """The record of a batch of one, from the open entries of its gradient; where nothing is open, ``usual``.

    First layer: dW = x δᵀ is a product of two vectors; alternating least squares over the open entries finds both, an open
    bias entry (= δ_j) their scale. Where too little of it is open: the second layer's dW = h δᵀ gives the activations h,
    and x is the input that yields them in the active units. The attacker cannot verify either result.

    Shapes: gradient, mask (d,); usual (features,), an average record from elsewhere; returns (features,).
    Leaks: this is what selective encryption leaks. Source: Phong 2018, section 3, for the product.
    """
    visible = [array > 0 for array in unflatten((~mask).astype(np.float64), model.shapes)]
    slopes = unflatten(gradient, model.shapes)
    by_rows = _product(slopes[0], slopes[1], visible[0], visible[1])
    if by_rows is not None and visible[0].any(axis=1).mean() > 0.5:
        seen = visible[0].any(axis=1)
        return np.where(seen, by_rows, usual)
    hidden = _product(slopes[2], slopes[3], visible[2], visible[3])
    if hidden is None:
        return usual
    weights, bias = (np.asarray(array, np.float64) for array in unflatten(theta, model.shapes)[:2])
    active = np.flatnonzero(visible[2].any(axis=1) & (hidden > 1e-6 * max(1e-30, float(np.max(hidden)))))
    if not len(active):
        return usual
    gap = hidden[active] - usual @ weights[:, active] - bias[active]
    pull = 1e-3 * np.eye(model.features)  # the smallest step away from the usual record
    from scipy.optimize import lsq_linear  # a second to import, see gradient_inversion.py

    found = lsq_linear(np.vstack([weights[:, active].T, pull]), np.concatenate([gap, np.zeros(model.features)]))
    return np.asarray(usual + found.x)


def _product(table: Array, bias: Array, open_table: Mask, open_bias: Mask) -> Doubles | None:
    """Left vector of table = left · rightᵀ; right = bias, where open, gives its scale. None: nothing to fit."""
    known = np.where(open_table, table, 0.0).astype(np.float64)
    size = float(np.abs(known).max())
    if size == 0:
        return None
    known = known / size
    start = np.linalg.svd(known, full_matrices=False)
    left, right = start[0][:, 0], start[2][0] * start[1][0]
    for _ in range(SWEEPS):  # each line is least squares over the open entries: hidden ones are 0 in `known`
        left = known @ right / np.maximum(open_table @ right**2, 1e-12)
        right = left @ known / np.maximum(left**2 @ open_table, 1e-12)
    told = np.flatnonzero(open_bias & (np.abs(right) > 1e-9))
    if len(told):  # right · factor = bias / size
        factor = float(right[told] @ bias[told] / size / (right[told] @ right[told]))
        return np.asarray(left / factor) if factor else None
    top = float(left[np.argmax(np.abs(left))])
    return np.asarray(left / top)  # pictures are never negative and their brightest pixel is white


@dataclass(frozen=True)
class Leak:
    """Cost and leak of one selection. Bytes per upload; CPU seconds per encryption; PSNR in dB with 95 % interval.

    ``named``: share of trials in which the guess is nearest to the true record among ``crowd`` candidates.
    """

    what: str
    encrypted: float
    nbytes: int
    cpu_seconds: float
    psnr: float
    low: float
    high: float
    named: float
    crowd: int
    trials: int


def selections(lab: Lab, shares: Sequence[float]) -> dict[str, Mask]:
    """The masks compared: single layers, then the most sensitive shares."""
    found = {name: by_layer(lab.model, at) for at, name in enumerate(LAYERS)}
    sensitive = sensitivity(lab.model, lab.theta, lab.data.test.take(np.arange(20)))
    return found | {f"most sensitive {share:.0%}": most_sensitive(sensitive, share) for share in shares}


def compare(
    dataset: str = "digits",
    scheme: str = "bfv-lean",
    shares: Sequence[float] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0),
    *,
    trials: int = 40,
    crowd: int = 100,
    seed: int = 7,
) -> tuple[Leak, ...]:
    """Bytes, CPU and leak of each selection, on the same updates of one record each.

    Raises: ParameterError for shares outside 0..1 or an unknown scheme.
    """
    lab = Lab(Setting(dataset=dataset, seed=seed))
    usual = lab.data.test.features.astype(np.float64).mean(axis=0)
    dealt = [lab.trial(number) for number in range(trials)]
    others = lab.data.test.take(np.arange(crowd - 1))
    rows = []
    for what, mask in selections(lab, shares).items():
        guesses = [
            read_record(-truth.update / lab.setting.learning_rate, mask, lab.model, lab.theta, usual)
            for _, truth in dealt
        ]
        quality = np.array(
            [scoring.psnr(guess, truth.examples.features[0]) for guess, (_, truth) in zip(guesses, dealt, strict=True)]
        )
        ranks = [
            scoring.rank(guess, np.vstack([truth.examples.features[:1], others.features]))
            for guess, (_, truth) in zip(guesses, dealt, strict=True)
        ]
        low, high = scoring.bootstrap(quality)
        nbytes, seconds = _cost(scheme, dealt[0][1].update, mask)
        named = float(np.mean(np.array(ranks) == 1))
        rows.append(
            Leak(what, float(mask.mean()), nbytes, seconds, float(quality.mean()), low, high, named, crowd, trials)
        )
    return tuple(rows)


def _cost(scheme: str, update: Doubles, mask: Mask) -> tuple[int, float]:
    """Bytes of the upload and CPU seconds of its encryption; the mask itself is agreed beforehand and not counted."""
    open_bytes, kept = FLOAT32 * int(np.sum(~mask)), update[mask]
    if not len(kept):
        return open_bytes, 0.0
    chosen = open_scheme(scheme)
    key, shares = chosen.keygen(Quorum(1, 5))
    bound = max(chosen.preset.default_bound, float(np.max(np.abs(kept))))
    started = time.process_time()
    vector = chosen.encrypt(
        shares[0] if chosen.preset.symmetric else key,
        kept,
        bound=bound,
        max_terms=5,
        integers=(1, 1),
        tag=(lambda words, modulus: 0) if chosen.preset.tagged else None,
    )
    return open_bytes + vector.nbytes, time.process_time() - started

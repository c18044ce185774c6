"""Gradient inversion: search for examples whose gradient is the observed one, and keep the frames of the search.

The gradient of the mismatch is written out for one hidden layer, in the order of the reverse sweep: no framework is
needed. Tests compare it with TensorFlow's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hefl_core.attacks.view import Doubles, View, gradient
from hefl_core.errors import ParameterError
from hefl_core.learning.models import Activation, Dense, Model
from hefl_core.vectors import Array, unflatten

Metric = Literal["euclidean", "cosine"]
SEARCHES: dict[str, tuple[Metric, float]] = {"dlg": ("euclidean", 0.0), "cosine-tv": ("cosine", 1e-4)}
"""Metric and weight of total variation: DLG's squared distance, or Geiping's cosine, which ignores the update's length."""


@dataclass(frozen=True)
class Inversion:
    """Result of the search, and its frames. Shapes: records (n, features), frames (f, n, features), losses (f,)."""

    records: Doubles
    labels: Doubles
    frames: Doubles
    losses: Doubles


def invert(
    view: View,
    *,
    metric: Metric = "euclidean",
    tv: float = 0.0,
    side: int | None = None,
    steps: int = 300,
    frames: int = 24,
    restarts: int = 3,
    seed: int = 0,
) -> Inversion:
    """Match the update's gradient by L-BFGS-B over examples in 0..1 and soft labels; keeps the best of ``restarts``.

    ``cosine`` with ``tv`` (total variation, pictures of this ``side``) is the variant for larger networks.

    Raises: ParameterError for a model with another shape than one hidden dense layer, or total variation on a table's rows.
    Source: Zhu 2019 (DLG), algorithm 1; Geiping 2020 (Inverting Gradients), equation 4.
    """
    _check(view.public.model)
    if tv and side is None:
        raise ParameterError(
            "inversion: expected pictures for total variation, found a table's rows", "use dlg, or digits"
        )
    observed = gradient(view)
    best: Inversion | None = None
    for start in range(restarts):
        found = _search(view, observed, metric, tv, side, steps, seed + start)
        if best is None or found.losses[-1] < best.losses[-1]:
            best = found
        if best.losses[-1] < 1e-9 * best.losses[0]:  # the gradient is explained to rounding: stop early
            break
    if best is None:
        raise ParameterError("restarts: expected at least 1, found 0")
    kept = np.unique(np.linspace(0, len(best.losses) - 1, min(frames, len(best.losses))).astype(int))
    return Inversion(best.records, best.labels, best.frames[kept], best.losses[kept])


def _search(
    view: View, observed: list[Array], metric: str, tv: float, side: int | None, steps: int, seed: int
) -> Inversion:
    model, n = view.public.model, view.public.batch
    rng = np.random.default_rng(seed)
    low, high = (0.0, 1.0) if side else (-6.0, 6.0)  # tables are standardised: six deviations hold them
    first = np.concatenate(
        [
            rng.uniform(0.25, 0.75, n * model.features) if side else rng.normal(size=n * model.features),
            rng.normal(scale=0.1, size=n * model.classes),
        ]
    )
    weights = unflatten(np.asarray(view.public.theta, np.float64), model.shapes)
    # The squared distance is made relative, so that one stopping rule fits updates of any length.
    size = float(sum(np.sum(array**2) for array in observed)) or 1.0
    frames, losses = [first[: n * model.features]], [float("inf")]

    def cost(flat: Doubles) -> tuple[float, Doubles]:
        rows, logits = _cut(flat, n, model)
        value, of_rows, of_logits = mismatch(model, weights, observed, rows, logits, metric)
        value, of_rows, of_logits = value / size, of_rows / size, of_logits / size
        if metric == "cosine":  # a ratio already: undo
            value, of_rows, of_logits = value * size, of_rows * size, of_logits * size
        if tv and side is not None:
            extra, slope = total_variation(rows, side)
            value, of_rows = value + tv * extra, of_rows + tv * slope
        return value, np.concatenate([of_rows.reshape(-1), of_logits.reshape(-1)])

    def keep(flat: Doubles) -> None:
        frames.append(flat[: n * model.features].copy())
        losses.append(cost(flat)[0])

    # Logits 100 apart already make a hard label in float64; tolerances this small let the search use its steps.
    bounds = [(low, high)] * (n * model.features) + [(-50.0, 50.0)] * (n * model.classes)
    options = {"maxiter": steps, "maxfun": 2 * steps, "ftol": 1e-30, "gtol": 1e-14, "maxcor": 30}
    from scipy.optimize import minimize  # a second to import, which no other command should wait for

    found = minimize(cost, first, jac=True, method="L-BFGS-B", bounds=bounds, callback=keep, options=options)
    losses[0] = cost(first)[0]
    rows, logits = _cut(found.x, n, model)
    shaped = np.array(frames).reshape(len(frames), n, model.features)
    return Inversion(rows, np.argmax(logits, axis=1).astype(np.float64), shaped, np.array(losses))


def _cut(flat: Doubles, n: int, model: Model) -> tuple[Doubles, Doubles]:
    edge = n * model.features
    return flat[:edge].reshape(n, model.features), flat[edge:].reshape(n, model.classes)


def _check(model: Model) -> None:
    if len(model.layers) != 2 or not all(isinstance(layer, Dense) for layer in model.layers):
        raise ParameterError(f"inversion: expected one hidden dense layer, found {model.name}", "use the model mlp")


def mismatch(
    model: Model, weights: list[Array], observed: list[Array], rows: Doubles, logits: Doubles, metric: str
) -> tuple[float, Doubles, Doubles]:
    """Distance between the guess's gradient and the observed one, and its slopes by rows and logits.

    Shapes: rows (n, features), logits of the soft labels (n, classes); slopes alike.
    Source: as ``learning/keras_gradients.py``, which computes the same by automatic differentiation.
    """
    w1, b1, w2, b2 = weights
    n, kind = len(rows), model.layers[0].activation
    hidden = _activate(kind, rows @ w1 + b1)
    slope, bend = _slopes(kind, hidden)
    p, q = _softmax(hidden @ w2 + b2), _softmax(logits)
    delta = (p - q) / n  # ∂(mean cross-entropy)/∂logits, with soft labels q
    back = delta @ w2.T
    inner = back * slope
    found = [rows.T @ inner, inner.sum(axis=0), hidden.T @ delta, delta.sum(axis=0)]
    value, (r1, s1, r2, s2) = _distance(found, observed, metric)
    # Reverse sweep over the lines above; of_x is ∂value/∂x, and r, s are ∂value/∂found.
    of_inner = rows @ r1 + s1
    of_rows = inner @ r1.T
    of_back = of_inner * slope
    of_hidden = of_inner * back * bend + delta @ r2.T  # hidden moves the slope and dW2 = hidden.T @ delta
    of_delta = of_back @ w2 + hidden @ r2 + s2
    of_hidden += _softmax_back(p, of_delta / n) @ w2.T  # and the prediction p
    of_rows += (of_hidden * slope) @ w1.T
    return value, of_rows, -_softmax_back(q, of_delta / n)


def _distance(found: list[Array], observed: list[Array], metric: str) -> tuple[float, list[Doubles]]:
    """The mismatch of two gradients and its slope by each array of ``found``."""
    if metric == "euclidean":
        gaps = [a - b for a, b in zip(found, observed, strict=True)]
        return float(sum(np.sum(gap**2) for gap in gaps)), [2 * gap for gap in gaps]
    aa, bb, ab = (
        float(sum(np.sum(x * y) for x, y in zip(left, right, strict=True)))
        for left, right in ((found, found), (observed, observed), (found, observed))
    )
    length = max(np.sqrt(aa * bb), 1e-300)  # an all-zero gradient has no direction
    # ∂(1 - cos)/∂a = (cos·|b|/|a|·a - b) / (|a||b|), and cos·|b|/|a| = ab/aa.
    return 1 - ab / length, [(ab / max(aa, 1e-300) * a - b) / length for a, b in zip(found, observed, strict=True)]


def total_variation(rows: Doubles, side: int) -> tuple[float, Doubles]:
    """Mean squared difference of neighbouring pixels, and its slope. Shapes: (n, side²)."""
    pictures = rows.reshape(-1, side, side)
    down, right = np.diff(pictures, axis=1), np.diff(pictures, axis=2)
    slope = np.zeros_like(pictures)
    slope[:, 1:] += 2 * down
    slope[:, :-1] -= 2 * down
    slope[:, :, 1:] += 2 * right
    slope[:, :, :-1] -= 2 * right
    return float((down**2).sum() + (right**2).sum()) / rows.size, slope.reshape(rows.shape) / rows.size


def _activate(kind: Activation, linear: Array) -> Doubles:
    if kind == "relu":
        return np.asarray(np.maximum(linear, 0))
    # The sigmoid by tanh: exp(-x) would overflow.
    return np.asarray(0.5 * (np.tanh(0.5 * linear) + 1) if kind == "sigmoid" else linear)


def _slopes(kind: Activation, hidden: Doubles) -> tuple[Doubles, Doubles]:
    """Derivative of the activation, and how that derivative changes with the output."""
    if kind == "sigmoid":
        return hidden * (1 - hidden), 1 - 2 * hidden
    alive = (hidden > 0).astype(np.float64) if kind == "relu" else np.ones_like(hidden)
    return alive, np.zeros_like(hidden)


def _softmax(logits: Array) -> Doubles:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _softmax_back(p: Doubles, upstream: Doubles) -> Doubles:
    # The Jacobian of softmax is diag(p) - p pᵀ.
    return np.asarray(p * (upstream - (p * upstream).sum(axis=1, keepdims=True)))

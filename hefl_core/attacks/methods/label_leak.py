"""Labels from an update: the last bias's gradient is p - y, so it names the labels without any reconstruction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hefl_core.attacks.view import Doubles, View, gradient
from hefl_core.errors import ParameterError
from hefl_core.learning.base import Parameters
from hefl_core.learning.models import Dense
from hefl_core.learning.numpy_trainer import loss_and_gradient
from hefl_core.vectors import Array, unflatten


def label(view: View) -> int:
    """The label of a single record: the one entry of the last bias's gradient that is negative.

    Needs no hyperparameter: p_c - 1 is negative, every other p_i positive, and a step of SGD keeps the signs.
    Source: Zhao 2020 (iDLG), section 3.
    """
    return int(np.argmin(gradient(view)[-1]))


def label_counts(view: View) -> Doubles:
    """How many records of each label a batch held, from mean(p) - n_c/n; mean(p) is taken from auxiliary rows.

    Shapes: float64 (classes,), whole numbers that add up to the public batch size.
    Source: Wainakh 2022 (LLG), section 3; the estimate of mean(p) by auxiliary rows as in Geng 2021, section 4.
    """
    shares = label_shares(view)
    return _rounded(np.clip(shares, 0, None) * view.public.batch, view.public.batch)


def label_shares(view: View) -> Doubles:
    """Share of each label among the records of an update; of a two-class table this is the property that leaks.

    Shapes: float64 (classes,), adding up to 1 up to the estimate's error.
    Source: Wainakh 2022 (LLG); as a property of the training set: Ganju 2018, section 2.
    """
    auxiliary = view.public.auxiliary
    if auxiliary is None:
        expected = np.full(view.public.model.classes, 1 / view.public.model.classes)
    else:
        expected = probabilities(view.public.model.layers, view.public.theta, auxiliary.features).mean(axis=0)
    return np.asarray(expected - gradient(view)[-1], dtype=np.float64)


def label_mixture(view: View) -> Doubles:
    """:func:`label_shares` as shares must be: none below 0, 1 in total. Shapes: float64 (classes,).

    Raises: ParameterError for a model with other layers than dense ones, whose probabilities nothing here computes.
    """
    if not all(isinstance(layer, Dense) for layer in view.public.model.layers):
        raise ParameterError(
            f"label shares: expected dense layers, found the model {view.public.model.name}", "use mlp"
        )
    shares = np.clip(label_shares(view), 0, None)
    return np.asarray(shares / (shares.sum() or 1.0))


def probabilities(layers: tuple[object, ...], theta: Parameters, rows: Array) -> Doubles:
    """What a dense model predicts. Shapes: (n, features) to (n, classes)."""
    dense = [layer for layer in layers if isinstance(layer, Dense)]
    values = np.asarray(rows, np.float64)
    for layer, weights, bias in zip(dense, *_pairs(theta, dense), strict=True):
        values = values @ weights + bias
        if layer.activation == "relu":
            values = np.maximum(values, 0)
        elif layer.activation == "sigmoid":
            values = 0.5 * (np.tanh(0.5 * values) + 1)
    values = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def _pairs(theta: Parameters, dense: list[Dense]) -> tuple[list[Array], list[Array]]:
    arrays = unflatten(np.asarray(theta, np.float64), [shape for layer in dense for shape in layer.shapes])
    return arrays[0::2], arrays[1::2]


def own_gradients(view: View, rows: Array, labels: npt.NDArray[np.int64]) -> Doubles:
    """The gradient of each candidate record alone. Shapes: (n, features), (n,) to (n, d)."""
    arrays = unflatten(np.asarray(view.public.theta, np.float64), view.public.model.shapes)
    found = []
    for row, one in zip(rows, labels, strict=True):
        _, slopes = loss_and_gradient(view.public.model, arrays, row[None], np.array([int(one)]))
        found.append(np.concatenate([slope.reshape(-1) for slope in slopes]))
    return np.array(found, np.float64)


def _rounded(shares: Doubles, total: int) -> Doubles:
    """Whole numbers near these that add up to ``total`` (largest remainders)."""
    scaled = shares * (total / (shares.sum() or 1.0))
    whole = np.floor(scaled)
    left = int(total - whole.sum())
    whole[np.argsort(whole - scaled, kind="stable")[:left]] += 1  # most negative: the largest remainder first
    return whole

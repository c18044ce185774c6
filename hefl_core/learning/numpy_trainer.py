"""Training in plain NumPy: every step of the gradient is readable, and no heavy import is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from hefl_core.errors import DataError, ParameterError
from hefl_core.evaluation import Evaluation
from hefl_core.learning.base import Examples, LocalTraining, Parameters, batches
from hefl_core.learning.metrics import class_metrics
from hefl_core.learning.models import VOCABULARY, Activation, Attention, Conv, Dense, Layer, Model
from hefl_core.learning.text.attention import attend, attend_back
from hefl_core.vectors import Array, unflatten

_EVALUATED_AT_ONCE = 1024
_ONE_THREAD = threadpool_limits(limits=1, user_api="blas")
"""For the whole process: matrices this small gain nothing from BLAS's threads, which spin between two of them (measured on two
shared cores, 99,530 parameters: 30 times the CPU, charged to the next task)."""


@dataclass(frozen=True)
class NumpyTrainer:
    """Mini-batch SGD on softmax cross-entropy; the same parameters, data and seed give the same bits."""

    model: Model

    def train(self, theta: Parameters, data: Examples, how: LocalTraining) -> Parameters:
        """``local_epochs`` passes of mini-batch SGD from theta, which itself stays as it is.

        Shapes: float32 (d,) in and out.
        Raises: DataError if the data do not fit the model; EncodingError if theta does not; ParameterError if the
            training diverges.
        Source: McMahan 2017, algorithm 1, ClientUpdate.
        """
        check_fit(self.model, data)
        theta = np.array(theta, np.float32)
        arrays = unflatten(theta, self.model.shapes)
        rate = np.float32(how.learning_rate)
        # The arrays are views of theta: updating them in place updates theta.
        with np.errstate(over="ignore", invalid="ignore"):
            for batch in batches(len(data), how):
                _, slopes = loss_and_gradient(self.model, arrays, data.features[batch], data.labels[batch])
                for array, slope in zip(arrays, slopes, strict=True):
                    array -= rate * slope
        return require_converged(theta, how)

    def evaluate(self, theta: Parameters, data: Examples) -> Evaluation:
        """Accuracy (0..1), mean cross-entropy (nats) and metrics by class of theta on ``data``.

        Shapes: theta float32 (d,).
        Raises: DataError if the data do not fit the model; EncodingError if theta does not.
        """
        check_fit(self.model, data)
        arrays = unflatten(np.asarray(theta, np.float32), self.model.shapes)
        return evaluate_in_parts(lambda rows: _forward(self.model.layers, arrays, rows)[-1], data)


def loss_and_gradient(
    model: Model, arrays: list[Array], features: Array, labels: npt.NDArray[np.int64]
) -> tuple[float, list[Array]]:
    """Mean cross-entropy of one batch and its gradient, one array per entry of ``Model.shapes``.

    Computes in the arrays' own precision, so that float64 serves the check against finite differences.

    Shapes: features (n, features), labels (n,).
    """
    rows = np.asarray(features, arrays[0].dtype)
    outputs = _forward(model.layers, arrays, rows)
    picked = np.arange(len(labels)), labels
    logs = _log_softmax(outputs[-1])
    # The slope of softmax cross-entropy by the logits is softmax minus one-hot.
    upstream = np.exp(logs)
    upstream[picked] -= 1
    upstream /= len(labels)
    return -float(np.mean(logs[picked])), _backward(model.layers, arrays, [rows, *outputs], upstream)


def check_fit(model: Model, data: Examples) -> None:
    """Reject data that this model cannot take.

    Raises: DataError for no examples, rows of another length, features that are not finite or, for a text model, not word
        numbers, or labels outside 0..classes-1.
    """
    if len(data) == 0:
        raise DataError("examples: expected at least 1, found 0; give every client some data")
    if data.features.shape[1] != model.features:
        raise DataError(
            f"examples: expected {model.features} features, found {data.features.shape[1]}; "
            "make the model for this data set"
        )
    if not np.isfinite(data.features).all():
        raise DataError("examples: expected finite features, found NaN or infinity; fill the gaps or drop the rows")
    if isinstance(model.layers[0], Attention) and not _word_numbers(data.features):
        raise DataError(
            f"examples: expected word numbers, whole and in 0..{VOCABULARY - 1}, found other features; use the data set letters"
        )
    low, high = int(data.labels.min()), int(data.labels.max())
    if low < 0 or high >= model.classes:
        raise DataError(
            f"labels: expected 0..{model.classes - 1}, found {low}..{high}; make the model for this data set"
        )


def _word_numbers(features: Array) -> bool:
    return bool(np.all((features >= 0) & (features < VOCABULARY) & (features == np.floor(features))))


def require_converged(theta: Parameters, how: LocalTraining) -> Parameters:
    """Return theta if it is finite.

    Raises: ParameterError if training ended in NaN or infinity.
    """
    if not np.isfinite(theta).all():
        raise ParameterError(
            f"training: expected finite parameters, found NaN or infinity at learning rate {how.learning_rate}",
            f"try {how.learning_rate / 10:g}",
        )
    return theta


def evaluate_in_parts(logits_of: Callable[[Array], Array], data: Examples) -> Evaluation:
    """Accuracy, loss and metrics by class from a function rows -> logits; hidden layers are held for a part at a time.

    Shapes: ``logits_of`` takes (n, features) and gives (n, classes).
    """
    parts, loss = [], 0.0
    for start in range(0, len(data), _EVALUATED_AT_ONCE):
        labels = data.labels[start : start + _EVALUATED_AT_ONCE]
        logits = np.asarray(logits_of(data.features[start : start + _EVALUATED_AT_ONCE]), np.float64)
        loss -= float(_log_softmax(logits)[np.arange(len(labels)), labels].sum())
        parts.append(logits)
    metrics = class_metrics(np.concatenate(parts), data.labels)
    return Evaluation(metrics.accuracy, loss / len(data), metrics)


def _forward(layers: tuple[Layer, ...], arrays: list[Array], rows: Array) -> list[Array]:
    """Output of every layer, the logits last."""
    outputs = []
    for at, layer in enumerate(layers):
        weights, bias = arrays[2 * at], arrays[2 * at + 1]
        rows = _activate(layer.activation, _linear(layer, weights, bias, rows))
        outputs.append(rows)
    return outputs


def _linear(layer: Layer, weights: Array, bias: Array, rows: Array) -> Array:
    if isinstance(layer, Dense):
        return np.asarray(rows @ weights + bias)
    if isinstance(layer, Attention):
        return attend(layer, weights, bias, rows)
    return _convolve(layer, weights, bias, rows)


def _backward(layers: tuple[Layer, ...], arrays: list[Array], values: list[Array], upstream: Array) -> list[Array]:
    """Gradients of W and b, layer by layer; ``values`` are the input rows and every layer's output."""
    slopes: list[Array] = []
    for at in reversed(range(len(layers))):
        layer, weights, rows = layers[at], arrays[2 * at], values[at]
        upstream = upstream * _slope(layer.activation, values[at + 1])
        if isinstance(layer, Dense):
            slopes[:0] = [rows.T @ upstream, upstream.sum(axis=0)]
            upstream = upstream @ weights.T if at else upstream
        elif isinstance(layer, Attention):
            slopes[:0] = attend_back(layer, weights, arrays[2 * at + 1], rows, upstream)
        else:
            of_weights, of_bias, upstream = _convolve_back(layer, weights, rows, upstream, wanted=at > 0)
            slopes[:0] = [of_weights, of_bias]
    return slopes


def _activate(kind: Activation, linear: Array) -> Array:
    if kind == "relu":
        return np.maximum(linear, 0)
    # Sigmoid by tanh, which cannot overflow.
    return 0.5 * (np.tanh(0.5 * linear) + 1) if kind == "sigmoid" else linear


def _slope(kind: Activation, output: Array) -> Array | int:
    if kind == "relu":
        return (output > 0).astype(output.dtype)
    return output * (1 - output) if kind == "sigmoid" else 1


def _log_softmax(logits: Array) -> Array:
    # Subtracting the maximum changes nothing and keeps exp from overflowing.
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _patches(layer: Conv, rows: Array) -> Array:
    """Every patch under the kernel as a row. Shapes: (n·out_side², kernel²·channels)."""
    pictures = rows.reshape(-1, layer.side, layer.side, layer.channels)
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (layer.kernel, layer.kernel), axis=(1, 2))
    strided = windows[:, :: layer.stride, :: layer.stride].transpose(0, 1, 2, 4, 5, 3)
    return np.asarray(strided.reshape(-1, layer.fans[0]))


def _convolve(layer: Conv, weights: Array, bias: Array, rows: Array) -> Array:
    return (_patches(layer, rows) @ weights.reshape(-1, layer.filters) + bias).reshape(len(rows), -1)


def _convolve_back(
    layer: Conv, weights: Array, rows: Array, upstream: Array, *, wanted: bool
) -> tuple[Array, Array, Array]:
    """Gradients of W, b and (where ``wanted``) the input rows."""
    by_place = upstream.reshape(-1, layer.filters)
    of_weights = (_patches(layer, rows).T @ by_place).reshape(weights.shape)
    if not wanted:
        return of_weights, by_place.sum(axis=0), upstream
    side, step = layer.out_side, layer.stride
    spread = (by_place @ weights.reshape(-1, layer.filters).T).reshape(
        len(rows), side, side, layer.kernel, layer.kernel, layer.channels
    )
    back = np.zeros((len(rows), layer.side, layer.side, layer.channels), rows.dtype)
    # Patches overlap: each kernel place adds its slopes back to the pixels that it covered.
    for i in range(layer.kernel):
        for j in range(layer.kernel):
            back[:, i : i + step * side : step, j : j + step * side : step] += spread[:, :, :, i, j]
    return of_weights, by_place.sum(axis=0), back.reshape(len(rows), -1)

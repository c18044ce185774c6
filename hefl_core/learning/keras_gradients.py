"""An attacker's computations: gradients of a known model at known parameters, and how well a guess explains one.

Like keras_trainer.py, but without training, and in float64, in which gradient matching converges.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.errors import EncodingError, ParameterError
from hefl_core.learning.base import Examples
from hefl_core.learning.keras_setup import tf
from hefl_core.learning.keras_trainer import build
from hefl_core.learning.models import Model
from hefl_core.learning.numpy_trainer import check_fit
from hefl_core.vectors import Array, require_finite, unflatten

Doubles: TypeAlias = npt.NDArray[np.float64]
Metric: TypeAlias = Literal["euclidean", "cosine"]


@dataclass(frozen=True)
class KerasGradients:
    """Gradients of one model; its activation (relu, sigmoid) is the model's own."""

    model: Model

    def mean(self, theta: Array, data: Examples) -> Doubles:
        """Gradient of the mean cross-entropy: what one step of SGD on this batch reveals (Δ = -rate·gradient).

        Shapes: theta (d,) to float64 (d,).
        Raises: DataError if the data do not fit the model; EncodingError if theta does not.
        """
        check_fit(self.model, data)
        compiled = _compiled(self.model)
        with compiled.lock:
            compiled.write(theta)
            targets = np.eye(self.model.classes)[data.labels]
            return np.asarray(compiled.gradient(_double(data.features), _double(targets)).numpy())

    def each(self, theta: Array, data: Examples) -> Doubles:
        """Gradient of every example's own cross-entropy.

        Shapes: theta (d,) to float64 (n, d).
        Raises: as ``mean``.
        """
        check_fit(self.model, data)
        return np.stack([self.mean(theta, data.take(np.array([at]))) for at in range(len(data))])

    def mismatch(
        self, theta: Array, observed: Array, features: Array, label_logits: Array, metric: Metric = "euclidean"
    ) -> tuple[float, Doubles, Doubles]:
        """Mismatch of guessed examples with an observed gradient, and its slopes, along which the guess improves.

        Labels are guessed too, as softmax(``label_logits``). ``euclidean`` is the squared distance of the gradients,
        ``cosine`` one minus their cosine.

        Shapes: theta and observed (d,), features (n, features), label_logits (n, classes); slopes alike, float64.
        Raises: EncodingError if theta, observed or the guess do not fit the model; ParameterError for another metric.
        Source: Zhu 2019 (DLG), algorithm 1; Geiping 2020 (Inverting Gradients), equation 4.
        """
        if metric not in ("euclidean", "cosine"):
            raise ParameterError(f"metric: expected euclidean or cosine, found {metric!r}", "try 'euclidean'")
        self._check_guess(observed, features, label_logits)
        compiled = _compiled(self.model)
        with compiled.lock:
            compiled.write(theta)
            value, of_features, of_labels = compiled.mismatch[metric](
                _double(observed), _double(features), _double(label_logits)
            )
        return float(value), np.asarray(of_features), np.asarray(of_labels)

    def _check_guess(self, observed: Array, features: Array, label_logits: Array) -> None:
        n = len(features)
        expected = ((self.model.parameters,), (n, self.model.features), (n, self.model.classes))
        found = (observed.shape, features.shape, label_logits.shape)
        if found != expected or n == 0:
            raise EncodingError(f"guess: expected shapes {expected}, found {found}; use one model throughout")
        for array in (observed, features, label_logits):
            require_finite(array.reshape(-1))


@dataclass(frozen=True, eq=False)
class _Compiled:
    model: Model
    network: Any
    gradient: Any
    mismatch: dict[str, Any]
    lock: threading.Lock

    def write(self, theta: Array) -> None:
        arrays = unflatten(np.asarray(theta, np.float64), self.model.shapes)
        for variable, array in zip(self.network.trainable_variables, arrays, strict=True):
            variable.assign(array)


@functools.lru_cache(maxsize=16)
def _compiled(model: Model) -> _Compiled:
    network = build(model, "float64")
    variables = [variable.value for variable in network.trainable_variables]
    widths = ((None, model.features), (None, model.classes), (model.parameters,))
    rows, targets, flat = (tf.TensorSpec(shape, tf.float64) for shape in widths)

    def gradient(features: Any, soft_labels: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = network(features, training=False)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(soft_labels, logits))
        return tf.concat([tf.reshape(slope, [-1]) for slope in tape.gradient(loss, variables)], axis=0)

    def compile_mismatch(distance: Any) -> Any:
        def mismatch(observed: Any, features: Any, label_logits: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([features, label_logits])
                value = distance(observed, gradient(features, tf.nn.softmax(label_logits)))
            return value, *tape.gradient(value, [features, label_logits])

        return tf.function(mismatch, input_signature=[flat, rows, targets])

    distances = {"euclidean": _squared_distance, "cosine": _one_minus_cosine}
    return _Compiled(
        model,
        network,
        gradient=tf.function(gradient, input_signature=[rows, targets]),
        mismatch={name: compile_mismatch(distance) for name, distance in distances.items()},
        lock=threading.Lock(),
    )


def _squared_distance(observed: Any, found: Any) -> Any:
    return tf.reduce_sum(tf.square(observed - found))


def _one_minus_cosine(observed: Any, found: Any) -> Any:
    lengths = tf.sqrt(tf.reduce_sum(tf.square(observed)) * tf.reduce_sum(tf.square(found)))
    return 1 - tf.reduce_sum(observed * found) / tf.maximum(lengths, tf.constant(1e-300, tf.float64))


def _double(array: Array) -> Any:
    return tf.constant(np.asarray(array, np.float64))

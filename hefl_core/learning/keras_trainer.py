"""Like numpy_trainer.py, but the same architecture built and differentiated by Keras on TensorFlow.

Importing this module imports TensorFlow: use ``open_trainer("keras", …)``, and never in the GUI process. The
same parameters, data and seed give the same bits on one machine (see keras_setup.py); NumPy agrees up to rounding.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hefl_core.evaluation import Evaluation
from hefl_core.learning.base import Examples, LocalTraining, Parameters, batches
from hefl_core.learning.keras_setup import keras, tf
from hefl_core.learning.models import Attention, Conv, Dense, Layer, Model
from hefl_core.learning.numpy_trainer import check_fit, evaluate_in_parts, require_converged
from hefl_core.learning.text.attention import place_vectors, word_vectors
from hefl_core.vectors import unflatten


class KerasTrainer:
    """Mini-batch SGD through one compiled TensorFlow step; the same batches in the same order as ``NumpyTrainer``.

    Trainers of equal models share the compiled step and its variables, one at a time: a host of eight clients compiles
    once. Nothing is kept between two calls.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def model(self) -> Model:
        """The architecture."""
        return self._model

    def __repr__(self) -> str:
        return f"KerasTrainer({self._model!r})"

    def train(self, theta: Parameters, data: Examples, how: LocalTraining) -> Parameters:
        """``local_epochs`` passes of mini-batch SGD from theta, which itself stays as it is.

        Shapes: float32 (d,) in and out.
        Raises: DataError if the data do not fit the model; EncodingError if theta does not; ParameterError if the
            training diverges.
        Source: McMahan 2017, algorithm 1, ClientUpdate.
        """
        check_fit(self._model, data)
        rate = tf.constant(how.learning_rate, tf.float32)
        compiled = _compiled(self._model)
        with compiled.lock:
            compiled.write(theta)
            for batch in batches(len(data), how):
                rows = tf.constant(data.features[batch], tf.float32)
                compiled.step(rows, tf.constant(data.labels[batch], tf.int64), rate)
            return require_converged(compiled.read(), how)

    def evaluate(self, theta: Parameters, data: Examples) -> Evaluation:
        """Accuracy (0..1), mean cross-entropy (nats) and metrics by class of theta on ``data``.

        Shapes: theta float32 (d,).
        Raises: DataError if the data do not fit the model; EncodingError if theta does not.
        """
        check_fit(self._model, data)
        compiled = _compiled(self._model)
        with compiled.lock:
            compiled.write(theta)
            return evaluate_in_parts(lambda rows: compiled.logits(tf.constant(rows, tf.float32)).numpy(), data)


def build(model: Model, dtype: str = "float32") -> Any:
    """The same architecture as a Keras Sequential, its variables in the order of ``Model.shapes``.

    Shapes: takes (n, features), gives logits (n, classes), both of ``dtype``.
    """
    layers: list[Any] = [keras.Input((model.features,), dtype=dtype)]
    flat = True
    for layer in model.layers:
        layers += _keras_layers(layer, flat, dtype)
        flat = not isinstance(layer, Conv)
    return keras.Sequential(layers)


def _keras_layers(layer: Layer, flat: bool, dtype: str) -> list[Any]:
    """The layer, preceded where needed by one that reshapes flat rows into pictures or back."""
    if isinstance(layer, Dense):
        dense = keras.layers.Dense(layer.outputs, layer.activation, dtype=dtype)
        return [dense] if flat else [keras.layers.Flatten(dtype=dtype), dense]
    if isinstance(layer, Attention):
        return [SelfAttention(layer, dtype=dtype)]
    convolution = keras.layers.Conv2D(
        layer.filters, layer.kernel, layer.stride, padding="valid", activation=layer.activation, dtype=dtype
    )
    picture = (layer.side, layer.side, layer.channels)
    return [keras.layers.Reshape(picture, dtype=dtype), convolution] if flat else [convolution]


class SelfAttention(keras.layers.Layer):  # type: ignore[misc]
    """The layer of text/attention.py, differentiated by TensorFlow. Shapes: word numbers (n, words) to (n, outputs)."""

    def __init__(self, attention: Attention, dtype: str) -> None:
        super().__init__(dtype=dtype)
        self.attention = attention
        weights, bias = attention.shapes
        self.kernel = self.add_weight(shape=weights, name="kernel")
        self.bias = self.add_weight(shape=bias, initializer="zeros", name="bias")

    def call(self, rows: Any) -> Any:
        """The forward pass."""
        here, dtype = self.attention, self.compute_dtype
        there = tf.cast(rows > 0, dtype)
        vectors = tf.gather(tf.constant(word_vectors(here.width), dtype), tf.cast(rows, tf.int32))
        vectors = (vectors + tf.constant(place_vectors(here.words, here.width), dtype)) * there[..., None]
        queries, keys, values = tf.split(vectors @ self.kernel + self.bias, 3, axis=2)
        scores = tf.matmul(queries, keys, transpose_b=True) / here.outputs**0.5
        looks = tf.nn.softmax(tf.where(there[:, None, :] > 0, scores, tf.constant(-1e9, dtype)))
        looked = tf.nn.relu(looks @ values) * there[..., None]
        return tf.reduce_sum(looked, axis=1) / tf.maximum(tf.reduce_sum(there, axis=1, keepdims=True), 1)


@dataclass(frozen=True, eq=False)
class _Compiled:
    """A Keras model with its compiled step and forward pass; callers hold the lock."""

    model: Model
    network: Any
    step: Any
    logits: Any
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, theta: Parameters) -> None:
        for variable, array in zip(
            self.network.trainable_variables, unflatten(np.asarray(theta, np.float32), self.model.shapes), strict=True
        ):
            variable.assign(array)

    def read(self) -> Parameters:
        return np.concatenate([variable.numpy().reshape(-1) for variable in self.network.trainable_variables])


@functools.lru_cache(maxsize=16)
def _compiled(model: Model) -> _Compiled:
    """Build and trace once per architecture; the open batch dimension accepts the last, shorter batch unpadded."""
    network = build(model)
    variables = [variable.value for variable in network.trainable_variables]
    rows = tf.TensorSpec((None, model.features), tf.float32)

    def step(features: Any, labels: Any, rate: Any) -> None:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, network(features, training=True))
            loss = tf.reduce_mean(losses)
        for variable, slope in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(rate * slope)

    def logits(features: Any) -> Any:
        return network(features, training=False)

    labels_and_rate = [tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.float32)]
    return _Compiled(
        model,
        network,
        step=tf.function(step, input_signature=[rows, *labels_and_rate]),
        logits=tf.function(logits, input_signature=[rows]),
    )

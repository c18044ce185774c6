"""The models: layers and their shapes, and first parameters from a digest."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np

from hefl_core.errors import ParameterError
from hefl_core.learning.base import Dataset, Parameters
from hefl_core.vectors import Shape, length_of

Activation: TypeAlias = Literal["relu", "sigmoid", "linear"]
MODEL_NAMES = ("logistic", "mlp", "mlp-large", "cnn", "attention")
SUMS = "sums"
WIDTH = 128
"""Numbers of a word's vector in the text model."""
VOCABULARY = 1024
"""Word numbers that the text model has vectors for: 0 for padding, and 1,023 words."""
_HIDDEN = {"logistic": (), "mlp": (32,), "mlp-large": (256, 256, 64)}


@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer: activation(x·W + b). Shapes: W (inputs, outputs), b (outputs,)."""

    inputs: int
    outputs: int
    activation: Activation

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """Shapes of W and b."""
        return (self.inputs, self.outputs), (self.outputs,)

    @property
    def fans(self) -> tuple[int, int]:
        """Inputs and outputs that one weight takes part in (for Glorot's limit)."""
        return self.inputs, self.outputs


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution without padding over a square picture, rows flat in and flat out (height, width, channel).

    Shapes: W (kernel, kernel, channels, filters), b (filters,).
    """

    side: int
    channels: int
    filters: int
    kernel: int
    stride: int
    activation: Activation

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """Shapes of W and b."""
        return (self.kernel, self.kernel, self.channels, self.filters), (self.filters,)

    @property
    def fans(self) -> tuple[int, int]:
        """Inputs and outputs that one weight takes part in (for Glorot's limit)."""
        return self.kernel**2 * self.channels, self.kernel**2 * self.filters

    @property
    def out_side(self) -> int:
        """Side of the picture that comes out."""
        return (self.side - self.kernel) // self.stride + 1

    @property
    def outputs(self) -> int:
        """Length of a flat row that comes out."""
        return self.out_side**2 * self.filters


@dataclass(frozen=True, slots=True)
class Attention:
    """Self-attention of one head over a sentence of word numbers (text/attention.py); the first layer of its model.

    Shapes: W (width, 3·outputs) holds the matrices of query, key and value side by side, b (3·outputs,); rows (n, words) in,
    (n, outputs) out.
    """

    words: int
    width: int
    outputs: int
    activation: Activation = "linear"

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """Shapes of W and b."""
        return (self.width, 3 * self.outputs), (3 * self.outputs,)

    @property
    def fans(self) -> tuple[int, int]:
        """Inputs and outputs that one weight takes part in (for Glorot's limit)."""
        return self.width, self.outputs


Layer: TypeAlias = Dense | Conv | Attention


@dataclass(frozen=True)
class Model:
    """An architecture, hashable and without parameters; the last layer gives logits (linear).

    Shapes: takes rows (n, features), gives logits (n, classes).
    """

    name: str
    features: int
    classes: int
    layers: tuple[Layer, ...]

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Shapes of all arrays in the order of the flat vector: W and b, layer by layer."""
        return tuple(shape for layer in self.layers for shape in layer.shapes)

    @property
    def parameters(self) -> int:
        """Length d of the flat vector."""
        return length_of(self.shapes)

    def init(self, seed: bytes) -> Parameters:
        """First parameters θ_0: Glorot-uniform weights and zero biases, the same on every machine for one seed.

        Only raw 64-bit outputs, IEEE arithmetic and a square root are used, so a client that recomputes θ_0 from the
        manifest's digest gets the same bits.

        Shapes: any bytes (a SHA-256 digest) to float32 (d,).
        Source: Glorot and Bengio 2010, equation 16.
        """
        source = np.random.PCG64(int.from_bytes(hashlib.sha256(b"hefl/init" + seed).digest(), "big"))
        pieces = []
        for layer in self.layers:
            weights, biases = (math.prod(shape) for shape in layer.shapes)
            limit = math.sqrt(6 / sum(layer.fans))
            # The upper 24 of 64 bits, over 2^23 and minus 1: uniform on [-1, 1) and exact in float64.
            unit = (source.random_raw(weights) >> np.uint64(40)).astype(np.float64) / 2**23 - 1
            pieces += [(limit * unit).astype(np.float32), np.zeros(biases, np.float32)]
        return np.concatenate(pieces)


def model_for(name: str, features: int, classes: int, *, activation: Activation = "relu") -> Model:
    """The named model for rows of this length and this many classes.

    ``logistic`` has no hidden layer, ``mlp`` 32 hidden units (2,410 parameters on digits), ``mlp-large`` 256-256-64
    (99,530), ``cnn`` two 3x3 convolutions of 8 and 16 filters, ``attention`` one head over rows of word numbers.
    ``activation="sigmoid"`` gives the smooth variants that the gradient-matching attacks are usually shown on (``attention`` has
    none).

    Raises: ParameterError for an unknown name, sizes below 1 feature or 2 classes, or ``cnn`` on rows that are not
        square pictures of at least 6x6.

    >>> model_for("mlp", 64, 10).parameters, model_for("mlp-large", 64, 10).parameters
    (2410, 99530)
    """
    if name not in MODEL_NAMES:
        raise ParameterError(f"model: expected one of {', '.join(MODEL_NAMES)}, found {name!r}", "try 'mlp'")
    if features < 1 or classes < 2:
        raise ParameterError(
            f"model {name}: expected ≥ 1 feature and ≥ 2 classes, found {features} and {classes}",
            "check the data set's label column",
        )
    if name == "cnn":
        return _cnn(features, classes, activation)
    if name == "attention":
        return Model(name, features, classes, (Attention(features, WIDTH, 64), Dense(64, classes, "linear")))
    return dense_model(name, (features, *_HIDDEN[name], classes), activation)


def sums_model(length: int) -> Model:
    """The "model" of round zero: a vector of sums that begins at 0, as the biases of a layer without inputs.

    >>> sums_model(3).init(b"any")
    array([0., 0., 0.], dtype=float32)
    """
    return Model(SUMS, 0, length, (Dense(0, length, "linear"),))


def model_for_dataset(name: str, dataset: Dataset, *, activation: Activation = "relu") -> Model:
    """The named model for a data set; like ``model_for``, but ``cnn`` is for pictures only, and ``attention`` for text only.

    Raises: ParameterError as ``model_for``, for ``cnn`` on a data set without pictures, for ``attention`` on one without text,
        and for any other model on text.
    """
    if (name == "attention") != (dataset.vocabulary is not None) and name in MODEL_NAMES:
        raise ParameterError(
            f"model {name}: expected {'text' if name == 'attention' else 'measurements'}, found {dataset.name[:60]} with "
            f"{'numbers of words' if dataset.vocabulary else 'columns of numbers'}",
            "use 'attention' for text (letters), and 'mlp' for tables and pictures",
        )
    if name == "cnn" and dataset.image_side is None:
        raise ParameterError(
            f"model cnn: expected square gray pictures, found {dataset.name[:60]} with "
            f"{len(dataset.feature_names)} columns of another form",
            "use 'mlp', or a data set of such pictures (digits, mnist-5000, mnist)",
        )
    return model_for(name, len(dataset.feature_names), len(dataset.classes), activation=activation)


def dense_model(name: str, widths: tuple[int, ...], activation: Activation = "relu") -> Model:
    """Fully connected layers of these widths, features first and classes last.

    >>> dense_model("wide", (64, 256, 10)).shapes
    ((64, 256), (256,), (256, 10), (10,))
    """
    hidden = len(widths) - 2
    layers = (
        Dense(inputs, outputs, activation if at < hidden else "linear")
        for at, (inputs, outputs) in enumerate(pairwise(widths))
    )
    return Model(name, widths[0], widths[-1], tuple(layers))


def _cnn(features: int, classes: int, activation: Activation) -> Model:
    side = math.isqrt(features)
    if side * side != features or side < 6:
        raise ParameterError(
            f"model cnn: expected square pictures of at least 6x6, found rows of {features} features",
            "use 'mlp' for tables, or a data set of pictures (digits, mnist)",
        )
    first = Conv(side, 1, 8, 3, 1, activation)
    second = Conv(first.out_side, 8, 16, 3, 2, activation)
    return Model("cnn", features, classes, (first, second, Dense(second.outputs, classes, "linear")))

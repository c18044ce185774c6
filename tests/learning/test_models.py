"""Architectures: sizes, names, and first parameters that every party can recompute."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest

from hefl_core.errors import ParameterError
from hefl_core.learning.models import MODEL_NAMES, dense_model, model_for
from hefl_core.vectors import unflatten

SEED = hashlib.sha256(b"manifest").digest()


def test_parameter_counts_are_those_of_the_contract():
    counts = {name: model_for(name, 64, 10).parameters for name in MODEL_NAMES}
    assert counts == {"logistic": 650, "mlp": 2410, "mlp-large": 99_530, "cnn": 1898, "attention": 25_418}
    assert model_for("mlp", 64, 10).shapes == ((64, 32), (32,), (32, 10), (10,))
    assert model_for("cnn", 784, 10).parameters == 24_298


def test_init_is_the_same_everywhere_and_differs_by_seed():
    model = model_for("mlp", 64, 10)
    theta = model.init(SEED)
    assert theta.dtype == np.float32 and theta.shape == (2410,)
    assert theta.tobytes() == model.init(SEED).tobytes() != model.init(SEED[:-1]).tobytes()
    # The bits are part of the protocol (clients recompute θ_0): a change here is a breaking change.
    assert hashlib.sha256(theta.tobytes()).hexdigest()[:16] == "9fea7481a01b451b"


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_init_is_glorot_uniform_with_zero_biases(name):
    model = model_for(name, 64, 10)
    arrays = unflatten(model.init(SEED), model.shapes)
    for layer, weights, bias in zip(model.layers, arrays[::2], arrays[1::2], strict=True):
        limit = np.sqrt(6 / sum(layer.fans))
        assert not bias.any() and np.abs(weights).max() <= np.float32(limit)
        assert abs(weights.mean()) < 6 * limit / np.sqrt(3 * weights.size)
        assert weights.std() == pytest.approx(limit / np.sqrt(3), rel=0.25)


def test_models_are_hashable_and_travel():
    model = model_for("cnn", 64, 10)
    assert pickle.loads(pickle.dumps(model)) == model and hash(model) == hash(model_for("cnn", 64, 10))
    assert model != model_for("cnn", 64, 10, activation="sigmoid")


def test_dense_model_of_any_widths():
    imprint = dense_model("imprint", (64, 256, 10))
    assert [layer.activation for layer in imprint.layers] == ["relu", "linear"]


@pytest.mark.parametrize(
    ("name", "features", "classes", "match"),
    [
        ("resnet", 64, 10, "expected one of logistic"),
        ("mlp", 0, 10, "≥ 1 feature"),
        ("mlp", 64, 1, "≥ 2 classes"),
        ("cnn", 30, 2, "square pictures.*use 'mlp' for tables"),
        ("cnn", 25, 2, "at least 6x6"),
    ],
)
def test_what_cannot_be_built_is_refused(name, features, classes, match):
    with pytest.raises(ParameterError, match=match) as caught:
        model_for(name, features, classes)
    assert caught.value.suggestion

"""The attacker's gradients are the trainer's, and the slopes of the mismatch are right."""

from __future__ import annotations

import numpy as np
import pytest

from hefl_core.errors import DataError, EncodingError, ParameterError
from hefl_core.learning.base import Examples
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.models import MODEL_NAMES, model_for
from hefl_core.learning.numpy_trainer import loss_and_gradient
from hefl_core.vectors import unflatten

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def data():
    return load_dataset("digits").train.take(np.arange(3))


def fitting(name, data):
    """For the text model word numbers in place of shares of ink."""
    return Examples(np.rint(16 * data.features), data.labels) if name == "attention" else data


def gradients(name, activation="relu"):
    from hefl_core.learning.keras_gradients import KerasGradients

    return KerasGradients(model_for(name, 64, 10, activation=activation))


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_gradients_are_those_of_the_numpy_trainer(name, activation, data):
    attacker, data = gradients(name, activation), fitting(name, data)
    theta = attacker.model.init(b"seed").astype(np.float64)
    _, slopes = loss_and_gradient(attacker.model, unflatten(theta, attacker.model.shapes), data.features, data.labels)
    expected = np.concatenate([slope.reshape(-1) for slope in slopes])
    found = attacker.mean(theta, data)
    assert found.dtype == np.float64 and found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    each = attacker.each(theta, data)
    assert each.shape == (3, attacker.model.parameters) and each.mean(axis=0) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_slopes_of_the_mismatch_agree_with_finite_differences(name, metric, data):
    attacker = gradients(name, "sigmoid")
    theta = attacker.model.init(b"seed")
    observed = attacker.mean(theta, data)
    draw = np.random.default_rng(1)
    guess = [draw.random((3, 64)), draw.normal(size=(3, 10))]
    value, *slopes = attacker.mismatch(theta, observed, *guess, metric)
    assert value > 0
    for which, place in ((0, (0, 20)), (0, (2, 43)), (1, (1, 4)), (1, (2, 9))):
        values = []
        for sign in (1, -1):
            moved = [part.copy() for part in guess]
            moved[which][place] += sign * 1e-5
            values.append(attacker.mismatch(theta, observed, *moved, metric)[0])
        assert slopes[which][place] == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4, abs=1e-10)


def test_the_truth_has_no_mismatch(data):
    attacker = gradients("mlp", "sigmoid")
    theta = attacker.model.init(b"seed")
    certain = 200.0 * np.eye(10)[data.labels]
    for metric in ("euclidean", "cosine"):
        value, *_ = attacker.mismatch(theta, attacker.mean(theta, data), data.features, certain, metric)
        assert value == pytest.approx(0, abs=1e-12)


def test_what_does_not_fit_is_refused(data):
    attacker = gradients("mlp")
    theta = attacker.model.init(b"seed")
    with pytest.raises(EncodingError, match="expected shape"):
        attacker.mean(theta[:4], data)
    with pytest.raises(DataError, match="expected at least 1"):
        attacker.each(theta, data.take(np.zeros(0, np.int64)))
    with pytest.raises(EncodingError, match="guess: expected shapes"):
        attacker.mismatch(theta, theta, np.zeros((2, 64)), np.zeros((3, 10)))
    with pytest.raises(EncodingError, match="expected a finite"):
        attacker.mismatch(theta, theta, np.full((2, 64), np.nan), np.zeros((2, 10)))
    with pytest.raises(ParameterError, match="metric: expected"):
        attacker.mismatch(theta, theta, np.zeros((2, 64)), np.zeros((2, 10)), "l1")


@pytest.mark.parametrize("kind", ["relu", "sigmoid"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_handwritten_slopes_are_those_of_tensorflows_differentiation(kind, metric):
    from hefl_core.attacks.methods import gradient_inversion
    from hefl_core.learning.keras_gradients import KerasGradients
    from hefl_core.learning.models import dense_model

    model = dense_model("small", (5, 7, 3), kind)
    rng = np.random.default_rng(4)
    weights = [rng.normal(size=shape) for shape in model.shapes]
    observed = [rng.normal(size=shape) for shape in model.shapes]
    rows, logits = rng.normal(size=(2, 5)), rng.normal(size=(2, 3))
    ours = gradient_inversion.mismatch(model, weights, observed, rows, logits, metric)
    flat = [np.concatenate([array.reshape(-1) for array in arrays]) for arrays in (weights, observed)]
    theirs = KerasGradients(model).mismatch(flat[0], flat[1], rows, logits, metric)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)

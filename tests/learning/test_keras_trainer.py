"""Keras and NumPy train alike; the only module of these tests that imports TensorFlow."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest

from hefl_core.errors import DataError, EncodingError, ParameterError
from hefl_core.learning.base import Examples, LocalTraining
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.models import MODEL_NAMES, model_for
from hefl_core.learning.trainers import open_trainer
from hefl_core.vectors import flatten

pytestmark = pytest.mark.keras
HOW = LocalTraining(local_epochs=2, batch=32, learning_rate=0.1, seed=3)


@pytest.fixture(scope="module")
def data():
    return load_dataset("digits").train.take(np.arange(287))


def fitting(name, data):
    """For the text model word numbers in place of shares of ink."""
    return Examples(np.rint(16 * data.features), data.labels) if name == "attention" else data


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_keras_agrees_with_numpy_and_with_itself(name, activation, data):
    model, data = model_for(name, 64, 10, activation=activation), fitting(name, data)
    theta = model.init(b"seed")
    keras, numpy = open_trainer("keras", model), open_trainer("numpy", model)
    assert keras.model == model
    trained = keras.train(theta, data, HOW)
    assert trained.dtype == np.float32 and trained.shape == theta.shape
    assert np.abs(trained - numpy.train(theta, data, HOW)).max() < 1e-5 < np.abs(trained - theta).max()
    assert trained.tobytes() == open_trainer("keras", model).train(theta, data, HOW).tobytes()
    seen, expected = keras.evaluate(trained, data), numpy.evaluate(trained, data)
    assert seen.accuracy == expected.accuracy and seen.loss == pytest.approx(expected.loss, abs=1e-5)


def test_one_trace_serves_every_batch_size_and_trainer(data):
    from hefl_core.learning.keras_trainer import _compiled

    model = model_for("mlp", 64, 10)
    for examples in (1, 31, 287):
        open_trainer("keras", model).train(model.init(b"seed"), data.take(np.arange(examples)), HOW)
    assert _compiled(model).step.experimental_get_tracing_count() == 1


def test_keras_layers_have_the_models_shapes():
    from hefl_core.learning.keras_trainer import build

    for name in MODEL_NAMES:
        model = model_for(name, 64, 10)
        weights = build(model).get_weights()
        assert flatten(weights, model.shapes).shape == (model.parameters,)


def test_threads_share_one_compiled_step_without_mixing(data):
    model = model_for("mlp", 64, 10)
    starts = [model.init(bytes([at])) for at in range(4)]
    expected = [open_trainer("keras", model).train(theta, data, HOW) for theta in starts]
    found = [None] * 4

    def work(at):
        found[at] = open_trainer("keras", model).train(starts[at], data, HOW)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))


def test_a_keras_trainer_travels_and_refuses_as_numpy_does(data):
    trainer = pickle.loads(pickle.dumps(open_trainer("keras", model_for("mlp", 64, 10))))
    theta = trainer.model.init(b"seed")
    with pytest.raises(DataError, match="expected at least 1"):
        trainer.train(theta, data.take(np.zeros(0, np.int64)), HOW)
    with pytest.raises(EncodingError, match=r"expected shape \(2410,\)"):
        trainer.train(theta[:5], data, HOW)
    with pytest.raises(ParameterError, match="found NaN or infinity"):
        trainer.train(theta, data, LocalTraining(9, 1, 1e30, 0))

"""The invented letters, and the model of one attention head that learns their wards."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from hefl_core.errors import DataError, ParameterError
from hefl_core.learning.base import Examples, LocalTraining, pooled
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.models import VOCABULARY, model_for, model_for_dataset
from hefl_core.learning.numpy_trainer import NumpyTrainer, loss_and_gradient
from hefl_core.learning.text import letters
from hefl_core.learning.text.attention import place_vectors, word_vectors
from hefl_core.runtime.launch import run_experiment
from hefl_core.vectors import unflatten
from tests.conftest import SMALL


@pytest.fixture(scope="module")
def data():
    return load_dataset("letters")


def test_rows_are_the_letters_word_by_word(data):
    texts, wards = letters.letters()
    both = pooled([data.train, data.test])
    rows = {data.text(row): label for row, label in zip(both.features, both.labels, strict=True)}
    assert rows == dict(zip(texts, wards, strict=True)) and len(rows) == letters.LETTERS, "no letter is there twice"
    assert len(data.vocabulary) <= VOCABULARY and data.vocabulary[0] == "" and data.synthetic
    lengths = (data.train.features > 0).sum(axis=1)
    assert lengths.max() == letters.LONGEST == data.train.features.shape[1] and lengths.min() >= 9
    with pytest.raises(DataError, match="expected a data set of words, found digits"):
        load_dataset("digits").text(np.ones(3))


def test_it_learns_the_wards_better_than_the_largest_ward(data):
    trainer = NumpyTrainer(model_for_dataset("attention", data))
    theta = trainer.train(trainer.model.init(b"seed"), data.train, LocalTraining(15, 32, 0.1, 3))
    found = trainer.evaluate(theta, data.test)
    assert found.accuracy > 2 * np.bincount(data.test.labels).max() / len(data.test)


def test_a_run_trains_it_under_encryption():
    result = run_experiment(SMALL.but(dataset="letters", model="attention", scheme="bfv-lean", rounds=1, seed=5))
    (only,) = result.rounds
    assert only.accuracy is not None and only.max_abs_error <= only.error_bound and len(only.models) == 1
    assert result.parameters == 24_963


def test_the_vectors_are_the_same_everywhere():
    """Every client and the attacker use them: a change is a breaking change, as that of the first parameters."""
    words, places = word_vectors(128), place_vectors(letters.LONGEST, 128)
    assert words.shape == (VOCABULARY, 128) and places.shape == (letters.LONGEST, 128)
    assert hashlib.sha256(words.tobytes() + places.tobytes()).hexdigest()[:16] == "07fdc3d3c7e9721b"
    assert (words.std() ** 2, places.std() ** 2) == pytest.approx((0.5, 0.5), rel=0.05)


def test_padding_and_other_letters_change_nothing(data):
    model = model_for_dataset("attention", data)
    wider = model_for("attention", letters.LONGEST + 4, 3)
    arrays = unflatten(model.init(b"seed").astype(np.float64), model.shapes)
    rows, labels = data.train.features[:3], data.train.labels[:3]
    value, slopes = loss_and_gradient(model, arrays, rows, labels)
    each = [loss_and_gradient(model, arrays, rows[at : at + 1], labels[at : at + 1]) for at in range(3)]
    assert value == pytest.approx(np.mean([one[0] for one in each]))
    assert slopes[0] == pytest.approx(np.mean([one[1][0] for one in each], axis=0), abs=1e-12)
    padded = np.pad(rows, ((0, 0), (0, 4)))
    # The first places' vectors are drawn first, so that a longer sentence begins like a shorter one.
    assert loss_and_gradient(wider, arrays, padded, labels)[0] == pytest.approx(value)


@pytest.mark.parametrize(
    ("model", "dataset", "match"),
    [
        ("attention", "digits", "expected text, found digits.*use 'attention' for text"),
        ("attention", "breast_cancer", "expected text"),
        ("mlp", "letters", "expected measurements, found letters with numbers of words"),
        ("cnn", "letters", "expected measurements"),
    ],
)
def test_text_and_its_model_belong_together(model, dataset, match):
    with pytest.raises(ParameterError, match=match):
        model_for_dataset(model, load_dataset(dataset))


@pytest.mark.parametrize("number", [0.5, -1.0, VOCABULARY])
def test_what_is_no_word_number_is_refused(number):
    model = model_for("attention", 4, 2)
    rows = np.ones((2, 4), np.float32)
    rows[1, 2] = number
    with pytest.raises(DataError, match="expected word numbers, whole and in 0..1023"):
        NumpyTrainer(model).train(model.init(b""), Examples(rows, np.zeros(2, np.int64)), LocalTraining(1, 2, 0.1, 0))


def test_an_empty_letter_is_no_division_by_zero():
    model = model_for("attention", 4, 2)
    empty = Examples(np.zeros((1, 4), np.float32), np.zeros(1, np.int64))
    assert np.isfinite(NumpyTrainer(model).train(model.init(b""), empty, LocalTraining(1, 1, 0.1, 0))).all()

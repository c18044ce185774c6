"""Every example goes to exactly one client, by the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import ParameterError
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.partition import (
    PARTITIONS,
    by_hospital,
    dirichlet,
    dirichlet_by_client,
    iid,
    label_table,
    partition,
    shards,
)
from hefl_core.terms import experiment
from hefl_core.terms.experiment import Experiment

LABELS = np.random.default_rng(0).integers(0, 10, 400)
OLD_SIZES = (418, 385, 263, 102, 269)
"""Digits under alpha 0.5 and seed 7, five clients, since the first release: links and seeds must keep their meaning."""


def covers(positions, examples):
    return np.array_equal(np.sort(np.concatenate(positions)), np.arange(examples))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.floats(1e-3, 1e3), st.integers(0, 2**32))
def test_each_example_once_and_at_least_two_each(clients, alpha, seed):
    for positions in (
        iid(400, clients, seed),
        dirichlet(LABELS, clients, alpha, seed),
        by_hospital(LABELS.astype(np.float32), clients, seed),
        dirichlet_by_client(LABELS, clients, alpha, seed),
        shards(LABELS, clients, seed),
    ):
        assert len(positions) == clients and covers(positions, 400)
        assert min(len(own) for own in positions) >= 2


def test_the_seed_decides():
    for deal in (
        lambda seed: iid(400, 5, seed),
        lambda seed: dirichlet(LABELS, 5, 0.5, seed),
        lambda seed: dirichlet_by_client(LABELS, 5, 0.5, seed),
        lambda seed: shards(LABELS, 5, seed),
    ):
        first, again, other = deal(7), deal(7), deal(8)
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
        assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def skew(alpha):
    """Mean over clients of the largest class's share."""
    shares = [np.bincount(LABELS[own], minlength=10).max() / len(own) for own in dirichlet(LABELS, 5, alpha, 1)]
    return float(np.mean(shares))


def test_dirichlet_skew_grows_as_alpha_falls():
    assert skew(0.05) > skew(0.5) > skew(5) > skew(1000)
    assert skew(1000) < 0.2 and skew(0.05) > 0.4


def mixes(deal, alpha, clients=5):
    """Each client's classes, counted."""
    return np.array([np.bincount(LABELS[own], minlength=10) for own in deal(LABELS, clients, alpha, 1)])


def test_dirichlet_by_client_keeps_sizes_where_dirichlet_by_class_does_not():
    """What tells the two laws apart: the literature calls both of them Dirichlet."""
    assert set(mixes(dirichlet_by_client, 0.5).sum(axis=1)) == {80}
    assert np.ptp(mixes(dirichlet, 0.5).sum(axis=1)) > 20


def test_dirichlet_by_client_follows_the_classes_shares_at_large_alpha_and_few_classes_at_small():
    even = mixes(dirichlet_by_client, 1e6, clients=2)
    assert np.abs(even[0] - np.bincount(LABELS) / 2).max() < 20
    strong = mixes(dirichlet_by_client, 0.5, clients=20)
    assert (strong.max(axis=1) / 20).mean() > 0.6


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.sampled_from([1e-3, 0.1, 1.0, 100.0]), st.integers(0, 2**32), st.integers(2, 60))
def test_dirichlet_by_client_deals_rare_and_lone_classes_too(clients, alpha, seed, rows):
    labels = np.append(np.zeros(2 * rows, np.int64), [1, 2])
    clients = min(clients, len(labels) // 2)
    positions = dirichlet_by_client(labels, clients, alpha, seed)
    assert covers(positions, len(labels)) and np.ptp([len(own) for own in positions]) <= 1


@pytest.mark.parametrize("clients", [5, 10, 50])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_two_shards_of_equal_classes_are_at_most_two_classes(clients, seed):
    """McMahan's case: classes of equal size that the shards divide."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(10), 100))
    positions = shards(labels, clients, seed)
    assert covers(positions, 1000) and {len(own) for own in positions} == {1000 // clients}
    assert max(len(np.unique(labels[own])) for own in positions) <= 2


def test_a_shard_holds_neighbouring_classes_only_and_the_control_holds_all():
    per_client = [len(np.unique(LABELS[own])) for own in shards(LABELS, 20, 3)]
    assert max(per_client) <= 4 < min(len(np.unique(LABELS[own])) for own in iid(400, 20, 3))


def test_old_spelling_and_right_name_deal_the_same_rows():
    data = load_dataset("digits")
    old, named = partition(data, 5, 0.5, seed=7), partition(data, 5, 0.5, "dirichlet-by-class", 7)
    assert all(np.array_equal(a.labels, b.labels) for a, b in zip(old, named, strict=True))
    assert label_table(old, data.classes).sizes == OLD_SIZES


def test_the_experiment_knows_the_same_names():
    assert experiment.PARTITIONS == PARTITIONS
    assert Experiment(partition="shards").to_query() == "partition=shards"
    with pytest.raises(ParameterError, match="partition"):
        Experiment(partition="city")


def test_iid_sizes_differ_by_at_most_one():
    sizes = label_table(partition(load_dataset("digits"), 5), load_dataset("digits").classes).sizes
    assert sorted(sizes) == [287, 287, 287, 288, 288]


def test_hospitals_shift_features_and_labels_and_overlap():
    data = load_dataset("breast_cancer")
    parts = partition(data, 4, by="hospital", seed=3)
    means = [float(part.features[:, 0].mean()) for part in parts]
    assert means == sorted(means) and means[-1] - means[0] > 1.5
    assert parts[0].features[:, 0].max() > parts[1].features[:, 0].min()
    table = label_table(parts, data.classes)
    assert table.classes == ("malignant", "benign") and sum(table.sizes) == 455
    assert table.counts[0][0] < table.counts[-1][0]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"clients": 0}, "expected 1 to 227"),
        ({"clients": 228}, "choose fewer clients"),
        ({"clients": 5, "alpha": 0.0}, "alpha: expected"),
        ({"clients": 5, "alpha": float("nan")}, "alpha: expected"),
        ({"clients": 5, "alpha": 0.5, "by": "hospital"}, "alpha or hospital"),
        ({"clients": 5, "by": "city"}, "expected one of iid, hospital, shards"),
        ({"clients": 5, "alpha": 0.5, "by": "shards"}, "alpha or shards"),
        ({"clients": 5, "by": "dirichlet-by-class"}, "expected alpha with dirichlet-by-class"),
        ({"clients": 5, "by": "dirichlet-by-client"}, "expected alpha with dirichlet-by-client"),
        ({"clients": 5, "alpha": 1e9, "by": "dirichlet-by-client"}, "alpha: expected"),
        ({"clients": 228, "by": "shards"}, "choose fewer clients"),
        ({"clients": 5, "seed": -1}, "seed: expected"),
    ],
)
def test_what_cannot_be_dealt_is_refused(arguments, match):
    with pytest.raises(ParameterError, match=match):
        partition(load_dataset("breast_cancer"), **arguments)


def test_hospitals_exist_for_breast_cancer_only():
    with pytest.raises(ParameterError, match="found digits; use alpha"):
        partition(load_dataset("digits"), 5, by="hospital")

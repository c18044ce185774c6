"""Every example goes to exactly one client, by the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import ParameterError
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.partition import by_hospital, dirichlet, iid, label_table, partition

LABELS = np.random.default_rng(0).integers(0, 10, 400)


def covers(positions, examples):
    return np.array_equal(np.sort(np.concatenate(positions)), np.arange(examples))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.floats(1e-3, 1e3), st.integers(0, 2**32))
def test_each_example_once_and_at_least_two_each(clients, alpha, seed):
    for positions in (
        iid(400, clients, seed),
        dirichlet(LABELS, clients, alpha, seed),
        by_hospital(LABELS.astype(np.float32), clients, seed),
    ):
        assert len(positions) == clients and covers(positions, 400)
        assert min(len(own) for own in positions) >= 2


def test_the_seed_decides():
    for deal in (lambda seed: iid(400, 5, seed), lambda seed: dirichlet(LABELS, 5, 0.5, seed)):
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
        ({"clients": 5, "by": "city"}, "iid or hospital"),
        ({"clients": 5, "seed": -1}, "seed: expected"),
    ],
)
def test_what_cannot_be_dealt_is_refused(arguments, match):
    with pytest.raises(ParameterError, match=match):
        partition(load_dataset("breast_cancer"), **arguments)


def test_hospitals_exist_for_breast_cancer_only():
    with pytest.raises(ParameterError, match="found digits; use alpha"):
        partition(load_dataset("digits"), 5, by="hospital")

"""The rotation: lengths stay, peaks go, and whole numbers come back bit for bit, on any library."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import EncodingError
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.schemes.rotated import Rotation, largest_root, segments

PINNED_ORDER, PINNED_SIGNS = [299, 2893, 5644, 3873], [1, -1, -1, -1, -1, 1, -1, -1, -1, -1, 1, -1]
LENGTHS = st.sampled_from([1, 3, 4, 62, 64, 2410, 4096, 4097, 66_000])


def dense(rotation):
    """The matrix, column by column, in Python's fractions of powers of two: nothing of the module's arithmetic."""
    d = rotation.length
    groups, together = rotation._shape
    order = [g * together + i for g in rotation._order for i in range(together)] + list(range(groups * together, d))
    made = np.zeros((d, d))
    for part in segments(d):
        for i in range(part.start, part.stop):
            first = i - (i - part.start) % part.size
            for j in range(first, first + part.size):
                sign = (-1) ** bin((i - first) & (j - first)).count("1")
                made[i, order[j]] = sign * int(rotation._signs[j]) / part.root
    return made


@pytest.mark.parametrize("d", [1, 7, 62, 340])
def test_it_is_the_matrix_that_the_docstring_says(d):
    rotation, rng = Rotation(d, b"round 1"), np.random.default_rng(d)
    matrix, x, y = dense(rotation), rng.normal(size=d), rng.integers(-50, 50, d)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(d), atol=1e-12)
    np.testing.assert_allclose(rotation.apply(x), matrix @ x, atol=1e-12)
    assert np.array_equal(rotation.undo_whole(y), matrix.T @ y)  # both exact: sums of multiples of a power of two


@settings(max_examples=25, deadline=None)
@given(d=LENGTHS, seed=st.binary(min_size=1, max_size=8), kind=st.sampled_from([np.float32, np.float64]))
def test_lengths_stay_and_everything_comes_back(d, seed, kind):
    rotation = Rotation(d, seed)
    x = np.random.default_rng(d).normal(size=d).astype(kind)
    kept, close = x.copy(), 1e-5 if kind is np.float32 else 1e-12
    turned = rotation.apply(x)
    assert turned.dtype == kind and np.array_equal(x, kept)
    assert abs(np.linalg.norm(turned.astype(np.float64)) / np.linalg.norm(x.astype(np.float64)) - 1) < close
    np.testing.assert_allclose(rotation.undo(turned), x, atol=close * 10)


@settings(max_examples=25, deadline=None)
@given(d=LENGTHS, bits=st.integers(2, 16), terms=st.integers(1, 8), seed=st.integers(0, 2**32))
def test_both_bounds_hold(d, bits, terms, seed):
    """Per entry √h·K·LSB/2 of the sum, in L2 √d·K·LSB/2 without √h, of updates as sent."""
    rng, fields, rotation = np.random.default_rng(seed), FixedPoint.of(bits, terms), Rotation(d, b"r")
    sent = [rng.uniform(-1, 1, d) for _ in range(terms)]  # as clipped, after the rotation
    total = np.sum([fields.quantise(x, 1.0) for x in sent], axis=0).astype(np.uint64)
    whole = fields.whole(fields.restore(total, 1.0, terms), 1.0)
    found = rotation.undo_whole(whole) * fields.step(1.0)
    wanted = np.sum([rotation.undo(x.copy()) for x in sent], axis=0)
    error, of_sum = found - wanted, fields.sum_error(1.0, terms)
    assert np.max(np.abs(error)) <= largest_root(d) * of_sum + 1e-9
    assert np.linalg.norm(error) <= np.sqrt(d) * of_sum + 1e-9


def test_the_bound_per_entry_is_not_slack_by_nature():
    """Errors that conspire reach √h times half a step: a smaller bound would be wrong."""
    rotation = Rotation(4096, b"r")
    row = rotation.apply(np.eye(1, 4096, 77)[0])
    assert np.max(np.abs(rotation.undo(0.5 * np.sign(row)))) == pytest.approx(64 * 0.5)


def test_whole_numbers_come_back_exactly_and_floats_do_not():
    """Exact in int64; float32, which many a library would use, is not: that is why floats never decide a model."""
    rng = np.random.default_rng(3)
    y = rng.integers(-(2**22), 2**22, 8192)
    rotation = Rotation(8192, b"r")
    exact = rotation.undo_whole(y)
    assert np.array_equal(exact * 64, np.rint(exact * 64))
    assert not np.array_equal(rotation.undo(y.astype(np.float32)).astype(np.float64), exact)  # positive control
    with pytest.raises(EncodingError, match="within"):
        rotation.undo_whole(np.full(8192, 2**42))


def test_order_and_signs_are_fixed_by_the_seed_alone():
    """Pinned: with another order a client would decode garbage, so no library may change it."""
    first = Rotation(100_003, b"pinned")
    assert first._order[:4].tolist() == PINNED_ORDER and first._signs[:12].tolist() == PINNED_SIGNS
    assert sorted(first._order.tolist()) == list(range(100_003 // 16))
    assert not np.array_equal(first._order, Rotation(100_003, b"another")._order)


def test_layers_of_different_size_share_one_range():
    """A layer a hundred times larger than the rest: without the rotation 3 bits leave nothing of the rest."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(0, 1, 600), rng.normal(0, 0.01, 7592)])
    turned = Rotation(len(x), b"r").apply(x)
    assert np.max(np.abs(turned)) / np.sqrt(np.mean(turned**2)) < 5.5 < 10 < np.max(np.abs(x)) / np.sqrt(np.mean(x**2))

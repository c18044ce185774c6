"""Flattening is exact, clipping never exceeds its norm, and what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hefl_core.errors import EncodingError, ParameterError
from hefl_core.vectors import clip_norm, flatten, length_of, norm_of, unflatten

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
ARRAY = hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=5), elements=FINITE)
ARRAYS = st.lists(ARRAY, min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(ARRAYS)
def test_round_trip_is_exact_to_the_bit(arrays):
    shapes = [array.shape for array in arrays]
    vector = flatten(arrays, shapes)
    assert vector.dtype == np.float32 and vector.shape == (length_of(shapes),)
    for before, after in zip(arrays, unflatten(vector, shapes), strict=True):
        assert before.tobytes() == after.tobytes() and before.shape == after.shape


def test_unflatten_gives_views():
    vector = np.zeros(6, np.float32)
    unflatten(vector, [(2, 2), (2,)])[1][:] = 1
    assert vector.tolist() == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("shape", [5, 7, (6, 1), 0])
def test_unflatten_refuses_another_length(shape):
    with pytest.raises(EncodingError, match=r"expected shape \(6,\), found"):
        unflatten(np.zeros(shape, np.float32), [(2, 2), (2,)])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_with_their_place(value):
    vector = np.zeros(6, np.float32)
    vector[4] = value
    for refuse in (lambda: unflatten(vector, [(6,)]), lambda: flatten([vector]), lambda: clip_norm(vector, 1.0)):
        with pytest.raises(EncodingError, match="entry 4: expected a finite number"):
            refuse()


def test_flatten_refuses_wrong_shapes_nothing_and_values_float32_cannot_hold():
    with pytest.raises(EncodingError, match="expected shapes"):
        flatten([np.zeros(3, np.float32)], [(4,)])
    with pytest.raises(EncodingError, match="empty list"):
        flatten([])
    for inexact in (0.1, 1e300):
        with pytest.raises(EncodingError, match="exact in float32"):
            flatten([np.array([inexact])])
    assert flatten([np.array([0.5])]).tolist() == [0.5]


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(st.sampled_from([np.float32, np.float64]), st.integers(1, 40), elements=FINITE),
    st.floats(1e-3, 1e3),
)
def test_clip_never_exceeds_the_norm_and_keeps_short_vectors(vector, max_norm):
    clipped = clip_norm(vector, max_norm)
    assert clipped.dtype == vector.dtype and norm_of(clipped) <= max_norm
    if norm_of(vector) <= max_norm:
        assert clipped is vector
    else:
        assert norm_of(clipped) == pytest.approx(max_norm, rel=1e-5)


def test_norm_does_not_overflow():
    assert norm_of(np.array([3e200, 4e200])) == pytest.approx(5e200)
    assert norm_of(np.array([3e38, 3e38], np.float32)) == pytest.approx(3e38 * 2**0.5)


@pytest.mark.parametrize("max_norm", [0.0, -1.0, float("nan"), float("inf")])
def test_clip_refuses_a_norm_that_is_none(max_norm):
    with pytest.raises(ParameterError, match="expected a positive number"):
        clip_norm(np.ones(2, np.float32), max_norm)

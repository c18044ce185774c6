"""Fields: exact sums with head-room, and refusal of every number that does not fit."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import EncodingError, IntegrityError, ParameterError
from hefl_core.schemes.fixed_point import FixedPoint, check_integers, check_max_terms, check_vector, pack, unpack

WIDTHS = [(2, 21), (4, 12), (3, 12), (3, 20), (1, 40)]


@settings(max_examples=60, deadline=None)
@given(
    layout=st.sampled_from(WIDTHS),
    terms=st.integers(1, 16),
    d=st.integers(1, 41),
    scale=st.sampled_from([1e-9, 0.25, 1.0, 3e5]),
    seed=st.integers(0, 2**32),
)
def test_sums_of_packed_fields_are_the_sums(layout, terms, d, scale, seed):
    per_word, bits = layout
    rng = np.random.default_rng(seed)
    xs = rng.uniform(-scale, scale, (terms, d))
    xs[0, 0], xs[-1, -1] = scale, -scale
    fields = FixedPoint(bits, terms)
    words = sum(pack(fields.quantise(x, scale), per_word, bits) for x in xs)
    found = fields.restore(unpack(words, per_word, bits, d), scale, terms)
    assert np.max(np.abs(found - xs.sum(axis=0))) <= fields.sum_error(scale, terms)


@pytest.mark.parametrize(("per_word", "bits"), WIDTHS)
@pytest.mark.parametrize("terms", [1, 2, 3, 4, 5, 16])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_extremes_fill_a_field_and_never_the_next(per_word, bits, terms, sign):
    fields = FixedPoint(bits, terms)
    x = np.full(2 * per_word + 1, sign)
    words = pack(fields.quantise(x, 1.0), per_word, bits) * np.uint64(terms)
    assert np.array_equal(fields.restore(unpack(words, per_word, bits, len(x)), 1.0, terms), terms * x)


def test_value_bits_are_field_bits_less_head_room():
    assert [FixedPoint(21, k).value_bits for k in (1, 2, 3, 16, 17, 128)] == [21, 20, 19, 17, 16, 14]
    with pytest.raises(ParameterError, match="value bits"):
        FixedPoint(12, 512)


def test_rounding_at_random_is_right_on_average_and_within_a_whole_step():
    fields, rng = FixedPoint(8, 4), np.random.default_rng(5)
    x = np.full(40_000, 0.3712)
    plain, random = fields.quantise(x, 1.0), fields.quantise(x, 1.0, rng)
    values = fields.restore(random, 1.0, 1)
    assert len(set(plain.tolist())) == 1 and len(set(random.tolist())) == 2
    assert abs(values.mean() - 0.3712) < 6 * fields.step(1.0) / math.sqrt(len(x))
    assert np.max(np.abs(values - x)) <= fields.sum_error(1.0, 1, stochastic=True)
    ends = fields.quantise(np.tile([1.0, -1.0], 500), 1.0, rng)
    assert np.array_equal(fields.restore(ends, 1.0, 1), np.tile([1.0, -1.0], 500))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ([0.0, math.nan], "NaN"),
        ([math.inf, 0.0], "infinity"),
        ([-math.inf], "infinity"),
        ([], "d ≥ 1"),
        ([[1.0, 2.0]], "shape"),
        (0.5, "shape"),
        (["a"], "real numbers"),
        ([1 + 2j], "real numbers"),
        ([None], "real numbers"),
        ([[1.0], [1.0, 2.0]], "real numbers"),
        ([True], "real numbers"),
        ([0.0, -1.3], "exceeds the bound"),
    ],
)
def test_what_cannot_be_encoded_is_refused(x, words):
    with pytest.raises(EncodingError, match=words):
        check_vector(x, 1.0)


def test_the_message_says_expected_found_and_what_to_do():
    with pytest.raises(EncodingError) as caught:
        check_vector(np.array([0.1, 1.3]), 1.0)
    assert (
        str(caught.value) == "|entry| 1.3 exceeds the bound 1; clip the update, or train with a smaller learning rate"
    )
    assert (caught.value.bound, caught.value.found) == (1.0, 1.3)


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf, 1e-300, 1e300, "1", None])
def test_a_useless_bound_is_refused(bound):
    with pytest.raises(EncodingError, match="bound"):
        check_vector(np.zeros(3), bound)


@pytest.mark.parametrize("integers", [(-1,), (11,), (0.5,), ("1",), (None,), (2**70,)])
def test_integers_are_whole_and_fit(integers):
    with pytest.raises(EncodingError, match="integers"):
        check_integers(integers, 10)
    assert check_integers((np.int64(3), 10), 10) == (3, 10)


@pytest.mark.parametrize("max_terms", [0, -3, 17, 2.5, "4", None])
def test_head_room_is_checked(max_terms):
    with pytest.raises(EncodingError, match="max_terms"):
        check_max_terms(max_terms, 16, "bfv-compact")


def test_what_no_sum_can_be_is_refused():
    fields = FixedPoint(12, 16)
    top = 2 * fields.offset - 1
    for wrong in (0, 1, 2 * top + 1, 4095):
        with pytest.raises(IntegrityError, match="expected sums of 2 values"):
            fields.restore(np.array([wrong, 300], dtype=np.uint64), 1.0, 2)
    for words in ([1 << 48, 0], [0, 1 << 40]):
        with pytest.raises(IntegrityError, match="outside"):
            unpack(np.array(words, dtype=np.uint64), 4, 12, 6)

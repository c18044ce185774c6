"""Laws that every preset keeps, under individual custody: what encryption is for, and what it must refuse."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import EncodingError, KeyMismatch, ParameterError, QuorumError, RoundError, WireError
from hefl_core.schemes.base import CiphertextVector, PartialDecryption, PublicKey
from hefl_core.schemes.presets import PRESETS
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme

SLOW = {"paillier-naive", "paillier-packed", "paillier-packed-3072"}
"""Tested in earnest in test_paillier.py; here their small twin stands for them."""
NAMES = [name for name in PRESETS if name not in SLOW]
ALONE = Quorum(1, 3)
BOUND = 0.5


class World:
    """One preset with a key, and shorthands."""

    def __init__(self, name: str) -> None:
        self.scheme = open_scheme(name)
        self.preset = self.scheme.preset
        self.key, self.shares = self.scheme.keygen(ALONE)
        self.maker = self.shares[0] if self.preset.symmetric else self.key
        self.hides = self.preset.family != "plaintext"

    def encrypt(self, x, **options):
        return self.scheme.encrypt(self.maker, x, **{"bound": BOUND, **options})

    def open(self, total, holder=2, **options):
        partial = self.scheme.partial_decrypt(self.shares[holder - 1], total, {holder})
        return self.scheme.open(self.key, total, [partial], **options)

    def sum(self, vectors):
        running = self.scheme.accumulator(self.key)
        for vector in vectors:
            running.add(vector)
        return running.total()


@pytest.fixture(scope="module", params=NAMES)
def world(request):
    return World(request.param)


@pytest.fixture(scope="module")
def pair(world):
    rng = np.random.default_rng(1)
    xs = rng.uniform(-BOUND, BOUND, (2, 23))
    return xs, [world.encrypt(x, integers=(7, 1)) for x in xs]


def weighted(words, modulus):
    return sum((j + 3) * int(word) for j, word in enumerate(words)) % modulus


# -- what it is for ---------------------------------------------------------------------------------------------------


def test_the_sum_decrypts_to_the_sum(world, pair):
    xs, (a, b) = pair
    opened = world.open(world.scheme.add(world.key, a, b))
    assert opened.values.dtype == np.float64 and opened.values.shape == (23,)
    assert np.max(np.abs(opened.values - xs.sum(axis=0))) <= world.scheme.sum_error(BOUND, 2, 16)
    assert opened.integers == (14, 2)


@settings(max_examples=4, deadline=None)
@given(d=st.integers(1, 60), terms=st.integers(1, 5), count=st.integers(0, 3), seed=st.integers(0, 2**32))
def test_sums_of_any_shape(world, d, terms, count, seed):
    rng = np.random.default_rng(seed)
    xs, integers = rng.uniform(-BOUND, BOUND, (terms, d)), [int(v) for v in rng.integers(0, 1 << 20, count)]
    opened = world.open(world.sum(world.encrypt(x, integers=integers, max_terms=5) for x in xs))
    assert np.max(np.abs(opened.values - xs.sum(axis=0))) <= world.scheme.sum_error(BOUND, terms, 5)
    assert opened.integers == tuple(terms * v for v in integers)


def test_sixteen_extreme_terms(world):
    x = np.tile([BOUND, -BOUND, 0.0], 11)
    opened = world.open(world.sum(world.encrypt(x, integers=(1 << 20,)) for _ in range(16)))
    assert np.max(np.abs(opened.values - 16 * x)) <= world.scheme.sum_error(BOUND, 16, 16)
    assert opened.integers == (16 << 20,)


def test_two_encryptions_of_one_vector_differ(world, pair):
    x = pair[0][0]
    a, b = world.encrypt(x), world.encrypt(x)
    assert (a.blocks == b.blocks) != world.hides
    assert all((p == q) != world.hides for p, q in zip(a.blocks, b.blocks, strict=True) if p)


def test_addition_commutes_to_the_byte(world, pair):
    _, (a, b) = pair
    c = world.encrypt(pair[0][0], integers=(7, 1))
    totals = {tuple(world.sum(order).blocks) for order in itertools.permutations([a, b, c])}
    assert len(totals) == 1 or not world.hides


def test_bytes_there_and_back(world, pair):
    _, (a, b) = pair
    for vector in (a, world.scheme.add(world.key, a, b)):
        again = CiphertextVector.from_bytes(vector.to_bytes())
        assert again == vector
        world.scheme.check(world.key, again)
    assert PublicKey.from_bytes(world.key.to_bytes()) == world.key
    partial = world.scheme.partial_decrypt(world.shares[0], a, {1})
    assert PartialDecryption.from_bytes(partial.to_bytes()) == partial


def test_every_holder_of_one_of_n_opens_alone(world, pair):
    _, (a, b) = pair
    total = world.scheme.add(world.key, a, b)
    values = [world.open(total, holder).values for holder in (1, 2, 3)]
    assert np.array_equal(values[0], values[1]) and np.array_equal(values[0], values[2])
    assert np.array_equal(
        world.scheme.combine(world.key, total, [world.scheme.partial_decrypt(world.shares[0], total, {1})]), values[0]
    )


def test_tags_add_up_with_the_words(world, pair):
    xs, _ = pair
    if not world.preset.tagged:
        with pytest.raises(EncodingError, match="tag"):
            world.encrypt(xs[0], tag=weighted)
        return
    opened = world.open(world.sum(world.encrypt(x, integers=(9, 1), tag=weighted) for x in xs))
    assert opened.tag == weighted(opened.words, opened.modulus) % opened.modulus
    assert opened.integers == (18, 2)


def test_a_hidden_bound_is_not_in_the_ciphertext(world, pair):
    x = pair[0][0]
    hidden = world.encrypt(x, declare_bound=False)
    assert hidden.bound is None
    assert np.max(np.abs(world.open(hidden, bound=BOUND).values - x)) <= world.scheme.sum_error(BOUND, 1, 16)
    if world.hides:
        with pytest.raises(EncodingError, match="bound"):
            world.open(hidden)


# -- what it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x",
    [
        np.array([math.nan]),
        np.array([0.1, math.inf]),
        np.array([]),
        np.zeros((2, 2)),
        np.float64(0.1),
        np.array([0.2, -0.50001]),
        np.array(["x"]),
        np.array([1j]),
    ],
    ids=["nan", "inf", "empty", "matrix", "number", "beyond", "text", "complex"],
)
def test_what_cannot_be_encoded_is_refused(world, x):
    with pytest.raises(EncodingError):
        world.encrypt(x)


@pytest.mark.parametrize("options", [{"max_terms": 0}, {"max_terms": 10**6}, {"bound": 0.0}, {"integers": (-1,)}])
def test_head_room_bound_and_integers_are_checked(world, options):
    with pytest.raises((EncodingError, ParameterError)):
        world.encrypt(np.zeros(3), **options)


def test_a_sum_past_its_head_room_is_refused(world):
    running = world.scheme.accumulator(world.key)
    one = world.encrypt(np.full(3, BOUND), max_terms=2)
    running.add(one)
    running.add(one)
    with pytest.raises(EncodingError, match="head-room"):
        running.add(one)
    assert running.total().terms == 2


def test_another_key_is_refused_everywhere(world, pair):
    _, (a, b) = pair
    key, shares = world.scheme.keygen(ALONE)
    foreign = world.scheme.encrypt(
        shares[0] if world.preset.symmetric else key, np.zeros(23), bound=BOUND, integers=(7, 1)
    )
    for attempt in (
        lambda: world.scheme.add(world.key, a, foreign),
        lambda: world.scheme.add(key, a, b),
        lambda: world.scheme.check(key, a),
        lambda: world.scheme.accumulator(key).add(a),
        lambda: world.scheme.partial_decrypt(shares[0], a, {1}),
        lambda: world.scheme.open(key, a, [world.scheme.partial_decrypt(world.shares[0], a, {1})]),
        lambda: world.scheme.open(world.key, a, [shares_partial(world, shares, foreign)]),
    ):
        with pytest.raises(KeyMismatch):
            attempt()


def shares_partial(world, shares, vector):
    return world.scheme.partial_decrypt(shares[0], vector, {1})


def test_another_epoch_is_another_key(world, pair):
    _, (a, _) = pair
    later = replace(a, key_id=replace(a.key_id, epoch=2))
    with pytest.raises(KeyMismatch):
        world.scheme.check(world.key, later)


def test_other_shapes_are_refused(world, pair):
    _, (a, _) = pair
    others = [
        world.encrypt(np.zeros(1), integers=(7, 1)),
        world.encrypt(np.zeros(22), integers=(7, 1)),
        world.encrypt(np.zeros(23), integers=(7,)),
        world.encrypt(np.zeros(23), integers=(7, 1), max_terms=15),
        world.encrypt(np.zeros(23), integers=(7, 1), bound=BOUND / 2),
    ]
    for other in others:
        with pytest.raises(WireError, match="shapes"):
            world.scheme.add(world.key, a, other)


@pytest.mark.parametrize(
    "changes",
    [
        {"length": 0},
        {"length": -5},
        {"length": 10**15},
        {"integers": -1},
        {"integers": 10**9},
        {"terms": 0},
        {"terms": 17},
        {"max_terms": 10**6},
        {"bound": math.nan},
        {"bound": -1.0},
        {"blocks": ()},
        {"blocks": (b"",)},
    ],
    ids=str,
)
def test_labels_that_contradict_the_blocks_are_refused(world, pair, changes):
    with pytest.raises(WireError):
        world.scheme.check(world.key, replace(pair[1][0], **changes))


def test_decryption_takes_one_partial_of_this_sum(world, pair):
    _, (a, b) = pair
    partial = world.scheme.partial_decrypt(world.shares[0], a, {1})
    with pytest.raises(QuorumError):
        world.scheme.open(world.key, a, [])
    for partials in ([partial, partial], [replace(partial, active=(1, 2))], [replace(partial, index=2)]):
        with pytest.raises(Exception, match="partial|active"):
            world.scheme.open(world.key, a, partials)
    with pytest.raises(Exception, match="another sum"):
        world.scheme.open(world.key, b, [partial])


def test_an_empty_sum_is_refused(world):
    with pytest.raises(RoundError, match="empty cohort"):
        world.scheme.accumulator(world.key).total()


def test_lean_presets_name_the_threshold_preset(world):
    if world.preset.collective:
        return
    with pytest.raises(ParameterError) as caught:
        world.scheme.keygen(Quorum(2, 3))
    assert caught.value.suggestion
    if world.preset.family in ("bfv", "ckks"):
        assert f"{world.preset.family}-threshold" in caught.value.suggestion

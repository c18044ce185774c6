"""Sharing over the integers: any t shares give the secret, t - 1 fit every secret."""

from __future__ import annotations

import itertools
import math
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import ParameterError, QuorumError
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.sharing import (
    HIDING_BITS,
    active_set,
    integer_lagrange,
    share_integer,
)


@st.composite
def quorums(draw):
    holders = draw(st.integers(1, 10))
    return Quorum(draw(st.integers(1, holders)), holders)


def every_active_set(quorum):
    return itertools.combinations(range(1, quorum.holders + 1), quorum.threshold)


@settings(deadline=None, max_examples=60)
@given(quorums(), st.integers(0, 2**200 - 1))
def test_every_active_set_gives_the_integer(quorum, secret):
    shares, whole = share_integer(secret, quorum, 2**200), math.factorial(quorum.holders)
    for active in every_active_set(quorum):
        weights = integer_lagrange(active, quorum.holders)
        assert sum(weights[i] * shares[i - 1] for i in active) == whole * whole * secret


@given(quorums())
def test_weights_of_a_constant_add_up_to_one(quorum):
    for active in every_active_set(quorum):
        assert sum(integer_lagrange(active, quorum.holders).values()) == math.factorial(quorum.holders)


def test_fewer_integer_shares_fit_every_secret():
    """For t - 1 shares and any other secret there is a whole polynomial, and it is hardly further away."""
    limit = 2**64
    whole = math.factorial(6)
    room = whole * limit * 4 << HIDING_BITS
    for colluders in itertools.combinations(range(1, 7), 3):
        difference = [whole * (secrets.randbelow(limit) - secrets.randbelow(limit))]  # at 0
        vanishing = [1]  # Π (x - j), lowest coefficient first
        for j in colluders:
            vanishing = [b - j * a for a, b in zip([*vanishing, 0], [0, *vanishing], strict=True)]
        assert all(difference[0] * c % vanishing[0] == 0 for c in vanishing)
        change = sum(abs(difference[0] * c // vanishing[0]) for c in vanishing[1:])
        assert change * 2**HIDING_BITS <= room


def test_shares_are_drawn_afresh():
    assert share_integer(1, Quorum(2, 3), 2) != share_integer(1, Quorum(2, 3), 2)
    assert share_integer(7, Quorum(1, 3), 10) == (42, 42, 42)  # 3!·7: 1 of n is no secret among holders


def test_an_active_set_is_exactly_t_holders():
    assert active_set({5, 1, 2}, Quorum(3, 5)) == (1, 2, 5)
    with pytest.raises(QuorumError) as caught:
        active_set([1, 1, 2], Quorum(3, 5))
    assert (caught.value.have, caught.value.need) == (2, 3)
    for bad in ({1, 2, 3, 4}, {0, 1, 2}, {1, 2, 6}, [1, 2, 3, 3]):
        with pytest.raises(ParameterError):
            active_set(bad, Quorum(3, 5))


@pytest.mark.parametrize("active", [[1, 1, 2], [0, 1], [1, 14]])
def test_impossible_active_sets_have_no_weights(active):
    with pytest.raises(ParameterError):
        integer_lagrange(active, 6)


@pytest.mark.parametrize("secret", [-1, 13])
def test_what_is_beyond_its_public_limit_is_refused(secret):
    with pytest.raises(ParameterError):
        share_integer(secret, Quorum(2, 5), 13)

"""From which quantity on an attack finds nothing, and when hits are more than luck."""

from dataclasses import replace

import numpy as np
import pytest

from hefl_core.attacks.five_seats import Curve, SeatRate
from hefl_core.attacks.result import AttackResult

RESULT = AttackResult("records", "plain FL", "plaintext", "", "", 0.5, 0.4, 0.6, 0.0, "none", 30, 0.1, None, 7, "")


def curve(*lows, prior=0.0):
    at = tuple(2**place for place in range(len(lows)))
    return Curve("records", at, tuple(replace(RESULT, low=low, prior=prior) for low in lows))


@pytest.mark.parametrize(
    ("lows", "prior", "found"),
    [
        ((0.9, 0.4, 0.0, 0.0), 0.0, 4),
        ((0.9, 0.0, 0.4, 0.0), 0.0, 8),
        ((0.0, 0.0), 0.0, 1),
        ((0.9, 0.4), 0.0, None),
        ((0.9, 0.55, 0.45), 0.5, 4),
        ((0.9, 0.55, 0.51), 0.5, None),
    ],
)
def test_nothing_counts_only_if_all_that_follows_is_nothing(lows, prior, found):
    assert curve(*lows, prior=prior).nothing_from == found


def test_a_lucky_place_is_no_leak_and_three_of_four_records_are():
    """One in a hundred blind guesses names its record: of a hundred such guesses one hit says nothing."""
    ranks = np.arange(1.0, 101.0)
    lucky, leak = (SeatRate("coordinator", np.zeros(100), ranks) for ranks in (ranks, np.ceil(ranks / 75)))
    assert (lucky.hits, leak.hits) == (1, 75) and lucky.p_value > 0.5 and leak.p_value < 1e-100
    assert lucky.interval[0] < lucky.chance < lucky.interval[1] and leak.interval[0] > 0.6

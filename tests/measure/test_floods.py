"""The noise of opened sums: honest floodings of any number of holders pass; each way of flooding less is found."""

import math

import numpy as np
import pytest

from hefl_core.errors import IntegrityError
from hefl_core.measure.floods import (
    MOST_COMPARED,
    OpenedBlock,
    _chosen,
    check_floods,
    check_turned,
    distribution,
    moments,
)

RNG = np.random.default_rng(11)
DEGREE = 1024


@pytest.fixture(autouse=True)
def same_numbers():
    """The same in any order of the tests: nothing here depends on luck."""
    global RNG
    RNG = np.random.default_rng(11)


def flooding(holders, degree=DEGREE):
    return RNG.uniform(-1, 1, (holders, degree)).sum(axis=0)


def run_of(make, sums=3, ciphertexts=4):
    return [OpenedBlock(f"round {at}", make(at, number)) for at in range(1, sums + 1) for number in range(ciphertexts)]


@pytest.mark.parametrize("holders", [2, 3, 5, 12, 13, 32, 200])
def test_honest_noise_passes(holders):
    found = check_floods(run_of(lambda *_: flooding(holders)), holders, 1.0)
    assert 0.7 < found.least <= found.most < 1.3 and found.compared == 12


@pytest.mark.parametrize("holders", [1, 2, 7, 12, 13, 40])
def test_the_distribution_is_that_of_the_sum(holders):
    """Against a sample of 10^5: Massart's bound at 1e-9 is .0105. Control: one holder more is further away."""
    found = np.sort(RNG.uniform(-1, 1, (100_000, holders)).sum(axis=1))
    steps = np.arange(1, len(found) + 1) / len(found)
    assert np.max(np.abs(steps - distribution(found, holders))) < 0.0105
    assert holders > 7 or np.max(np.abs(steps - distribution(found, holders + 1))) > 0.0105
    assert np.mean(found**2) == pytest.approx(moments(holders)[2], rel=0.05)
    assert moments(holders)[2] == pytest.approx(holders / 3)


def turned(noise, by, sign=-1):
    """X^by times a polynomial, up to the sign."""
    return sign * np.concatenate([-noise[-by:], noise[:-by]])


def reversed_(noise):
    """A polynomial of 1/X."""
    return np.concatenate([noise[:1], -noise[:0:-1]])


FIRST = np.random.default_rng(5).uniform(-1, 1, DEGREE)
SLIPS = {
    "none at all": (lambda *_: flooding(2) * 2.0**-40, "variance"),
    "one ciphertext of sixteen": (
        lambda at, number: flooding(2) * (0.0 if (at, number) == (3, 2) else 1.0),
        "variance",
    ),
    "one of two holders in one ciphertext": (
        lambda at, number: flooding(1 if (at, number) == (3, 2) else 2),
        "ciphertext 3 that was looked at: noise of",
    ),
    "every third coefficient": (
        lambda *_: math.sqrt(2) * np.where(np.arange(DEGREE) % 3, 0, RNG.choice([-1, 1], DEGREE)),
        "shape",
    ),
    "two values": (lambda *_: math.sqrt(2 / 3) * RNG.choice([-1, 1], DEGREE), "shape"),
    "a normal distribution": (lambda *_: RNG.normal(0, math.sqrt(2 / 3), DEGREE), "shape"),
    "one holder's again, in every sum": (lambda at, number: flooding(1) + FIRST, "turned by"),
    "one holder's, turned and negated": (
        lambda at, number: flooding(1) + turned(FIRST, 100 * at + number + 1),
        "turned by",
    ),
    "one holder's, in reverse": (lambda at, number: flooding(1) + (reversed_(FIRST) if number else FIRST), "turned by"),
    "one holder's, in reverse and turned": (
        lambda at, number: flooding(1) + (turned(reversed_(FIRST), 5) if number else FIRST),
        "turned by",
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_less_than_it_should_be_is_found(slip):
    make, said = SLIPS[slip]
    with pytest.raises(IntegrityError, match=said):
        check_floods(run_of(make), 2, 1.0)


def test_of_many_ciphertexts_some_of_every_sum_are_compared():
    blocks = run_of(lambda *_: flooding(2, 64), sums=30, ciphertexts=5)
    chosen = _chosen(blocks)
    assert len(chosen) == MOST_COMPARED and len({block.where for block in chosen}) == 30
    check_turned([], 2)


def test_what_it_does_not_see_is_said():
    """X to X^3 makes other noise of a known one, and its own seed is nobody's secret: the module says that it sees neither."""
    from hefl_core.measure import floods

    image = np.zeros(DEGREE)
    for power, value in enumerate(FIRST):
        place = 3 * power % (2 * DEGREE)
        image[place % DEGREE] += value if place < DEGREE else -value
    check_floods([OpenedBlock("round 1", FIRST + flooding(1)), OpenedBlock("round 2", image + flooding(1))], 2, 1.0)
    assert floods.__doc__ and "another relation between two noises" in floods.__doc__

"""P-values are what they say: 2,000 draws under the null hypothesis against the uniform distribution, its tail included.

Every draw is seeded, so the outcome is always the same. The bars are six standard deviations: a p-value that is right
passes whatever the seed, and the normal tail that ``matched_p`` had before does not.
"""

import math
from itertools import permutations
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import hypergeom

from hefl_core.attacks import scoring
from hefl_core.attacks.lab import Lab, Setting
from hefl_core.attacks.methods.label_leak import own_gradients
from hefl_core.attacks.methods.membership import RIDGE
from hefl_core.attacks.trials import _of_coin
from hefl_core.learning.base import pooled
from hefl_core.measure import specimen
from hefl_core.probes.uniformity import CiphertextRow, compare

DRAWS = 2000
TAIL = (0.01, 0.003, 0.001)
BODY = (0.1, 0.25, 0.5, 0.75, 0.9)


def too_many(p_values, levels=TAIL):
    """Levels that more p-values are below than six standard deviations allow: false alarms."""
    found = np.asarray(p_values)
    return [
        level
        for level in levels
        if np.sum(found <= level) > len(found) * level + 6 * math.sqrt(len(found) * level * (1 - level)) + 1
    ]


def far_from_uniform(p_values):
    """Kolmogorov's distance from the uniform distribution beyond 3.35 / sqrt(n): once in 10^9."""
    ordered, n = np.sort(p_values), len(p_values)
    steps = np.arange(n + 1) / n
    distance = max(np.max(steps[1:] - ordered), np.max(ordered - steps[:-1]))
    return distance > 3.35 / math.sqrt(n)


# -- guesses and victims ---------------------------------------------------------------------------------------------


def noise(rng, trials):
    return rng.normal(size=(trials, trials))


def one_label_in_ten(rng, trials):
    guesses, truths = rng.integers(0, 10, (2, trials))
    return (guesses[:, None] == truths).astype(float)


def rare_matches(rng, trials):
    guesses, truths = rng.random((2, trials))
    return (np.abs(guesses[:, None] - truths) < 0.01).astype(float)


def shares(rng, trials):
    guesses, truths = np.clip(rng.normal(0.5, 1, trials), 0, 1), rng.random(trials)
    return -np.abs(guesses[:, None] - truths)


def long_tail(rng, trials):
    return rng.exponential(size=(trials, trials)) ** 3


TABLES = (noise, one_label_in_ten, rare_matches, shares, long_tail)


def by_normal_tail(fit):
    """The p-value of before: mean and variance only."""
    centred = fit - fit.mean(axis=0) - fit.mean(axis=1, keepdims=True) + fit.mean()
    spread = math.sqrt(np.sum(centred**2) / (len(fit) - 1))
    return NormalDist().cdf(-np.trace(centred) / spread) if spread > 1e-12 * len(fit) else 1.0


def drawn(table, trials, p_value=scoring.matched_p):
    rng = np.random.default_rng(41)
    return [p_value(table(rng, trials)) for _ in range(DRAWS)]


@pytest.mark.parametrize("trials", [4, 7, 12, 20, 100])
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_guesses_that_fit_nobody_raise_no_more_alarms_than_said(table, trials):
    found = drawn(table, trials)
    assert not too_many(found), sorted(found)[:30]
    if table in (noise, shares) and trials >= 20:  # the others are lattices: below uniform, not equal to it
        assert not far_from_uniform(found)


def test_the_bars_see_a_p_value_that_is_too_small():
    """Positive control: the normal tail of before, and a p-value halved."""
    assert too_many(drawn(rare_matches, 20, by_normal_tail)) and too_many(drawn(long_tail, 20, by_normal_tail))
    assert far_from_uniform([p / 2 for p in drawn(noise, 20)])


@pytest.mark.parametrize("hits", range(8, 41, 4))
def test_the_far_tail_is_the_exact_one_or_above_it(hits):
    """40 of 400 guesses say one label and 40 victims have it: the matches are hypergeometric, so the tail is known."""
    guesses, truths = np.arange(400) < 40, np.roll(np.arange(400) < 40, 40 - hits)
    fit = (guesses[:, None] & truths).astype(float)
    assert np.trace(fit) == hits
    exact, found = hypergeom.sf(hits - 1, 400, 40, 40), scoring.matched_p(fit)
    assert exact / 2 < found
    assert hits < 12 or by_normal_tail(fit) < exact / 10, "the normal tail said it too soon"


def test_few_trials_are_counted_out():
    rng = np.random.default_rng(5)
    for trials in (3, 5):
        fit = rng.integers(0, 3, (trials, trials)).astype(float)
        sums = [sum(fit[i, j] for i, j in enumerate(order)) for order in permutations(range(trials))]
        assert scoring.matched_p(fit) == pytest.approx(np.mean([one >= np.trace(fit) for one in sums]))
    assert scoring.matched_p(np.ones((4, 4))) == 1.0


# -- members ---------------------------------------------------------------------------------------------------------


def test_members_that_nothing_tells_apart():
    rng = np.random.default_rng(43)
    found = [scoring.auc(*rng.normal(size=(2, 200))).p_value for _ in range(DRAWS)]
    assert not far_from_uniform(found) and not too_many(found)
    ties = [scoring.auc(*rng.integers(0, 4, (2, 200)).astype(float)).p_value for _ in range(DRAWS)]
    assert not too_many(ties), "ties make it careful, not bold"


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["digits", "breast_cancer"])
def test_members_scored_by_noise_in_the_place_of_an_update(dataset):
    """The attack's own scores of one update depend on each other; the p-value must bear that."""
    rng, lab = np.random.default_rng(44), Lab(Setting(dataset=dataset, batch=16))
    solved = []
    for number in range(25):
        view, truth = lab.trial(number)
        others = lab.data.test.take(np.random.default_rng([7, number]).choice(len(lab.data.test), 16, replace=False))
        rows = pooled([truth.examples, others])
        gradients = own_gradients(view, rows.features, rows.labels)
        gram = gradients @ gradients.T
        gram += RIDGE * (np.trace(gram) / len(gram)) * np.eye(len(gram))
        solved.append(np.linalg.solve(gram, gradients))
    found = []
    for _ in range(DRAWS):
        scores = [one @ rng.normal(size=one.shape[1]) for one in solved]
        scores = [score / score.std() for score in scores]
        inside, outside = (np.concatenate([score[half] for score in scores]) for half in (slice(16), slice(16, None)))
        found.append(scoring.auc(inside, outside).p_value)
    assert not far_from_uniform(found) and not too_many(found)


# -- ciphertexts against noise ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [64, 2048, 20_000])
def test_uniform_residues(numbers):
    rng, modulus = np.random.default_rng(45), (1 << 40) - 87
    drawn = [
        compare("a", [CiphertextRow("row", modulus, (rng.integers(0, modulus, numbers, np.uint64),))]).tests
        for _ in range(DRAWS)
    ]
    for same in zip(*drawn, strict=True):  # a test by size, and one of each run of bits
        found = [test.p_value for test in same]
        assert not too_many(found) and (numbers < 2048 or not far_from_uniform(found)), same[0].name


def test_uniform_fractions_by_kolmogorov():
    rng = np.random.default_rng(46)
    found = [specimen.uniformity(rng.random(2000)).p_value for _ in range(DRAWS)]
    assert not too_many(found) and not far_from_uniform(found)


def test_a_game_of_coins():
    """The binomial p-value of the distinguishing games is exact: never below its level too often."""
    rng = np.random.default_rng(47)
    found = [_of_coin(rng.random(100) < 0.5).p_value for _ in range(DRAWS)]
    assert not too_many(found, (*TAIL, 0.05, 0.5))

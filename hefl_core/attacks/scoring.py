"""How well a guess fits the truth. The attacks of this room never receive the truth; this file does.

All attacks share one test for "no better than chance": does a guess fit its own victim better than the other trials'
victims? Under the null hypothesis guesses and victims are exchangeable; mean, variance and third moment of the matched
sum over all permutations are known exactly.

Source: Wilson 1927; Hoeffding 1951 (moments over permutations); Mielke and Berry 2007, chapter 2 (a Pearson type III
distribution with these moments); Hanley and McNeil 1982 (AUC).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import NormalDist
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hefl_core.attacks.view import Doubles
from hefl_core.learning.base import Examples
from hefl_core.learning.models import VOCABULARY
from hefl_core.vectors import Array

Z95 = 1.959963984540054
MATCH_DB = 30.0
"""Above this PSNR a record counts as recovered."""
BEST_DB = 320.0
MOST_GUESSES = 4
"""Records of a guess that are compared with every victim."""
MOST_PERMUTED = 7
"""Trials up to which every permutation is tried: 5,040 of seven."""
LEAST_SKEWNESS = 1e-3
"""Below it a Pearson III tail is the normal one; a negative skewness counts as none, which can only raise the p-value."""
G = TypeVar("G")


@dataclass(frozen=True)
class Truth:
    """Truth of one trial: the victim's examples and its update."""

    examples: Examples
    update: Doubles


@dataclass(frozen=True)
class Score:
    """Value, 95 % interval, baseline and the p-value of "no better than chance". ``values``: each trial's, where there are."""

    value: float
    low: float
    high: float
    prior: float
    p_value: float | None
    values: Doubles | None = field(default=None, repr=False, compare=False)


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """95 % interval of a rate.

    >>> tuple(round(v, 3) for v in wilson(200, 200))
    (0.981, 1.0)
    """
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = successes / trials, Z95**2
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 * np.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def bootstrap(values: Doubles, seed: int = 0, draws: int = 1000) -> tuple[float, float]:
    """95 % percentile interval of a mean."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def matched_p(fit: Doubles) -> float:
    """One-sided p-value of guesses fitting their own victims. Shapes: (T, T), guess by victim.

    A normal tail is wrong where most entries are alike: of guesses that name one label in ten, twice as many as allowed
    fell below 0.01, and below 1e-9 thousands of times as many. Three moments get both right.

    >>> rng = np.random.default_rng(1)
    >>> noise = rng.normal(size=(200, 200))
    >>> 0.001 < matched_p(noise) < 0.999, matched_p(noise + 2 * np.eye(200)) < 1e-9, matched_p(np.eye(3)) == 1 / 6
    (True, True, True)
    """
    trials = len(fit)
    # Centring removes guesses that fit everyone and victims that everything fits.
    centred = fit - fit.mean(axis=0, keepdims=True) - fit.mean(axis=1, keepdims=True) + fit.mean()
    matched, variance = float(np.trace(centred)), float(np.sum(centred**2)) / max(1, trials - 1)
    if math.sqrt(variance) < 1e-12 * trials:  # all guesses fit alike, up to rounding
        return 1.0
    if trials <= MOST_PERMUTED:
        return _permuted_p(centred, matched)
    # Hoeffding: the third moment over permutations is T·Σd³ / ((T - 1)(T - 2)), the variance Σd² / (T - 1).
    third = trials * float(np.sum(centred**3)) / ((trials - 1) * (trials - 2))
    return _pearson_tail(matched / math.sqrt(variance), third / variance**1.5)


def _permuted_p(centred: Doubles, matched: float) -> float:
    """Exact: the share of all permutations that match at least as well."""
    sums = centred[np.arange(len(centred)), _orders(len(centred))].sum(axis=1)
    # A sum of the same numbers in another order differs in its last bits: equal sums must count as equal.
    return float(np.mean(sums >= matched - 1e-9 * np.abs(centred).sum()))


@lru_cache(maxsize=MOST_PERMUTED)
def _orders(count: int) -> npt.NDArray[np.intp]:
    """All permutations of 0..count - 1. Shapes: (count!, count)."""
    return np.array(list(itertools.permutations(range(count))))


def _pearson_tail(deviations: float, skewness: float) -> float:
    """P(X ≥ deviations) of a standardised Pearson type III variable, which is a shifted gamma variable."""
    from scipy.special import gammaincc  # not at the top: most callers of this package never score an attack

    # X = (G - k)/√k for a gamma variable G of shape k has variance 1 and skewness 2/√k.
    shape = 4 / max(skewness, LEAST_SKEWNESS) ** 2
    return float(gammaincc(shape, max(0.0, shape + deviations * math.sqrt(shape))))


def over_trials(
    guesses: Sequence[G],
    truths: Sequence[Truth],
    value: Callable[[G, Truth], float],
    fit: Callable[[Sequence[G], Sequence[Truth]], Doubles] | None = None,
    *,
    rate: bool,
) -> Score:
    """Mean value of guesses against their victims; the baseline is the same against the next trial's victim.

    ``fit``: (T, T) how well each guess fits each victim; None: ``value`` itself.
    """
    own = np.array([value(guess, truth) for guess, truth in zip(guesses, truths, strict=True)])
    others = np.array([value(guess, truth) for guess, truth in zip(guesses, [*truths[1:], truths[0]], strict=True)])
    table = fit(guesses, truths) if fit else np.array([[value(guess, truth) for truth in truths] for guess in guesses])
    low, high = wilson(float(own.sum()), len(own)) if rate else bootstrap(own)
    p_value = matched_p(table) if len(own) > 2 else None
    return Score(float(own.mean()), low, high, float(others.mean()), p_value, own)


# -- records -------------------------------------------------------------------------------------------------------


def psnr(guess: Array, record: Array) -> float:
    """Peak signal-to-noise ratio in dB; the peak is 1: white for pictures, a standard deviation for tables."""
    return float(_psnrs(np.atleast_2d(guess), np.atleast_2d(record))[0, 0])


def _psnrs(guesses: Array, rows: Array) -> Doubles:
    """Shapes: (m, features) and (n, features) to (m, n)."""
    gaps = np.asarray(guesses, np.float64)[:, None] - np.asarray(rows, np.float64)[None]
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(BEST_DB, -10 * np.log10(np.mean(gaps**2, axis=2))))


def recovered(guesses: Array, truth: Truth) -> float:
    """Share of the victim's records that some guess meets within 30 dB. Shapes: guesses (m, features)."""
    if len(guesses) == 0:
        return 0.0
    return float(np.mean(_psnrs(guesses, truth.examples.features).max(axis=0) > MATCH_DB))


def best_psnr(guesses: Array, truth: Truth) -> float:
    """Mean over the victim's records of the best guess's PSNR. 0 dB where there is no guess."""
    if len(guesses) == 0:
        return 0.0
    return float(np.mean(_psnrs(guesses, truth.examples.features).max(axis=0)))


def precision(guesses: Array, truth: Truth) -> float:
    """Share of the attacker's claims that are a record of the victim."""
    if len(guesses) == 0:
        return 1.0
    return float(np.mean(_psnrs(guesses, truth.examples.features).max(axis=1) > MATCH_DB))


def likeness(guesses: Sequence[Array], truths: Sequence[Truth]) -> Doubles:
    """Largest correlation between one of a guess's first records and a record of a victim; 0 where there is no guess.

    Shapes: (T, T), guess by victim.
    """
    features = truths[0].examples.features.shape[1]
    first = [np.asarray(g, np.float64)[:MOST_GUESSES] if len(g) else np.zeros((1, features)) for g in guesses]
    rows = [truth.examples.features.astype(np.float64) for truth in truths]
    table = _standard(np.concatenate(first)) @ _standard(np.concatenate(rows)).T
    starts = [np.cumsum([0, *(len(part) for part in parts[:-1])]) for parts in (first, rows)]
    return np.asarray(np.maximum.reduceat(np.maximum.reduceat(table, starts[0], axis=0), starts[1], axis=1))


def ssim(guess: Array, record: Array, side: int) -> float:
    """Structural similarity of two pictures in 0..1: 1 for equal ones, near 0 for unrelated ones; a mean over 7 x 7 windows.

    Shapes: (side²,) each. Source: Wang et al. 2004, equation 13, with K1 = .01 and K2 = .03; uniform windows.
    """
    one, other = (
        np.lib.stride_tricks.sliding_window_view(
            np.clip(np.asarray(rows, np.float64), 0, 1).reshape(side, side), (7, 7)
        )
        for rows in (guess, record)
    )
    m1, m2 = one.mean(axis=(2, 3)), other.mean(axis=(2, 3))
    v1, v2 = one.var(axis=(2, 3), ddof=1), other.var(axis=(2, 3), ddof=1)
    both = ((one - m1[..., None, None]) * (other - m2[..., None, None])).sum(axis=(2, 3)) / 48
    c1, c2 = 0.01**2, 0.03**2
    return float(np.mean((2 * m1 * m2 + c1) * (2 * both + c2) / ((m1**2 + m2**2 + c1) * (v1 + v2 + c2))))


def rank(guess: Array, crowd: Array) -> int:
    """Rank of the first candidate by correlation with a guess; 1: the guess identifies it."""
    close = (_standard(np.atleast_2d(np.asarray(guess, np.float64))) @ _standard(np.asarray(crowd, np.float64)).T)[0]
    return 1 + int(np.sum(close[1:] >= close[0]))


def _standard(rows: Doubles) -> Doubles:
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300))


# -- labels and shares -----------------------------------------------------------------------------------------------


def same_label(guess: int, truth: Truth) -> float:
    """Whether the guessed label is that of the victim's first record."""
    return float(guess == int(truth.examples.labels[0]))


def labels_right(counts: Doubles, truth: Truth) -> float:
    """Share of the batch's labels that the guessed counts cover."""
    found = np.bincount(truth.examples.labels, minlength=len(counts))
    return float(np.minimum(found, counts).sum() / len(truth.examples))


def share_error(share: float, truth: Truth, label: int = 0) -> float:
    """Distance |guessed - true share| of records with this label."""
    return abs(share - float(np.mean(truth.examples.labels == label)))


def mixture_error(shares: Doubles, truth: Truth) -> float:
    """Total variation between guessed and true label shares: 0 equal, 1 disjoint. Shapes: (classes,)."""
    found = np.bincount(truth.examples.labels, minlength=len(shares)) / len(truth.examples)
    return float(np.abs(shares - found).sum() / 2)


def nearest(guesses: Array, truth: Truth) -> tuple[int, int, float]:
    """The guess and the victim's record that match best, and their PSNR. Shapes: guesses (m, features), m ≥ 1."""
    table = _psnrs(guesses, truth.examples.features)
    guess, row = np.unravel_index(int(np.argmax(table)), table.shape)
    return int(guess), int(row), float(table[guess, row])


# -- words -----------------------------------------------------------------------------------------------------------


def words_named(guess: npt.NDArray[np.int64], truth: Truth) -> float:
    """Share of the different words of the victim's letters that are in the guess. Shapes: guess (m, 2), number and place."""
    own = _words(truth)
    return len(own & {int(number) for number in guess[:, 0]}) / len(own)


def words_right(guess: npt.NDArray[np.int64], truth: Truth) -> float:
    """Share of the different words of the guess that are in the victim's letters. Shapes: guess (m, 2), m ≥ 1."""
    named = {int(number) for number in guess[:, 0]}
    return len(named & _words(truth)) / len(named)


def exactly(guess: npt.NDArray[np.int64], truth: Truth) -> float:
    """Whether the guess is the words of the victim's letters, each at its place, and nothing else. Shapes: guess (m, 2)."""
    rows = truth.examples.features
    there = {(int(rows[at, place]), int(place)) for at, place in zip(*np.nonzero(rows), strict=True)}
    return float(there == {(int(number), int(place)) for number, place in guess})


def words_alike(guesses: Sequence[npt.NDArray[np.int64]], truths: Sequence[Truth]) -> Doubles:
    """Words in both over words in either, which naming every word does not raise. Shapes: (T, T), guess by victim."""
    named = _marked([{int(number) for number in guess[:, 0]} for guess in guesses])
    own = _marked([_words(truth) for truth in truths])
    both = named @ own.T
    return np.asarray(both / (named.sum(axis=1)[:, None] + own.sum(axis=1)[None] - both))


def _words(truth: Truth) -> set[int]:
    return {int(number) for number in np.unique(truth.examples.features) if number}


def _marked(sets: Sequence[set[int]]) -> Doubles:
    """One row of 0 and 1 for each set of word numbers. Shapes: (sets, VOCABULARY)."""
    table = np.zeros((len(sets), VOCABULARY))
    for row, one in zip(table, sets, strict=True):
        row[list(one)] = 1
    return table


# -- members ---------------------------------------------------------------------------------------------------------


def auc(members: Doubles, others: Doubles) -> Score:
    """Area under the ROC curve; members should score higher, ties count half."""
    m, n = len(members), len(others)
    ranks = np.concatenate([members, others])
    order = np.unique(ranks, return_inverse=True, return_counts=True)
    # Ties share the mean of their ranks.
    middle = (np.cumsum(order[2]) - (order[2] - 1) / 2)[order[1]]
    area = float((middle[:m].sum() - m * (m + 1) / 2) / (m * n))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    # Hanley and McNeil's variance for the interval; under the null Mann and Whitney's, (m + n + 1) / 12mn.
    variance = (area * (1 - area) + (m - 1) * (q1 - area**2) + (n - 1) * (q2 - area**2)) / (m * n)
    half = Z95 * float(np.sqrt(max(variance, 0)))
    p_value = NormalDist().cdf((0.5 - area) / math.sqrt((m + n + 1) / (12 * m * n)))
    return Score(area, max(0.0, area - half), min(1.0, area + half), 0.5, p_value)


def roc(members: Doubles, others: Doubles) -> Doubles:
    """False-positive and true-positive rates over all thresholds. Shapes: (points, 2)."""
    cuts = np.unique(np.concatenate([members, others]))[::-1]
    fpr = [float(np.mean(others >= cut)) for cut in cuts]
    tpr = [float(np.mean(members >= cut)) for cut in cuts]
    return np.column_stack([[0.0, *fpr], [0.0, *tpr]])


def tpr_at(curve: Doubles, fpr: float) -> float:
    """True-positive rate at this false-positive rate. Source: Carlini 2022, section III.B."""
    return float(curve[curve[:, 0] <= fpr, 1].max())


def worst_error(guess: Array, truth: Array) -> float:
    """Largest absolute difference of the entries."""
    return float(np.max(np.abs(np.asarray(guess, np.float64) - truth)))

"""Is the noise of differential privacy as stated? Tests of (noised - clipped) against the discrete Gaussian.

Too little noise breaks the guarantee, too much spoils the model; noise that is not fresh, or follows the update, can be
subtracted again. Every bound holds for the discrete Gaussian itself and for any number of entries, so an honest run fails with
probability ``alpha`` at most (Bonferroni over all tests):

- sum of squares, both ways: Chernoff's bound of χ²; the discrete Gaussian's moments differ by less than 1e-100 from s ≥ 4 on;
- shape: Dvoretzky, Kiefer, Wolfowitz 1956 with Massart's constant 1990, for the largest distance of the distributions, of each
  share and of all together;
- entries without noise, or with little: the number of entries at 0 and near it, by the binomial distribution's tail;
- inner products with the update, and with every other share of the run, of any client and round, as it is and in reverse
  order: a discrete Gaussian is sub-Gaussian with its own s (Canonne, Kamath, Steinke 2020, fact 22).

They cannot detect predictable noise (a generator with a known seed), or another client's entries in another order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.errors import IntegrityError, NotChecked
from hefl_core.schemes.base import Vector

ALPHA: Final = 1e-9
CENTRES: Final = (0, 1 / 64, 1 / 16, 1 / 4)
"""How near to 0 entries are counted, in standard deviations."""
TESTS_OF_ONE: Final = 4 + len(CENTRES)
"""Tests of one share: too little, too much, shape, along the update, and too many near 0."""
TESTS_OF_TWO: Final = 2
"""Tests of two shares: in order and in reverse."""
MOST_NUMBERS: Final = 1 << 23
"""Entries of all shares together that are compared with each other; beyond it, the first of each."""
FEWEST: Final = 32
"""Least entries; with fewer, a coarse discrete Gaussian's moments are too far from the normal's."""
OFF_GRID: Final = 1e-6
"""In steps; float64 holds a whole number of steps far better."""
ROUNDING: Final = 1e-3
"""How far the normal distribution may be from the discrete one, from s = 4 on: less than φ'(1)/(24·s²)."""

Whole = npt.NDArray[np.float64]
"""Whole numbers of steps."""


@dataclass(frozen=True)
class NoiseShare:
    """One client's noise in one round, in whole steps, the update under it, and the stated standard deviation in steps."""

    client: str
    round: int
    noise: Whole
    under: Whole
    std: int

    @classmethod
    def of(cls, client: str, round_: int, noised: Vector, clipped: Vector, step: float, std: int) -> NoiseShare:
        """Subtract the clipped update. Raises: IntegrityError when the noised update is not on the grid."""
        if noised.shape != clipped.shape:
            raise IntegrityError(
                f"{client}, round {round_}: expected the update before its noise, found none of its shape"
            )
        whole = np.rint(noised / step)
        off = float(np.max(np.abs(noised / step - whole)))
        if not off <= OFF_GRID:
            raise IntegrityError(f"{client}, round {round_}: the noised update is {off:.2g} steps off the grid")
        under = np.trunc(clipped / step)
        return cls(client, round_, whole - under, under, std)

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.client}, round {self.round}"

    @property
    def strength(self) -> float:
        """Mean square over the stated one."""
        return float(np.mean((self.noise / self.std) ** 2))


def check_noise(shares: Sequence[NoiseShare], alpha: float = ALPHA) -> tuple[float, float]:
    """Test all shares; the smallest and the largest strength found.

    Raises: IntegrityError naming the first share that fails; NotChecked without enough noise to test.
    """
    fewest = min((len(share.noise) for share in shares), default=0)
    if fewest < FEWEST:
        raise NotChecked(f"noise: expected {FEWEST} entries or more to test, found {fewest}; take a larger model")
    stds = sorted({share.std for share in shares})
    # Bonferroni: each test, two-sided, may fail with probability 2·exp(-budget) = alpha over their number.
    tests = TESTS_OF_ONE * (len(shares) + len(stds)) + TESTS_OF_TWO * len(shares) ** 2 + 1
    budget = math.log(2 * tests / alpha)
    for share in shares:
        _check_strength(share.name, share.strength, len(share.noise), budget)
        _check_distribution(share.name, share.noise, share.std, budget)
        _check_along(f"{share.name}: its noise follows its own update", share.noise, share.under, share.std, budget)
    for std in stds:
        _check_distribution(
            "all clients together", np.concatenate([one.noise for one in shares if one.std == std]), std, budget
        )
    found = [share.strength for share in shares]
    _check_strength("all clients together", float(np.mean(found)), sum(len(one.noise) for one in shares), budget)
    check_apart([one.name for one in shares], np.stack([one.noise / one.std for one in shares]), 1.0, budget)
    return min(found), max(found)


def _check_strength(name: str, strength: float, count: int, budget: float) -> None:
    """-ln P(mean square ≤, or ≥, this) is at least count/2 · (u - 1 - ln u)."""
    unlikely = math.inf if strength <= 0 else count / 2 * (strength - 1 - math.log(strength))
    if not unlikely <= budget:
        raise IntegrityError(f"{name}: noise of {strength:.3g} times the stated variance in {count} entries")


def _check_distribution(name: str, noise: Whole, std: int, budget: float) -> None:
    from scipy.special import ndtr  # takes its time to import; most callers never test anything
    from scipy.stats import binom

    values, counts = np.unique(noise, return_counts=True)
    reached = np.cumsum(counts) / len(noise)
    before = reached - counts / len(noise)
    # The discrete distribution jumps at whole numbers: half a step on lies between two jumps.
    off = max(
        float(np.max(np.abs(reached - ndtr((values + 0.5) / std)))),
        float(np.max(np.abs(before - ndtr((values - 0.5) / std)))),
    )
    # Massart: P(distance > x) ≤ 2·exp(-2n·x²).
    if off > math.sqrt(budget / (2 * len(noise))) + ROUNDING:
        raise IntegrityError(f"{name}: the noise is no discrete Gaussian, its distribution is {off:.2g} away")
    for centre in CENTRES:
        near = math.floor(centre * std)
        # P(0) is 1/(s·√(2π)) up to 1e-100; of more values the normal distribution tells it nearly.
        share = 1 / (std * math.sqrt(2 * math.pi)) if not near else 2 * ndtr((near + 0.5) / std) - 1 + ROUNDING
        found = int(np.sum(np.abs(noise) <= near))
        if binom.sf(found - 1, len(noise), share) < 2 * math.exp(-budget):
            raise IntegrityError(
                f"{name}: {found} of {len(noise)} entries have noise of at most {near} steps, expected {share * len(noise):.0f}"
            )


def _check_along(what: str, noise: Whole, direction: Whole, std: int, budget: float) -> None:
    length = float(np.linalg.norm(direction))
    # Sub-Gaussian: P(|⟨noise, v⟩| > s·|v|·√(2b)) ≤ 2·exp(-b).
    if abs(float(noise @ direction)) > std * length * math.sqrt(2 * budget):
        raise IntegrityError(f"{what}; it can be taken off again")


def check_apart(names: Sequence[str], noise: Whole, std: float, budget: float) -> None:
    """No row of noise follows another, in order or in reverse. Shapes: (shares, entries). Raises: IntegrityError."""
    entries = min(noise.shape[1], max(FEWEST, MOST_NUMBERS // len(names)))
    first = noise[:, :entries]
    for order, other in (("", first), (" in reverse", noise[:, ::-1][:, :entries])):
        limits = std * np.linalg.norm(other, axis=1) * math.sqrt(2 * budget)
        over = np.abs(first @ other.T) > limits[None, :]
        np.fill_diagonal(over, False)
        if over.any():
            a, b = (int(at) for at in np.argwhere(over)[0])
            raise IntegrityError(f"{names[a]}: its noise follows that of {names[b]}{order}; it can be taken off again")


def check_strength(
    name: str, strength: float, count: int, budget: float, least: float = 1.0, most: float = 1.0
) -> None:
    """Test a mean square over the stated variance, of sub-Gaussian numbers with tails no heavier than normal ones.

    Above ``most``: -ln P is at least count/2 · (u - 1 - ln u). Below ``least``: E exp(-λx²) ≤ 1 - λ + 3λ²/2, so at least
    count/6 · (1 - u)². Raises: IntegrityError.
    """
    above, below = strength / most, strength / least
    unlikely = count / 2 * (above - 1 - math.log(above)) if above > 1 else count / 6 * max(0.0, 1 - below) ** 2
    if not unlikely <= budget:
        raise IntegrityError(f"{name}: noise of {strength:.3g} times the stated variance in {count} numbers")

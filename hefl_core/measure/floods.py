"""Is the noise of opened BFV sums that of t floodings? Of each ciphertext: its size, its shape, and whether another one has it.

A coefficient of honest noise is a sum of t numbers, each uniform on -1 .. 1 (in units of 2^f), and of the sum's own noise,
which is far smaller. Every bound holds for that distribution and for any number of coefficients, so an honest run fails
with probability ``ALPHA`` at most (Bonferroni over all tests):

- size, both ways: noise.py's bound of the mean square, for a ciphertext, for a sum and for the run;
- shape, for the same three: the fourth moment (Bernstein 1924), and the largest distance of the distributions (Dvoretzky,
  Kiefer, Wolfowitz 1956 with Massart's constant 1990);
- inner products of every two ciphertexts' noise, in every turn by X^j, each sign, and in reverse (X to 1/X): a sum of
  uniform numbers is sub-Gaussian with its own variance.

They cannot detect flooding that somebody can compute, another relation between two noises, or one holder's fault that the
flooding of many others hides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.errors import IntegrityError
from hefl_core.measure.noise import check_strength

ALPHA: Final = 1e-9
ROUNDED: Final = 0.999
"""Fraction of a variance that float32 and the plaintext's own rounding must leave."""
TESTS_OF_ONE: Final = 4
"""Tests of one group of numbers, each two-sided: size, fourth moment, distribution; one to spare."""
MOST_COMPARED: Final = 64
"""Ciphertexts that are compared with each other in every turn; of more, so many from all sums alike."""
EXACT_HOLDERS: Final = 12
"""Up to so many the distribution is computed exactly; beyond, float64 loses its alternating sum."""
MOMENTS: Final = 8

Noise = npt.NDArray[np.float64]
"""Coefficients in units of 2^f."""


@dataclass(frozen=True)
class OpenedBlock:
    """The noise of one ciphertext of an opened sum. ``where``: its sum, for messages. Shapes: ``noise`` (N,)."""

    where: str
    noise: Noise


@dataclass(frozen=True)
class Found:
    """``least`` and ``most``: size of a ciphertext's noise over the stated variance. ``compared``: ciphertexts, in every turn."""

    least: float
    most: float
    compared: int


def check_floods(blocks: Sequence[OpenedBlock], holders: int, most: float) -> Found:
    """Test all ciphertexts. ``most``: the largest variance with the sum's own noise, over the stated one.

    Raises: IntegrityError naming the first sum that fails.
    """
    groups = list(_groups(blocks))
    budget = math.log(2 * 2 * TESTS_OF_ONE * len(groups) / ALPHA)
    for where, noise in groups:
        strength = 3 * float(np.mean(noise**2)) / holders
        check_strength(where, strength, len(noise), budget, ROUNDED, most / ROUNDED)
        _check_fourth(where, noise, holders, budget, most)
        _check_distribution(where, noise, holders, budget)
    chosen = _chosen(blocks)
    check_turned(chosen, holders)
    sizes = [3 * float(np.mean(block.noise**2)) / holders for block in blocks]
    return Found(min(sizes), max(sizes), len(chosen))


def _groups(blocks: Sequence[OpenedBlock]) -> Iterator[tuple[str, Noise]]:
    """Each ciphertext, each sum, and all together."""
    sums = [(where, [one.noise for one in found]) for where, found in groupby(blocks, lambda block: block.where)]
    for where, found in sums:
        for number, noise in enumerate(found, 1):
            yield f"{where}: ciphertext {number} that was looked at", noise
        if len(found) > 1:
            yield f"{where}: the opened sum", np.concatenate(found)
    if len(sums) > 1:
        yield "all opened sums together", np.concatenate([block.noise for block in blocks])


def _chosen(blocks: Sequence[OpenedBlock]) -> Sequence[OpenedBlock]:
    if len(blocks) <= MOST_COMPARED:
        return blocks
    return [blocks[round(at)] for at in np.linspace(0, len(blocks) - 1, MOST_COMPARED)]


@lru_cache(maxsize=64)
def moments(holders: int) -> tuple[float, ...]:
    """E x^k of a sum of so many numbers uniform on -1 .. 1, for k = 0 .. 8.

    >>> [round(one, 4) for one in moments(1)[::2]], round(moments(2)[4], 4)
    ([1.0, 0.3333, 0.2, 0.1429, 0.1111], 1.0667)
    """
    of_one = [0.0 if k % 2 else 1 / (k + 1) for k in range(MOMENTS + 1)]
    found = [1.0] + [0.0] * MOMENTS
    for _ in range(holders):
        found = [sum(math.comb(k, i) * found[i] * of_one[k - i] for i in range(k + 1)) for k in range(MOMENTS + 1)]
    return tuple(found)


def _check_fourth(where: str, noise: Noise, holders: int, budget: float, most: float) -> None:
    """Noise in few coefficients, or in two values, has the right variance and another fourth moment."""
    right, spread = moments(holders)[4], moments(holders)[8] - moments(holders)[4] ** 2
    found = float(np.mean(noise**4))
    # Bernstein: P(|mean - right| > e) ≤ 2·exp(-n·e² / (2·spread + 2·largest·e/3)), solved for e.
    largest = float(holders) ** 4 * budget / 3
    allowed = (largest + math.sqrt(largest**2 + 2 * len(noise) * spread * budget)) / len(noise)
    # The sum's own noise adds six times its variance's share, in first order; ROUNDED covers it as well.
    if not abs(found - right) <= allowed + 8 * (most - ROUNDED) * right:
        raise IntegrityError(
            f"{where}: noise of another shape than that of {holders} floodings, its fourth moment is {found / right:.3g} times "
            "theirs"
        )


def _check_distribution(where: str, noise: Noise, holders: int, budget: float) -> None:
    ordered, count = np.sort(noise), len(noise)
    expected = distribution(ordered, holders)
    steps = np.arange(count + 1) / count
    off = float(max(np.max(np.abs(steps[1:] - expected)), np.max(np.abs(steps[:-1] - expected))))
    if not off <= math.sqrt(budget / (2 * count)) + (1 - ROUNDED):
        raise IntegrityError(
            f"{where}: noise of another shape than that of {holders} floodings, its distribution is {off:.2g} away"
        )


def distribution(x: Noise, holders: int) -> Noise:
    """P(sum of so many numbers uniform on -1 .. 1 is at most x): Irwin and Hall 1927; beyond 12, Edgeworth's series.

    >>> distribution(np.array([-2.0, 0.0, 1.0, 2.0]), 2).round(4).tolist()
    [0.0, 0.5, 0.875, 1.0]
    """
    if holders <= EXACT_HOLDERS:
        at = np.clip((x + holders) / 2, 0, holders)
        # From the nearer end: there the alternating sum has few terms, and none that is large.
        near = np.minimum(at, holders - at)
        terms = [
            (-1) ** k * math.comb(holders, k) * np.maximum(near - k, 0) ** holders for k in range(holders // 2 + 1)
        ]
        tail = sum(terms) / math.factorial(holders)
        return np.asarray(np.where(at <= holders / 2, tail, 1 - tail))
    from scipy.special import ndtr  # takes its time to import; most callers never test anything

    z = x / math.sqrt(holders / 3)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return np.asarray(ndtr(z) + density * (z**3 - 3 * z) / (20 * holders))  # excess -6/(5t), over 24


def check_turned(blocks: Sequence[OpenedBlock], holders: int) -> None:
    """No ciphertext's noise follows another's in any turn by X^j, either sign, in order or in reverse. Raises: IntegrityError."""
    if len(blocks) < 2:
        return
    noise = np.stack([block.noise for block in blocks])
    count, degree = noise.shape
    budget = math.log(2 * 2 * 2 * count**2 * degree / ALPHA)
    # Values at the odd 2N-th roots of one: products there are products modulo X^N + 1, the conjugate is X to 1/X.
    twist = np.exp(-1j * np.pi * np.arange(degree) / degree)
    values, limits = np.fft.fft(noise * twist), np.linalg.norm(noise, axis=1) * math.sqrt(2 * budget * holders / 3)
    for number in range(count - 1):
        others = values[number + 1 :]
        for order, other in (("", others.conj()), (" in reverse", others)):
            inner = np.abs((np.fft.ifft(values[number] * other) * twist.conj()).real)
            over = np.argwhere(inner > limits[number + 1 :, None])
            if len(over):
                at, turn = (int(one) for one in over[0])
                raise IntegrityError(
                    f"{blocks[number].where}: its noise follows that of {blocks[number + 1 + at].where} turned by "
                    f"X^{turn}{order}; it can be taken off again"
                )

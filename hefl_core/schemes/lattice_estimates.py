"""Formulas behind the numbers of a one-time preset: smoothing, what hints leave, failures, and core-SVP.

Clients that open a sum learn S = Σ s_k and E = Σ e_k: *hints* about each key. Given s_1 + s_2 = S, s_1 is a discrete Gaussian
of width σ/√2 around S/2. The Hint-RLWE reduction gives half of σ for the secret: to an attacker with hints, the scheme is
no weaker than RLWE with widths σ_s/2 and σ_e/2, as long as σ/2 smooths the integers.

Smooths means σ/2 ≥ η_ε(Z^N) at ε = 2^-128. The stricter form of that condition asks for √2 more, which 4.5 does not reach: then a
hinted key differs from the reduction's by 2·exp(-π²σ²/4), a factor of 1 ± 2^-71, in each coefficient; over a whole key of
4096 that is a statistical distance below 2^-60, and a Rényi divergence of order 2 below 2^-130.

Source: Kim, Lee, Seo, Song 2023 (Hint-MLWE, eprint 2023/623); Micciancio, Regev 2007, lemma 3.3 for the smoothing
parameter; Alkim, Ducas, Pöppelmann, Schwabe 2016 (eprint 2015/1092), section 6, for core-SVP; Bai, Galbraith 2014 for secrets
that are shorter than errors.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

SMOOTHING_BITS: Final = 128
"""ε = 2^-128 in the smoothing condition."""
CLASSICAL, QUANTUM = 0.292, 0.265
"""log2 of the cost of a shortest vector in dimension β, over β: sieving, without and with Grover's search."""


def smoothing_std(degree: int, bits: int = SMOOTHING_BITS) -> float:
    """η_ε(Z^N) as a standard deviation, ε = 2^-bits: a Gaussian that wide hides which integers it is over.

    >>> round(smoothing_std(4096), 3)
    2.225
    """
    # Micciancio and Regev state it for exp(-πx²/s²); s is √(2π) standard deviations.
    return math.sqrt((math.log(2 * degree) + math.log1p(2.0**-bits) + bits * math.log(2)) / 2) / math.pi


def hinted_std(std: float) -> float:
    """Width that is left to an attacker who was given the sum with one other key of the same width.

    1/σ² = 2·(1/σ_1² + 1/σ_2²) with σ_1 = σ_2: more keys in the sum leave more.

    >>> hinted_std(4.5)
    2.25
    """
    return std / 2


def failure_bits(std: float, terms: int, room: float) -> float:
    """log2 of the probability that one coefficient of a sum of ``terms`` errors exceeds ``room``: Chernoff's bound.

    >>> [round(failure_bits(4.5 * 2**0.5, terms, 512)) for terms in (5, 16)]
    [-933, -291]
    """
    return 1 - (room / std) ** 2 / (2 * terms * math.log(2))


@lru_cache(maxsize=64)
def core_svp(degree: int, modulus_bits: int, secret_std: float, error_std: float) -> tuple[int, int]:
    """Bits of the primal attack's cost, (classical, quantum): the smallest BKZ block β that finds the key, best m samples.

    >>> core_svp(4096, 60, 2.25, 2.25 * 2**0.5), core_svp(2048, 53, 2.25, 2.25 * 2**0.5)
    ((225, 204), (105, 95))
    """
    low, high = 50, 4 * degree
    while low < high:
        middle = (low + high) // 2
        if _finds(middle, degree, modulus_bits, secret_std, error_std):
            high = middle
        else:
            low = middle + 1
    return math.floor(CLASSICAL * low), math.floor(QUANTUM * low)


def _finds(block: int, degree: int, modulus_bits: int, secret_std: float, error_std: float) -> bool:
    """Whether BKZ with this block finds a vector of length σ·√d in some lattice of d = N + m + 1 dimensions."""
    log_delta = math.log2((math.pi * block) ** (1 / block) * block / (2 * math.pi * math.e)) / (2 * (block - 1))
    wanted = math.log2(error_std) + math.log2(block) / 2
    stretch = degree * math.log2(error_std / secret_std)
    # A multiple of 8 samples is as good as any: the cost is flat around its least value.
    return any(
        wanted <= (2 * block - degree - m - 2) * log_delta + (m * modulus_bits + stretch) / (degree + m + 1)
        for m in range(degree // 4, 2 * degree + 1, 8)
    )

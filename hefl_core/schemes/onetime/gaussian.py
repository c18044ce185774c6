"""Discrete Gaussians from a table that is exact to 2^-128, drawn from the operating system and from nothing else.

A number of 128 uniform bits falls between two entries of the cumulative table. Its upper 64 bits decide, except where they
equal those of an entry: then, and only then, the lower 64 are drawn.

Source: Peikert 2010 (inversion sampling), with the table's precision as in Prest 2017, section 4.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import Decimal, getcontext, localcontext
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

Small = npt.NDArray[np.int64]

PRECISION_BITS: Final = 128
_DIGITS: Final = 80
"""Decimal places while the table is made: far more than 128 bits."""
_WORD: Final = 64


@dataclass(frozen=True)
class Gaussian:
    """The integers -limit..limit with probability proportional to exp(-x²/2σ²).

    ``cumulative``: of x = -limit + i the probability of everything up to x, in units of 2^-128, without the last, 2^128.
    """

    std: float
    limit: int
    cumulative: tuple[int, ...]
    upper: npt.NDArray[np.uint64]

    def draw(self, count: int) -> Small:
        """Fresh independent numbers. Shapes: int64 (count,), each in -limit..limit."""
        words = np.frombuffer(os.urandom(8 * count), dtype="<u8")
        # All entries whose upper word is below this one are passed; an equal upper word is settled by the lower one.
        passed = np.searchsorted(self.upper, words, side="left")
        equal = np.flatnonzero(self.upper[np.minimum(passed, len(self.upper) - 1)] == words)
        for place in equal:
            whole = (int(words[place]) << _WORD) + int.from_bytes(os.urandom(8), "little")
            passed[place] = sum(entry <= whole for entry in self.cumulative)
        return passed - self.limit


@lru_cache(maxsize=16)
def gaussian(std: float, limit: int) -> Gaussian:
    """The table of one width."""
    with localcontext(getcontext()) as context:
        context.prec = _DIGITS
        wide = Decimal(std) * Decimal(std) * 2
        weights = [(-Decimal(x * x) / wide).exp() for x in range(-limit, limit + 1)]
        whole, sums, so_far = sum(weights), [], Decimal(0)
        for weight in weights[:-1]:
            so_far += weight
            sums.append(int(so_far / whole * (1 << PRECISION_BITS)))
    upper = np.array([entry >> _WORD for entry in sums], dtype=np.uint64)
    return Gaussian(std, limit, tuple(sums), upper)

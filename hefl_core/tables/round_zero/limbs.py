"""Exact numbers as small signed digits, so that the digits' sums over all clients give the exact sum of the numbers.

A scheme's fields carry few bits exactly. A number is therefore cut into digits of that many bits (limbs); adding clients adds
limb by limb, without carries, and :meth:`Limbs.join` does the carrying at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from hefl_core.tables.decision import refused

Digits = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Limbs:
    """Numbers of ``width`` bits, ``fraction`` of them after the point, in limbs of ``bits``.

    >>> limbs = Limbs(bits=4, width=12, fraction=2)
    >>> limbs.split(-5.25), limbs.join(2 * limbs.split(-5.25))
    (array([-5., -1.,  0.]), Fraction(-21, 2))
    """

    bits: int
    width: int
    fraction: int = 0

    @property
    def count(self) -> int:
        """Limbs of one number."""
        return -(-self.width // self.bits)

    def split(self, number: float | int | Fraction) -> Digits:
        """The limbs, lowest first, each with the number's sign; what lies below the last bit is rounded.

        Shapes: (count,), entries within ±(2^bits - 1).
        Raises: DataError for a number that does not fit.
        """
        whole = round(Fraction(number) * (1 << self.fraction))
        if abs(whole) >> self.width:
            largest = f"2^{self.width - self.fraction}"
            raise refused(
                "sums", f"numbers below {largest}", f"{float(number):g}", "change the column's unit, or drop it"
            )
        sign, rest, mask = (-1 if whole < 0 else 1), abs(whole), (1 << self.bits) - 1
        return np.array([sign * ((rest >> (self.bits * at)) & mask) for at in range(self.count)], np.float64)

    def join(self, totals: Digits) -> Fraction:
        """The exact number of which these are the limbs' totals. Shapes: totals (count,), whole numbers of any size."""
        return Fraction(sum(int(total) << (self.bits * at) for at, total in enumerate(totals)), 1 << self.fraction)

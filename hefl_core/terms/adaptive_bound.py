"""An adaptive bound for narrow fields, and error feedback: a memory of what clipping and rounding left out.

All clients derive the next bound from the same decrypted sum, so they agree on it without a message. The coordinator cannot
decrypt and does not learn it.

Source: error feedback after Seide et al. 2014 (1-bit SGD) and Karimireddy et al. 2019; the bound is protocol.md's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from hefl_core.errors import EncodingError
from hefl_core.schemes.base import Scheme, Vector
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.terms.dp import grid
from hefl_core.wire.canonical import decode, encode

CROWDED, SPARSE = 1 / 2, 1 / 8
"""The largest mean field above this part of its range doubles the bound, below that part halves it.

An update exceeds the mean of all: by little when the clients' data are alike, several times when they are not. Half of the
range leaves room for the first, and what the second loses to clipping comes with the next round.
"""


class FieldScheme(Protocol):
    """A scheme that sends entries as fixed-point fields."""

    def fields(self, max_terms: int) -> FixedPoint:
        """The quantiser for sums of at most ``max_terms``."""


def noise_step(scheme: Scheme, bound: float, max_terms: int) -> float:
    """The grid of a noised update: the scheme's own steps where it has some, so that its rounding changes nothing."""
    if getattr(scheme.preset, "field_bits", 0):
        return cast(FieldScheme, scheme).fields(max_terms).step(bound)
    return grid(bound)


@dataclass(frozen=True, slots=True)
class BoundRange:
    """Public terms of an adaptive bound, part of the manifest: powers of two."""

    start: float = 0.5
    floor: float = 2.0**-16
    ceiling: float = 2.0**6

    def follow(self, bound: float, total: Vector, terms: int, fields: FixedPoint) -> float:
        """The next round's bound, from the decrypted sum of ``terms`` weighted updates under ``bound``.

        Compares whole numbers, so that every client comes to the same result.

        >>> fields = FixedPoint(12, 4)  # 10 value bits: integers up to 511
        >>> [BoundRange().follow(0.25, np.array([mean * 4]), 4, fields) for mean in (0.2, 0.1, 0.01)]
        [0.5, 0.25, 0.125]
        """
        # The sum is a whole number of steps: rounding restores it, and no platform compares integers differently.
        largest = round(float(np.max(np.abs(total))) / fields.step(bound))
        full = terms * (fields.offset - 1)
        if largest > full * CROWDED:
            return min(bound * 2, self.ceiling)
        if largest < full * SPARSE:
            return max(bound / 2, self.floor)
        return bound


@dataclass(frozen=True, slots=True)
class Fitted:
    """A weighted update made to fit: ``sent`` clipped entrywise, ``rounded`` the values that its fields stand for.

    ``clipped``: how many entries were. Leaks: everything; stays at the client.
    """

    sent: Vector
    rounded: Vector
    clipped: int
    left_out: Vector


class Precision:
    """A client's side of the adaptive bound. ``feedback``: whether the next update carries what this one left out."""

    def __init__(self, terms: BoundRange, *, feedback: bool) -> None:
        self._range, self._feedback = terms, feedback
        self._left_out: Vector | None = None
        self.bound = terms.start

    def remembered(self) -> bytes:
        """The state that a restart needs: the bound, and what was left out."""
        return encode((self.bound, None if self._left_out is None else self._left_out.tobytes()))

    def recall(self, own: bytes) -> None:
        """Read :meth:`remembered` back."""
        self.bound, left_out = decode(own, tuple[float, bytes | None])
        self._left_out = None if left_out is None else np.frombuffer(left_out, dtype=np.float64)

    def fit(self, weighted: Vector, fields: FixedPoint, rng: np.random.Generator) -> Fitted:
        """Clip to the bound and round: to the nearest with feedback, else at random so that the mean is exact.

        Raises: EncodingError for NaN and infinities.
        """
        # One test for all three: NaN, inf and -inf each leave max - min infinite or NaN.
        if not math.isfinite(float(weighted.max() - weighted.min())):
            raise EncodingError(
                "update: expected finite entries, found NaN or infinity; the training diverged", bound=self.bound
            )
        whole = weighted if self._left_out is None else weighted + self._left_out
        sent = np.clip(whole, -self.bound, self.bound)
        quantised = fields.quantise(sent, self.bound, None if self._feedback else rng)
        rounded = fields.restore(quantised, self.bound, 1)
        return Fitted(sent, rounded, int(np.count_nonzero(whole != sent)), whole - rounded)

    def follow(self, total: Vector, terms: int, fields: FixedPoint, mine: Fitted | None) -> None:
        """Take in a decrypted sum. ``mine``: this client's part in it, None when it had none (nothing is carried then)."""
        self.bound = self._range.follow(self.bound, total, terms, fields)
        if mine is not None and self._feedback:
            self._left_out = mine.left_out

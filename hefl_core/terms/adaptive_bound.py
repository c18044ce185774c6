"""An adaptive bound for narrow fields, and error feedback: a memory of what clipping and rounding left out.

All clients derive the next bound from the same decrypted sum, so they agree on it without a message. The coordinator cannot
decrypt and does not learn it.

Source: error feedback after Seide et al. 2014 (1-bit SGD) and Karimireddy et al. 2019; the bound is protocol.md's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from hefl_core.errors import EncodingError
from hefl_core.schemes.base import Scheme, Vector
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.schemes.rotated import Rotation
from hefl_core.terms.dp import grid
from hefl_core.wire.canonical import decode, encode

CROWDED, SPARSE = 1 / 2, 1 / 8
"""The largest mean field above this part of its range doubles the bound, below that part halves it.

An update exceeds the mean of all: by little when the clients' data are alike, several times when they are not. Half of the
range leaves room for the first, and what the second loses to clipping comes with the next round.
"""

FULL, HALF_FULL = 4, 8
"""Rotated: a mean |entry| of the mean above a quarter of the range doubles the bound, below an eighth halves it.

Entries of a rotated mean are nearly Gaussian, so the range is 3 to 6 of their standard deviations; a client with many
examples, whose update is some times as long as the mean, still finds room.
"""
MOST_HALVINGS = 3


def start_of(parameters: int) -> float:
    """Where the bound starts under a rotation: the power of two next to 1/√d.

    The range is then 4 standard deviations of a weighted update of length 1/4; the first sums correct it.

    >>> start_of(2410), start_of(99_530)
    (0.015625, 0.00390625)
    """
    return math.ldexp(1.0, round(-math.log2(parameters) / 2))


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

    def follow(self, bound: float, total: Vector, terms: int, fields: FixedPoint, *, rotated: bool = False) -> float:
        """The next round's bound, from the decrypted sum of ``terms`` weighted updates under ``bound``.

        ``rotated``: entries are nearly Gaussian, so their mean size tells the range, and no single entry does.

        Compares whole numbers, so that every client comes to the same result.

        >>> fields = FixedPoint(12, 4)  # 10 value bits: integers up to 511
        >>> [BoundRange().follow(0.25, np.array([mean * 4]), 4, fields) for mean in (0.2, 0.1, 0.01)]
        [0.5, 0.25, 0.125]
        """
        # The sum is a whole number of steps: rounding restores it, and no platform compares integers differently.
        full = terms * (fields.offset - 1)
        if rotated:
            return self._follow_mean(bound, int(np.sum(np.abs(fields.whole(total, bound)))), full * len(total))
        largest = round(float(np.max(np.abs(total))) / fields.step(bound))
        if largest > full * CROWDED:
            return min(bound * 2, self.ceiling)
        if largest < full * SPARSE:
            return max(bound / 2, self.floor)
        return bound

    def _follow_mean(self, bound: float, sizes: int, full: int) -> float:
        """The bound under which entries of this mean size fill the range as they should; it halves at most thrice at once."""
        if sizes * FULL > full:
            return min(bound * 2, self.ceiling)
        halvings = 0
        while halvings < MOST_HALVINGS and sizes * HALF_FULL * 2**halvings < full:
            halvings += 1
        return max(math.ldexp(bound, -halvings), self.floor)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A weighted update made to fit: ``sent`` clipped entrywise, ``rounded`` the values that its fields stand for.

    Both rotated, where there is a rotation; ``left_out``, their difference to what was there, never is.
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

    def fit(
        self,
        weighted: Vector,
        fields: FixedPoint,
        rng: np.random.Generator,
        rotation: Rotation | None = None,
        once: Callable[[Callable[[], bytes]], bytes] = lambda make: make(),
    ) -> Fitted:
        """Rotate, clip to the bound and round: to the nearest with feedback, else at random so that the mean is exact.

        ``once``: keeps the fields until the round is over, so that a retry or a restart sends the same ones.
        Raises: EncodingError for NaN and infinities.
        """
        # One test for all three: NaN, inf and -inf each leave max - min infinite or NaN.
        if not math.isfinite(float(weighted.max() - weighted.min())):
            raise EncodingError(
                "update: expected finite entries, found NaN or infinity; the training diverged", bound=self.bound
            )
        whole = weighted if self._left_out is None else weighted + self._left_out
        # float32 halves the cost; the step is thousands of times its rounding, which left_out takes along.
        turned = whole if rotation is None else rotation.apply(whole.astype(np.float32)).astype(np.float64)
        sent = np.clip(turned, -self.bound, self.bound)
        kept = once(lambda: fields.quantise(sent, self.bound, None if self._feedback else rng).astype("<u4").tobytes())
        rounded = fields.restore(np.frombuffer(kept, dtype="<u4").astype(np.uint64), self.bound, 1)
        left_out = turned - rounded
        if rotation is not None:
            left_out = rotation.undo(left_out.astype(np.float32)).astype(np.float64)
        return Fitted(sent, rounded, int(np.count_nonzero(turned != sent)), left_out)

    def follow(
        self, total: Vector, terms: int, fields: FixedPoint, mine: Fitted | None, *, rotated: bool = False
    ) -> None:
        """Take in a decrypted sum. ``mine``: this client's part in it, None when it had none (nothing is carried then)."""
        self.bound = self._range.follow(self.bound, total, terms, fields, rotated=rotated)
        if mine is not None and self._feedback:
            self._left_out = mine.left_out

"""Numbers as fixed-point fields: several quantised entries share one word, with head-room for the sum.

A field of F bits for at most K terms holds values of F - ceil(log2 K) bits, stored with an offset so that they are
positive; K of them never spill into the next field.

Source: BatchCrypt (Zhang et al., USENIX ATC 2020), section 4; the offset replaces its two sign bits.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hefl_core.errors import EncodingError, IntegrityError, ParameterError
from hefl_core.schemes.base import CiphertextVector, Vector
from hefl_core.schemes.presets import BFVPreset, FewBitsBFV, FewBitsOneTime, OneTimePreset

Fields = npt.NDArray[np.uint64]
SMALLEST_VALUE_BITS = 4
AT_A_TIME = 1 << 14
"""Entries that are quantised in a core's cache: a long vector would go through memory six times."""
SMALLEST_BOUND, LARGEST_BOUND = 2.0**-60, 2.0**60
"""Between these a quantisation step is far from float64's ends."""


def check_bound(bound: float) -> float:
    """Reject a bound that is no usable positive number. Raises: EncodingError."""
    if not isinstance(bound, int | float | np.integer | np.floating) or not SMALLEST_BOUND <= bound <= LARGEST_BOUND:
        raise EncodingError(
            f"bound: expected a number from {SMALLEST_BOUND:.3g} to {LARGEST_BOUND:.3g}, found {bound!r}; "
            "give the largest |entry| that may occur"
        )
    return float(bound)


def check_max_terms(max_terms: int, limit: int, name: str) -> int:
    """The head-room as a plain int, which a label can carry. Raises: EncodingError where the preset has less."""
    if not isinstance(max_terms, int | np.integer) or not 1 <= max_terms <= limit:
        raise EncodingError(
            f"max_terms: expected 1..{limit} ({name}), found {max_terms!r}; take a preset with more head-room",
            bound=limit,
        )
    return int(max_terms)


def check_integers(integers: Sequence[int], largest: int) -> tuple[int, ...]:
    """Reject what is no integer of 0..largest. Raises: EncodingError."""
    try:
        exact = tuple(operator.index(value) for value in integers)
    except TypeError as error:
        raise EncodingError(f"integers: expected whole numbers, found {integers!r} ({error})") from None
    if any(not 0 <= value <= largest for value in exact):
        raise EncodingError(
            f"integers: expected 0..{largest}, found {exact}; fewer terms leave more room",
            bound=largest,
            found=max(exact, key=abs),
        )
    return exact


def check_vector(x: Vector, bound: float) -> Vector:
    """Reject what cannot be encoded.

    Shapes: x float64 (d,), d ≥ 1.
    Raises: EncodingError for another shape, what is no real number, NaN, infinities, or an entry beyond the bound.
    """
    bound = check_bound(bound)
    try:
        x = np.asarray(x)
        if x.dtype.kind not in "fiu":
            raise TypeError(f"dtype {x.dtype}")
        x = x.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise EncodingError(f"vector: expected real numbers, found {error}; flatten the update first") from None
    if x.ndim != 1 or len(x) == 0:
        raise EncodingError(f"vector: expected shape (d,) with d ≥ 1, found {x.shape}; flatten the update first")
    largest = float(max(x.max(), -x.min()))
    if not math.isfinite(largest):
        raise EncodingError(
            "vector: expected finite entries, found NaN or infinity; the training diverged", bound=bound
        )
    if largest > bound:
        raise EncodingError(
            f"|entry| {largest:.6g} exceeds the bound {bound:.6g}; clip the update, or train with a smaller learning rate",
            bound=bound,
            found=largest,
        )
    return x


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """Quantiser for fields of ``field_bits`` with room for ``max_terms`` terms; ``fewest`` value bits must be left.

    Raises: ParameterError when no useful number of value bits is left.
    """

    field_bits: int
    max_terms: int
    fewest: int = SMALLEST_VALUE_BITS

    def __post_init__(self) -> None:
        if self.max_terms < 1 or self.value_bits < self.fewest:
            raise ParameterError(
                f"fields of {self.field_bits} bits: expected room for {self.max_terms} terms and {self.fewest} "
                f"value bits, found {self.value_bits}",
                "take a preset with wider fields or fewer terms",
            )

    @classmethod
    def of(cls, bits: int, max_terms: int) -> FixedPoint:
        """Values of exactly ``bits`` bits, 2 or more: that few need a rotation (rotated.py), or error feedback at least.

        >>> FixedPoint.of(3, 5).offset, FixedPoint.of(3, 5).step(0.75)
        (4, 0.25)
        """
        return cls(bits + (max_terms - 1).bit_length(), max_terms, fewest=2)

    @property
    def value_bits(self) -> int:
        """Bits of one value, sign included: field_bits - ceil(log2 max_terms)."""
        return self.field_bits - (self.max_terms - 1).bit_length()

    @property
    def offset(self) -> int:
        """Added to each value to make it positive."""
        return 1 << (self.value_bits - 1)

    def step(self, bound: float) -> float:
        """The least significant bit, in units of the entries."""
        return bound / (self.offset - 1)

    def quantise(self, x: Vector, bound: float, rng: np.random.Generator | None = None) -> Fields:
        """Fields of a vector: to the nearest step, or, given ``rng``, up or down at random so that the mean is exact.

        The randomness is for rounding only, never for cryptography.

        Shapes: float64 (d,) to uint64 (d,), each in 1..2·offset - 1. Raises: EncodingError.
        """
        x = check_vector(x, bound)
        out = np.empty(len(x), dtype=np.uint64)
        for start in range(0, len(x), AT_A_TIME):
            out[start:][:AT_A_TIME] = self._quantise_part(x[start:][:AT_A_TIME], bound, rng)
        return out

    def _quantise_part(self, x: Vector, bound: float, rng: np.random.Generator | None) -> Vector:
        """Fields of a part that fits into a core's cache, still as float64."""
        scaled = x * (1 / self.step(bound))
        if rng is None:
            np.rint(scaled, out=scaled)
        else:
            # floor(x + U) with U uniform on [0, 1) has mean x.
            scaled += rng.random(len(scaled))
            np.floor(scaled, out=scaled)
        # 1/step is rounded: an entry at the bound could land one step outside. The least field is 1; 0 is not honest.
        np.clip(scaled, 1 - self.offset, self.offset - 1, out=scaled)
        scaled += self.offset
        return scaled

    def restore(self, fields: Fields, bound: float, terms: int) -> Vector:
        """Values of summed fields. Shapes: uint64 (d,) to float64 (d,).

        Raises: IntegrityError when a field cannot be a sum of ``terms`` values: overflow, another key or damage.
        """
        low, high = int(fields.min()), int(fields.max())
        if low < terms or high > terms * (2 * self.offset - 1):
            raise IntegrityError(
                f"fields: expected sums of {terms} values in {terms}..{terms * (2 * self.offset - 1)}, found {low}..{high}; "
                "another number of terms, an overflow or damage"
            )
        # Exact in float64: fields have far fewer than 53 bits. Each of the terms brought one offset.
        values = fields.astype(np.float64)
        values -= terms * self.offset
        values *= self.step(bound)
        return values

    def whole(self, values: Vector, bound: float) -> npt.NDArray[np.int64]:
        """The whole numbers of steps that :meth:`restore` gave as ``values``: exact. Shapes: float64 (d,) to int64 (d,)."""
        # restore() rounds once, far below half a step, so the nearest whole number is the one it was.
        return np.asarray(np.rint(values * (1 / self.step(bound))), dtype=np.int64)

    def sum_error(self, bound: float, terms: int, *, stochastic: bool = False) -> float:
        """Half a step per term (a whole one when rounding at random), and float64 rounding."""
        return terms * (self.step(bound) * (1.0 if stochastic else 0.5) + bound * 2.0**-50)


def pack(fields: Fields, per_word: int, field_bits: int) -> Fields:
    """Write ``per_word`` fields into each word, the first lowest. Shapes: (d,) to (ceil(d / per_word),)."""
    whole = len(fields) // per_word * per_word
    rest = np.zeros(per_word, dtype=np.uint64)
    rest[: len(fields) - whole] = fields[whole:]
    words = np.empty(-(-len(fields) // per_word), dtype=np.uint64)
    for rows, out in (
        (fields[:whole].reshape(-1, per_word), words[: whole // per_word]),
        (rest[None], words[whole // per_word :]),
    ):
        if len(out):
            out[:] = rows[:, per_word - 1]
            for place in range(per_word - 2, -1, -1):
                out <<= np.uint64(field_bits)
                out |= rows[:, place]
    return words


def unpack(words: Fields, per_word: int, field_bits: int, length: int) -> Fields:
    """The inverse of :func:`pack` for ``length`` fields.

    Raises: IntegrityError when bits are set that no field of :func:`pack` reaches: overflow, another key or damage.
    """
    mask = np.uint64((1 << field_bits) - 1)
    rows = np.empty((len(words), per_word), dtype=np.uint64)
    for place in range(per_word):
        rows[:, place] = (words >> np.uint64(place * field_bits)) & mask
    fields = rows.reshape(-1)
    if np.any(words >> np.uint64(per_word * field_bits)) or np.any(fields[length:]):
        raise IntegrityError("fields: bits outside the fields are set; the sum overflowed or was tampered with")
    return fields[:length]


def pack_words(preset: BFVPreset | OneTimePreset, fields: Fields) -> Fields:
    """Fields into words, one for each coefficient: in mixed radix at few bits, else in whole bits."""
    if isinstance(preset, FewBitsBFV | FewBitsOneTime):
        return preset.radix.pack(fields)
    return pack(fields, preset.fields, preset.field_bits)


def unpack_words(preset: BFVPreset | OneTimePreset, words: Fields, total: CiphertextVector) -> Fields:
    """The inverse of :func:`pack_words` for a sum. Raises: IntegrityError when it is none."""
    if isinstance(preset, FewBitsBFV | FewBitsOneTime):
        return preset.radix.unpack(words, total.length, total.terms)
    return unpack(words, preset.fields, preset.field_bits, total.length)

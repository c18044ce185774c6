"""Numbers as fixed-point fields: several quantised entries share one word, with head-room for the sum.

A field of F bits for at most K terms holds values of F - ceil(log2 K) bits, stored with an offset so that they are
positive; K of them never spill into the next field.

Source: BatchCrypt (Zhang et al., USENIX ATC 2020), section 4; the offset replaces its two sign bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hefl_core.errors import EncodingError, ParameterError
from hefl_core.schemes.base import Vector

Fields = npt.NDArray[np.uint64]
SMALLEST_VALUE_BITS = 4


def check_vector(x: Vector, bound: float) -> Vector:
    """Refuse what cannot be encoded.

    Shapes: x float64 (d,), d ≥ 1.
    Raises: EncodingError for another shape, NaN, infinities, or an entry beyond the bound.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise EncodingError(f"vector: expected shape (d,) with d ≥ 1, found {x.shape}; flatten the update first")
    if not 0 < bound < math.inf:
        raise EncodingError(f"bound: expected a positive number, found {bound}", bound=bound)
    largest = float(np.max(np.abs(x)))
    if not math.isfinite(largest):
        raise EncodingError(
            "vector: expected finite entries, found NaN or infinity; the training diverged", bound=bound
        )
    if largest > bound:
        raise EncodingError(
            f"|entry| {largest:.6g} exceeds the bound {bound:.6g}; clip the update first", bound=bound, found=largest
        )
    return x


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """Quantiser for fields of ``field_bits`` with room for ``max_terms`` terms.

    Raises: ParameterError when no useful number of value bits is left.
    """

    field_bits: int
    max_terms: int

    def __post_init__(self) -> None:
        if self.max_terms < 1 or self.value_bits < SMALLEST_VALUE_BITS:
            raise ParameterError(
                f"fields of {self.field_bits} bits: expected room for {self.max_terms} terms and {SMALLEST_VALUE_BITS} "
                f"value bits, found {self.value_bits}",
                "take a preset with wider fields or fewer terms",
            )

    @property
    def value_bits(self) -> int:
        """Bits of one value, sign included."""
        return self.field_bits - (self.max_terms - 1).bit_length()

    @property
    def offset(self) -> int:
        """Added to each value to make it positive."""
        return 1 << (self.value_bits - 1)

    def step(self, bound: float) -> float:
        """The least significant bit, in units of the entries."""
        return bound / (self.offset - 1)

    def quantise(self, x: Vector, bound: float) -> Fields:
        """Fields of a vector, rounded to nearest. Shapes: float64 (d,) to uint64 (d,). Raises: EncodingError."""
        x = check_vector(x, bound)
        return (np.rint(x / self.step(bound)).astype(np.int64) + self.offset).astype(np.uint64)

    def restore(self, fields: Fields, bound: float, terms: int) -> Vector:
        """Values of summed fields. Shapes: uint64 (d,) to float64 (d,)."""
        return np.asarray((fields.astype(np.int64) - terms * self.offset) * self.step(bound), dtype=np.float64)

    def sum_error(self, bound: float, terms: int) -> float:
        """Half a step per term, and float64 rounding."""
        return terms * self.step(bound) / 2 * (1 + 1e-9)


def pack(fields: Fields, per_word: int, field_bits: int) -> Fields:
    """Write ``per_word`` fields into each word, the first lowest. Shapes: (d,) to (ceil(d / per_word),)."""
    padded = np.zeros(-(-len(fields) // per_word) * per_word, dtype=np.uint64)
    padded[: len(fields)] = fields
    rows = padded.reshape(-1, per_word)
    words = rows[:, 0].copy()
    for place in range(1, per_word):
        words |= rows[:, place] << np.uint64(place * field_bits)
    return words


def unpack(words: Fields, per_word: int, field_bits: int, length: int) -> Fields:
    """The inverse of :func:`pack` for ``length`` fields."""
    mask = np.uint64((1 << field_bits) - 1)
    rows = np.empty((len(words), per_word), dtype=np.uint64)
    for place in range(per_word):
        rows[:, place] = (words >> np.uint64(place * field_bits)) & mask
    return rows.reshape(-1)[:length]

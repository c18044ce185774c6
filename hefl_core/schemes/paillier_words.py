"""From a vector to Paillier's plaintexts and back: quantise, pack, tag; and refuse what no honest sum contains.

Words under the tag are the blocks' plaintexts as integers, each without the tag itself.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Final

import numpy as np

from hefl_core.errors import EncodingError, IntegrityError, WireError
from hefl_core.schemes.base import CiphertextVector, Opened, Tag, Vector
from hefl_core.schemes.big_words import INTEGER_BITS, MAX_INTEGERS, BigWords
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.schemes.presets import PaillierPreset

TAG_MODULUS: Final = 2**61 - 1
"""A prime. Tags are below it; the sum of a thousand fits the tag's field."""
NAIVE_FIELD_BITS: Final = 40
"""Width of the one value in a ciphertext of ``paillier-naive``: finer than float32, and exact in float64."""


class PaillierWords:
    """The plaintext side of one preset."""

    def __init__(self, preset: PaillierPreset) -> None:
        self.preset = preset
        field_bits = preset.field_bits or NAIVE_FIELD_BITS
        self.layout = BigWords(preset.modulus_bits - 1, field_bits, singly=preset.field_bits == 0)

    def fields(self, max_terms: int) -> FixedPoint:
        """The quantiser for sums of at most ``max_terms``. Raises: EncodingError past the preset's limit."""
        if not 1 <= max_terms <= self.preset.max_terms:
            raise EncodingError(
                f"max_terms: expected 1..{self.preset.max_terms} ({self.preset.name}), found {max_terms}",
                bound=self.preset.max_terms,
                found=max_terms,
            )
        return FixedPoint(self.layout.field_bits, max_terms)

    def encode(self, x: Vector, bound: float, max_terms: int, integers: Sequence[int], tag: Tag | None) -> list[int]:
        """Plaintexts of the blocks. Shapes: x float64 (d,). Raises: EncodingError."""
        fields = self.fields(max_terms).quantise(x, bound)
        words, plan = self.layout.write(_whole(integers, max_terms), fields, tag is not None)
        if tag is not None and plan.tag is not None:
            block, low = plan.tag
            words[block] += _below(tag(words, TAG_MODULUS), TAG_MODULUS, "tag") << low
        return words

    def check_label(self, vector: CiphertextVector) -> None:
        """Numbers that fit each other and the blocks. Raises: WireError."""
        sane = (
            vector.length >= 1
            and 0 <= vector.integers <= MAX_INTEGERS
            and 1 <= vector.terms <= vector.max_terms <= self.preset.max_terms
            and (vector.bound is None or 0 < vector.bound < math.inf)
        )
        if not sane:
            raise WireError(
                f"{self.preset.name}: expected d ≥ 1, at most {MAX_INTEGERS} integers, 1 ≤ terms ≤ max_terms ≤ "
                f"{self.preset.max_terms} and a positive bound, found {vector.length}, {vector.integers}, "
                f"{vector.terms}, {vector.max_terms}, {vector.bound}; ask the sender again"
            )
        expected = self.layout.block_count(vector.length, vector.integers, vector.tagged)
        if len(vector.blocks) != expected:
            raise WireError(
                f"{self.preset.name}: expected {expected} blocks for d = {vector.length}, found {len(vector.blocks)}"
            )

    def decode(self, words: Sequence[int], total: CiphertextVector, bound: float | None) -> Opened:
        """Split summed words into integers, tag and values.

        Raises: IntegrityError when one is out of range; EncodingError when nobody states the bound.
        """
        bound = total.bound if bound is None else bound
        if bound is None or not 0 < bound < math.inf:
            raise EncodingError(f"open: expected a positive bound, declared or passed, found {bound}; pass bound=")
        found = self.layout.read(words, total.length, total.integers, total.tagged)
        quantiser = self.fields(total.max_terms)
        low, high = np.uint64(total.terms), np.uint64(total.terms * (2 * quantiser.offset - 1))
        if np.any((found.fields < low) | (found.fields > high)):
            raise IntegrityError(
                f"fields: expected sums of {total.terms} values, found one out of range; the ciphertext belongs to "
                "another key, overflowed or was tampered with; never retry on it"
            )
        room = total.terms * _integer_room(total.max_terms)
        if any(value > room for value in found.integers) or (found.tag or 0) >= total.terms * TAG_MODULUS:
            raise IntegrityError("integers: found one that no honest sum contains; never retry on this ciphertext")
        return Opened(
            values=quantiser.restore(found.fields, bound, total.terms),
            integers=found.integers,
            words=found.words,
            tag=None if found.tag is None else found.tag % TAG_MODULUS,
            modulus=TAG_MODULUS,
        )

    def sum_error(self, bound: float, terms: int, max_terms: int) -> float:
        """Half a quantisation step per term, and float64 rounding."""
        return self.fields(max_terms).sum_error(bound, terms) + terms * bound * 2.0**-50


def _integer_room(max_terms: int) -> int:
    return int((1 << INTEGER_BITS) - 1) // max_terms


def _whole(integers: Sequence[int], max_terms: int) -> list[int]:
    """Exact integers with head-room for the sum. Raises: EncodingError."""
    if len(integers) > MAX_INTEGERS:
        raise EncodingError(f"integers: expected at most {MAX_INTEGERS}, found {len(integers)}; use fields")
    return [_below(value, _integer_room(max_terms) + 1, "integers") for value in integers]


def _below(value: int, limit: int, what: str) -> int:
    try:
        number = operator.index(value)
    except TypeError as error:
        raise EncodingError(f"{what}: expected an integer, found {type(value).__name__}") from error
    if not 0 <= number < limit:
        raise EncodingError(f"{what}: expected 0..{limit - 1}, found {number}", bound=limit - 1, found=number)
    return number

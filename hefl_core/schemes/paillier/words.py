"""From a vector to Paillier's plaintexts and back: quantise, pack, tag; and reject what no honest sum contains.

Words under the tag are the blocks' plaintexts as integers, each without the tag itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hefl_core.errors import EncodingError, IntegrityError, WireError
from hefl_core.schemes.base import CiphertextVector, Opened, Tag, Vector, check_label
from hefl_core.schemes.fixed_point import Fields, FixedPoint, check_bound, check_integers, check_max_terms
from hefl_core.schemes.paillier.big_words import INTEGER_BITS, MAX_INTEGERS, BigWords
from hefl_core.schemes.presets import FewBitsPaillier, PaillierPreset

TAG_MODULUS: Final = 2**61 - 1
"""A prime. Tags are below it; the sum of a thousand fits the 72 bits of the tag's place."""
NAIVE_FIELD_BITS: Final = 40
"""Width of the one value in a ciphertext of ``paillier-naive``: finer than float32, and exact in float64."""


class PaillierWords:
    """The plaintext side of one preset."""

    def __init__(self, preset: PaillierPreset) -> None:
        self.preset = preset
        field_bits = preset.field_bits or NAIVE_FIELD_BITS
        # One bit less than the modulus: a plaintext below 2^(bits - 1) is below n, so no sum wraps modulo n.
        self.layout = BigWords(preset.modulus_bits - 1, field_bits, singly=preset.field_bits == 0)

    def fields(self, max_terms: int) -> FixedPoint:
        """The quantiser for sums of at most ``max_terms``. Raises: EncodingError past the preset's limit."""
        max_terms = check_max_terms(max_terms, self.preset.max_terms, self.preset.name)
        if isinstance(self.preset, FewBitsPaillier):
            return FixedPoint.of(self.preset.value_bits, max_terms)
        return FixedPoint(self.layout.field_bits, max_terms)

    def encode(self, x: Vector, bound: float, max_terms: int, integers: Sequence[int], tag: Tag | None) -> list[int]:
        """Plaintexts of the blocks. Shapes: x float64 (d,). Raises: EncodingError."""
        fields = self.pack(self.fields(max_terms).quantise(x, bound))
        words, plan = self.layout.write(_whole(integers, max_terms), fields, tag is not None)
        if tag is not None and plan.tag is not None:
            block, low = plan.tag
            words[block] += _tag_value(tag, words) << low
        return words

    def pack(self, fields: Fields) -> Fields:
        """What the layout's places hold: at few bits words in mixed radix, else the fields themselves."""
        return self.preset.radix.pack(fields) if isinstance(self.preset, FewBitsPaillier) else fields

    def _places(self, length: int) -> int:
        return self.preset.radix.count(length) if isinstance(self.preset, FewBitsPaillier) else length

    def block_count(self, length: int, integers: int, tagged: bool) -> int:
        """Blocks of a vector of d entries."""
        return self.layout.block_count(self._places(length), integers, tagged)

    def check_label(self, vector: CiphertextVector) -> None:
        """Check that the label's numbers fit each other and the blocks. Raises: WireError."""
        check_label(vector, self.preset.max_terms)
        if vector.integers > MAX_INTEGERS:
            raise WireError(f"{self.preset.name}: expected at most {MAX_INTEGERS} integers, found {vector.integers}")
        expected = self.block_count(vector.length, vector.integers, vector.tagged)
        if len(vector.blocks) != expected:
            raise WireError(
                f"{self.preset.name}: expected {expected} blocks for d = {vector.length}, found {len(vector.blocks)}"
            )

    def decode(self, words: Sequence[int], total: CiphertextVector, bound: float | None) -> Opened:
        """Split summed words into integers, tag and values.

        Raises: IntegrityError when one is out of range; EncodingError when no bound is given.
        """
        bound = total.bound if bound is None else bound
        if bound is None:
            raise EncodingError("open: expected the bound, the ciphertext does not declare one; pass bound=")
        found = self.layout.read(words, self._places(total.length), total.integers, total.tagged)
        fields = found.fields
        if isinstance(self.preset, FewBitsPaillier):
            fields = self.preset.radix.unpack(fields, total.length, total.terms)
        values = self.fields(total.max_terms).restore(fields, check_bound(bound), total.terms)
        room = total.terms * _integer_room(total.max_terms)
        if any(value > room for value in found.integers) or (found.tag or 0) >= total.terms * TAG_MODULUS:
            raise IntegrityError("integers: found one that no honest sum contains; never retry on this ciphertext")
        return Opened(
            values=values,
            integers=found.integers,
            words=found.words,
            tag=None if found.tag is None else found.tag % TAG_MODULUS,
            modulus=TAG_MODULUS,
        )

    def sum_error(self, bound: float, terms: int, max_terms: int) -> float:
        """Half a quantisation step per term, and float64 rounding."""
        return self.fields(max_terms).sum_error(bound, terms)


def _integer_room(max_terms: int) -> int:
    # max_terms of these sum to less than 2^64: no carry into the next place.
    return int((1 << INTEGER_BITS) - 1) // max_terms


def _whole(integers: Sequence[int], max_terms: int) -> tuple[int, ...]:
    """Exact integers with head-room for the sum. Raises: EncodingError."""
    exact = check_integers(integers, _integer_room(max_terms))
    if len(exact) > MAX_INTEGERS:
        raise EncodingError(f"integers: expected at most {MAX_INTEGERS}, found {len(exact)}; use fields")
    return exact


def _tag_value(tag: Tag, words: Sequence[int]) -> int:
    value = tag(words, TAG_MODULUS)
    if not isinstance(value, int) or not 0 <= value < TAG_MODULUS:
        raise EncodingError(f"tag: expected an integer of 0..{TAG_MODULUS - 1}, found {value!r}; use keys/sum_tag.py")
    return value

"""Big words: how integers, tag and fixed-point fields lie in plaintexts of some thousand bits.

From the lowest bit of the first block upwards: each exact integer in 64 bits, the tag in 72 bits, then the fields; the
following blocks hold fields only. What a block has left over stays zero, and must come back as zero.
Laid out *singly*, each integer, the tag and each field has a block of its own.

Source: BatchCrypt (Zhang et al., USENIX ATC 2020), section 4, for fields with head-room in one Paillier plaintext.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gmpy2
import numpy as np

from hefl_core.errors import IntegrityError
from hefl_core.schemes.fixed_point import Fields

INTEGER_BITS, TAG_BITS = 64, 72
MAX_INTEGERS = 64
"""More exact integers in one vector are rejected: they belong into fields."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Places as (block, lowest bit): of the integers, of the tag, and of runs of fields with their first and last+1."""

    blocks: int
    integers: tuple[tuple[int, int], ...]
    tag: tuple[int, int] | None
    runs: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Content:
    """Content of summed blocks. ``words``: the blocks without the tag, as the tag was computed over them."""

    integers: tuple[int, ...]
    tag: int | None
    fields: Fields
    words: list[int]


@dataclass(frozen=True, slots=True)
class BigWords:
    """Plaintexts of ``usable_bits`` with fields of ``field_bits``; ``singly``: one value each."""

    usable_bits: int
    field_bits: int
    singly: bool = False

    @property
    def fields_per_block(self) -> int:
        """Fields in a block without integers and tag."""
        return 1 if self.singly else self.usable_bits // self.field_bits

    def _heads(self, integers: int, tagged: bool) -> tuple[list[tuple[int, int]], int, int]:
        """Places of integers and tag, and where the fields start: (places, block, bits used in it)."""
        places, block, used = [], 0, 0
        for width in [INTEGER_BITS] * integers + [TAG_BITS] * tagged:
            if used + width > self.usable_bits:
                block, used = block + 1, 0
            places.append((block, used))
            used = self.usable_bits if self.singly else used + width
        return places, block, used

    def block_count(self, length: int, integers: int, tagged: bool) -> int:
        """Blocks of a vector, without looking at its fields."""
        _, block, used = self._heads(integers, tagged)
        rest = length - self._room(used)
        return block + 1 + max(0, -(-rest // self.fields_per_block))

    def _room(self, used: int) -> int:
        return min(self.fields_per_block, (self.usable_bits - used) // self.field_bits)

    def plan(self, length: int, integers: int, tagged: bool) -> Plan:
        """Place of every integer, tag and field."""
        places, block, used = self._heads(integers, tagged)
        runs, start, blocks = [], 0, block + 1
        while start < length:
            stop = min(length, start + self._room(used))
            if stop > start:
                runs.append((block, used, start, stop))
            start, block, used, blocks = stop, block + 1, 0, block + 1
        return Plan(blocks, tuple(places[:integers]), places[integers] if tagged else None, tuple(runs))

    def write(self, integers: Sequence[int], fields: Fields, tagged: bool) -> tuple[list[int], Plan]:
        """Blocks with an empty tag. Shapes: fields uint64 (d,), each below 2^field_bits."""
        plan = self.plan(len(fields), len(integers), tagged)
        words = [gmpy2.mpz(0)] * plan.blocks
        for (block, low), value in zip(plan.integers, integers, strict=True):
            words[block] += gmpy2.mpz(value) << low
        values = fields.tolist()
        for block, low, start, stop in plan.runs:
            words[block] += gmpy2.pack(values[start:stop], self.field_bits) << low
        return [int(word) for word in words], plan

    def read(self, words: Sequence[int], length: int, integers: int, tagged: bool) -> Content:
        """Take summed blocks apart.

        Raises: IntegrityError when bits outside every place are set: another key, an overflow, or tampering.
        """
        plan = self.plan(length, integers, tagged)
        if len(words) != plan.blocks:
            raise IntegrityError(f"blocks: expected {plan.blocks} decrypted ones, found {len(words)}")
        rest = list(words)
        heads = [_take(rest, place, INTEGER_BITS) for place in plan.integers]
        tag = None if plan.tag is None else _take(rest, plan.tag, TAG_BITS)
        fields = np.zeros(length, dtype=np.uint64)
        for block, low, start, stop in plan.runs:
            found = gmpy2.unpack(gmpy2.mpz(rest[block] >> low), self.field_bits)
            # Fields past the run must be zero: their sum stays in rest, where any(rest) below finds it.
            rest[block] = (rest[block] & ((1 << low) - 1)) + sum(found[stop - start :])
            used = found[: stop - start]
            fields[start : start + len(used)] = np.array([int(value) for value in used], dtype=np.uint64)
        if any(rest):
            raise IntegrityError(
                "blocks: bits above the fields are set; the ciphertext belongs to another key, overflowed or was "
                "tampered with; never retry on it"
            )
        without_tag = list(words)
        if plan.tag is not None and tag is not None:
            without_tag[plan.tag[0]] -= tag << plan.tag[1]
        return Content(tuple(heads), tag, fields, without_tag)


def _take(words: list[int], place: tuple[int, int], width: int) -> int:
    """Read a wide field and clear it."""
    block, low = place
    value = (words[block] >> low) & ((1 << width) - 1)
    words[block] -= value << low
    return value

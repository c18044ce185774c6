"""Mixed radix: fields of V levels packed without a bit to spare.

A field of b bits has V = 2^b - 1 levels, 0..V - 1. A sum of at most K has K(V - 1) + 1 different values; that is the base.
A field of whole bits would round the base up to a power of two: at 3 bits and K = 5 the base is 31, with 15 clients 91.

Source: positional notation; BatchCrypt (Zhang et al. 2020) packs whole bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hefl_core.errors import IntegrityError

Fields = npt.NDArray[np.uint64]
AT_A_TIME = 1 << 11
"""Words that are packed in a core's cache."""


def base_of(bits: int, terms: int) -> int:
    """Different sums of ``terms`` fields of ``bits`` bits.

    >>> base_of(3, 5), base_of(4, 5), base_of(2, 5)
    (31, 71, 11)
    """
    return terms * ((1 << bits) - 2) + 1


def digits_below(base: int, limit: int) -> int:
    """How many digits fit into a word that must stay below ``limit``.

    >>> digits_below(31, 2**48), digits_below(71, 2**48)
    (9, 7)
    """
    count = 0
    while base ** (count + 1) <= limit:
        count += 1
    return count


@dataclass(frozen=True, slots=True)
class Radix:
    """``per_word`` digits of ``base`` in each word, the first lowest. Fields count from 1, digits from 0."""

    base: int
    per_word: int

    @property
    def limit(self) -> int:
        """Words, and sums of words, are below it."""
        return int(self.base**self.per_word)

    def count(self, length: int) -> int:
        """Words of so many fields."""
        return -(-length // self.per_word)

    def pack(self, fields: Fields) -> Fields:
        """Fields of one vector into words. Shapes: uint64 (d,) to (ceil(d / per_word),)."""
        words = np.empty(self.count(len(fields)), dtype=np.uint64)
        rows = np.zeros((min(AT_A_TIME, len(words)), self.per_word), dtype=np.uint64)
        for start in range(0, len(words), AT_A_TIME):
            some, out = fields[start * self.per_word :][: AT_A_TIME * self.per_word], words[start:][:AT_A_TIME]
            digits = rows.reshape(-1)
            np.subtract(some, np.uint64(1), out=digits[: len(some)])
            digits[len(some) :] = 0  # the last word's empty places
            out[:] = rows[: len(out), -1]
            for place in range(self.per_word - 2, -1, -1):
                out *= np.uint64(self.base)
                out += rows[: len(out), place]
        return words

    def unpack(self, words: Fields, length: int, terms: int) -> Fields:
        """The fields of a sum of ``terms`` vectors. Shapes: (ceil(length / per_word),) to uint64 (length,).

        Raises: IntegrityError when a word is no sum of such words: overflow, another key or damage.
        """
        if np.any(words >= np.uint64(self.limit)):
            raise IntegrityError(
                "fields: a word is past the largest sum of its fields; it overflowed or was tampered with"
            )
        rows = np.empty((len(words), self.per_word), dtype=np.uint64)
        rest = words
        for place in range(self.per_word):
            rest, rows[:, place] = np.divmod(rest, np.uint64(self.base))
        fields = rows.reshape(-1)
        if np.any(fields[length:]):
            raise IntegrityError("fields: digits after the last field are set; the sum was tampered with")
        # Each of the terms counts its fields from 1.
        return fields[:length] + np.uint64(terms)

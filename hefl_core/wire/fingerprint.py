"""Fingerprints of secret bytes: enough to recognise them where they lie, too little to learn them.

The holder of a secret makes its fingerprints and hands only those out. The process that searches foreign memory never has
the secret, so the search can neither leak it nor put it where it looks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hefl_core.errors import ParameterError

SMALLEST_BITS = 40
"""Less entropy than this occurs by chance in a few hundred MiB: no needle then."""
ANCHOR_WORDS = 4
ANCHOR_BYTES = 8 * ANCHOR_WORDS
"""The shortest piece that can be recognised."""
ANCHOR_BITS = 24

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Form:
    """Secret bytes as they may lie in memory. ``bits``: their entropy, estimated from below. Never leaves its process."""

    kind: str
    name: str
    data: bytes
    bits: float

    def __repr__(self) -> str:
        return f"Form({self.kind}, {self.name}, {len(self.data)} bytes, hidden)"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of ``nbytes`` bytes: a 24-bit number of 32 of them (those from ``before`` on), and a salted SHA-256 of all.

    Leaks: whether a guess of the bytes is right; they have at least 40 bits of entropy, keys 250 and more.
    """

    kind: str
    name: str
    nbytes: int
    before: int
    anchor: int
    digest: bytes
    bits: float


@dataclass(frozen=True, slots=True)
class Salt:
    """One search's own randomness: fingerprints of two searches cannot be compared."""

    value: bytes

    @property
    def factors(self) -> tuple[np.uint64, ...]:
        """Odd multipliers of the anchor's words."""
        raw = hashlib.sha256(b"hefl/anchor" + self.value).digest()
        # Odd numbers are invertible modulo 2^64, so no bit of a word is lost in the product.
        return tuple(np.uint64(word | 1) for word in np.frombuffer(raw, "<u8").tolist())

    def mix(self, words: Words, pairs: Words, out: Words) -> Words:
        """64 mixed bits at each word that three more follow; the upper 24 are the anchor number.

        ``pairs`` and ``out`` are written over: allocating them anew takes longer than the arithmetic.
        Shapes: uint64 (n,), (≥ n - 1,), (≥ n - 3,) to (n - 3,), modulo 2^64.
        """
        a, b, c, *_ = self.factors
        count = len(words) - ANCHOR_WORDS + 1
        pairs, out = pairs[: count + 2], out[:count]
        np.multiply(words[:-1], a, out=pairs)
        pairs += words[1:]
        np.multiply(pairs[:count], b, out=out)
        out += pairs[2:]
        out *= c
        return out

    def anchor(self, data: bytes) -> int:
        """The anchor number of 32 bytes."""
        words = np.frombuffer(data, "<u8")
        return int(self.mix(words, np.empty(3, np.uint64), np.empty(1, np.uint64))[0]) >> (64 - ANCHOR_BITS)

    def digest(self, data: bytes) -> bytes:
        """Salted SHA-256."""
        return hashlib.sha256(self.value + data).digest()

    def fingerprint(self, form: Form) -> Fingerprint:
        """Of one form, anchored where its bytes are most various.

        Raises: ParameterError for a form that is too short or could occur by chance.
        """
        if len(form.data) < ANCHOR_BYTES or form.bits < SMALLEST_BITS:
            raise ParameterError(
                f"needle {form.name}: expected {ANCHOR_BYTES} bytes with {SMALLEST_BITS} bits of entropy, found "
                f"{len(form.data)} with {form.bits:.0f}",
                "take a longer piece",
            )
        # Anchors among zeros or repeats would match all over memory.
        before = max(range(0, len(form.data) - ANCHOR_BYTES + 1, 8), key=lambda at: len(set(form.data[at:][:32])))
        return Fingerprint(
            kind=form.kind,
            name=form.name,
            nbytes=len(form.data),
            before=before,
            anchor=self.anchor(form.data[before:][:ANCHOR_BYTES]),
            digest=self.digest(form.data),
            bits=form.bits,
        )


def pieces(kind: str, name: str, data: bytes, bits_per_byte: float, count: int, unit: int = 8) -> Iterator[Form]:
    """``count`` pieces spread evenly over long, evenly random bytes, each of 128 bits or more where there are as many.

    ``unit``: where pieces may begin, in bytes.
    """
    size = min(len(data), max(ANCHOR_BYTES, -(-int(128 / bits_per_byte) // 8) * 8))
    last = (len(data) - size) // unit
    for at in sorted({last * number // max(1, count - 1) for number in range(count)}):
        yield Form(kind, f"{name} at {at * unit}", data[at * unit :][:size], size * bits_per_byte)

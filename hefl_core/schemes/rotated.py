"""A public rotation before the fields: it spreads every large entry over 4,096, so that few bits are enough for all.

Entries are dealt out anew, get random signs, and each block of h is multiplied by H_h/√h, where H_h is Hadamard's matrix.
That is a rotation: lengths stay. Layers whose entries differ by far share one step afterwards.
Order and signs come from a public seed by SHAKE-256, so that all parties have the same ones whatever their libraries.

The way back is exact. A decrypted sum is whole numbers of steps; H_h·y of whole numbers is whole, and √h is a power of two.
So every client gets the same bits. On the way out a client rotates its own floats, where nobody compares bits.

    h = 4,096, then 1,024, 256, 64, 16, 4, 1 for what is left over; nothing is padded, d stays d.

Leaks: nothing; it is a public function of the run's terms and the round.
Source: Suresh et al. 2017 (Distributed Mean Estimation with Limited Communication), section 3, for rotation before
quantising; Yates 1937 for the butterflies.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from hefl_core.errors import EncodingError
from hefl_core.ids import digest

Whole = npt.NDArray[np.int64]
Real = TypeVar("Real", np.float32, np.float64)

LARGEST_BLOCK: Final = 4096
NEIGHBOURS: Final = 16
"""Of long vectors so many neighbours move together: a sixteenth of the keys to sort, and whole cache lines to copy."""
LONG: Final = 1 << 16
INDEX_BITS: Final = 32
"""Low bits of a sorting key hold the place, so that no two keys are equal and every way of sorting gives one order."""
AT_A_TIME: Final = 8
"""Blocks that fit into a core's cache."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Entries ``start`` to ``stop`` in blocks of ``size``, a power of four."""

    start: int
    stop: int
    size: int

    @property
    def root(self) -> int:
        """√size, a power of two."""
        return math.isqrt(self.size)


def segments(length: int) -> tuple[Segment, ...]:
    """Blocks as large as possible, and smaller ones for what is left over.

    >>> [(part.stop - part.start, part.size) for part in segments(2410)]
    [(2048, 1024), (256, 256), (64, 64), (32, 16), (8, 4), (2, 1)]
    """
    found, start, size = [], 0, LARGEST_BLOCK
    while start < length:
        stop = start + (length - start) // size * size
        if stop > start:
            found.append(Segment(start, stop, size))
        start, size = stop, size // 4
    return tuple(found)


def largest_root(length: int) -> int:
    """√h of the largest block: one entry's error is at most so many times the error of a rotated one.

    >>> largest_root(99_530), largest_root(2410), largest_root(3)
    (64, 32, 1)
    """
    return segments(length)[0].root


class Rotation:
    """The rotation of one round for vectors of ``length`` entries. ``seed``: public, the same at all clients.

    Raises: EncodingError for no entries, or more than a sorting key can number.
    """

    def __init__(self, length: int, seed: bytes) -> None:
        self.length = length
        together = NEIGHBOURS if length >= LONG else 1
        groups = length // together
        if not 1 <= groups < 1 << INDEX_BITS:
            raise EncodingError(f"rotation: expected 1 to {together << INDEX_BITS} entries, found {length}")
        self._shape = (groups, together)
        self._order = _order(groups, digest(b"hefl/rotation/order", seed))
        self._signs = _signs(length, digest(b"hefl/rotation/signs", seed))
        self._segments = segments(length)

    def apply(self, x: npt.NDArray[Real]) -> npt.NDArray[Real]:
        """Rotate in the precision of ``x``. Shapes: (d,) to (d,)."""
        dealt = np.empty_like(x)
        moved = self._shape[0] * self._shape[1]
        np.take(
            x[:moved].reshape(self._shape), self._order, axis=0, out=dealt[:moved].reshape(self._shape), mode="clip"
        )
        dealt[moved:] = x[moved:]  # fewer than NEIGHBOURS stay in their place
        dealt *= self._signs
        return self._spread(dealt)

    def undo(self, y: npt.NDArray[Real]) -> npt.NDArray[Real]:
        """The inverse of :meth:`apply` up to rounding: for a client's own numbers only. Shapes: (d,) to (d,)."""
        return self._home(self._spread(y))

    def undo_whole(self, y: Whole) -> npt.NDArray[np.float64]:
        """The exact inverse for whole numbers, the same bits everywhere: multiples of 1/√h.

        Shapes: int64 (d,) to float64 (d,). Raises: EncodingError when a number has too many bits to stay exact.
        """
        limit = (1 << 53) // LARGEST_BLOCK
        if int(y.max()) > limit or int(y.min()) < -limit:
            raise EncodingError(f"rotation: expected whole numbers within ±{limit}, found a larger one", bound=limit)
        out = np.empty(self.length)
        for part in self._segments:
            rows = y[part.start : part.stop].reshape(-1, part.size)
            # Whole numbers below 2^53 become float64 exactly, and a power of two divides them exactly.
            np.multiply(hadamard(rows), 1 / part.root, out=out[part.start : part.stop].reshape(rows.shape))
        return self._home(out)

    def _spread(self, y: npt.NDArray[Real]) -> npt.NDArray[Real]:
        """Each block times H_h/√h, which is its own inverse."""
        out = np.empty_like(y)
        for part in self._segments:
            square, target = (v[part.start : part.stop].reshape(-1, part.root, part.root) for v in (y, out))
            matrix, scaled = _matrices(part.root, y.dtype)
            # H_h = H_√h ⊗ H_√h, so a block as a square matrix B becomes H·B·H.
            for start in range(0, len(square), AT_A_TIME):
                some = slice(start, start + AT_A_TIME)
                np.matmul(scaled @ square[some], matrix, out=target[some])
        return out

    def _home(self, dealt: npt.NDArray[Real]) -> npt.NDArray[Real]:
        """Signs off, and every entry back to its place."""
        dealt *= self._signs
        moved = self._shape[0] * self._shape[1]
        out = np.empty_like(dealt)
        out[:moved].reshape(self._shape)[self._order] = dealt[:moved].reshape(self._shape)
        out[moved:] = dealt[moved:]
        return out


def hadamard(rows: Whole) -> Whole:
    """H_h of each row, unscaled and exact. Shapes: int64 (n, h), h a power of four, to (n, h)."""
    out = np.empty_like(rows)
    root = math.isqrt(rows.shape[1])
    for start in range(0, len(rows), AT_A_TIME):
        square = rows[start:][:AT_A_TIME].reshape(-1, root, root).copy()
        _butterflies(square)
        turned = np.ascontiguousarray(square.swapaxes(1, 2))
        _butterflies(turned)
        out[start:][:AT_A_TIME] = turned.swapaxes(1, 2).reshape(-1, rows.shape[1])
    return out


def _butterflies(square: Whole) -> None:
    """H along the second axis, in place: at each width (a, b) becomes (a + b, a - b)."""
    count, root, columns = square.shape
    width = 1
    while width < root:
        pairs = square.reshape(count, root // (2 * width), 2, width, columns)
        a, b = pairs[:, :, 0], pairs[:, :, 1]
        less = a - b
        a += b
        b[...] = less
        width *= 2


@lru_cache(maxsize=32)
def _matrices(size: int, kind: np.dtype[Real]) -> tuple[npt.NDArray[Real], npt.NDArray[Real]]:
    """Hadamard's matrix in Sylvester's order, entries 1 and -1, and the same over its size. Not to be written to."""
    found = np.ones((1, 1), dtype=kind)
    while len(found) < size:
        found = np.block([[found, found], [found, -found]])
    return found, found / kind.type(size)


def _order(count: int, seed: bytes) -> npt.NDArray[np.int64]:
    """A permutation of 0..count - 1: the places in the order of random keys."""
    low = np.uint64((1 << INDEX_BITS) - 1)
    keys = np.frombuffer(hashlib.shake_256(seed).digest(8 * count), dtype="<u8")
    return np.asarray(np.sort((keys & ~low) | np.arange(count, dtype=np.uint64)) & low, dtype=np.int64)


def _signs(count: int, seed: bytes) -> npt.NDArray[np.int8]:
    """1 and -1, one random bit each. Shapes: int8 (count,)."""
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(seed).digest(-(-count // 8)), dtype=np.uint8), count=count)
    return np.asarray(1 - 2 * bits.view(np.int8), dtype=np.int8)

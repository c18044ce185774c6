"""A table of texts that adds up: the sum of the clients' tables lists every text once, and how many clients have it.

Each text is cut into pieces, and each piece is a number that is added to three of the cells. A cell that holds one piece only
gives it away; taken out of its other two cells, it uncovers more, until nothing is left. Nobody learns which client has a text.

Source: Goodrich and Mitzenmacher, Invertible Bloom Lookup Tables, 2011; here with repeated keys, sec. 2.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from hefl_core.tables.decision import refused
from hefl_core.tables.round_zero.limbs import Digits, Limbs

_CHECK, _TEXT, _PIECE = 4, 5, 64  # bytes
_KEY: Final = _CHECK + _TEXT + 2 + _PIECE
MOST_PIECES: Final = 256
_PLACES: Final = 3
"""Cells of a piece. With three, up to 81 % of the cells can be filled before the table stops coming apart."""
_ROOM: Final = 12
"""More bits than a piece has: one client may add 4,095 pieces to one cell."""


@dataclass(frozen=True)
class Dictionary:
    """``cells`` cells of numbers in limbs of ``bits``.

    >>> words = Dictionary(cells=30, bits=8)
    >>> total = words.write([b"ja", b"nein"]) + words.write([b"ja"])
    >>> words.read(total)
    ((b'ja', 2), (b'nein', 1))
    """

    cells: int
    bits: int

    @cached_property
    def _key(self) -> Limbs:
        return Limbs(self.bits, 8 * _KEY + _ROOM)

    @cached_property
    def _count(self) -> Limbs:
        return Limbs(self.bits, _ROOM)

    @property
    def length(self) -> int:
        """Entries of the vector."""
        return self.cells * (self._key.count + self._count.count)

    def write(self, texts: Iterable[bytes]) -> Digits:
        """One client's vector. Shapes: (length,).

        Raises: DataError for a text of more than 256 pieces, or more pieces in a cell than fit.
        """
        keys, counts = [0] * self.cells, [0] * self.cells
        for text in sorted(set(texts)):
            for piece in _pieces(text):
                for place in self._places(piece):
                    keys[place] += int.from_bytes(piece, "big")
                    counts[place] += 1
        halves = (self._key.split(key) if key else np.zeros(self._key.count) for key in keys)
        return np.concatenate([*halves, *(self._count.split(count) for count in counts)])

    def read(self, totals: Digits) -> tuple[tuple[bytes, int], ...]:
        """The texts and how many clients have each, sorted. Shapes: totals (length,), whole numbers.

        Raises: DataError when there are more texts than the cells can tell apart, or the totals are none of such tables.
        """
        keys, counts = self._joined(totals)
        found: Counter[bytes] = Counter()
        waiting = list(range(self.cells))
        while waiting:
            place = waiting.pop()
            piece = _alone(keys[place], counts[place])
            if piece is None:
                continue
            times, whole = counts[place], keys[place]
            found[piece] += times
            for other in self._places(piece):
                keys[other] -= whole
                counts[other] -= times
                waiting.append(other)
        if any(keys) or any(counts):
            raise refused(
                "round zero",
                f"names and categories that {self.cells} cells can tell apart",
                "more of them at the clients together, or totals of something else",
                "take columns out of the files, shorten long names, or drop columns with many categories",
            )
        return tuple(sorted(_texts(found)))

    def _joined(self, totals: Digits) -> tuple[list[int], list[int]]:
        split = self.cells * self._key.count
        keys = [int(self._key.join(part)) for part in totals[:split].reshape(self.cells, -1)]
        return keys, [int(self._count.join(part)) for part in totals[split:].reshape(self.cells, -1)]

    def _places(self, piece: bytes) -> tuple[int, ...]:
        """Three different cells: one in each third."""
        third = self.cells // _PLACES
        drawn = hashlib.sha256(b"hefl/cells\0" + piece).digest()
        return tuple(at * third + int.from_bytes(drawn[8 * at : 8 * at + 8], "big") % third for at in range(_PLACES))


def _pieces(text: bytes) -> Iterator[bytes]:
    """Check | text's digest | number of the piece, of the last one | up to 64 bytes, filled up with zeros."""
    last = max(0, -(-len(text) // _PIECE) - 1)
    if last >= MOST_PIECES or b"\0" in text:
        expected = f"texts of at most {MOST_PIECES * _PIECE} bytes"
        raise refused("round zero", expected, f"{len(text)} bytes", "shorten the name")
    name = hashlib.sha256(text).digest()[:_TEXT]
    for at in range(last + 1):
        rest = name + bytes((at, last)) + text[_PIECE * at : _PIECE * (at + 1)].ljust(_PIECE, b"\0")
        yield hashlib.sha256(rest).digest()[:_CHECK] + rest


def _alone(key: int, count: int) -> bytes | None:
    """The piece of a cell that holds one piece only, ``count`` times; None for any other cell."""
    if count < 1 or key < 1 or key % count or (key // count).bit_length() > 8 * _KEY:
        return None
    piece = (key // count).to_bytes(_KEY, "big")
    return piece if hashlib.sha256(piece[_CHECK:]).digest()[:_CHECK] == piece[:_CHECK] else None


def _texts(found: Counter[bytes]) -> Iterator[tuple[bytes, int]]:
    """Put pieces together. Raises: DataError when some are missing, or counted differently."""
    texts: dict[bytes, dict[int, tuple[bytes, int, int]]] = {}
    for piece, times in found.items():
        name, at, last = piece[_CHECK : _CHECK + _TEXT], piece[_CHECK + _TEXT], piece[_CHECK + _TEXT + 1]
        texts.setdefault(name, {})[at] = (piece[-_PIECE:], last, times)
    for name, pieces in texts.items():
        text = b"".join(pieces[at][0] for at in sorted(pieces)).rstrip(b"\0")
        same = {(last, times) for _, last, times in pieces.values()}
        whole = len(same) == 1 and len(pieces) == next(iter(same))[0] + 1
        if not whole or hashlib.sha256(text).digest()[:_TEXT] != name:
            raise refused("round zero", "whole names", "one with a part missing", "run the agreement again")
        yield text, next(iter(same))[1]

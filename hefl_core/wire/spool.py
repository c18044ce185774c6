"""Bytes that are needed later: in memory while they are few, else in an unnamed file that ends with this process.

For ciphertexts only. It keeps a collector's memory independent of the number of uploads.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
MEMORY_BYTES = 32 << 20
"""Beyond this size the bytes lie in a file."""


class Spool(Generic[K]):
    """A mapping to bytes.

    >>> spool = Spool[str](memory_bytes=4)
    >>> spool["a"], spool["b"] = b"123", b"45678"
    >>> spool["a"], spool["b"], "c" in spool
    (b'123', b'45678', False)
    >>> spool.keep(lambda key: key == "b"), list(spool)
    (None, ['b'])
    """

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._places: dict[K, tuple[int, int]] = {}
        self._end = 0
        self._open()

    def _open(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=self._memory_bytes)
        self._end = 0
        self._close = weakref.finalize(self, self._file.close)

    def __setitem__(self, key: K, data: bytes) -> None:
        self._file.seek(self._end)
        self._file.write(data)
        self._places[key] = (self._end, len(data))
        self._end += len(data)

    def __getitem__(self, key: K) -> bytes:
        start, length = self._places[key]
        self._file.seek(start)
        return self._file.read(length)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[K]:
        return iter(self._places)

    def keep(self, wanted: Callable[[K], bool]) -> None:
        """Drop all others; once nothing is left, the file is deleted."""
        self._places = {key: place for key, place in self._places.items() if wanted(key)}
        if not self._places and self._end:
            self._close()
            self._open()

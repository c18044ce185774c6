"""Record of a class: every public step as one line of a chain, written as it happens.

A run's record is signed by its parties. Phones sign nothing, so a class's record has a form of its own, and verify.py says
what it can check: the chain, every upload, every sum added again, and every opened sum of a key that is held together.

Leaks: names unless they were anonymised, who took part, and all ciphertexts. With t shares of the class's key, or with the
key of custody ``one``, it opens every single answer: both end with the class.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

import msgspec

from hefl_core.classroom.custody import Held
from hefl_core.errors import WireError
from hefl_core.schemes.base import CiphertextVector, PublicKey
from hefl_core.wire.canonical import decode, encode

MAGIC: Final = b"hefl class 1\n"
MAX_LINE_BYTES: Final = 4_000_000
MAX_RECORD_BYTES: Final = 2_000_000_000
_LENGTH_BYTES: Final = 4


class Began(msgspec.Struct, frozen=True, tag=True):
    """The first line. ``page``: SHA-256 of each file that the phones were served, by name."""

    held: Held
    min_cohort: int
    max_terms: int
    page: tuple[tuple[str, str], ...]


class Keyed(msgspec.Struct, frozen=True, tag=True):
    """The class's public key. ``ceremony``: digest of a ceremony without a dealer, else empty."""

    key: PublicKey
    ceremony: bytes


class Seated(msgspec.Struct, frozen=True, tag=True):
    """A seat was taken. Its name is written at the end, if at all."""

    seat: int
    bot: bool


class Holding(msgspec.Struct, frozen=True, tag=True):
    """The seats of holders 1..n."""

    seats: tuple[int, ...]


class Asked(msgspec.Struct, frozen=True, tag=True):
    """What is summed next. ``label``: that of every upload, without blocks. ``questions``: texts and choices; of a round none.

    ``model``: the round's model, float64 little-endian; of a question none.
    """

    id: int
    kind: str
    attempt: int
    questions: tuple[tuple[str, tuple[str, ...], int], ...]
    label: CiphertextVector
    model: bytes


class Uploaded(msgspec.Struct, frozen=True, tag=True):
    """One ciphertext as it came, and the seat that sent it."""

    id: int
    seat: int
    body: bytes


class Summed(msgspec.Struct, frozen=True, tag=True):
    """The sum that was added from these seats' uploads, in this order."""

    id: int
    seats: tuple[int, ...]
    total: CiphertextVector


class Answered(msgspec.Struct, frozen=True, tag=True):
    """A holder's partial decryption for exactly these holders."""

    id: int
    index: int
    active: tuple[int, ...]
    body: bytes


class Opened(msgspec.Struct, frozen=True, tag=True):
    """What the sum was opened to. ``values``: float64 little-endian."""

    id: int
    integers: tuple[int, ...]
    values: bytes


class Volunteered(msgspec.Struct, frozen=True, tag=True):
    """A seat that showed the class its update in the clear. The update itself is not on record."""

    seat: int


class Dropped(msgspec.Struct, frozen=True, tag=True):
    """A question or round that stays closed, and why."""

    id: int
    why: str


class Named(msgspec.Struct, frozen=True, tag=True):
    """Seats and names, unless the class was anonymised."""

    names: tuple[tuple[int, str], ...]


class Closed(msgspec.Struct, frozen=True, tag=True):
    """The last line: how many came before."""

    count: int


Entry: TypeAlias = (
    Began
    | Keyed
    | Seated
    | Holding
    | Asked
    | Uploaded
    | Summed
    | Answered
    | Opened
    | Volunteered
    | Dropped
    | Named
    | Closed
)


@dataclass(frozen=True, slots=True)
class Line:
    """An entry and the SHA-256 of the line before it."""

    previous: bytes
    entry: Entry


class Record:
    """Writes a class's record into a file that only this process has, until it is saved."""

    def __init__(self) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile()
        self._file.write(MAGIC)
        self._head = b""
        self.count = 0

    def write(self, entry: Entry) -> None:
        """Append one line."""
        raw = encode(Line(self._head, entry))
        self._file.write(len(raw).to_bytes(_LENGTH_BYTES, "big") + raw)
        self._head = hashlib.sha256(raw).digest()
        self.count += 1

    def close(self) -> None:
        """Write the last line."""
        self.write(Closed(self.count))

    def content(self) -> bytes:
        """The whole record so far."""
        self._file.flush()
        self._file.seek(0)
        found = self._file.read()
        return found

    def end(self) -> None:
        """Give the file up."""
        self._file.close()


def read_lines(file: BinaryIO) -> Iterator[tuple[Line, bytes]]:
    """Line by line, each of a bounded length, after :data:`MAGIC`. Raises: WireError."""
    if file.read(len(MAGIC)) != MAGIC:
        raise WireError("class record: expected its first bytes, found others")
    while head := file.read(_LENGTH_BYTES):
        size = int.from_bytes(head, "big")
        if len(head) != _LENGTH_BYTES or not 0 < size <= MAX_LINE_BYTES:
            raise WireError(f"class record: expected lines of at most {MAX_LINE_BYTES} bytes, found {size}; cut off")
        raw = file.read(size)
        if len(raw) != size:
            raise WireError("class record: the last line has no end; the file is cut off")
        yield decode(raw, Line), raw


def is_class_record(path: Path) -> bool:
    """Whether a file begins as a class's record does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC

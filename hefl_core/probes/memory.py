"""Search the memory of running processes for secrets: is a key, an update or a sum where it must not be?

The search has fingerprints only (wire/fingerprint.py). One pass serves any number of them: at each of the eight offsets of
a word the anchor number of the following 32 bytes is looked up in a table; a match is compared by SHA-256. A search that
finds nothing proves something only if the same search finds a planted secret (tests/security).

Private pages are read where they are in memory or swapped out. Of a *shared* mapping the whole file is read, not only the
pages that the process has touched: it could read the others at any time. Ray's object store is such a file.
Reads /proc/<pid>/mem: Linux, the same user or root.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hefl_core.errors import RuntimeUnavailable
from hefl_core.wire.fingerprint import ANCHOR_BITS, ANCHOR_BYTES, Fingerprint, Salt

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
BLOCK = 1 << 18
COARSE_BITS = 16
_PRESENT = np.uint64(3) << np.uint64(62)  # /proc/PID/pagemap: bit 63 is in memory, bit 62 is swapped out
_UNREADABLE = ("[vvar]", "[vsyscall]", "[vvar_vclock]")

Read = Callable[[int, int], bytes]
"""(count, position) -> bytes, fewer where there are no more."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A needle found: in which process, in which mapping ('[heap]', a shared file, …)."""

    pid: int
    kind: str
    needle: str
    mapping: str


@dataclass(frozen=True, slots=True)
class Scan:
    """Result of one look into one process. ``shared``: bytes of shared mappings among ``nbytes``."""

    pid: int
    nbytes: int
    shared: int
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class _Mapping:
    low: int
    high: int
    shared: bool
    writable: bool
    offset: int
    path: str

    @property
    def is_file(self) -> bool:
        return self.path.startswith("/")


class Search:
    """Fingerprints to look for, under one salt. Read-only pages of files (libraries) are read in the first look only."""

    def __init__(self, salt: Salt, fingerprints: Iterable[Fingerprint] = ()) -> None:
        self.salt = salt
        self.fingerprints: dict[bytes, Fingerprint] = {}
        self._table = np.zeros(1 << ANCHOR_BITS, dtype=np.bool_)
        self._coarse = np.zeros(1 << COARSE_BITS, dtype=np.bool_)
        self._pairs, self._mixed = (np.empty(BLOCK // 8, np.uint64) for _ in range(2))
        self._by_anchor: dict[int, list[Fingerprint]] = {}
        self._files: set[tuple[str, int]] = set()
        self.add(fingerprints)

    def add(self, fingerprints: Iterable[Fingerprint]) -> None:
        """Add needles; duplicates count once."""
        for one in fingerprints:
            if one.digest not in self.fingerprints:
                self.fingerprints[one.digest] = one
                self._table[one.anchor] = True
                self._coarse[one.anchor >> (ANCHOR_BITS - COARSE_BITS)] = True
                self._by_anchor.setdefault(one.anchor, []).append(one)

    def look_into(self, pid: int) -> Scan:
        """Search one process. Raises: RuntimeUnavailable where its memory cannot be read."""
        found: dict[tuple[str, str], Hit] = {}
        nbytes = shared = 0
        try:
            for mapping, read, low, high in _stretches(pid, self._files):
                nbytes += high - low
                shared += (high - low) * mapping.shared
                for one in self._in_stretch(read, low, high):
                    found[one.name, mapping.path] = Hit(pid, one.kind, one.name, mapping.path)
        except (FileNotFoundError, ProcessLookupError, PermissionError) as error:
            raise RuntimeUnavailable(
                f"memory of process {pid}: expected to read it, found {type(error).__name__}; needs Linux and the same "
                "user or root"
            ) from error
        return Scan(pid, nbytes, shared, tuple(found.values()))

    def in_bytes(self, data: bytes) -> tuple[Fingerprint, ...]:
        """The needles that lie in these bytes."""
        return tuple(self._in_stretch(lambda count, at: data[at : at + count], 0, len(data)))

    def _in_stretch(self, read: Read, low: int, high: int) -> Iterator[Fingerprint]:
        position = low
        while position < high:
            try:
                block = read(min(BLOCK, high - position), position)
            except OSError:
                return  # the mapping is gone
            for at, anchor in self._candidates(block):
                yield from self._compare(read, position + at, anchor)
            if len(block) <= ANCHOR_BYTES or position + len(block) >= high:
                return
            position += len(block) - ANCHOR_BYTES + 1  # overlap: an anchor may lie across two blocks

    def _candidates(self, block: bytes) -> Iterator[tuple[int, int]]:
        """(place, anchor number) of known numbers: a coarse table first, which stays in the processor's cache."""
        if len(block) < ANCHOR_BYTES or block.count(0) == len(block):
            return
        for shift in range(8):
            words = np.frombuffer(block, "<u8", count=(len(block) - shift) // 8, offset=shift)
            if len(words) * 8 >= ANCHOR_BYTES:
                mixed = self.salt.mix(words, self._pairs, self._mixed)
                coarse = np.right_shift(mixed, np.uint64(64 - COARSE_BITS), out=self._pairs[: len(mixed)])
                places = np.flatnonzero(self._coarse.take(coarse.view(np.int64)))
                fine = (mixed[places] >> np.uint64(64 - ANCHOR_BITS)).view(np.int64)
                known = self._table[fine]
                for place, anchor in zip(places[known].tolist(), fine[known].tolist(), strict=True):
                    yield place * 8 + shift, anchor

    def _compare(self, read: Read, at: int, anchor: int) -> Iterator[Fingerprint]:
        for one in self._by_anchor[anchor]:
            with suppress(OSError):  # a page that is gone since holds nothing
                if at >= one.before and self.salt.digest(read(one.nbytes, at - one.before)) == one.digest:
                    yield one


# -- where the bytes are ---------------------------------------------------------------------------------------


def _stretches(pid: int, files: set[tuple[str, int]]) -> Iterator[tuple[_Mapping, Read, int, int]]:
    """Readable ranges: (mapping, how to read it, from, to). ``files``: read-only file parts that were read already."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory, open(f"/proc/{pid}/pagemap", "rb", 0) as pages:
        for mapping in _mappings(pid):
            if mapping.is_file and not mapping.writable:
                if (mapping.path, mapping.offset) in files:
                    continue
                files.add((mapping.path, mapping.offset))
            if mapping.shared and mapping.writable and (handle := _open_behind(pid, mapping)) is not None:
                with closing(os.fdopen(handle, "rb", 0)):
                    for low, high in _data_in(handle):
                        yield mapping, _reader(handle), low, high
                continue
            for low, high in _resident(pages.fileno(), mapping.low, mapping.high):
                yield mapping, _reader(memory.fileno()), low, high


def _reader(handle: int) -> Read:
    return lambda count, position: os.pread(handle, count, position)


def _mappings(pid: int) -> Iterator[_Mapping]:
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        addresses, permissions, offset, *_, path = [*line.split(maxsplit=5), ""][:6]
        if permissions.startswith("r") and path not in _UNREADABLE:
            low, high = (int(part, 16) for part in addresses.split("-"))
            shared, writable = permissions[3] == "s", permissions[1] == "w"
            yield _Mapping(low, high, shared, writable, int(offset, 16), path or "anonymous")


def _open_behind(pid: int, mapping: _Mapping) -> int | None:
    """The file behind a shared mapping, also without a name; None where only the mapping gives access."""
    places = [f"/proc/{pid}/map_files/{mapping.low:x}-{mapping.high:x}"]
    places += [str(path) for path in Path("/proc").glob("[0-9]*/fd/*") if _names(path, mapping.path)]
    for place in places:
        try:
            return os.open(place, os.O_RDONLY)
        except OSError:
            continue
    return None


def _names(link: Path, target: str) -> bool:
    try:
        return os.readlink(link) == target
    except OSError:
        return False


def _data_in(handle: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that were written: a sparse file has holes."""
    position, size = 0, os.fstat(handle).st_size
    while position < size:
        try:
            low = os.lseek(handle, position, os.SEEK_DATA)
        except OSError:  # only a hole is left
            return
        position = os.lseek(handle, low, os.SEEK_HOLE)
        yield low, position


def _resident(pages: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The stretches of a mapping that are in memory or swapped out."""
    count = (end - start) // PAGE
    raw = os.pread(pages, count * 8, start // PAGE * 8)
    there: npt.NDArray[np.bool_] = (np.frombuffer(raw, dtype=np.uint64) & _PRESENT) != 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        yield start + int(low) * PAGE, start + int(high) * PAGE

"""Look for bytes in the memory of running processes: is a key, an update or a sum where it must not be?

A search that finds nothing proves something only if the same search finds what was put there (tests/security).
Reads /proc/<pid>/mem: Linux, the same user or root. Pages that are not in memory are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hefl_core.errors import ParameterError, RuntimeUnavailable

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
CHUNK = 16 << 20
SMALLEST_NEEDLE = 8
"""Shorter patterns occur by chance: a needle needs 40 bits of entropy at the very least."""
_PRESENT = np.uint64(3) << np.uint64(62)


@dataclass(frozen=True, slots=True)
class Hit:
    """A needle found: in which process, in which mapping ('[heap]', a shared file, …)."""

    pid: int
    needle: str
    mapping: str


def scan(pids: Sequence[int], needles: Mapping[str, bytes]) -> tuple[Hit, ...]:
    """Search each process's resident memory, shared mappings included, for each needle.

    Raises: ParameterError for a needle too short to mean anything; RuntimeUnavailable where memory cannot be read.
    """
    short = [name for name, needle in needles.items() if len(needle) < SMALLEST_NEEDLE]
    if short:
        raise ParameterError(
            f"needles: expected at least {SMALLEST_NEEDLE} bytes, found shorter ones: {', '.join(short)}"
        )
    return tuple(hit for pid in pids for hit in _scan_one(pid, needles))


def _scan_one(pid: int, needles: Mapping[str, bytes]) -> Iterator[Hit]:
    overlap = max(len(needle) for needle in needles.values()) - 1
    found: set[tuple[str, str]] = set()
    try:
        with open(f"/proc/{pid}/mem", "rb", 0) as memory, open(f"/proc/{pid}/pagemap", "rb", 0) as pages:
            for start, end, mapping in _mappings(pid):
                for low, high in _resident(pages.fileno(), start, end):
                    for chunk in _chunks(memory.fileno(), low, high, overlap):
                        for name, needle in needles.items():
                            if (name, mapping) not in found and needle in chunk:
                                found.add((name, mapping))
                                yield Hit(pid, name, mapping)
    except (FileNotFoundError, ProcessLookupError, PermissionError) as error:
        raise RuntimeUnavailable(
            f"memory of process {pid}: expected to read it, found {type(error).__name__}; needs Linux and the same user or root"
        ) from error


def _mappings(pid: int) -> Iterator[tuple[int, int, str]]:
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        addresses, permissions, *_, name = [*line.split(maxsplit=5), ""][:6]
        if permissions.startswith("r") and name not in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
            low, high = (int(part, 16) for part in addresses.split("-"))
            yield low, high, name or "anonymous"


def _resident(pages: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The stretches of a mapping that are in memory or swapped out."""
    count = (end - start) // PAGE
    raw = os.pread(pages, count * 8, start // PAGE * 8)
    there = (np.frombuffer(raw, dtype=np.uint64) & _PRESENT) != 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        yield start + int(low) * PAGE, start + int(high) * PAGE


def _chunks(memory: int, low: int, high: int, overlap: int) -> Iterator[bytes]:
    """A stretch in overlapping chunks; what vanished meanwhile is skipped."""
    position = low
    while position < high:
        try:
            chunk = os.pread(memory, min(CHUNK, high - position), position)
        except OSError:
            return
        if not chunk:
            return
        yield chunk
        if position + len(chunk) >= high:
            return
        position += max(1, len(chunk) - overlap)

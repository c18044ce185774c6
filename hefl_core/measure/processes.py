"""Processes and their memory, from the operating system."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class ProcessLine:
    """One process. ``mib``: resident memory with shared pages; None where the process is gone or not readable."""

    pid: int
    what: str
    mib: float | None


def memory_of(pid: int) -> float | None:
    """Resident memory in MiB, or None when the process is gone or on another machine."""
    try:
        return float(psutil.Process(pid).memory_info().rss) / (1 << 20)
    except psutil.Error:
        return None


def own_processes(named: Sequence[tuple[int, str]] = ()) -> tuple[ProcessLine, ...]:
    """This process and its children; ``named``: descriptions of some."""
    known = dict(named)
    me = psutil.Process(os.getpid())
    found = [(me.pid, known.pop(me.pid, "the application"))]
    for child in me.children(recursive=True):
        found.append((child.pid, known.pop(child.pid, _name(child))))
    return tuple(ProcessLine(pid, what, memory_of(pid)) for pid, what in [*found, *known.items()])


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return "gone"

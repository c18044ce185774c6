"""Processes and their memory, as the operating system tells them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class ProcessLine:
    """One process. ``mib``: resident memory, shared pages included; None where it is gone or not ours to see."""

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
    """This process and its children; ``named`` says what some of them are."""
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

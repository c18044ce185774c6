"""The child process of a sweep: only this process may die. One line in per batch, one line out before and after each case."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import IO, cast

import msgspec

import hefl_core  # noqa: F401  tenseal first
from hefl_core.checks.damage.outcomes import Bench, Case, Target, run_case
from hefl_core.errors import ParameterError

MEMORY_BYTES = 2 << 30
"""Address space beyond what the process has when its benches are open."""


class Job(msgspec.Struct, frozen=True):
    """``source``: 'module:function' that returns the targets. ``cases``: (number, target's name), in order."""

    source: str
    seed: int
    cases: tuple[tuple[int, str], ...]


class WorkerLine(msgspec.Struct, frozen=True):
    """``case`` None: this number's case begins now."""

    number: int
    case: Case | None = None


def find_targets(source: str) -> dict[str, Target]:
    """The targets that a source names. Raises: ParameterError when there are none."""
    module, _, function = source.partition(":")
    made = cast(Callable[[], Sequence[Target]], getattr(importlib.import_module(module), function))()
    if not made:
        raise ParameterError(f"corrupt: expected targets in {source}, found none")
    return {target.name: target for target in made}


def open_bench(target: Target) -> Bench:
    """Open a bench and check that it accepts its undamaged inputs: a door that refuses everything proves nothing.

    Raises: ParameterError when it does not.
    """
    bench = target.open()
    for which, valid in enumerate(bench.inputs):
        found = bench.door(valid)
        if not bench.same(found, bench.truth(valid) if bench.truth else bench.expected[which]):
            raise ParameterError(f"{target.name}: its door does not accept input {which} undamaged")
    return bench


def limit_memory() -> None:
    """Make a bomb that unpacks fail here, not in the machine's swap."""
    if sys.platform == "linux":
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        # the hard limit stays open: the next bench has to raise the soft one
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, resource.RLIM_INFINITY))


def work(job: Job, out: IO[bytes]) -> None:
    """Run every case of a job; one target's bench is open at a time."""
    known = find_targets(job.source)
    name, bench = "", None
    for number, wanted in job.cases:
        if bench is None or wanted != name:
            if bench is not None:
                bench.close()
            name, bench = wanted, open_bench(known[wanted])
            limit_memory()
        _say(out, WorkerLine(number))
        _say(out, WorkerLine(number, run_case(job.seed, number, known[name], bench)))
    if bench is not None:
        bench.close()


def _say(out: IO[bytes], line: WorkerLine) -> None:
    out.write(msgspec.json.encode(line) + b"\n")
    out.flush()


if __name__ == "__main__":
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not write into the results: its output goes to stderr
    work(msgspec.json.decode(sys.stdin.buffer.read(), type=Job), results)

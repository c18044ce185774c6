"""A sweep: ``count`` seeded cases over all targets, in child processes that are monitored for crashes.

A crash is attributed to the case under way; the sweep continues after it in a new process.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

import msgspec

from hefl_core.checks.damage.outcomes import Case, DamageOutcome, Target
from hefl_core.checks.damage.worker import Job, WorkerLine, find_targets
from hefl_core.errors import ParameterError, RuntimeUnavailable, Stopped

SOURCE = "hefl_core.checks.damage.targets:targets"
BARE = "hefl_core.checks.damage.targets:bare"
CASE_SECONDS = 120.0
"""A case without output for this long has hung, which counts as a death. It includes opening a slow bench."""
BATCH = 600
STDERR_CHARS = 200


@dataclass(frozen=True)
class Sweep:
    """The request. ``only``: targets whose name contains this, or whose family is this."""

    seed: int
    count: int
    only: str = ""
    source: str = SOURCE
    case_seconds: float = CASE_SECONDS
    workers: int = 2

    def schedule(self) -> tuple[tuple[int, str], ...]:
        """(number, target) of every case. A number's target depends only on the number and ``only``.

        Raises: ParameterError when nothing fits ``only``.
        """
        cycle = _cycle([target for target in find_targets(self.source).values() if self._wanted(target)])
        if not cycle:
            raise ParameterError(f"corrupt: no input is called {self.only!r}", "leave --only out to see them all")
        return tuple((number, cycle[number % len(cycle)]) for number in range(self.count))

    def _wanted(self, target: Target) -> bool:
        return self.only in target.name or self.only == target.family


def _cycle(targets: Sequence[Target]) -> list[str]:
    """Every target as often as its weight, in turns: the first cases of a sweep already touch all of them."""
    most = max((target.weight for target in targets), default=0)
    return [target.name for turn in range(most) for target in targets if turn < target.weight]


def run_sweep(sweep: Sweep, tell: Callable[[Case], None] = lambda _: None) -> tuple[Case, ...]:
    """Run all cases. ``tell`` gets each when it ends.

    Raises: ParameterError; RuntimeUnavailable when a child cannot even open its benches.
    """
    by_target = sorted(sweep.schedule(), key=lambda case: (case[1], case[0]))
    batches = list(_batches(by_target))
    stop = threading.Event()

    def going_on(case: Case) -> None:
        if stop.is_set():
            raise Stopped("corrupt: told to stop, the rest of the cases was not run")
        tell(case)

    with ThreadPoolExecutor(max(1, sweep.workers)) as pool:
        try:
            done = pool.map(lambda batch: run_batch(sweep, batch, going_on), batches)
            found = [case for cases in done for case in cases]
        except BaseException:
            stop.set()  # the pool waits for its threads: each ends, with its child, at the next case
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return tuple(sorted(found, key=lambda case: case.number))


def run_one(sweep: Sweep, number: int) -> Case:
    """Repeat one case, by its number, in its own process."""
    cycle = Sweep(sweep.seed, number + 1, sweep.only, sweep.source).schedule()
    return run_batch(sweep, [cycle[number]])[0]


def _batches(cases: Sequence[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    for start in range(0, len(cases), BATCH):
        yield list(cases[start : start + BATCH])


def run_batch(
    sweep: Sweep, batch: Sequence[tuple[int, str]], tell: Callable[[Case], None] = lambda _: None
) -> list[Case]:
    """Run the cases of one batch, in as many processes as it takes.

    Raises: RuntimeUnavailable when a process ends before its first case began.
    """
    left, done = list(batch), list[Case]()
    while left:
        begun = len(done)
        last, reason = _drain(sweep, left, done, tell)
        ended = {case.number for case in done[begun:]}
        left = [(number, name) for number, name in left if number not in ended]
        if not left:
            break
        if last is None or last in ended:
            raise RuntimeUnavailable(f"corrupt: the process of {left[0][1]!r} ended before its case began: {reason}")
        name = dict(left)[last]
        done.append(Case(last, name, "see the number", DamageOutcome.DEATH, reason))
        tell(done[-1])
        left = [(number, other) for number, other in left if number != last]
    return done


def _drain(
    sweep: Sweep, cases: Sequence[tuple[int, str]], done: list[Case], tell: Callable[[Case], None]
) -> tuple[int | None, str]:
    """Run one child until it ends, dies or hangs. Returns the case under way and how the child ended."""
    job = Job(sweep.source, sweep.seed, tuple(cases))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
    last: int | None = None
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "hefl_core.checks.damage.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
        )
        try:
            if child.stdin is None or child.stdout is None:
                raise RuntimeUnavailable("corrupt: expected pipes to the child process, found none")
            with child.stdin as pipe:
                pipe.write(msgspec.json.encode(job))
            for line in _lines(child.stdout, sweep.case_seconds):
                last = line.number
                if line.case is not None:
                    done.append(line.case)
                    tell(line.case)
        except TimeoutError:
            return last, f"no answer for {sweep.case_seconds:.0f} s"
        finally:
            code = _end(child)
            if child.stdout is not None:
                child.stdout.close()
        errors.seek(0)
        return last, _how(code, errors.read().decode("utf-8", "replace"))


def _end(child: subprocess.Popen[bytes]) -> int:
    """Wait two seconds for the child to exit, then kill it."""
    try:
        return child.wait(timeout=2)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _how(code: int, stderr: str) -> str:
    try:
        ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    except ValueError:
        ended = f"signal {-code}"
    return f"{ended} {stderr.strip()[-STDERR_CHARS:]}".strip()


def _lines(pipe: IO[bytes], seconds: float) -> Iterator[WorkerLine]:
    """Yield lines as they come. Raises: TimeoutError after ``seconds`` without one."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        for raw in pipe:
            lines.put(raw)
        lines.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    while True:
        try:
            raw = lines.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None
        if raw is None:
            reader.join()
            return
        yield msgspec.json.decode(raw, type=WorkerLine)


# -- what came of it -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SweepRow:
    """One family of inputs and its outcomes."""

    family: str
    counts: Counter[DamageOutcome]

    @property
    def cases(self) -> int:
        """The number of cases."""
        return sum(self.counts.values())


def rows(sweep: Sweep, cases: Sequence[Case]) -> tuple[SweepRow, ...]:
    """Outcomes by family, in the order of the targets."""
    family = {target.name: target.family for target in find_targets(sweep.source).values()}
    counted: dict[str, Counter[DamageOutcome]] = {}
    for case in cases:
        counted.setdefault(family[case.target], Counter())[case.outcome] += 1
    return tuple(SweepRow(name, counted[name]) for name in dict.fromkeys(family.values()) if name in counted)


def failures(cases: Sequence[Case]) -> tuple[Case, ...]:
    """The cases that must not happen."""
    return tuple(case for case in cases if case.outcome.failure)


def to_markdown(table: Sequence[SweepRow]) -> str:
    """The table of docs/reliability.md."""
    heads = ("input", "cases", *DamageOutcome)
    lines = ["| " + " | ".join(heads) + " |", "|-|" + "-:|" * (len(heads) - 1)]
    for row in table:
        cells = (row.family, row.cases, *(row.counts[outcome] for outcome in DamageOutcome))
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"

"""What a person waits for, and how many the server carries: one session's step, first content, a class of thirty.

    python benchmarks/gui.py [--quick] [--json FILE] [--markdown FILE]

A class: thirty sessions on one server in the local runtime, each on page One round, all stepping at once; a visitor here is what
a browser sends and receives, without the browser, whose drawing would cost the two cores more than the server does. Each is
measured on the machine as it is, and again beside one busy loop per core.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from browser import chromium, serving
from common import TargetVerdict, median, parser, report, table
from visitors import Visitor, at_once

STEPS, QUICK_STEPS = 20, 5
CLASS, QUICK_CLASS = 30, 10
QUERY = "clients=3&rounds=1"


def _spin() -> None:
    while True:
        pass


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many processes that take a core each."""
    taken = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(loops)]
    for one in taken:
        one.start()
    try:
        yield
    finally:
        for one in taken:
            one.kill()
            one.join()


def server() -> psutil.Process:
    """The application that this process has started."""
    return next(one for one in psutil.Process().children() if "streamlit" in " ".join(one.cmdline()))


def cpu_seconds(process: psutil.Process) -> float:
    """What it has computed so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def in_turns(positions: int, last: int = 18) -> Iterator[int]:
    """Messages to step to, each another than the one before."""
    return (1 + number % last for number in range(positions))


def one_session(address: str, steps: int) -> dict[str, float]:
    """CPU of the server and seconds, of one visitor's step."""
    visitor, process = Visitor(address, QUERY), server()
    began = time.perf_counter()
    visitor.open("one_round")
    opened = time.perf_counter() - began
    for position in in_turns(3):
        visitor.step(position)
    before = cpu_seconds(process)
    taken = [visitor.step(position) for position in in_turns(steps)]
    spent = (cpu_seconds(process) - before) / steps
    visitor.close()
    return {"opened, s": opened, "step, CPU ms": 1000 * spent, "step, s": median(taken)}


def a_class(address: str, visitors: int, steps: int) -> dict[str, float]:
    """Memory of each, and seconds of a step that all take at once."""
    process, room = server(), []
    before = process.memory_info().rss
    try:
        for _ in range(visitors):
            room.append(Visitor(address, QUERY))
            room[-1].open("one_round")
        each = (process.memory_info().rss - before) / visitors / 1e6
        taken = [
            seconds
            for position in in_turns(steps)
            for seconds in at_once([lambda one=one, to=position: one.step(to) for one in room])
        ]
    finally:
        for one in room:
            one.close()
    return {
        "visitors": visitors,
        "step, median s": median(taken),
        "step, most s": max(taken),
        "memory of each, MB": each,
    }


def first_content() -> float:
    """Seconds from the address to the first heading, in a real browser on a server that has been asked before."""
    with serving(HEFL_RUNTIME="local") as address, chromium() as browser:
        taken = []
        for _ in range(4):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            began = time.perf_counter()
            page.goto(f"{address}/")
            page.wait_for_selector("h1", timeout=60_000)
            taken.append(time.perf_counter() - began)
            page.close()
    return median(taken[1:])


def measure(quick: bool, loops: int) -> dict[str, Any]:
    """Everything once, beside so many busy loops."""
    steps, visitors = (QUICK_STEPS, QUICK_CLASS) if quick else (STEPS, CLASS)
    load = os.getloadavg()[0]
    with busy(loops):
        with serving(HEFL_RUNTIME="local", HEFL_MAX_SESSIONS=str(visitors + 2)) as address:
            found = one_session(address, steps) | a_class(address, visitors, steps)
        return {"busy loops": loops, "load before": load} | found | {"first content, s": first_content()}


def main() -> None:
    """Measure and report."""
    chosen = parser(__doc__).parse_args()
    free, loaded = (measure(chosen.quick, loops) for loops in (0, os.cpu_count() or 1))
    verdicts = [
        TargetVerdict(1, "one session: a step", "≤", 100, free["step, CPU ms"], "ms of CPU"),
        TargetVerdict(2, "one session: a step", "≤", 0.2, free["step, s"], "s"),
        TargetVerdict(3, "one session: a step, beside busy loops", "≤", 0.5, loaded["step, s"], "s"),
        TargetVerdict(4, "first content", "≤", 2, free["first content, s"], "s"),
        TargetVerdict(5, "first content, beside busy loops", "≤", 4, loaded["first content, s"], "s"),
        TargetVerdict(6, f"{free['visitors']} sessions at once: a step, median", "≤", 1, free["step, median s"], "s"),
        TargetVerdict(7, f"{free['visitors']} sessions: memory of each", "≤", 5, free["memory of each, MB"], "MB"),
    ]
    rows = [free, loaded]
    shown = table(tuple(free), [tuple(row.values()) for row in rows])
    report(chosen, "The screen", rows, verdicts, [shown])


if __name__ == "__main__":
    main()

"""Followers of one run: how soon each sees a step, and what each costs the server. `python -m benchmarks.followers [N M]`.

N followers, M of them in a browser; the others read the same events without drawing them, since so many browsers on one
machine would wait for each other.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from statistics import median
from typing import Any

import psutil

from benchmarks.browser import chromium, serving

RUN = "dataset=breast_cancer&scheme=bfv-lean&rounds=1&model=logistic"
STEPS = 10
WATCH = """(it) => { window.seen = {};
new MutationObserver(() => { window.seen[it.dataset.position] ??= Date.now(); })
.observe(it, { attributes: true, attributeFilter: ["data-position"] }); }"""


class Listener(threading.Thread):
    """A follower without a browser. ``seen``: milliseconds of the clock at which each cursor came."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.seen: dict[int, float] = {}
        self._stream = urllib.request.urlopen(f"{address}/follow/events", timeout=60)
        self.start()

    def run(self) -> None:
        """Read until the server ends."""
        with suppress(OSError):
            for line in self._stream:
                if line.startswith(b"data: "):
                    self.seen.setdefault(json.loads(line[6:])["cursor"], time.time() * 1000)


def main(count: int, drawn: int) -> None:
    """Open so many followers, step, and print figures."""
    with serving(HEFL_RUNTIME="local", HEFL_MAX_SESSIONS="1") as address, chromium() as browser:
        server = _server(address)
        leader = browser.new_context().new_page()
        leader.goto(f"{address}/one_round?{RUN}")
        leader.wait_for_selector(".stepper .caption")
        leader.get_by_text("Let others follow").click()
        leader.wait_for_selector("[data-shown='0']", state="attached")
        _follower(browser, address)  # the first one brings imports
        before, busy = _memory(server), _busy(server)
        pages = [_follower(browser, address) for _ in range(drawn)]
        grown, came = (_memory(server) - before) / drawn / 2**20, (_busy(server) - busy) / drawn * 1000
        print(
            f"{drawn} in a browser: each {grown:.1f} MiB more than {before / 2**20:.0f}, and {came:.0f} ms of computing"
        )
        listeners = [Listener(address) for _ in range(count - drawn)]
        busy = _busy(server)
        found = [_step(leader, pages, listeners, step) for step in range(1, STEPS + 1)]
        spent = (_busy(server) - busy) / STEPS * 1000
        for name, delays in zip(("drawn", "received"), zip(*found, strict=True), strict=True):
            each = [delay for step in delays for delay in step]
            print(f"a step is {name} after {median(each):.0f} ms, at most {max(each):.0f} ms ({len(each)} times)")
        print(f"a step takes {spent:.0f} ms of computing for {count} followers in all")
        busy, begun = _busy(server), time.monotonic()
        leader.wait_for_timeout(5_000)
        print(f"idle: {(_busy(server) - busy) / (time.monotonic() - begun):.1%} of a core in all")


def _follower(browser: Any, address: str) -> Any:
    page = browser.new_context().new_page()
    page.goto(f"{address}/one_round?follow=1")
    page.wait_for_selector(".stepper.led[data-position]")
    page.locator(".stepper").evaluate(WATCH)
    return page


def _step(leader: Any, pages: list[Any], listeners: list[Listener], step: int) -> tuple[list[float], list[float]]:
    """Milliseconds from the leader's key to each follower's picture, and to each listener: one machine, one clock."""
    begun = leader.evaluate("Date.now()")
    leader.keyboard.press("ArrowRight")
    for page in pages:
        page.wait_for_selector(f".stepper[data-position='{step}']")
    while not all(step in one.seen for one in listeners):
        time.sleep(0.01)
    drawn = [page.evaluate(f"window.seen['{step}']") - begun for page in pages]
    return drawn, [one.seen[step] - begun for one in listeners]


def _server(address: str) -> psutil.Process:
    port = int(address.rpartition(":")[2])
    for one in psutil.Process().children(recursive=True):
        if any(found.laddr.port == port for found in one.net_connections() if found.status == psutil.CONN_LISTEN):
            return one
    raise SystemExit(f"server: expected a process on port {port}, found none")


def _memory(server: psutil.Process) -> int:
    return int(server.memory_info().rss)


def _busy(server: psutil.Process) -> float:
    spent = server.cpu_times()
    return float(spent.user + spent.system)


if __name__ == "__main__":
    main(*(int(found) for found in (sys.argv[1:] or ("30", "10"))))

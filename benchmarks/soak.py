"""A long run that is disturbed at random, with the application open in a browser meanwhile.

    python benchmarks/soak.py [--rounds 200] [--clients 8] [--rate 0.2] [--seed 1] [--json FILE]

Ends with: rounds done, every model against plain FedAvg over the recorded contributors, what became of the faults, memory of
every party by process life, and what is left of processes, sockets and files.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

OWN = tempfile.mkdtemp(prefix="soak", dir="/tmp")
for name in ("TMPDIR", "RAY_TMPDIR"):
    os.environ[name] = OWN
tempfile.tempdir = OWN

import psutil  # noqa: E402
from browser import ROOT, chromium, serving  # noqa: E402

from hefl_core.checks.faults.judge import judge  # noqa: E402
from hefl_core.checks.faults.processes import Disturbed, draw  # noqa: E402
from hefl_core.runtime.ray.carrier import PID_FILE  # noqa: E402
from hefl_core.runtime.ray.cluster import CLUSTER, ray  # noqa: E402
from hefl_core.terms.experiment import Experiment  # noqa: E402

TELL_EVERY = 20
SECONDS_BETWEEN_VISITS = 5.0
PATIENCE_MS = 120_000


class Memory:
    """Resident memory of every host, by process life. Units: MiB."""

    def __init__(self) -> None:
        self.lives: dict[tuple[str, int], list[float]] = {}

    def sample(self, disturbed: Disturbed) -> None:
        """Look at each host once."""
        for home in {party.home for party in disturbed.everybody}:
            with suppress(OSError, ValueError, psutil.Error):
                pid = int((home / PID_FILE).read_text())
                mib = psutil.Process(pid).memory_info().rss / (1 << 20)
                self.lives.setdefault((home.name, pid), []).append(mib)

    def table(self) -> dict[str, dict[str, float]]:
        """Per host: lives, the largest size, the largest growth within one life after its first ten samples."""
        found: dict[str, dict[str, float]] = {}
        for (name, _), sizes in self.lives.items():
            line = found.setdefault(name, {"lives": 0, "max MiB": 0.0, "growth MiB": 0.0, "longest life": 0})
            line["lives"] += 1
            line["max MiB"] = round(max(line["max MiB"], *sizes), 1)
            line["longest life"] = max(line["longest life"], len(sizes))
            if len(sizes) > 10:
                line["growth MiB"] = round(max(line["growth MiB"], sizes[-1] - sizes[10]), 1)
        return found


class Visitor(threading.Thread):
    """Somebody who looks at one page of the application after the other, in a browser, until told to leave.

    A thread of its own: a page that is slow to come must not hold up the run.
    """

    def __init__(self) -> None:
        super().__init__(name="visitor", daemon=True)
        self.seen: Counter[str] = Counter()
        self.troubles: list[str] = []
        self._leave = threading.Event()

    def run(self) -> None:
        """Visit."""
        names = sorted(path.stem for path in (ROOT / "pages").glob("*.py") if path.stem != "__init__")
        with serving(HEFL_RUNTIME="local") as address, chromium() as browser:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            for name in itertools.cycle(names):
                if self._leave.wait(SECONDS_BETWEEN_VISITS):
                    return
                self._visit(page, address, name)

    def _visit(self, page: Any, address: str, name: str) -> None:
        """A page must come up without an exception on it."""
        try:
            page.goto(f"{address}/{name}")
            page.wait_for_selector("[data-testid=stMainBlockContainer] h1", timeout=PATIENCE_MS)
        except Exception as error:  # whatever the browser says: this page did not come
            self.troubles.append(f"{name}: {type(error).__name__}")
            return
        if page.locator("[data-testid=stException]").count():
            self.troubles.append(f"{name}: an exception on it")
        self.seen[name] += 1

    def leave(self) -> None:
        """End after the page under way."""
        self._leave.set()
        self.join()


def soak(options: argparse.Namespace) -> dict[str, Any]:
    """Run it. Returns the figures."""
    rng = random.Random(options.seed)
    experiment = Experiment(
        model="logistic", clients=options.clients, rounds=options.rounds, epoch_rounds=20, scheme="bfv-lean"
    )
    chosen = [number for number in range(1, options.rounds + 1) if rng.random() < options.rate]
    faults = {number: draw(rng, number, experiment) for number in chosen}
    per_host = -(-options.clients // 2)
    disturbed = Disturbed(experiment, faults, rng, options.deadline, per_host)
    memory, started = Memory(), time.perf_counter()
    visitor = Visitor()
    visitor.start()
    try:
        before = 0
        for _ in disturbed.steps():
            done = len(disturbed.run.rounds)
            if done > before:
                before = done
                memory.sample(disturbed)
                if done % TELL_EVERY == 0:
                    print(f"round {done}, {time.perf_counter() - started:.0f} s", flush=True)
    finally:
        visitor.leave()
    seconds, verdict, outcomes = time.perf_counter() - started, judge(disturbed.run), disturbed.outcomes()
    stops = [one.recovery_seconds for one in outcomes]
    return {
        "rounds": len(disturbed.run.rounds),
        "error": None if disturbed.error is None else str(disturbed.error),
        "wrong": verdict.wrong,
        "rounds checked": verdict.checked,
        "rounds unseen": verdict.unseen,
        "largest error": verdict.max_error,
        "faults": dict(Counter(f"{one.fault.kind}: {one.result}" for one in outcomes)),
        "longest standstill beyond the deadline": round(max(stops, default=0.0), 2),
        "attempts": dict(Counter(item.attempts for item in disturbed.run.rounds)),
        "contributors": dict(Counter(len(item.contributors) for item in disturbed.run.rounds)),
        "left out": len(disturbed.run.transcript.left_out),
        "pages visited": sum(visitor.seen.values()),
        "pages in trouble": visitor.troubles,
        "memory": memory.table(),
        "seconds": round(seconds, 1),
    }


def left_behind() -> dict[str, Any]:
    """Processes, listening sockets and files of this run that outlive it; Ray's own log folder is not counted."""
    ray.shutdown()
    time.sleep(5)
    me = psutil.Process()
    processes = [" ".join(child.cmdline())[:80] for child in me.children(recursive=True)]
    sockets = [str(one.laddr) for one in me.net_connections() if one.status == psutil.CONN_LISTEN]
    files = [path.name for path in Path(OWN).iterdir() if path.name != "ray" and not path.name.startswith("session")]
    return {"processes": processes, "sockets": sockets, "files": files}


def main() -> None:
    """Run, print, write JSON; exit 1 when anything was lost, wrong or left behind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0.2, help="faults per round")
    parser.add_argument("--deadline", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    CLUSTER.wait()
    found = soak(options)
    found["left behind"] = left_behind()
    print(json.dumps(found, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(OWN, ignore_errors=True)
    clean = not found["wrong"] and found["rounds"] == options.rounds and not any(found["left behind"].values())
    raise SystemExit(0 if clean and not found["pages in trouble"] else 1)


if __name__ == "__main__":
    main()

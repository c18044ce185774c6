"""What a person waits for: first content, a step, the first encrypted round, measured in a real browser.

    python benchmarks/gui.py [--json FILE]

Targets: first content < 3 s, a step < 0.3 s (median of 20), the first encrypted round <= 10 s from a cold start.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from browser import chromium, serving

STEPS = 20
TARGETS = {"first content": 3.0, "step": 0.3, "first encrypted round": 10.0}


def stepped(page: Any) -> float:
    """Seconds from an arrow key until the matrix beside the stepper is the one of the message it moved to."""
    wanted = int(page.locator(".stepper").get_attribute("data-position")) + 1
    started = time.perf_counter()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"document.querySelector('table.know')?.dataset.sent == '{wanted}'", polling=10)
    return time.perf_counter() - started


def measure() -> dict[str, float]:
    """Medians in seconds. The server is started for each cold figure."""
    found: dict[str, list[float]] = {"first content": [], "first encrypted round": [], "step": []}
    with chromium() as browser:
        for _ in range(3):
            started = time.perf_counter()
            with serving() as address:
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                opened = time.perf_counter()
                page.goto(f"{address}/")
                page.wait_for_selector("h1", timeout=30_000)
                found["first content"].append(time.perf_counter() - opened)
                page.goto(f"{address}/one_round")
                page.wait_for_selector("table.know", timeout=60_000)
                found["first encrypted round"].append(time.perf_counter() - started)
                page.wait_for_timeout(12_000)  # Ray has come up by then and no longer takes a core
                page.keyboard.press("Home")
                page.wait_for_timeout(1_000)
                found["step"] += [stepped(page) for _ in range(STEPS)]
                page.close()
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Measure, print with verdicts, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure()
    for name, seconds in found.items():
        verdict = "met" if seconds <= TARGETS[name] else "missed"
        print(f"{name:24} {seconds:6.2f} s  target {TARGETS[name]:.1f} s  {verdict}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What the benchmarks share: the machine, verdicts on the targets, tables, and where results go."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from hefl_core.runtime.result import Environment


@dataclass(frozen=True)
class TargetVerdict:
    """One target beside what was measured. ``sign``: '≤' or '≥'."""

    target: int
    what: str
    sign: str
    asked: float
    found: float
    unit: str = "×"

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.found <= self.asked if self.sign == "≤" else self.found >= self.asked

    @property
    def row(self) -> tuple[str, ...]:
        """For a table."""
        asked, found = (f"{value:.4g} {self.unit}" for value in (self.asked, self.found))
        return str(self.target), self.what, f"{self.sign} {asked}", found, "met" if self.met else "**missed**"


def machine() -> dict[str, Any]:
    """Processor and versions: only ratios within one run mean something."""
    found: dict[str, Any] = msgspec.to_builtins(Environment.here())
    found["processor"] = _processor()
    found["load_at_start"] = round(os.getloadavg()[0], 2)
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; floats with three significant digits."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "-|" * len(heads)]
    for row in rows:
        lines.append("| " + " | ".join(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    return "\n".join(lines)


def verdicts_table(verdicts: Iterable[TargetVerdict]) -> str:
    """All targets."""
    return table(("target", "what", "asked", "measured", ""), (verdict.row for verdict in verdicts))


def median(values: Iterable[float]) -> float:
    """Of the repetitions."""
    return statistics.median(list(values))


def parser(doc: str | None) -> argparse.ArgumentParser:
    """With the options that every benchmark has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help="fewer repetitions and sizes")
    made.add_argument("--repetitions", type=int, help="default: 5, quick: 2")
    made.add_argument("--json", metavar="FILE", help='where to write the numbers, "-" for standard output')
    made.add_argument("--markdown", metavar="FILE", help="where to write the tables; default: standard output")
    return made


def repetitions(chosen: argparse.Namespace) -> int:
    """As asked, or what the mode implies."""
    return int(chosen.repetitions or (2 if chosen.quick else 5))


def report(
    chosen: argparse.Namespace, title: str, rows: Any, verdicts: Sequence[TargetVerdict], tables: Sequence[str]
) -> None:
    """Write JSON and Markdown. Nothing fails on a missed target: the table says so."""
    here = machine()
    about = ", ".join(f"{key} {value}" for key, value in here.items() if value)
    text = "\n\n".join((f"# {title}", about, *tables, verdicts_table(verdicts) if verdicts else "")) + "\n"
    if chosen.markdown:
        Path(chosen.markdown).write_text(text, encoding="utf-8")
    print(text, file=sys.stderr if chosen.json == "-" else sys.stdout)
    if chosen.json:
        found = [asdict(verdict) | {"met": verdict.met} for verdict in verdicts]
        data = json.dumps({"machine": here, "rows": rows, "verdicts": found}, indent=1)
        if chosen.json == "-":
            print(data)
        else:
            Path(chosen.json).write_text(data + "\n", encoding="utf-8")

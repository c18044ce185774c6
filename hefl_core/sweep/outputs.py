"""A sweep's files: tidy tables (CSV and Parquet), the summary as LaTeX, figures as PDF and SVG, and how to make it again."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import matplotlib
import pandas as pd
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from hefl_core.runtime.result import Environment
from hefl_core.sweep.plan import Plan
from hefl_core.sweep.row import RunRow
from hefl_core.sweep.summary import Interval, SettingSummary, interval, summarise
from hefl_core.wire.files import replace_file

FILES: Final = (
    "runs.csv", "runs.parquet", "rounds.csv", "rounds.parquet", "summary.csv", "summary.tex",
    "figure.pdf", "figure.svg", "environment.json", "reproduce.sh", "plan.toml",
)  # fmt: skip
MEASURES: Final = ("accuracy", "accuracy_last_three", "loss", "max_abs_error", "fedavg_error")
WIDTH, HEIGHT = 6.0, 3.6
"""Inches: a text column of an A4 page."""


def write(plan: Plan, rows: Sequence[RunRow], folder: Path, source: bytes) -> tuple[SettingSummary, ...]:
    """Write every file of :data:`FILES`; each is written whole or stays as it was. Raises: OSError."""
    summary = summarise(plan, rows)
    made = {
        **_frames("runs", _runs(plan, rows)),
        **_frames("rounds", _rounds(plan, rows)),
        "summary.csv": _summary_frame(summary).to_csv(index=False).encode(),
        "summary.tex": latex(plan, summary).encode(),
        **_figures(plan, rows),
        "environment.json": json.dumps(asdict(Environment.here()), indent=1).encode(),
        "reproduce.sh": _reproduce(folder).encode(),
        "plan.toml": source,
    }
    for name in FILES:
        replace_file(folder / name, made[name])
    return summary


def latex(plan: Plan, summary: Sequence[SettingSummary]) -> str:
    """The summary as a LaTeX table (package booktabs)."""
    lines = [
        rf"% {plan.figure}, mean of the last three rounds; 95 % intervals over seeds (Student's t); p by paired t-test, Holm",
        r"\begin{tabular}{lrrrrr}",
        r"\toprule",
        rf"setting & {plan.figure} & 95\,\% interval & upload (kB) & difference & $p$ \\",
        r"\midrule",
        *(" & ".join(_cells(one)) + r" \\" for one in summary),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _cells(one: SettingSummary) -> tuple[str, ...]:
    name = one.setting.translate({ord(letter): f"\\{letter}" for letter in "_%&#$"})
    against = one.against
    return (
        name,
        f"{one.measure.mean:.4f}",
        _span(one.measure),
        f"{one.upload / 1000:,.1f}",
        "--" if against is None else f"{against.difference.mean:+.4f}",
        "--" if against is None or against.p_holm is None else f"{against.p_holm:.3g}",
    )


def _span(found: Interval) -> str:
    return "--" if found.low is None or found.high is None else f"{found.low:.4f} to {found.high:.4f}"


def _frames(name: str, frame: pd.DataFrame) -> dict[str, bytes]:
    # A measure that no run has is a column of numbers all the same, or the two files would differ in type.
    told = [measure for measure in MEASURES if measure in frame]
    frame, parquet = frame.astype(dict.fromkeys(told, float)), io.BytesIO()
    frame.to_parquet(parquet, index=False)
    return {f"{name}.csv": frame.to_csv(index=False).encode(), f"{name}.parquet": parquet.getvalue()}


def _runs(plan: Plan, rows: Sequence[RunRow]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": row.id,
            **_varied(plan, row),
            "seed": row.seed,
            "parameters": row.parameters,
            "rounds": len(row.rounds),
            "accuracy": row.last("accuracy"),
            "accuracy_last_three": row.settled("accuracy"),
            "loss": row.last("loss"),
            "fedavg_error": row.last("fedavg_error"),
            "upload_bytes": row.rounds[-1].upload,
            "cpu_seconds_per_round": sum(one.cpu_seconds for one in row.rounds) / len(row.rounds),
            "failed_claims": " ".join(row.failed),
            "insecure": "; ".join(row.insecure),
            "version": row.version,
        }
        for row in rows
    )


def _rounds(plan: Plan, rows: Sequence[RunRow]) -> pd.DataFrame:
    return pd.DataFrame(
        {"id": row.id, **_varied(plan, row), "seed": row.seed, **asdict(one)} for row in rows for one in row.rounds
    )


def _varied(plan: Plan, row: RunRow) -> dict[str, Any]:
    return dict(next(point.varied for point in plan.points if point.id == row.id))


def _summary_frame(summary: Sequence[SettingSummary]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "setting": one.setting,
            "seeds": one.measure.seeds,
            "mean_last_three": one.measure.mean,
            "low_95": one.measure.low,
            "high_95": one.measure.high,
            "mean_last": one.last.mean,
            "upload_bytes": one.upload,
            "cpu_seconds_per_round": one.cpu_seconds,
            "difference": None if one.against is None else one.against.difference.mean,
            "p": None if one.against is None else one.against.p,
            "p_holm": None if one.against is None else one.against.p_holm,
            "failed_claims": " ".join(one.failed),
        }
        for one in summary
    )


def _figures(plan: Plan, rows: Sequence[RunRow]) -> dict[str, bytes]:
    """The measure over rounds: mean of the seeds, and its interval as a band; vectors, without a browser or a screen."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots()
    for name in plan.settings:
        found = [row for row in rows if row.setting == name and row.settled(plan.figure) is not None]
        if not found:
            continue
        numbers, means = _curve(found, plan.figure)
        (line,) = axes.plot(numbers, [one.mean for one in means], label=name, linewidth=1.2)
        banded = [(at, one.low, one.high) for at, one in zip(numbers, means, strict=True) if one.low is not None]
        if banded:
            at, low, high = zip(*banded, strict=True)
            axes.fill_between(at, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set(xlabel="round", ylabel=plan.figure)
    if plan.settings:
        axes.legend(fontsize="small", frameon=False)
    return {"figure.pdf": _drawn(figure, _pdf), "figure.svg": _drawn(figure, _svg)}


def _curve(rows: Sequence[RunRow], measure: str) -> tuple[list[int], list[Interval]]:
    rounds = range(min(len(row.rounds) for row in rows))
    return [number + 1 for number in rounds], [
        interval(pd.Series([getattr(row.rounds[number], measure) for row in rows], dtype=float).to_numpy())
        for number in rounds
    ]


def _drawn(figure: Figure, draw: Callable[[Figure, io.BytesIO], None]) -> bytes:
    # The same numbers give the same bytes: no date, no random names of clip paths.
    with matplotlib.rc_context({"svg.hashsalt": "hefl", "pdf.compression": 9}):
        target = io.BytesIO()
        draw(figure, target)
        return target.getvalue()


def _pdf(figure: Figure, target: io.BytesIO) -> None:
    FigureCanvasPdf(figure).print_pdf(target, metadata={"CreationDate": None})


def _svg(figure: Figure, target: io.BytesIO) -> None:
    FigureCanvasSVG(figure).print_svg(target, metadata={"Date": None})


def _reproduce(folder: Path) -> str:
    name = shlex.quote(folder.resolve().name + "-again")
    return (
        "#!/usr/bin/env bash\n"
        "# Makes the runs again, beside this folder, with the installed hefl; environment.json has the versions used here.\n"
        "# Accuracies come out equal; bytes, times and ciphertexts are those of the new runs.\n"
        'set -euo pipefail\ncd "$(dirname "$0")"\n'
        f'hefl sweep plan.toml --output "../"{name}\n'
    )

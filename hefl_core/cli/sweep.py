"""``sweep``: many runs from one plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hefl_core.cli.ends.files import require_folder
from hefl_core.cli.ends.streams import STDERR
from hefl_core.sweep.outputs import write
from hefl_core.sweep.plan import Plan, read_plan
from hefl_core.sweep.row import RunRow
from hefl_core.sweep.runs import done, run_all
from hefl_core.sweep.summary import SettingSummary
from hefl_core.wire.files import read_regular


def sweep(
    plan: Annotated[Path, typer.Argument(help="a TOML file: [experiment], [grid] or [[list]], seeds, [baseline]")],
    output: Annotated[
        Path, typer.Option(help="folder of the runs, tables and figures; a sweep goes on where it stopped")
    ],
    at_once: Annotated[int, typer.Option(min=1, max=1000, help="runs at a time; more than 1 as tasks on Ray")] = 1,
) -> None:
    """Run every setting under every seed; write one table, intervals, paired tests, LaTeX and vector figures."""
    found = read_plan(plan)
    require_folder(output)
    output.mkdir(exist_ok=True)
    earlier = len(done(found, output))
    STDERR.print(f"{len(found.points)} runs: {len(found.settings)} settings, {earlier} runs done earlier", markup=False)
    rows = run_all(found, output, at_once, lambda row: _say(row))
    summary = write(found, rows, output, read_regular(plan, 1 << 20, "plan"))
    STDERR.print(_table(found, summary))
    if any(row.failed for row in rows if not row.insecure):
        STDERR.print("claims failed; summary.csv names them")
        raise typer.Exit(1)


def _say(row: RunRow) -> None:
    accuracy = row.last("accuracy")
    STDERR.print(
        f"{row.setting}, seed {row.seed}: accuracy {'unseen' if accuracy is None else f'{accuracy:.3f}'}", markup=False
    )


def _table(plan: Plan, summary: tuple[SettingSummary, ...]) -> Table:
    table = Table(
        "setting", plan.figure, "95 % interval", "difference", "p (Holm)", title="mean of the last three rounds"
    )
    for one in summary:
        span, test = one.measure, one.against
        table.add_row(
            one.setting,
            f"{span.mean:.4f}",
            "one seed" if span.low is None else f"{span.low:.4f} to {span.high:.4f}",
            "" if test is None else f"{test.difference.mean:+.4f}",
            "" if test is None or test.p_holm is None else f"{test.p_holm:.3g}",
        )
    return table

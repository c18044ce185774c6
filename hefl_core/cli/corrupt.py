"""``corrupt``: pass damaged bytes to every parser and count the outcomes."""

from __future__ import annotations

import json as json_module
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hefl_core.checks.damage.outcomes import Case, DamageOutcome
from hefl_core.checks.damage.sweep import BARE, Sweep, SweepRow, failures, rows, run_one, run_sweep, to_markdown
from hefl_core.cli.ends.files import output, require_different, write_json, write_text
from hefl_core.cli.ends.streams import STDERR, STDOUT

BARE_SHARE = 10
"""One bare case for this many of ours."""
SHOWN = 20


def corrupt(
    seed: Annotated[int, typer.Option(help="of the damage; keys are always fresh")] = 7,
    count: Annotated[int, typer.Option(help="how many cases", min=1)] = 10_000,
    only: Annotated[str, typer.Option(help="inputs whose name contains this, for example 'transcript'")] = "",
    case: Annotated[int | None, typer.Option(help="repeat one case by its number (and the same --only)")] = None,
    bare: Annotated[bool, typer.Option(help="also hand a tenth as many cases to TenSEAL alone")] = True,
    workers: Annotated[int, typer.Option(help="child processes at a time", min=1)] = 2,
    markdown: Annotated[Path | None, typer.Option(callback=output, help="write the table as Markdown")] = None,
    json: Annotated[
        str | None, typer.Option(callback=output, help="write counts and failures as JSON; - is stdout")
    ] = None,
) -> None:
    """Damage every kind of input, each batch in a process of its own. Exit 1 when one is accepted wrongly or kills it."""
    require_different((markdown, json))
    sweep = Sweep(seed, count, only, workers=workers)
    if case is not None:
        found = run_one(sweep, case)
        typer.echo(f"{found.number}: {found.target}: {found.kind}: {found.outcome} {found.detail}".rstrip())
        raise typer.Exit(1 if found.outcome.failure else 0)
    cases = _watched(sweep)
    before = _watched(Sweep(seed, max(1, count // BARE_SHARE), source=BARE, workers=workers)) if bare else ()
    table = (*rows(sweep, cases), *rows(Sweep(seed, 1, source=BARE), before))
    if markdown:
        write_text(markdown, to_markdown(table))
    if json:
        write_json(json, _json(sweep, cases, table))
    if json != "-":
        STDOUT.print(_table(table))
        for failure in failures(cases)[:SHOWN]:
            STDOUT.print(f"{failure.number}: {failure.target}: {failure.kind}: {failure.outcome}: {failure.detail}")
    if failures(cases):
        raise typer.Exit(1)


def _watched(sweep: Sweep) -> tuple[Case, ...]:
    done: Counter[DamageOutcome] = Counter()
    with STDERR.status("damaging") as status:

        def tell(case: Case) -> None:
            done[case.outcome] += 1
            status.update(f"{done.total()} of {sweep.count}: {case.target}")

        return run_sweep(sweep, tell)


def _table(table: tuple[SweepRow, ...]) -> Table:
    made = Table(
        title="damaged inputs",
        caption="lie: signed so by its sender under a scheme without a tag, which no receiver can see",
    )
    made.add_column("input")
    for column in ("cases", *DamageOutcome):
        made.add_column(column, justify="right")
    for row in table:
        made.add_row(row.family, str(row.cases), *(str(row.counts[outcome]) for outcome in DamageOutcome))
    return made


def _json(sweep: Sweep, cases: tuple[Case, ...], table: tuple[SweepRow, ...]) -> str:
    total = Counter(case.outcome for case in cases)
    kinds = Counter((case.target, case.kind.partition(",")[0]) for case in cases)
    return json_module.dumps(
        {
            "seed": sweep.seed,
            "count": sweep.count,
            "total": {outcome: total[outcome] for outcome in DamageOutcome},
            "families": [{"family": row.family, "cases": row.cases, **row.counts} for row in table],
            "kinds": {f"{target}: {kind}": number for (target, kind), number in sorted(kinds.items())},
            "failures": [asdict(case) for case in failures(cases)],
        },
        indent=1,
    )

"""``table``: what the table reader decides about a file, before a training uses it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hefl_core.cli.ends.files import output, write_text
from hefl_core.tables.check import report
from hefl_core.tables.declared import Declared, Kind
from hefl_core.tables.said import SEPARATOR_WORDS, Header, Said, Summary, declarations
from hefl_core.tables.schema import propose
from hefl_core.tables.table import read_table

table = typer.Typer(
    name="table",
    help="Check a table: what is read, what is left out, and why.",
    no_args_is_help=True,
    add_completion=False,
)
Texts = list[str] | None
LabelAbove = Annotated[
    float | None, typer.Option(help="cut a measured label in two classes: up to this number, and above it")
]


def cut_above(declared: Declared, above: float | None) -> Declared:
    """The declarations with the label cut there, if anywhere. Raises: DataError for what is no finite number."""
    return declared if above is None else replace(declared, label_above=above)


@table.callback()
def tables() -> None:
    """Check a table: what is read, what is left out, and why."""


@table.command("check")
def check(
    file: Annotated[str, typer.Argument(help="the table")],
    label: Annotated[str | None, typer.Option(help="the column to learn; omitted: it is guessed, and said")] = None,
    schema: Annotated[
        Path | None,
        typer.Option(
            callback=output, help="write what this table proposes as JSON, for others to use: names, no value"
        ),
    ] = None,
    kind: Annotated[Texts, typer.Option(help="COLUMN=KIND: " + ", ".join(one.value for one in Kind))] = None,
    decimal: Annotated[Texts, typer.Option(help="point or comma, for all columns, or COLUMN=point")] = None,
    dates: Annotated[Texts, typer.Option(help="COLUMN=day or COLUMN=month: what stands first in 03/04/2025")] = None,
    drop: Annotated[Texts, typer.Option(help="a column that nobody learns from")] = None,
    keep: Annotated[Texts, typer.Option(help="a column that is learnt from, whatever it looks like")] = None,
    missing: Annotated[Texts, typer.Option(help="a code that means missing, such as -999")] = None,
    present: Annotated[Texts, typer.Option(help="COLUMN=CELL: a cell that is a value, such as None")] = None,
    header: Annotated[Header, typer.Option(help="where the columns' names are")] = "auto",
    separator: Annotated[str | None, typer.Option(help=", ".join(SEPARATOR_WORDS))] = None,
    summary: Annotated[Summary, typer.Option(help="lines that look like totals")] = "ask",
    drop_unlabelled: Annotated[bool, typer.Option(help="leave out the rows without an outcome")] = False,
    label_above: LabelAbove = None,
) -> None:
    """Report rows, label, classes, each column's decision and warnings; exit 2 names line, column and remedy."""
    declared = declarations(
        Said(
            kind=kind or [],
            decimal=decimal or [],
            dates=dates or [],
            drop=drop or [],
            keep=keep or [],
            missing=missing or [],
            present=present or [],
            header=[header],
            separator=[separator] if separator else [],
            summary=[summary],
            drop_unlabelled=drop_unlabelled,
        )
    )
    declared = cut_above(declared, label_above)
    found = read_table(file, label=label, declared=declared)
    typer.echo(report(found), nl=False)
    if schema is not None:
        write_text(schema, propose(found).to_json().decode("utf-8"))
        typer.echo(f"schema: {schema}", err=True)

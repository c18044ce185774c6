"""``table``: what the table reader decides about a file, before a training uses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

import typer

from hefl_core.cli.files import output, write_text
from hefl_core.errors import ParameterError
from hefl_core.tables.check import report
from hefl_core.tables.declared import DateOrder, Declared, DeclaredColumn, Kind, Mark
from hefl_core.tables.schema import propose
from hefl_core.tables.table import read_table

table = typer.Typer(
    name="table",
    help="Check a table: what is read, what is left out, and why.",
    no_args_is_help=True,
    add_completion=False,
)
Texts = list[str] | None
_SEPARATORS: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
_MARKS: Final = ("point", "comma")
_ORDERS: Final = ("day", "month")
Header: TypeAlias = Literal["auto", "first", "none"]
Summary: TypeAlias = Literal["ask", "data", "drop"]
_HEADERS: Final = ("auto", "first", "none")
_SUMMARIES: Final = ("ask", "data", "drop")
DROP_UNLABELLED: Final = "drop-unlabelled"


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
    separator: Annotated[str | None, typer.Option(help=", ".join(_SEPARATORS))] = None,
    summary: Annotated[Summary, typer.Option(help="a last line that looks like totals")] = "ask",
    drop_unlabelled: Annotated[bool, typer.Option(help="leave out the rows without an outcome")] = False,
    regression: Annotated[bool, typer.Option(help="the label's values, not classes")] = False,
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
            regression=regression,
        )
    )
    found = read_table(file, label=label, declared=declared)
    typer.echo(report(found), nl=False)
    if schema is not None:
        write_text(schema, propose(found).to_json().decode("utf-8"))
        typer.echo(f"schema: {schema}", err=True)


@dataclass(frozen=True)
class Said:
    """What a user declares, as typed; the fields are the options of ``table check``."""

    kind: list[str] = field(default_factory=list)
    decimal: list[str] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)
    keep: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    header: list[str] = field(default_factory=list)
    separator: list[str] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)
    drop_unlabelled: bool = False
    regression: bool = False


def said(texts: Sequence[str]) -> Said:
    """``run --declare``: each text is an option of ``table check`` with its value, such as missing=-999 or drop-unlabelled.

    Raises: ParameterError for another option.
    """
    lists: dict[str, Any] = {one.name: list[str]() for one in fields(Said) if one.type == "list[str]"}
    for text in texts:
        option, sign, value = text.partition("=")
        if text == DROP_UNLABELLED:
            continue
        if option not in lists or not sign:
            raise ParameterError(
                f"declare: expected OPTION=VALUE with one of {', '.join(lists)}, or {DROP_UNLABELLED}, found {text[:80]!r}",
                "write missing=-999 or kind=ward=code, as for table check",
            )
        lists[option].append(value)
    return Said(**lists, drop_unlabelled=DROP_UNLABELLED in texts)


def declarations(said: Said) -> Declared:
    """The declarations that were typed. Raises: ParameterError for a value that means nothing."""
    marks = [_one_of(text, _MARKS, "decimal") for text in said.decimal if "=" not in text]
    return Declared(
        columns=_columns(
            said.kind, [text for text in said.decimal if "=" in text], said.dates, said.present, said.drop, said.keep
        ),
        header=cast(Header, _last(said.header, _HEADERS, "header", "auto")),
        separator=_SEPARATORS.get(said.separator[-1], said.separator[-1]) if said.separator else None,
        decimal=cast(Mark, marks[-1]) if marks else None,
        missing=tuple(said.missing),
        summary=cast(Summary, _last(said.summary, _SUMMARIES, "summary", "ask")),
        label_kind="regression" if said.regression else "auto",
        drop_unlabelled=said.drop_unlabelled,
    )


def _last(texts: list[str], values: tuple[str, ...], what: str, otherwise: str) -> str:
    return _one_of(texts[-1], values, what) if texts else otherwise


def _columns(
    kinds: list[str], decimals: list[str], dates: list[str], present: list[str], drop: list[str], keep: list[str]
) -> tuple[DeclaredColumn, ...]:
    kind, mark, order = (dict(map(_pair, texts)) for texts in (kinds, decimals, dates))
    values = list(map(_pair, present))
    names = dict.fromkeys([*kind, *mark, *order, *(name for name, _ in values), *drop, *keep])
    return tuple(
        DeclaredColumn(
            name,
            Kind(_one_of(kind[name], tuple(Kind), "kind")) if name in kind else None,
            cast(Mark, _one_of(mark[name], _MARKS, "decimal")) if name in mark else None,
            cast(DateOrder, _one_of(order[name], _ORDERS, "dates")) if name in order else None,
            drop=name in drop,
            keep=name in keep,
            present=tuple(cell for of, cell in values if of == name),
        )
        for name in names
    )


def _pair(text: str) -> tuple[str, str]:
    """Split COLUMN=VALUE; the column's name may contain '='."""
    name, sign, value = text.rpartition("=")
    if not sign or not name:
        raise ParameterError(f"declared: expected COLUMN=VALUE, found {text!r}", "write age=number")
    return name, value


def _one_of(text: str, values: tuple[str, ...], what: str) -> str:
    if text not in values:
        raise ParameterError(f"{what}: expected one of {', '.join(values)}, found {text!r}", f"try {values[0]}")
    return text

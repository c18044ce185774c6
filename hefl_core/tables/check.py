"""A table's report in plain text: rows, label, classes, what was decided about each column, warnings."""

from __future__ import annotations

from collections.abc import Iterator

from hefl_core.tables.table import Table


def report(table: Table) -> str:
    """Report on a table, for a terminal.

    Leaks: to its readers, names, categories, counts, and single cells that stand out; it is for the table's owner.
    """
    return "\n".join(_lines(table)) + "\n"


def _lines(table: Table) -> Iterator[str]:
    learnt = len(table.learnt)
    yield f"{table.name}: {len(table):,} rows; {learnt} of {len(table.columns)} columns are learnt from, beside the label"
    yield from (f"  {decision}" for decision in table.decisions)
    yield from _classes(table)
    yield "columns:"
    for column in table.columns:
        mark = f"[{column.left_out.value}]" if column.left_out else f"[{column.kind.value}]"
        yield f"  {mark} " + "\n      ".join(map(str, column.decisions))
    yield "warnings:" if table.warnings else "warnings: none"
    yield from (f"  {warning}" for warning in table.warnings)


def _classes(table: Table) -> Iterator[str]:
    yield "classes:"
    for name, count in zip(table.classes, table.label.counts, strict=True):
        yield f"  {name}: {count:,} rows, {count / len(table):.1%}"

"""Made tables: the reader's own cases, without a file."""

from __future__ import annotations

from hefl_core.tables.table import read_table

ROWS = 40


def table(
    header="age,dose,outcome", line=lambda at: f"{20 + at % 30},{at * 0.5},{'ill' if at % 2 else 'well'}", rows=ROWS
):
    return "\n".join([header, *(line(at) for at in range(rows))])


GOOD = table()


def with_line(number, text, of=GOOD):
    """A table with line ``number`` (the header is 1) replaced."""
    lines = of.split("\n")
    lines[number - 1] = text
    return "\n".join(lines)


def read(text, **how):
    return read_table(text if isinstance(text, bytes) else text.encode(), **how)


def column(table, name):
    return next(one for one in table.columns if one.name == name)


def one_column(cells, **how):
    """A column ``x`` of these cells beside a plain one and a label, in a file with bars; declared as given."""
    lines = ["x|plain|outcome", *(f"{cell}|{at % 7}|{at % 2}" for at, cell in enumerate(cells))]
    return read("\n".join(lines), **how)

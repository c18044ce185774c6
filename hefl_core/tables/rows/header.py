"""Header or data: the first line is a row already if it reads as the rows below do."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Final

from hefl_core.tables.cells.cell import says_missing
from hefl_core.tables.cells.dates import looks_like_a_time
from hefl_core.tables.cells.written import written
from hefl_core.tables.decision import refused, shown
from hefl_core.tables.rows.dialect import Row

_LOOKED_AT: Final = 50
_COUNTED: Final = 5
"""This many numbers that count upwards are names, as programs write them for unnamed columns."""
_NONE: Final = "add a line of names, or declare that there is none (header 'none')"


def require_header(rows: list[Row]) -> None:
    """Reject a table whose first line is data, or one that repeats its header further down.

    Raises: DataError with the line, so that no first patient is lost as a header.
    """
    line, cells = rows[0]
    alike = [at for at, cell in enumerate(cells) if _reads_as(cell, _usual_form(rows, at))]
    if alike and not _counts_upwards([cells[at] for at in alike]):
        found = f"{shown(cells[alike[0]])} in column {alike[0] + 1}, a value like those below it"
        raise refused(f"line {line}", "names of columns", found, f"{_NONE}; if these are names, declare header 'first'")
    for other, again in rows[1:]:
        if again == cells:
            raise refused(
                f"line {other}", "a row", f"line {line} again", "delete this line if it is the header; " + _NONE
            )
    for at, cell in enumerate(cells):
        if cell and at not in alike and not says_missing(cell) and any(row[at] == cell for _, row in rows[1:]):
            found = f"{shown(cell)} in column {at + 1}, which stands in rows below too"
            raise refused(
                f"line {line}", "names of columns", found, f"{_NONE}; if these are names, declare header 'first'"
            )


def _usual_form(rows: list[Row], at: int) -> str:
    forms = Counter(_form(cells[at]) for _, cells in islice(rows, 1, _LOOKED_AT) if not says_missing(cells[at]))
    form, count = max(forms.items(), key=lambda item: item[1], default=("text", 0))
    return form if count * 2 > sum(forms.values()) else "text"


def _form(cell: str) -> str:
    """'text', 'time', or a number with what stands around it."""
    number = written(cell)
    if number is not None:
        return f"number {number.around}"
    return "time" if looks_like_a_time(cell) else "text"


def _reads_as(cell: str, form: str) -> bool:
    """A bare number or a date among values of any form is one of them; 24h is a name, except among other hours."""
    return form != "text" and bool(cell) and _form(cell) in (form, "number ", "time")


def _counts_upwards(cells: list[str]) -> bool:
    if len(cells) < _COUNTED or not all(cell.isdecimal() and len(cell) < 9 for cell in cells):
        return False
    return [int(cell) for cell in cells] == list(range(int(cells[0]), int(cells[0]) + len(cells)))

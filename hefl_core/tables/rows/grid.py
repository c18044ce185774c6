"""From rows to named columns of one length: titles above, a header or none, trailing separators, a last line with totals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.tables.columns import UNNAMED
from hefl_core.tables.decision import Decision, decided, refused, shown, unseen
from hefl_core.tables.declared import Declared
from hefl_core.tables.rows.dialect import Row, read_rows
from hefl_core.tables.rows.edges import usual_width, without_titles, without_total, without_trailing
from hefl_core.tables.rows.header import require_header

MAX_COLUMNS: Final = 5000
MAX_NAME: Final = 200


@dataclass(frozen=True)
class Grid:
    """Named columns of cells. Shapes: lines int64 (n,), the line of the file in which each row begins."""

    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    lines: npt.NDArray[np.int64]
    decisions: tuple[Decision, ...]
    warnings: tuple[Decision, ...]

    def take(self, kept: npt.NDArray[np.bool_]) -> Grid:
        """The rows that are kept. Shapes: bool (n,)."""
        columns = tuple(tuple(cell for cell, keep in zip(column, kept, strict=True) if keep) for column in self.columns)
        return Grid(self.names, columns, self.lines[kept], self.decisions, self.warnings)


def read_grid(text: str, declared: Declared) -> Grid:
    """Cut a text into named columns.

    Raises: DataError with the line for rows of another length, a missing or repeated header, a last line with totals,
        names that are empty, repeated, unseen or too long, no row, or too many columns.
    """
    cut = read_rows(text, declared.separator)
    if not cut.rows:
        raise refused("table", "a line of names and rows", "blank lines only", "choose another file")
    rows, titles = without_titles(list(cut.rows))
    rows, trailing = without_trailing(rows)
    first = 0 if declared.header == "none" else 1
    _require_one_width(rows, cut.separator)
    names = _names(rows, declared)
    rows, total = without_total(rows[first:], declared)
    if not rows:
        raise refused("table", "rows below the line of names", "none", "choose a table with rows")
    columns = tuple(zip(*(cells for _, cells in rows), strict=True))
    names = _with_unnamed(names, columns)
    lines = np.array([line for line, _ in rows], np.int64)
    return Grid(names, columns, lines, (*cut.decisions, *titles, *trailing, *total), _size_warnings(names, rows))


def _require_one_width(rows: list[Row], separator: str) -> None:
    begins, header = rows[0]
    usual = usual_width(rows[1:] or rows)
    wrong = [(line, len(cells)) for line, cells in rows if len(cells) != len(header)]
    if not wrong:
        return
    if len(header) != usual:
        place, found = f"line {begins}", f"{len(header)} (line {wrong[0][0]} has {wrong[0][1]})"
        raise refused(
            place, f"{usual} names, as most lines have cells", found, _other_width(usual - len(header), separator)
        )
    line, cells = wrong[0]
    more = "; a last line with totals or a remark must go" if line == rows[-1][0] and cells < usual else ""
    remedy = _other_width(cells - usual, separator) + more
    raise refused(f"line {line}", f"{usual} cells as in the header (line {begins})", f"{cells}", remedy)


def _other_width(more: int, separator: str) -> str:
    if more < 0:
        return "fill in the missing separators, or delete the line"
    decimals = (
        "put numbers with a decimal comma in quotes or separate cells by semicolons, " if separator == "," else ""
    )
    return (
        f"{decimals}put texts that contain the separator in quotes, take away a separator at the end, "
        "and give a column of row numbers a name"
    )


def _names(rows: list[Row], declared: Declared) -> tuple[str, ...]:
    line, cells = rows[0]
    if declared.header == "none":
        return tuple(f"column {at}" for at in range(1, len(cells) + 1))
    if declared.header == "auto":
        require_header(rows)
    names = tuple(" ".join(cell.split()) for cell in cells)
    for at, name in enumerate(names, start=1):
        place = f"line {line}, name of column {at}"
        if not name and at > 1:
            raise refused(place, "a name", "an empty cell", "give the column a name, or delete it")
        if len(name) > MAX_NAME:
            raise refused(place, f"a name of at most {MAX_NAME} characters", f"{len(name)}", "shorten it")
        if (number := unseen(name)) is not None:
            raise refused(place, "a name that can be seen", f"the character {number}", "delete the character")
    _require_different(line, names)
    return names


def _require_different(line: int, names: tuple[str, ...]) -> None:
    places: dict[str, int] = {}
    for at, name in enumerate(names, start=1):
        if places.setdefault(name, at) != at:
            found = f"columns {places[name]} and {at} both named {shown(name)}"
            raise refused(f"line {line}", "a different name for each column", found, "rename one of them")
    if not 2 <= len(names) <= MAX_COLUMNS:
        raise refused(
            f"line {line}", f"2 to {MAX_COLUMNS} columns, one of them the label", f"{len(names)}", "choose columns"
        )


def _with_unnamed(names: tuple[str, ...], columns: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Name a first column without a name, which must count or name the rows."""
    if names[0]:
        return names
    if UNNAMED in names:
        raise refused("name of column 1", f"a name, as another is {UNNAMED}", "an empty cell", "give the column a name")
    if len(set(columns[0])) < len(columns[0]):
        raise refused("name of column 1", "a name, as its cells repeat", "an empty cell", "give the column a name")
    return (UNNAMED, *names[1:])


def _size_warnings(names: tuple[str, ...], rows: list[Row]) -> tuple[Decision, ...]:
    warnings = []
    if len(rows) == 1:
        warnings.append(decided("table: one row only; nothing can be held out to measure with"))
    if len(names) > max(len(rows), 100):
        said = "table: more columns ({columns}) than rows ({rows}); a model may learn the rows by heart"
        warnings.append(decided(said, columns=len(names), rows=len(rows)))
    warnings.extend(
        decided("{column}: the name begins like a formula; it is text here and is never run", column=shown(name))
        for name in names
        if name.startswith(("=", "+", "@"))
    )
    filled = [sum(map(bool, cells)) for _, cells in rows]
    if len(rows) > 2 and len(names) > 3 and filled[-1] * 2 <= len(names) and filled[-1] < min(filled[:-1]):
        warnings.append(
            decided("line {line}: mostly empty, unlike all others; if it is a summary, delete it", line=rows[-1][0])
        )
    return tuple(warnings)

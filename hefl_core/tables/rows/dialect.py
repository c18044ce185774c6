"""From text to rows of cells: the separator between cells, and the line in which each row begins."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeAlias

from hefl_core.errors import DataError
from hefl_core.tables.decision import Decision, decided, refused, shown
from hefl_core.tables.declared import SEPARATORS

Row: TypeAlias = tuple[int, list[str]]
"""The line in which a row begins, and its cells, without the blanks around them."""

SEPARATOR_NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_LOOKED_AT: Final = 300
_SEP_LINE: Final = re.compile(r"\ufeff?\s*\"?sep=(.)\"?[ \t]*(?:\r\n|\r|\n)", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[+-]?\d+(?:[.,]\d+)?", re.ASCII)
_BLANKS: Final = str.maketrans(dict.fromkeys("\u00a0\u2007\u2009\u202f", " "))


@dataclass(frozen=True, slots=True)
class Rows:
    """Every row that is not blank, and how the file separates cells."""

    separator: str
    rows: tuple[Row, ...]
    decisions: tuple[Decision, ...]


def read_rows(text: str, separator: str | None = None) -> Rows:
    """Cut a text into cells by RFC 4180, with any of four separators; a ``sep=`` line is obeyed.

    Raises: DataError with the line for a broken quote; for a separator that is none; for a file of one column.
    """
    text, said, skipped = _without_sep_line(text.removeprefix("\ufeff"))
    wanted = separator or said
    if wanted is not None and wanted not in SEPARATORS:
        raise refused("separator", "comma, semicolon, tab or bar", shown(wanted), "save the table with one of these")
    found = wanted or _best(text)
    rows = tuple((line + skipped, cells) for line, cells in _cut(text, found) if any(cells))
    how = "as declared" if separator else "by its sep= line" if said else "as most lines have it"
    return Rows(
        found,
        rows,
        (decided("separator: {name} ({how}); to change this, declare it", name=SEPARATOR_NAMES[found], how=how),),
    )


def _without_sep_line(text: str) -> tuple[str, str | None, int]:
    found = _SEP_LINE.match(text)
    return (text[found.end() :], found[1], 1) if found else (text, None, 0)


def _best(text: str) -> str:
    """The separator that cuts most of the first rows into one number of cells, then more numbers, then more cells."""
    scores = {separator: _score(text, separator) for separator in SEPARATORS}
    best = max(SEPARATORS, key=lambda separator: scores[separator])
    if scores[best][0] == 0:
        for _ in _cut(text, ","):  # raises on a stray quote, which explains more than one column does
            pass
        raise refused(
            "table",
            "two columns or more, with comma, semicolon, tab or bar between them",
            "one column",
            "save the table as CSV; one column must be the label",
        )
    return best


def _score(text: str, separator: str) -> tuple[float, float, int]:
    rows = []
    with suppress(DataError):  # a broken quote is reported when the file is cut
        for _, cells in islice(_cut(text, separator), _LOOKED_AT):
            if any(cells):
                rows.append(cells)
    widths = Counter(map(len, rows))
    width, count = max(widths.items(), key=lambda item: (item[0] > 1, item[1], item[0]), default=(0, 0))
    if width < 2:
        return (0.0, 0.0, 0)
    cells = [cell for row in rows for cell in row if cell]
    numbers = sum(1 for cell in cells if _NUMBER.fullmatch(cell))
    return (count / len(rows), numbers / max(len(cells), 1), width)


def _cut(text: str, separator: str) -> Iterator[Row]:
    """Rows with the line in which each begins; an unclosed quote is reported by the line that opens it."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise refused(
                f"line {begins}",
                "cells whose quotes are closed and doubled within",
                f"a stray quote ({error})",
                "delete the quote, or write it twice inside a quoted cell",
            ) from error
        yield begins, [cell.translate(_BLANKS).strip() for cell in cells]

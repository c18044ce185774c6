"""The edges of a table: titles above it, separators at the ends of its lines, a line of totals below it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from hefl_core.tables.decision import Decision, decided, listed, refused, shown
from hefl_core.tables.declared import Declared
from hefl_core.tables.rows.dialect import Row

_SUMS: Final = (
    r"(grand[ -]?|sub-?)?totals?( général| generale)?|(zwischen)?summen?|sum|(gesamt|insgesamt)(summe|ergebnis)?"
    r"|average|avg|mean|mittelwert|durchschnitt|moyenne|somme|somma|suma|totale|media|promedio|ø"
)
_BETWEEN: Final = re.compile(_SUMS, re.IGNORECASE)
"""A line between others is one of totals by these words only: Max is a patient, too."""
_TOTALS: Final = re.compile(
    rf"({_SUMS}|mittel|median|minimum|maximum|min|max|std|sd|stdev|std[. ] ?(dev|abw)\.?|standard ?(deviation|abweichung)"
    r"|écart[- ]type|count|anzahl)( ?[±(].{0,20})?"
    r"|end of file|eof|ende|n ?=.*|source: .*|quelle: .*|\(?\d+ (rows|records|lines|zeilen)\b.*",
    re.IGNORECASE,
)
_RARE: Final = 3
"""A word in fewer than one of so many rows is no category of its column."""


def without_titles(rows: list[Row]) -> tuple[list[Row], tuple[Decision, ...]]:
    """Lines above the header with one text only, in a table that is wider."""
    width = usual_width(rows)
    titles = []
    while len(rows) > 1 and _is_title(rows[0][1], width):
        titles.append(str(rows.pop(0)[0]))
    if not titles:
        return rows, ()
    said = decided(
        "lines above the names left out as titles: {lines}; delete them if they are not", lines=listed(titles)
    )
    return rows, (said,)


def _is_title(cells: list[str], width: int) -> bool:
    return sum(map(bool, cells)) == 1 and bool(cells[0]) and (len(cells) < width or width > 2)


def usual_width(rows: list[Row]) -> int:
    """Number of cells that most rows have."""
    widths = Counter(len(cells) for _, cells in rows)
    return max(widths, key=lambda width: (widths[width], width))


def without_trailing(rows: list[Row]) -> tuple[list[Row], tuple[Decision, ...]]:
    """Cut the empty cell left by a separator at the end of every line, with or without one in the header."""
    cut = 0
    while len(rows) > 1 and _ends_empty(rows):
        width = usual_width(rows[1:])
        rows = [(line, cells[: width - 1]) for line, cells in rows]
        cut += 1
    while len(rows) > 1 and len(rows[0][1]) - 1 == usual_width(rows[1:]) and not rows[0][1][-1]:
        rows = [(rows[0][0], rows[0][1][:-1]), *rows[1:]]
        cut += 1
    return rows, (decided("separators at the end of the lines left out: {count}", count=cut),) if cut else ()


def _ends_empty(rows: list[Row]) -> bool:
    header, width = rows[0][1], usual_width(rows[1:])
    if width < 2 or any(len(cells) != width or cells[-1] for _, cells in rows[1:]):
        return False
    return len(header) == width - 1 or (len(header) == width and not header[-1])


def without_total(rows: list[Row], declared: Declared) -> tuple[list[Row], tuple[Decision, ...]]:
    """Drop lines of totals or remarks as declared: the last ones, and those between. Raises: DataError for an undeclared one."""
    if declared.summary == "data":
        return rows, ()
    found: dict[int, str] = {}
    last = len(rows)
    while last > 1 and (word := _total_in(rows[:last])) is not None:
        last -= 1
        found[last] = word
    found |= _subtotals(rows[:last])
    if found and declared.summary != "drop":
        at = max(found)
        raise _undeclared(rows[at][0], found[at])
    dropped = (
        decided("line {line} left out as a line of totals ({word})", line=rows[at][0], word=shown(found[at]))
        for at in sorted(found, reverse=True)
    )
    return [row for at, row in enumerate(rows) if at not in found], tuple(dropped)


def _total_in(rows: list[Row]) -> str | None:
    """The word of a total in the last line, in any of its cells and nowhere above in the same column."""
    for at, word in enumerate(rows[-1][1]):
        if _TOTALS.fullmatch(word.rstrip(":")) and not any(other[at] == word for _, other in rows[:-1]):
            return word
    return None


def _subtotals(rows: list[Row]) -> dict[int, str]:
    """The places and words of totals between the rows, such as one for each ward, in any cell."""
    found: dict[int, str] = {}
    for column in zip(*(cells for _, cells in rows), strict=True):
        words = {cell for cell in set(column) if _BETWEEN.fullmatch(cell.rstrip(":"))}
        places = [at for at, cell in enumerate(column) if cell in words] if words else []
        if len(places) * _RARE < len(rows):
            found |= {at: column[at] for at in places}
    return found


def _undeclared(line: int, word: str) -> Exception:
    return refused(
        f"line {line}",
        "a row as the others",
        f"a line of totals or remarks ({shown(word)})",
        "delete it, or declare such lines a summary to drop, or data",
    )

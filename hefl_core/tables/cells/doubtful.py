"""Forms of cells that a program would read in one way and their writer may have meant in another: the reader asks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hefl_core.tables.cells.cell import NO_OUTCOME, Cells
from hefl_core.tables.cells.written import written
from hefl_core.tables.decision import refused, shown

_POWER: Final = re.compile(r"[+-]?\d[\d.,]*[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_RATIO: Final = re.compile(r"(\d{1,4}):(\d{1,6})", re.ASCII)
_LETTER: Final = re.compile(r"[+-]?\d[\d.,]*([A-F])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a form may be, and how to say which. ``at``: number of the text that shows it."""

    at: int
    expected: str
    remedy: str


def refuse_doubtful(cells: Cells) -> None:
    """Reject a column whose form has two meanings. Raises: DataError with the line and how to declare what is meant."""
    doubt = _power(cells) or _ratio(cells) or _letter(cells) or _not_done(cells)
    if doubt is not None:
        place = f"line {cells.first_line(doubt.at)}, column {shown(cells.name)}"
        raise refused(place, doubt.expected, shown(cells.texts[doubt.at]), doubt.remedy)


def _power(cells: Cells) -> Doubt | None:
    """10² is 100 for a reader, and 102 or a note 2 for others."""
    at = next((at for at, text in enumerate(cells.texts) if _POWER.fullmatch(text)), None)
    return (
        None
        if at is None
        else Doubt(at, "a number without a raised digit", "write 10² as 100, or declare the column a category")
    )


def _ratio(cells: Cells) -> Doubt | None:
    """1:10, 1:20, 1:40 are titers, 1:30, 2:15 times: a ratio has one first number, or more than 59 behind the colon."""
    found = [_RATIO.fullmatch(text) for text in cells.texts]
    parts = [one for one in found if one is not None]
    if len(parts) < len(cells.texts) or len(parts) < 2:
        return None
    if len({one[1] for one in parts}) > 1 and all(int(one[2]) < 60 and len(one[2]) == 2 for one in parts):
        return None
    remedy = "declare the column a duration or a category, or keep the number behind the colon of a titer only"
    return Doubt(0, "a form of one meaning: it may be a time, or a titer or ratio", remedy)


def _letter(cells: Cells) -> Doubt | None:
    """5F may be a size in French, a temperature, a floor, or 95 in hexadecimal."""
    letters = {found[1] if (found := _LETTER.fullmatch(text)) else "" for text in cells.texts}
    if len(letters) != 1 or "" in letters:
        return None
    remedy = "put a space before a unit, or declare the column a unit or a category"
    return Doubt(0, "a form of one meaning: its letter may be a unit or a digit of a code", remedy)


def _not_done(cells: Cells) -> Doubt | None:
    """n.d. among numbers is "not done", which is missing, or "not detected", which is a low value."""
    at = next((at for at, text in enumerate(cells.texts) if text in NO_OUTCOME), None)
    if at is None or not any(map(written, cells.texts)):
        return None
    remedy = "if it was not done, declare it missing; if not detected, write a number, or declare the column a category"
    return Doubt(at, "a number, or a missing cell of one meaning", remedy)

"""Columns, each decided from all of its cells: missing cells, kind, and whether it is learnt from."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import numpy as np

from hefl_core.tables.cells.booleans import DIGITS
from hefl_core.tables.cells.cell import MINUS, Cells
from hefl_core.tables.cells.kinds import Surroundings, read_kind
from hefl_core.tables.cells.ticks import refuse_ticks
from hefl_core.tables.column import Column, LeftOut
from hefl_core.tables.decision import Decision, decided, refused, shown, unseen
from hefl_core.tables.declared import DeclaredColumn, Kind

MAX_CATEGORIES: Final = 100
"""More different texts than these are left out unless the column is declared a category."""
MOST_CATEGORIES: Final = 1000
MAX_TEXT: Final = 200
UNNAMED: Final = "unnamed column"
_FEW: Final = 20
"""Below so many rows, numbers without repeats are no sign of an identifier."""
_FEW_TEXTS: Final = 10
"""Up to so many different texts are categories, however few rows there are."""
_ID_NAME: Final = re.compile(
    r"(.*[\s_.-])?(id|ids|identifier|uuid|guid|key|idx|nr|no|number|nummer|row|record|mrn|ssn|iban|account|konto"
    r"|patient|case|fall|unnamed: ?\d+)|[A-Za-z]*[a-z](Id|ID|Nr)|.*(nummer|number|patientid)|"
    + UNNAMED
    + r"|name|surname"
    r"|(patient|family|full|first|last|given|vor|nach|familien)[\s_.-]?name|nom|prénom",
)
_KEPT: Final = "; to learn from it, declare that it is kept"


def decide(cells: Cells, declared: DeclaredColumn, around: Surroundings) -> Column:
    """Read a column as declared, else as all its cells say.

    Raises: DataError naming line and column of a cell that has another form than most, or may be read in two ways.
    """
    if declared.drop:
        return _nothing(cells).but(
            decided("{column}: left out, as declared", column=cells.name), left_out=LeftOut.DROPPED
        )
    present, mask, written = cells.without_missing((*around.missing, *declared.missing), declared.present)
    dashes = any(text in MINUS and text not in present.texts for text in cells.texts)
    if not present.texts:
        why = decided("{column}: every cell is missing, so it is left out", column=cells.name)
        return replace(_nothing(cells).but(why, left_out=LeftOut.EMPTY), dashes=dashes)
    if not declared.keep:
        refuse_ticks(cells, present, mask, (*around.missing, *declared.missing))
    column = read_kind(present, declared, around)
    _require_used(column, declared)
    if written:
        column = column.but(
            decided(
                "{column}: {count} of {rows} cells are missing ({written}) and take the {fill} of the training rows; "
                "to change this, declare which cells mean missing, or are present",
                column=cells.name,
                count=int(mask.sum()),
                rows=len(mask),
                written=written,
                fill="most frequent value" if column.kind.has_categories or column.kind is Kind.BOOLEAN else "mean",
            )
        )
    if column.left_out is None and not declared.keep:
        column = _learnt_from_or_not(column, present, declared)
    if column.left_out in (None, LeftOut.CONSTANT) and column.kind.has_categories:
        _require_showable(present)
    return replace(column.spread_over(mask), dashes=dashes)


def _require_used(column: Column, declared: DeclaredColumn) -> None:
    """Reject an order of dates for what are no dates, and a decimal mark for what are no numbers: it would be ignored."""
    if declared.dates is not None and column.kind is not Kind.DATE:
        found = f"kind {column.kind.value}"
        raise refused(f"column {shown(column.name)}", "dates, as their order is declared", found, "leave the order out")
    numbers = column.kind in (Kind.NUMBER, Kind.PERCENT, Kind.CURRENCY, Kind.UNIT) or column.words == DIGITS
    if declared.decimal is not None and not numbers:
        found = f"kind {column.kind.value}"
        raise refused(f"column {shown(column.name)}", "numbers, as a decimal mark is declared", found, "leave it out")


def without_repeats(columns: tuple[Column, ...], kept: frozenset[str]) -> tuple[Column, ...]:
    """Leave out each column with the same content as an earlier one, unless its name is among ``kept``."""
    seen: dict[object, str] = {}
    found = []
    for column in columns:
        first = seen.setdefault(column.content(), column.name) if column.left_out is None else column.name
        if first != column.name and column.name not in kept:
            why = decided(
                "{column}: the same as {first} in every row, so it is left out" + _KEPT, column=column.name, first=first
            )
            column = replace(column.but(why, left_out=LeftOut.DUPLICATE), repeats=first)
        found.append(column)
    return tuple(found)


def _nothing(cells: Cells) -> Column:
    rows = len(cells.codes)
    return Column.of_numbers(cells.name, Kind.NUMBER, np.zeros(0)).spread_over(np.ones(rows, np.bool_))


def _learnt_from_or_not(column: Column, cells: Cells, declared: DeclaredColumn) -> Column:
    """Leave out constants, identifiers and free text; a column of declared kind is no identifier."""
    name, texts = column.name, len(column.categories)
    if texts and max(map(len, column.categories)) > MAX_TEXT:
        return column.but(
            decided("{column}: free text, so it is left out; shorten it to learn from it", column=name),
            left_out=LeftOut.TEXT,
        )
    if declared.kind is None and (named := _identifies(column, cells)):
        return column.but(named, left_out=LeftOut.IDENTIFIER)
    if len(cells.texts) == 1 or (not texts and bool(np.all(column.numbers == column.numbers[0]))):
        why = decided(
            "{column}: every cell is {value}, which teaches nothing, so it is left out" + _KEPT,
            column=name,
            value=shown(cells.texts[0]),
        )
        return column.but(why, left_out=LeftOut.CONSTANT)
    if texts > (MAX_CATEGORIES if declared.kind is None else MOST_CATEGORIES):
        why = decided(
            "{column}: {count} different texts, too many for a column each, so it is left out; "
            "to learn from up to {most}, declare it a category",
            column=name,
            count=texts,
            most=MOST_CATEGORIES,
        )
        return column.but(why, left_out=LeftOut.IDENTIFIER)
    return column.warned(*alike(name, column.categories))


def _identifies(column: Column, cells: Cells) -> Decision | None:
    """Why a column names its rows: no repeat, mostly different texts, or a patient's heading."""
    name, rows, different = column.name, len(cells.codes), len(cells.texts)
    if _numbers_its_row(column, cells) or (column.categories and different == rows > _FEW_TEXTS):
        return decided(
            "{column}: different in each row, like a number of patients or accounts, so it is left out" + _KEPT,
            column=name,
        )
    if column.categories and different > _FEW_TEXTS and different * 2 > rows:
        return decided(
            "{column}: {count} different texts in {rows} cells, like names of patients, so it is left out" + _KEPT,
            column=name,
            count=different,
            rows=rows,
        )
    if is_id(name) and (column.categories or (different > 2 and _counts(column))):  # 1 and 2 under "case" are a group
        return decided("{column}: named like patients or accounts, so it is left out" + _KEPT, column=name)
    return None


def _numbers_its_row(column: Column, cells: Cells) -> bool:
    """Whole numbers without a repeat: in many rows, or one after the other, or with an identifier's name."""
    rows = len(cells.codes)
    if len(cells.texts) != rows or not _counts(column):
        return False
    if rows >= _FEW or is_id(column.name):
        return True
    return rows > 4 and bool(column.numbers.max() - column.numbers.min() == rows - 1)


def _counts(column: Column) -> bool:
    """Whether all cells are whole numbers from 0."""
    return column.kind is Kind.NUMBER and bool(np.all((column.numbers >= 0) & (column.numbers % 1 == 0)))


def is_id(name: str) -> bool:
    """Whether a column is named like a number or a name of patients or accounts.

    >>> is_id("PatNr"), is_id("account"), is_id("body mass index")
    (True, True, False)
    """
    return _ID_NAME.fullmatch(name.lower()) is not None or _ID_NAME.fullmatch(name) is not None


def alike(name: str, categories: tuple[str, ...]) -> tuple[Decision, ...]:
    """A warning where two categories of a column differ in capitals only, in one table or between the clients' tables."""
    lowered: dict[str, str] = {}
    for text in categories:
        other = lowered.setdefault(text.lower(), text)
        if other != text:
            return (
                decided(
                    "{column}: {one} and {other} differ in capitals only and are two categories; write them alike",
                    column=name,
                    one=shown(other),
                    other=shown(text),
                ),
            )
    return ()


def _require_showable(cells: Cells) -> None:
    if len(cells.texts) > MOST_CATEGORIES:
        place, found = f"column {shown(cells.name)}", str(len(cells.texts))
        raise refused(place, f"up to {MOST_CATEGORIES} categories", found, "group them, or drop the column")
    for at, text in enumerate(cells.texts):
        place = f"line {cells.first_line(at)}, column {shown(cells.name)}"
        if len(text) > MAX_TEXT:
            raise refused(
                place, f"a category of at most {MAX_TEXT} characters", f"{len(text)}", "shorten it, or drop the column"
            )
        number = unseen(text)
        if number is not None:
            raise refused(
                place, "a category that can be seen", f"the character {number}", "delete it, or drop the column"
            )

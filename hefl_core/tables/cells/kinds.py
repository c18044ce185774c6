"""Kind of a column: the first that fits all cells, of booleans, dates, durations and numbers; else text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hefl_core.tables.cells.booleans import DIGITS, ONE_TWO, YES_NO, read_booleans
from hefl_core.tables.cells.cell import EMPTY, Cells, plain_sign
from hefl_core.tables.cells.codes import far_codes, stands_out, without_unknown
from hefl_core.tables.cells.dates import DAY_ZERO, ZONED, is_sentinel, read_dates, read_durations
from hefl_core.tables.cells.doubtful import refuse_doubtful
from hefl_core.tables.cells.numbers import NumberColumn, read_numbers
from hefl_core.tables.cells.ticks import tick_of
from hefl_core.tables.cells.written import is_plain
from hefl_core.tables.column import Column, LeftOut
from hefl_core.tables.decision import Decision, decided, listed, refused, shown
from hefl_core.tables.declared import DeclaredColumn, Kind, Mark

_FORMS: Final = {
    Kind.NUMBER: "{column}: numbers{mark}; to change this, declare its kind or decimal mark",
    Kind.PERCENT: "{column}: percents{mark}, as fractions (12 % is 0.12); to change this, declare its kind or decimal mark",
    Kind.CURRENCY: "{column}: amounts in {unit}{mark}; to change this, declare its kind or decimal mark",
    Kind.UNIT: "{column}: numbers in {unit}{mark}; to change this, declare its kind or decimal mark",
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a column's own cells do not tell: declarations for the whole table, and the other columns' decimal mark."""

    missing: tuple[str, ...] = ()
    decimal: Mark | None = None
    elsewhere: Callable[[], Mark | None] = lambda: None


def read_kind(cells: Cells, declared: DeclaredColumn, around: Surroundings) -> Column:
    """Read a column without missing cells, as declared, else by its cells.

    Raises: DataError naming line and column of a cell that has another form than most, or may be read in two ways.
    """
    kind = declared.kind
    if kind is not None and kind.has_categories:
        return read_names(cells, kind)
    if kind is None:
        refuse_doubtful(cells)
    if kind in (None, Kind.BOOLEAN) and (words := tick_of(cells, declared)):
        return _ticks(cells, words)
    readers = (_booleans, _numbers) if all(map(is_plain, cells.texts)) else (_booleans, _dates, _durations, _numbers)
    for reader in readers:
        column = reader(cells, declared, around)
        if column is not None:
            return column
    if kind is not None:
        place = f"line {int(cells.lines[0])}, column {shown(cells.name)}"
        found = shown(cells.texts[int(cells.codes[0])])
        raise refused(place, f"cells of kind {kind.value}, as declared", found, "correct them, or declare another kind")
    return read_names(cells, Kind.CATEGORY)


def read_names(cells: Cells, kind: Kind) -> Column:
    """Read each different text as a category, or as a code."""
    written = [plain_sign(text) or EMPTY for text in cells.texts]
    names = tuple(sorted(set(written)))
    place = {name: at for at, name in enumerate(names)}
    codes = np.array([place[text] for text in written], np.int64)[cells.codes]
    why = decided(
        "{column}: {kind} with one column each ({names}); to change this, declare its kind",
        column=cells.name,
        kind="codes" if kind is Kind.CODE else "categories",
        names=listed(map(shown, names)),
    )
    return Column.of_categories(cells.name, kind, codes, names, why)


def _ticks(cells: Cells, words: tuple[str, str]) -> Column:
    why = decided(
        "{column}: a tick is 1 and an empty cell is 0, as declared; to change this, declare it a category",
        column=cells.name,
    )
    values = np.array([float(bool(text)) for text in cells.texts])
    return replace(Column.of_numbers(cells.name, Kind.BOOLEAN, values[cells.codes], why), words=words)


def _booleans(cells: Cells, declared: DeclaredColumn, around: Surroundings) -> Column | None:
    pair = read_booleans(cells) if declared.kind in (None, Kind.BOOLEAN) else None
    if pair is None:
        return None
    values = np.array([float(plain_sign(text.lower()) == pair[1]) for text in cells.texts])
    if declared.kind is Kind.BOOLEAN and pair == DIGITS:
        pair = YES_NO  # declared to be a no and a yes, so that it agrees with tables that write words
    why = decided(
        "{column}: yes or no, {yes} is 1 and {no} is 0; to change this, declare it a category",
        column=cells.name,
        yes=pair[1],
        no=pair[0],
    )
    only = cells.texts[0] if len(cells.texts) == 1 and pair != DIGITS else ""
    return replace(Column.of_numbers(cells.name, Kind.BOOLEAN, values[cells.codes], why), words=pair, only=only)


def _dates(cells: Cells, declared: DeclaredColumn, around: Surroundings) -> Column | None:
    if declared.kind not in (None, Kind.DATE):
        return None
    dates = read_dates(cells, declared.dates, required=declared.kind is Kind.DATE)
    if dates is None:
        return None
    why = decided(
        "{column}: dates{order}, as days since {zero}; to change this, declare their order, or that it is a category",
        column=cells.name,
        order=f" with the {dates.order} first" if dates.order else "",
        zero=DAY_ZERO.date(),
    )
    column = Column.of_numbers(cells.name, Kind.DATE, dates.values()[cells.codes], why)
    return replace(column, unit=ZONED if dates.zoned else "", warnings=_far_dates(cells, column))


def _durations(cells: Cells, declared: DeclaredColumn, around: Surroundings) -> Column | None:
    if declared.kind not in (None, Kind.DURATION):
        return None
    values = read_durations(cells, required=declared.kind is Kind.DURATION)
    if values is None:
        return None
    why = decided(
        "{column}: durations, as seconds (1:30 is an hour and a half); to change this, declare it a category",
        column=cells.name,
    )
    return Column.of_numbers(cells.name, Kind.DURATION, values[cells.codes], why)


def _numbers(cells: Cells, declared: DeclaredColumn, around: Surroundings) -> Column | None:
    if declared.kind not in (None, *_FORMS):
        return None
    found = read_numbers(cells, required=declared.kind is not None)
    if found is None or declared.kind not in (None, found.kind):
        return None
    mark = found.mark(declared.decimal or around.decimal, around.elsewhere)
    codes = _codes(cells, found.rounds(mark)) if declared.kind is None else None
    column = codes or _amounts(found, mark, declared.decimal or around.decimal)
    if declared.kind is not None or codes:
        return column
    pair = without_unknown(column.numbers.tolist())
    return replace(column, words={frozenset((1.0, 2.0)): ONE_TWO, frozenset((0.0, 1.0)): DIGITS}.get(pair))


def _amounts(found: NumberColumn, mark: Mark, declared: Mark | None) -> Column:
    said = "" if found.evidence == "none" else f" with decimal {mark}"
    said += ", as in the other columns" if found.evidence == "either" and declared is None else ""
    why = decided(_FORMS[found.kind], column=found.cells.name, mark=said, unit=found.unit)
    column = Column.of_numbers(found.cells.name, found.kind, found.values(mark)[found.cells.codes], why)
    return replace(column, unit=found.unit, warnings=_standing_out(found.cells, column))


def _codes(cells: Cells, rounds: bool) -> Column | None:
    """Digits that are names: too many to be kept as a number, or all of one length and some with zeros in front."""
    lengths = {len(text) for text in cells.texts}
    zeros = len(lengths) == 1 and min(lengths) >= 4 and any(text[0] == "0" for text in cells.texts)
    if not rounds and not (zeros and all(text.isdecimal() for text in cells.texts)):
        return None
    names = read_names(cells, Kind.CODE)
    if rounds:
        why = decided(
            "{column}: whole numbers over 2^53, which cannot be kept exactly: left out as an identifier; "
            "to learn from it, subtract a constant from it, or declare it a code",
            column=cells.name,
        )
        return replace(names, decisions=(why,), left_out=LeftOut.IDENTIFIER)
    why = decided("{column}: codes, as some begin with 0; to change this, declare it a number", column=cells.name)
    return replace(names, decisions=(why,))


def _standing_out(cells: Cells, column: Column) -> tuple[Decision, ...]:
    """Warnings for -999 and its like where they lie far from all other values."""
    values, counts = np.unique(column.numbers, return_counts=True)
    said = "{column}: {count} cells are {code}, far from all others; if that means missing, declare the code"
    return tuple(
        decided(said, column=cells.name, count=int(counts[at]), code=f"{values[at]:g}") for at in far_codes(values)
    )


def _far_dates(cells: Cells, column: Column) -> tuple[Decision, ...]:
    """Warnings for 1900-01-01, 9999-12-31 and their like where they lie far from all other days."""
    warnings = []
    usual = column.numbers[~np.isin(cells.codes, [at for at, text in enumerate(cells.texts) if is_sentinel(text)])]
    for at, text in enumerate(cells.texts):
        here = cells.codes == at
        if is_sentinel(text) and stands_out(
            float(column.numbers[here][0]), usual.min(initial=np.inf), usual.max(initial=-np.inf)
        ):
            said = "{column}: {count} cells are {code}, far from all others; if that means missing, declare the code"
            warnings.append(decided(said, column=cells.name, count=int(cells.counts[at]), code=shown(text)))
    return tuple(warnings)

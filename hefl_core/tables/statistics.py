"""What scaling needs of all clients, as sums whose total can come from an encrypted sum.

Two passes: the total of the first gives each column's mean; the second sums squares about that mean, so that a spread far
below the mean keeps its digits, and its entries are small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from hefl_core.tables.decision import refused
from hefl_core.tables.declared import Kind
from hefl_core.tables.matching import agreed_labels, deviations, matched, places
from hefl_core.tables.schema import ColumnSchema, TableSchema
from hefl_core.tables.table import Table

_FLAT = 1e-4
"""A spread below this part of the last bit of the mean is rounding: the column is constant."""


def sums(table: Table, schema: TableSchema) -> npt.NDArray[np.float64]:
    """One table's sums: its rows; for each learnt column its counts of categories, or of values, their sum and their sum of
    squares about the agreed centre; its counts of classes.

    Shapes: (length,), the same at all clients of a schema.
    Leaks: where only the total of several clients is opened, that total.
    """
    parts: list[npt.NDArray[np.float64]] = [np.array([len(table)], np.float64)]
    for column, agreed in matched(table, schema):
        if agreed.kind.has_categories:
            place = places(column, agreed)
            parts.append(np.bincount(place[place >= 0], minlength=len(agreed.categories)).astype(np.float64))
        else:
            about = deviations(column, agreed)[~column.missing]
            parts.append(np.array([len(about), about.sum(), (about * about).sum()], np.float64))
    parts.append(np.bincount(agreed_labels(table, schema), minlength=len(schema.classes)).astype(np.float64))
    return np.concatenate(parts)


def length(schema: TableSchema) -> int:
    """Number of sums that a schema needs."""
    return 1 + sum(_width(column) for column in schema.learnt) + len(schema.classes)


def centred(schema: TableSchema, totals: npt.NDArray[np.float64]) -> TableSchema:
    """The schema with each column's mean as its centre, for the second pass. Shapes: totals (length,), the clients' sum.

    Raises: DataError for totals of another length or without a row.
    """
    return _with(schema, {agreed.name: _centre(agreed, part) for agreed, part in _parts(schema, totals)})


def scaling_from(schema: TableSchema, totals: npt.NDArray[np.float64]) -> TableSchema:
    """The schema with centre, spread and fill for every client, from the clients' total of the second pass.

    A missing number becomes the mean, a missing yes or no and a missing category the most frequent one (the first of equal
    ones). A column without spread gets spread 1, so its feature is 0.

    Shapes: totals (length,).
    Raises: DataError for totals of another length or without a row.
    """
    scaled = _with(schema, {agreed.name: _scaled(agreed, part) for agreed, part in _parts(schema, totals)})
    return msgspec.structs.replace(scaled, scaled=True)


def class_counts(schema: TableSchema, totals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows of each class over all clients. Shapes: totals (length,) to (classes,)."""
    return totals[len(totals) - len(schema.classes) :]


def require_possible(schema: TableSchema, totals: npt.NDArray[np.float64]) -> None:
    """Reject totals that no tables have: a client sent something else. Shapes: totals (length,).

    A client that changes its sums within what is possible is not found.
    Raises: DataError naming the column.
    """
    rows = totals[0]
    counts = class_counts(schema, totals)
    _require(rows >= 1 and rows == round(rows), "rows", "a whole number of rows", rows)
    whole = (counts >= 0).all() and (counts == np.rint(counts)).all() and counts.sum() == rows
    _require(bool(whole), "classes", f"counts that make {rows:g} rows", counts.sum())
    for agreed, part in _parts(schema, totals):
        if agreed.kind.has_categories:
            fine = (part >= 0).all() and (part == np.rint(part)).all() and part.sum() <= rows
            _require(bool(fine), agreed.name, f"counts of at most {rows:g} rows", part.sum())
        else:
            number, total, squares = (float(one) for one in part)
            _require(number == round(number) and 0 <= number <= rows, agreed.name, f"at most {rows:g} values", number)
            # Cauchy-Schwarz: (Σx)² ≤ n Σx², up to rounding of float64 sums.
            fine = squares >= 0 and total * total <= number * squares * (1 + 1e-9) + 1e-9 * abs(total)
            _require(fine, agreed.name, "a sum of squares that its sum allows", squares)
            if agreed.kind is Kind.BOOLEAN and not agreed.centre:  # 0 and 1 are their own squares
                _require(total == squares == round(total), agreed.name, f"up to {number:g} times yes", total)


def require_same(schema: TableSchema, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> None:
    """Reject totals of the second pass that are of other rows than those of the first. Shapes: (length,) each.

    ``schema``: with the means that the first pass gave; deviations from a mean add up to 0, but for rounding.
    Raises: DataError naming the column.
    """
    again = "as many {} as in the round before"
    _require(before[0] == after[0], "rows", again.format("rows"), after[0])
    _require(
        np.array_equal(class_counts(schema, before), class_counts(schema, after)),
        "classes",
        again.format("of each class"),
        class_counts(schema, after).max(),
    )
    for (agreed, first), (_, second) in zip(_parts(schema, before), _parts(schema, after), strict=True):
        if agreed.kind.has_categories:
            _require(np.array_equal(first, second), agreed.name, again.format("of each category"), second.max())
            continue
        number, total, squares = (float(one) for one in second)
        _require(number == first[0], agreed.name, again.format("values"), number)
        # The centre is the mean to half of its last digit, each deviation is rounded to one of its own or the centre's.
        allowed = number * 4 * float(np.spacing(abs(agreed.centre))) + 1e-9 * math.sqrt(number * squares)
        _require(abs(total) <= allowed, agreed.name, "deviations from the mean that add up to 0", total)


def _require(fine: bool, name: str, expected: str, found: float) -> None:
    if not fine:
        raise refused(f"round zero, {name}", expected, f"{found:g}", "a client sent something else: run it again")


def with_rows(schema: TableSchema, totals: npt.NDArray[np.float64]) -> tuple[TableSchema, npt.NDArray[np.float64]]:
    """Schema and totals without classes of which nobody has a row: one hospital's only class can look like half of a pair."""
    counts = class_counts(schema, totals)
    if schema.yes_no or (counts > 0).all():
        return schema, totals
    kept = tuple(name for name, count in zip(schema.classes, counts, strict=True) if count > 0)
    rest = totals[: len(totals) - len(counts)]
    return msgspec.structs.replace(schema, classes=kept), np.concatenate([rest, counts[counts > 0]])


def fit(table: Table, schema: TableSchema) -> TableSchema:
    """The scaling of one table alone: both passes over it."""
    middle = centred(schema, sums(table, schema))
    return scaling_from(middle, sums(table, middle))


def _width(column: ColumnSchema) -> int:
    return len(column.categories) if column.kind.has_categories else 3


def _parts(
    schema: TableSchema, totals: npt.NDArray[np.float64]
) -> Iterator[tuple[ColumnSchema, npt.NDArray[np.float64]]]:
    if totals.shape != (length(schema),) or not np.isfinite(totals).all():
        raise refused("sums", f"{length(schema)} finite totals", f"{totals.shape}", "use one schema at all clients")
    # Counts from an encrypted sum may carry noise: 0.5 separates none from one.
    if totals[0] < 0.5:
        raise refused("sums", "at least one row", "none", "let a client with rows take part")
    start = 1
    for column in schema.learnt:
        yield column, totals[start : start + _width(column)]
        start += _width(column)


def _with(schema: TableSchema, changed: dict[str, ColumnSchema]) -> TableSchema:
    return msgspec.structs.replace(schema, columns=tuple(changed.get(one.name, one) for one in schema.columns))


def _centre(agreed: ColumnSchema, part: npt.NDArray[np.float64]) -> ColumnSchema:
    if agreed.kind.has_categories or part[0] < 0.5:
        return agreed
    return msgspec.structs.replace(agreed, centre=float(agreed.centre + part[1] / part[0]))


def _scaled(agreed: ColumnSchema, part: npt.NDArray[np.float64]) -> ColumnSchema:
    if agreed.kind.has_categories:
        fill = agreed.categories[int(np.argmax(part))] if len(part) and part.max() > 0.5 else ""
        return msgspec.structs.replace(agreed, fill=fill)
    if part[0] < 0.5:
        return agreed
    # Var = E[(x - c)²] - (E[x - c])²: exact for any centre c, accurate only for one near the mean.
    off = float(part[1] / part[0])
    before = agreed.centre + agreed.remainder
    centre = before + off
    # Exact by Sterbenz: centre and before lie close together, so what rounding lost is off minus their distance.
    remainder = off - (centre - before)
    spread = float(np.sqrt(max(part[2] / part[0] - off * off, 0.0)))
    flat = spread <= _FLAT * float(np.spacing(abs(centre)))
    return msgspec.structs.replace(agreed, centre=centre, remainder=remainder, spread=1.0 if flat else spread)


def most_frequent(agreed: ColumnSchema) -> float:
    """Substitute of a missing number: its centre; for a yes or no the more frequent one."""
    return float(agreed.centre > 0.5) if agreed.kind is Kind.BOOLEAN else agreed.centre

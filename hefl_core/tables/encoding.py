"""From a table to a model's input, by the agreed schema: the same features at all clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.tables.column import Column
from hefl_core.tables.decision import Decision, decided, listed, refused, shown
from hefl_core.tables.matching import MISSING, UNKNOWN, agreed_labels, deviations, matched, places
from hefl_core.tables.schema import ColumnSchema, TableSchema
from hefl_core.tables.statistics import most_frequent
from hefl_core.tables.table import Table

MAX_FEATURES: Final = 2**28


@dataclass(frozen=True, eq=False)
class Encoded:
    """Shapes: features float32 (n, d), labels int64 (n,) into the agreed classes."""

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    warnings: tuple[Decision, ...]


def encode(table: Table, schema: TableSchema) -> Encoded:
    """The table's rows as features and labels.

    Numbers are standardised by the agreed centre and spread, a yes or no in words is 1 or 0, each category has a column of its
    own. A missing cell takes the agreed value, and its mark where one is agreed; an unknown category is 0 in every column.

    Shapes: n rows to features (n, d), d the number of ``schema.feature_names``.
    Raises: DataError for a schema without scaling, columns, kinds, units or classes that were not agreed on,
        or a value far out of the agreed scale.
    """
    if not schema.scaled:
        raise refused("schema", "one whose scaling is agreed on", "a proposal", "add up the clients' sums first")
    wide = len(schema.feature_names)
    if len(table) * wide > MAX_FEATURES:
        found = f"{len(table)} rows with {wide} features"
        raise refused(
            "table", f"up to {MAX_FEATURES:,} values once encoded", found, "drop columns with many categories"
        )
    parts: list[npt.NDArray[np.float32]] = [np.zeros((len(table), 0), np.float32)]
    warnings: list[Decision] = []
    for column, agreed in matched(table, schema):
        if agreed.kind.has_categories:
            ones, unknown = _one_hot(column, agreed)
            parts.append(ones)
            warnings.extend(unknown)
        else:
            parts.append(_scaled(table, column, agreed)[:, None])
        if agreed.marked:
            parts.append(column.missing.astype(np.float32)[:, None])
    return Encoded(np.ascontiguousarray(np.concatenate(parts, axis=1)), agreed_labels(table, schema), tuple(warnings))


def _scaled(table: Table, column: Column, agreed: ColumnSchema) -> npt.NDArray[np.float32]:
    if agreed.standardised:
        values = deviations(column, agreed) / np.longdouble(agreed.spread)
        values = np.where(column.missing, (most_frequent(agreed) - agreed.centre) / agreed.spread, values)
    else:
        values = np.where(column.missing, most_frequent(agreed), column.numbers).astype(np.longdouble)
    far = np.abs(values) > np.finfo(np.float32).max
    if far.any():
        line = int(table.lines[int(np.argmax(far))])
        expected = f"a value near the agreed scale (centre {agreed.centre:g}, spread {agreed.spread:g})"
        found = f"{column.numbers[int(np.argmax(far))]:g}"
        raise refused(f"line {line}, column {shown(column.name)}", expected, found, "check the cell, or agree again")
    return values.astype(np.float32)


def _one_hot(column: Column, agreed: ColumnSchema) -> tuple[npt.NDArray[np.float32], tuple[Decision, ...]]:
    place = places(column, agreed)
    fill = agreed.categories.index(agreed.fill) if agreed.fill else UNKNOWN
    place = np.where(place == MISSING, fill, place)
    ones = np.zeros((len(place), len(agreed.categories)), np.float32)
    known = np.flatnonzero(place >= 0)
    ones[known, place[known]] = 1.0
    new = [name for name in column.categories if name not in agreed.categories]
    if not new:
        return ones, ()
    said = (
        "{column}: {names} was not agreed on and is 0 in every column of it, {count} rows; agree again to learn from it"
    )
    count = int(np.isin(column.codes, [column.categories.index(name) for name in new]).sum())
    return ones, (decided(said, column=column.name, names=listed(map(shown, new)), count=count),)

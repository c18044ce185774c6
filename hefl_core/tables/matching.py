"""A client's table compared with the agreed schema: its columns in the agreed order, and what does not fit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hefl_core.tables.cells.booleans import truth_of
from hefl_core.tables.column import Column
from hefl_core.tables.decision import listed, refused, shown
from hefl_core.tables.declared import Kind
from hefl_core.tables.schema import ColumnSchema, TableSchema
from hefl_core.tables.table import Table

UNKNOWN, MISSING = -2, -1


def matched(table: Table, schema: TableSchema) -> tuple[tuple[Column, ColumnSchema], ...]:
    """The table's column for each learnt one, in the agreed order.

    Raises: DataError for a column that the table lacks, or that it reads as another kind or in another unit.
    """
    columns = {column.name: column for column in table.columns}
    lacking = [shown(agreed.name) for agreed in schema.learnt if agreed.name not in columns]
    if lacking:
        raise refused("table", "the agreed columns", f"no {listed(lacking)}", "add them, or agree without them")
    pairs = tuple((columns[agreed.name], agreed) for agreed in schema.learnt)
    for column, agreed in pairs:
        _require_alike(column, agreed)
    return pairs


def places(column: Column, agreed: ColumnSchema) -> npt.NDArray[np.int64]:
    """The agreed category of each row, UNKNOWN or MISSING. Shapes: (n,)."""
    if column.missing.all():
        return np.full(len(column.missing), MISSING, np.int64)
    at = {name: place for place, name in enumerate(agreed.categories)}
    known = np.array([at.get(name, UNKNOWN) for name in column.categories], np.int64)
    return np.where(column.missing, MISSING, known[column.codes])


def deviations(column: Column, agreed: ColumnSchema) -> npt.NDArray[np.longdouble]:
    """Each value minus the agreed centre, NaN where missing. Shapes: (n,).

    In extended precision where the machine has it: a spread far below the mean loses its digits otherwise.
    """
    return (column.numbers.astype(np.longdouble) - np.longdouble(agreed.centre)) - np.longdouble(agreed.remainder)


def agreed_labels(table: Table, schema: TableSchema) -> npt.NDArray[np.int64]:
    """Each row's place among the agreed classes. Shapes: (n,).

    Raises: DataError for another label, or a class that was not agreed on.
    """
    if table.label.name != schema.label:
        raise refused("table", f"the label {shown(schema.label)}", shown(table.label.name), "name the label")
    if schema.yes_no and table.label.yes_no:
        place = [truth_of(name) for name in table.classes]
    else:
        unknown = [shown(name) for name in table.classes if name not in schema.classes]
        if unknown:
            line = int(table.lines[table.label.codes == table.classes.index(_first_unknown(table, schema))][0])
            remedy = "correct the outcome, or agree on the classes again"
            raise refused(f"line {line}", f"classes among {listed(schema.classes)}", listed(unknown), remedy)
        place = [schema.classes.index(name) for name in table.classes]
    return np.array(place, np.int64)[table.label.codes]


def _first_unknown(table: Table, schema: TableSchema) -> str:
    return next(name for name in table.classes if name not in schema.classes)


def _require_alike(column: Column, agreed: ColumnSchema) -> None:
    if column.dashes and "-" in (agreed.words or agreed.categories):
        raise refused(
            f"column {shown(column.name)}",
            "- as a value, as agreed",
            "- read as missing",
            "read the table with what the schema declares, or declare '-' present in this column",
        )
    if column.missing.all():
        return
    digits = column.kind is Kind.BOOLEAN and column.words == ("0", "1") and agreed.kind is Kind.NUMBER
    if column.kind is not agreed.kind and not digits:
        raise refused(
            f"column {shown(column.name)}",
            f"kind {agreed.kind.value}, as agreed",
            column.kind.value,
            "read the table with what the schema declares",
        )
    if column.unit != agreed.unit:
        found = shown(column.unit) if column.unit else "none"
        raise refused(
            f"column {shown(column.name)}", f"the unit {shown(agreed.unit)}, as agreed", found, "convert the column"
        )

"""The tables that this process knows, by content: a name can never stand for an older file.

A table is read once where a user gives it, and put here; the experiment carries its name (``table:`` and 64 hex digits).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.errors import DataError
from hefl_core.learning import own_sets
from hefl_core.learning.base import Dataset, Examples, Scaling
from hefl_core.learning.own_sets import Kept
from hefl_core.learning.split import HELD_OUT_PART, split_indices
from hefl_core.tables.decision import Decision, listed, refused, shown
from hefl_core.tables.declared import Declared
from hefl_core.tables.doors import CSV, CSV_DIR, is_given_path
from hefl_core.tables.encoding import Encoded, encode
from hefl_core.tables.hospitals import HospitalTables
from hefl_core.tables.schema import TableSchema, propose
from hefl_core.tables.source import TableSource
from hefl_core.tables.statistics import fit
from hefl_core.tables.table import Table

MIN_ROWS: Final = 20
SOURCE: Final = "the user's own table"


@dataclass(frozen=True, eq=False)
class ShelvedTable:
    """A table with its data set. ``schema``: columns, categories, classes and scaling that the features follow."""

    name: str
    source: TableSource
    table: Table
    schema: TableSchema
    dataset: Dataset
    warnings: tuple[Decision, ...]


_SHELF: Final = Kept[ShelvedTable]()
_LOCK: Final = threading.Lock()
_SETS: Final[dict[str, HospitalTables]] = {}


def put(source: TableSource) -> str:
    """Read a table, encode it, and keep it until it is forgotten as often as it was put. Returns its name.

    A fifth of the rows is held out, the same share of each class; numbers are standardised by the training rows' mean and
    standard deviation, or as the source's schema says where it has agreed numbers.

    Raises: DataError naming line, column and remedy for what cannot be read, or cannot be trained on.
    """
    table = source.read()
    name = source.identity(table)
    found = known(name)
    # how its label was found is said as this source has it
    shelved = _shelved(name, source, table) if found is None else replace(found, source=source, table=table)
    return _SHELF.put(name, shelved)


def known(name: str) -> ShelvedTable | None:
    """The table of this name, or None: a party that holds no data knows none."""
    return _SHELF.known(name)


def find(name: str) -> ShelvedTable:
    """The table of this name. Raises: DataError when this process does not have it."""
    found = known(name)
    if found is None:
        raise DataError(
            f"dataset: expected a table that this process was given, found {name[:80]!r}; a table's name holds no data: "
            f"give the file again ({CSV}PATH, or the upload on Your data)"
        )
    return found


def forget(name: str) -> bool:
    """Take a table down that was put once more. Returns whether it is gone."""
    return _SHELF.forget(name)


def resolve(
    dataset: str,
    *,
    label: str | None = None,
    declared: Declared | None = None,
    schema: TableSchema | None = None,
    mark_missing: bool = False,
) -> str:
    """A data set's name as experiments carry it: a typed ``csv:PATH[:LABEL]``, ``csv-dir:FOLDER``, ``npz:FILE[#LABEL]``,
    ``npy:FILE`` or ``pictures:FOLDER[#SIDE]`` is read now and put on the shelf.

    Raises: DataError as :func:`put`; for declarations about a data set that is no file.
    """
    if dataset.startswith(CSV):
        typed = TableSource.typed(dataset, label=label, declared=declared, schema=schema, mark_missing=mark_missing)
        return put(typed)
    if dataset.startswith(CSV_DIR) and schema is None and not mark_missing:
        return put_tables(HospitalTables.typed(dataset, label=label, declared=declared))
    above = (declared or Declared()).label_above
    if (
        is_given_path(dataset)
        and declared in (None, Declared(label_above=above))
        and schema is None
        and not mark_missing
    ):
        return own_sets.put(own_sets.GivenSource.typed(dataset, label, above))
    if label is not None or declared is not None or schema is not None or mark_missing:
        raise refused("dataset", f"{CSV}PATH beside a label, a declaration or a schema", dataset[:80], "leave them out")
    return dataset


def put_tables(tables: HospitalTables) -> str:
    """Keep one table for each client, or those of them that live in this process. Returns the name of all."""
    with _LOCK:
        kept = _SETS.get(tables.name)
        _SETS[tables.name] = tables if kept is None else kept.joined(tables)
    return tables.name


def tables(name: str) -> HospitalTables:
    """The clients' tables of this name. Raises: DataError when this process has none of them."""
    with _LOCK:
        found = _SETS.get(name)
    if found is None:
        raise DataError(
            f"dataset: expected tables that this process was given, found {name[:80]!r}; a name holds no data: give the "
            f"folder again ({CSV_DIR}FOLDER)"
        )
    return found


def encoded(source: TableSource) -> Dataset:
    """The data set of one table as :func:`put` makes it, without keeping it. Raises: DataError."""
    table = source.read()
    return _shelved(source.identity(table), source, table).dataset


def _shelved(name: str, source: TableSource, table: Table) -> ShelvedTable:
    _require_trainable(table, source.schema)
    train, test = split_indices(table.label.codes, len(table) // HELD_OUT_PART)
    proposal = source.schema or propose(table, mark_missing=source.mark_missing)
    schema = proposal if proposal.scaled else fit(table.take(train), proposal)
    made = encode(table, schema)
    _require_distinct(schema)
    dataset = Dataset(
        name=name,
        train=_examples(made, train),
        test=_examples(made, test),
        classes=schema.classes,
        feature_names=schema.feature_names,
        synthetic=False,
        source=SOURCE,
        scaling=_scaling(schema),
    )
    return ShelvedTable(name, source, table, schema, dataset, (*table.warnings, *made.warnings))


def _require_trainable(table: Table, agreed: TableSchema | None) -> None:
    label = f"label {shown(table.label.name)}"
    there = [name for name, count in zip(table.classes, table.label.counts, strict=True) if count]
    if len(there) < 2 and agreed is None:  # by an agreed schema another class may come from another client
        raise refused(label, "2 classes or more", f"only {shown(there[0])}", "name another label or cut, or add rows")
    if len(table) < MIN_ROWS:
        raise refused("table", f"at least {MIN_ROWS} rows", str(len(table)), "give more examples")
    if not table.learnt:
        why = listed(f"{shown(column.name)} ({column.left_out})" for column in table.columns)
        raise refused("table", "a column to learn from", f"none: {why}", "declare that one is kept, or add columns")


def _require_distinct(schema: TableSchema) -> None:
    names = schema.feature_names
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        found = f"{shown(twice)} twice, as a column and as a category of another"
        raise refused("table", "different names of features", found, "rename the column")


def _examples(made: Encoded, rows: npt.NDArray[np.int64]) -> Examples:
    found = Examples(made.features[rows], made.labels[rows])
    found.features.setflags(write=False)
    found.labels.setflags(write=False)
    return found


def _scaling(schema: TableSchema) -> Scaling:
    """The way back to the table's own units; a category's columns and a yes or no in words are 0 and 1 already."""
    offset, scale = [], []
    for column in schema.learnt:
        own = (column.centre, column.spread) if column.standardised else (0.0, 1.0)
        offset += [own[0], *[0.0] * (column.width - 1)]
        scale += [own[1], *[1.0] * (column.width - 1)]
    return Scaling(np.array(offset, np.float64), np.array(scale, np.float64))

"""A visitor's own table: on the shelf of this process while the session keeps it, and what is said of it on a screen."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace

import msgspec

from hefl_core.learning import own_sets, shelf
from hefl_core.learning.own_sets import GivenSource
from hefl_core.runtime.client_home import forget_table
from hefl_core.tables.column import Column
from hefl_core.tables.decision import Decision
from hefl_core.tables.declared import Declared, DeclaredColumn
from hefl_core.tables.source import TableSource
from hefl_core.tables.table import column_names


class OwnTable:
    """A table on the shelf; it is taken down with this object, at the latest with the session. Raises: DataError."""

    def __init__(self, source: TableSource) -> None:
        self.source = source
        self.name = shelf.put(source)
        self.forget = weakref.finalize(self, forget_table, self.name)
        self.shelved = shelf.find(self.name)

    @property
    def rows(self) -> tuple[ColumnRow, ...]:
        """One row for each column, in the file's order."""
        return tuple(map(ColumnRow.of, self.shelved.table.columns))


class OwnArrays:
    """Arrays or pictures, kept as a table is. Raises: DataError."""

    def __init__(self, source: GivenSource) -> None:
        self.source = source
        self.name = own_sets.put(source)
        self.forget = weakref.finalize(self, forget_table, self.name)
        self.given = own_sets.find(self.name)


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """One column on a screen. ``read_as``: its kind, or why it is left out."""

    name: str
    learnt: bool
    read_as: str
    decisions: tuple[Decision, ...]

    @classmethod
    def of(cls, column: Column) -> ColumnRow:
        """What was decided about a column; of one that is left out, only why."""
        left_out = column.left_out
        said = column.decisions if left_out is None else column.decisions[-1:]
        return cls(column.name, left_out is None, str(left_out or column.kind), said)


@dataclass(frozen=True)
class Upload:
    """A file as uploaded, and what a visitor declares about it. ``columns``: declarations by column."""

    content: bytes
    whole: Declared
    columns: tuple[DeclaredColumn, ...] = ()
    mark_missing: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names as the reader finds them. Raises: DataError."""
        return column_names(self.content, declared=self.whole)

    def source(self, label: str | None, above: float | msgspec.UnsetType = msgspec.UNSET) -> TableSource:
        """The table to read, with this label, or with a guessed one, cut in two ``above`` a number if it is measured."""
        declared = replace(self.whole, columns=self.columns, label_above=above)
        return TableSource(self.content, label, declared, mark_missing=self.mark_missing)

    def declaring(self, column: DeclaredColumn) -> tuple[DeclaredColumn, ...]:
        """The columns' declarations with this one changed, or taken back where nothing is declared any more."""
        others = tuple(one for one in self.columns if one.name != column.name)
        return others if column == DeclaredColumn(column.name) else (*others, column)

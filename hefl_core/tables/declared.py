"""Declarations about a table: what is declared, the reader does not decide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias

import msgspec

from hefl_core.tables.decision import refused

Mark: TypeAlias = Literal["point", "comma"]
DateOrder: TypeAlias = Literal["day", "month"]
SEPARATORS: Final = (",", ";", "\t", "|")


class Kind(StrEnum):
    """How a column's cells are read. All but categories and codes end as one number for each row."""

    NUMBER = "number"
    PERCENT = "percent"  # as a fraction: 12 % is 0.12
    CURRENCY = "currency"
    UNIT = "unit"
    BOOLEAN = "boolean"  # 0 or 1
    DATE = "date"  # days since dates.DAY_ZERO
    DURATION = "duration"  # seconds
    CATEGORY = "category"
    CODE = "code"  # digits that are names: postal codes, branches

    @property
    def has_categories(self) -> bool:
        """Whether its cells are names, each of which becomes a column of its own."""
        return self in (Kind.CATEGORY, Kind.CODE)


@dataclass(frozen=True, slots=True)
class DeclaredColumn:
    """Declarations about one column; the reader decides what is None.

    ``dates``: which stands first in 03/04/2025. ``keep``: learn from it although it looks like an identifier, is
    constant or repeats another column. ``missing``: more cells that mean "missing" in this column; ``present``: cells that
    are values in it, such as None for no alcohol.
    """

    name: str
    kind: Kind | None = None
    decimal: Mark | None = None
    dates: DateOrder | None = None
    drop: bool = False
    keep: bool = False
    missing: tuple[str, ...] = ()
    present: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Declared:
    """Declarations about a table.

    ``header``: 'first' (the first line has the names, whatever it looks like), 'none' (columns are named column 1 to n).
    ``summary``: what lines are that look like totals. ``decimal`` and ``missing`` hold for every column.
    ``drop_unlabelled``: leave out the rows without an outcome. ``label_kind``: 'classes' where many numbers are classes.
    ``label_above``: cut a measured label in two, up to this number and above it; unset, so that other tables keep their names.

    Raises: DataError for a threshold that is no finite number.
    """

    columns: tuple[DeclaredColumn, ...] = ()
    header: Literal["auto", "first", "none"] = "auto"
    separator: str | None = None
    decimal: Mark | None = None
    missing: tuple[str, ...] = ()
    summary: Literal["ask", "data", "drop"] = "ask"
    label_kind: Literal["auto", "classes"] = "auto"
    drop_unlabelled: bool = False
    label_above: float | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.label_above is not msgspec.UNSET and not math.isfinite(self.label_above):
            raise refused("label above", "a number to cut the label at", f"{self.label_above}", "write it with a point")

    def of(self, name: str) -> DeclaredColumn:
        """Declarations about the column of this name, perhaps empty."""
        return next((column for column in self.columns if column.name == name), DeclaredColumn(name))

"""One column as read: its kind, its values, what is missing, and whether it is learnt from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from hefl_core.tables.decision import Decision
from hefl_core.tables.declared import Kind


class LeftOut(StrEnum):
    """Why a column is not learnt from."""

    IDENTIFIER = "identifier"
    CONSTANT = "constant"
    DUPLICATE = "duplicate"
    EMPTY = "empty"
    TEXT = "free text"
    DROPPED = "dropped"


@dataclass(frozen=True, eq=False)
class Column:
    """A column as read.

    ``words``: what stands for 0 and 1, or the only two numbers but for an unknown. ``only``: the cell of a yes or no
    that is the same in every row. ``repeats``: the earlier column of which it is a duplicate. ``dashes``: a minus was read as
    missing. ``decisions``: what was decided, each with how to change it.

    Shapes: missing bool (n,); numbers float64 (n,), NaN where missing, () for categories; codes int64 (n,) into
    ``categories``, -1 where missing, () for numbers.
    """

    name: str
    kind: Kind
    numbers: npt.NDArray[np.float64] = field(repr=False)  # a client's values stay out of logs
    codes: npt.NDArray[np.int64] = field(repr=False)
    missing: npt.NDArray[np.bool_] = field(repr=False)
    categories: tuple[str, ...] = ()
    unit: str = ""
    words: tuple[str, str] | None = None
    only: str = ""
    repeats: str = ""
    dashes: bool = False
    left_out: LeftOut | None = None
    decisions: tuple[Decision, ...] = ()
    warnings: tuple[Decision, ...] = ()

    @classmethod
    def of_numbers(cls, name: str, kind: Kind, numbers: npt.NDArray[np.float64], *decisions: Decision) -> Column:
        """A column of numbers without missing cells. Shapes: (n,)."""
        none = np.zeros(len(numbers), np.bool_)
        return cls(name, kind, numbers, np.zeros(0, np.int64), none, decisions=decisions)

    @classmethod
    def of_categories(
        cls, name: str, kind: Kind, codes: npt.NDArray[np.int64], categories: tuple[str, ...], *decisions: Decision
    ) -> Column:
        """A column of names without missing cells. Shapes: (n,)."""
        none = np.zeros(len(codes), np.bool_)
        return cls(name, kind, np.zeros(0, np.float64), codes, none, categories, decisions=decisions)

    def spread_over(self, missing: npt.NDArray[np.bool_]) -> Column:
        """The same values over more rows, of which these are missing. Shapes: missing (n,), m of them False."""
        if self.kind.has_categories:
            codes = np.full(len(missing), -1, np.int64)
            codes[~missing] = self.codes
            return replace(self, codes=codes, missing=missing)
        numbers = np.full(len(missing), np.nan)
        numbers[~missing] = self.numbers
        return replace(self, numbers=numbers, missing=missing)

    def take(self, rows: npt.NDArray[np.int64]) -> Column:
        """The column at these rows, copied. Shapes: rows (m,)."""
        if self.kind.has_categories:
            return replace(self, codes=self.codes[rows], missing=self.missing[rows])
        return replace(self, numbers=self.numbers[rows], missing=self.missing[rows])

    def but(self, *decisions: Decision, left_out: LeftOut | None = None) -> Column:
        """The same column with more said about it, and perhaps not learnt from."""
        return replace(self, decisions=(*self.decisions, *decisions), left_out=left_out or self.left_out)

    def warned(self, *warnings: Decision) -> Column:
        """The same column with more warnings."""
        return replace(self, warnings=(*self.warnings, *warnings))

    def content(self) -> tuple[object, ...]:
        """The column's content without its name: equal for two columns that say the same in every row."""
        kept = self.codes if self.kind.has_categories else self.numbers
        return (self.kind, self.unit, self.categories, self.missing.tobytes(), kept.tobytes())

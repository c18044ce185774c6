"""A column of numbers: one form for all cells, and one decimal mark; the column decides, not the cell."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.tables.cells.cell import Cells
from hefl_core.tables.cells.written import EXACT, Written, digits_of, rounds, written
from hefl_core.tables.decision import refused, shown
from hefl_core.tables.declared import Kind, Mark

LARGEST: Final = 1e30
SMALLEST: Final = 1e-300

Evidence: TypeAlias = Literal["point", "comma", "none", "either", "mixed"]
INFINITE: Final = frozenset(sign + word for sign in ("", "+", "-") for word in ("inf", "infinity", "∞"))


@dataclass(frozen=True)
class NumberColumn:
    """A column whose cells are all numbers of one form, before its decimal mark is known. Shapes: one cell per text."""

    cells: Cells
    parts: tuple[Written, ...]

    @property
    def kind(self) -> Kind:
        """Kind by what surrounds the digits of all cells."""
        return self.parts[0].kind

    @property
    def unit(self) -> str:
        """The unit or currency of all cells; '' for bare numbers and percents."""
        return self.parts[0].around if self.kind in (Kind.UNIT, Kind.CURRENCY) else ""

    @property
    def evidence(self) -> Evidence:
        """Which decimal mark the cells have: one; none, for whole numbers; either, for 1.234; or both, in different cells."""
        point, comma = all(part.point for part in self.parts), all(part.comma for part in self.parts)
        if point and comma:
            return "either" if any("." in part.body or "," in part.body for part in self.parts) else "none"
        return "point" if point else "comma" if comma else "mixed"

    def mark(self, declared: Mark | None, elsewhere: Callable[[], Mark | None]) -> Mark:
        """The decimal mark: declared, or the one that makes every cell a number, or that of the file's other columns.

        Raises: DataError if cells have different marks, one does not fit what is declared, or 1.234 can be both.
        """
        if declared is not None:
            self._require(declared)
            return declared
        found = self.evidence
        if found == "either":
            other = elsewhere()
            if other is None:
                raise self._ambiguous()
            return other
        if found == "mixed":
            self._require("point" if self._fitting("point") >= self._fitting("comma") else "comma")
        return "comma" if found == "comma" else "point"

    def values(self, mark: Mark) -> npt.NDArray[np.float64]:
        """The value of each text, exact. Shapes: (texts,).

        Raises: DataError naming the line of a number too large, too small, or that a 64-bit float would round.
        """
        values = np.array([self._value(at, part, mark) for at, part in enumerate(self.parts)], np.float64)
        return values / 100.0 if self.kind is Kind.PERCENT else values

    def rounds(self, mark: Mark) -> bool:
        """Whether a 64-bit float would round one of the column's whole numbers."""
        return any(rounds(digits_of(part.body, mark)) for part in self.parts)

    def _value(self, at: int, part: Written, mark: Mark) -> float:
        digits = digits_of(part.body, mark)
        value = float(digits)
        if abs(value) > LARGEST:
            raise self._at(at, f"a number up to {LARGEST:g}", "change the column's unit, or declare it missing")
        if rounds(digits):
            raise self._at(
                at,
                f"whole numbers below 2^53 ({EXACT}), which are kept exactly",
                "subtract a constant from the column, declare it a code, or drop it",
            )
        if abs(value) < SMALLEST and any(digit in "123456789" for digit in re.split("[eE]", digits)[0]):
            raise self._at(at, f"a number over {SMALLEST:g}, or 0", "change the column's unit, or declare it missing")
        return (-value if part.negative else value) + 0.0  # -0 is 0

    def _fitting(self, mark: Mark) -> int:
        return sum(int(n) for part, n in zip(self.parts, self.cells.counts, strict=True) if part.fits(mark))

    def _require(self, mark: Mark) -> None:
        for at, part in enumerate(self.parts):
            if not part.fits(mark):
                raise self._at(
                    at, f"a decimal {mark}", "write all cells of the column alike, or declare its decimal mark"
                )

    def _ambiguous(self) -> Exception:
        at = next(at for at, part in enumerate(self.parts) if "." in part.body or "," in part.body)
        readings = (float(digits_of(self.parts[at].body, "point")), float(digits_of(self.parts[at].body, "comma")))
        both = " or ".join(f"{value:.15g}" for value in readings)
        return self._at(
            at,
            "a number that can be read in one way only",
            f"it may be {both}: declare this column's decimal mark, 'point' or 'comma'",
        )

    def _at(self, at: int, expected: str, remedy: str) -> Exception:
        place = f"line {self.cells.first_line(at)}, column {shown(self.cells.name)}"
        return refused(place, expected, shown(self.cells.texts[at]), remedy)


def read_numbers(cells: Cells, *, required: bool = False) -> NumberColumn | None:
    """The column as numbers of one form, or None if it is text.

    Raises: DataError naming the odd line, if most cells are numbers of one form and some are not.
    """
    parts = [written(text) for text in cells.texts]
    forms: dict[str, int] = {}
    for part, count in zip(parts, cells.counts, strict=True):
        if part is not None:
            forms[part.around] = forms.get(part.around, 0) + int(count)
    if not forms:
        return None
    form = max(forms, key=lambda around: forms[around])
    kept = tuple(part for part in parts if part is not None and part.around == form)
    if len(kept) == len(parts):
        return NumberColumn(cells, kept)
    if not required and forms[form] < len(cells.codes) * (0.8 if form else 0.5):
        return None
    odd = next(at for at, part in enumerate(parts) if part is None or part.around != form)
    raise _odd(cells, odd, form)


def _odd(cells: Cells, at: int, form: str) -> Exception:
    text = cells.texts[at]
    what = f"a number with {shown(form)} as in most lines" if form else "a number as in most lines"
    remedy = "correct it, declare it a missing code, or declare the column a category"
    if text.lower() in INFINITE:
        found, remedy = f"an infinity ({shown(text)})", "give a number, declare it missing, or drop the column"
    elif text.startswith(("=", "@")):
        found, remedy = f"the formula {shown(text)}", "save values, not formulas"
    else:
        found = f"the text {shown(text)}"
    return refused(f"line {cells.first_line(at)}, column {shown(cells.name)}", what, found, remedy)

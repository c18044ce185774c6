"""Numbers as people write them: decimal comma or point, thousands, percent, currency, units; the column decides, not the cell."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.tables.cells import Cells
from hefl_core.tables.decision import refused, shown
from hefl_core.tables.declared import Kind, Mark

LARGEST: Final = 1e30
SMALLEST: Final = 1e-300
_DIGITS: Final = 300
"""More digits than a 64-bit float can reach."""
EXACT: Final = 2**53
"""From here on a 64-bit float skips whole numbers."""

Evidence: TypeAlias = Literal["point", "comma", "none", "either", "mixed"]
_SIGNS: Final = str.maketrans({"−": "-", "’": "'", "´": "'", "`": "'", "\u00a0": " ", "\u202f": " ", "\u2009": " "})
_SYMBOLS: Final = r"€|\$|£|¥|₹|₽|₺|EUR|USD|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|AUD|CAD|Fr\.|kr\.?|zł"
_WRITTEN: Final = re.compile(
    rf"(?P<sign>[+-]?)\s?(?P<before>(?:{_SYMBOLS})?)\s?(?P<inner>[+-]?)"
    r"(?P<body>(?:\d[\d.,' ]*|[.,]\d+)(?:[eE][+-]?\d+)?)\s?"
    rf"(?P<after>(?:%|{_SYMBOLS}|[^\W\d_°µμΩ][\w/²³·*^.-]{{0,15}}|[°µμΩ][\w/²³·*^.%-]{{0,15}})?)"
)
_POINT, _COMMA = (
    re.compile(
        rf"(?:\d+{mark}?\d*|{mark}\d+)(?:[eE][+-]?\d+)?"
        rf"|[1-9]\d{{0,2}}(?:(?P<by>[{other}' ])\d{{3}})(?:(?P=by)\d{{3}})*(?:{mark}\d*)?",
        re.ASCII,
    )
    for mark, other in ((r"\.", ","), (",", r"\."))
)
_PLAIN: Final = re.compile(r"([+-]?)(\d+(?:([.,])\d+)?)", re.ASCII)
_MAYBE_GROUPED: Final = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
_INFINITE: Final = frozenset(sign + word for sign in ("", "+", "-") for word in ("inf", "infinity", "∞"))


@dataclass(frozen=True, slots=True)
class Written:
    """One cell taken apart: sign and digits as written, and what stands around them ('' for a bare number)."""

    negative: bool
    body: str
    around: str
    point: bool
    comma: bool

    def fits(self, mark: Mark) -> bool:
        """Whether the digits are a number with this decimal mark."""
        return self.point if mark == "point" else self.comma

    @property
    def kind(self) -> Kind:
        """Which kind of column a cell of this form belongs to."""
        if not self.around:
            return Kind.NUMBER
        if self.around == "%":
            return Kind.PERCENT
        return Kind.CURRENCY if re.fullmatch(_SYMBOLS, self.around) else Kind.UNIT


def written(text: str) -> Written | None:
    """A cell taken apart, or None if it is no number.

    >>> written("1'234,50 €").around, written("12 mg").kind.value, written("1.2.3") is None
    ('€', 'unit', True)
    """
    plain = _PLAIN.fullmatch(text)
    if plain is not None and not _MAYBE_GROUPED.fullmatch(plain[2]):
        return Written(plain[1] == "-", plain[2], "", plain[3] != ",", plain[3] != ".")
    found = _WRITTEN.fullmatch(text.translate(_SIGNS)) if len(text) <= 80 else None
    if found is None or (found["sign"] and found["inner"]) or (found["before"] and found["after"]):
        return None
    body = found["body"].strip()
    point, comma = (bool(pattern.fullmatch(body)) for pattern in (_POINT, _COMMA))
    if not (point or comma):
        return None
    return Written("-" in found["sign"] + found["inner"], body, found["before"] or found["after"], point, comma)


def is_plain(text: str) -> bool:
    """Whether a cell is nothing but digits with a sign and one mark at most: no date and no duration is."""
    return _PLAIN.fullmatch(text) is not None


@dataclass(frozen=True)
class NumberColumn:
    """A column in which every cell is a number of one form, before its decimal mark is settled. Shapes: one cell per text."""

    cells: Cells
    parts: tuple[Written, ...]

    @property
    def kind(self) -> Kind:
        """What stands around the digits of all cells."""
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
        return any(_rounds(_digits(part.body, mark)) for part in self.parts)

    def whole(self, mark: Mark) -> bool:
        """Whether every cell is a whole number without sign, written in digits alone: what an identifier looks like."""
        return all(_digits(part.body, mark).isdecimal() and not part.negative for part in self.parts)

    def _value(self, at: int, part: Written, mark: Mark) -> float:
        digits = _digits(part.body, mark)
        value = float(digits)
        if abs(value) > LARGEST:
            raise self._at(at, f"a number up to {LARGEST:g}", "change the column's unit, or declare it missing")
        if _rounds(digits):
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
        readings = (float(_digits(self.parts[at].body, "point")), float(_digits(self.parts[at].body, "comma")))
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
    if text.lower() in _INFINITE:
        found, remedy = f"an infinity ({shown(text)})", "give a number, declare it missing, or drop the column"
    elif text.startswith(("=", "@")):
        found, remedy = f"the formula {shown(text)}", "save values, not formulas"
    else:
        found = f"the text {shown(text)}"
    return refused(f"line {cells.first_line(at)}, column {shown(cells.name)}", what, found, remedy)


def _digits(body: str, mark: Mark) -> str:
    grouped = body.replace("'", "").replace(" ", "")
    return grouped.replace(",", "") if mark == "point" else grouped.replace(".", "").replace(",", ".")


def _rounds(digits: str) -> bool:
    """Whether a 64-bit float is another number than this one at its decimal point; 1e22 stands for what a float holds."""
    whole, _, part = digits.partition(".")
    if "e" in digits.lower() or len(whole) <= 15:
        return False
    if len(whole) > _DIGITS:
        return True
    return int(float(whole)) != int(whole) or (int(whole) >= EXACT and part.strip("0") != "")

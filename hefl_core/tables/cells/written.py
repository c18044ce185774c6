"""One cell taken apart as a number: sign, digits, decimal mark, groups of thousands, and what stands around them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hefl_core.tables.declared import Kind, Mark

_DIGITS: Final = 300
"""Longer numbers may exceed a 64-bit float, which ends at 309 digits."""
EXACT: Final = 2**53
"""From here on a 64-bit float skips whole numbers."""
_SIGNS: Final = str.maketrans({"−": "-", "’": "'", "´": "'", "`": "'", "\u00a0": " ", "\u202f": " ", "\u2009": " "})
_SYMBOLS: Final = r"€|\$|£|¥|₹|₽|₺|EUR|USD|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|AUD|CAD|Fr\.|kr\.?|zł"
_WRITTEN: Final = re.compile(
    rf"(?P<sign>[+-]?)\s?(?P<before>(?:{_SYMBOLS})?)\s?(?P<inner>[+-]?)"
    r"(?P<body>(?:\d[\d.,' ]*|[.,]\d+)(?:[eE][+-]?\d+)?)\s?"
    rf"(?P<after>(?:%|{_SYMBOLS}|[^\W\d_°µμΩ⁰¹²³⁴⁵⁶⁷⁸⁹½¼¾][\w/²³·*^.-]{{0,15}}|[°µμΩ][\w/²³·*^.%-]{{0,15}})?)"
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
    """Whether a cell is only digits, with a sign and one mark at most; no date or duration is."""
    return _PLAIN.fullmatch(text) is not None


def digits_of(body: str, mark: Mark) -> str:
    """The digits without groups, with a decimal point."""
    grouped = body.replace("'", "").replace(" ", "")
    return grouped.replace(",", "") if mark == "point" else grouped.replace(".", "").replace(",", ".")


def rounds(digits: str) -> bool:
    """Whether a 64-bit float is another number than this one at its decimal point; 1e22 stands for what a float holds."""
    whole, _, part = digits.partition(".")
    if "e" in digits.lower() or len(whole) <= 15:
        return False
    if len(whole) > _DIGITS:
        return True
    return int(float(whole)) != int(whole) or (int(whole) >= EXACT and part.strip("0") != "")

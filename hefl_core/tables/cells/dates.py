"""Dates, times and durations: one form for a whole column; dates become days since a stated day, durations seconds."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.tables.cells.cell import Cells
from hefl_core.tables.decision import refused, shown
from hefl_core.tables.declared import DateOrder

ZONED: Final = "time with a zone"
"""Unit of a column whose times say their zone: beside one without, hours would be mixed up."""
_SENTINELS: Final = frozenset(
    ("01-01-1900", "31-12-1899", "01-01-1753", "01-01-0001", "11-11-1111", "31-12-2999", "31-12-9999", "01-01-9999")
)
DAY_ZERO: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MOST: Final = 0.5
"""If more than this part of a column's cells are dates, all must be."""
_TIME: Final = (
    r"(?:(?:T|\s+)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<part>\d{1,9}))?)?"
    r"(?:\s?(?P<half>[AaPp][Mm]))?\s?(?P<zone>Z|[+-]\d\d:?\d\d)?)?"
)
_DATE: Final = re.compile(
    r"(?:(?P<y1>\d{4})(?P<by1>[-/.])(?P<m1>\d{1,2})(?P=by1)(?P<d1>\d{1,2})"
    r"|(?P<a>\d{1,2})(?P<by2>[-/.])(?P<b>\d{1,2})(?P=by2)(?P<y2>\d{4}|\d{2}))" + _TIME,
    re.ASCII,
)
_UNITS: Final = {
    1: "s sec secs second seconds sek sekunde sekunden",
    60: "min mins minute minutes minuten",
    3600: "h hr hrs hour hours std stunde stunden heure heures",
    86400: "d day days tag tage jour jours",
    604800: "w wk week weeks woche wochen",
}
_SECONDS: Final = {word: seconds for seconds, words in _UNITS.items() for word in words.split()}
_CLOCK: Final = re.compile(r"([+-]?)(\d{1,4}):([0-5]\d)(?::([0-5]\d)(?:[.,](\d{1,9}))?)?", re.ASCII)
_PARTS: Final = re.compile(r"(\d{1,9}(?:[.,]\d{1,9})?)\s?([A-Za-z]{1,8})\.?", re.ASCII)
_ISO: Final = re.compile(
    r"P(?:(?P<w>\d{1,6})W)?(?:(?P<d>\d{1,6})D)?(?:T(?:(?P<h>\d{1,6})H)?(?:(?P<m>\d{1,6})M)?(?:(?P<s>\d{1,6}(?:\.\d{1,9})?)S)?)?"
)


@dataclass(frozen=True)
class DateColumn:
    """A column of dates. ``order``: which stands first in 03/04/2025; None where the form itself says it."""

    cells: Cells
    parts: tuple[re.Match[str], ...]
    order: DateOrder | None

    @property
    def zoned(self) -> bool:
        """Whether the times say their zone."""
        return self.parts[0]["zone"] is not None

    def values(self) -> npt.NDArray[np.float64]:
        """Days since ``DAY_ZERO``, with a time as part of a day. Shapes: (texts,).

        Raises: DataError naming the line of a day that does not exist, or of a time zone that others lack.
        """
        zoned = self.zoned
        days = []
        for at, part in enumerate(self.parts):
            if (part["zone"] is not None) != zoned:
                raise _at(self.cells, at, f"a time {'with' if zoned else 'without'} a time zone, as in most lines")
            try:
                days.append((_moment(part, self.order) - DAY_ZERO) / timedelta(days=1))
            except (ValueError, OverflowError) as error:
                raise _at(self.cells, at, "a day of the calendar") from error
        return np.array(days, np.float64)


def read_dates(cells: Cells, declared: DateOrder | None = None, *, required: bool = False) -> DateColumn | None:
    """The column as dates, or None if it is none.

    Raises: DataError with the line of a cell that is no date among dates, has a year of two digits, or may be two days.
    """
    parts = [_DATE.fullmatch(text) for text in cells.texts]
    weight = sum(int(count) for part, count in zip(parts, cells.counts, strict=True) if part)
    if not required and weight <= _MOST * len(cells.codes):
        return None
    kept = []
    for at, part in enumerate(parts):
        if part is None:
            raise _at(cells, at, "a date (2025-04-03, 03.04.2025 or 04/03/2025) as in other lines")
        if part["y2"] and len(part["y2"]) == 2:
            raise _at(cells, at, "a year of four digits")
        kept.append(part)
    _require_one_form(cells, kept)
    return DateColumn(cells, tuple(kept), _order(cells, kept, declared))


def read_durations(cells: Cells, *, required: bool = False) -> npt.NDArray[np.float64] | None:
    """The column as seconds, or None if it holds no durations (1:30, 2 h 30 min, P1DT2H). Shapes: (texts,).

    Raises: DataError with the line of a cell that is no duration among durations.
    """
    values = [_seconds(text) for text in cells.texts]
    weight = sum(int(count) for value, count in zip(values, cells.counts, strict=True) if value is not None)
    if not required and weight <= _MOST * len(cells.codes):
        return None
    for at, value in enumerate(values):
        if value is None:
            raise _at(cells, at, "a duration (1:30, 90 min, 2 h 30 min or P1DT2H) as in other lines")
    return np.array(values, np.float64)


def is_sentinel(text: str) -> bool:
    """Whether a date is one that programs write for a missing or open end, in any order of day and month.

    >>> is_sentinel("1900-01-01"), is_sentinel("31.12.9999 00:00"), is_sentinel("2025-01-01")
    (True, True, False)
    """
    part = _DATE.fullmatch(text)
    if part is None:
        return False
    if part["y1"]:
        return f"{int(part['d1']):02}-{int(part['m1']):02}-{part['y1']}" in _SENTINELS
    first, second = f"{int(part['a']):02}", f"{int(part['b']):02}"
    return f"{first}-{second}-{part['y2']}" in _SENTINELS or f"{second}-{first}-{part['y2']}" in _SENTINELS


def looks_like_a_time(text: str) -> bool:
    """Whether a cell by itself is a date, a time of day or a duration."""
    return _DATE.fullmatch(text) is not None or _seconds(text) is not None


def _require_one_form(cells: Cells, parts: list[re.Match[str]]) -> None:
    forms = [(part["by1"], part["by2"], part["hour"] is None) for part in parts]
    weights: Counter[tuple[str | None, str | None, bool]] = Counter()
    for form, count in zip(forms, cells.counts, strict=True):
        weights[form] += int(count)
    usual = max(weights, key=lambda form: weights[form])
    for at, form in enumerate(forms):
        if form != usual:
            as_in = shown(cells.texts[forms.index(usual)])
            raise _at(cells, at, f"a date in the form of {as_in}, as in most lines")


def _order(cells: Cells, parts: list[re.Match[str]], declared: DateOrder | None) -> DateOrder | None:
    """Day first with points; with / and - the column decides, and an open order must be declared."""
    open_ones = [part for part in parts if part["a"] and part["by2"] != "."]
    if not open_ones:
        return "day" if any(part["a"] for part in parts) else None
    if declared is not None:
        return declared
    # A number above 12 anywhere settles the order for the whole column; equal pairs read alike either way.
    pairs = {(int(part["a"]), int(part["b"])) for part in open_ones}
    month_first, day_first = all(a <= 12 for a, _ in pairs), all(b <= 12 for _, b in pairs)
    if month_first and day_first and any(a != b for a, b in pairs):
        at = next(at for at, part in enumerate(parts) if part["a"] and part["by2"] != "." and part["a"] != part["b"])
        raise _at(cells, at, "a date that can be read in one way only", "declare what comes first, 'day' or 'month'")
    return "month" if month_first and not day_first else "day"


def _moment(part: re.Match[str], order: DateOrder | None) -> datetime:
    if part["y1"]:
        year, month, day = int(part["y1"]), int(part["m1"]), int(part["d1"])
    else:
        first, second = int(part["a"]), int(part["b"])
        swapped = order == "month" and part["by2"] != "."
        year, day, month = int(part["y2"]), *((second, first) if swapped else (first, second))
    hour = int(part["hour"] or 0)
    if part["half"]:
        if not 1 <= hour <= 12:
            raise ValueError("an hour of the twelve")
        hour = hour % 12 + (12 if part["half"].lower() == "pm" else 0)
    micros = int((part["part"] or "0").ljust(6, "0")[:6])
    return datetime(
        year, month, day, hour, int(part["minute"] or 0), int(part["second"] or 0), micros, _zone(part["zone"])
    )


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _seconds(text: str) -> float | None:
    clock = _CLOCK.fullmatch(text)
    if clock:
        sign, hours, minutes, seconds, part = clock.groups()
        size = int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0) + float("0." + (part or "0"))
        return -size if sign == "-" else float(size)
    iso = _ISO.fullmatch(text) if text.startswith("P") and text[-1:] not in ("P", "T") else None
    if iso:
        sizes = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
        return sum(float(iso[name] or 0) * size for name, size in sizes.items())
    return _in_words(text)


def _in_words(text: str) -> float | None:
    """2 h 30 min: pairs of a number and a unit, each unit once and from large to small."""
    total, last, position = 0.0, float("inf"), 0
    while position < len(text):
        found = _PARTS.match(text, position)
        size = _SECONDS.get(found[2].lower()) if found else None
        if found is None or size is None or size >= last:
            return None
        total, last = total + float(found[1].replace(",", ".")) * size, float(size)
        position = found.end()
        while text[position : position + 1] in (" ", ",") and position < len(text):
            position += 1
    return total if text else None


def _at(cells: Cells, at: int, expected: str, remedy: str = "") -> Exception:
    place = f"line {cells.first_line(at)}, column {shown(cells.name)}"
    other = remedy or "correct it, declare it a missing code, or declare the column a category"
    return refused(place, expected, shown(cells.texts[at]), other)

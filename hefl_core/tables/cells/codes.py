"""Numbers that stand for a missing value, such as -999: found where they lie far from all others, never taken silently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hefl_core.tables.decision import Decision, decided, listed

_CODES: Final = (-9.0, *(sign * number for sign in (1.0, -1.0) for number in (99.0, 999.0, 9999.0, 99999.0)))
"""-9 is PLINK's."""


def without_unknown(values: Iterable[float]) -> frozenset[float]:
    """The different values but for 9 and the codes: an unknown beside 0 and 1, or 1 and 2.

    >>> sorted(without_unknown([1.0, 2.0, 9.0, -9.0]))
    [1.0, 2.0]
    """
    return frozenset(values) - {9.0, *_CODES}


def is_code(text: str) -> bool:
    """Whether a cell is a usual code for a missing value, however it is written.

    >>> is_code("-999"), is_code("-999.0"), is_code("9")
    (True, True, False)
    """
    try:
        return float(text) in _CODES
    except ValueError:
        return False


def far_codes(values: npt.NDArray[np.float64]) -> Iterator[int]:
    """The places of codes that lie far from all other values, codes aside. Shapes: values (n,), each different.

    >>> list(far_codes(np.array([0.0, 1.0, -9.0, -999.0]))), list(far_codes(np.array([990.0, 999.0, 1200.0])))
    ([2, 3], [])
    """
    coded = np.isin(values, _CODES)
    rest = values[~coded]
    low, high = rest.min(initial=np.inf), rest.max(initial=-np.inf)
    yield from (int(at) for at in np.flatnonzero(coded) if stands_out(float(values[at]), low, high))


def codes_in_columns(rows: npt.NDArray[np.number[Any]]) -> tuple[Decision, ...]:
    """A warning for each code that lies far from all others of its column. Shapes: rows (n, columns)."""
    columns: dict[float, list[int]] = {}
    for column in np.flatnonzero(np.isin(rows, _CODES).any(axis=0)):
        values = np.unique(rows[:, column]).astype(np.float64)
        for at in far_codes(values):
            columns.setdefault(float(values[at]), []).append(int(column))
    return tuple(
        decided(
            "features: {code} stands far from all others in column {columns} (from 0); if that means missing, fill it in, "
            "or leave the rows out",
            code=f"{code:g}",
            columns=listed(map(str, found)),
        )
        for code, found in sorted(columns.items())
    )


def stands_out(value: float, lowest: float, highest: float) -> bool:
    """Whether a value lies further from the others than they lie from each other, or alone below zero."""
    if lowest > highest:
        return False
    distance = max(lowest - value, value - highest)
    return distance > 0 and (distance > highest - lowest or value < 0 <= lowest)

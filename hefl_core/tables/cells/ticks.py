"""A tick or nothing: one value and empty cells, which may be a yes and a no, or a value and gaps; the reader asks."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.tables.cells.booleans import DIGITS, PAIRS, YES_NO
from hefl_core.tables.cells.cell import EMPTY, Cells
from hefl_core.tables.decision import refused, shown
from hefl_core.tables.declared import DeclaredColumn

_FEW: Final = 3
"""Up to so many empty cells are gaps, and no answer."""
_TICKS: Final = frozenset(("x", "✓", "✔", "☑", "☒", "*", "•", *(yes for _, yes in PAIRS)))
_NO: Final = frozenset(no for no, _ in PAIRS)


def refuse_ticks(cells: Cells, present: Cells, missing: npt.NDArray[np.bool_], declared: tuple[str, ...]) -> None:
    """Reject a column of one value and more than a few empty cells, unless these were declared missing.

    ``present``: the cells that have a value. ``declared``: what was declared to mean missing. Shapes: missing (n,).
    Raises: DataError with the number of filled cells, and how to say what an empty one means. Up to half of the cells may be
        empty beside a value that is no tick: it may be the only one at this client. Who writes a no leaves no cell empty for it.
    """
    if len(present.texts) != 1 or "" in present.texts or {"", EMPTY} & set(declared):
        return
    empty, value = cells.count(lambda text: not text), present.texts[0]
    tick = value.lower() in _TICKS
    if empty <= _FEW or value.lower() in _NO - _TICKS or (not tick and empty * 2 <= len(missing)):
        return
    raise refused(
        f"column {shown(cells.name)}",
        "two values, or a meaning of the empty cells",
        f"{shown(value)} in {len(present.codes)} of {len(missing)} rows and {empty} empty",
        f"declare {EMPTY} present in this column if it is a no, or missing if nobody knows, or drop the column",
    )


def tick_of(cells: Cells, declared: DeclaredColumn) -> tuple[str, str] | None:
    """The words for 0 and 1 of a column in which an empty cell is declared to be a value; None for any other column.

    A tick of 1 is a 1 beside 0 elsewhere; any other is a yes.
    """
    ticks = [text for text in cells.texts if text]
    if not {"", EMPTY} & set(declared.present) or len(ticks) > 1 or any(text.lower() in _NO for text in ticks):
        return None
    return DIGITS if ticks == ["1"] else YES_NO

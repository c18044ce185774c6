"""The one reader of tables: a source and declarations become columns, a label, decisions and warnings."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hefl_core.errors import DataError
from hefl_core.tables.cells.cell import Cells
from hefl_core.tables.cells.kinds import Surroundings
from hefl_core.tables.cells.numbers import read_numbers
from hefl_core.tables.column import Column
from hefl_core.tables.columns import decide, without_repeats
from hefl_core.tables.decision import Decision, decided, listed, refused, shown
from hefl_core.tables.declared import Declared, Mark
from hefl_core.tables.label import Label, choose_label, labelled, read_label
from hefl_core.tables.reading import MAX_BYTES, read_text
from hefl_core.tables.rows.grid import Grid, read_grid


@dataclass(frozen=True, eq=False)
class Table:
    """A table as read. ``digest``: SHA-256 of the source's bytes, its only identity. Shapes: lines int64 (n,).

    ``columns`` are all but the label, in the file's order; those with ``left_out`` are not learnt from.
    """

    digest: str
    columns: tuple[Column, ...]
    label: Label
    lines: npt.NDArray[np.int64]
    decisions: tuple[Decision, ...]
    warnings: tuple[Decision, ...]

    @property
    def name(self) -> str:
        """A name from the content, the same under every path."""
        return f"table-{self.digest[:12]}"

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the label."""
        return self.label.classes

    @property
    def learnt(self) -> tuple[Column, ...]:
        """The columns that are learnt from."""
        return tuple(column for column in self.columns if column.left_out is None)

    def __len__(self) -> int:
        return len(self.lines)

    def take(self, rows: npt.NDArray[np.int64]) -> Table:
        """The table with these rows only, every decision kept. Shapes: rows (m,)."""
        label = replace(self.label, codes=self.label.codes[rows])
        return replace(
            self, columns=tuple(column.take(rows) for column in self.columns), label=label, lines=self.lines[rows]
        )


def read_table(
    source: bytes | str | Path,
    *,
    label: str | None = None,
    declared: Declared | None = None,
    max_bytes: int = MAX_BYTES,
) -> Table:
    """Read a table and report every decision.

    The label is ``label``, else the column with a label's name, else the last one. What is declared is not guessed.

    Units: max_bytes in bytes.
    Raises: DataError naming line, column and remedy for everything that cannot be read rightly in one way only.
    """
    declared = declared or Declared()
    text = read_text(source, max_bytes)
    grid = read_grid(text.text, declared)
    _require_known(grid.names, declared)
    target, how = choose_label(grid.names, label)
    if declared.of(grid.names[target]).drop:
        raise refused(
            "label",
            "a column that is kept",
            f"{shown(grid.names[target])}, declared to be dropped",
            "name another label",
        )
    has_outcome = labelled(Cells.of(grid.names[target], grid.columns[target], grid.lines), declared)
    dropped: tuple[Decision, ...] = ()
    if not has_outcome.all():
        said = "label {label}: {count} rows without an outcome left out, as asked; line {lines}"
        where = listed(map(str, grid.lines[~has_outcome]))
        dropped = (decided(said, label=grid.names[target], count=int((~has_outcome).sum()), lines=where),)
        grid = grid.take(has_outcome)
    found = read_label(Cells.of(grid.names[target], grid.columns[target], grid.lines), how, declared)
    columns = _columns(grid, target, declared)
    decisions = (text.decision, *grid.decisions, found.decision, *dropped)
    warnings = [
        *text.warnings,
        *grid.warnings,
        *found.warnings,
        *(one for column in columns for one in column.warnings),
    ]
    if all(column.left_out for column in columns):
        warnings.append(decided("table: every column is left out, so there is nothing to learn from"))
    return Table(text.digest, columns, found, grid.lines, decisions, tuple(warnings))


def column_names(
    source: bytes | str | Path, *, declared: Declared | None = None, max_bytes: int = MAX_BYTES
) -> tuple[str, ...]:
    """The names of a table's columns, label included, so that the label can be chosen before anything else is decided.

    Raises: DataError as :func:`read_table`, for errors found before any column is read.
    """
    return read_grid(read_text(source, max_bytes).text, declared or Declared()).names


def _require_known(names: tuple[str, ...], declared: Declared) -> None:
    for column in declared.columns:
        if column.name not in names:
            raise refused(
                "declared", f"a column {shown(column.name)}", listed(map(shown, names)), "name one of these columns"
            )


def _columns(grid: Grid, target: int, declared: Declared) -> tuple[Column, ...]:
    features = [
        Cells.of(name, column, grid.lines)
        for at, (name, column) in enumerate(zip(grid.names, grid.columns, strict=True))
        if at != target
    ]
    around = Surroundings(declared.missing, declared.decimal, cache(lambda: _mark_of_others(features, declared)))
    columns = tuple(decide(cells, declared.of(cells.name), around) for cells in features)
    return without_repeats(columns, frozenset(column.name for column in declared.columns if column.keep))


def _mark_of_others(features: list[Cells], declared: Declared) -> Mark | None:
    """The decimal mark of all columns that have one for certain; None if there is none, or they differ."""
    marks: set[Mark] = set()
    for cells in features:
        about = declared.of(cells.name)
        if about.drop or (about.kind is not None and about.kind.has_categories):
            continue
        present, _, _ = cells.without_missing((*declared.missing, *about.missing), about.present)
        column = None
        with suppress(DataError):  # reported when that column itself is decided
            column = read_numbers(present)
        if column is not None and column.evidence in ("point", "comma"):
            marks.add("point" if column.evidence == "point" else "comma")
    return next(iter(marks)) if len(marks) == 1 else None

"""The runs of a sweep: several at once, each kept as soon as it is done, none made twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hefl_core import __version__
from hefl_core.checks.claims.ledger import check_claims
from hefl_core.errors import DataError
from hefl_core.learning import shelf
from hefl_core.learning.trainers import require_trainer
from hefl_core.runtime.launch import run_experiment
from hefl_core.sweep.plan import Plan, Point
from hefl_core.sweep.row import RunRow, row_of
from hefl_core.tables.hospitals import TABLES, HospitalTables
from hefl_core.tables.source import TableSource
from hefl_core.wire.files import read_regular, replace_file

FOLDER: Final = "runs"
MOST_BYTES: Final = 1 << 24


def done(plan: Plan, folder: Path) -> Mapping[str, RunRow]:
    """Runs of this plan that an earlier, perhaps interrupted, sweep left in the folder. Raises: DataError for a damaged one."""
    return {point.id: row for point in plan.points if (row := _kept(point, folder)) is not None}


def run_all(plan: Plan, folder: Path, at_once: int, say: Callable[[RunRow], None]) -> tuple[RunRow, ...]:
    """Run what is missing and return every row, in the plan's order.

    ``at_once``: how many runs at a time; 1 runs them here, more run them as Ray tasks, on a joined cluster too.
    Raises: whatever HeflError a run raises; what was done before it is kept.
    """
    for trainer in sorted({point.experiment.trainer for point in plan.points}):
        require_trainer(trainer)
    rows = dict(done(plan, folder))
    missing = [point for point in plan.points if point.id not in rows]
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for row in _rows(missing, at_once):
        replace_file(_place(folder, row.id), row.to_json())
        rows[row.id] = row
        say(row)
    return tuple(rows[point.id] for point in plan.points)


@dataclass(frozen=True, slots=True)
class _Task:
    """A run and the users' tables that it needs: another process has none of them. Leaks: to Ray's store, whole tables."""

    point: Point
    table: TableSource | None
    tables: HospitalTables | None

    @classmethod
    def of(cls, point: Point) -> _Task:
        name = point.experiment.dataset
        own = shelf.known(name)
        return cls(point, own.source if own else None, shelf.tables(name) if name.startswith(TABLES) else None)

    def run(self) -> RunRow:
        if self.table is not None:
            shelf.put(self.table)
        if self.tables is not None:
            shelf.put_tables(self.tables)
        return run_point(self.point)


def run_point(point: Point) -> RunRow:
    """One run, all parties in this process, with its claims checked."""
    result = check_claims(run_experiment(point.experiment, "local"))
    return row_of(point.id, point.name, result, __version__)


def _rows(points: list[Point], at_once: int) -> Iterator[RunRow]:
    if at_once == 1 or len(points) < 2:
        yield from map(run_point, points)
        return
    from hefl_core.runtime.ray.tasks import each  # Ray costs seconds and hundreds of MiB

    yield from each(_Task.run, [_Task.of(point) for point in points], at_once)


def _kept(point: Point, folder: Path) -> RunRow | None:
    place = _place(folder, point.id)
    if not place.exists():
        return None
    row = RunRow.from_json(read_regular(place, MOST_BYTES, "run of a sweep"))
    if (row.id, row.setting, row.seed) != (point.id, point.name, point.seed):
        raise DataError(
            f"{place.name}: expected the run {point.name}, seed {point.seed}, found another; delete the file"
        )
    return row


def _place(folder: Path, id: str) -> Path:
    return folder / FOLDER / f"{id}.json"

"""What a sweep says: for each setting the mean over seeds with its interval, and a paired test against the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from hefl_core.schemes.base import Vector
from hefl_core.sweep.plan import Plan
from hefl_core.sweep.row import RunRow

LEVEL: Final = 0.95
LEAST_PAIRS: Final = 2


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over seeds and its 95 % interval (Student's t over seeds); ``low`` and ``high`` are None under two seeds."""

    mean: float
    low: float | None
    high: float | None
    seeds: int


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Setting minus baseline over common seeds. ``p``: of the paired t-test, uncorrected; ``p_holm``: for all settings."""

    difference: Interval
    p: float | None
    p_holm: float | None


@dataclass(frozen=True, slots=True)
class SettingSummary:
    """One setting. ``measure``: the mean of its last three rounds, per seed. Units: bytes, seconds of CPU."""

    setting: str
    measure: Interval
    last: Interval
    upload: float
    cpu_seconds: float
    failed: tuple[str, ...]
    against: PairedTest | None


def summarise(plan: Plan, rows: Sequence[RunRow]) -> tuple[SettingSummary, ...]:
    """All settings, in the plan's order. A measure that a run has not (unobserved runs) leaves the setting out."""
    told = [row for row in rows if row.settled(plan.figure) is not None]
    by_setting = {name: [row for row in told if row.setting == name] for name in plan.settings}
    tests = _tests(plan, by_setting)
    return tuple(_summary(name, found, plan.figure, tests.get(name)) for name, found in by_setting.items() if found)


def interval(values: Vector) -> Interval:
    """Mean and interval. Source: Student 1908; the seeds are taken as independent draws."""
    mean, n = float(values.mean()), len(values)
    if n < LEAST_PAIRS:
        return Interval(mean, None, None, n)
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """p-values that hold for all of them together. Source: Holm 1979."""
    order, largest, adjusted = np.argsort(p), 0.0, [0.0] * len(p)
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[at]))  # never below an earlier, smaller one
        adjusted[at] = largest
    return tuple(adjusted)


def _summary(name: str, rows: Sequence[RunRow], measure: str, test: PairedTest | None) -> SettingSummary:
    return SettingSummary(
        setting=name,
        measure=interval(np.array([row.settled(measure) for row in rows], float)),
        last=interval(np.array([row.last(measure) for row in rows], float)),
        upload=float(np.mean([one.upload for row in rows for one in row.rounds])),
        cpu_seconds=float(np.mean([one.cpu_seconds for row in rows for one in row.rounds])),
        failed=tuple(sorted({claim for row in rows for claim in row.failed})),
        against=test,
    )


def _tests(plan: Plan, by_setting: dict[str, list[RunRow]]) -> dict[str, PairedTest]:
    base = {row.seed: row.settled(plan.figure) for row in by_setting.get(plan.baseline or "", [])}
    raw: dict[str, tuple[Vector, float | None]] = {}
    for name, rows in by_setting.items():
        pairs = [(row.settled(plan.figure), base[row.seed]) for row in rows if row.seed in base]
        if name != plan.baseline and pairs:
            differences = np.array([a - b for a, b in pairs if a is not None and b is not None], float)
            raw[name] = differences, _p(differences)
    corrected = holm([p for _, p in raw.values() if p is not None])
    place = iter(corrected)
    return {
        name: PairedTest(interval(found), p, None if p is None else next(place)) for name, (found, p) in raw.items()
    }


def _p(differences: Vector) -> float | None:
    """None where nothing can be tested: one pair. Equal runs differ by nothing at all: p is 1."""
    if len(differences) < LEAST_PAIRS:
        return None
    if np.ptp(differences) == 0:
        return 1.0 if differences[0] == 0 else 0.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)

"""A plan: settings that stay, a grid or a list of settings that change, and seeds. It names its runs by their content."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import msgspec

from hefl_core.errors import ParameterError
from hefl_core.ids import digest
from hefl_core.learning import shelf
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.files import read_regular

MOST_BYTES: Final = 1 << 20
MOST_RUNS: Final = 10_000
PARTS: Final = ("experiment", "grid", "list", "seeds", "baseline", "figure")
FIGURES: Final = ("accuracy", "loss")
SETTINGS: Final = tuple(one.name for one in fields(Experiment) if one.name != "seed")

Value = str | int | float | bool
Settings = tuple[tuple[str, Value], ...]
"""(name of a field of Experiment, its value), in the order of the plan."""


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of the plan under one seed. ``varied``: what differs between the plan's settings, in its order."""

    varied: Settings
    experiment: Experiment

    @property
    def seed(self) -> int:
        """The seed of the learning."""
        return self.experiment.seed

    @property
    def name(self) -> str:
        """The setting in words, equal for all seeds."""
        return ", ".join(f"{name} {value}" for name, value in self.varied) or "the plan"

    @property
    def id(self) -> str:
        """The run's name on disk: 16 hex digits of its experiment's digest."""
        return digest(self.experiment.to_json().encode()).hex()[:16]


@dataclass(frozen=True, slots=True)
class Plan:
    """All runs of a sweep. ``baseline``: the setting that the others are tested against, None for none."""

    points: tuple[Point, ...]
    baseline: str | None
    figure: str

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings, in the plan's order."""
        return tuple(dict.fromkeys(point.name for point in self.points))


def read_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises: ParameterError for TOML or settings that cannot be; DataError for an unreadable file.
    """
    try:
        content = tomllib.loads(read_regular(path, MOST_BYTES, "plan").decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(
            f"plan {path.name}: expected TOML, found {error}", "docs/sweeps.md has an example"
        ) from error
    return plan_of(content)


def plan_of(content: Mapping[str, Any]) -> Plan:
    """A plan from TOML's values. Raises: ParameterError naming the part, what was expected and what was found."""
    unknown = sorted(set(content) - set(PARTS))
    if unknown:
        raise ParameterError(f"plan: expected {', '.join(PARTS)}, found {', '.join(unknown)}", "remove or rename it")
    fixed = _table(content, "experiment")
    points = tuple(
        Point(varied, _experiment({**fixed, **dict(varied), "seed": seed}))
        for varied in _varied(content)
        for seed in _seeds(content)
    )
    if len({point.id for point in points}) != len(points):
        raise ParameterError("plan: expected different runs, found one setting twice", "remove the repetition")
    return _named(content, points)


def _named(content: Mapping[str, Any], points: tuple[Point, ...]) -> Plan:
    figure, names = content.get("figure", FIGURES[0]), {point.name for point in points}
    if figure not in FIGURES:
        raise ParameterError(f"figure: expected one of {', '.join(FIGURES)}, found {figure!r}")
    baseline = _table(content, "baseline")
    if not baseline:
        return Plan(points, None, figure)
    fitting = {point.name for point in points if baseline.items() <= dict(point.varied).items()}
    if len(fitting) != 1:
        raise ParameterError(
            f"baseline: expected values that single out one of {len(names)} settings, found {len(fitting)} that fit",
            "name a value of each varied setting",
        )
    return Plan(points, fitting.pop(), figure)


def _varied(content: Mapping[str, Any]) -> Iterator[Settings]:
    """The grid's combinations, or the list's entries, each as given."""
    grid, listed = _table(content, "grid"), content.get("list", [])
    if grid and listed:
        raise ParameterError("plan: expected a grid or a list, found both", "write the combinations into the list")
    if listed:
        if not all(isinstance(entry, dict) for entry in listed):
            raise ParameterError("list: expected tables [[list]], found another value")
        yield from (tuple(entry.items()) for entry in listed)
        return
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ParameterError(f"grid.{name}: expected a list of values, found {values!r}")
    runs = len(_seeds(content))
    for values in grid.values():
        runs *= len(values)
    if runs > MOST_RUNS:
        raise ParameterError(f"plan: expected at most {MOST_RUNS:,} runs, found {runs:,}", "split it")
    for chosen in itertools.product(*grid.values()):
        yield tuple(zip(grid, chosen, strict=True))


def _seeds(content: Mapping[str, Any]) -> tuple[int, ...]:
    seeds = content.get("seeds", [Experiment().seed])
    whole = isinstance(seeds, list) and seeds and all(type(seed) is int for seed in seeds)
    if not whole or len(set(seeds)) != len(seeds):
        raise ParameterError(f"seeds: expected different whole numbers, found {seeds!r}")
    return tuple(seeds)


def _table(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name, {})
    if not isinstance(found, dict):
        raise ParameterError(f"{name}: expected a table [{name}], found {found!r}")
    unknown = sorted(set(found) - set(SETTINGS))
    if unknown:
        raise ParameterError(
            f"{name}: expected fields of an experiment, found {', '.join(unknown)}",
            "seeds have a line of their own" if "seed" in unknown else "`run --help` lists them",
        )
    return dict(found)


def _experiment(values: dict[str, Any]) -> Experiment:
    """An experiment whose own table is read now, so that its identity is its content. Raises: ParameterError, DataError."""
    found = Experiment.from_json(msgspec.json.encode(values))
    return found.but(dataset=shelf.resolve(found.dataset))

"""How often each attack succeeds, as measured last: over at least 100 records, with its interval and what guessing reaches.

`benchmarks/attack_rates.py` writes rates.json. Pages, lessons and docs/attacks.md take their numbers from there, and
tests/attacks/test_stated_rates.py measures a part of them anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("rates.json")


@dataclass(frozen=True)
class MeasuredRate:
    """One case. ``value`` with its 95 % interval, ``prior`` by guessing; ``values``: each trial's, where it has one."""

    value: float
    low: float
    high: float
    prior: float
    trials: int
    p_value: float | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class MeasuredRates:
    """All cases by name, the command that measured them, and the machine."""

    command: str
    machine: dict[str, str | int | float]
    rates: dict[str, MeasuredRate]


@lru_cache(maxsize=1)
def measured() -> MeasuredRates:
    """What was measured last."""
    return msgspec.json.decode(FILE.read_bytes(), type=MeasuredRates)

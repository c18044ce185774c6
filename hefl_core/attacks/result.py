"""Result of an attack: one number with its interval and baseline, and the arrays for a picture."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

FAMILY_ALPHA = 1e-9
"""Chance of one false alarm in a whole matrix of attacks and seats; so small because every session and test asks."""


@dataclass(frozen=True)
class Evidence:
    """A named array to draw."""

    name: str
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class AttackResult:
    """An attack from one seat. ``low`` and ``high``: 95 % interval of ``value``; ``prior``: what guessing reaches.

    ``p_value``: of the guesses fitting their own victims no better than each other's (None where an outcome is certain).
    ``seed`` and ``scheme`` reproduce it.
    """

    attack: str
    seat: str
    scheme: str
    threat: str
    metric: str
    value: float
    low: float
    high: float
    prior: float
    prior_is: str
    trials: int
    cpu_seconds: float
    p_value: float | None
    seed: int
    source: str
    note: str = ""
    evidence: tuple[Evidence, ...] = ()

    def array(self, name: str) -> npt.NDArray[np.float64]:
        """The evidence of this name. Raises: KeyError."""
        for item in self.evidence:
            if item.name == name:
                return item.values
        raise KeyError(name)

    def at_chance(self, cells: int = 1) -> bool:
        """Whether the result is consistent with guessing, in a matrix of ``cells`` (Bonferroni at 10⁻⁹ over all)."""
        return self.p_value is not None and self.p_value > FAMILY_ALPHA / cells

    def to_json(self, *, evidence: bool = False) -> str:
        """Every number; the arrays only when asked for."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "evidence"}
        if evidence:
            fields["evidence"] = {item.name: item.values.tolist() for item in self.evidence}
        return msgspec.json.format(msgspec.json.encode(fields), indent=1).decode()

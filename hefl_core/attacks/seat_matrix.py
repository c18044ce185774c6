"""The matrix seat × attack: which cells exist, their results, and whether the encrypted ones are at chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hefl_core.attacks.catalogue import ATTACKS, Attack
from hefl_core.attacks.lab import COORDINATOR, SEATS
from hefl_core.attacks.result import AttackResult


@dataclass(frozen=True)
class MatrixCell:
    """One attack from one seat; ``result`` None until it is run."""

    attack: Attack
    seat: str
    result: AttackResult | None = None


def cells(results: Sequence[AttackResult] = ()) -> tuple[tuple[MatrixCell | None, ...], ...]:
    """Rows of attacks, columns of seats; None where an attack cannot be tried. The last result of a cell counts."""
    found = {(result.attack, result.seat): result for result in results}
    return tuple(
        tuple(
            MatrixCell(attack, seat, found.get((attack.name, seat))) if seat in attack.seats else None for seat in SEATS
        )
        for attack in ATTACKS
    )


def family_at_chance(results: Sequence[AttackResult]) -> tuple[bool, float]:
    """Whether all attacks on ciphertexts together are at chance, and the smallest p-value times their number.

    Family-wise error 10⁻⁹ by Bonferroni: a smaller p-value means a leak.
    """
    encrypted = [r for r in results if r.seat == COORDINATOR and r.p_value is not None]
    if not encrypted:
        return True, 1.0
    smallest = min(r.p_value for r in encrypted if r.p_value is not None)
    return all(r.at_chance(len(encrypted)) for r in encrypted), min(1.0, smallest * len(encrypted))

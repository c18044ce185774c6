"""Outcomes of damaged input, and how they are decided.

A *bench* holds valid inputs, the door that reads bytes, and an independent notion of their meaning. A door that raises one
of this package's errors has refused. A door that accepts bytes must have understood the same as before the damage, or (for
a text that may say anything, such as a table) what an independent reader finds in the damaged bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

from hefl_core.checks.damage.mutation import Mutant, mutate
from hefl_core.errors import HeflError


class DamageOutcome(StrEnum):
    """Outcome of one case."""

    REFUSED = "refused"
    HARMLESS = "harmless"
    LIE = "lie"
    WRONG = "accepted and wrong"
    UNTYPED = "untyped exception"
    DEATH = "process death"

    @property
    def failure(self) -> bool:
        """Whether this must never happen."""
        return self in (DamageOutcome.WRONG, DamageOutcome.UNTYPED, DamageOutcome.DEATH)


class AcceptedWrong(AssertionError):
    """Raised by a bench whose door compares meanings itself: the accepted input means something else."""


Special = Callable[[Random, bytes], Mutant | None]
"""Damage that knows the input's form, for example a compression bomb in its frame; None when it does not fit."""


def alike(found: Any, expected: Any) -> bool:
    """Equality, the ordinary notion of meaning the same."""
    return bool(found == expected)


@dataclass
class Bench:
    """Valid inputs and their door.

    ``expected``: what each input means; ``truth`` instead, if damaged bytes may rightly mean something else.
    ``unsealed``: the damage is done before the sender signs, under a scheme without a tag. It is then a lie of its sender,
    which no receiver can see (docs/threat_model.md). ``ordinary``: the exceptions that count as a refusal; other libraries
    have their own.
    """

    inputs: tuple[bytes, ...]
    door: Callable[[bytes], Any]
    expected: tuple[Any, ...] = ()
    truth: Callable[[bytes], Any] | None = None
    same: Callable[[Any, Any], bool] = alike
    specials: tuple[Special, ...] = ()
    unsealed: bool = False
    ordinary: tuple[type[Exception], ...] = (HeflError,)
    damage: Callable[[Random, Sequence[bytes], int], Mutant] = mutate
    close: Callable[[], None] = field(default=lambda: None)


@dataclass(frozen=True)
class Target:
    """One kind of input. ``weight``: its number of cases per cycle; ``open`` makes the bench, which may be slow."""

    name: str
    family: str
    open: Callable[[], Bench]
    weight: int = 1


@dataclass(frozen=True)
class Case:
    """One damaged input and its outcome. ``number`` and the seed reproduce the same damage, under fresh keys."""

    number: int
    target: str
    kind: str
    outcome: DamageOutcome
    detail: str = ""


SPECIAL_SHARE = 0.1


def draw(seed: int, number: int, bench: Bench) -> tuple[int, Mutant]:
    """The damage of this case: which input, and the changed bytes."""
    rng = Random(f"{seed}/{number}")
    which = rng.randrange(len(bench.inputs))
    if bench.specials and rng.random() < SPECIAL_SHARE:
        special = rng.choice(bench.specials)(rng, bench.inputs[which])
        if special is not None:
            return which, special
    return which, bench.damage(rng, bench.inputs, which)


def judge(bench: Bench, which: int, mutant: Mutant) -> tuple[DamageOutcome, str]:
    """Pass the damaged bytes to the door and classify the result."""
    try:
        found = bench.door(mutant.data)
        expected = bench.truth(mutant.data) if bench.truth else bench.expected[which]
        if not bench.same(found, expected):
            raise AcceptedWrong(f"expected {_short(expected)}, found {_short(found)}")
    except bench.ordinary as refusal:
        return DamageOutcome.REFUSED, type(refusal).__name__
    except AcceptedWrong as wrong:
        return (DamageOutcome.LIE if bench.unsealed else DamageOutcome.WRONG), str(wrong)
    except Exception as error:
        return DamageOutcome.UNTYPED, f"{type(error).__name__}: {error}"[:300]
    return DamageOutcome.HARMLESS, ""


def _short(value: object) -> str:
    return repr(value)[:120]


def run_case(seed: int, number: int, target: Target, bench: Bench) -> Case:
    """Draw the damage, pass it to the door, classify the result."""
    which, mutant = draw(seed, number, bench)
    outcome, detail = judge(bench, which, mutant)
    return Case(number, target.name, mutant.kind, outcome, detail)

"""A claim: one promised sentence, the check behind it, and the fault on which the check must fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

from hefl_core.errors import HeflError, NotChecked, ParameterError
from hefl_core.runtime.result import ClaimVerdict, Finding, RunResult

Seen = TypeVar("Seen")
"""What a claim speaks of: a run's result, or a class as a laboratory saw it."""
Check: TypeAlias = Callable[[Seen], str]
"""Returns the evidence as a sentence; raises AssertionError or a HeflError when the claim does not hold, NotChecked
when its input is missing."""
Control: TypeAlias = Callable[[Seen], Seen]
"""Returns what was seen with a planted fault; its docstring describes the fault."""
MIN_CONTROLS = 2


@dataclass(frozen=True)
class Claim(Generic[Seen]):
    """One promised sentence. ``applies``: the runs that it is about (collective custody, several epochs, …).

    ``controls``: faults of different kinds. The second is chosen to slip past a check that only knows the first.
    Raises: ParameterError without a check that can fail, or without a source.
    """

    id: str
    sentence: str
    seat: str
    kind: Literal["executed", "argued"]
    source: str
    check: Check[Seen] | None = None
    controls: tuple[Control[Seen], ...] = ()
    applies: Callable[[Seen], bool] = lambda seen: True

    def __post_init__(self) -> None:
        if not self.source:
            raise ParameterError(f"claim {self.id}: expected a source, found none", "name the page or paper")
        if self.kind == "executed" and (self.check is None or len(self.controls) < MIN_CONTROLS):
            raise ParameterError(
                f"claim {self.id}: expected a check and {MIN_CONTROLS} controls on which it fails, found "
                f"{'a' if self.check else 'no'} check and {len(self.controls)} controls",
                "write all of them, or call the claim argued",
            )

    def examine(self, seen: Seen) -> Finding:
        """Run the check on what was seen."""
        if self.check is None:
            raise ParameterError(f"claim {self.id} is argued, not executed", f"read {self.source}")
        try:
            if isinstance(seen, RunResult):
                of_its_run(seen)
            return Finding(self.id, ClaimVerdict.HOLDS, self.check(seen))
        except NotChecked as missing:
            return Finding(self.id, ClaimVerdict.NOT_CHECKED, str(missing))
        except (AssertionError, HeflError) as error:
            return Finding(self.id, ClaimVerdict.FAILS, str(error))


def demand(condition: bool, message: str) -> None:
    """Require a condition. Raises: AssertionError with the message unless it holds."""
    if not condition:
        raise AssertionError(message)


def of_its_run(result: RunResult) -> None:
    """Require that a result's record is of its own experiment. Raises: AssertionError."""
    demand(result.transcript.manifest.experiment == result.experiment, "the record is of another run's experiment")

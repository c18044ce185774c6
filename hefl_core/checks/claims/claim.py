"""A claim: one promised sentence, the check behind it, and the fault on which the check must fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hefl_core.errors import HeflError, NotChecked, ParameterError
from hefl_core.runtime.result import ClaimVerdict, Finding, RunResult

Check: TypeAlias = Callable[[RunResult], str]
"""Returns the evidence as a sentence; raises AssertionError or a HeflError when the claim does not hold, NotChecked
when its input is missing."""
Control: TypeAlias = Callable[[RunResult], RunResult]
"""Returns the result with a planted fault; its docstring describes the fault."""
MIN_CONTROLS = 2


@dataclass(frozen=True)
class Claim:
    """One promised sentence. ``applies``: the runs that it is about (collective custody, several epochs, …).

    ``controls``: faults of different kinds. The second is chosen to slip past a check that only knows the first.
    Raises: ParameterError without a check that can fail, or without a source.
    """

    id: str
    sentence: str
    seat: str
    kind: Literal["executed", "argued"]
    source: str
    check: Check | None = None
    controls: tuple[Control, ...] = ()
    applies: Callable[[RunResult], bool] = lambda result: True

    def __post_init__(self) -> None:
        if not self.source:
            raise ParameterError(f"claim {self.id}: expected a source, found none", "name the page or paper")
        if self.kind == "executed" and (self.check is None or len(self.controls) < MIN_CONTROLS):
            raise ParameterError(
                f"claim {self.id}: expected a check and {MIN_CONTROLS} controls on which it fails, found "
                f"{'a' if self.check else 'no'} check and {len(self.controls)} controls",
                "write all of them, or call the claim argued",
            )

    def examine(self, result: RunResult) -> Finding:
        """Run the check on a result."""
        if self.check is None:
            raise ParameterError(f"claim {self.id} is argued, not executed", f"read {self.source}")
        try:
            demand(
                result.transcript.manifest.experiment == result.experiment, "the record is of another run's experiment"
            )
            return Finding(self.id, ClaimVerdict.HOLDS, self.check(result))
        except NotChecked as missing:
            return Finding(self.id, ClaimVerdict.NOT_CHECKED, str(missing))
        except (AssertionError, HeflError) as error:
            return Finding(self.id, ClaimVerdict.FAILS, str(error))


def demand(condition: bool, message: str) -> None:
    """Require a condition. Raises: AssertionError with the message unless it holds."""
    if not condition:
        raise AssertionError(message)

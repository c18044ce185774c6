"""Exercises that check themselves: a choice, a number, or anything that a function can check."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import TypeGuard

UNANSWERED = "not answered yet: put your answer where the dots are"
NOT_THIS = "not this one: {option}"
TOO_SMALL = "{answer} is too small"
TOO_LARGE = "{answer} is too large"
SAID = (UNANSWERED, NOT_THIS, TOO_SMALL, TOO_LARGE)
"""Answers that any exercise may give, for translators."""


@dataclass(frozen=True)
class AnswerVerdict:
    """Whether an answer is right, and the reply: a sentence of ``SAID`` or of the exercise, with its fields."""

    ok: bool
    said: str
    about: tuple[tuple[str, str], ...] = ()

    def worded(self, translate: Callable[[str], str]) -> str:
        """The reply in another language."""
        said = translate(self.said)
        return said.format(**{name: translate(text) for name, text in self.about}) if self.about else said

    @property
    def message(self) -> str:
        """The reply."""
        return self.worded(str)

    def _ipython_display_(self) -> None:
        """Show nothing in a notebook: ``check`` has printed the reply."""


@dataclass(frozen=True, kw_only=True)
class _Help:
    why: str
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exercise(_Help):
    """Any exercise: its name NN.k, the question, ``why`` the answer is right, hints from vague to plain."""

    name: str
    question: str

    def verdict(self, answer: object) -> AnswerVerdict:
        """The verdict on an answer; never raises for a wrong one. ``...`` means not answered yet."""
        if answer is ...:
            return AnswerVerdict(False, UNANSWERED)
        return self._fault(answer) or AnswerVerdict(True, self.why)

    def _fault(self, answer: object) -> AnswerVerdict | None:
        raise NotImplementedError


@dataclass(frozen=True)
class Choice(Exercise):
    """One of several options; the answer is the number of the option, counted from 0.

    >>> ask = Choice("00.1", "2 + 2?", options=("3", "4"), right=1, why="two pairs", hints=())
    >>> ask.verdict(0).ok, ask.verdict(1)
    (False, AnswerVerdict(ok=True, said='two pairs', about=()))
    """

    options: tuple[str, ...]
    right: int

    def _fault(self, answer: object) -> AnswerVerdict | None:
        if not _is_number(answer) or float(answer) not in range(len(self.options)):
            expected = f"expected the number of an option, 0 to {len(self.options) - 1}"
            return AnswerVerdict(False, f"{expected}, found {_short(answer)}")
        if float(answer) == self.right:
            return None
        return AnswerVerdict(False, NOT_THIS, (("option", self.options[int(answer)]),))


@dataclass(frozen=True)
class Number(Exercise):
    """A number, right within ``tolerance`` (absolute, in the unit). ``value`` is computed when needed.

    >>> Number("00.2", "Bytes of ten floats?", value=lambda: 40, tolerance=0, unit="bytes", why="4 each").verdict(40).ok
    True
    """

    value: float | Callable[[], float]
    tolerance: float
    unit: str

    @property
    def right(self) -> float:
        """The right number."""
        return float(self.value() if callable(self.value) else self.value)

    def _fault(self, answer: object) -> AnswerVerdict | None:
        if not _is_number(answer) or not math.isfinite(answer):
            return AnswerVerdict(
                False, f"expected one number ({self.unit or 'without a unit'}), found {_short(answer)}"
            )
        right = self.right
        if abs(float(answer) - right) <= self.tolerance:
            return None
        return AnswerVerdict(False, TOO_SMALL if answer < right else TOO_LARGE, (("answer", f"{answer:,.10g}"),))


@dataclass(frozen=True)
class Task(Exercise):
    """Something to write, mostly a function. ``judge`` returns "" when it is right, else the error.

    An exception of the student's function is feedback too.
    """

    judge: Callable[[object], str]

    def _fault(self, answer: object) -> AnswerVerdict | None:
        try:
            fault = self.judge(answer)
        except Exception as error:  # the student's code may raise anything: feedback, not a failure of ours
            fault = f"your answer raised {type(error).__name__}: {error}"
            if "NoneType" in str(error):  # mostly the judge's own error, with what a function without a return gave
                fault = f"there is None where a value is needed: does your function return one? ({error})"
        return AnswerVerdict(False, fault) if fault else None


def _is_number(answer: object) -> TypeGuard[float]:
    return isinstance(answer, Real) and not isinstance(answer, bool)


def _short(answer: object) -> str:
    shown = repr(answer)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."

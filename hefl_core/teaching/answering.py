"""What a student calls in a notebook: check an answer, ask for a hint."""

from __future__ import annotations

from hefl_core.teaching.exercise import Verdict
from hefl_core.teaching.lessons import exercise

_GIVEN: dict[str, int] = {}


def check(name: str, answer: object) -> Verdict:
    """Say whether this is the answer of exercise "NN.k". A wrong answer is no error; a wrong name is (ParameterError)."""
    verdict = exercise(name).verdict(answer)
    print(f"{'✓' if verdict.ok else '✗'} {name}: {verdict.message}")
    return verdict


def hint(name: str) -> None:
    """Print the next hint of exercise "NN.k"; after the last one it is repeated. Raises: ParameterError."""
    hints = exercise(name).hints
    given = _GIVEN.get(name, 0)
    _GIVEN[name] = given + 1
    if not hints:
        print(f"{name} has no hints")
        return
    number = min(given, len(hints) - 1)
    print(f"Hint {number + 1} of {len(hints)}: {hints[number]}")

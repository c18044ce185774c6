"""Questions of a class, and what a sum of answers says about them.

A sheet is asked at once: all its questions share one ciphertext. A choice is one exact integer of it, 1 where it was chosen
and 0 elsewhere; a number is two, itself and 1. So the sum holds the counts, or the total and the number of voters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hefl_core.errors import DataError, ParameterError
from hefl_core.shown import visible

LONGEST_TEXT: Final = 300
LONGEST_CHOICE: Final = 80
MOST_CHOICES: Final = 60
LARGEST_NUMBER: Final = 10**6
MOST_SLOTS: Final = 1000
"""Integers of one ciphertext: a block of the smallest preset has four times as many words."""
MOST_QUESTIONS_BYTES: Final = 100_000
CHOICES, NUMBER = "choices", "number"


@dataclass(frozen=True, slots=True)
class Question:
    """A text with its choices; or, without choices, a question for a whole number from 0 to ``most``.

    Raises: ParameterError for an empty or long text, and for another number of choices than 2..60.
    """

    text: str
    choices: tuple[str, ...] = ()
    most: int = 0

    def __post_init__(self) -> None:
        if not 0 < len(self.text.strip()) <= LONGEST_TEXT:
            raise ParameterError(f"question: expected 1 to {LONGEST_TEXT} characters, found {len(self.text)}")
        if not self.choices and not 1 <= self.most <= LARGEST_NUMBER:
            raise ParameterError(
                f"question {visible(self.text, 60)!r}: expected choices, or a largest number of 1..{LARGEST_NUMBER}, found "
                f"no choices and {self.most}"
            )
        if self.choices and not 2 <= len(set(self.choices)) == len(self.choices) <= MOST_CHOICES:
            raise ParameterError(
                f"question {visible(self.text, 60)!r}: expected 2 to {MOST_CHOICES} different choices, found {len(self.choices)}"
            )
        if any(not 0 < len(choice.strip()) <= LONGEST_CHOICE for choice in self.choices):
            raise ParameterError(f"choices: expected 1 to {LONGEST_CHOICE} characters each, found another length")

    @property
    def kind(self) -> str:
        """``choices`` or ``number``."""
        return CHOICES if self.choices else NUMBER

    @property
    def slots(self) -> int:
        """Integers of an answer."""
        return len(self.choices) or 2

    def integers(self, pick: int) -> tuple[int, ...]:
        """An answer: the place of the chosen one, or the number. Raises: ParameterError.

        >>> Question("Tea?", ("yes", "no")).integers(1), Question("Cups?", most=9).integers(4)
        ((0, 1), (4, 1))
        """
        if not 0 <= pick <= (len(self.choices) - 1 if self.choices else self.most):
            raise ParameterError(f"answer to {visible(self.text, 60)!r}: expected one of its choices, found {pick}")
        return tuple(int(at == pick) for at in range(len(self.choices))) if self.choices else (pick, 1)

    def check(self, sums: Sequence[int], voters: int) -> str:
        """What the opened integers show to be wrong; empty when nothing does.

        One-hot answers add up to the voters, and no choice has more than all of them. A ballot of (+2, -1) keeps both rules
        and passes: a ballot that is too heavy is seen, one that moves votes is not. Of a number only the total is seen.

        >>> tea = Question("Tea?", ("yes", "no"))
        >>> tea.check((3, 4), 7), tea.check((28, 27), 31), tea.check((-1, 8), 7)
        ('', '55 votes of 31 voters', 'a choice with -1 of 7 votes')
        >>> honest, shifted = (3, 4), (3 - 1 + 2, 4 - 1)  # the same voters; one sent (2, -1) where (1, 0) was due
        >>> tea.check(shifted, 7)
        ''
        """
        if not self.choices:
            total, found = sums
            if found != voters:
                return f"{found} votes of {voters} voters"
            return (
                "" if 0 <= total <= voters * self.most else f"a total of {total} where {voters * self.most} is the most"
            )
        if sum(sums) != voters:
            return f"{sum(sums)} votes of {voters} voters"
        wrong = next((count for count in sums if not 0 <= count <= voters), None)
        return "" if wrong is None else f"a choice with {wrong} of {voters} votes"


@dataclass(frozen=True, slots=True)
class Sheet:
    """Questions that are asked at once and answered in one ciphertext. ``id``: 1, 2, … in a class."""

    id: int
    questions: tuple[Question, ...]

    def __post_init__(self) -> None:
        if not self.questions or self.slots > MOST_SLOTS:
            raise ParameterError(
                f"questions: expected 1 or more with at most {MOST_SLOTS} integers together, found "
                f"{len(self.questions)} with {self.slots}"
            )

    @property
    def slots(self) -> int:
        """Integers in the ciphertext."""
        return sum(question.slots for question in self.questions)

    def firsts(self) -> tuple[int, ...]:
        """Where each question's integers begin."""
        return tuple(sum(q.slots for q in self.questions[:at]) for at in range(len(self.questions)))

    def integers(self, picks: Sequence[int]) -> tuple[int, ...]:
        """The integers of one answer to all questions. Raises: ParameterError."""
        if len(picks) != len(self.questions):
            raise ParameterError(f"answer: expected {len(self.questions)} picks, found {len(picks)}")
        return tuple(n for q, pick in zip(self.questions, picks, strict=True) for n in q.integers(pick))

    def split(self, integers: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """The opened integers, question by question."""
        return tuple(
            tuple(integers[at : at + question.slots])
            for at, question in zip(self.firsts(), self.questions, strict=True)
        )


def signed(word: int, modulus: int) -> int:
    """An opened word as a number of either sign: a ballot of -1 wraps modulo the plaintext modulus.

    >>> signed(3, 101), signed(100, 101)
    (3, -1)
    """
    return word - modulus if word > modulus // 2 else word


def parse_question(line: str) -> Question:
    """One question from a line: ``text | choice | choice``, or ``text # 12`` for a number up to 12. Raises: DataError.

    >>> parse_question("Tea? | yes | no").choices, parse_question("How many cups? # 12").most
    (('yes', 'no'), 12)
    """
    try:
        if "|" not in line and "#" in line:
            text, _, most = line.rpartition("#")
            return Question(text.strip(), most=int(most))
        text, *choices = (part.strip() for part in line.split("|"))
        return Question(text, tuple(choices))
    except ValueError as error:
        raise DataError(
            f"question: expected 'text | choice | choice' or 'text # 12', found {visible(line, 120)!r} ({error})"
        ) from error


def parse_questions(text: str) -> tuple[tuple[Question, ...], ...]:
    r"""The sheets of a file: a question a line, an empty line between sheets; lines after ``//`` say nothing.

    Raises: DataError.

    >>> [len(sheet) for sheet in parse_questions("// sleep\nA | x | y\nB # 3\n\nC | x | y\n")]
    [2, 1]
    """
    sheets: list[list[Question]] = [[]]
    for line in text.splitlines():
        if line.strip().startswith("//"):
            continue
        if line.strip():
            sheets[-1].append(parse_question(line))
        elif sheets[-1]:
            sheets.append([])
    found = tuple(tuple(sheet) for sheet in sheets if sheet)
    if not found:
        raise DataError("questions: expected a question a line, found none")
    return found

"""One column's cells as written, each different text once; and which of them mean a missing value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import ascii_lowercase
from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.tables.decision import listed, shown

_ERRORS: Final = (
    "#n/a #nv #n/v #div/0! #ref! #bezug! #value! #wert! #valeur! #name? #nom? #num! #zahl! #nombre! #null! #nul!"
)
"""Spreadsheets write these for a formula without a value, in the user's language."""
_WORDS: Final = "na n/a ? - . null none nan nat <na> – — \\n k.a. n.a."
MISSING: Final = frozenset(
    ("", "k. a.", "n. a.", *_WORDS.split(), *_ERRORS.split(), *(f".{letter}" for letter in ascii_lowercase))
)
"""Compared in lower case; .a to .z are Stata's."""
EMPTY: Final = "(empty)"
"""How an empty cell is declared, and its name where it is a category."""
NO_OUTCOME: Final = ("n.d.", "N.D.", "n. d.", "nd.")
"""Missing in a label: not done, or no data. Among features it may be "not detected", a value."""
MINUS: Final = ("-", "−", "–", "—")
"""A negative result, in a column written in signs; else a missing value."""
_PLUS: Final = re.compile(r"\(?\+{1,5}\)?|[1-5]\+|\+/-|±|\(±\)")


@dataclass(frozen=True)
class Cells:
    """A column as written. Shapes: codes int64 (n,) into ``texts``, lines int64 (n,), the file's line of each row."""

    name: str
    texts: tuple[str, ...]
    codes: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]

    @classmethod
    def of(cls, name: str, column: Sequence[str], lines: npt.NDArray[np.int64]) -> Cells:
        """From the cells of all rows, in their order."""
        places = {text: at for at, text in enumerate(dict.fromkeys(column))}
        return cls(name, tuple(places), np.fromiter((places[text] for text in column), np.int64, len(column)), lines)

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """Rows of each text. Shapes: (texts,)."""
        return np.bincount(self.codes, minlength=len(self.texts)).astype(np.int64)

    def first_line(self, at: int) -> int:
        """The first line of the file with text number ``at``."""
        return int(self.lines[int(np.argmax(self.codes == at))])

    def count(self, holds: Callable[[str], bool]) -> int:
        """Number of rows with a text for which this holds."""
        return sum(int(n) for text, n in zip(self.texts, self.counts, strict=True) if holds(text))

    def without_missing(
        self, declared: Iterable[str] = (), present: tuple[str, ...] = ()
    ) -> tuple[Cells, npt.NDArray[np.bool_], str]:
        """The rows that have a value, where one is missing, and how the missing ones are written.

        Shapes: a column of the m rows with a value, and bool (n,) that is True where none is.
        """
        gone = missing_among(self.texts, tuple(declared), present)
        if not gone.any():
            return self, np.zeros(len(self.codes), np.bool_), ""
        mask = gone[self.codes]
        place = np.cumsum(~gone) - 1
        texts = tuple(text for text, missing in zip(self.texts, gone, strict=True) if not missing)
        written = listed(shown(text) if text else "empty" for text, out in zip(self.texts, gone, strict=True) if out)
        return Cells(self.name, texts, place[self.codes[~mask]], self.lines[~mask]), mask, written


def missing_among(
    texts: tuple[str, ...], declared: tuple[str, ...] = (), present: tuple[str, ...] = ()
) -> npt.NDArray[np.bool_]:
    """Which of a column's texts mean a missing value. Shapes: (texts,)."""
    signs = MINUS if in_signs(texts) else ()  # in such a column a minus is a value
    return np.array(
        [
            text not in signs
            and (text or EMPTY) not in present
            and text not in present
            and says_missing(text, declared)
            for text in texts
        ],
        np.bool_,
    )


def says_missing(text: str, declared: tuple[str, ...] = ()) -> bool:
    """Whether a cell means a missing value: one of ``MISSING``, or declared (numbers compared by value).

    >>> says_missing("NaN"), says_missing("-999"), says_missing("-999.0", ("-999",))
    (True, False, True)
    """
    return text.lower() in MISSING or any(text == code or _same_number(text, code) for code in declared)


def in_signs(texts: tuple[str, ...]) -> bool:
    """Whether a column is written in signs: - beside +, ++, (+) or 1+.

    >>> in_signs(("-", "++")), in_signs(("-", "+1.5"))
    (True, False)
    """
    return any(map(_PLUS.fullmatch, texts)) and any(text in MINUS for text in texts)


def plain_sign(text: str) -> str:
    """The plain minus for each of the dashes that people write; any other text as it is."""
    return "-" if text in MINUS else text


def _same_number(text: str, code: str) -> bool:
    try:
        return len(text) < 30 and "_" not in text and float(text) == float(code)
    except ValueError:
        return False

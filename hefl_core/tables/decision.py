"""Decisions of the reader, as sentences that a screen can translate: a template and its fields.

Text of a table stands in the fields only, so braces, scripts and formulas in a file stay text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hefl_core.errors import DataError

_SHOWN: Final = 40
_MOST_LISTED: Final = 8
_FACELESS: Final = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")


@dataclass(frozen=True, slots=True)
class Decision:
    """One sentence about a table or a column of it: what was decided, why, and how to change it.

    >>> str(Decision("{column}: numbers with decimal {mark}", (("column", "dose {x}"), ("mark", "comma"))))
    'dose {x}: numbers with decimal comma'
    """

    template: str
    fields: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.template.format(**dict(self.fields))


def decided(template: str, **fields: object) -> Decision:
    """A decision from its template and fields; each field becomes text."""
    return Decision(template, tuple((name, str(value)) for name, value in fields.items()))


def refused(place: str, expected: str, found: str, remedy: str) -> DataError:
    """The error of this package: where, what was expected, what was found, what to do."""
    return DataError(f"{place}: expected {expected}, found {found}; {remedy}")


def shown(text: str, most: int = _SHOWN) -> str:
    r"""Text of a file in quotes, shortened; invisible characters become their escapes.

    >>> shown("a\x1b[31m"), shown("x" * 50)[-3:]
    ("'a\\x1b[31m'", "x…'")
    """
    return repr(text if len(text) <= most else text[: most - 1] + "…")


def listed(texts: Iterable[str], most: int = _MOST_LISTED) -> str:
    """The first few texts with commas between them, and the number of the rest.

    >>> listed(str(at) for at in range(12))
    '0, 1, 2, 3, 4, 5, 6, 7 and 4 more'
    """
    every = list(texts)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def unseen(text: str) -> str | None:
    """The first invisible character of a text, as U+XXXX, or None. Gaps between words count as visible."""
    for letter in text:
        if letter not in "\n\r\t" and unicodedata.category(letter) in _FACELESS:
            return f"U+{ord(letter):04X}"
    return None

"""Foreign text, made fit to be shown: nothing in it is invisible, reverses the line, or has no end."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

LONGEST: Final = 1000
MOST_MARKS: Final = 3
"""Accents on one letter: more of them pile up over other lines."""
_FACELESS: Final = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(
    map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)
"""Letters and marks by their category, but blank on a screen."""
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9-]")
_NAME_LENGTH: Final = 40


def counted(number: int, what: str) -> str:
    """``1 round``, ``2 rounds``: a number and its English noun."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def visible(text: object, most: int = LONGEST) -> str:
    r"""One line; unprintable characters become their numbers. A text over ``most`` characters loses its middle, and says so.

    >>> visible("a\nb \u202egnp.exe")
    'a b ⟨202E⟩gnp.exe'
    >>> visible("begin" + 500 * "." + "end", 9)
    'begin.…(499 more)…end'
    """
    said = str(text)
    if len(said) <= most:
        return _faced(said)
    end = most // 3
    return f"{_faced(said[: most - end])}…({len(said) - most:,} more)…{_faced(said[-end:])}"


def _faced(said: str) -> str:
    kept, marks = [], 0
    for letter in said:
        category = unicodedata.category(letter)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if letter in "\t\n\r":
            kept.append(" ")
        elif category in _FACELESS or letter in _BLANK or marks > MOST_MARKS:
            kept.append(f"⟨{ord(letter):04X}⟩")
        else:
            kept.append(letter)
    return "".join(kept)


def bare_name(text: str) -> str:
    """A party's or message kind's name from a record: its letters, digits and hyphens, a dot for all else.

    >>> bare_name("client-3"), bare_name("[x](http://a.b)")
    ('client-3', '·x··http···a·b·')
    """
    return _NOT_IN_NAMES.sub("·", text[:_NAME_LENGTH])

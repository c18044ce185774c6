"""The public part of a client's refusal: the kind of error and the rule, never a number from its data.

The full text stays with the client. Every number counts as data, in whatever script, unless it names a client, a round, an attempt
or an epoch; on record those of the note's own place only (:class:`Whereabouts`). A number told in words is not recognised.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hefl_core import errors
from hefl_core.errors import DataError, EncodingError, HeflError, ParameterError, QuorumError
from hefl_core.ids import client_name
from hefl_core.shown import visible
from hefl_core.wire.envelope import Position

AT_HOME: Final = "details stay with the party"
WHOLLY_PRIVATE: Final = (EncodingError, DataError, ParameterError)
"""Their texts are about entries of an update or cells of a table, in words too."""
_SIGN: Final = "\0"
"""Stands for a digit or a numeral of another script, such as ¹ or Ⅷ."""
_NUMBER: Final = re.compile(
    r"(?P<place>\b(?P<what>client(?=-)|round(?= )|attempt(?= )|epoch)(?P<gap>[- ])(?P<number>0|[1-9]\d{0,3})\b(?!\.?[\d\0]))"
    r"|\b[0-9a-f]{12,64}\b|[-+]?(?:[\d\0][\w.+^\0-]*|\b(?:nan|inf)\b)"
)
HIDDEN: Final = "#"
MAX_TEXT: Final = 400
"""Characters of a refusal: the refusing party writes its text, and it goes on records and screens."""
MAX_REASON: Final = MAX_TEXT + 40
"""With the kind of error before it."""


@dataclass(frozen=True)
class Whereabouts:
    """What a note may name: its party, the client whose message the step is about, one other client of so many, and, once
    each, the round, attempt and epoch in which it is made. A client whose refusal is noted chooses no other number on
    record; which other client it names is a choice among so many.
    """

    party: str
    step: str
    position: Position
    clients: int

    def names(self, what: str, number: int, shown: Sequence[tuple[str, int]]) -> bool:
        """Whether a text that has shown these places may show this one too."""
        if what != "client":
            return bool(number == getattr(self.position, what)) and (what, number) not in shown
        own = (self.party, self.step.rpartition(" ")[2])
        others = [one for kind, one in shown if kind == "client" and client_name(one) not in own]
        return 1 <= number <= self.clients and (client_name(number) in own or not others)


def cut(text: str) -> str:
    """The beginning of a text that is too long.

    >>> len(cut("no " * 1000))
    400
    """
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def public_text(error: HeflError, where: Whereabouts | None = None) -> str:
    """The text of a client's error that may leave the client, in one printable line; without ``where`` any place may be named.

    >>> public_text(EncodingError("|entry| 1.3 exceeds the bound 1.0"))
    'details stay with the party'
    >>> public_text(errors.IntegrityError("examples: in round 2 a sum of 5 counts cannot be 113"))
    'examples: in round 2 a sum of # counts cannot be #'
    """
    return AT_HOME if isinstance(error, WHOLLY_PRIVATE) else without_numbers(cut(visible(error, MAX_TEXT)), where)


def without_numbers(text: str, where: Whereabouts | None = None) -> str:
    """The text with every number that names no place replaced by a sign of fixed length.

    >>> without_numbers("¹¹³ in attempt 1, attempt 1, attempt 3", Whereabouts("client-2", "commit", Position(1, 1), 4))
    '# in attempt 1, attempt #, attempt #'
    """
    shown: list[tuple[str, int]] = []

    def put(found: re.Match[str]) -> str:
        if not found["place"]:
            return HIDDEN
        what, number = found["what"], int(found["number"])
        if where is not None and not where.names(what, number, shown):
            return f"{what}{found['gap']}{HIDDEN}"
        shown.append((what, number))
        return found["place"]

    return _NUMBER.sub(put, "".join(_SIGN if not one.isascii() and one.isnumeric() else one for one in text))


def reason(error: HeflError, where: Whereabouts) -> str:
    """The line on record for a refusal or an absence: the public text only, of any party, since it may be about a client."""
    return f"{type(error).__name__}: {public_text(error, where)}"


def public_error(error: HeflError) -> HeflError:
    """An error of the same kind that carries nothing but what may leave a client: no bound, no entry, no trace."""
    if isinstance(error, QuorumError):
        return QuorumError(public_text(error), have=error.have, need=error.need)
    return type(error)(public_text(error))


def is_public_reason(text: str, where: Whereabouts) -> bool:
    """Whether a line on record could have come from :func:`reason`."""
    kind, _, told = text.partition(": ")
    known = getattr(errors, kind, None)
    if not (isinstance(known, type) and issubclass(known, HeflError)):
        return False
    return told == AT_HOME if issubclass(known, WHOLLY_PRIVATE) else told == without_numbers(told, where)

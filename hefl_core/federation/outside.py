"""The public part of a client's refusal: the kind of error and the rule, never a number from its data.

The full text stays with the client. Every number counts as data unless it names a client, a round, an attempt or an epoch.
"""

from __future__ import annotations

import re
from typing import Final

from hefl_core import errors
from hefl_core.errors import DataError, EncodingError, HeflError, ParameterError, QuorumError

AT_HOME: Final = "details stay with the party"
WHOLLY_PRIVATE: Final = (EncodingError, DataError, ParameterError)
"""Their texts are about entries of an update or cells of a table, in words too."""
_NUMBER: Final = re.compile(
    r"(?P<place>\b(?:client-|round |attempt |epoch |epoch-)\d{1,4}\b(?!\.?\d))|[-+]?(?:\d[\w.+^-]*|\b(?:nan|inf)\b)"
)
HIDDEN: Final = "#"
MAX_TEXT: Final = 400
"""Characters of a refusal: the refusing party writes its text, and it goes on records and screens."""


def cut(text: str) -> str:
    """The beginning of a text that is too long.

    >>> len(cut("no " * 1000))
    400
    """
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def public_text(error: HeflError) -> str:
    """The text of a client's error that may leave the client.

    >>> public_text(EncodingError("|entry| 1.3 exceeds the bound 1.0"))
    'details stay with the party'
    >>> public_text(errors.IntegrityError("examples: in round 2 a sum of 5 counts cannot be 113"))
    'examples: in round 2 a sum of # counts cannot be #'
    """
    return AT_HOME if isinstance(error, WHOLLY_PRIVATE) else without_numbers(cut(str(error)))


def without_numbers(text: str) -> str:
    """The text with every number that names no place replaced by a sign of fixed length."""
    return _NUMBER.sub(lambda found: found["place"] or HIDDEN, text)


def reason(error: HeflError) -> str:
    """The line on record for a refusal or an absence: the public text only, of any party, since it may be about a client."""
    return f"{type(error).__name__}: {public_text(error)}"


def public_error(error: HeflError) -> HeflError:
    """An error of the same kind that carries nothing but what may leave a client: no bound, no entry, no trace."""
    if isinstance(error, QuorumError):
        return QuorumError(public_text(error), have=error.have, need=error.need)
    return type(error)(public_text(error))


def is_public_reason(text: str) -> bool:
    """Whether a line on record could have come from :func:`reason`."""
    kind, _, told = text.partition(": ")
    known = getattr(errors, kind, None)
    if not (isinstance(known, type) and issubclass(known, HeflError)):
        return False
    return told == AT_HOME if issubclass(known, WHOLLY_PRIVATE) else told == without_numbers(told)

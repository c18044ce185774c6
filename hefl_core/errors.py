"""Every refusal, in one tree.

HeflError
├── ParameterError(ValueError)      unsafe or inconsistent parameters             .suggestion
├── EncodingError(ValueError)       a vector does not fit (NaN, bound, head-room) .bound .found
├── WireError                       bytes refused before any HE library parses them
├── KeyUseError                     a key used where it must not be
│   ├── KeyMismatch                     labelled with another key
│   ├── KeyNotActive                    an epoch that is not active
│   ├── DecryptionRefused               a holder does not answer
│   └── SecretKeyEscape                 a secret was about to be pickled, copied or printed
├── QuorumError                     fewer partial decryptions than the threshold  .have .need
├── RoundError                      out of order, duplicate, late, equivocating, empty cohort
├── IntegrityError                  count, tag, noise or the re-added sum disagree
├── DataError(ValueError)           a data set or file that cannot be used
├── NotChecked                      a check lacks what it needs: it neither passed nor failed
├── RuntimeUnavailable              Ray, a party or a deadline
├── OutputLost                      standard output was closed, or is full        .errno
└── Stopped                         a service was told to stop; its next process resumes

A message says what was expected, what was found and what to do. What refuses raises; nothing returns False.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class HeflError(Exception):
    """Root of every error this package raises on purpose."""


class ParameterError(HeflError, ValueError):
    """Parameters are unsafe or contradict each other; ``suggestion`` says what to use instead."""

    def __init__(self, message: str, suggestion: str = "") -> None:
        super().__init__(f"{message}; {suggestion}" if suggestion else message)
        self.suggestion = suggestion


class EncodingError(HeflError, ValueError):
    """A vector does not fit the fields it should be written into."""

    def __init__(self, message: str, *, bound: float | None = None, found: float | None = None) -> None:
        super().__init__(message)
        self.bound = bound
        self.found = found


class WireError(HeflError):
    """Bytes that no homomorphic-encryption library was allowed to see."""


class KeyUseError(HeflError):
    """A key was used for something it must not do."""


class KeyMismatch(KeyUseError):
    """Objects that should belong to one key belong to different keys."""


class KeyNotActive(KeyUseError):
    """The key's epoch does not allow this operation yet, or any more."""


class DecryptionRefused(KeyUseError):
    """A share holder declines to decrypt; the message names the rule."""


class SecretKeyEscape(KeyUseError):
    """Code tried to pickle, copy or serialise a secret."""


class QuorumError(HeflError):
    """Fewer partial decryptions than the threshold asks for."""

    def __init__(self, message: str, *, have: int, need: int) -> None:
        super().__init__(message)
        self.have = have
        self.need = need


class RoundError(HeflError):
    """A message does not belong at this point of the protocol."""


class IntegrityError(HeflError):
    """A check of the result failed: count, tag, noise, or the re-added sum."""


class DataError(HeflError, ValueError):
    """A data set, file or column cannot be used as it is."""


class NotChecked(HeflError):
    """A check lacks what it needs. This is no failure: the message names what is missing and how to get it."""


class RuntimeUnavailable(HeflError):
    """Ray, a party or a deadline failed."""


class OutputLost(HeflError):
    """An output could not be written; ``errno`` is the system's reason."""

    def __init__(self, what: str, reason: OSError) -> None:
        super().__init__(f"{what}: expected to write to it, found: {reason.strerror}; give it another place")
        self.errno = reason.errno


class Stopped(HeflError):
    """The service was told to stop during its work: nothing failed, and no party is to be left out for it."""


def as_value(work: Callable[[], T]) -> T | HeflError:
    """The answer, or the error in its place: one party's refusal must not end what the others are asked.

    >>> as_value(lambda: 1)
    1
    """
    try:
        return work()
    except HeflError as error:
        return error


def _rebuild(kind: type[HeflError], args: tuple[Any, ...], state: dict[str, Any]) -> HeflError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


def _reduce(self: HeflError) -> tuple[Any, ...]:
    return _rebuild, (type(self), self.args, dict(self.__dict__))


# Errors cross process borders (Ray); those with keyword-only fields need help to be rebuilt.
HeflError.__reduce__ = _reduce  # type: ignore[method-assign,assignment]

"""Active sets, and Shamir's sharing over the integers.

Like shamir.py, but without a prime to divide by: the holders of a Paillier key must not know the order of the group that
the secret lives in. So n!·secret is shared, and every Lagrange coefficient is multiplied by n!, which makes it whole.

Source: Shamir 1979; Rabin 1998 and Damgård and Jurik 2001, section 4.1, for n!.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable

from hefl_core.errors import ParameterError, QuorumError
from hefl_core.schemes.quorum import Quorum

HIDING_BITS = 128
"""Fewer than t integer shares of two secrets differ by a statistical distance of at most 2^-128."""


def active_set(active: Iterable[int], quorum: Quorum) -> tuple[int, ...]:
    """The holders that decrypt together, in order.

    Raises: QuorumError for fewer than t; ParameterError for more, unknown or doubled ones.
    """
    members = sorted(active)
    need = quorum.threshold
    if len(set(members)) < need:
        raise QuorumError(
            f"active set: expected {need} holders, found {members}; ask more of them", have=len(set(members)), need=need
        )
    if len(members) != need or not all(1 <= member <= quorum.holders for member in members):
        raise ParameterError(
            f"active set: expected {need} different holders of 1..{quorum.holders}, found {members}", "name exactly t"
        )
    return tuple(members)


def integer_lagrange(active: Iterable[int], holders: int) -> dict[int, int]:
    """n!·λ_i for each holder i of the active set, integers of either sign: Σ n!·λ_i·f(i) = n!·f(0).

    Raises: ParameterError for doubled holders or ones outside 1..n.

    >>> integer_lagrange({1, 2, 5}, 5)
    {1: 300, 2: -200, 5: 20}
    """
    members = sorted(active)
    if len(set(members)) != len(members) or not all(1 <= member <= holders for member in members):
        raise ParameterError(f"active set: expected different holders of 1..{holders}, found {members}")
    whole = math.factorial(holders)
    result = {}
    for i in members:
        others = [j for j in members if j != i]
        # Exact: Π|i - j| over any holders j divides (i-1)!·(n-i)!, which divides n!.
        result[i] = whole * math.prod(-j for j in others) // math.prod(i - j for j in others)
    return result


def share_integer(secret: int, quorum: Quorum, limit: int) -> tuple[int, ...]:
    """Shares of holders 1..n of n!·secret over the integers, 0 ≤ secret < ``limit`` (public).

    The random coefficients are below n!·limit·t·2^128. Another secret explains the same t - 1 shares after a change of
    all coefficients by together at most n!·limit·t, since Π(1 + 1/j) over j = 1..t-1 is t: that is the hiding distance.

    Leaks: to fewer than t holders nothing about the secret beyond ``limit``, up to a statistical distance of 2^-128.
    Raises: ParameterError for a secret out of range.
    Source: Rabin 1998, section 3.
    """
    if not 0 <= secret < limit:
        raise ParameterError("sharing: expected a secret below its public limit, found one beyond")
    whole = math.factorial(quorum.holders)
    room = whole * limit * quorum.threshold << HIDING_BITS
    polynomial = [whole * secret, *(secrets.randbelow(room) for _ in range(quorum.threshold - 1))]
    return tuple(_value(polynomial, i) for i in range(1, quorum.holders + 1))


def _value(polynomial: list[int], x: int) -> int:
    """Horner's rule."""
    result = 0
    for coefficient in reversed(polynomial):
        result = result * x + coefficient
    return result

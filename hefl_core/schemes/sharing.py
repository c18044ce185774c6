"""Shamir's secret sharing: a polynomial of degree t - 1, its value at 0 the secret, its value at i the share of holder i.

Two homes for the polynomial: a prime field (for residues of ring keys), and the integers, where the group order that the
secret lives in must stay unknown to the holders (Paillier). Over the integers one cannot divide, so n!·secret is shared
and every Lagrange coefficient is multiplied by n!, which makes it whole.

Source: Shamir 1979; Rabin 1998 and Damgård and Jurik 2001, section 4.1, for n!.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable

import gmpy2

from hefl_core.errors import ParameterError, QuorumError
from hefl_core.schemes.quorum import Quorum

HIDING_BITS = 128
"""Fewer than t integer shares of two secrets differ by a statistical distance of at most 2^-128."""


def active_set(active: Iterable[int], quorum: Quorum) -> tuple[int, ...]:
    """The holders who decrypt together, in order.

    Raises: QuorumError for fewer than t; ParameterError for more, strangers or doubles.
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


def lagrange_at_zero(active: Iterable[int], prime: int) -> dict[int, int]:
    """λ_i for each holder i of the active set: Σ λ_i·f(i) = f(0) modulo ``prime``.

    Raises: ParameterError for doubles, or holders that are 0 modulo the prime.

    >>> lagrange_at_zero({1, 2, 5}, 97) == {1: 51, 2: 63, 5: 81}
    True
    """
    members = sorted(active)
    if len({member % prime for member in members} - {0}) != len(members):
        raise ParameterError(f"active set: expected different holders, none of them 0, found {members}")
    result = {}
    for i in members:
        others = [j for j in members if j != i]
        over, under = math.prod(-j for j in others), math.prod(i - j for j in others)
        result[i] = over * pow(under, -1, prime) % prime
    return result


def integer_lagrange(active: Iterable[int], holders: int) -> dict[int, int]:
    """n!·λ_i for each holder i of the active set, integers of either sign: Σ n!·λ_i·f(i) = n!·f(0).

    Raises: ParameterError for doubles or holders outside 1..n.

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
        result[i] = whole * math.prod(-j for j in others) // math.prod(i - j for j in others)
    return result


def share_residue(secret: int, quorum: Quorum, prime: int) -> tuple[int, ...]:
    """Shares of holders 1..n of a residue modulo a prime above n; fewer than t of them say nothing about it.

    Raises: ParameterError unless 0 ≤ secret < prime, n < prime, and the prime is one.
    """
    if not (0 <= secret < prime and quorum.holders < prime and gmpy2.is_prime(prime)):
        raise ParameterError(f"sharing: expected a secret below a prime above {quorum.holders}, found modulus {prime}")
    polynomial = [secret, *(secrets.randbelow(prime) for _ in range(quorum.threshold - 1))]
    return tuple(_value(polynomial, i) % prime for i in range(1, quorum.holders + 1))


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

"""Shamir sharing of ring elements: one polynomial f per coefficient and prime, f(0) the secret, holder i gets f(i).

Source: Shamir 1979; over R_q with the points 1..n, whose differences are invertible because every prime exceeds n.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hefl_core.errors import IntegrityError
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.ring import rlwe
from hefl_core.schemes.ring.rlwe import Residues


def split(secret: Residues, primes: tuple[int, ...], quorum: Quorum) -> tuple[Residues, ...]:
    """Shares f(1) … f(n) of a polynomial of degree t - 1 with fresh random coefficients. Shapes: (L, N) each."""
    # Coefficients uniform modulo p make any t - 1 values independent of f(0): that is the whole secrecy.
    higher = [rlwe.uniform(primes, secret.shape[-1]) for _ in range(quorum.threshold - 1)]
    return tuple(_evaluate([secret, *higher], x, primes) for x in range(1, quorum.holders + 1))


def _evaluate(coefficients: Sequence[Residues], x: int, primes: tuple[int, ...]) -> Residues:
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = add(scale(value, [x] * len(primes), primes), coefficient, primes)
    return value


def lagrange(active: Iterable[int], index: int, p: int) -> int:
    """λ with Σ λ_i·f(i) = f(0) over the active set, modulo p.

    >>> p = 101
    >>> [lagrange((1, 2, 5), i, p) for i in (1, 2, 5)], sum(lagrange((1, 2, 5), i, p) for i in (1, 2, 5)) % p
    ([53, 32, 17], 1)
    """
    above, below = 1, 1
    for other in active:
        if other != index:
            above, below = above * other % p, below * (other - index) % p
    return above * pow(below, -1, p) % p


def scale(x: Residues, factors: Sequence[int], primes: tuple[int, ...]) -> Residues:
    """Each row times its own number. Shapes: (L, N) to (L, N)."""
    rows = [
        rlwe.multiply(row, rlwe.fix(np.array([factor], dtype=np.uint64), p), p)
        for row, factor, p in zip(x, factors, primes, strict=True)
    ]
    return np.stack(rows)


def add(a: Residues, b: Residues, primes: tuple[int, ...]) -> Residues:
    """Sum of two ring elements."""
    return np.stack([rlwe.plus(x, y, p) for x, y, p in zip(a, b, primes, strict=True)])


def to_bytes(element: Residues, primes: tuple[int, ...]) -> bytes:
    """Canonical bytes: row after row, each word in as many bytes as its prime needs, little-endian."""
    raw = np.ascontiguousarray(element, dtype="<u8").view(np.uint8).reshape(*element.shape, 8)
    return b"".join(raw[row, :, : width(p)].tobytes() for row, p in enumerate(primes))


def from_bytes(data: bytes, primes: tuple[int, ...], degree: int, what: str) -> Residues:
    """Read :func:`to_bytes`. Raises: IntegrityError for another length or a residue that is not below its prime."""
    expected = degree * sum(width(p) for p in primes)
    if len(data) != expected:
        raise IntegrityError(f"{what}: expected {expected} bytes, found {len(data)}; ask the sender again")
    raw = np.zeros((len(primes), degree, 8), dtype=np.uint8)
    start = 0
    for row, p in enumerate(primes):
        part = np.frombuffer(data, dtype=np.uint8, count=degree * width(p), offset=start)
        raw[row, :, : width(p)] = part.reshape(degree, width(p))
        start += len(part)
    words: Residues = raw.view("<u8").reshape(len(primes), degree)
    # Residues from p on would be second encodings of one element.
    if np.any(words >= np.array(primes, dtype=np.uint64)[:, None]):
        raise IntegrityError(f"{what}: expected residues below their primes, found a larger one; ask the sender again")
    return words


def width(p: int) -> int:
    """Bytes of one residue."""
    return -(-p.bit_length() // 8)

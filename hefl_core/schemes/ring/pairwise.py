"""Masks that cancel: every two holders of an active set share a seed; one adds what the other subtracts.

Without masks, the answers of two honest holders can be read one by one. An answer λ_i·c1·s_i + e_i hides the noise v of
the sum only if it is the last missing piece. To t - 1 others that are not all in the set, it is b·v + e_i with a fraction
b = x/y modulo q; y times it tells v modulo y, whatever the flooding: the key of 6 of 10 after one sum, with y = 156 800.
With masks, only the sum of all honest answers tells anything, and in that v stands once, whole.

A share carries a seed for every other holder: from the dealer, or from the halves that two parties dealt to each other.

Source: Bonawitz et al. 2017 (Practical Secure Aggregation), section 4, for masks of pairs; the attack is measured in
tests/security/test_threshold_attacks.py.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hefl_core.errors import IntegrityError
from hefl_core.ids import digest
from hefl_core.schemes.ring import rlwe, shamir
from hefl_core.schemes.ring.rlwe import Residues
from hefl_core.wire.canonical import encode

SEED_BYTES: Final = 32


@dataclass(frozen=True)
class Opened:
    """A share's material: the Shamir point, and a seed for each holder 1..n (zeros for its own). Hidden when printed."""

    element: Residues = field(repr=False)
    seeds: tuple[bytes, ...] = field(repr=False)


def deal_seeds(holders: int) -> tuple[bytes, ...]:
    """For each holder its row of a symmetric table of fresh seeds."""
    table = [[bytes(SEED_BYTES)] * holders for _ in range(holders)]
    for i in range(holders):
        for j in range(i):
            table[i][j] = table[j][i] = os.urandom(SEED_BYTES)
    return tuple(b"".join(row) for row in table)


def halves(holders: int, index: int) -> tuple[bytes, ...]:
    """What party ``index`` deals without a dealer: half a seed to each holder, to itself the row of all its halves."""
    sent = [bytes(SEED_BYTES) if j == index else os.urandom(SEED_BYTES) for j in range(1, holders + 1)]
    return tuple(b"".join(sent) if j == index else sent[j - 1] for j in range(1, holders + 1))


def join(index: int, received: Sequence[bytes]) -> bytes:
    """Holder ``index``'s row from the halves that it sent (its own entry) and received. Raises: IntegrityError."""
    sent = received[index - 1]
    sizes = [SEED_BYTES * len(received) if j == index else SEED_BYTES for j in range(1, len(received) + 1)]
    if [len(part) for part in received] != sizes:
        raise IntegrityError("joint key: expected half a seed of each client, found another length; start again")
    row = [bytes(SEED_BYTES)] * len(received)
    for j, theirs in enumerate(received, 1):
        mine = sent[SEED_BYTES * (j - 1) : SEED_BYTES * j]
        # Both ends hash the same bytes because the lower holder's half comes first.
        if j != index:
            row[j - 1] = digest(b"hefl/pair", *((mine, theirs) if index < j else (theirs, mine)))
    return b"".join(row)


def split(material: bytes, primes: tuple[int, ...], degree: int) -> tuple[bytes, bytes]:
    """A ring element's bytes, and the bytes after them."""
    size = degree * sum(shamir.width(p) for p in primes)
    return material[:size], material[size:]


def open_share(material: bytes, primes: tuple[int, ...], degree: int, holders: int, what: str) -> Opened:
    """Read a share. Raises: IntegrityError for another length or a residue that is not below its prime."""
    point, row = split(material, primes, degree)
    element = shamir.from_bytes(point, primes, degree, what)
    if len(row) != SEED_BYTES * holders:
        raise IntegrityError(f"{what}: expected {holders} seeds after the share, found {len(row)} bytes; ask again")
    return Opened(element, tuple(row[start : start + SEED_BYTES] for start in range(0, len(row), SEED_BYTES)))


def mask(
    seeds: Sequence[bytes], index: int, members: Sequence[int], label: bytes, primes: tuple[int, ...], degree: int
) -> Residues:
    """Mask that holder ``index`` adds for one ``label`` (key and c1) in this set; the masks of all members sum to zero.

    Shapes: uint64 (L, N), uniform to a party that lacks one of the seeds.
    """
    total = np.zeros((len(primes), degree), dtype=np.uint64)
    for other in members:
        if other != index:
            both = of_pair(seeds[other - 1], members, label, primes, degree)
            # The lower of two adds, the higher subtracts: over the whole set each pair cancels.
            change = rlwe.plus if index < other else rlwe.minus
            total = np.stack([change(a, b, p) for a, b, p in zip(total, both, primes, strict=True)])
    return total


def of_pair(seed: bytes, members: Sequence[int], label: bytes, primes: tuple[int, ...], degree: int) -> Residues:
    """Mask that the lower of two holders adds and the higher subtracts. Shapes: uint64 (L, N)."""
    return rlwe.expand(digest(b"hefl/pair/mask", seed, encode(tuple(members)), label), primes, degree)

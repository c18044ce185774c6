"""Do two key epochs have one secret? An imprint of a secret tells that, and nothing else about it.

Individual custody: SHA-256 of the key's polynomial in its least turn (multiples by ±X^j count as one secret); the polynomial
has far too much entropy to guess. Collective custody, where no party has the polynomial and a fresh sharing hides an old
secret: t holders answer, flooded as for a sum, for a c1 that a public label gives by SHAKE-256. So no party
chooses that c1, it is no client's, and under one key it always has the same active set. The answers add up to c1·s + e:
those of one secret differ by the flooding, those of two secrets by something uniform.

One holder that is not there must not blind the comparison, and no c1 may have two active sets: there are several sets, each
with a c1 of its own, the same one under every key. Two epochs are compared by any set that was there in both.

A Paillier secret is the modulus' factors: :func:`share_a_factor` compares public keys.

Leaks: whether two imprints under one label are of one secret, or of its ±X^j-th multiple. A secret derived from another
one in any other way is not recognised.
Source: the answer is threshold.py's, Asharov et al. 2012; a sum of answers is a Ring-LWE sample with wide noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Final

import gmpy2
import numpy as np
import numpy.typing as npt

from hefl_core.errors import IntegrityError
from hefl_core.ids import digest
from hefl_core.schemes.base import CiphertextVector, PublicKey, SecretShare, expose_secret
from hefl_core.schemes.paillier.keys import open_public
from hefl_core.schemes.presets import PaillierPreset, RingPreset, key_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import load_preset
from hefl_core.schemes.ring import rlwe, seal, shamir, threshold
from hefl_core.schemes.ring.seal import Ring

LOOKED_AT: Final = 64
"""Coefficients compared, in each of 2N turns: flooding is less than q/1000, so that chance agrees with less than 2^-500."""
FLOAT_ERROR: Final = 1e-9
"""Of a fraction of q in float64, with a wide margin."""


MOST_SETS: Final = 12
"""Active sets of one key: a part of each is as large as a part of a sum."""


def active_sets(quorum: Quorum) -> tuple[tuple[int, ...], ...]:
    """The sets that answer under a key, each for its own c1: all, or, of many, 12 of t holders in a row at even distances.

    >>> active_sets(Quorum(2, 3)), len(active_sets(Quorum(3, 5))), active_sets(Quorum(6, 12))[:2]
    (((1, 2), (1, 3), (2, 3)), 10, ((1, 2, 3, 4, 5, 6), (4, 5, 6, 7, 8, 9)))
    """
    if not quorum.collective:
        return ()
    holders = range(1, quorum.holders + 1)
    if math.comb(quorum.holders, quorum.threshold) <= MOST_SETS:
        return tuple(combinations(holders, quorum.threshold))
    # Each holder is outside of two, if 12 sets suffice for that: one that is missing leaves others.
    spare = quorum.holders - quorum.threshold
    count = min(2 * -(-quorum.holders // spare), quorum.holders, MOST_SETS)
    starts = [number * quorum.holders // count for number in range(count)]
    return tuple(
        tuple(sorted((start + step) % quorum.holders + 1 for step in range(quorum.threshold))) for start in starts
    )


def imprint(share: SecretShare, label: bytes) -> tuple[bytes, ...]:
    """This holder's parts of its key's imprint, one for each active set, empty where it is not in it.

    Under individual custody the one whole imprint; nothing for Paillier and plaintext.
    """
    preset = key_preset(load_preset(share.id.preset), share.quorum)
    if not isinstance(preset, RingPreset):
        return ()
    ring = seal.open_ring(preset)
    if not share.quorum.collective:
        primes = rlwe.data_primes(ring)
        whole = rlwe.inverse_ntt(rlwe.read_secret_key(ring, expose_secret(share))[:1], primes[:1])[0]
        # One prime suffices: coefficients are -1, 0, 1. X^N = -1, so X^j turns the circle of s and -s.
        signed = np.where(whole > primes[0] // 2, whole.astype(np.int64) - primes[0], whole.astype(np.int64))
        return (digest(b"hefl/imprint", label, _least_turn(np.concatenate([signed, -signed]).tolist())),)
    questions = [(_question(ring, share, label, at), chosen) for at, chosen in enumerate(active_sets(share.quorum))]
    return tuple(
        threshold.partial_decrypt(preset, ring, share, question, chosen).blocks[0] if share.index in chosen else b""
        for question, chosen in questions
    )


def _question(ring: Ring, share: SecretShare, label: bytes, number: int) -> CiphertextVector:
    """A ciphertext of nothing whose c1 is the label's, for the active set of this number."""
    seed = digest(label, number.to_bytes(8, "big"))
    c1 = rlwe.expand(b"hefl/imprint" + seed, rlwe.data_primes(ring), ring.degree)
    # A partial decryption uses c1 only; c0 may be anything.
    block = rlwe.write_ciphertext(ring, np.stack([c1, c1]))
    return CiphertextVector(share.id, 1, 0, False, None, 2, 2, (block,))


def whole_imprint(preset: RingPreset, quorum: Quorum, parts: Sequence[bytes]) -> bytes:
    """One set's parts as one, or one key's copies. Raises: IntegrityError when copies of one key differ, or a part is damaged."""
    if not quorum.collective:
        if len(set(parts)) != 1:
            raise IntegrityError(f"imprint: expected one of one key, found {len(set(parts))}; holders have other keys")
        return parts[0]
    ring = seal.open_ring(preset)
    primes = rlwe.data_primes(ring)
    total = np.zeros((len(primes), ring.degree), dtype=np.uint64)
    for number, part in enumerate(parts, 1):
        total = shamir.add(total, shamir.from_bytes(part, primes, ring.degree, f"imprint of {number}"), primes)
    return shamir.to_bytes(total, primes)


def of_one_secret(preset: RingPreset, quorum: Quorum, a: bytes, b: bytes) -> bool:
    """Whether two whole imprints under one label are of one secret. Raises: IntegrityError for damaged ones."""
    if not quorum.collective:
        return a == b
    ring = seal.open_ring(preset)
    primes = rlwe.data_primes(ring)
    x, y = (shamir.from_bytes(part, primes, ring.degree, "imprint") for part in (a, b))
    if ring.plain_modulus == 0:  # CKKS ciphertexts are kept as NTT values
        x, y = rlwe.inverse_ntt(x, primes), rlwe.inverse_ntt(y, primes)
    # Two sums of t floodings, each within ±2^f, differ by at most 2·t·2^f.
    flooding = (2 * quorum.threshold << preset.flood_bits) / threshold.modulus(ring)
    one, other = _fractions(x, primes)[:LOOKED_AT], _fractions(y, primes)
    around = np.concatenate([other, -other, other[: LOOKED_AT - 1]])  # X^j turns this circle of 2N, -1 half of it
    apart = np.lib.stride_tricks.sliding_window_view(around, LOOKED_AT) - one
    return bool(np.any(np.all(np.abs(apart - np.rint(apart)) <= flooding + FLOAT_ERROR, axis=1)))


def _fractions(residues: rlwe.Residues, primes: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """The numbers with these residues, over q, modulo 1. Shapes: (L, n) to (n,)."""
    whole = math.prod(primes)
    found = np.zeros(residues.shape[1])
    for row, p in zip(residues, primes, strict=True):
        found += rlwe.multiply(row, rlwe.fix(np.array([pow(whole // p, -1, p)], dtype=np.uint64), p), p) / p
    return np.asarray(found % 1.0)


def _least_turn(circle: list[int]) -> bytes:
    """The turn of a circle of numbers that is least in order: the same for all its turns (Booth 1980)."""
    size, i, j, k = len(circle), 0, 1, 0
    while i < size and j < size and k < size:
        a, b = circle[(i + k) % size], circle[(j + k) % size]
        if a == b:
            k += 1
            continue
        # The k + 1 starts from the larger one on are all beaten by starts from the smaller one on.
        if a > b:
            i += k + 1
        else:
            j += k + 1
        j, k = j + (i == j), 0
    start = min(i, j)
    return np.array(circle[start:] + circle[:start], dtype="<i8").tobytes()


def share_a_factor(a: PublicKey, b: PublicKey) -> bool:
    """Whether the secret of one Paillier key opens the other too. Raises: WireError, ParameterError."""
    preset = load_preset(a.id.preset)
    if not isinstance(preset, PaillierPreset):
        return False
    return bool(gmpy2.gcd(open_public(preset, a.material).n, open_public(preset, b.material).n) != 1)

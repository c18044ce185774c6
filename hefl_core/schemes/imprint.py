"""Do two key epochs have one secret? An imprint of a secret tells that, and tells nothing else of it.

Alone: SHA-256 of the key's polynomial, which has far more entropy than anybody can guess. Together, where nobody has the
polynomial and a fresh sharing hides an old secret: the first t holders answer, flooded as for a sum, for one c1 that a public
label gives by SHAKE-256. So nobody chooses that c1, it is no client's, and it has one active set for ever. Their answers add up to
c1·s + e: those of one secret differ by the flooding, those of two secrets by something uniform.

A Paillier secret is the modulus' factors: :func:`share_a_factor` compares public keys.

Leaks: whether two imprints under one label are of one secret. A secret derived from another one is not recognised.
Source: the answer is threshold.py's, Asharov et al. 2012; a sum of answers is a Ring-LWE sample with wide noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import gmpy2
import numpy as np

from hefl_core.errors import IntegrityError
from hefl_core.ids import digest
from hefl_core.schemes import rlwe, seal, shamir, threshold
from hefl_core.schemes.base import CiphertextVector, PublicKey, SecretShare, expose_secret
from hefl_core.schemes.paillier_keys import open_public
from hefl_core.schemes.presets import PaillierPreset, RingPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import load_preset
from hefl_core.schemes.seal import Ring

LOOKED_AT: Final = 64
"""Coefficients compared: two uniform ones are near each other by chance with less than 2^-64."""


def imprint(share: SecretShare, label: bytes) -> bytes:
    """This holder's part of its key's imprint; empty where it has none (Paillier, plaintext, past the first t holders)."""
    preset = load_preset(share.id.preset)
    if not isinstance(preset, RingPreset) or share.index > share.quorum.threshold > 1:
        return b""
    ring = seal.open_ring(preset)
    if not share.quorum.collective:
        whole = rlwe.read_secret_key(ring, expose_secret(share))[: len(rlwe.data_primes(ring))]
        return digest(b"hefl/imprint", label, np.ascontiguousarray(whole, dtype="<u8").tobytes())
    first = range(1, share.quorum.threshold + 1)
    return threshold.partial_decrypt(preset, ring, share, _question(ring, share, label), first).blocks[0]


def _question(ring: Ring, share: SecretShare, label: bytes) -> CiphertextVector:
    """A ciphertext of nothing whose c1 is the label's."""
    c1 = rlwe.expand(b"hefl/imprint" + hashlib.sha256(label).digest(), rlwe.data_primes(ring), ring.degree)
    block = rlwe.write_ciphertext(ring, np.stack([c1, c1]))
    return CiphertextVector(share.id, 1, 0, False, None, 2, 2, (block,))


def whole_imprint(preset: RingPreset, quorum: Quorum, parts: Sequence[bytes]) -> bytes:
    """The holders' parts as one. Raises: IntegrityError when copies of one key differ, or a part is damaged."""
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
    apart = np.stack([rlwe.minus(one, other, p) for one, other, p in zip(x, y, primes, strict=True)])
    if ring.plain_modulus == 0:  # CKKS ciphertexts are kept as NTT values
        apart = rlwe.inverse_ntt(apart, primes)
    flooding = 2 * quorum.threshold << preset.flood_bits
    return all(abs(value) <= flooding for value in _centred(apart[:, :LOOKED_AT], primes))


def _centred(residues: rlwe.Residues, primes: tuple[int, ...]) -> list[int]:
    """The numbers of smallest size with these residues. Shapes: (L, n) to n."""
    whole = int(np.prod(np.array(primes, dtype=object)))
    units = [whole // p * pow(whole // p, -1, p) for p in primes]
    found = [sum(int(r) * unit for r, unit in zip(column, units, strict=True)) % whole for column in residues.T]
    return [value - whole if value > whole // 2 else value for value in found]


def share_a_factor(a: PublicKey, b: PublicKey) -> bool:
    """Whether whoever opens one of two Paillier keys opens the other. Raises: WireError, ParameterError."""
    preset = load_preset(a.id.preset)
    if not isinstance(preset, PaillierPreset):
        return False
    return bool(gmpy2.gcd(open_public(preset, a.material).n, open_public(preset, b.material).n) != 1)

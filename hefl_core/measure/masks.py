"""The mask of a ciphertext hides its plaintext and must never be reused. Read, and planted with faults, without a secret.

The mask of a ring ciphertext is c1; that of a Paillier ciphertext (1 + n)^m·r^n modulo n² is r^n modulo n. Masks are compared
as families (:func:`masks_of`). Other relations, such as multiples or sums of several masks, are not detected.
"""

from __future__ import annotations

from typing import Final

import gmpy2
import numpy as np

from hefl_core.errors import ParameterError
from hefl_core.ids import digest
from hefl_core.schemes.base import CiphertextVector, PublicKey
from hefl_core.schemes.paillier.keys import Modulus, open_public
from hefl_core.schemes.presets import PaillierPreset, RingPreset
from hefl_core.schemes.registry import load_preset
from hefl_core.schemes.ring import blocks, rlwe, seal, threshold


def masks_of(key: PublicKey, vector: CiphertextVector) -> tuple[bytes, ...]:
    """A digest of each block's mask, the same for all masks of one family.

    Ring: a mask, its negative, and their images under X^j or an automorphism have the same coefficients up to order and
    sign. Paillier: a mask, its negative and their inverses. Two ciphertexts of one family can be related without a key.
    Raises: WireError for bytes that are no ciphertext; ParameterError for plaintext.
    """
    preset = load_preset(key.id.preset)
    if isinstance(preset, RingPreset):
        ring = seal.open_ring(preset)
        return tuple(_family(_coefficients(ring, words[1]), ring) for words in _residues(preset, vector))
    modulus = _modulus(key)
    return tuple(digest(str(_least(int(c % modulus.n), int(modulus.n))).encode()) for c in modulus.read(vector.blocks))


def _family(coefficients: rlwe.Residues, ring: seal.Ring) -> bytes:
    primes = np.array(rlwe.data_primes(ring), dtype=np.uint64)[:, None]
    return digest(np.sort(np.minimum(coefficients, primes - coefficients), axis=1).astype("<u8").tobytes())


def _coefficients(ring: seal.Ring, polynomial: rlwe.Residues) -> rlwe.Residues:
    """CKKS ciphertexts are kept as NTT values."""
    return polynomial if ring.plain_modulus else rlwe.inverse_ntt(polynomial, rlwe.data_primes(ring))


def _least(mask: int, n: int) -> int:
    """Of a mask, its inverse, and the negatives of both."""
    inverse = int(gmpy2.invert(mask, n))
    return min(mask, n - mask, inverse, n - inverse)


NOISY: Final = 0.2
"""Mean distance of uniform numbers from the nearest whole one is 1/4: below 1/5 on N ≥ 1024 with less than 2^-88."""


def opens_without_key(key: PublicKey, vector: CiphertextVector) -> bool:
    """Whether a block reveals its plaintext: c0 near whole plaintexts, or a Paillier block without r^n.

    Raises: as :func:`masks_of`.
    """
    preset = load_preset(key.id.preset)
    if isinstance(preset, RingPreset):
        ring = seal.open_ring(preset)
        return any(_distance(ring, words[0]) < NOISY for words in _residues(preset, vector))
    modulus = _modulus(key)
    return any(int(c % modulus.n) in (1, int(modulus.n) - 1) for c in modulus.read(vector.blocks))


def _distance(ring: seal.Ring, c0: rlwe.Residues) -> float:
    return float(np.mean(np.abs(threshold.invariant_noise(ring, _coefficients(ring, c0)))))


def under_related_mask_of(key: PublicKey, one: CiphertextVector, other: CiphertextVector) -> tuple[bytes, ...]:
    """Broken: ``other``'s blocks under -X times ``one``'s masks, or their inverses (Paillier). Raises: as :func:`masks_of`."""
    preset = load_preset(key.id.preset)
    if isinstance(preset, RingPreset):
        ring = seal.open_ring(preset)
        pairs = zip(_residues(preset, one), _residues(preset, other), strict=True)
        return tuple(blocks.write(preset, ring, np.stack([b[0], _turned(ring, a[1])])) for a, b in pairs)
    modulus = _modulus(key)
    square = modulus.n**2
    return tuple(modulus.write(gmpy2.invert(c, square) * (1 + modulus.n) % square) for c in modulus.read(one.blocks))


def _turned(ring: seal.Ring, polynomial: rlwe.Residues) -> rlwe.Residues:
    """-X times the polynomial, as the ring's ciphertexts have it."""
    primes = rlwe.data_primes(ring)
    column = np.array(primes, dtype=np.uint64)[:, None]
    rolled = np.roll(_coefficients(ring, polynomial), 1, axis=1)
    # Minus zero is zero: p itself is no residue.
    turned = np.where(rolled > 0, column - rolled, rolled)
    turned[:, 0] = rolled[:, 0]  # X^N = -1: the wrapped coefficient changes its sign twice
    return turned if ring.plain_modulus else rlwe.ntt(turned, primes)


def without_key(key: PublicKey, vector: CiphertextVector) -> tuple[bytes, ...]:
    """Broken: c0 holds only scaled plaintexts, c1 is unchanged: well formed, and readable without a key.

    A Paillier block is (1 + n)^m. Raises: as :func:`masks_of`.
    """
    preset = load_preset(key.id.preset)
    if not isinstance(preset, RingPreset):
        return without_mask(key, vector)
    ring = seal.open_ring(preset)
    whole, primes = threshold.modulus(ring), rlwe.data_primes(ring)
    plain = range(ring.degree)
    c0 = [m * whole // ring.plain_modulus if ring.plain_modulus else m << 20 for m in plain]
    rows = np.array([[value % p for value in c0] for p in primes], dtype=np.uint64)
    rows = rows if ring.plain_modulus else rlwe.ntt(rows, primes)
    return tuple(blocks.write(preset, ring, np.stack([rows, words[1]])) for words in _residues(preset, vector))


def under_mask_of(key: PublicKey, one: CiphertextVector, other: CiphertextVector) -> tuple[bytes, ...]:
    """Broken: ``other``'s blocks as they would be with ``one``'s masks. Raises: as :func:`masks_of`."""
    preset = load_preset(key.id.preset)
    if isinstance(preset, RingPreset):
        ring = seal.open_ring(preset)
        pairs = zip(_residues(preset, one), _residues(preset, other), strict=True)
        return tuple(blocks.write(preset, ring, np.stack([b[0], a[1]])) for a, b in pairs)
    modulus = _modulus(key)
    return tuple(modulus.write(c * (1 + modulus.n) % modulus.n**2) for c in modulus.read(one.blocks))


def without_mask(key: PublicKey, vector: CiphertextVector) -> tuple[bytes, ...]:
    """Broken: blocks whose c0 holds small numbers, c1 unchanged; a Paillier block is (1 + n)^m. Raises: as :func:`masks_of`."""
    preset = load_preset(key.id.preset)
    if isinstance(preset, RingPreset):
        ring = seal.open_ring(preset)
        return tuple(
            blocks.write(preset, ring, np.stack([words[0] & np.uint64(0xFFFF), words[1]]))
            for words in _residues(preset, vector)
        )
    modulus = _modulus(key)
    return tuple(modulus.write(1 + (c % 2**16) * modulus.n) for c in modulus.read(vector.blocks))


def with_low_bits_of_zero(key: PublicKey, vector: CiphertextVector) -> tuple[bytes, ...]:
    """Broken: the low byte of each c1 (Paillier: of c mod n) is zero; its size is as it should be. Raises: as :func:`masks_of`."""
    preset = load_preset(key.id.preset)
    if isinstance(preset, RingPreset):
        ring = seal.open_ring(preset)
        return tuple(
            blocks.write(preset, ring, np.stack([words[0], words[1] & ~np.uint64(0xFF)]))
            for words in _residues(preset, vector)
        )
    modulus = _modulus(key)
    return tuple(modulus.write(c - c % modulus.n % 256) for c in modulus.read(vector.blocks))


def _residues(preset: RingPreset, vector: CiphertextVector) -> list[rlwe.Residues]:
    ring, fresh = seal.open_ring(preset), vector.terms == 1
    return [blocks.read(preset, ring, block, "block", fresh=fresh) for block in vector.blocks]


def _modulus(key: PublicKey) -> Modulus:
    preset = load_preset(key.id.preset)
    if not isinstance(preset, PaillierPreset):
        raise ParameterError(f"masks: expected a scheme that encrypts, found {preset.name}", "plaintext has no mask")
    return open_public(preset, key.material)

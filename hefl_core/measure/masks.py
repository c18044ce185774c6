"""The mask of a ciphertext hides its plaintext and must never be reused. Read, and planted with faults, without a secret.

The mask of a ring ciphertext is c1, that of one-time keys the c1 with which the key travels; that of a Paillier ciphertext
(1 + n)^m·r^n modulo n² is r^n modulo n. Masks are compared as families (:func:`masks_of`). What hides a one-time body is a_j·s
for a public a_j: two bodies of one key s show in their difference (:func:`bodies_of_one_key`). Other relations, such as
multiples or sums of several masks, are not detected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, cast

import gmpy2
import numpy as np
import numpy.typing as npt

from hefl_core.errors import ParameterError
from hefl_core.ids import digest
from hefl_core.schemes.base import CiphertextVector, PublicKey, Scheme
from hefl_core.schemes.onetime.scheme import OneTimeScheme
from hefl_core.schemes.onetime.transport import Transport
from hefl_core.schemes.paillier.keys import Modulus, open_public
from hefl_core.schemes.presets import PaillierPreset, RingPreset, key_preset
from hefl_core.schemes.registry import load_preset, open_scheme
from hefl_core.schemes.ring import blocks, rlwe, seal, threshold


def masks_of(key: PublicKey, vector: CiphertextVector) -> tuple[bytes, ...]:
    """A digest of each block's mask, the same for all masks of one family.

    Ring: a mask, its negative, and their images under X^j or an automorphism have the same coefficients up to order and
    sign. Paillier: a mask, its negative and their inverses. Two ciphertexts of one family can be related without a key.
    Raises: WireError for bytes that are no ciphertext; ParameterError for plaintext.
    """
    if (parts := _Parts.of(key)) is not None:
        return tuple(_family(_coefficients(parts.ring, words[1]), parts.ring) for words in parts.read(vector))
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


FALSE_ALARM: Final = 1e-13
"""Of one vector, or of all pairs of bodies under one key: a run of thousands of uploads stays below 1e-9."""


def opens_without_key(key: PublicKey, vector: CiphertextVector) -> bool:
    """Whether a part of a block reveals its plaintext: c0 near whole plaintexts, a body near whole multiples of Δ, or a
    Paillier block without r^n.

    A bare share of a block shows, of 1,024 numbers 3 %, of 300 words of a body, which an error hides a little, a fifth.
    Raises: as :func:`masks_of`.
    """
    if (parts := _Parts.of(key)) is not None:
        near = [2 * _distance(parts.ring, words[0])[: parts.used] for words in parts.read(vector)]
        if (body := _body(key, vector)) is not None:
            near += [_nearness(key, body[start : start + parts.used]) for start in range(0, len(body), parts.used)]
        return any(_too_near(one, FALSE_ALARM / len(near)) for one in near)
    modulus = _modulus(key)
    return any(int(c % modulus.n) in (1, int(modulus.n) - 1) for c in modulus.read(vector.blocks))


def bodies_of_one_key(key: PublicKey, vectors: Sequence[CiphertextVector]) -> list[tuple[int, int]]:
    """The pairs of one-time bodies whose difference lies near whole multiples of Δ: one key hid both, or nearly one.

    Of many and long bodies the first words, :data:`MOST_WORDS` in all pairs. Raises: WireError; KeyMismatch.
    """
    bodies = [body for one in vectors if (body := _body(key, one)) is not None]
    pairs = list(combinations(range(len(bodies)), 2))
    words = max(FEWEST_WORDS, MOST_WORDS // max(1, len(pairs)))
    prime = np.uint64(cast(OneTimeScheme, _scheme_of(key)).body.prime) if bodies else np.uint64(0)
    return [
        (a, b)
        for a, b in pairs
        if _too_near(_nearness(key, _minus(bodies[a][:words], bodies[b][:words], prime)), FALSE_ALARM / len(pairs))
    ]


MOST_WORDS: Final = 1 << 25
FEWEST_WORDS: Final = 256
"""Of a pair; a dozen words decide."""


def _minus(one: rlwe.Residues, other: rlwe.Residues, prime: np.uint64) -> rlwe.Residues:
    shorter = min(len(one), len(other))
    return rlwe.minus(one[:shorter], other[:shorter], int(prime))


def _too_near(found: npt.NDArray[np.float64], alpha: float) -> bool:
    """Fisher's test of numbers that are uniform on 0 .. 1 where a key hides them, and near 0 where none does; shares show."""
    from scipy.special import gammaincc  # takes a while to import; most callers never test anything

    strength = -float(np.sum(np.log(np.maximum(found, 2.0**-52))))
    return float(gammaincc(len(found), strength)) < alpha


def _distance(ring: seal.Ring, c0: rlwe.Residues) -> npt.NDArray[np.float64]:
    return np.abs(threshold.invariant_noise(ring, _coefficients(ring, c0)))


def _body(key: PublicKey, vector: CiphertextVector) -> rlwe.Residues | None:
    """All words of a one-time body; None under another scheme."""
    scheme = _scheme_of(key)
    return np.concatenate(scheme.read(key, vector)[1]) if isinstance(scheme, OneTimeScheme) else None


def _nearness(key: PublicKey, words: rlwe.Residues) -> npt.NDArray[np.float64]:
    """How likely a word this near to a whole multiple of Δ is by chance, from either side of zero."""
    scheme = cast(OneTimeScheme, _scheme_of(key))
    prime, scale = np.uint64(scheme.body.prime), np.uint64(1 << scheme.preset.scale_bits)
    rest = np.minimum(words, prime - words) % scale
    return np.asarray(np.minimum(1.0, (2.0 * np.minimum(rest, scale - rest) + 1) / float(scale)))


def under_related_mask_of(key: PublicKey, one: CiphertextVector, other: CiphertextVector) -> tuple[bytes, ...]:
    """Broken: ``other``'s blocks under -X times ``one``'s masks, or their inverses (Paillier). Raises: as :func:`masks_of`."""
    if (parts := _Parts.of(key)) is not None:
        pairs = zip(parts.read(one), parts.read(other), strict=True)
        return parts.write(other, [np.stack([b[0], _turned(parts.ring, a[1])]) for a, b in pairs])
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
    parts = _Parts.of(key)
    if parts is None:
        return without_mask(key, vector)
    ring = parts.ring
    whole, primes = threshold.modulus(ring), rlwe.data_primes(ring)
    plain = range(ring.degree)
    c0 = [m * whole // ring.plain_modulus if ring.plain_modulus else m << 20 for m in plain]
    rows = np.array([[value % p for value in c0] for p in primes], dtype=np.uint64)
    rows = rows if ring.plain_modulus else rlwe.ntt(rows, primes)
    return parts.write(vector, [np.stack([rows, words[1]]) for words in parts.read(vector)])


def under_mask_of(key: PublicKey, one: CiphertextVector, other: CiphertextVector) -> tuple[bytes, ...]:
    """Broken: ``other``'s blocks as they would be with ``one``'s masks. Raises: as :func:`masks_of`."""
    if (parts := _Parts.of(key)) is not None:
        pairs = zip(parts.read(one), parts.read(other), strict=True)
        return parts.write(other, [np.stack([b[0], a[1]]) for a, b in pairs])
    modulus = _modulus(key)
    return tuple(modulus.write(c * (1 + modulus.n) % modulus.n**2) for c in modulus.read(one.blocks))


def without_mask(key: PublicKey, vector: CiphertextVector) -> tuple[bytes, ...]:
    """Broken: blocks whose c0 holds small numbers, c1 unchanged; a Paillier block is (1 + n)^m. Raises: as :func:`masks_of`."""
    if (parts := _Parts.of(key)) is not None:
        return parts.write(vector, [np.stack([words[0] & np.uint64(0xFFFF), words[1]]) for words in parts.read(vector)])
    modulus = _modulus(key)
    return tuple(modulus.write(1 + (c % 2**16) * modulus.n) for c in modulus.read(vector.blocks))


def with_low_bits_of_zero(key: PublicKey, vector: CiphertextVector) -> tuple[bytes, ...]:
    """Broken: the low byte of each c1 (Paillier: of c mod n) is zero; its size is as it should be. Raises: as :func:`masks_of`."""
    if (parts := _Parts.of(key)) is not None:
        return parts.write(vector, [np.stack([c[0], c[1] & ~np.uint64(0xFF)]) for c in parts.read(vector)])
    modulus = _modulus(key)
    return tuple(modulus.write(c - c % modulus.n % 256) for c in modulus.read(vector.blocks))


@dataclass(frozen=True)
class _Parts:
    """The ring ciphertexts in a vector under a key: each block, or the one in which a one-time key travels."""

    preset: RingPreset
    ring: seal.Ring
    transport: Transport | None

    @classmethod
    def of(cls, key: PublicKey) -> _Parts | None:
        """None for a key of no ring."""
        preset, scheme = key_preset(load_preset(key.id.preset), key.quorum), _scheme_of(key)
        if not isinstance(preset, RingPreset):
            return None
        transport = scheme.transport(key.quorum) if isinstance(scheme, OneTimeScheme) else None
        return cls(preset, seal.open_ring(preset), transport)

    @property
    def used(self) -> int:
        """Coefficients of c0 that are sent."""
        return self.ring.degree if self.transport is None else self.transport.used

    def read(self, vector: CiphertextVector) -> list[rlwe.Residues]:
        """Both polynomials of each. Raises: WireError."""
        if self.transport is not None:
            return [self.transport.read(vector.blocks[0])]
        fresh = vector.terms == 1
        return [blocks.read(self.preset, self.ring, block, "block", fresh=fresh) for block in vector.blocks]

    def write(self, vector: CiphertextVector, found: Sequence[rlwe.Residues]) -> tuple[bytes, ...]:
        """The vector's blocks with these ciphertexts."""
        if self.transport is not None:
            return self.transport.write(found[0]), *vector.blocks[1:]
        return tuple(blocks.write(self.preset, self.ring, words) for words in found)


def _scheme_of(key: PublicKey) -> Scheme:
    return open_scheme(key.id.preset)


def _modulus(key: PublicKey) -> Modulus:
    preset = load_preset(key.id.preset)
    if not isinstance(preset, PaillierPreset):
        raise ParameterError(f"masks: expected a scheme that encrypts, found {preset.name}", "plaintext has no mask")
    return open_public(preset, key.material)

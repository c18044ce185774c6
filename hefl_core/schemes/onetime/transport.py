"""The short part c: one-time keys under the key of the epoch, in one BFV ciphertext whatever the model's size.

    word = digit + base·digit' + base²·digit'',   digit = s_i + limit,   base = 2·limit·K + 1

Digits of K keys add up below the base, so that the sum of K ciphertexts opens to the sum S of the keys. Only the coefficients
of c0 that carry a word are sent; all of c1 is. Nobody needs the others, and c0 without them opens in the same way.

Like ring/bfv.py, but in plain residues: no SEAL header, no parser, and a partial decryption as short as c0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hefl_core.errors import IntegrityError, WireError
from hefl_core.ids import digest
from hefl_core.schemes.base import CiphertextVector, PartialDecryption, PublicKey, SecretShare, expose_secret
from hefl_core.schemes.onetime.gaussian import Small
from hefl_core.schemes.presets import BFVPreset, OneTimePreset
from hefl_core.schemes.ring import blocks, rlwe, seal, shamir, threshold
from hefl_core.schemes.ring.rlwe import Residues


@dataclass(frozen=True)
class Transport:
    """Encrypts, adds and opens keys of ``preset`` under a BFV key of ``inner``."""

    preset: OneTimePreset
    inner: BFVPreset

    @cached_property
    def ring(self) -> seal.Ring:
        """The ring of the epoch's key."""
        return seal.open_ring(self.inner)

    @cached_property
    def primes(self) -> tuple[int, ...]:
        """Of a ciphertext."""
        return rlwe.data_primes(self.ring)

    @property
    def base(self) -> int:
        """Sums of digits stay below it."""
        return 2 * self.preset.secret_limit * self.preset.max_terms + 1

    @property
    def digits(self) -> int:
        """Digits in one word: as many as fit below the plaintext modulus."""
        return math.floor(math.log(self.ring.plain_modulus, self.base))

    @property
    def used(self) -> int:
        """Words, and coefficients of c0 that are sent."""
        return -(-self.preset.degree // self.digits)

    @property
    def nbytes(self) -> int:
        """Size of a block, fresh or summed."""
        return 8 * len(self.primes) * (self.used + self.inner.degree)

    @property
    def partial_nbytes(self) -> int:
        """Size of a partial decryption."""
        return self.used * sum(map(shamir.width, self.primes))

    def encrypt(self, key: PublicKey, secret: Small) -> bytes:
        """A fresh ciphertext of a one-time key. Raises: KeyUseError, KeyMismatch."""
        shifted = np.zeros(self.used * self.digits, dtype=np.uint64)
        shifted[: len(secret)] = secret + self.preset.secret_limit
        words = shifted.reshape(self.used, self.digits) @ self._weights
        encryptor = seal.encryptor_for(self.inner, self.ring, key)
        block = blocks.encrypt(self.inner, self.ring, encryptor, words)
        return self.write(blocks.read(self.inner, self.ring, block, "one-time key", fresh=True))

    def write(self, polynomials: Residues) -> bytes:
        """The block of a ciphertext. Shapes: uint64 (2, L, N), of c0 the first ``used`` coefficients matter."""
        parts = (polynomials[0, :, : self.used], polynomials[1])
        return b"".join(np.ascontiguousarray(part, dtype="<u8").tobytes() for part in parts)

    def read(self, block: bytes) -> Residues:
        """Both polynomials, zeros where c0 was not sent. Shapes: uint64 (2, L, N).

        Raises: WireError for another size, a residue from its prime on, or c1 = 0.
        """
        if len(block) != self.nbytes:
            raise WireError(
                f"one-time key: expected {self.nbytes} bytes, found {len(block)}; cut off, spliced or another preset's"
            )
        count, split = len(self.primes), len(self.primes) * self.used
        flat = np.frombuffer(block, dtype="<u8")
        words = np.zeros((2, count, self.inner.degree), dtype=np.uint64)
        words[0, :, : self.used] = flat[:split].reshape(count, self.used)
        words[1] = flat[split:].reshape(count, self.inner.degree)
        rlwe.check_residues(words, self.primes, "one-time key")
        if not words[1].any():
            raise WireError("one-time key: c1 is zero, so that nothing is encrypted; ask the sender again")
        return words

    def as_ciphertext(self, total: CiphertextVector) -> CiphertextVector:
        """The short part of a vector as the BFV ciphertext that holders answer for."""
        block = blocks.write(self.inner, self.ring, self.read(total.blocks[0]))
        return CiphertextVector(total.key_id, 1, 0, False, None, total.max_terms, total.terms, (block,))

    def partial_decrypt(self, share: SecretShare, total: CiphertextVector, active: Iterable[int]) -> PartialDecryption:
        """c1·s of this holder where c0 was sent: flooded under t of n, bare with a copy of the key (and never sent then).

        Leaks: as ring/threshold.py, for one ciphertext whatever the length of the vector.
        Raises: as :func:`~hefl_core.schemes.ring.threshold.partial_decrypt`.
        """
        members = threshold.check_active(share, active)
        short = self.as_ciphertext(total)
        if share.quorum.collective:
            (whole,) = threshold.partial_decrypt(self.inner, self.ring, share, short, members).blocks
            element = shamir.from_bytes(whole, self.primes, self.inner.degree, f"partial {share.index}")
        else:
            bare = self.read(total.blocks[0]).copy()
            bare[0] = 0
            element = rlwe.phase(self.ring, bare, rlwe.read_secret_key(self.ring, expose_secret(share)))
        block = shamir.to_bytes(element[:, : self.used], self.primes)
        return PartialDecryption(total.key_id, share.index, members, digest(total.to_bytes()), (block,))

    def open(self, key: PublicKey, total: CiphertextVector, partials: Sequence[PartialDecryption]) -> Small:
        """The sum S of the keys. Shapes: int64 (N,).

        Raises: IntegrityError for damaged, missing or stale answers (by the noise), or a digit that no sum of keys has.
        """
        words, noise = self._rounded(self._summed(total, partials))
        limit, found = self.inner.noise_limit(key.quorum, total.terms), float(np.max(np.abs(noise)))
        if found > limit:
            raise IntegrityError(
                f"noise of the keys' sum: expected at most 2^{math.log2(limit):.1f}, found 2^{math.log2(found):.1f}; an answer is "
                "missing, foreign, stale or damaged; do not use the sum, and never retry on it"
            )
        return self._keys(words, total.terms)

    def noise(self, total: CiphertextVector, partials: Sequence[PartialDecryption]) -> npt.NDArray[np.float64]:
        """Noise of the opened sum, coefficient by coefficient. Shapes: (used,)."""
        return self._rounded(self._summed(total, partials))[1]

    def _summed(self, total: CiphertextVector, partials: Sequence[PartialDecryption]) -> Residues:
        """c0 + Σ d_i where c0 was sent. Shapes: uint64 (L, used). Raises: IntegrityError for an answer that is none."""
        sums = self.read(total.blocks[0])[0, :, : self.used]
        for partial in partials:
            if len(partial.blocks) != 1:
                raise IntegrityError(f"partial {partial.index}: expected one block, found {len(partial.blocks)}")
            element = shamir.from_bytes(partial.blocks[0], self.primes, self.used, f"partial {partial.index}")
            sums = shamir.add(sums, element, self.primes)
        return sums

    def _keys(self, words: npt.NDArray[np.uint64], terms: int) -> Small:
        found = np.empty((self.used, self.digits), dtype=np.uint64)
        rest = words.copy()
        for place in range(self.digits):
            rest, found[:, place] = np.divmod(rest, np.uint64(self.base))
        digits = found.reshape(-1)[: self.preset.degree]
        padding = found.reshape(-1)[self.preset.degree :]
        if rest.any() or padding.any() or int(digits.max()) > 2 * self.preset.secret_limit * terms:
            raise IntegrityError(
                f"keys: expected digits of {terms} one-time keys, each within ±{self.preset.secret_limit}, found others; somebody "
                "sent what is no such key; do not use the sum, and never retry on it"
            )
        return digits.astype(np.int64) - self.preset.secret_limit * terms

    def _rounded(self, sums: Residues) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float64]]:
        """round(t·w/q) mod t of each coefficient w, and its noise. Shapes: (L, n) to (n,) twice.

        With x_p = w_p·(q/p)^-1 mod p, t·w/q = Σ t·x_p/p modulo t. Each t·x_p/p splits exactly into a whole part, found in
        floating point and corrected by the exact remainder, and the remainder over p.
        """
        plain, whole = self.ring.plain_modulus, threshold.modulus(self.ring)
        integers, fraction = np.zeros(sums.shape[1], dtype=np.int64), np.zeros(sums.shape[1])
        for row, p in zip(sums, self.primes, strict=True):
            inverse, factor = (rlwe.fix(np.array([v], dtype=np.uint64), p) for v in (pow(whole // p, -1, p), plain % p))
            x = rlwe.multiply(row, inverse, p)
            part = rlwe.multiply(x, factor, p) / p
            integers += np.rint(x.astype(np.float64) * (plain / p) - part).astype(np.int64)
            fraction += part
        nearest = np.rint(fraction)
        words = (integers + nearest.astype(np.int64)) % plain
        return words.astype(np.uint64), (fraction - nearest) * (whole / plain)

    @property
    def _weights(self) -> npt.NDArray[np.uint64]:
        return np.array([self.base**place for place in range(self.digits)], dtype=np.uint64)

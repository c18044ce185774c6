"""Blocks of BFV and CKKS: bytes to residues, strictly; running sums modulo each prime; residues back to the same bytes.

Additions need no library: residues are added modulo their primes, so no foreign bytes but seeded uploads reach SEAL's
parser before a decryption, and all parties that add the same blocks get the same bytes. Three forms, by preset:

- *plain*: SEAL's uncompressed bytes, whose first 129 say only what the preset says; there is exactly one way to write one;
- *compressed*: as SEAL compresses them (what the tutorials send);
- *seeded*: c0 and the seed of c1, fresh uploads only. SEAL expands the seed; c0 is checked like the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
import tenseal.sealapi as sealapi

from hefl_core.errors import RoundError, WireError
from hefl_core.ids import digest
from hefl_core.schemes.base import CiphertextVector, PublicKey, check_addable
from hefl_core.schemes.presets import RingPreset
from hefl_core.schemes.ring import rlwe, seal
from hefl_core.schemes.ring.rlwe import Residues
from hefl_core.schemes.ring.seal import Ring

SEED_PREFIX = seal.header(16 + 1 + 64) + b"\x01"
"""Before the 64 bytes of a seed: SEAL's header and BLAKE2xb, its generator."""
SPARED_BYTES: Final = 16
"""128 bits below the entropy."""


@lru_cache(maxsize=32)
def _prefixes(ring: Ring) -> tuple[bytes, bytes]:
    """Bytes before the words of a plain and of a seeded block."""
    shape = (2, len(rlwe.data_primes(ring)), ring.degree)
    plain = rlwe.write_ciphertext(ring, np.zeros(shape, dtype=np.uint64))[: -8 * int(np.prod(shape))]
    count = shape[1] * shape[2]
    # A seeded block has the same fields, but its array holds only c0, and SEAL's record of the seed follows.
    middle = plain[seal.HEADER_BYTES : -(seal.HEADER_BYTES + 8)]
    inner = seal.header(seal.HEADER_BYTES + 8 + 8 * count) + count.to_bytes(8, "little")
    length = seal.HEADER_BYTES + len(middle) + len(inner) + 8 * count + len(SEED_PREFIX) + 64
    return plain, seal.header(length) + middle + inner


def fresh_nbytes(preset: RingPreset, ring: Ring) -> tuple[int, int]:
    """Least and most bytes of a fresh block: one size, unless SEAL compresses it.

    Both polynomials are as good as uniform, so no compressor gets below their entropy by k bits but with probability 2^-k.
    """
    plain, seeded = _prefixes(ring)
    primes = rlwe.data_primes(ring)
    if preset.compressed:
        entropy = 2 * ring.degree * sum(math.log2(p) for p in primes) / 8
        raw = len(plain) + 16 * len(primes) * ring.degree
        return int(entropy) - SPARED_BYTES, raw + raw // 256 + SPARED_BYTES * 8  # zstd's own bound is below this
    words = len(primes) * ring.degree
    nbytes = len(seeded) + 8 * words + len(SEED_PREFIX) + 64 if preset.seeded else len(plain) + 16 * words
    return nbytes, nbytes


def read(preset: RingPreset, ring: Ring, block: bytes, what: str, *, fresh: bool) -> Residues:
    """Both polynomials of a block. Shapes: uint64 (2, L, N), read-only.

    Raises: WireError for anything but a ciphertext of this preset in its form; ``fresh`` ones may be seeded.
    """
    if preset.compressed:
        return rlwe.read_ciphertext(ring, block, what)
    if preset.seeded and fresh:
        return _read_seeded(ring, block, what)
    prefix, _ = _prefixes(ring)
    primes = rlwe.data_primes(ring)
    # Fixed length and prefix leave no field to parse, so no length in the bytes is ever trusted.
    words = _words(block, prefix, 2 * len(primes) * ring.degree, 0, what).reshape(2, len(primes), ring.degree)
    rlwe.check_residues(words, primes, what)
    if not words[1].any():
        raise WireError(f"{what}: c1 is zero, so that nothing is encrypted; ask the sender again")
    return words


def _words(block: bytes, prefix: bytes, count: int, after: int, what: str) -> Residues:
    expected = len(prefix) + 8 * count + after
    if len(block) != expected:
        raise WireError(f"{what}: expected {expected} bytes, found {len(block)}; cut off, spliced or another preset's")
    if not block.startswith(prefix):
        raise WireError(f"{what}: expected this preset's ciphertext header, found another; ask the sender again")
    return np.frombuffer(block, dtype="<u8", count=count, offset=len(prefix))


def _read_seeded(ring: Ring, block: bytes, what: str) -> Residues:
    # Checked first: SEAL then parses only the seed, whose every value is valid.
    _check_seeded(ring, block, what)
    expanded = seal.to_bytes(seal.from_bytes(sealapi.Ciphertext(), ring, block, what))
    return rlwe.read_ciphertext(ring, expanded, what)


def _check_seeded(ring: Ring, block: bytes, what: str) -> None:
    """Check everything but the expansion: every seed gives a valid c1."""
    _, prefix = _prefixes(ring)
    primes = rlwe.data_primes(ring)
    count = len(primes) * ring.degree
    c0 = _words(block, prefix, count, len(SEED_PREFIX) + 64, what).reshape(len(primes), ring.degree)
    rlwe.check_residues(c0, primes, what)
    if not block.startswith(SEED_PREFIX, len(prefix) + 8 * count):
        raise WireError(f"{what}: expected a seed at the end, found something else; ask the sender again")


def encrypt(preset: RingPreset, ring: Ring, encryptor: Any, words: Residues) -> bytes:
    """A fresh BFV block of at most N words. Shapes: uint64 (≤ N,), each below the plaintext modulus.

    Over one prime, SEAL encrypts zero and round(q·m/t) is added to c0 here: no plaintext passes SEAL's parser. SEAL
    itself would add the same, up to 1 where float64 rounds another way at a half; that counts as noise. Over several
    primes SEAL does it all.
    """
    if len(rlwe.data_primes(ring)) > 1 or preset.compressed:
        return seal.encrypt(preset, encryptor, seal.write_plaintext(ring, words))
    prefix = _prefixes(ring)[preset.seeded]
    after = len(SEED_PREFIX) + 64 if preset.seeded else 8 * ring.degree
    start = len(prefix) - seal.HEADER_BYTES
    zeros = seal.body_of(seal.encrypt_zero(preset, encryptor), start + 8 * ring.degree + after)
    (prime,) = rlwe.data_primes(ring)
    # With q = t·quotient + rest, q·m/t = m·quotient + m·rest/t: only the second, small part needs rounding.
    quotient, rest = divmod(prime, ring.plain_modulus)
    c0 = np.rint(words * (rest / ring.plain_modulus)).astype("<u8")
    c0 += words * np.uint64(quotient)
    c0 += np.frombuffer(zeros, dtype="<u8", count=len(words), offset=start)
    # c0 < 2q here. Where c0 < q, c0 - q wraps to nearly 2^64 and the minimum keeps c0: reduction without a branch.
    np.minimum(c0, c0 - np.uint64(prime), out=c0)
    return b"".join((prefix, c0.data, zeros[start + 8 * len(words) :]))


def write(preset: RingPreset, ring: Ring, words: Residues) -> bytes:
    """A block of a sum, in the preset's form (never seeded). Shapes: uint64 (2, L, N)."""
    plain = _prefixes(ring)[0] + words.astype("<u8", copy=False).tobytes()
    if preset.compressed:
        return seal.to_bytes(seal.from_bytes(sealapi.Ciphertext(), ring, plain, "sum"))
    return plain


def check_all(preset: RingPreset, ring: Ring, vector: CiphertextVector) -> None:
    """Check every block without SEAL. Raises: WireError."""
    for n, block in enumerate(vector.blocks, 1):
        if preset.seeded and vector.terms == 1:
            _check_seeded(ring, block, f"block {n}")
        else:
            read(preset, ring, block, f"block {n}", fresh=False)


def load(preset: RingPreset, ring: Ring, vector: CiphertextVector) -> list[Any]:
    """Every block as a SEAL ciphertext, checked strictly first. Raises: WireError.

    A compressed block is rewritten for SEAL from what was read, so that no two parsers disagree about the sender's bytes.
    """
    made = []
    for n, block in enumerate(vector.blocks, 1):
        what = f"block {n}"
        if preset.compressed:
            block = rlwe.write_ciphertext(ring, rlwe.read_ciphertext(ring, block, what))
        elif preset.seeded and vector.terms == 1:
            _check_seeded(ring, block, what)
        else:
            read(preset, ring, block, what, fresh=False)
        made.append(seal.from_bytes(sealapi.Ciphertext(), ring, block, what))
    return made


def read_all(preset: RingPreset, ring: Ring, vector: CiphertextVector) -> list[Residues]:
    """Residues of every block. Raises: WireError."""
    fresh = vector.terms == 1
    return [read(preset, ring, block, f"block {n}", fresh=fresh) for n, block in enumerate(vector.blocks, 1)]


def seeds(vector: CiphertextVector) -> tuple[bytes, ...]:
    """Digest of the seed that fixes c1 in each block of a seeded upload: a repeated one reveals the plaintexts' difference."""
    return tuple(digest(b"hefl/seed", block[-64:]) for block in vector.blocks)


class Accumulator:
    """A running sum: each vector is read, added and dropped; the sum is written on request.

    Seeded uploads are added by SEAL, which expands them; all others as residues.
    """

    def __init__(
        self,
        preset: RingPreset,
        ring: Ring,
        key: PublicKey,
        require_shape: Callable[[PublicKey, CiphertextVector], None],
    ) -> None:
        self._preset, self._ring, self._key, self._require_shape = preset, ring, key, require_shape
        self._primes = np.array(rlwe.data_primes(ring), dtype=np.uint64)[:, None]
        self._sums: list[Residues] = []
        self._expanded: list[Any] = []
        self._evaluator = sealapi.Evaluator(ring.context)
        self._first: CiphertextVector | None = None
        self._label: CiphertextVector | None = None

    def add(self, vector: CiphertextVector) -> None:
        """Raises: KeyMismatch, WireError, EncodingError; the sum so far is unchanged then."""
        # Every check comes before the first addition: a rejected upload leaves the sum as it was.
        self._require_shape(self._key, vector)
        if self._label is not None:
            check_addable(self._key, self._label, vector)
        if self._preset.seeded and vector.terms == 1:
            self._add_seeded(load(self._preset, self._ring, vector))
        else:
            self._add_residues(read_all(self._preset, self._ring, vector))
        if self._label is None:
            self._first, self._label = vector, replace(vector, blocks=(b"",) * len(vector.blocks))
        else:
            self._first, self._label = None, replace(self._label, terms=self._label.terms + vector.terms)

    def _add_seeded(self, ciphertexts: list[Any]) -> None:
        if not self._expanded:
            self._expanded = ciphertexts
            return
        for total, ciphertext in zip(self._expanded, ciphertexts, strict=True):
            self._evaluator.add_inplace(total, ciphertext)

    def _add_residues(self, blocks: list[Residues]) -> None:
        if not self._sums:
            self._sums = [words.copy() for words in blocks]
            return
        for total, words in zip(self._sums, blocks, strict=True):
            # Sums of two residues below 2^61 cannot wrap; below p, total - p does, and the minimum keeps total.
            total += words
            np.minimum(total, total - self._primes, out=total)

    def total(self) -> CiphertextVector:
        """The sum so far; of one vector, that vector. Raises: RoundError when nothing was added."""
        if self._label is None:
            raise RoundError("sum: nothing was added; an empty cohort has no sum")
        if self._first is not None:
            return self._first
        # A sum of seeded ciphertexts has no seed: its c1 is written out in full.
        if self._expanded:
            written = [rlwe.read_ciphertext(self._ring, seal.to_bytes(one), "sum") for one in self._expanded]
            self._expanded = []
            self._add_residues(written)
        blocks = tuple(write(self._preset, self._ring, words) for words in self._sums)
        return replace(self._label, blocks=blocks)

"""The long part b: b_j = a_j·s + e_j + Δ·m_j, one polynomial per block, N words each.

The key s hides a_j·s + e_j (RLWE), and Δ = 2^10 lifts the words above the error. Opening a sum is one product with the sum S of
the keys, an addition and a shift; what is left over is E, the sum of the errors, which an honest sum keeps small.

Δ is a power of two and words stay below (q - Δ)/Δ. BFV's ⌊q/T⌉·m would fail here: its rounding is multiplied by m.

Source: Lyubashevsky, Peikert, Regev 2010 for RLWE; Bell et al. 2025 (Willow, eprint 2024/936) for a key used once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.errors import IntegrityError, WireError
from hefl_core.schemes.onetime.gaussian import Small, gaussian
from hefl_core.schemes.onetime.public import Public
from hefl_core.schemes.presets import OneTimePreset
from hefl_core.schemes.ring import rlwe
from hefl_core.schemes.ring.rlwe import Residues

Words64 = npt.NDArray[np.uint64]
DEVIATIONS: Final = 12
"""Largest |E| of an honest sum in standard deviations: one coefficient exceeds it with less than 2^-103."""


@lru_cache(maxsize=16)
def modulus(degree: int, bits: int) -> int:
    """The largest prime below 2^bits that is 1 modulo 2N, so that there is an NTT."""
    import gmpy2

    candidate = ((1 << bits) - 1) // (2 * degree) * 2 * degree + 1
    while not gmpy2.is_prime(candidate, 40):
        candidate -= 2 * degree
    return candidate


@dataclass(frozen=True)
class Body:
    """Hides, adds and opens b under one preset."""

    preset: OneTimePreset

    @property
    def prime(self) -> int:
        """The modulus q."""
        return modulus(self.preset.degree, self.preset.modulus_bits)

    @property
    def largest_sum(self) -> int:
        """Words below this are opened rightly."""
        return (self.prime - (1 << self.preset.scale_bits)) >> self.preset.scale_bits

    def sizes(self, count: int) -> tuple[int, ...]:
        """Coefficients in each block of ``count`` words: all N, and in the last one those that are used."""
        degree = self.preset.degree
        return tuple(min(degree, count - start) for start in range(0, count, degree))

    def hide(self, words: Words64, key: Small, public: Public) -> tuple[bytes, ...]:
        """Blocks of these words under a fresh key. The key is used once: two bodies under it give the difference away.

        Shapes: uint64 (n,) below ``largest_sum``, int64 (N,). Leaks: n.
        """
        secret = rlwe.fix(self._ntt(key), self.prime)
        errors, scale = gaussian(self.preset.error_std, self.preset.error_limit), np.uint64(self.preset.scale_bits)
        made = []
        for number, start in enumerate(range(0, len(words), self.preset.degree)):
            part = words[start:][: self.preset.degree]
            mask = self._transform.inverse(rlwe.multiply(public.polynomial(number), secret, self.prime))[: len(part)]
            noise = errors.draw(len(part))
            lifted = (part << scale) + np.where(noise < 0, noise + self.prime, noise).astype(np.uint64)
            # Δ·m + e < 2q, and so is the sum with the mask below 3q < 2^62: one reduction each.
            np.minimum(lifted, lifted - np.uint64(self.prime), out=lifted)
            made.append(rlwe.plus(mask, lifted, self.prime).astype("<u8").tobytes())
        return tuple(made)

    def read(self, blocks: Sequence[bytes], count: int) -> list[Residues]:
        """Residues of every block of ``count`` words together. Raises: WireError for another size or a residue from q on."""
        # Counted first: a label may claim any length, and a list of sizes as long as it claims would fill the memory.
        expected = -(-count // self.preset.degree)
        sizes = self.sizes(count) if expected == len(blocks) else ()
        if not sizes or [len(block) for block in blocks] != [8 * size for size in sizes]:
            raise WireError(
                f"{self.preset.name}: expected {expected} blocks for {count} words, the last with the used coefficients only, "
                f"found {len(blocks)} of {[len(block) for block in blocks[:3]]}… bytes; ask the sender again"
            )
        rows = [np.frombuffer(block, dtype="<u8") for block in blocks]
        if any(int(row.max()) >= self.prime for row in rows):
            raise WireError(f"{self.preset.name}: expected residues below q, found a larger one; ask the sender again")
        return rows

    def reveal(self, rows: Sequence[Residues], key: Small, public: Public, terms: int) -> Words64:
        """Words of a sum under the sum of its keys.

        Shapes: uint64 (n,). Raises: IntegrityError when the errors are no sum of ``terms`` honest ones: another key, a pair
        that does not belong together, or damage. Never retry on it.
        """
        secret, half = rlwe.fix(self._ntt(key), self.prime), np.uint64(1 << (self.preset.scale_bits - 1))
        most, found = math.floor(DEVIATIONS * self.preset.error_std * math.sqrt(terms)), []
        for number, row in enumerate(rows):
            mask = self._transform.inverse(rlwe.multiply(public.polynomial(number), secret, self.prime))[: len(row)]
            # Δ/2 more turns the shift into rounding, and an error below zero into no wrap around q.
            lifted = rlwe.minus(row, mask, self.prime) + half
            np.minimum(lifted, lifted - np.uint64(self.prime), out=lifted)
            errors = (lifted & (half * np.uint64(2) - np.uint64(1))).astype(np.int64) - int(half)
            if (largest := int(np.max(np.abs(errors)))) > most:
                raise IntegrityError(
                    f"errors of block {number + 1}: expected at most {most} in a sum of {terms}, found {largest}; keys and "
                    "bodies do not belong together, or were damaged; do not use the sum, and never retry on it"
                )
            found.append(lifted >> np.uint64(self.preset.scale_bits))
        return np.concatenate(found)

    def _ntt(self, key: Small) -> Residues:
        return self._transform.ntt(rlwe.residues_of(key, (self.prime,))[0])

    @property
    def _transform(self) -> rlwe.Transform:
        return rlwe.transform(self.prime, self.preset.degree)

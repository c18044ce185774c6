"""Recover the CKKS key from decryptions that were returned to a party with the ciphertexts.

    m = c0 + c1·s        the decrypted polynomial: one linear equation in the key, exact, once m is known exactly
    M = m + m̄            what decoded real numbers reveal: encode(values, 2·scale) rounds to it, m̄(X) = m(1/X)
    M_j - c0_j - c0_j' = c1_j·s_j + c1_j'·s_j'      at the NTT points j and j' = conjugate of j

Two full chunks give two equations for the two unknowns s_j and s_j'. The attacker can verify its result alone: a key has
coefficients -1, 0 and 1 only.

Source: Li and Micciancio 2021 (eprint 2020/1533), section 4; noise that suffices: Li, Micciancio, Schultz, Sorrell 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as sealapi

from hefl_core.attacks.view import RETURNED, Doubles, View
from hefl_core.errors import ParameterError
from hefl_core.schemes.base import CiphertextVector
from hefl_core.schemes.presets import CKKSPreset, load_preset
from hefl_core.schemes.ring import blocks, rlwe, seal
from hefl_core.schemes.ring.rlwe import Residues
from hefl_core.schemes.ring.seal import Ring
from hefl_core.terms import messages as m


@dataclass(frozen=True)
class FoundKey:
    """Solution of the equations. ``coefficients`` int64 (N,); ``ternary``: share of them that are -1, 0 or 1."""

    preset: str
    coefficients: npt.NDArray[np.int64]
    ternary: float

    @property
    def whole(self) -> bool:
        """Whether this is a key: by chance not even one coefficient in 10¹⁰ would be small."""
        return self.ternary == 1.0


def recover_key(view: View) -> FoundKey:
    """Solve for the key from the encrypted sum in the view and its returned decryption.

    Several answers to one sum are averaged first: fresh noise in each averages away.

    Raises: ParameterError unless the view has a CKKS sum, a returned decryption of it, and two full chunks.
    """
    total = _sum_in(view)
    preset = cast(CKKSPreset, load_preset(total.key_id.preset))
    ring = seal.open_ring(preset)
    answers = [held.values for held in view.held if held.name == RETURNED]
    if not answers:
        raise ParameterError("key recovery: no decryption was returned to this seat", "that is the remedy")
    slots = preset.degree // 2
    known = np.mean(answers, axis=0)
    full = len(known) // slots
    if full < 2:
        raise ParameterError(f"key recovery: expected two full chunks of {slots} values, found {len(known)}")
    (prime, *_) = rlwe.data_primes(ring)  # one is enough: -1, 0 and 1 are known from their residues modulo any prime
    words = [blocks.read(preset, ring, block, "sum", fresh=False) for block in total.blocks[:full]]
    twice = [_encoded(ring, known[at * slots :][:slots]) for at in range(full)]
    secret = _solve(ring, words, twice, prime)
    small = rlwe.inverse_ntt(secret[None], (prime,))[0].astype(np.int64)
    small = np.where(small > prime // 2, small - prime, small)  # residues above p/2 stand for negative numbers
    return FoundKey(preset.name, small, float(np.mean(np.abs(small) <= 1)))


def open_updates(view: View, key: FoundKey) -> tuple[Doubles, ...]:
    """Every weighted update in the view, opened with the stolen key: m = c0 + c1·s, decoded. Shapes: (d,) each."""
    return tuple(open_vector(vector, key) for vector in view.ciphertexts(m.UPDATE))


def open_vector(vector: CiphertextVector, key: FoundKey) -> Doubles:
    """One vector, opened and divided by its own example count as a coordinator would."""
    preset = cast(CKKSPreset, load_preset(vector.key_id.preset))
    ring = seal.open_ring(preset)
    primes = rlwe.data_primes(ring)
    # residues_of needs numbers below every prime; a wrong coefficient may exceed the smaller ones.
    coefficients = np.where(np.abs(key.coefficients) <= 1, key.coefficients, 0)
    secret = rlwe.ntt(rlwe.residues_of(coefficients, primes), primes)
    slots = np.concatenate([_opened(preset, ring, block, secret) for block in vector.blocks])
    return np.asarray(slots[vector.integers :][: vector.length])


def _sum_in(view: View) -> CiphertextVector:
    found = [*view.ciphertexts(m.SUM), *view.ciphertexts("total")]
    if not found or found[-1].key_id.scheme != "ckks":
        raise ParameterError("key recovery: expected an encrypted CKKS sum in the view, found none", "run CKKS")
    return found[-1]


def _opened(preset: CKKSPreset, ring: Ring, block: bytes, secret: Residues) -> Doubles:
    """Slot values of c0 + c1·s; SEAL decodes it from a ciphertext whose second polynomial is zero."""
    c0, c1 = blocks.read(preset, ring, block, "update", fresh=True)
    rows = [
        rlwe.plus(a, rlwe.multiply(b, rlwe.fix(s, p), p), p)
        for a, b, s, p in zip(c0, c1, secret, rlwe.data_primes(ring), strict=True)
    ]
    return decode_polynomial(ring, np.stack(rows))


def decode_polynomial(ring: Ring, polynomial: Residues) -> Doubles:
    """Real slot values of a CKKS polynomial given as NTT values. Shapes: uint64 (L, N) to float64 (N/2,)."""
    words = np.stack([polynomial, np.zeros_like(polynomial)])
    ciphertext = seal.from_bytes(sealapi.Ciphertext(), ring, rlwe.write_ciphertext(ring, words), "polynomial")
    plaintext = sealapi.Plaintext()
    _anybody(ring).decrypt(ciphertext, plaintext)
    return np.array(sealapi.CKKSEncoder(ring.context).decode_double(plaintext), dtype=np.float64)


@lru_cache(maxsize=8)
def _anybody(ring: Ring) -> Any:
    """A decryptor under a throw-away key: where c1 is zero, every key decrypts."""
    return seal.decryptor(ring, seal.make_keys(ring)[1])


def _encoded(ring: Ring, values: Doubles) -> Residues:
    """M = m + m̄ as NTT values modulo the first prime, rounded to integers by the encoder itself. Shapes: (N,)."""
    plaintext = sealapi.Plaintext()
    encoder = sealapi.CKKSEncoder(ring.context)
    # Decoding returns real parts, (m + m̄)/2 over the scale: encoding at twice the scale restores M.
    encoder.encode(values.tolist(), ring.context.first_parms_id(), 2 * ring.scale, plaintext)
    count = len(rlwe.data_primes(ring)) * ring.degree
    raw = seal.uncompressed(seal.to_bytes(plaintext))
    # SEAL writes the words last, one row per prime: the first N belong to the first prime.
    return np.frombuffer(raw[-8 * count :], dtype="<u8")[: ring.degree].astype(np.uint64)


@lru_cache(maxsize=8)
def conjugates(prime: int, degree: int) -> npt.NDArray[np.int64]:
    """At which NTT point the conjugate of each point lies: the values of X and of 1/X = -X^(N-1) name them."""
    x, inverse = np.zeros((2, degree), dtype=np.uint64)
    x[1], inverse[-1] = 1, prime - 1
    one = rlwe.transform(prime, degree)
    at, wanted = one.ntt(x), one.ntt(inverse)
    order = np.argsort(at)
    return np.asarray(order[np.searchsorted(at[order], wanted)], dtype=np.int64)


def _solve(ring: Ring, words: Sequence[Residues], twice: Sequence[Residues], p: int) -> Residues:
    """Cramer's rule modulo p at every pair of points; singular points take their values from the next two chunks."""
    other = conjugates(p, ring.degree)
    found = np.zeros(ring.degree, dtype=np.uint64)
    open_points = np.ones(ring.degree, dtype=bool)
    equations = []
    for (c0, c1), whole in zip(((w[0, 0], w[1, 0]) for w in words), twice, strict=True):
        equations.append((c1, c1[other], rlwe.minus(whole, rlwe.plus(c0, c0[other], p), p)))
    for (a, b, e), (c, d, f) in pairwise(equations):
        determinant = _minus_products(a, d, b, c, p)
        solved = _divide(_minus_products(e, d, b, f, p), determinant, p)
        usable = open_points & (determinant != 0)  # c1 is uniform: about one point in p is singular
        found[usable] = solved[usable]
        open_points &= ~usable
        if not open_points.any():
            break
    return found


def _minus_products(a: Residues, d: Residues, b: Residues, c: Residues, p: int) -> Residues:
    return rlwe.minus(rlwe.multiply(a, rlwe.fix(d, p), p), rlwe.multiply(b, rlwe.fix(c, p), p), p)


def _divide(a: Residues, b: Residues, p: int) -> Residues:
    inverses = np.array([pow(int(value), -1, p) if value else 0 for value in b], dtype=np.uint64)
    return rlwe.multiply(a, rlwe.fix(inverses, p), p)

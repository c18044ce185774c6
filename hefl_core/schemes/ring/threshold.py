"""Decrypting together, for BFV and CKKS: t holders each give d_i = λ_i·c1·s_i + e_i + z_i, and c0 + Σ d_i opens the sum.

The secret s is Shamir-shared over R_q. Holder i folds its Lagrange coefficient λ_i for the active set A into its answer
and adds flooding e_i, uniform on -2^f .. 2^f - 1, which hides the ciphertext's own noise: s follows from that noise.
The z_i of a set add up to zero (pairwise.py): without them two honest answers could be told apart, and flooding fails.

Four rules make that safe, and each has its attack in docs/sharp_edges.md:

- A is fixed before any holder answers, |A| = t, and λ_i is folded in: answers that serve any set leak s to t - 1 holders.
- z_i is added, so that t - 1 holders outside of A read no single answer.
- One A per c1, ever; a holder keeps a durable ledger of :func:`mask_digests` (keys/decryption_policy.py).
- The same request gets the same e_i. It is derived from the share, A and the residues of c1, and from nothing that a
  sender can change while c1 stays: not from bytes, c0 or the place of a block. Fresh e_i would average away.

The gap between flooding and noise is a number (``preset.gap_bits``), not a proof of security; see docs/threat_model.md.
All of this assumes that c1 is a sum of honest encryptions: a client that adds δ to its own gets δ·s back, over the
flooding, and no party notices before the sum is open (attacks/methods/deviating_client.py).

Source: Asharov et al. 2012 (eprint 2011/613), Boneh et al. 2018 (eprint 2017/956); attacks measured here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as sealapi

from hefl_core.errors import IntegrityError, KeyUseError, ParameterError, QuorumError
from hefl_core.ids import KeyId, digest
from hefl_core.schemes.base import (
    CiphertextVector,
    PartialDecryption,
    PublicKey,
    SecretShare,
    check_partials,
    expose_secret,
)
from hefl_core.schemes.presets import RingPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.ring import pairwise, rlwe, seal, shamir
from hefl_core.schemes.ring.blocks import read, read_all
from hefl_core.schemes.ring.rlwe import Fixed, Residues
from hefl_core.schemes.ring.seal import Ring
from hefl_core.wire.canonical import encode


def deal(ring: Ring, secret: bytes, quorum: Quorum) -> tuple[bytes, ...]:
    """Shamir shares of SEAL's secret key over the data primes, as NTT values, each with its row of pairwise seeds.

    The dealer then forgets the key.

    Leaks: nothing to fewer than t holders; everything to the dealer while it lives.
    """
    primes = rlwe.data_primes(ring)
    whole = rlwe.read_secret_key(ring, secret)[: len(primes)]
    points = shamir.split(whole, primes, quorum)
    rows = pairwise.deal_seeds(quorum.holders)
    return tuple(shamir.to_bytes(point, primes) + row for point, row in zip(points, rows, strict=True))


def check_active(share: SecretShare, active: Iterable[int]) -> tuple[int, ...]:
    """The active set in ascending order.

    Raises: QuorumError for fewer than t; ParameterError for more, doubled or unknown holders; KeyUseError when this
        share's holder is not in it.
    """
    members, quorum = tuple(sorted(active)), share.quorum
    if len(members) < quorum.threshold:
        need = quorum.threshold
        raise QuorumError(f"active set: expected {need} holders, found {members}", have=len(members), need=need)
    known = all(1 <= member <= quorum.holders for member in members)
    if len(members) > quorum.threshold or len(set(members)) != len(members) or not known:
        raise ParameterError(
            f"active set: expected exactly {quorum.threshold} distinct holders of 1..{quorum.holders}, found {members}",
            "fix and sign one set before anybody answers",
        )
    if share.index not in members:
        raise KeyUseError(f"share {share.index}: expected to be in the active set, found {members}; it does not answer")
    return members


def partial_decrypt(
    preset: RingPreset, ring: Ring, share: SecretShare, total: CiphertextVector, active: Iterable[int]
) -> PartialDecryption:
    """This holder's d_i for each block. The same share, set and c1 bring the same bytes.

    Shapes: per block uint64 (L, N), written in as many bytes as each prime needs.
    Leaks: to t answers together, the sum, and s times what a client added to c1. To fewer, what ``preset.gap_bits`` says,
        as long as one set answers per c1.
    Raises: as :func:`check_active`; WireError for a block that is no ciphertext; IntegrityError for a damaged share.
    """
    members = check_active(share, active)
    primes = rlwe.data_primes(ring)
    ciphertexts = read_all(preset, ring, total)  # first: where bad bytes raise, no secret is in the frame
    material = expose_secret(share)
    opened = pairwise.open_share(material, primes, ring.degree, share.quorum.holders, f"share {share.index}")
    factors = [shamir.lagrange(members, share.index, p) for p in primes]
    # λ_i multiplies the share, not the flooding: a residue of any size times e_i could drown the sum.
    operand = prepare(ring, shamir.scale(opened.element, factors, primes))
    # The share makes the stream unpredictable; key, holder and set keep two answers from sharing one stream.
    stream_key = digest(b"hefl/flooding", material, encode((str(share.id), share.index, members)))
    blocks = []
    for _, c1 in ciphertexts:
        noise = _flooding(preset, ring, stream_key, c1)
        mask = pairwise.mask(opened.seeds, share.index, members, pair_label(share.id, c1), primes, ring.degree)
        masked = shamir.add(answer(ring, operand, c1, noise), mask, primes)
        blocks.append(shamir.to_bytes(masked, primes))
    return PartialDecryption(total.key_id, share.index, members, digest(total.to_bytes()), tuple(blocks))


def prepare(ring: Ring, element: Residues) -> list[Fixed]:
    """Prepare a ring element, as NTT values, for products with many c1."""
    return [rlwe.fix(row, p) for row, p in zip(element, rlwe.data_primes(ring), strict=True)]


def answer(ring: Ring, operand: Sequence[Fixed], c1: Residues, noise: Residues) -> Residues:
    """Product c1 · operand + noise, in the form that the ring's ciphertexts have. Shapes: uint64 (L, N) each.

    ``noise`` is a polynomial's coefficients. This is the bare arithmetic: nothing here makes an answer safe.
    """
    primes = rlwe.data_primes(ring)
    ckks = ring.plain_modulus == 0
    mask = c1 if ckks else rlwe.ntt(c1, primes)
    product = np.stack([rlwe.multiply(row, s, p) for row, s, p in zip(mask, operand, primes, strict=True)])
    if ckks:
        return shamir.add(product, rlwe.ntt(noise, primes), primes)
    return shamir.add(rlwe.inverse_ntt(product, primes), noise, primes)


def pair_label(key_id: KeyId, c1: Residues) -> bytes:
    """Label of a set's masks. One label for all c1 would let the difference of two answers cancel them."""
    return digest(encode(str(key_id)), _mask_digest(c1))


def _flooding(preset: RingPreset, ring: Ring, key: bytes, c1: Residues) -> Residues:
    count = rlwe.flooding_bytes(ring.degree, preset.flood_bits)
    stream = hashlib.shake_256(key + _mask_digest(c1)).digest(count)
    return rlwe.flooding(stream, preset.flood_bits, rlwe.data_primes(ring))


def mask_digests(preset: RingPreset, ring: Ring, total: CiphertextVector) -> tuple[bytes, ...]:
    """Digests of what a holder answers at most once: the residues of each c1, however encoded. Raises: WireError."""
    return tuple(_mask_digest(words[1]) for words in read_all(preset, ring, total))


def _mask_digest(c1: Residues) -> bytes:
    return digest(b"hefl/c1", np.ascontiguousarray(c1, dtype="<u8").tobytes())


def combine(
    preset: RingPreset, ring: Ring, key: PublicKey, total: CiphertextVector, partials: Sequence[PartialDecryption]
) -> list[Any]:
    """Ciphertexts (c0 + Σ d_i, 0) in SEAL's form: any secret key opens them, so :func:`opener` does.

    BFV's noise is checked first: a sum that does not come from exactly these t shares and this ciphertext is uniform
    modulo q and exceeds the bound somewhere among N coefficients.
    Raises: QuorumError, KeyMismatch; IntegrityError for doubled, missing, stale, foreign or damaged answers.
    """
    check_partials(key, total, partials)
    primes = rlwe.data_primes(ring)
    if any(len(partial.blocks) != len(total.blocks) for partial in partials):
        raise IntegrityError(f"partials: expected {len(total.blocks)} blocks each, found others; ask the holders again")
    opened = []
    for number, (c0, _) in enumerate(read_all(preset, ring, total)):
        words = np.zeros((2, len(primes), ring.degree), dtype=np.uint64)
        words[0] = c0
        for partial in partials:
            what = f"partial {partial.index}, block {number + 1}"
            part = shamir.from_bytes(partial.blocks[number], primes, ring.degree, what)
            words[0] = shamir.add(words[0], part, primes)
        if ring.plain_modulus:
            check_noise(ring, words[0], preset.noise_limit(key.quorum, total.terms), number + 1)
        opened.append(seal.from_bytes(sealapi.Ciphertext(), ring, rlwe.write_ciphertext(ring, words), "sum"))
    return opened


def check_noise(ring: Ring, words: Residues, limit: float, number: int) -> None:
    """Refuse a BFV sum whose noise exceeds ``limit``. Raises: IntegrityError."""
    found = float(np.max(np.abs(invariant_noise(ring, words)))) / ring.plain_modulus * modulus(ring)
    if found > limit:
        raise IntegrityError(
            f"noise of block {number}: expected at most 2^{np.log2(limit):.1f}, found 2^{np.log2(found):.1f}; a partial "
            "decryption is missing, doubled, foreign, stale or damaged; do not use the sum"
        )


def invariant_noise(ring: Ring, words: Residues) -> npt.NDArray[np.float64]:
    """t·w/q minus the nearest integer, for each coefficient w of c0 + Σ d_i; w/q for CKKS. Shapes: (L, N) to float64 (N,)."""
    primes = rlwe.data_primes(ring)
    whole = modulus(ring)
    # Chinese remainders over q: w/q = Σ (w_p·(q/p)^-1 mod p)/p modulo 1, so no number longer than 64 bits is needed.
    fraction = np.zeros(ring.degree)
    for row, p in zip(words, primes, strict=True):
        factor = max(1, ring.plain_modulus) * pow(whole // p, -1, p) % p
        fraction += rlwe.multiply(row, rlwe.fix(np.array([factor], dtype=np.uint64), p), p) / p
    return np.asarray(fraction - np.rint(fraction))


def opened_noise(
    preset: RingPreset,
    ring: Ring,
    total: CiphertextVector,
    partials: Sequence[PartialDecryption],
    numbers: Sequence[int],
) -> npt.NDArray[np.float64]:
    """A BFV sum's noise as the opening party sees it, in units of 2^f: the floodings of t holders, each uniform on -1 .. 1.

    Shapes: (len(numbers) · N,) of the blocks with these numbers, from 0 on. For CKKS, where noise and numbers are one, it
    is empty.
    """
    if not ring.plain_modulus:
        return np.zeros(0)
    primes, unit = rlwe.data_primes(ring), modulus(ring) / ring.plain_modulus / 2.0**preset.flood_bits
    found = []
    for number in numbers:
        words = read(preset, ring, total.blocks[number], "sum", fresh=total.terms == 1)[0]
        for partial in partials:
            words = shamir.add(words, shamir.from_bytes(partial.blocks[number], primes, ring.degree, "partial"), primes)
        found.append(invariant_noise(ring, words) * unit)
    return np.concatenate(found)


def modulus(ring: Ring) -> int:
    """q, the product of the data primes."""
    product = 1
    for p in rlwe.data_primes(ring):
        product *= p
    return product


@lru_cache(maxsize=16)
def opener(ring: Ring) -> Any:
    """A decryptor under a throw-away key: enough for ciphertexts whose c1 is zero."""
    return seal.decryptor(ring, seal.make_keys(ring)[1])

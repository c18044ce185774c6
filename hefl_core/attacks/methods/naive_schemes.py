"""Keys and encodings as naive schemes use them: exponents in the open, a decryption share of a single upload published."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from hefl_core.attacks.methods.ckks_key_recovery import decode_polynomial
from hefl_core.attacks.view import Doubles
from hefl_core.ids import KeyId
from hefl_core.schemes.base import CiphertextVector, PublicKey
from hefl_core.schemes.presets import CKKSPreset, load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import blocks, joint, rlwe, seal
from hefl_core.schemes.ring.ckks import INTEGER_UNIT
from hefl_core.schemes.ring.rlwe import Residues
from hefl_core.schemes.ring.threshold import answer, prepare

PHE_BASE_BITS = 4


# -- exponents -------------------------------------------------------------------------------------------------------


def phe_exponents(values: Doubles) -> npt.NDArray[np.int64]:
    """What ``phe`` publishes beside each ciphertext by default: the power of 16 at which a float's mantissa ends.

    A test compares this with phe's own. The default encoding of floats keeps all 53 bits of each mantissa, so the
    exponent says how large the number is. Ours encodes integers of one common scale: nothing stands beside a ciphertext.

    Shapes: float64 (d,) to int64 (d,).
    Source: phe 1.5.0, EncodedNumber.encode (encoding.py); "Keys and encodings" in docs/sharp_edges.md.
    """
    return np.array([_exponent(float(value)) for value in values], dtype=np.int64)


def _exponent(value: float) -> int:
    # frexp's exponent less 53 is the place of the mantissa's last bit; a power of 16 holds four bits.
    return math.floor((math.frexp(value)[1] - 53) / PHE_BASE_BITS)


def silhouette(exponents: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Pixels with ink: every exponent other than that of 0.0.

    Shapes: int64 (d,) to bool (d,).
    """
    return np.asarray(exponents != _exponent(0.0))


# -- a part of one's own key -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NaiveMultiKey:
    """One client of a naive multi-key round: its ciphertext under its own key, and the s_k·c1_k that it publishes.

    ``published``: uint64 (L, N) per block; ``update`` stays with the client.
    """

    vector: CiphertextVector
    published: tuple[Residues, ...]


def naive_multi_key(update: Doubles, preset_name: str = "ckks-lean", *, flood_bits: int = 0) -> NaiveMultiKey:
    """Encrypt under the client's own key and publish the partial decryption of *that* ciphertext, as naive versions do.

    ``flood_bits``: noise in the published part; it hides the key, but the part reveals the message.
    Source: contrast Asharov 2012, section 3 (decrypt the sum, not the summands).
    """
    preset = cast(CKKSPreset, load_preset(preset_name))
    ring, seed = seal.open_ring(preset), os.urandom(32)
    secret, part = joint.contribution(ring, seed)
    material = joint.public_key(ring, seed, [part])
    quorum = Quorum(1, 1)
    key = PublicKey(KeyId("ckks", preset.name, 1, seal.fingerprint(preset, quorum, material)), quorum, material)
    vector = open_scheme(preset.name).encrypt(key, update, bound=1.0, max_terms=3, integers=(1, 1))
    primes = rlwe.data_primes(ring)
    small = np.frombuffer(secret, np.int8).astype(np.int64)
    operand = prepare(ring, rlwe.ntt(rlwe.residues_of(small, primes), primes))
    published = []
    for block in vector.blocks:
        _, c1 = blocks.read(preset, ring, block, "update", fresh=True)
        noise = np.zeros((len(primes), ring.degree), dtype=np.uint64)
        if flood_bits:
            noise = rlwe.flooding(os.urandom(rlwe.flooding_bytes(ring.degree, flood_bits)), flood_bits, primes)
        published.append(answer(ring, operand, c1, noise))
    return NaiveMultiKey(vector, tuple(published))


def read_naive(seen: NaiveMultiKey) -> tuple[Doubles, int]:
    """The coordinator adds c0 and the published part: the update in the clear, and its example count.

    Shapes: float64 (d,).
    """
    vector = seen.vector
    preset = cast(CKKSPreset, load_preset(vector.key_id.preset))
    ring = seal.open_ring(preset)
    primes = rlwe.data_primes(ring)
    slots = []
    for block, part in zip(vector.blocks, seen.published, strict=True):
        c0, _ = blocks.read(preset, ring, block, "update", fresh=True)
        whole = np.stack([rlwe.plus(a, b, p) for a, b, p in zip(c0, part, primes, strict=True)])
        slots.append(decode_polynomial(ring, whole))
    values = np.concatenate(slots)
    count = round(float(values[0]) / INTEGER_UNIT)
    return np.asarray(values[vector.integers :][: vector.length]), count

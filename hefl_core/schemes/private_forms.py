"""Forms of a secret share in memory: as stored, and as the libraries hold it while they compute."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from hefl_core.schemes.base import SecretShare, expose_secret
from hefl_core.schemes.onetime.body import modulus
from hefl_core.schemes.onetime.gaussian import Small
from hefl_core.schemes.paillier.keys import open_whole
from hefl_core.schemes.paillier.threshold import open_share
from hefl_core.schemes.presets import OneTimePreset, PaillierPreset, RingPreset, key_preset
from hefl_core.schemes.registry import load_preset
from hefl_core.schemes.ring import pairwise, rlwe, seal, shamir
from hefl_core.wire.fingerprint import Form, pieces

KEY = "key material"


def share_forms(share: SecretShare, count: int) -> Iterator[Form]:
    """``count`` pieces of each form; none for a scheme without secrets.

    Leaks: everything; for fingerprints made in the holder's own process only.
    """
    preset = key_preset(load_preset(share.id.preset), share.quorum)
    label = f"share {share.index} of {share.id.short}"
    if isinstance(preset, RingPreset):
        yield from _ring_forms(preset, share, label, count)
    elif isinstance(preset, PaillierPreset):
        yield from _number_forms(preset, share, label, count)


def _ring_forms(preset: RingPreset, share: SecretShare, label: str, count: int) -> Iterator[Form]:
    """A Shamir share is uniform; the whole key also has small coefficients."""
    ring, material = seal.open_ring(preset), expose_secret(share)
    primes = rlwe.data_primes(ring)
    if share.quorum.collective:
        material, row = pairwise.split(material, primes, ring.degree)
        words = shamir.from_bytes(material, primes, ring.degree, "share")
        others = [at for at in range(0, len(row), pairwise.SEED_BYTES) if at != (share.index - 1) * pairwise.SEED_BYTES]
        for at in others[:count]:
            yield from pieces(KEY, f"{label}, pairwise seed {at}", row[at:][: pairwise.SEED_BYTES], 8.0, 1)
        yield from pieces(
            KEY, f"{label}, packed residues", material, _density(primes[0], shamir.width(primes[0])), count
        )
    else:
        words = rlwe.read_secret_key(ring, material)[: len(primes)]
        middle = material[seal.HEADER_BYTES + 64 : -64]
        yield from pieces(KEY, f"{label}, as it is stored", middle, _density(primes[0], 8), count)
        yield from _small_forms(rlwe.inverse_ntt(words, primes)[0], primes[0], label, count)
    for row, p in zip(words, primes, strict=True):
        for order in ("<u8", ">u8"):
            data = row.astype(order).tobytes()
            yield from pieces(KEY, f"{label}, NTT words mod {p}, {order}", data, _density(p, 8), count)


def one_time_forms(preset: OneTimePreset, keys: Small, label: str, count: int) -> Iterator[Form]:
    """A one-time key, or the sum of a round's: signed, with the digits' offset, as residues and as NTT values.

    Leaks: everything; for fingerprints made in the holder's own process only.
    """
    p = modulus(preset.degree, preset.modulus_bits)
    residues = rlwe.residues_of(keys, (p,))
    forms = {kind: keys.astype(kind) for kind in ("<i8", ">i8", "<i4", "<i2", "<f8")}
    if int(np.abs(keys).max()) < 1 << 7:
        forms["i1"] = keys.astype("i1")
    forms["<u8 digits"] = (keys + preset.secret_limit).astype("<u8")
    forms["<u8 residues"] = residues[0].astype("<u8")
    # Entropy of a Gaussian of this width; a sum's is larger.
    bits = math.log2(preset.secret_std * math.sqrt(2 * math.pi * math.e))
    for kind, values in forms.items():
        density = bits / values.itemsize
        yield from pieces(KEY, f"{label}, {kind}", values.tobytes(), density, count, values.itemsize)
    for order in ("<u8", ">u8"):
        data = rlwe.ntt(residues, (p,))[0].astype(order).tobytes()
        yield from pieces(KEY, f"{label}, NTT words {order}", data, _density(p, 8), count)


def _small_forms(residues: rlwe.Residues, p: int, label: str, count: int) -> Iterator[Form]:
    """The key's coefficients, -1, 0 or 1: as residues and as signed integers of every width."""
    signed = residues.astype(np.int64)
    signed[residues > p // 2] -= p
    forms = {kind: signed.astype(kind) for kind in ("<i8", "<i4", "<i2", "i1", ">i8", "<f8")}
    for kind, values in {"<u8 residues": residues.astype("<u8"), **forms}.items():
        density = math.log2(3) / values.itemsize
        yield from pieces(KEY, f"{label}, coefficients {kind}", values.tobytes(), density, count, values.itemsize)


def _number_forms(preset: PaillierPreset, share: SecretShare, label: str, count: int) -> Iterator[Form]:
    """Big numbers, most significant byte first (as they are stored) and last (as GMP computes with them)."""
    if share.quorum.collective:
        numbers = {"s_i": open_share(preset, expose_secret(share))[1]}
    else:
        _, p, q = open_whole(preset, expose_secret(share))
        numbers = {"p": p, "q": q, "p²": p * p, "q²": q * q}
    for name, number in numbers.items():
        nbytes = -(-int(number).bit_length() // 8)
        trim = 8 if nbytes >= 64 else 0  # p - 1 and the like differ in the last word only
        for order in ("big", "little"):
            data = int(number).to_bytes(nbytes, order)
            yield from pieces(KEY, f"{label}, {name}, {order}-endian", data[trim : nbytes - trim], 7.5, count)


def _density(p: int, width: int) -> float:
    """Entropy of a uniform residue, in bits per byte."""
    return math.log2(p) / width

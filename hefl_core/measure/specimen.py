"""One ciphertext under a throw-away key for inspection: residues, uniformity, the same plaintext twice, a flipped bit.

Nothing here belongs to a run: the key is generated for the inspection and then discarded.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import numpy as np

from hefl_core.errors import HeflError
from hefl_core.ids import AUDITOR, COORDINATOR, client_name
from hefl_core.keys.identity import Identity
from hefl_core.keys.sum_tag import TagKey
from hefl_core.schemes.base import CiphertextVector, PublicKey, Scheme, SecretShare, Vector
from hefl_core.schemes.presets import RingPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import blocks
from hefl_core.schemes.ring.bfv import BFVScheme
from hefl_core.schemes.ring.ckks import CKKSScheme
from hefl_core.schemes.ring.rlwe import Residues, data_primes
from hefl_core.wire.envelope import Position
from hefl_core.wire.outbox import Outbox

LAB_PRESETS = ("bfv-lean", "bfv-compact", "bfv-compact-2048", "ckks-lean")
"""Presets that are instructive to inspect and quick to generate."""
_PLACE = Position(1, 1, 1)
_NAME = client_name(1)
_BINS = 32


@dataclass(frozen=True)
class Specimen:
    """A throw-away key for inspecting ciphertexts of one preset."""

    scheme: Scheme
    key: PublicKey
    share: SecretShare
    tag_key: TagKey

    @classmethod
    def make(cls, preset: str) -> Specimen:
        """A fresh key. Raises: ParameterError."""
        scheme = open_scheme(preset)
        key, shares = scheme.keygen(Quorum(1, 1))
        return cls(scheme, key, shares[0], TagKey())

    def encrypt(self, x: Vector, client: str = _NAME, max_terms: int = 2) -> CiphertextVector:
        """Encrypt as a client does: with count, one, and a tag where the preset has one. Raises: EncodingError."""
        preset = self.scheme.preset
        tag = self.tag_key.for_message("specimen", 1, 1, 1, client) if preset.tagged else None
        with_key = self.share if preset.symmetric else self.key
        return self.scheme.encrypt(with_key, x, max_terms=max_terms, integers=(100, 1), tag=tag)

    def decrypt(self, vector: CiphertextVector) -> Vector:
        """The values. Raises: IntegrityError."""
        part = self.scheme.partial_decrypt(self.share, vector, (1,))
        return self.scheme.combine(self.key, vector, [part])


def sample_update(length: int, seed: int = 7) -> Vector:
    """Random numbers like an update's: small, around zero, a few larger. Shapes: float64 (length,)."""
    draw = np.random.Generator(np.random.PCG64(seed))
    return np.clip(draw.laplace(0.0, 0.04, length), -0.9, 0.9)


def residues(specimen: Specimen, vector: CiphertextVector) -> Residues:
    """Both polynomials of the first block, modulo each prime. Shapes: uint64 (2, L, N). Raises: WireError."""
    ring_scheme = cast(BFVScheme | CKKSScheme, specimen.scheme)
    fresh = vector.terms == 1
    return blocks.read(ring_scheme.preset, ring_scheme.ring, vector.blocks[0], "block 1", fresh=fresh)


def primes(specimen: Specimen) -> tuple[int, ...]:
    """The moduli of the residues."""
    return data_primes(cast(BFVScheme | CKKSScheme, specimen.scheme).ring)


# -- against uniform ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Uniformity:
    """How numbers in 0..1 compare with uniform ones: bin counts, the Kolmogorov-Smirnov distance and its p-value."""

    count: int
    bins: tuple[int, ...]
    distance: float
    p_value: float

    @property
    def looks_uniform(self) -> bool:
        """Whether a test at one in a billion finds nothing: every visit of the page asks."""
        return self.p_value > 1e-9


def uniformity(fractions: Vector) -> Uniformity:
    """Compare numbers in 0..1 with the uniform distribution.

    Shapes: float64 (n,), n ≥ 1. Source: Kolmogorov 1933; p-value after Stephens 1970.

    >>> uniformity(np.arange(1000) / 1000 + 5e-4).looks_uniform, uniformity(np.full(1000, 0.5)).looks_uniform
    (True, False)
    """
    ordered = np.sort(np.asarray(fractions, dtype=np.float64))
    n = len(ordered)
    steps = np.arange(n + 1) / n
    distance = float(max(np.max(steps[1:] - ordered), np.max(ordered - steps[:-1])))
    reach = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    tail = 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * reach) ** 2) for k in range(1, 101))
    counts, _ = np.histogram(ordered, bins=_BINS, range=(0.0, 1.0))
    # The alternating series converges slowly near 0; below 0.2 the tail is 1 to twelve digits.
    p_value = 1.0 if reach < 0.2 else min(1.0, max(0.0, tail))
    return Uniformity(n, tuple(int(c) for c in counts), distance, p_value)


def ciphertext_uniformity(specimen: Specimen, vector: CiphertextVector) -> Uniformity:
    """Of all residues, each divided by its prime."""
    words = residues(specimen, vector)
    scale = np.array(primes(specimen), dtype=np.float64)[:, None]
    return uniformity((words / scale).reshape(-1))


def plaintext_uniformity(x: Vector) -> Uniformity:
    """Of the update's own entries, between their smallest and largest."""
    low, high = float(x.min()), float(x.max())
    return uniformity((x - low) / (high - low or 1.0))


# -- twice the same ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Twice:
    """One vector encrypted twice: equal residues in the first block, and whether both decrypt alike."""

    first: CiphertextVector
    second: CiphertextVector
    residues: int
    equal: int
    equal_plaintexts: bool


def twice(specimen: Specimen, x: Vector) -> Twice:
    """Encrypt twice, compare residue by residue, and decrypt both. Raises: EncodingError."""
    first, second = specimen.encrypt(x), specimen.encrypt(x)
    a, b = residues(specimen, first), residues(specimen, second)
    close = np.allclose(specimen.decrypt(first), specimen.decrypt(second), rtol=0, atol=1e-6)
    return Twice(first, second, a.size, int(np.count_nonzero(a == b)), bool(close))


# -- a flipped bit -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FlipVerdict:
    """Result of one check on damaged bytes. ``refused``: whether the check rejects them."""

    who: str
    check: str
    refused: bool
    said: str


def flip(vector: CiphertextVector, position: int, bit: int) -> CiphertextVector:
    """Flip one bit of the first block. ``position`` counts bytes, negative ones from the end."""
    block = bytearray(vector.blocks[0])
    block[position % len(block)] ^= 1 << (bit % 8)
    return replace(vector, blocks=(bytes(block), *vector.blocks[1:]))


def examine(
    specimen: Specimen, honest: CiphertextVector, damaged: CiphertextVector, x: Vector
) -> tuple[FlipVerdict, ...]:
    """Run every check of the protocol on damaged bytes, each as if the earlier ones were off."""
    return (
        _on_the_wire(honest, damaged),
        _at_the_door(specimen, damaged),
        _at_the_auditor(specimen, honest, damaged, x),
        *_after_decryption(specimen, damaged, x),
    )


def _on_the_wire(honest: CiphertextVector, damaged: CiphertextVector) -> FlipVerdict:
    """The signed header names the content's digest."""
    client = Identity(_NAME, "client")
    envelope = Outbox(_NAME, client, "specimen").compose("update", _PLACE, (COORDINATOR,), honest.to_bytes())
    changed = replace(envelope, body=damaged.to_bytes())
    check = "signature and SHA-256 of the content"
    try:
        changed.check(client.member.signing, experiment="specimen", recipient=COORDINATOR)
    except HeflError as error:
        return FlipVerdict(COORDINATOR, check, True, str(error))
    return FlipVerdict(COORDINATOR, check, False, "the same bytes")


def _at_the_door(specimen: Specimen, damaged: CiphertextVector) -> FlipVerdict:
    """Checks of a ciphertext that need no secret."""
    check = "header, sizes and residues of each block"
    try:
        specimen.scheme.check(specimen.key, damaged)
    except HeflError as error:
        return FlipVerdict(COORDINATOR, check, True, str(error))
    return FlipVerdict(
        COORDINATOR, check, False, "a well-formed ciphertext; what is inside, nobody without the key can say"
    )


def _at_the_auditor(specimen: Specimen, honest: CiphertextVector, damaged: CiphertextVector, x: Vector) -> FlipVerdict:
    """Re-adding the uploads, compared with a changed sum."""
    check = "adding the uploads again, block by block"
    other = specimen.encrypt(x, client_name(2))
    try:
        claimed = specimen.scheme.add(specimen.key, damaged, other)
    except HeflError as error:
        return FlipVerdict(AUDITOR, check, True, f"the sum cannot even be made: {error}")
    again = specimen.scheme.add(specimen.key, honest, other)
    digests = [hashlib.sha256(total.blocks[0]).hexdigest()[:16] for total in (again, claimed)]
    if digests[0] == digests[1]:
        return FlipVerdict(AUDITOR, check, False, f"block 1 is {digests[0]} both times")
    return FlipVerdict(AUDITOR, check, True, f"expected block 1 to be {digests[0]}, found {digests[1]}: not confirmed")


def _after_decryption(specimen: Specimen, damaged: CiphertextVector, x: Vector) -> tuple[FlipVerdict, ...]:
    """Checks at decryption, and the tag where there is one."""
    check = "decrypting: noise, fields, count"
    try:
        part = specimen.scheme.partial_decrypt(specimen.share, damaged, (1,))
        opened = specimen.scheme.open(specimen.key, damaged, [part])
    except HeflError as error:
        return (FlipVerdict(_NAME, check, True, str(error)),)
    off = float(np.max(np.abs(opened.values - x)))
    seen = FlipVerdict(_NAME, check, False, f"opened without complaint; the largest entry is off by {off:.3g}")
    if not specimen.scheme.preset.tagged:
        return (seen, FlipVerdict(_NAME, "tag", False, "this scheme carries none: only the auditor stands in between"))
    try:
        specimen.tag_key.check(opened, [_NAME], "specimen", _PLACE)
    except HeflError as error:
        return (seen, FlipVerdict(_NAME, "tag", True, str(error)))
    return (
        seen,
        FlipVerdict(_NAME, "tag", False, "the tag fits: the change drowned in the noise, every word is as it was sent"),
    )


# -- what lies where ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WordLayout:
    """Contents of one coefficient (or slot) of a plaintext, and of one block.

    ``bits``: (name, width) from the lowest; ``words``: (name, how many) in a block, in order.
    """

    bits: tuple[tuple[str, int], ...]
    words: tuple[tuple[str, int], ...]
    unit: str


@lru_cache(maxsize=32)
def layout(preset_name: str, max_terms: int, parameters: int) -> WordLayout:
    """Where values, head-room, count and tag lie in the first block. Raises: EncodingError past the head-room."""
    scheme = open_scheme(preset_name)
    preset = cast(RingPreset, scheme.preset)
    if isinstance(scheme, BFVScheme):
        fields = scheme.fields(max_terms)
        bits: list[tuple[str, int]] = []
        for number in range(1, scheme.preset.fields + 1):
            bits.append((f"value {number}", fields.value_bits))
            bits.append(("head-room", scheme.preset.field_bits - fields.value_bits))
        spare = scheme.preset.plain_bits - scheme.preset.fields * scheme.preset.field_bits
        heads = (("n_k", 1), ("count 1", 1), *((("tag", 1),) if preset.tagged else ()))
        room = preset.degree - len(heads)
        used = min(room, -(-parameters // scheme.preset.fields))
        words = (*heads, ("fields", used), ("zero", room - used))
        return WordLayout((*bits, *((("unused below t", spare),) if spare else ())), words, "coefficient")
    room = preset.degree // 2 - 2
    used = min(room, parameters)
    scale = int(getattr(preset, "scale_bits", 40))
    whole = preset.data_bits - scale
    return WordLayout(
        (("fraction and noise", scale), ("whole part and head-room", whole)),
        (("n_k", 1), ("count 1", 1), ("values", used), ("zero", room - used)),
        "slot",
    )

"""The mask of a ciphertext: what hides its plaintext, and must never be used twice. Read off, and broken, without a secret.

Of a ring ciphertext this is c1, of a Paillier ciphertext (1 + n)^m·r^n modulo n², which is r^n modulo n.
"""

from __future__ import annotations

import numpy as np

from hefl_core.errors import ParameterError
from hefl_core.ids import digest
from hefl_core.schemes import blocks, rlwe, seal
from hefl_core.schemes.base import CiphertextVector, PublicKey
from hefl_core.schemes.paillier_keys import Modulus, open_public
from hefl_core.schemes.presets import PaillierPreset, RingPreset
from hefl_core.schemes.registry import load_preset


def masks_of(key: PublicKey, vector: CiphertextVector) -> tuple[bytes, ...]:
    """A digest of each block's mask. Raises: WireError for bytes that are no ciphertext; ParameterError for plaintext."""
    preset = load_preset(key.id.preset)
    if isinstance(preset, RingPreset):
        return tuple(digest(np.ascontiguousarray(words[1], "<u8").tobytes()) for words in _residues(preset, vector))
    modulus = _modulus(key)
    return tuple(digest(str(c % modulus.n).encode()) for c in modulus.read(vector.blocks))


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
    """Broken: blocks whose c0 holds small numbers, c1 as it was; a Paillier block is (1 + n)^m. Raises: as :func:`masks_of`."""
    preset = load_preset(key.id.preset)
    if isinstance(preset, RingPreset):
        ring = seal.open_ring(preset)
        return tuple(
            blocks.write(preset, ring, np.stack([words[0] & np.uint64(0xFFFF), words[1]]))
            for words in _residues(preset, vector)
        )
    modulus = _modulus(key)
    return tuple(modulus.write(1 + (c % 2**16) * modulus.n) for c in modulus.read(vector.blocks))


def _residues(preset: RingPreset, vector: CiphertextVector) -> list[rlwe.Residues]:
    ring, fresh = seal.open_ring(preset), vector.terms == 1
    return [blocks.read(preset, ring, block, "block", fresh=fresh) for block in vector.blocks]


def _modulus(key: PublicKey) -> Modulus:
    preset = load_preset(key.id.preset)
    if not isinstance(preset, PaillierPreset):
        raise ParameterError(f"masks: expected a scheme that encrypts, found {preset.name}", "plaintext has no mask")
    return open_public(preset, key.material)

"""Open a scheme by its preset's name. Each family's library is imported when it is first needed."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

from hefl_core.schemes.base import Scheme
from hefl_core.schemes.presets import (
    PRESETS,
    BFVPreset,
    OneTimePreset,
    PaillierPreset,
    PlaintextPreset,
    Preset,
    RingPreset,
    load_preset,
)
from hefl_core.schemes.quorum import Quorum

if TYPE_CHECKING:
    from hefl_core.schemes.onetime.scheme import OneTimeScheme
    from hefl_core.schemes.paillier.scheme import PaillierScheme
    from hefl_core.schemes.ring.scheme import RingScheme

__all__ = [
    "INTEGERS",
    "block_count",
    "fresh_nbytes",
    "load_preset",
    "load_presets",
    "open_scheme",
    "opened_count",
    "partial_nbytes",
]
INTEGERS: Final = 2
"""The exact integers of every update: examples and 1."""
_HOME = {
    "plaintext": ("hefl_core.schemes.plaintext", "PlaintextScheme"),
    "paillier": ("hefl_core.schemes.paillier.scheme", "PaillierScheme"),
    "bfv": ("hefl_core.schemes.ring.bfv", "BFVScheme"),
    "ckks": ("hefl_core.schemes.ring.ckks", "CKKSScheme"),
    "onetime": ("hefl_core.schemes.onetime.scheme", "OneTimeScheme"),
}


def load_presets() -> tuple[Preset, ...]:
    """Every preset, checked. Raises: ParameterError for a broken rule."""
    return tuple(load_preset(name) for name in PRESETS)


@lru_cache(maxsize=64)
def open_scheme(name: str) -> Scheme:
    """The scheme under this preset; it holds no secret and is shared.

    Raises: ParameterError for an unknown name or a broken rule.
    """
    preset = load_preset(name)
    module, kind = _HOME[preset.family]
    return cast(Scheme, getattr(importlib.import_module(module), kind)(preset))


def block_count(preset: Preset, parameters: int) -> int:
    """Ciphertext blocks of one update of d parameters."""
    if isinstance(preset, PlaintextPreset):
        return 2
    if isinstance(preset, PaillierPreset):
        scheme = cast("PaillierScheme", open_scheme(preset.name))
        return scheme.words.block_count(parameters, INTEGERS, preset.tagged)
    if isinstance(preset, OneTimePreset):
        # A tag takes two words; the first block is the short one, with the key.
        return 1 - (-(INTEGERS + 2 * preset.tagged + -(-parameters // preset.fields)) // preset.degree)
    ring = cast(RingPreset, preset)
    if isinstance(preset, BFVPreset):
        return -(-(INTEGERS + preset.tagged + -(-parameters // preset.fields)) // preset.degree)
    return -(-(INTEGERS + parameters) // (ring.degree // 2))


def opened_count(preset: Preset, parameters: int) -> int:
    """Ciphertexts of one sum that holders answer: every block, or the one with the keys."""
    return 1 if isinstance(preset, OneTimePreset) else block_count(preset, parameters)


def fresh_nbytes(preset: Preset, parameters: int, quorum: Quorum) -> tuple[tuple[int, int], ...]:
    """Least and most bytes of each block of a fresh update of d parameters, under this custody."""
    if isinstance(preset, OneTimePreset):
        one_time = cast("OneTimeScheme", open_scheme(preset.name))
        return tuple((size, size) for size in one_time.fresh_nbytes(parameters, INTEGERS, quorum))
    if isinstance(preset, PlaintextPreset):
        return tuple((size, size) for size in (8 * INTEGERS, 4 * parameters))
    if isinstance(preset, PaillierPreset):
        one = (_paillier_nbytes(preset),) * 2
    else:
        one = cast("RingScheme[RingPreset]", open_scheme(preset.name)).fresh_nbytes
    return (one,) * block_count(preset, parameters)


def partial_nbytes(preset: Preset) -> int:
    """Bytes of a block of a partial decryption, where several holders open a sum together."""
    if isinstance(preset, PaillierPreset):
        return _paillier_nbytes(preset)
    return cast("RingScheme[RingPreset] | OneTimeScheme", open_scheme(preset.name)).partial_nbytes


def _paillier_nbytes(preset: PaillierPreset) -> int:
    return -(-2 * preset.modulus_bits // 8)

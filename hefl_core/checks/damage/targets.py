"""Every kind of input that this package accepts, and how often each is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from hefl_core.checks.damage import ciphertexts, conversation, files, messages, transcripts
from hefl_core.checks.damage.bare_tenseal import REFUSALS, BareTenseal
from hefl_core.checks.damage.outcomes import Bench, Target
from hefl_core.schemes.base import Vector
from hefl_core.schemes.presets import PRESETS

TOGETHER = {
    "INSECURE_bfv-threshold-1024": 4,
    "INSECURE_ckks-threshold-1024": 4,
    "INSECURE_paillier-512": 4,
    "INSECURE_onetime-1024": 4,
    "bfv-threshold": 1,
    "bfv-threshold-classroom": 1,
    "bfv-threshold-small": 1,
    "bfv-threshold-strict": 1,
    "ckks-threshold": 1,
    "paillier-packed": 1,
}
"""Presets that are also held 2 of 3, with their weights: the smallest ring of a kind represents the larger ones."""
ROUNDS = {
    "plaintext": "individual",
    "INSECURE_bfv-1024": "individual",
    "INSECURE_ckks-1024": "individual",
    "INSECURE_paillier-512": "2-of-3",
    "INSECURE_bfv-threshold-1024": "dealer-free:2-of-3",
    "INSECURE_onetime-1024": "2-of-3",
    "bfv-compact-2048-seeded": "individual",
}


def targets() -> tuple[Target, ...]:
    """All targets, in a fixed order."""
    return (*_records(), *_messages(), *_ciphertexts())


def _records() -> Iterator[Target]:
    yield Target("experiment as JSON", "experiment", files.experiments, 4)
    yield Target("experiment as URL query", "experiment", files.queries, 4)
    yield Target("CSV table", "CSV", files.tables, 6)
    yield Target("roster pin", "roster pin", files.pins, 2)
    yield Target("key store file", "key store", files.key_stores, 8)
    yield Target("key file", "key store", files.key_files, 2)
    yield Target(TRANSCRIPT, "transcript", transcripts.lines, 10)
    yield Target("transcript as zip", "transcript", transcripts.zips, 6)


TRANSCRIPT = "transcript and blobs"


def _messages() -> Iterator[Target]:
    yield Target("envelope of any kind", "envelope", messages.envelopes, 12)
    yield Target("epoch announcement, signed", "epoch record", messages.announcements, 6)
    yield Target("roster, signed", "epoch record", messages.rosters, 4)
    yield Target("sealed share", "sealed", messages.sealed_shares, 3)
    yield Target("sealed body", "sealed", messages.sealed_bodies, 3)
    for scheme, custody in ROUNDS.items():
        made = partial(conversation.conversation, scheme, custody)
        yield Target(f"letter in a round, {scheme} {custody}", "letter in a round", made, 3)


def _ciphertexts() -> Iterator[Target]:
    for preset in PRESETS:
        weight = 4 if preset.startswith("INSECURE") else 1
        yield from _of(preset, 1, weight)
        if preset in TOGETHER:
            yield from _of(preset, 2, TOGETHER[preset])


def _of(preset: str, threshold: int, weight: int) -> Iterator[Target]:
    kinds: dict[str, Callable[[str, int], Bench]] = {
        "ciphertext": ciphertexts.updates,
        "sum": ciphertexts.sums,
        "public key": ciphertexts.public_keys,
        "secret share": ciphertexts.shares,
    }
    if not PRESETS[preset].symmetric:
        kinds["key material"] = ciphertexts.key_material
    if threshold > 1:
        kinds["partial decryption"] = ciphertexts.partials
    for kind, make in kinds.items():
        name = f"{kind}, {preset}{f' {threshold}-of-3' if threshold > 1 else ''}"
        yield Target(name, kind, partial(make, preset, threshold), weight)


# -- the control ---------------------------------------------------------------------------------------------------


def bare() -> tuple[Target, ...]:
    """TenSEAL without this package around it: the control for the numbers."""
    return (Target("bare TenSEAL", "bare TenSEAL", bare_tenseal),)


def bare_tenseal() -> Bench:
    """``ckks_vector_from`` and ``decrypt``; right within 5e-4, a thousandth of the largest entry."""
    scheme = BareTenseal()
    vectors = [np.random.default_rng(seed).uniform(-0.5, 0.5, 30) for seed in (1, 2)]
    inputs = tuple(scheme.encrypt(vector) for vector in vectors)

    def same(found: Vector, expected: Vector) -> bool:
        return found.shape == expected.shape and bool(np.max(np.abs(found - expected)) < 5e-4)

    return Bench(inputs, scheme.decrypt, tuple(vectors), same=same, ordinary=REFUSALS)

"""The ciphertext distinguishing game: the attacker chooses two updates, receives one of them encrypted, and names it.

The attacker has the public key, as the definition says, so it trains on ciphertexts that it makes itself. A scheme
passes when the guesses are no better than a coin's; that is evidence, never a proof.

Source: Goldwasser and Micali 1984 (IND-CPA); the statistics are the attacker's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hefl_core.attacks.view import Doubles
from hefl_core.ids import digest
from hefl_core.schemes.base import CiphertextVector, PublicKey, SecretShare
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.wire.canonical import encode

Encrypt = Callable[[Doubles], CiphertextVector]
LENGTH = 64


@dataclass(frozen=True)
class Game:
    """Outcome: one bool per trial, and the attacker's margins (positive: says "second")."""

    right: Doubles
    margins: Doubles
    second: Doubles


def features(vector: CiphertextVector) -> Doubles:
    """Cheap statistics of a ciphertext: sizes, byte histogram, moments and signs of its words, its first words.

    Shapes: float64 (f,).
    """
    raw = np.frombuffer(b"".join(vector.blocks), np.uint8)
    histogram = np.bincount(raw >> 4, minlength=16) / len(raw)
    # Words are aligned to the end (headers come first); 2^60 brings residues near 0..1.
    body = raw[-8 * (len(raw) // 8) :].view("<u8").astype(np.float64) / 2.0**60
    half = len(body) // 2
    moments = [body.mean(), body.std(), body[:half].mean(), body[half:].mean(), np.mean(body > np.median(body[:8]))]
    return np.concatenate([[len(raw)], histogram, moments, body[-16:], raw[-16:] / 256.0])


def play(encrypt: Encrypt, trials: int, seed: int = 0, training: int = 100) -> Game:
    """Train on ``training`` own ciphertexts of each kind, then guess ``trials`` challenges."""
    rng = np.random.default_rng(seed)
    choices = (np.full(LENGTH, -0.5), np.full(LENGTH, 0.5))
    seen = [np.array([features(encrypt(choice)) for _ in range(training)]) for choice in choices]
    middle, spread = np.mean(np.vstack(seen), axis=0), np.std(np.vstack(seen), axis=0)
    scale = np.where(spread > 0, spread, 1.0)  # a constant feature says nothing: never divide by its zero
    # Linear discriminant with a diagonal covariance: difference of means over the variance.
    direction = (seen[1].mean(axis=0) - seen[0].mean(axis=0)) / scale
    second = rng.integers(0, 2, trials)
    margins = np.array([float((features(encrypt(choices[bit])) - middle) / scale @ direction) for bit in second])
    right = (margins > 0) == (second == 1)
    return Game(right.astype(np.float64), margins, second.astype(np.float64))


def encryptor(scheme_name: str) -> Encrypt:
    """A function that encrypts under a fresh key of this scheme."""
    scheme = open_scheme(scheme_name)
    key, shares = scheme.keygen(Quorum(1, 3))
    return encryptor_under(shares[0] if scheme.preset.symmetric else key)


def encryptor_under(by: PublicKey | SecretShare) -> Encrypt:
    """A function that encrypts under a given key, such as a run's public one. Raises: (the function) KeyUseError."""
    scheme = open_scheme(by.id.preset)
    tag = (lambda words, modulus: 0) if scheme.preset.tagged else None
    return lambda x: scheme.encrypt(by, x, bound=1.0, max_terms=3, integers=(1, 1), tag=tag)


def broken_encryptor() -> Encrypt:
    """Positive control: "encryption" by the same mask each time. Looks random, hides nothing that repeats."""
    scheme = open_scheme("plaintext")
    key, _ = scheme.keygen(Quorum(1, 3))
    mask = np.frombuffer(b"".join(digest(b"mask", bytes([at])) for at in range(LENGTH // 4)), np.uint8)

    def encrypt(x: Doubles) -> CiphertextVector:
        vector = scheme.encrypt(key, x, bound=1.0, max_terms=3, integers=(1, 1))
        masked = tuple((np.frombuffer(b, np.uint8) ^ np.resize(mask, len(b))).tobytes() for b in vector.blocks)
        return CiphertextVector(key.id, vector.length, 2, False, 1.0, 3, 1, masked)

    return encrypt


def repeats(encrypt: Encrypt, x: Doubles, times: int) -> int:
    """How many encryptions of one update equal an earlier one; 0 under randomised encryption."""
    return times - len({digest(encode(encrypt(x).blocks)) for _ in range(times)})

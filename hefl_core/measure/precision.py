"""Noise and precision: what additions do to a ciphertext until it breaks, and what other parameters would give.

Additions bypass the schemes, which would reject them: residues are added modulo their primes, under a throw-away key.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias, cast

import numpy as np

from hefl_core.errors import HeflError, IntegrityError, ParameterError
from hefl_core.ids import KeyId
from hefl_core.measure.specimen import sample_update
from hefl_core.schemes.base import CiphertextVector, PublicKey, SecretShare, Vector
from hefl_core.schemes.presets import LIMIT_2018, LIMIT_2024, BFVPreset, CKKSPreset, RingPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import blocks, rlwe, seal, threshold
from hefl_core.schemes.ring.bfv import BFVScheme
from hefl_core.schemes.ring.ckks import CKKSScheme
from hefl_core.schemes.ring.rlwe import Residues

MOST_DOUBLINGS = 34
INDEPENDENT = (1, 2, 4, 8, 16, 32, 64)
REPETITIONS = 5


@dataclass(frozen=True, slots=True)
class Point:
    """After so many additions: ``bits`` left (BFV: noise budget; CKKS: precision of the mean), and whether it still decrypts."""

    terms: int
    bits: float
    right: bool


@dataclass(frozen=True)
class Wear:
    """Noise growth of a ciphertext. ``independent``: sums of different ciphertexts, as in a round; ``doubled``: one with itself.

    ``head_room``: terms that the preset allows; ``breaks_at``: terms at which doubling decrypts wrongly, None if it never did.
    """

    scheme: str
    unit: str
    head_room: int
    independent: tuple[Point, ...]
    doubled: tuple[Point, ...]

    @property
    def breaks_at(self) -> int | None:
        """Terms at which doubling first decrypts wrongly."""
        return next((point.terms for point in self.doubled if not point.right), None)


def wear(scheme: str) -> Wear:
    """Add until decryption fails, under a throw-away key. Raises: ParameterError for a scheme without a ring."""
    opened = open_scheme(scheme)
    if isinstance(opened, BFVScheme):
        return _BFVBench(opened).wear()
    if isinstance(opened, CKKSScheme):
        return _CKKSBench(opened).wear()
    raise ParameterError(f"{scheme}: expected a scheme with a ring (bfv-…, ckks-…), found none", "take bfv-lean")


class _Bench:
    """A throw-away key and residues to add."""

    unit = ""

    def __init__(self, scheme: BFVScheme | CKKSScheme) -> None:
        self.scheme, self.ring = scheme, scheme.ring
        preset = scheme.preset
        public, self._secret = seal.make_keys(self.ring)
        quorum = Quorum(1, 1)
        key_id = KeyId(preset.family, preset.name, 1, seal.fingerprint(preset, quorum, public))
        self.key = PublicKey(key_id, quorum, public)
        self.share = SecretShare(key_id, quorum, 1, self._secret)
        self._primes = np.array(rlwe.data_primes(self.ring), dtype=np.uint64)[:, None]

    def wear(self) -> Wear:
        """Both kinds of sums."""
        preset = self.scheme.preset
        return Wear(preset.name, self.unit, preset.max_terms, tuple(self._independent()), tuple(self._doubled()))

    def _independent(self) -> list[Point]:
        points, total, have = [], self._fresh(), 1
        for terms in INDEPENDENT:
            while have < terms:
                total, have = self._plus(total, self._fresh()), have + 1
            points.append(self._judge(total, terms))
        return points

    def _doubled(self) -> list[Point]:
        points, total = [], self._fresh()
        for step in range(MOST_DOUBLINGS):
            points.append(self._judge(total, 1 << step))
            if not points[-1].right:
                break
            total = self._plus(total, total)
        return points

    def _plus(self, a: Residues, b: Residues) -> Residues:
        total = a + b
        np.minimum(total, total - self._primes, out=total)  # below p, total - p wraps to a huge number
        return total

    def _read(self, vector: CiphertextVector) -> Residues:
        return blocks.read(self.scheme.preset, self.ring, vector.blocks[0], "block 1", fresh=True)

    def _fresh(self) -> Residues:
        raise NotImplementedError

    def _judge(self, total: Residues, terms: int) -> Point:
        raise NotImplementedError


class _BFVBench(_Bench):
    """Noise budget: log2(q/t / 2|noise|); gone at 0. All words of the message are equal, so that its sum is known modulo t."""

    unit = "noise budget, bits"

    def __init__(self, scheme: BFVScheme) -> None:
        super().__init__(scheme)
        self._words = rlwe.read_secret_key(self.ring, self._secret)
        preset = scheme.preset
        self._encryptor = seal.encryptor_for(preset, self.ring, self.share if preset.symmetric else self.key)
        self._message = np.full(self.ring.degree, (1 << preset.plain_bits) // 3, dtype=np.uint64)

    def _fresh(self) -> Residues:
        preset = cast(BFVPreset, self.scheme.preset)
        block = blocks.encrypt(preset, self.ring, self._encryptor, self._message)
        return blocks.read(preset, self.ring, block, "block 1", fresh=True)

    def _judge(self, total: Residues, terms: int) -> Point:
        plain = self.ring.plain_modulus
        phase = rlwe.phase(self.ring, total, self._words)
        noise = float(np.max(np.abs(threshold.invariant_noise(self.ring, phase))))
        label = CiphertextVector(
            self.key.id, 1, 1, False, 1.0, 2, 2, (blocks.write(self.scheme.preset, self.ring, total),)
        )
        expected = int(self._message[0]) * terms % plain
        try:
            part = self.scheme.partial_decrypt(self.share, label, (1,))
            right = bool(np.all(np.frombuffer(part.blocks[0], dtype="<u8") == np.uint64(expected)))
        except IntegrityError:
            right = False
        return Point(terms, max(0.0, -math.log2(2 * noise)) if noise else 60.0, right)


class _CKKSBench(_Bench):
    """Precision of the mean: -log2 of its largest error. It breaks when the sum outgrows q/2."""

    unit = "precision of the mean, bits"

    def __init__(self, scheme: CKKSScheme) -> None:
        super().__init__(scheme)
        self._values = sample_update(scheme.preset.degree // 2)

    def _fresh(self) -> Residues:
        key = self.share if self.scheme.preset.symmetric else self.key
        self._label = self.scheme.encrypt(key, self._values, bound=1.0, max_terms=1)
        return self._read(self._label)

    def _judge(self, total: Residues, terms: int) -> Point:
        block = blocks.write(self.scheme.preset, self.ring, total)
        vector = replace(self._label, blocks=(block,))
        part = self.scheme.partial_decrypt(self.share, vector, (1,))
        mean: Vector = np.frombuffer(part.blocks[0], dtype="<f8") / terms
        off = float(np.max(np.abs(mean - self._values)))
        return Point(terms, max(0.0, -math.log2(off)) if off else 60.0, off < 0.01)


# -- other parameters --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Security:
    """Bits of all primes together beside what each table allows at this degree; 0 where the table ends."""

    degree: int
    used: int
    limit_2018: int
    limit_2024: int

    @property
    def fits(self) -> bool:
        """Under both."""
        return self.used <= min(self.limit_2018, self.limit_2024)


@dataclass(frozen=True, slots=True)
class Performance:
    """Cost and precision of safe parameters. Units: bytes per parameter of a full block; microseconds per block; ``error``: of
    a sum of ``max_terms`` entries up to 1, at most.
    """

    block: int
    bytes_per_parameter: float
    encrypt: float
    add: float
    decrypt: float
    error: float


Explored: TypeAlias = BFVPreset | CKKSPreset


def prime_list(first: int, more: int, special: int) -> tuple[int, ...]:
    """Bits of each coefficient prime: the first, ``more`` of 40 bits, the special one last (0: none)."""
    return (first, *(40,) * more, *((special,) if special else ()))


def security(degree: int, prime_bits: tuple[int, ...]) -> Security:
    """Compare with both tables."""
    return Security(degree, sum(prime_bits), LIMIT_2018.get(degree, 0), LIMIT_2024.get(degree, 0))


def explored_bfv(
    degree: int, prime_bits: tuple[int, ...], plain_bits: int, fields: int, field_bits: int, max_terms: int
) -> BFVPreset:
    """A custom preset, checked like the shipped ones. Raises: ParameterError naming the broken rule."""
    preset = BFVPreset(
        name="explored-bfv",
        family="bfv",
        default_bound=1.0,
        security_bits=128,
        security_standard="both tables",
        source="the parameter explorer",
        degree=degree,
        prime_bits=prime_bits,
        plain_bits=plain_bits,
        fields=fields,
        field_bits=field_bits,
        max_terms=max_terms,
    )
    preset.require_safe()
    return preset


def explored_ckks(degree: int, prime_bits: tuple[int, ...], scale_bits: int, max_terms: int) -> CKKSPreset:
    """Like :func:`explored_bfv` for approximate numbers. Raises: ParameterError."""
    preset = CKKSPreset(
        name="explored-ckks",
        family="ckks",
        default_bound=1.0,
        security_bits=128,
        security_standard="both tables",
        source="the parameter explorer",
        degree=degree,
        prime_bits=prime_bits,
        scale_bits=scale_bits,
        max_terms=max_terms,
    )
    preset.require_safe()
    return preset


@lru_cache(maxsize=64)
def performance(preset: Explored) -> Performance:
    """Generate a key, encrypt a full block a few times, and measure. Raises: ParameterError where SEAL refuses."""
    scheme: BFVScheme | CKKSScheme = BFVScheme(preset) if isinstance(preset, BFVPreset) else CKKSScheme(preset)
    per_block = _values_per_block(preset)
    key, shares = scheme.keygen(Quorum(1, 1))
    x = sample_update(per_block)
    terms = preset.max_terms
    try:
        made = [scheme.encrypt(key, x, bound=1.0, max_terms=terms) for _ in range(2)]
        total = scheme.add(key, *made)
    except HeflError as error:
        raise ParameterError(f"{preset.name}: {error}") from error
    return Performance(
        block=len(total.blocks[0]),
        bytes_per_parameter=len(total.blocks[0]) / per_block,
        encrypt=_microseconds(lambda: scheme.encrypt(key, x, bound=1.0, max_terms=terms)),
        add=_microseconds(lambda: scheme.add(key, *made)),
        decrypt=_microseconds(lambda: scheme.partial_decrypt(shares[0], total, (1,))),
        error=scheme.sum_error(1.0, terms, terms),
    )


def _values_per_block(preset: RingPreset) -> int:
    return preset.degree * preset.fields if isinstance(preset, BFVPreset) else preset.degree // 2


def _microseconds(work: Callable[[], object]) -> float:
    found = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return 1e6 * statistics.median(found)

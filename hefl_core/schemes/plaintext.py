"""No encryption at all, behind the same interface: the control that every comparison needs.

Entries travel as float32, as plain federated averaging sends them; a sum of several terms as float64.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

import numpy as np

from hefl_core.errors import EncodingError, RoundError, WireError
from hefl_core.ids import KeyId, digest
from hefl_core.schemes.base import (
    CiphertextVector,
    Opened,
    PartialDecryption,
    PublicKey,
    SecretShare,
    Tag,
    Vector,
    check_addable,
    check_partials,
    check_quorum,
    require_key,
)
from hefl_core.schemes.fixed_point import check_vector
from hefl_core.schemes.presets import PlaintextPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.wire.canonical import encode


class PlaintextScheme:
    """Leaks: everything, to everybody who relays it. Its keys are names without secrecy."""

    def __init__(self, preset: PlaintextPreset) -> None:
        self.preset = preset

    def keygen(self, quorum: Quorum, *, epoch: int = 1) -> tuple[PublicKey, tuple[SecretShare, ...]]:
        """A name for a key that hides nothing. Raises: ParameterError for a quorum: there is nothing to hold."""
        check_quorum(self.preset, quorum)
        material = secrets.token_bytes(16)
        fingerprint = digest(self.preset.digest, encode(quorum), material).hex()
        key_id = KeyId(self.preset.family, self.preset.name, epoch, fingerprint)
        shares = tuple(SecretShare(key_id, quorum, index, material) for index in range(1, quorum.holders + 1))
        return PublicKey(key_id, quorum, material), shares

    def encrypt(
        self,
        key: PublicKey | SecretShare,
        x: Vector,
        *,
        bound: float | None = None,
        max_terms: int = 16,
        integers: Sequence[int] = (),
        tag: Tag | None = None,
        declare_bound: bool = True,
    ) -> CiphertextVector:
        """Write the vector down. Leaks: all of it. Raises: EncodingError."""
        bound = self.preset.default_bound if bound is None else bound
        x = check_vector(x, bound)
        if any(not 0 <= value < 1 << 53 for value in integers):
            raise EncodingError(f"integers: expected 0 ≤ v < 2^53, found {tuple(integers)}")
        blocks = (np.array(integers, dtype="<i8").tobytes(), x.astype("<f4").tobytes())
        declared = bound if declare_bound else None
        return CiphertextVector(key.id, len(x), len(integers), False, declared, max_terms, 1, blocks)

    def check(self, key: PublicKey, vector: CiphertextVector) -> None:
        """Compare sizes. Raises: KeyMismatch, WireError."""
        require_key(key, vector)
        width = 4 if vector.terms == 1 else 8
        expected = (8 * vector.integers, width * vector.length)
        if vector.tagged or tuple(len(block) for block in vector.blocks) != expected:
            raise WireError(f"plaintext: expected blocks of {expected} bytes, found {[len(b) for b in vector.blocks]}")
        if not np.all(np.isfinite(_values(vector))):
            raise WireError("plaintext: expected finite numbers, found NaN or infinity")

    def add(self, key: PublicKey, a: CiphertextVector, b: CiphertextVector) -> CiphertextVector:
        """Ordinary addition, in float64."""
        running = self.accumulator(key)
        running.add(a)
        running.add(b)
        return running.total()

    def accumulator(self, key: PublicKey) -> PlainAccumulator:
        """A running sum."""
        return PlainAccumulator(self, key)

    def partial_decrypt(self, share: SecretShare, total: CiphertextVector, active: Iterable[int]) -> PartialDecryption:
        """Nothing to decrypt."""
        require_key(share, total)
        return PartialDecryption(total.key_id, share.index, tuple(active), digest(total.to_bytes()), total.blocks)

    def open(
        self,
        key: PublicKey,
        total: CiphertextVector,
        partials: Sequence[PartialDecryption],
        *,
        bound: float | None = None,
    ) -> Opened:
        """Read the numbers. Raises: QuorumError, KeyMismatch, IntegrityError."""
        self.check(key, total)
        check_partials(key, total, partials)
        integers = np.frombuffer(total.blocks[0], dtype="<i8")
        return Opened(_values(total), tuple(int(v) for v in integers), None, None, 0)

    def combine(
        self,
        key: PublicKey,
        total: CiphertextVector,
        partials: Sequence[PartialDecryption],
        *,
        bound: float | None = None,
    ) -> Vector:
        """The values of :meth:`open`."""
        return self.open(key, total, partials, bound=bound).values

    def sum_error(self, bound: float, terms: int, max_terms: int) -> float:
        """Each term was rounded to float32 once: half a unit in the last place of a value up to ``bound``."""
        return terms * bound * 2.0**-24


class PlainAccumulator:
    """Adds in float64, so that the order of up to millions of float32 terms does not show."""

    def __init__(self, scheme: PlaintextScheme, key: PublicKey) -> None:
        self._scheme, self._key = scheme, key
        self._total: CiphertextVector | None = None

    def add(self, vector: CiphertextVector) -> None:
        """Raises: KeyMismatch, WireError, EncodingError."""
        self._scheme.check(self._key, vector)
        if self._total is None:
            self._total = vector
            return
        check_addable(self._key, self._total, vector)
        integers = [np.frombuffer(v.blocks[0], dtype="<i8") for v in (self._total, vector)]
        values = _values(self._total) + _values(vector)
        total = self._total
        self._total = CiphertextVector(
            total.key_id,
            total.length,
            total.integers,
            False,
            total.bound,
            total.max_terms,
            total.terms + vector.terms,
            ((integers[0] + integers[1]).astype("<i8").tobytes(), values.astype("<f8").tobytes()),
        )

    def total(self) -> CiphertextVector:
        """Raises: RoundError when nothing was added."""
        if self._total is None:
            raise RoundError("sum: nothing was added; an empty cohort has no sum")
        return self._total


def _values(vector: CiphertextVector) -> Vector:
    return np.frombuffer(vector.blocks[1], dtype="<f4" if vector.terms == 1 else "<f8").astype(np.float64)

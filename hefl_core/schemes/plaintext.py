"""No encryption at all, behind the same interface: the control that every comparison needs.

Entries travel as float32, as plain federated averaging sends them; a sum of several terms as float64.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

import numpy as np

from hefl_core.errors import EncodingError, IntegrityError, KeyMismatch, RoundError, WireError
from hefl_core.ids import KeyId, digest
from hefl_core.schemes.base import (
    Additive,
    CiphertextVector,
    Opened,
    PartialDecryption,
    PublicKey,
    SecretShare,
    Tag,
    Vector,
    check_addable,
    check_label,
    check_partials,
    check_quorum,
    require_key,
)
from hefl_core.schemes.fixed_point import check_integers, check_max_terms, check_vector
from hefl_core.schemes.presets import PlaintextPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.sharing import active_set
from hefl_core.wire.canonical import encode

LARGEST_SUM = 2**63 - 1


class PlaintextScheme(Additive):
    """Leaks: everything, to every party that relays it. Its keys are names without secrecy."""

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
        max_terms = check_max_terms(max_terms, self.preset.max_terms, self.preset.name)
        if key.id.preset != self.preset.name:
            raise KeyMismatch(f"expected a key of {self.preset.name}, found {key.id.short}; open its own scheme")
        if tag is not None:
            raise EncodingError(f"{self.preset.name}: carries no tag, it hides nothing from a forger; leave it out")
        x = check_vector(x, bound)
        # max_terms of these fit int64: the sum never wraps to a negative count.
        exact = check_integers(integers, LARGEST_SUM // max_terms)
        blocks = (np.array(exact, dtype="<i8").tobytes(), x.astype("<f4").tobytes())
        declared = float(bound) if declare_bound else None
        return CiphertextVector(key.id, len(x), len(exact), False, declared, max_terms, 1, blocks)

    def check(self, key: PublicKey, vector: CiphertextVector) -> None:
        """Compare label and sizes, and look at the numbers. Raises: KeyMismatch, WireError."""
        require_key(key, vector)
        check_label(vector, self.preset.max_terms)
        width = 4 if vector.terms == 1 else 8
        expected = (8 * vector.integers, width * vector.length)
        if vector.tagged or tuple(len(block) for block in vector.blocks) != expected:
            raise WireError(f"plaintext: expected blocks of {expected} bytes, found {[len(b) for b in vector.blocks]}")
        if not np.all(np.isfinite(_values(vector))):
            raise WireError("plaintext: expected finite numbers, found NaN or infinity")

    def accumulator(self, key: PublicKey) -> PlainAccumulator:
        """A running sum."""
        return PlainAccumulator(self, key)

    def partial_decrypt(self, share: SecretShare, total: CiphertextVector, active: Iterable[int]) -> PartialDecryption:
        """Nothing to decrypt. Raises: KeyMismatch; QuorumError, ParameterError for another active set than this holder."""
        require_key(share, total)
        members = active_set(active, share.quorum)
        return PartialDecryption(total.key_id, share.index, members, digest(total.to_bytes()), total.blocks)

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
        if partials[0].blocks != total.blocks:
            raise IntegrityError("partial: expected the sum's own numbers, found others; ask the holder again")
        integers = np.frombuffer(total.blocks[0], dtype="<i8")
        return Opened(_values(total), tuple(int(v) for v in integers), None, None, 0)

    def sum_error(self, bound: float, terms: int, max_terms: int) -> float:
        """Each term was rounded to float32 once (half a unit in the last place), each addition in float64."""
        return terms * (bound * (2.0**-24 + terms * 2.0**-52) + 2.0**-149)


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

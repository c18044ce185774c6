"""Interface of every scheme: encrypt a vector, add without a key, decrypt alone or together.

The verbs are those of the protocol: ``keygen``, ``encrypt``, ``add``, ``partial_decrypt``, ``combine``.
A vector travels as *words* inside ciphertext blocks: first the exact integers (example counts and the like), then the
tag word when there is one, then the update's entries as fixed-point fields.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.errors import (
    EncodingError,
    IntegrityError,
    KeyMismatch,
    ParameterError,
    QuorumError,
    SecretKeyEscape,
    WireError,
)
from hefl_core.ids import KeyId, digest
from hefl_core.schemes.quorum import Quorum
from hefl_core.wire.canonical import decode, encode

if TYPE_CHECKING:
    from hefl_core.schemes.presets import Preset

Vector: TypeAlias = npt.NDArray[np.float64]
Words: TypeAlias = Sequence[int] | npt.NDArray[np.uint64]
Tag: TypeAlias = Callable[[Words, int], int]
"""Computes the tag of encoded words modulo the given number (see keys/sum_tag.py)."""
Keep: TypeAlias = Callable[[str, Callable[[], bytes]], bytes]
"""Makes a value once under a name, and brings the same one until the round is over (federation/party.py)."""


@dataclass(frozen=True, slots=True)
class RoundContext:
    """The round that a vector belongs to, for a scheme whose public values differ by round. The same at every party.

    ``epoch_record``: the digest of the key epoch's record. The attempt is not in it: a retry sends what it can again.
    """

    experiment: str
    epoch_record: bytes
    round: int


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that coordinator and auditor may hold: it encrypts and adds, it cannot decrypt."""

    id: KeyId
    quorum: Quorum
    material: bytes

    def to_bytes(self) -> bytes:
        """Canonical bytes."""
        return encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> PublicKey:
        """Read canonical bytes. Raises: WireError."""
        return decode(data, cls)


class SecretShare:
    """A share of the secret key (under 1 of n: the whole key). It cannot be pickled, copied, printed or encoded.

    ``index`` is the holder's number, 1..n. The material is reached only through :func:`expose_secret`.
    """

    __slots__ = ("__material", "id", "index", "quorum")

    def __init__(self, id: KeyId, quorum: Quorum, index: int, material: bytes) -> None:
        self.id = id
        self.quorum = quorum
        self.index = index
        self.__material = material

    def __repr__(self) -> str:
        return f"SecretShare({self.id.short}, {self.index} of {self.quorum.holders}, hidden)"

    def __reduce_ex__(self, *_: object) -> NoReturn:
        raise SecretKeyEscape("a secret share stays where it is; seal it to its holder (keys/sealing.py) instead")

    __copy__ = __deepcopy__ = __getstate__ = __reduce_ex__


def expose_secret(share: SecretShare) -> bytes:
    """The share's material. Callers: only the schemes and keys/sealing.py (a test counts them)."""
    material: bytes = share._SecretShare__material  # type: ignore[attr-defined]
    return material


@dataclass(frozen=True, slots=True)
class CiphertextVector:
    """Labelled ciphertext: ``length`` entries and ``integers`` exact integers in ``blocks``, a sum of ``terms`` vectors.

    ``bound`` is None where it is the clients' secret (adaptive bound); ``max_terms`` fixes the fields' head-room.
    """

    key_id: KeyId
    length: int
    integers: int
    tagged: bool
    bound: float | None
    max_terms: int
    terms: int
    blocks: tuple[bytes, ...]

    @property
    def nbytes(self) -> int:
        """Size of the blocks together, in bytes."""
        return sum(len(block) for block in self.blocks)

    def to_bytes(self) -> bytes:
        """Canonical bytes."""
        return encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> CiphertextVector:
        """Read canonical bytes. Raises: WireError."""
        vector = decode(data, cls)
        if vector.length < 1 or vector.integers < 0 or not 1 <= vector.terms <= vector.max_terms:
            raise WireError(
                f"ciphertext vector: expected length ≥ 1 and 1 ≤ terms ≤ max_terms, found length {vector.length}, "
                f"terms {vector.terms} of {vector.max_terms}; ask the sender again"
            )
        return vector


def check_addable(key: PublicKey, a: CiphertextVector, b: CiphertextVector) -> None:
    """Reject a sum whose result would mean nothing.

    Raises: KeyMismatch for another key; WireError for other shapes; EncodingError past the head-room.
    """
    for vector in (a, b):
        if vector.key_id != key.id:
            raise KeyMismatch(
                f"add: expected ciphertexts of {key.id.short}, found {vector.key_id.short}; encrypt again"
            )
    # Another bound or max_terms is another step size: such fields add up to nonsense that nothing shows later.
    shape_a, shape_b = ((v.length, v.integers, v.tagged, v.bound, v.max_terms, len(v.blocks)) for v in (a, b))
    if shape_a != shape_b:
        raise WireError(
            f"add: expected equal shapes, found {shape_a} and {shape_b}; a shorter vector is never broadcast"
        )
    if a.terms + b.terms > a.max_terms:
        raise EncodingError(
            f"add: head-room for {a.max_terms} terms, found {a.terms + b.terms}; encrypt with a larger max_terms",
            bound=a.max_terms,
            found=a.terms + b.terms,
        )


def require_key(key: PublicKey | SecretShare, vector: CiphertextVector) -> None:
    """Reject a ciphertext of another key. Raises: KeyMismatch."""
    if vector.key_id != key.id:
        raise KeyMismatch(f"expected ciphertexts of {key.id.short}, found one of {vector.key_id.short}; encrypt again")


def check_label(vector: CiphertextVector, max_terms: int) -> None:
    """Reject a ciphertext whose label contradicts itself or the preset's head-room. Raises: WireError."""
    bound_ok = vector.bound is None or (math.isfinite(vector.bound) and vector.bound > 0)
    if (
        vector.length < 1
        or vector.integers < 0
        or not 1 <= vector.terms <= vector.max_terms <= max_terms
        or not bound_ok
    ):
        raise WireError(
            f"ciphertext vector: expected length ≥ 1, 1 ≤ terms ≤ max_terms ≤ {max_terms} and a positive bound, found "
            f"length {vector.length}, {vector.integers} integers, terms {vector.terms} of {vector.max_terms}, "
            f"bound {vector.bound}; ask the sender again"
        )


def check_quorum(preset: Preset, quorum: Quorum) -> None:
    """Reject a collective key where the preset has no room for flooding. Raises: ParameterError with a suggestion."""
    if quorum.collective and not preset.collective:
        other = {"bfv": "bfv-threshold", "ckks": "ckks-threshold", "paillier": "paillier-packed"}.get(preset.family)
        raise ParameterError(
            f"{preset.name}: cannot be held {quorum}, partial decryptions would leak the key",
            f"use {other}, or individual custody" if other else "use an encrypting scheme",
        )


@dataclass(frozen=True, slots=True)
class PartialDecryption:
    """One holder's contribution to decrypting one sum for one active set. Sent sealed, to clients only."""

    key_id: KeyId
    index: int
    active: tuple[int, ...]
    total_digest: bytes
    blocks: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """Canonical bytes."""
        return encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> PartialDecryption:
        """Read canonical bytes. Raises: WireError."""
        return decode(data, cls)


def check_partials(key: PublicKey, total: CiphertextVector, partials: Sequence[PartialDecryption]) -> None:
    """Require exactly the active set's partial decryptions, once each, of this sum.

    Raises: KeyMismatch for another key; QuorumError for fewer than t; IntegrityError for doubled, foreign or stale ones.
    """
    need = key.quorum.threshold
    require_key(key, total)
    for partial in partials:
        if partial.key_id != key.id:
            raise KeyMismatch(f"partial {partial.index}: expected one of {key.id.short}, found {partial.key_id.short}")
    if len(partials) < need:
        raise QuorumError(f"expected {need} partial decryptions, found {len(partials)}", have=len(partials), need=need)
    active = partials[0].active
    indices = tuple(sorted(partial.index for partial in partials))
    if any(partial.active != active for partial in partials) or indices != tuple(sorted(active)):
        raise IntegrityError(
            f"partials: expected one from each of the active set {active}, found holders {indices}; ask them again"
        )
    if len(active) != need or len(set(active)) != need or not all(1 <= i <= key.quorum.holders for i in active):
        raise IntegrityError(f"active set: expected {need} distinct holders of 1..{key.quorum.holders}, found {active}")
    wanted = digest(total.to_bytes())
    if any(partial.total_digest != wanted for partial in partials):
        raise IntegrityError("partials: made for another sum; ask the holders for this one")


@dataclass(frozen=True)
class Opened:
    """A decrypted sum: ``values`` float64 (d,), the exact ``integers``, and for tagged sums the words under the tag."""

    values: Vector
    integers: tuple[int, ...]
    words: Words | None
    tag: int | None
    modulus: int


class Accumulator(Protocol):
    """A running sum: memory for one ciphertext vector, whatever the number of terms."""

    def add(self, vector: CiphertextVector) -> None:
        """Add one more ciphertext vector. Raises: as :meth:`Scheme.add`."""

    def total(self) -> CiphertextVector:
        """The sum so far. Raises: RoundError when nothing was added."""


class Additive:
    """What every scheme has in common: two terms added as its running sum adds them, and the values of an opened sum."""

    def accumulator(self, key: PublicKey) -> Accumulator:
        """Start a running sum."""
        raise NotImplementedError

    def in_round(self, context: RoundContext, keep: Keep | None = None) -> Self:
        """The scheme in one round. Most schemes are the same in every round; onetime/scheme.py is not."""
        return self

    def lasting(self, vector: CiphertextVector) -> bytes:
        """A digest of what a client's retry in the same round must repeat; empty where it encrypts afresh."""
        return b""

    def open(
        self,
        key: PublicKey,
        total: CiphertextVector,
        partials: Sequence[PartialDecryption],
        *,
        bound: float | None = None,
    ) -> Opened:
        """Combine partial decryptions. Raises: QuorumError, KeyMismatch, IntegrityError."""
        raise NotImplementedError

    def add(self, key: PublicKey, a: CiphertextVector, b: CiphertextVector) -> CiphertextVector:
        """Add two encrypted vectors without a secret: Dec(a ⊞ b) = Dec(a) + Dec(b), within the scheme's ``sum_error``.

        Shapes: a, b and the result have the same blocks.
        Leaks: d, the number of terms and the key id; nothing about the entries (plaintext: everything).
        Raises: KeyMismatch if key ids differ; WireError for other shapes; EncodingError past the head-room.
        Source: Paillier 1999, section 8; Fan and Vercauteren 2012, section 4.
        """
        running = self.accumulator(key)
        running.add(a)
        running.add(b)
        return running.total()

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


class Scheme(Protocol):
    """A homomorphic scheme under one preset. See the module docstring for the layout of words."""

    @property
    def preset(self) -> Preset:
        """The named numbers."""

    def in_round(self, context: RoundContext, keep: Keep | None = None) -> Scheme:
        """The scheme in one round; ``keep`` where it makes something once there."""

    def keygen(self, quorum: Quorum, *, epoch: int = 1) -> tuple[PublicKey, tuple[SecretShare, ...]]:
        """Make a key held t of n. Raises: ParameterError with ``.suggestion`` where the preset cannot carry the quorum."""

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
        """Encrypt x, |x| ≤ bound. Raises: EncodingError, KeyUseError."""

    def add(self, key: PublicKey, a: CiphertextVector, b: CiphertextVector) -> CiphertextVector:
        """Dec(a ⊞ b) = Dec(a) + Dec(b), with the public key alone. Raises: KeyMismatch, WireError, EncodingError."""

    def accumulator(self, key: PublicKey) -> Accumulator:
        """Start a running sum."""

    def check(self, key: PublicKey, vector: CiphertextVector) -> None:
        """Check what can be checked without a secret. Raises: KeyMismatch, WireError."""

    def lasting(self, vector: CiphertextVector) -> bytes:
        """A digest of what a client's retry in the same round must repeat."""

    def partial_decrypt(self, share: SecretShare, total: CiphertextVector, active: Iterable[int]) -> PartialDecryption:
        """This share's part of decrypting ``total`` with exactly the holders ``active``."""

    def open(
        self,
        key: PublicKey,
        total: CiphertextVector,
        partials: Sequence[PartialDecryption],
        *,
        bound: float | None = None,
    ) -> Opened:
        """Combine partial decryptions. Raises: QuorumError, KeyMismatch, IntegrityError."""

    def combine(
        self,
        key: PublicKey,
        total: CiphertextVector,
        partials: Sequence[PartialDecryption],
        *,
        bound: float | None = None,
    ) -> Vector:
        """The values of :meth:`open`: float64 (d,)."""

    def sum_error(self, bound: float, terms: int, max_terms: int) -> float:
        """Largest possible |decrypted sum - true sum| of one entry for inputs within ``bound``."""

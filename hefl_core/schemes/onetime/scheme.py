"""One-time keys behind the interface of every scheme: (c, b_1, b_2, …) with c = Enc_pk(s) and b_j = a_j·s + e_j + Δ·m_j.

Every client draws a throw-away key s for this one round and hides its long update with it. Only s is encrypted under the key
that the group holds. Hidden updates add up, and so do throw-away keys. The holders open one short ciphertext, the sum of the
keys, and it fits only the sum of the updates.

Bound to a round (:meth:`OneTimeScheme.in_round`), the a_j are that round's, and a client's key and body are made once in it. Not
bound, the a_j belong to no round and every call draws a new key.

Source: Bell et al. 2025 (Willow, eprint 2024/936); docs/threat_model.md, "One-time keys".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, cast

import numpy as np

from hefl_core.errors import EncodingError, KeyUseError, RoundError, WireError
from hefl_core.ids import KeyId, digest
from hefl_core.schemes.base import (
    Additive,
    CiphertextVector,
    Keep,
    Opened,
    PartialDecryption,
    PublicKey,
    RoundContext,
    SecretShare,
    Tag,
    Vector,
    check_addable,
    check_label,
    check_partials,
    check_quorum,
    expose_secret,
    require_key,
)
from hefl_core.schemes.fixed_point import (
    FixedPoint,
    check_bound,
    check_integers,
    check_max_terms,
    pack_words,
    unpack_words,
)
from hefl_core.schemes.onetime.body import Body, Words64
from hefl_core.schemes.onetime.gaussian import Small, gaussian
from hefl_core.schemes.onetime.public import Public
from hefl_core.schemes.onetime.transport import Transport
from hefl_core.schemes.presets import BFVPreset, FewBitsOneTime, OneTimePreset, key_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.ring import seal, threshold
from hefl_core.schemes.ring.bfv import BFVScheme
from hefl_core.schemes.ring.rlwe import Residues
from hefl_core.wire.canonical import decode, encode

TAG_PRIME: Final = (1 << 61) - 1
"""The tag's field. Words are below 2^50, so no shift of one is a multiple of it."""
TAG_WORDS: Final = 2
_LOW_BITS: Final = 31
"""A tag of 61 bits fits no word of a sum: it travels as 31 low and 30 high bits, and is put together after the sum."""
ONE_TIME: Final = "one-time"
"""Name under which a client keeps this round's key and body, until the round is over."""
_TOGETHER: Final = Quorum(2, 2)
"""Some collective custody: the ring of the epoch's key is the same under each."""
NO_ROUND: Final = RoundContext("", b"", 0)


@dataclass(frozen=True)
class Made:
    """A client's one-time key, the body under it, and a digest of what it hides."""

    hides: bytes
    key: bytes = field(repr=False)
    blocks: tuple[bytes, ...]

    @classmethod
    def of(cls, kept: bytes) -> Made:
        """Read what a client keeps. Raises: WireError."""
        return decode(kept, cls)

    @property
    def secret(self) -> Small:
        """The key. Shapes: int64 (N,)."""
        return np.frombuffer(self.key, dtype=np.int8).astype(np.int64)


class OneTimeScheme(Additive):
    """One preset, bound to a round or to none. It holds no secret."""

    def __init__(self, preset: OneTimePreset, context: RoundContext = NO_ROUND, keep: Keep | None = None) -> None:
        self.preset = preset
        self.body = Body(preset)
        self._context, self._keep = context, keep
        self.public = Public.of(context, preset.digest, self.body.prime, preset.degree)

    def in_round(self, context: RoundContext, keep: Keep | None = None) -> OneTimeScheme:
        """The same scheme in one round; ``keep`` lets a client make its key and body once there."""
        return OneTimeScheme(self.preset, context, keep)

    def transport(self, quorum: Quorum) -> Transport:
        """How keys travel under this custody."""
        return _transport(self.preset, cast(BFVPreset, key_preset(self.preset, quorum)))

    def fields(self, max_terms: int) -> FixedPoint:
        """The quantiser for sums of at most ``max_terms``. Raises: EncodingError past the preset's limit."""
        max_terms = check_max_terms(max_terms, self.preset.max_terms, self.preset.name)
        if isinstance(self.preset, FewBitsOneTime):
            return FixedPoint.of(self.preset.value_bits, max_terms)
        return FixedPoint(self.preset.field_bits, max_terms)

    # -- keys ---------------------------------------------------------------------------------------------------

    def keygen(self, quorum: Quorum, *, epoch: int = 1) -> tuple[PublicKey, tuple[SecretShare, ...]]:
        """A fresh key of the epoch, in the ring that one-time keys travel in. Raises: ParameterError."""
        check_quorum(self.preset, quorum)
        public, shares = self._ring_scheme(quorum).keygen(quorum, epoch=epoch)
        key = self._outer(public)
        return key, tuple(self._outer_share(key, share) for share in shares)

    def joint_contribution(self, seed: bytes) -> tuple[bytes, bytes]:
        """As :meth:`~hefl_core.schemes.ring.joint.JointKeys.joint_contribution`."""
        return self._together.joint_contribution(seed)

    def joint_public_key(self, seed: bytes, parts: Sequence[bytes], quorum: Quorum, *, epoch: int = 1) -> PublicKey:
        """As :meth:`~hefl_core.schemes.ring.joint.JointKeys.joint_public_key`."""
        return self._outer(self._together.joint_public_key(seed, parts, quorum, epoch=epoch))

    def joint_deal(self, secret: bytes, quorum: Quorum, index: int) -> tuple[bytes, ...]:
        """As :meth:`~hefl_core.schemes.ring.joint.JointKeys.joint_deal`."""
        return self._together.joint_deal(secret, quorum, index)

    def joint_share(self, key: PublicKey, index: int, dealt: Sequence[bytes]) -> SecretShare:
        """As :meth:`~hefl_core.schemes.ring.joint.JointKeys.joint_share`."""
        return self._outer_share(key, self._together.joint_share(self._inner(key), index, dealt))

    @property
    def _together(self) -> BFVScheme:
        return self._ring_scheme(_TOGETHER)

    def _ring_scheme(self, quorum: Quorum) -> BFVScheme:
        return BFVScheme(self.transport(quorum).inner)

    def _outer(self, key: PublicKey) -> PublicKey:
        """The same key under this preset's name and with its fingerprint, which covers the ring's numbers too."""
        fingerprint = seal.fingerprint(self.preset, key.quorum, key.material)
        return replace(key, id=KeyId(self.preset.family, self.preset.name, key.id.epoch, fingerprint))

    @staticmethod
    def _outer_share(key: PublicKey, share: SecretShare) -> SecretShare:
        return SecretShare(key.id, share.quorum, share.index, expose_secret(share))

    def _inner(self, key: PublicKey) -> PublicKey:
        """The key as its ring's own scheme names it. Raises: KeyMismatch for another preset's, or a false fingerprint."""
        seal.check_public_key(self.preset, key)
        inner = self.transport(key.quorum).inner
        fingerprint = seal.fingerprint(inner, key.quorum, key.material)
        return replace(key, id=KeyId(inner.family, inner.name, key.id.epoch, fingerprint))

    # -- encrypt and add ----------------------------------------------------------------------------------------

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
        """Quantise, pack, hide under a fresh key, and encrypt that key.

        Bound to a round with a ``keep``, a second call in the round brings the same body, byte for byte, and makes only
        the short part anew: the sum of the keys stays what it was, and a retry tells nothing new.

        Shapes: x float64 (d,) into the short block and ceil((integers + 2·tag + ceil(d / fields)) / N) long ones.
        Leaks: d, the number of integers, max_terms, and the bound unless ``declare_bound`` is False.
        Raises: EncodingError as BFV; KeyUseError for a secret share; RoundError for another vector in the same round.
        """
        if isinstance(key, SecretShare):
            raise KeyUseError(f"{self.preset.name}: expected the public key to encrypt with, found a SecretShare")
        inner = self._inner(key)
        bound = self.preset.default_bound if bound is None else bound
        max_terms = check_max_terms(max_terms, self.preset.max_terms, self.preset.name)
        exact = np.array(check_integers(integers, (self.body.largest_sum - 1) // max_terms), dtype=np.uint64)
        packed = pack_words(self.preset, self.fields(max_terms).quantise(x, bound))
        words = np.concatenate([exact, packed])
        if tag is not None:
            words = np.insert(words, len(exact), _split_tag(tag(words, TAG_PRIME)))
        declared = float(bound) if declare_bound else None
        label = CiphertextVector(key.id, len(x), len(exact), tag is not None, declared, max_terms, 1, ())
        secret, hidden = self._hidden(words, label)
        return replace(label, blocks=(self.transport(key.quorum).encrypt(inner, secret), *hidden))

    def _hidden(self, words: Words64, label: CiphertextVector) -> tuple[Small, tuple[bytes, ...]]:
        """A one-time key and the body under it: fresh, or this round's own. Raises: RoundError for another vector."""
        keep = self._keep or (lambda _, make: make())
        made = Made.of(keep(ONE_TIME, lambda: self.kept_form(words, label)))
        if made.hides != _hides(words, label):
            raise RoundError(
                f"one-time key: expected the update that it hides in round {self._context.round}, found another one, or another "
                "encoding; a key used twice gives away the difference: wait for the next round"
            )
        return made.secret, made.blocks

    def kept_form(self, words: Words64, label: CiphertextVector) -> bytes:
        """A fresh key and the body under it, as a client keeps them. Leaks: everything; it stays with the client."""
        secret = gaussian(self.preset.secret_std, self.preset.secret_limit).draw(self.preset.degree)
        blocks = self.body.hide(words, secret, self.public)
        return encode(Made(_hides(words, label), secret.astype(np.int8).tobytes(), blocks))

    def _words_in(self, vector: CiphertextVector) -> int:
        fields = -(-vector.length // self.preset.fields)
        return vector.integers + TAG_WORDS * vector.tagged + fields

    def check(self, key: PublicKey, vector: CiphertextVector) -> None:
        """Label, sizes, residues, and c1 ≠ 0. Raises: KeyMismatch, WireError."""
        self.read(key, vector)

    def read(self, key: PublicKey, vector: CiphertextVector) -> tuple[Residues, list[Residues]]:
        """Residues of c, uint64 (2, L, N), and of each b_j. Raises: KeyMismatch, WireError."""
        require_key(key, vector)
        check_label(vector, self.preset.max_terms)
        if not vector.blocks:
            raise WireError(f"{self.preset.name}: expected a one-time key and a body, found no block")
        return self.transport(key.quorum).read(vector.blocks[0]), self.body.read(
            vector.blocks[1:], self._words_in(vector)
        )

    def lasting(self, vector: CiphertextVector) -> bytes:
        """A digest of the body: a client makes one in a round, and a retry repeats it."""
        return digest(b"hefl/onetime/body", *vector.blocks[1:])

    def accumulator(self, key: PublicKey) -> OneTimeAccumulator:
        """A running sum."""
        return OneTimeAccumulator(self, key)

    @property
    def partial_nbytes(self) -> int:
        """Bytes of a partial decryption's one block."""
        return self.transport(_TOGETHER).partial_nbytes

    def fresh_nbytes(self, parameters: int, integers: int, quorum: Quorum) -> tuple[int, ...]:
        """Bytes of each block of an update of d parameters."""
        sizes = self.body.sizes(integers + TAG_WORDS + -(-parameters // self.preset.fields))
        return self.transport(quorum).nbytes, *(8 * size for size in sizes)

    def mask_digests(self, total: CiphertextVector) -> tuple[bytes, ...]:
        """What a holder answers at most once: the residues of c1 of the short part. Raises: WireError."""
        transport = self.transport(_TOGETHER)
        return threshold.mask_digests(transport.inner, transport.ring, transport.as_ciphertext(total))

    # -- decrypt ------------------------------------------------------------------------------------------------

    def partial_decrypt(self, share: SecretShare, total: CiphertextVector, active: Iterable[int]) -> PartialDecryption:
        """This holder's part in opening the sum of the keys: one short ciphertext, whatever d.

        Raises: KeyMismatch; as :meth:`Transport.partial_decrypt`.
        """
        require_key(share, total)
        check_label(total, self.preset.max_terms)
        return self.transport(share.quorum).partial_decrypt(share, total, active)

    def open(
        self,
        key: PublicKey,
        total: CiphertextVector,
        partials: Sequence[PartialDecryption],
        *,
        bound: float | None = None,
    ) -> Opened:
        """The sum of the keys, then the sum of the words under it, then their values.

        Leaks: to the opening party the sums of keys and of errors, hints about each key (lattice_estimates.py).
        Raises: QuorumError, KeyMismatch; IntegrityError when digits, errors or fields are none of an honest sum.
        """
        self._inner(key)
        _, rows = self.read(key, total)
        keys = self.key_sum(key, total, partials)
        words = self.body.reveal(rows, keys, self.public, total.terms)
        bound = total.bound if bound is None else bound
        if bound is None:
            raise EncodingError("open: expected the bound, the ciphertext does not declare one; pass bound=")
        return self._decode(words, total, check_bound(bound))

    def key_sum(self, key: PublicKey, total: CiphertextVector, partials: Sequence[PartialDecryption]) -> Small:
        """The sum S of the keys. Shapes: int64 (N,). Leaks: a hint about each key, to the opening party.

        Raises: as :meth:`open`.
        """
        check_partials(key, total, partials)
        return self.transport(key.quorum).open(key, total, partials)

    def opened_noise(self, total: CiphertextVector, partials: Sequence[PartialDecryption]) -> Vector:
        """Noise of an opened sum of keys, in units of 2^f: the floodings of t holders. Shapes: float64 (n,) of the words sent."""
        transport = self.transport(_TOGETHER)
        return transport.noise(total, partials) / 2.0**transport.inner.flood_bits

    def _decode(self, words: Words64, total: CiphertextVector, bound: float) -> Opened:
        count, first = total.integers, total.integers + TAG_WORDS * total.tagged
        fields = unpack_words(self.preset, words[first:], total)
        return Opened(
            values=self.fields(total.max_terms).restore(fields, bound, total.terms),
            integers=tuple(int(word) for word in words[:count]),
            words=np.concatenate([words[:count], words[first:]]),
            tag=_join_tag(words[count:first]) if total.tagged else None,
            modulus=TAG_PRIME,
        )

    def sum_error(self, bound: float, terms: int, max_terms: int) -> float:
        """Half a quantisation step per term; the encryption itself adds nothing."""
        return self.fields(max_terms).sum_error(bound, terms)


class OneTimeAccumulator:
    """A running sum of short and long parts, modulo their primes."""

    def __init__(self, scheme: OneTimeScheme, key: PublicKey) -> None:
        self._scheme, self._key = scheme, key
        self._primes = np.array(scheme.transport(key.quorum).primes, dtype=np.uint64)[:, None]
        self._short: Residues | None = None
        self._long: list[Residues] = []
        self._label: CiphertextVector | None = None

    def add(self, vector: CiphertextVector) -> None:
        """Raises: KeyMismatch, WireError, EncodingError; the sum so far is unchanged then."""
        short, rows = self._scheme.read(self._key, vector)
        if self._label is None or self._short is None:
            # A first vector is kept as it came; the copy is what later ones are added to.
            self._label, self._short, self._long = vector, short, [row.copy() for row in rows]
            return
        check_addable(self._key, self._label, vector)
        _add(self._short, short, self._primes)
        for total, row in zip(self._long, rows, strict=True):
            _add(total, row, np.uint64(self._scheme.body.prime))
        blocks = (b"",) * len(vector.blocks)
        self._label = replace(self._label, terms=self._label.terms + vector.terms, blocks=blocks)

    def total(self) -> CiphertextVector:
        """The sum so far; of one vector, that vector. Raises: RoundError when nothing was added."""
        if self._label is None or self._short is None:
            raise RoundError("sum: nothing was added; an empty cohort has no sum")
        if self._label.blocks[0]:
            return self._label
        short = self._scheme.transport(self._key.quorum).write(self._short)
        return replace(self._label, blocks=(short, *(row.astype("<u8", copy=False).tobytes() for row in self._long)))


def _hides(words: Words64, label: CiphertextVector) -> bytes:
    """What a key hides: the words, and how they are read."""
    return digest(b"hefl/onetime/hides", label.to_bytes(), words.astype("<u8").tobytes())


def _add(total: Residues, one: Residues, primes: Residues | np.uint64) -> None:
    # As in ring/blocks.py: below p, total - p wraps to nearly 2^64, and the minimum keeps total.
    total += one
    np.minimum(total, total - primes, out=total)


def _split_tag(value: int) -> list[np.uint64]:
    if not 0 <= value < TAG_PRIME:
        raise EncodingError(f"tag: expected 0..{TAG_PRIME - 1}, found {value}")
    return [np.uint64(value >> _LOW_BITS), np.uint64(value & ((1 << _LOW_BITS) - 1))]


def _join_tag(words: Words64) -> int:
    """The summed tag modulo its field, from sums of high and of low bits."""
    high, low = (int(word) for word in words)
    return ((high << _LOW_BITS) + low) % TAG_PRIME


@lru_cache(maxsize=16)
def _transport(preset: OneTimePreset, inner: BFVPreset) -> Transport:
    # One object for each pair: it caches its ring and primes.
    return Transport(preset, inner)

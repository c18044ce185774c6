"""Paillier: exact sums of integers modulo n, many quantised values packed into each ciphertext.

    Enc(m) = (1 + n)^m · mask mod n²      mask a fresh n-th residue
    Enc(a) · Enc(b) mod n² = Enc(a + b)

A product of ciphertexts is one more number modulo n², so whoever adds the same ciphertexts gets the same bytes.
``paillier-naive`` is what one gets from phe as its examples have it, one value per ciphertext, with one repair: integers
instead of phe's floating-point encoding, which publishes every exponent.

Encrypting is making masks; the packed presets use short ones (see masks.py for the assumption that this adds to
Paillier's, and for making them beforehand). Decrypting takes all cores.

Leaks: what :class:`CiphertextVector` says in the clear. Not constant-time: packing and masks run on ordinary big-number
arithmetic; only the exponentiations with secret keys take equal time for equal lengths.

Source: Paillier 1999; packing after BatchCrypt (Zhang et al. 2020); masks after Damgård, Jurik and Nielsen 2010.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import phe

from hefl_core.errors import (
    DecryptionRefused,
    EncodingError,
    IntegrityError,
    KeyMismatch,
    KeyUseError,
    RoundError,
    WireError,
)
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
    expose_secret,
    require_key,
)
from hefl_core.schemes.big_words import INTEGER_BITS, MAX_INTEGERS, BigWords
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.schemes.masks import MaskPool, in_threads
from hefl_core.schemes.paillier_keys import (
    Factors,
    Modulus,
    make_base,
    make_primes,
    open_public,
    open_whole,
    write_public,
    write_whole,
)
from hefl_core.schemes.paillier_threshold import combine, deal, open_share, raise_to_share, write_share
from hefl_core.schemes.presets import PaillierPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.sharing import active_set
from hefl_core.wire.canonical import encode

TAG_MODULUS: Final = 2**61 - 1
"""A prime. Tags are below it; the sum of a thousand fits the tag's field."""
NAIVE_FIELD_BITS: Final = 40
"""Width of the one value in a ciphertext of ``paillier-naive``: finer than float32, and exact in float64."""


class PaillierScheme:
    """Paillier under one preset. Words under the tag: each block's plaintext as one integer, without the tag itself."""

    def __init__(self, preset: PaillierPreset) -> None:
        self.preset = preset
        self.naive = preset.field_bits == 0
        self.layout = BigWords(preset.modulus_bits - 1, preset.field_bits or NAIVE_FIELD_BITS, singly=self.naive)

    def keygen(self, quorum: Quorum, *, epoch: int = 1) -> tuple[PublicKey, tuple[SecretShare, ...]]:
        """A fresh key: dealt in shares for t > 1, a copy for every holder under 1 of n.

        Leaks: the factors to this process, the dealer, until it forgets them.

        Raises: ParameterError for t > 1 where the preset has individual custody only.
        """
        check_quorum(self.preset, quorum)
        p, q = make_primes(self.preset.modulus_bits, safe=quorum.collective)
        material = write_public(Modulus(p * q, make_base(p * q) if self.preset.mask_bits else 0))
        key_id = KeyId(self.preset.family, self.preset.name, epoch, self._fingerprint(quorum, material))
        if quorum.collective:
            secrets = tuple(write_share(material, share) for share in deal(p, q, quorum))
        else:
            secrets = (write_whole(material, p, q),) * quorum.holders
        shares = tuple(SecretShare(key_id, quorum, index, secret) for index, secret in enumerate(secrets, 1))
        return PublicKey(key_id, quorum, material), shares

    def _fingerprint(self, quorum: Quorum, material: bytes) -> str:
        return digest(self.preset.digest, encode(quorum), material).hex()

    def modulus(self, key: PublicKey) -> Modulus:
        """The key's numbers.

        Raises: KeyMismatch for a key of another preset, or whose label is not its fingerprint; WireError and
            ParameterError for a modulus that is none.
        """
        if key.id.preset != self.preset.name:
            raise KeyMismatch(f"expected a key of {self.preset.name}, found {key.id.short}; open its own scheme")
        modulus = open_public(self.preset, key.material)
        if key.id.fingerprint != self._fingerprint(key.quorum, key.material):
            raise KeyMismatch(f"{key.id.short}: the key's material has another fingerprint; ask the KMS for the key")
        return modulus

    def fields(self, max_terms: int) -> FixedPoint:
        """The quantiser for sums of at most ``max_terms``. Raises: EncodingError past the preset's limit."""
        if not 1 <= max_terms <= self.preset.max_terms:
            raise EncodingError(
                f"max_terms: expected 1..{self.preset.max_terms} ({self.preset.name}), found {max_terms}",
                bound=self.preset.max_terms,
                found=max_terms,
            )
        return FixedPoint(self.layout.field_bits, max_terms)

    # -- encrypt and add ---------------------------------------------------------------------------------------

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
        """Quantise, pack and encrypt, each block under a fresh mask.

        Shapes: x float64 (d,) into ceil((64·len(integers) + 72·tagged + field_bits·d) / (modulus_bits - 1)) blocks, a
            little more where fields do not fill a block; ``paillier-naive``: one block for each of them.
        Leaks: d, the number of integers, max_terms, and the bound unless ``declare_bound`` is False.
        Raises: EncodingError for NaN, infinities, entries beyond the bound, integers without head-room;
            KeyUseError for a secret share: this scheme encrypts with the public key.
        """
        if not isinstance(key, PublicKey):
            raise KeyUseError(f"{self.preset.name}: expected the public key to encrypt with, found a secret share")
        modulus = self.modulus(key)
        bound = self.preset.default_bound if bound is None else bound
        fields = self.fields(max_terms).quantise(x, bound)
        words, plan = self.layout.write(_whole(integers, max_terms), fields, tag is not None)
        if tag is not None and plan.tag is not None:
            block, low = plan.tag
            words[block] += _below(tag(words, TAG_MODULUS), TAG_MODULUS, "tag") << low
        blocks = tuple(self._encrypt_words(modulus, words))
        declared = bound if declare_bound else None
        return CiphertextVector(key.id, len(fields), len(integers), tag is not None, declared, max_terms, 1, blocks)

    def _encrypt_words(self, modulus: Modulus, words: list[int]) -> list[bytes]:
        if self.naive:
            public = phe.PaillierPublicKey(int(modulus.n))
            return [modulus.write(public.raw_encrypt(word)) for word in words]
        return [modulus.write(modulus.encrypt(word)) for word in words]

    def masks(self, key: PublicKey) -> MaskPool:
        """Masks for this key, to make before there is anything to encrypt: they cost nearly all of it.

        ``scheme.masks(key).fill_in_background(scheme.layout.block_count(d, integers, tagged))`` while the model trains.
        """
        return self.modulus(key).masks

    def check(self, key: PublicKey, vector: CiphertextVector) -> None:
        """Key, block count, and each block's length, range, invertibility and mask. Raises: KeyMismatch, WireError."""
        self.parse(key, vector)

    def parse(self, key: PublicKey, vector: CiphertextVector) -> list[Any]:
        """The blocks as numbers modulo n², checked. Raises: KeyMismatch, WireError."""
        require_key(key, vector)
        self._check_shape(vector)
        return self.modulus(key).read(vector.blocks)

    def _check_shape(self, vector: CiphertextVector) -> None:
        sane = (
            vector.length >= 1
            and 0 <= vector.integers <= MAX_INTEGERS
            and 1 <= vector.terms <= vector.max_terms <= self.preset.max_terms
        )
        if not sane:
            raise WireError(
                f"{self.preset.name}: expected d ≥ 1, at most {MAX_INTEGERS} integers and 1 ≤ terms ≤ max_terms ≤ "
                f"{self.preset.max_terms}, found {vector.length}, {vector.integers}, {vector.terms}, {vector.max_terms}"
            )
        expected = self.layout.block_count(vector.length, vector.integers, vector.tagged)
        if len(vector.blocks) != expected:
            raise WireError(
                f"{self.preset.name}: expected {expected} blocks for d = {vector.length}, found {len(vector.blocks)}"
            )

    def add(self, key: PublicKey, a: CiphertextVector, b: CiphertextVector) -> CiphertextVector:
        """Add two encrypted vectors without any secret: Dec(a ⊞ b) = Dec(a) + Dec(b), exactly.

        Shapes: a, b and the result have the same blocks.
        Leaks: d, the number of terms and the key id; nothing about the entries.
        Raises: KeyMismatch if key ids differ; WireError for other shapes; EncodingError past the head-room.
        Source: Paillier 1999, section 8.
        """
        running = self.accumulator(key)
        running.add(a)
        running.add(b)
        return running.total()

    def accumulator(self, key: PublicKey) -> PaillierAccumulator:
        """A running sum."""
        return PaillierAccumulator(self, key)

    # -- decrypt -----------------------------------------------------------------------------------------------

    def partial_decrypt(self, share: SecretShare, total: CiphertextVector, active: Iterable[int]) -> PartialDecryption:
        """This holder's power of the ciphertexts; under 1 of n the plaintext words, which never travel.

        Shapes: as many blocks as ``total`` has.
        Leaks: under t of n: nothing to fewer than t, the sum to whoever has t of them.
        Raises: KeyMismatch; WireError for blocks that are none; IntegrityError for a share that is not its label's;
            QuorumError, ParameterError, DecryptionRefused for an active set that is none or is not this holder's.
        """
        require_key(share, total)
        members = active_set(active, share.quorum)
        if share.index not in members:
            raise DecryptionRefused(f"holder {share.index}: expected an active set with me, found {members}")
        public, secret = self._open_share(share)
        ciphertexts = self.parse(PublicKey(share.id, share.quorum, public), total)
        if share.quorum.collective:
            modulus = open_public(self.preset, public)
            blocks = raise_to_share(modulus, share.quorum, secret[0], ciphertexts)
        else:
            blocks = self._decrypt_blocks(secret[0], secret[1], ciphertexts)
        return PartialDecryption(total.key_id, share.index, members, digest(total.to_bytes()), tuple(blocks))

    def _open_share(self, share: SecretShare) -> tuple[bytes, tuple[int, ...]]:
        """(public material, secret numbers). Raises: IntegrityError when the material is not what the label says."""
        material = expose_secret(share)
        if share.quorum.collective:
            public, *numbers = open_share(self.preset, material)
        else:
            public, *numbers = open_whole(self.preset, material)
        if share.id.fingerprint != self._fingerprint(share.quorum, public):
            raise IntegrityError(f"secret share: its material is not the key {share.id.short}; ask the KMS again")
        return public, tuple(numbers)

    def _decrypt_blocks(self, p: int, q: int, ciphertexts: list[Any]) -> list[bytes]:
        if self.naive:
            naive = phe.PaillierPrivateKey(phe.PaillierPublicKey(p * q), p, q)
            words = [naive.raw_decrypt(int(ciphertext)) for ciphertext in ciphertexts]
        else:
            words = in_threads(Factors(p, q).decrypt, ciphertexts)
        return [int(word).to_bytes(self._plain_nbytes, "big") for word in words]

    @property
    def _plain_nbytes(self) -> int:
        return -(-self.preset.modulus_bits // 8)

    def open(
        self,
        key: PublicKey,
        total: CiphertextVector,
        partials: Sequence[PartialDecryption],
        *,
        bound: float | None = None,
    ) -> Opened:
        """Combine exactly the active set's partial decryptions and decode the words.

        A block that another key decrypts, or that overflowed, has bits where none may be or fields out of range with
        overwhelming probability; a shift within the range of the fields is left to the tag.
        Raises: QuorumError, KeyMismatch, WireError, IntegrityError; EncodingError when nobody states the bound.
        """
        check_partials(key, total, partials)
        self._check_shape(total)
        if key.quorum.collective:
            powers = {partial.index: partial.blocks for partial in partials}
            return self.decode(combine(self.modulus(key), key.quorum, powers), total, bound)
        blocks = partials[0].blocks
        if any(len(block) != self._plain_nbytes for block in blocks):
            raise IntegrityError(f"partial: expected blocks of {self._plain_nbytes} bytes; ask the holder again")
        return self.decode([int.from_bytes(block, "big") for block in blocks], total, bound)

    def decode(self, words: Sequence[int], total: CiphertextVector, bound: float | None) -> Opened:
        """Split summed words into integers, tag and values. Raises: IntegrityError when one is out of range."""
        bound = total.bound if bound is None else bound
        if bound is None:
            raise EncodingError("open: expected the bound, the ciphertext does not declare one; pass bound=")
        found = self.layout.read(words, total.length, total.integers, total.tagged)
        quantiser = self.fields(total.max_terms)
        low, high = np.uint64(total.terms), np.uint64(total.terms * (2 * quantiser.offset - 1))
        if np.any((found.fields < low) | (found.fields > high)):
            raise IntegrityError(
                f"fields: expected sums of {total.terms} values, found one out of range; the ciphertext belongs to "
                "another key, overflowed or was tampered with; never retry on it"
            )
        room = total.terms * _integer_room(total.max_terms)
        if any(value > room for value in found.integers) or (found.tag or 0) >= total.terms * TAG_MODULUS:
            raise IntegrityError("integers: found one that no honest sum contains; never retry on this ciphertext")
        return Opened(
            values=quantiser.restore(found.fields, bound, total.terms),
            integers=found.integers,
            words=found.words,
            tag=None if found.tag is None else found.tag % TAG_MODULUS,
            modulus=TAG_MODULUS,
        )

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
        """Half a quantisation step per term, and float64 rounding; the encryption itself adds nothing."""
        return self.fields(max_terms).sum_error(bound, terms) + terms * bound * 2.0**-50


class PaillierAccumulator:
    """A running product modulo n²: parsed once, written once."""

    def __init__(self, scheme: PaillierScheme, key: PublicKey) -> None:
        self._scheme, self._key = scheme, key
        self._square = scheme.modulus(key).square
        self._product: list[Any] = []
        self._label: CiphertextVector | None = None

    def add(self, vector: CiphertextVector) -> None:
        """Raises: KeyMismatch, WireError, EncodingError; the sum so far is unchanged then."""
        if self._label is not None:
            check_addable(self._key, self._label, vector)
        parsed = self._scheme.parse(self._key, vector)
        if self._label is None:
            self._label, self._product = replace(vector, blocks=(b"",) * len(vector.blocks)), parsed
            return
        self._product = [mine * other % self._square for mine, other in zip(self._product, parsed, strict=True)]
        self._label = replace(self._label, terms=self._label.terms + vector.terms)

    def total(self) -> CiphertextVector:
        """Raises: RoundError when nothing was added."""
        if self._label is None:
            raise RoundError("sum: nothing was added; an empty cohort has no sum")
        modulus = self._scheme.modulus(self._key)
        return replace(self._label, blocks=tuple(modulus.write(number) for number in self._product))


def _integer_room(max_terms: int) -> int:
    return int((1 << INTEGER_BITS) - 1) // max_terms


def _whole(integers: Sequence[int], max_terms: int) -> list[int]:
    """Exact integers with head-room for the sum. Raises: EncodingError."""
    if len(integers) > MAX_INTEGERS:
        raise EncodingError(f"integers: expected at most {MAX_INTEGERS}, found {len(integers)}; use fields")
    return [_below(value, _integer_room(max_terms) + 1, "integers") for value in integers]


def _below(value: int, limit: int, what: str) -> int:
    try:
        number = operator.index(value)
    except TypeError as error:
        raise EncodingError(f"{what}: expected an integer, found {type(value).__name__}") from error
    if not 0 <= number < limit:
        raise EncodingError(f"{what}: expected 0..{limit - 1}, found {number}", bound=limit - 1, found=number)
    return number

"""Paillier: exact sums of integers modulo n, many quantised values packed into each ciphertext.

    Enc(m) = (1 + n)^m · mask mod n²      mask a fresh n-th residue
    Enc(a) · Enc(b) mod n² = Enc(a + b)

A product of ciphertexts is a number modulo n², so all parties that add the same ciphertexts get the same bytes.
``paillier-naive`` uses phe as its examples do, one value per ciphertext, with one repair: integers instead of phe's
floating-point encoding, which publishes every exponent.

Nearly all of encrypting is making masks; the packed presets use short ones (masks.py has the assumption that this adds
to Paillier's, and makes them beforehand). Decrypting takes all cores.

Leaks: what :class:`CiphertextVector` says in the clear. Not constant-time: packing and masks run on ordinary big-number
arithmetic; only the exponentiations with secret keys take equal time for equal lengths.

Source: Paillier 1999; packing after BatchCrypt (Zhang et al. 2020); masks after Damgård, Jurik and Nielsen 2010.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import phe

from hefl_core.errors import (
    DecryptionRefused,
    IntegrityError,
    KeyMismatch,
    KeyUseError,
    RoundError,
)
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
    check_partials,
    check_quorum,
    expose_secret,
    require_key,
)
from hefl_core.schemes.fixed_point import FixedPoint, check_max_terms
from hefl_core.schemes.paillier.keys import (
    Factors,
    Modulus,
    make_base,
    make_primes,
    open_public,
    open_whole,
    write_public,
    write_whole,
)
from hefl_core.schemes.paillier.masks import MaskPool, in_threads
from hefl_core.schemes.paillier.threshold import combine, deal, open_share, raise_to_share, write_share
from hefl_core.schemes.paillier.words import PaillierWords
from hefl_core.schemes.presets import PaillierPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.sharing import active_set
from hefl_core.wire.canonical import encode


class PaillierScheme(Additive):
    """Paillier under one preset. It holds no secret but masks made beforehand (:meth:`masks`)."""

    def __init__(self, preset: PaillierPreset) -> None:
        self.preset = preset
        self.naive = preset.field_bits == 0
        self.words = PaillierWords(preset)

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

    def fields(self, max_terms: int) -> FixedPoint:
        """The quantiser for sums of at most ``max_terms``. Raises: EncodingError past the preset's limit."""
        return self.words.fields(max_terms)

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
        max_terms = check_max_terms(max_terms, self.preset.max_terms, self.preset.name)
        words = self.words.encode(x, bound, max_terms, integers, tag)
        blocks = tuple(self._encrypt_words(modulus, words))
        declared = float(bound) if declare_bound else None
        return CiphertextVector(key.id, len(x), len(integers), tag is not None, declared, max_terms, 1, blocks)

    def _encrypt_words(self, modulus: Modulus, words: list[int]) -> list[bytes]:
        if self.naive:
            public = phe.PaillierPublicKey(int(modulus.n))
            return [modulus.write(public.raw_encrypt(word)) for word in words]
        return [modulus.write(modulus.encrypt(word)) for word in words]

    def masks(self, key: PublicKey) -> MaskPool:
        """Masks for this key, to make before there is anything to encrypt: they are nearly all of the cost.

        While the model trains: ``scheme.masks(key).fill_in_background(scheme.words.layout.block_count(d, 2, True))``.
        """
        return self.modulus(key).masks

    def check(self, key: PublicKey, vector: CiphertextVector) -> None:
        """Key, block count, and each block's length, range, invertibility and mask. Raises: KeyMismatch, WireError."""
        self.parse(key, vector)

    def parse(self, key: PublicKey, vector: CiphertextVector) -> list[Any]:
        """The blocks as numbers modulo n², checked. Raises: KeyMismatch, WireError."""
        require_key(key, vector)
        self.words.check_label(vector)
        return self.modulus(key).read(vector.blocks)

    def accumulator(self, key: PublicKey) -> PaillierAccumulator:
        """A running sum."""
        return PaillierAccumulator(self, key)

    # -- decrypt -----------------------------------------------------------------------------------------------

    def partial_decrypt(self, share: SecretShare, total: CiphertextVector, active: Iterable[int]) -> PartialDecryption:
        """This holder's power of the ciphertexts; under 1 of n the plaintext words, which never travel.

        Shapes: as many blocks as ``total`` has.
        Leaks: under t of n: nothing to fewer than t, the sum to a party with t of them.
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
        Raises: QuorumError, KeyMismatch, WireError, IntegrityError; EncodingError when no bound is given.
        """
        check_partials(key, total, partials)
        self.words.check_label(total)
        if key.quorum.collective:
            powers = {partial.index: partial.blocks for partial in partials}
            return self.words.decode(combine(self.modulus(key), key.quorum, powers), total, bound)
        blocks = partials[0].blocks
        if any(len(block) != self._plain_nbytes for block in blocks):
            raise IntegrityError(f"partial: expected blocks of {self._plain_nbytes} bytes; ask the holder again")
        return self.words.decode([int.from_bytes(block, "big") for block in blocks], total, bound)

    def sum_error(self, bound: float, terms: int, max_terms: int) -> float:
        """Half a quantisation step per term, and float64 rounding; the encryption itself adds nothing."""
        return self.words.sum_error(bound, terms, max_terms)


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

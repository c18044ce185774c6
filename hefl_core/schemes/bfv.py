"""BFV with packed coefficients: exact sums of quantised values, several per coefficient.

Additions need no batching, so the words go straight into the plaintext polynomial's coefficients: no encoding transform, no
Python list, and any prime may be the plaintext modulus.

Source: Fan and Vercauteren 2012 (eprint 2012/144); packing after BatchCrypt (Zhang et al. 2020).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as sealapi

from hefl_core.errors import EncodingError, IntegrityError, KeyUseError, WireError
from hefl_core.ids import KeyId, digest
from hefl_core.schemes import seal, threshold
from hefl_core.schemes.base import (
    CiphertextVector,
    Opened,
    PartialDecryption,
    PublicKey,
    SecretShare,
    Tag,
    Vector,
    check_partials,
    check_quorum,
    expose_secret,
    require_key,
)
from hefl_core.schemes.fixed_point import FixedPoint, pack, unpack
from hefl_core.schemes.presets import BFVPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.wire.canonical import encode

Words64 = npt.NDArray[np.uint64]


class BFVScheme:
    """BFV under one preset. Under 1 of n each share is the whole key; under t of n see threshold.py."""

    def __init__(self, preset: BFVPreset) -> None:
        self.preset = preset
        self.ring = seal.open_ring(preset)

    def keygen(self, quorum: Quorum, *, epoch: int = 1) -> tuple[PublicKey, tuple[SecretShare, ...]]:
        """A fresh key; every holder gets a copy, or under t > 1 a Shamir share, and the key is forgotten.

        Raises: ParameterError for t > 1 where the ring has no room to flood (so many) partial decryptions.
        """
        check_quorum(self.preset, quorum)
        self.preset.require_room(quorum)
        public, secret = seal.make_keys(self.ring)
        fingerprint = digest(self.preset.digest, encode(quorum), public).hex()
        key_id = KeyId(self.preset.family, self.preset.name, epoch, fingerprint)
        dealt = threshold.deal(self.ring, secret, quorum) if quorum.collective else (secret,) * quorum.holders
        shares = tuple(SecretShare(key_id, quorum, index, part) for index, part in enumerate(dealt, 1))
        return PublicKey(key_id, quorum, public), shares

    def fields(self, max_terms: int) -> FixedPoint:
        """The quantiser for sums of at most ``max_terms``. Raises: EncodingError past the preset's limit."""
        if not 1 <= max_terms <= self.preset.max_terms:
            raise EncodingError(
                f"max_terms: expected 1..{self.preset.max_terms} ({self.preset.name}), found {max_terms}",
                bound=self.preset.max_terms,
                found=max_terms,
            )
        full = self.preset.fields * self.preset.field_bits == self.preset.plain_bits
        # Fields that fill the word could exceed t < 2^plain_bits by a hair; from two terms on, they cannot.
        return FixedPoint(self.preset.field_bits, max(max_terms, 2) if full else max_terms)

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
        """Quantise, pack and encrypt.

        Shapes: x float64 (d,) into ceil((len(integers) + tag + ceil(d / fields)) / N) blocks.
        Leaks: d, the number of integers, max_terms, and the bound unless ``declare_bound`` is False.
        Raises: EncodingError for NaN, infinities, entries beyond the bound, integers without head-room;
            KeyUseError for a secret share: this preset encrypts with the public key.
        """
        if not isinstance(key, PublicKey):
            raise KeyUseError(f"{self.preset.name}: expected the public key to encrypt with, found a secret share")
        bound = self.preset.default_bound if bound is None else bound
        fields = self.fields(max_terms)
        packed = pack(fields.quantise(x, bound), self.preset.fields, self.preset.field_bits)
        words = np.concatenate([self._whole_words(integers, max_terms), packed])
        if tag is not None:
            words = np.insert(words, len(integers), np.uint64(tag(words, self.ring.plain_modulus)))
        encryptor = seal.encryptor(self.ring, key.id, key.material)
        starts = range(0, len(words), self.ring.degree)
        blocks = tuple(self._encrypt_block(encryptor, words[start:][: self.ring.degree]) for start in starts)
        declared = bound if declare_bound else None
        return CiphertextVector(key.id, len(x), len(integers), tag is not None, declared, max_terms, 1, blocks)

    def _whole_words(self, integers: Sequence[int], max_terms: int) -> Words64:
        room = (self.ring.plain_modulus - 1) // max_terms
        if any(not 0 <= value <= room for value in integers):
            raise EncodingError(
                f"integers: expected 0..{room}, found {tuple(integers)}", bound=room, found=max(integers)
            )
        return np.array(integers, dtype=np.uint64)

    def _encrypt_block(self, encryptor: Any, words: Words64) -> bytes:
        ciphertext = sealapi.Ciphertext()
        encryptor.encrypt(seal.write_plaintext(self.ring, words), ciphertext)
        return seal.to_bytes(ciphertext)

    def check(self, key: PublicKey, vector: CiphertextVector) -> None:
        """Key, block count, and each block's SEAL header, size, level and residues. Raises: KeyMismatch, WireError."""
        self.parse(key, vector)

    def parse(self, key: PublicKey | SecretShare, vector: CiphertextVector) -> list[Any]:
        """The blocks as SEAL ciphertexts, checked. Raises: KeyMismatch, WireError."""
        self._require_shape(key, vector)
        return [
            seal.read_ciphertext(self.ring, block, f"block {number}") for number, block in enumerate(vector.blocks, 1)
        ]

    def _require_shape(self, key: PublicKey | SecretShare, vector: CiphertextVector) -> None:
        require_key(key, vector)
        words = vector.integers + vector.tagged + -(-vector.length // self.preset.fields)
        expected = -(-words // self.ring.degree)
        if len(vector.blocks) != expected:
            raise WireError(
                f"{self.preset.name}: expected {expected} blocks for d = {vector.length}, found {len(vector.blocks)}"
            )

    def add(self, key: PublicKey, a: CiphertextVector, b: CiphertextVector) -> CiphertextVector:
        """Add two encrypted vectors without any secret: Dec(a ⊞ b) = Dec(a) + Dec(b), exactly.

        Leaks: d, the number of terms and the key id; nothing about the entries.
        Raises: KeyMismatch if key ids differ; WireError for other shapes; EncodingError past the head-room.
        """
        running = self.accumulator(key)
        running.add(a)
        running.add(b)
        return running.total()

    def accumulator(self, key: PublicKey) -> seal.Accumulator:
        """A running sum."""
        return seal.Accumulator(self.parse, self.ring, key)

    # -- decrypt -----------------------------------------------------------------------------------------------

    def partial_decrypt(self, share: SecretShare, total: CiphertextVector, active: Iterable[int]) -> PartialDecryption:
        """Under t of n: this holder's flooded part. Under 1 of n: the whole decryption, plaintext that never travels.

        Raises: KeyMismatch; IntegrityError when the noise says that this key did not make the ciphertext; for t > 1 as
            :func:`~hefl_core.schemes.threshold.partial_decrypt`.
        """
        if share.quorum.collective:
            self._require_shape(share, total)
            return threshold.partial_decrypt(self.preset, self.ring, share, total, active)
        ciphertexts = self.parse(share, total)
        decryptor = seal.decryptor(self.ring, expose_secret(share))
        blocks = tuple(self._decrypt_block(decryptor, ciphertext) for ciphertext in ciphertexts)
        return PartialDecryption(total.key_id, share.index, tuple(active), digest(total.to_bytes()), blocks)

    def _decrypt_block(self, decryptor: Any, ciphertext: Any) -> bytes:
        if decryptor.invariant_noise_budget(ciphertext) <= 0:
            raise IntegrityError(
                "noise: expected room above the noise, found none; the ciphertext belongs to another key, was damaged or "
                "holds too many terms; never retry on it"
            )
        plaintext = sealapi.Plaintext()
        decryptor.decrypt(ciphertext, plaintext)
        return seal.read_plaintext(self.ring, plaintext).tobytes()

    def open(
        self,
        key: PublicKey,
        total: CiphertextVector,
        partials: Sequence[PartialDecryption],
        *,
        bound: float | None = None,
    ) -> Opened:
        """Decode the decrypted words. Raises: QuorumError, KeyMismatch, IntegrityError."""
        check_partials(key, total, partials)
        blocks = partials[0].blocks
        if key.quorum.collective:
            self._require_shape(key, total)
            sums = threshold.combine(self.preset, self.ring, key, total, partials)
            blocks = tuple(self._decrypt_block(threshold.opener(self.ring), ciphertext) for ciphertext in sums)
        words = np.concatenate([np.frombuffer(block, dtype=np.uint64) for block in blocks])
        return self.decode(words, total, bound)

    def mask_digests(self, total: CiphertextVector) -> tuple[bytes, ...]:
        """What a holder answers once at most, one digest per block: the residues of c1. Raises: WireError."""
        return threshold.mask_digests(self.ring, total)

    def decode(self, words: Words64, total: CiphertextVector, bound: float | None) -> Opened:
        """Split summed words into integers, tag and values. Raises: IntegrityError when a field overflowed."""
        bound = total.bound if bound is None else bound
        if bound is None:
            raise EncodingError("open: expected the bound, the ciphertext does not declare one; pass bound=")
        count, first = total.integers, total.integers + total.tagged
        packed = words[first:][: -(-total.length // self.preset.fields)]
        if np.any(packed >> np.uint64(self.preset.fields * self.preset.field_bits)) or np.any(
            words[first + len(packed) :]
        ):
            raise IntegrityError("fields: bits above the fields are set; the sum overflowed or was tampered with")
        fields = unpack(packed, self.preset.fields, self.preset.field_bits, total.length)
        values = self.fields(total.max_terms).restore(fields, bound, total.terms)
        return Opened(
            values=values,
            integers=tuple(int(word) for word in words[:count]),
            words=np.concatenate([words[:count], packed]),
            tag=int(words[count]) if total.tagged else None,
            modulus=self.ring.plain_modulus,
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
        """Half a quantisation step per term; the encryption itself adds nothing."""
        return self.fields(max_terms).sum_error(bound, terms)

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

from hefl_core.errors import EncodingError, IntegrityError, WireError
from hefl_core.ids import KeyId, digest
from hefl_core.schemes import blocks, rlwe, seal, threshold
from hefl_core.schemes.base import (
    CiphertextVector,
    Opened,
    PartialDecryption,
    PublicKey,
    SecretShare,
    Tag,
    Vector,
    check_label,
    check_partials,
    check_quorum,
    expose_secret,
    require_key,
)
from hefl_core.schemes.fixed_point import FixedPoint, check_bound, check_integers, check_max_terms, pack, unpack
from hefl_core.schemes.joint import JointKeys
from hefl_core.schemes.presets import BFVPreset
from hefl_core.schemes.quorum import Quorum

Words64 = npt.NDArray[np.uint64]
LARGEST_NOISE = 0.49
"""In units of q/t: decryption is right below 0.5, and of 1024 uniform coefficients one is above 0.49 but for 2^-29."""


class BFVScheme(JointKeys):
    """BFV under one preset. Under 1 of n each share is the whole key; under t of n see threshold.py."""

    preset: BFVPreset

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
        key_id = KeyId(self.preset.family, self.preset.name, epoch, seal.fingerprint(self.preset, quorum, public))
        dealt = threshold.deal(self.ring, secret, quorum) if quorum.collective else (secret,) * quorum.holders
        shares = tuple(SecretShare(key_id, quorum, index, part) for index, part in enumerate(dealt, 1))
        return PublicKey(key_id, quorum, public), shares

    def fields(self, max_terms: int) -> FixedPoint:
        """The quantiser for sums of at most ``max_terms``. Raises: EncodingError past the preset's limit."""
        max_terms = check_max_terms(max_terms, self.preset.max_terms, self.preset.name)
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
            KeyUseError for the wrong kind of key: seeded presets encrypt with a whole secret share, others never do.
        """
        encryptor = seal.encryptor_for(self.preset, self.ring, key)
        bound = self.preset.default_bound if bound is None else bound
        max_terms = check_max_terms(max_terms, self.preset.max_terms, self.preset.name)
        fields = self.fields(max_terms)
        packed = pack(fields.quantise(x, bound), self.preset.fields, self.preset.field_bits)
        exact = self._whole_words(integers, max_terms)
        words = np.concatenate([exact, packed])
        if tag is not None:
            words = np.insert(words, len(exact), np.uint64(self._tag_word(tag, words)))
        starts = range(0, len(words), self.ring.degree)
        made = tuple(
            blocks.encrypt(self.preset, self.ring, encryptor, words[start:][: self.ring.degree]) for start in starts
        )
        declared = float(bound) if declare_bound else None
        return CiphertextVector(key.id, len(x), len(exact), tag is not None, declared, max_terms, 1, made)

    def _tag_word(self, tag: Tag, words: Words64) -> int:
        value = tag(words, self.ring.plain_modulus)
        if not 0 <= value < self.ring.plain_modulus:
            raise EncodingError(f"tag: expected 0..{self.ring.plain_modulus - 1}, found {value}")
        return value

    def _whole_words(self, integers: Sequence[int], max_terms: int) -> Words64:
        room = (self.ring.plain_modulus - 1) // max_terms
        return np.array(check_integers(integers, room), dtype=np.uint64)

    def check(self, key: PublicKey, vector: CiphertextVector) -> None:
        """Key, block count, and each block's SEAL header, size, level and residues. Raises: KeyMismatch, WireError."""
        self._require_shape(key, vector)
        blocks.check_all(self.preset, self.ring, vector)

    def _require_shape(self, key: PublicKey | SecretShare, vector: CiphertextVector) -> None:
        require_key(key, vector)
        check_label(vector, self.preset.max_terms)
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

    def accumulator(self, key: PublicKey) -> blocks.Accumulator:
        """A running sum."""
        return blocks.Accumulator(self.preset, self.ring, key, self._require_shape)

    # -- decrypt -----------------------------------------------------------------------------------------------

    def partial_decrypt(self, share: SecretShare, total: CiphertextVector, active: Iterable[int]) -> PartialDecryption:
        """Under t of n: this holder's flooded part. Under 1 of n: the whole decryption, plaintext that never travels.

        Raises: KeyMismatch; IntegrityError when the noise says that this key did not make the ciphertext; for t > 1 as
            :func:`~hefl_core.schemes.threshold.partial_decrypt`.
        """
        members = threshold.check_active(share, active)
        if share.quorum.collective:
            self._require_shape(share, total)
            return threshold.partial_decrypt(self.preset, self.ring, share, total, members)
        self._require_shape(share, total)
        ciphertexts = blocks.load(self.preset, self.ring, total)
        decryptor = seal.decryptor(self.ring, expose_secret(share))
        for number, ciphertext in enumerate(ciphertexts):
            if decryptor.invariant_noise_budget(ciphertext) <= 0:
                self._require_exact(share, total, number)
        opened = tuple(self._decrypt_block(decryptor, ciphertext) for ciphertext in ciphertexts)
        return PartialDecryption(total.key_id, share.index, members, digest(total.to_bytes()), opened)

    def _require_exact(self, share: SecretShare, total: CiphertextVector, number: int) -> None:
        """Whether the noise is below q/2t: SEAL's budget, in whole bits, is 0 from half of that on.

        Sums with one ciphertext many times can be there and decrypt rightly; refusing some of them would say something
        about their noise to whoever made them. The noise of another key's ciphertext is uniform: some coefficient is
        past LARGEST_NOISE. Raises: IntegrityError.
        """
        words = blocks.read(self.preset, self.ring, total.blocks[number], "block", fresh=total.terms == 1)
        secret = rlwe.read_secret_key(self.ring, expose_secret(share))
        found = float(np.max(np.abs(threshold.invariant_noise(self.ring, rlwe.phase(self.ring, words, secret)))))
        if found > LARGEST_NOISE:
            raise IntegrityError(
                f"noise of block {number + 1}: expected at most {LARGEST_NOISE} · q/t, found {found:.3f}; the ciphertext "
                "belongs to another key, was damaged or holds too many terms; never retry on it"
            )

    def _decrypt_block(self, decryptor: Any, ciphertext: Any) -> bytes:
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
        return self.decode(self.words(key, total, partials), total, bound)

    def words(self, key: PublicKey, total: CiphertextVector, partials: Sequence[PartialDecryption]) -> Words64:
        """Every word of the decrypted blocks, as it is. Shapes: uint64 (blocks · N,).

        Raises: QuorumError, KeyMismatch, IntegrityError.
        """
        seal.check_public_key(self.preset, key)
        check_partials(key, total, partials)
        parts = partials[0].blocks
        if key.quorum.collective:
            self._require_shape(key, total)
            sums = threshold.combine(self.preset, self.ring, key, total, partials)
            parts = tuple(self._decrypt_block(threshold.opener(self.ring), ciphertext) for ciphertext in sums)
        words = seal.join(parts, len(total.blocks), self.ring.degree)
        if np.any(words >= np.uint64(self.ring.plain_modulus)):
            raise IntegrityError("partial: expected words below the plaintext modulus, found a larger one")
        return words

    def mask_digests(self, total: CiphertextVector) -> tuple[bytes, ...]:
        """What must not repeat, one digest per block: the residues of c1, or the seed of a seeded upload.

        A share holder answers each once at most; a coordinator refuses an upload with one that it has seen.
        Raises: WireError.
        """
        if self.preset.seeded and total.terms == 1:
            blocks.check_all(self.preset, self.ring, total)
            return blocks.seeds(total)
        return threshold.mask_digests(self.preset, self.ring, total)

    def decode(self, words: Words64, total: CiphertextVector, bound: float | None) -> Opened:
        """Split summed words into integers, tag and values. Raises: IntegrityError when a field overflowed."""
        bound = total.bound if bound is None else bound
        if bound is None:
            raise EncodingError("open: expected the bound, the ciphertext does not declare one; pass bound=")
        count, first = total.integers, total.integers + total.tagged
        packed = words[first:][: -(-total.length // self.preset.fields)]
        if np.any(words[first + len(packed) :]):
            raise IntegrityError("words: expected zeros after the last field, found others; another key or damage")
        fields = unpack(packed, self.preset.fields, self.preset.field_bits, total.length)
        values = self.fields(total.max_terms).restore(fields, check_bound(bound), total.terms)
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

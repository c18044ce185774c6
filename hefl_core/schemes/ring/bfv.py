"""BFV with packed coefficients: exact sums of quantised values, several per coefficient.

Additions need no batching, so the words go straight into the plaintext polynomial's coefficients: no encoding transform, no
Python list, and any prime may be the plaintext modulus.

Source: Fan and Vercauteren 2012 (eprint 2012/144); packing after BatchCrypt (Zhang et al. 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as sealapi

from hefl_core.errors import EncodingError, IntegrityError
from hefl_core.schemes.base import CiphertextVector, Opened, PublicKey, SecretShare, Tag, Vector, expose_secret
from hefl_core.schemes.fixed_point import FixedPoint, check_integers, check_max_terms, pack_words, unpack_words
from hefl_core.schemes.presets import BFVPreset, FewBitsBFV
from hefl_core.schemes.ring import blocks, rlwe, seal, threshold
from hefl_core.schemes.ring.scheme import RingScheme

Words64 = npt.NDArray[np.uint64]
LARGEST_NOISE = 0.49
"""In units of q/t: decryption is right below 0.5; of 1024 uniform coefficients one exceeds 0.49 except with 2^-29."""


class BFVScheme(RingScheme[BFVPreset]):
    """BFV under one preset. A decrypted block is its words, one per coefficient."""

    def __init__(self, preset: BFVPreset) -> None:
        super().__init__(preset)
        self.per_block = self.ring.degree

    def fields(self, max_terms: int) -> FixedPoint:
        """The quantiser for sums of at most ``max_terms``. Raises: EncodingError past the preset's limit."""
        max_terms = check_max_terms(max_terms, self.preset.max_terms, self.preset.name)
        if isinstance(self.preset, FewBitsBFV):
            return FixedPoint.of(self.preset.value_bits, max_terms)
        full = self.preset.fields * self.preset.field_bits == self.preset.plain_bits
        # One term in full fields can reach 2^plain_bits - 1 ≥ t; from two terms on the top field is never all ones.
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
        packed = pack_words(self.preset, fields.quantise(x, bound))
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
        # max_terms integers of this size add up to at most t - 1: the sum is never reduced modulo t.
        room = (self.ring.plain_modulus - 1) // max_terms
        return np.array(check_integers(integers, room), dtype=np.uint64)

    def count_in_blocks(self, vector: CiphertextVector) -> int:
        """Integers, tag, and packed fields."""
        return vector.integers + vector.tagged + -(-vector.length // self.preset.fields)

    # -- decrypt ------------------------------------------------------------------------------------------------

    def check_decryptable(
        self, share: SecretShare, total: CiphertextVector, decryptor: Any, ciphertexts: Sequence[Any]
    ) -> None:
        """Ciphertexts of another key show by their noise. Raises: IntegrityError."""
        for number, ciphertext in enumerate(ciphertexts):
            if decryptor.invariant_noise_budget(ciphertext) <= 0:
                self._require_exact(share, total, number)

    def _require_exact(self, share: SecretShare, total: CiphertextVector, number: int) -> None:
        """Check that the noise is below q/2t. SEAL's budget, in whole bits, is already 0 from half of that on.

        A sum of one ciphertext many times can lie between and decrypt rightly; refusing some of these would tell their
        sender about the noise. The noise of another key's ciphertext is uniform, so some coefficient exceeds
        LARGEST_NOISE. Raises: IntegrityError.
        """
        words = blocks.read(self.preset, self.ring, total.blocks[number], "block", fresh=total.terms == 1)
        secret = rlwe.read_secret_key(self.ring, expose_secret(share))
        # Noise v gives t·v/q, the distance to the nearest integer: 0.5 is exactly where rounding goes wrong.
        found = float(np.max(np.abs(threshold.invariant_noise(self.ring, rlwe.phase(self.ring, words, secret)))))
        if found > LARGEST_NOISE:
            raise IntegrityError(
                f"noise of block {number + 1}: expected at most {LARGEST_NOISE} · q/t, found {found:.3f}; the ciphertext "
                "belongs to another key, was damaged or holds too many terms; never retry on it"
            )

    def decrypt_block(self, decryptor: Any, ciphertext: Any) -> bytes:
        """The plaintext polynomial's coefficients."""
        plaintext = sealapi.Plaintext()
        decryptor.decrypt(ciphertext, plaintext)
        return seal.read_plaintext(self.ring, plaintext).tobytes()

    def decode_sum(self, words: Words64, total: CiphertextVector, bound: float) -> Opened:
        """Split summed words into integers, tag and values. Raises: IntegrityError when a field overflowed."""
        if np.any(words >= np.uint64(self.ring.plain_modulus)):
            raise IntegrityError("partial: expected words below the plaintext modulus, found a larger one")
        count, first = total.integers, total.integers + total.tagged
        packed = words[first:][: -(-total.length // self.preset.fields)]
        if np.any(words[first + len(packed) :]):
            raise IntegrityError("words: expected zeros after the last field, found others; another key or damage")
        fields = unpack_words(self.preset, packed, total)
        values = self.fields(total.max_terms).restore(fields, bound, total.terms)
        return Opened(
            values=values,
            integers=tuple(int(word) for word in words[:count]),
            words=np.concatenate([words[:count], packed]),
            tag=int(words[count]) if total.tagged else None,
            modulus=self.ring.plain_modulus,
        )

    def sum_error(self, bound: float, terms: int, max_terms: int) -> float:
        """Half a quantisation step per term; the encryption itself adds nothing."""
        return self.fields(max_terms).sum_error(bound, terms)

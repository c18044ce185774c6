"""CKKS: approximate numbers in slots. Like bfv.py, but a sum carries noise, and there is no word for an exact tag.

Exact integers have slots of their own, as multiples of 2^-16, and are rounded back.

Source: Cheon, Kim, Kim, Song 2017 (eprint 2016/421).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tenseal.sealapi as sealapi

from hefl_core.errors import EncodingError, IntegrityError
from hefl_core.schemes.base import CiphertextVector, Opened, PublicKey, SecretShare, Tag, Vector
from hefl_core.schemes.fixed_point import check_bound, check_integers, check_max_terms, check_vector
from hefl_core.schemes.presets import CKKSPreset
from hefl_core.schemes.ring import seal
from hefl_core.schemes.ring.scheme import RingScheme

INTEGER_UNIT = 2.0**-16
LARGEST_INTEGER = 1 << 20
"""An integer v is the slot value v · 2^-16: at most 16, so that sums stay below q/2."""
SIGMAS = 32.0
"""The stated error bound in standard deviations of a slot's noise. The noise r·s multiplies slot by slot, so its tail is
exponential, not Gaussian: beyond 32 deviations with probability about exp(-sqrt(2)·32) < 2^-64 per slot."""


class CKKSScheme(RingScheme[CKKSPreset]):
    """CKKS under one preset. A decrypted block is its slots.

    Leaks: a decryption gives the secret key to a party that also holds the ciphertext (Li and Micciancio 2021,
    eprint 2020/1533). In this protocol decryptions stay with the clients, which hold the key anyway.
    """

    block_type = "<f8"

    def __init__(self, preset: CKKSPreset) -> None:
        super().__init__(preset)
        self._encoder = sealapi.CKKSEncoder(self.ring.context)
        self.per_block = preset.degree // 2

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
        """Encode into slots and encrypt.

        Shapes: x float64 (d,) into ceil((len(integers) + d) / (N/2)) blocks.
        Leaks: d, the number of integers, max_terms, and the bound unless ``declare_bound`` is False.
        Raises: EncodingError for NaN, infinities, entries beyond the bound, or a bound without head-room; KeyUseError for
            the wrong kind of key: symmetric presets encrypt with a whole secret share, the others with the public key.
        """
        encryptor = seal.encryptor_for(self.preset, self.ring, key)
        if tag is not None:
            raise EncodingError(f"{self.preset.name}: an exact tag does not fit approximate numbers; leave it out")
        bound = check_bound(self.preset.default_bound if bound is None else bound)
        max_terms = check_max_terms(max_terms, self.largest_sum(bound), f"{self.preset.name} at bound {bound:.6g}")
        exact = check_integers(integers, LARGEST_INTEGER)
        slots = np.concatenate([np.array(exact, dtype=np.float64) * INTEGER_UNIT, check_vector(x, bound)])
        starts = range(0, len(slots), self.per_block)
        made = tuple(self._encrypt_block(encryptor, slots[start:][: self.per_block]) for start in starts)
        declared = bound if declare_bound else None
        return CiphertextVector(key.id, len(x), len(exact), False, declared, max_terms, 1, made)

    def largest_sum(self, bound: float) -> int:
        """Most terms with entries up to ``bound`` that stay below q/2, with room of one term for noise."""
        largest = max(bound, LARGEST_INTEGER * INTEGER_UNIT)
        # Coefficients are centred: one past q/2 wraps to the other sign, and nothing reports it.
        room = 2.0 ** (self.preset.data_bits - self.preset.scale_bits - 1) / largest
        return min(self.preset.max_terms, math.floor(room) - 1)

    def _encrypt_block(self, encryptor: Any, slots: Vector) -> bytes:
        plaintext = sealapi.Plaintext()
        self._encoder.encode(slots.tolist(), self.ring.scale, plaintext)
        return seal.encrypt(self.preset, encryptor, plaintext)

    def count_in_blocks(self, vector: CiphertextVector) -> int:
        """Integers and entries, one slot each."""
        return vector.integers + vector.length

    def decrypt_block(self, decryptor: Any, ciphertext: Any) -> bytes:
        """The slots' values, which are never sent."""
        plaintext = sealapi.Plaintext()
        decryptor.decrypt(ciphertext, plaintext)
        return np.array(self._encoder.decode_double(plaintext), dtype=np.float64).tobytes()

    def decode_sum(self, slots: Vector, total: CiphertextVector, bound: float) -> Opened:
        """Split summed slots into integers and values.

        Another key or damage shows as entries beyond terms · bound, integers that are not whole, or unused slots that
        are not zero. A small change of an entry does not show: the auditor's re-addition is what detects that.
        Raises: IntegrityError where the slots cannot be a sum of valid terms.
        """
        count, end = total.integers, total.integers + total.length
        error = self.sum_error(bound, total.terms, total.max_terms)
        exact = slots[:count] / INTEGER_UNIT
        values, unused = slots[count:end], slots[end:]
        if not np.all(np.isfinite(slots)):
            raise IntegrityError("slots: expected finite numbers, found NaN or infinity; another key or damage")
        off = float(np.max(np.abs(exact - np.clip(np.rint(exact), 0, total.terms * LARGEST_INTEGER)), initial=0.0))
        if off > 0.1:
            raise IntegrityError(
                f"integers: expected whole numbers in their slots, found one off by {off:.3g}; wrong key?"
            )
        worst = float(np.max(np.abs(values)))
        if worst > total.terms * bound + error or float(np.max(np.abs(unused), initial=0.0)) > error:
            raise IntegrityError(
                f"values: expected at most {total.terms} · {bound:.6g} and zeros in unused slots, found {worst:.6g}; "
                "another key, an overflow or damage"
            )
        return Opened(values, tuple(int(v) for v in np.rint(exact)), None, None, 0)

    def sum_error(self, bound: float, terms: int, max_terms: int) -> float:
        """32 standard deviations of a slot's noise after ``terms`` additions, and float64 rounding of the encoding.

        Terms are encrypted independently; one ciphertext many times, which a round refuses, has up to √terms more.
        A coefficient's noise has the preset's ``noise_std`` and the encoder's rounding (1/sqrt 12); a slot sums N of them.
        Collective presets add the flooding of as many holders as they have room for.
        """
        variance = terms * (self.preset.noise_std**2 + 1 / 12)
        if self.preset.collective:
            variance += self.preset.largest_threshold * 4.0**self.preset.flood_bits / 3
        # A slot sums N coefficients times roots of unity; its real part has half of the variance.
        slot_std = math.sqrt(variance * self.preset.degree / 2) / self.ring.scale
        return SIGMAS * slot_std + terms * max(bound, 1.0) * 1e-12

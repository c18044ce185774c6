"""What BFV and CKKS share: keys, sums, and decryption alone or together. bfv.py and ckks.py add what their blocks hold.

Source: Fan and Vercauteren 2012 (eprint 2012/144); Cheon, Kim, Kim, Song 2017 (eprint 2016/421).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import numpy.typing as npt

from hefl_core.errors import EncodingError, WireError
from hefl_core.ids import KeyId, digest
from hefl_core.schemes.base import (
    Additive,
    CiphertextVector,
    Opened,
    PartialDecryption,
    PublicKey,
    SecretShare,
    check_label,
    check_partials,
    check_quorum,
    expose_secret,
    require_key,
)
from hefl_core.schemes.fixed_point import check_bound
from hefl_core.schemes.presets import RingPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.ring import blocks, rlwe, seal, shamir, threshold
from hefl_core.schemes.ring.joint import JointKeys

P = TypeVar("P", bound=RingPreset)


class RingScheme(Additive, JointKeys, Generic[P]):
    """A scheme over SEAL's ring under one preset. Under 1 of n each share is the whole key; t of n is in threshold.py."""

    preset: P
    per_block: int
    """Words or slots in one block."""
    block_type = "<u8"
    """NumPy type of the numbers in a decrypted block."""

    def __init__(self, preset: P) -> None:
        self.preset = preset
        self.ring = seal.open_ring(preset)

    @property
    def fresh_nbytes(self) -> tuple[int, int]:
        """Least and most bytes of a fresh block."""
        return blocks.fresh_nbytes(self.preset, self.ring)

    @property
    def partial_nbytes(self) -> int:
        """Bytes of a block of a partial decryption."""
        return self.ring.degree * sum(map(shamir.width, rlwe.data_primes(self.ring)))

    # -- what bfv.py and ckks.py add ----------------------------------------------------------------------------

    def count_in_blocks(self, vector: CiphertextVector) -> int:
        """Number of words or slots that a vector of this label needs."""
        raise NotImplementedError

    def decrypt_block(self, decryptor: Any, ciphertext: Any) -> bytes:
        """The words or slots of one block."""
        raise NotImplementedError

    def check_decryptable(
        self, share: SecretShare, total: CiphertextVector, decryptor: Any, ciphertexts: Sequence[Any]
    ) -> None:
        """Checks that need the whole key, before ciphertexts are opened. Raises: IntegrityError."""

    def decode_sum(self, numbers: npt.NDArray[Any], total: CiphertextVector, bound: float) -> Opened:
        """Split summed words or slots into integers, tag and values. Raises: IntegrityError."""
        raise NotImplementedError

    # -- keys ---------------------------------------------------------------------------------------------------

    def keygen(self, quorum: Quorum, *, epoch: int = 1) -> tuple[PublicKey, tuple[SecretShare, ...]]:
        """A fresh key. Every holder gets a copy, or under t > 1 a Shamir share; the key itself is not kept.

        Raises: ParameterError for t > 1 where the ring has no room to flood (so many) partial decryptions.
        """
        check_quorum(self.preset, quorum)
        self.preset.require_room(quorum)
        public, secret = seal.make_keys(self.ring)
        key_id = KeyId(self.preset.family, self.preset.name, epoch, seal.fingerprint(self.preset, quorum, public))
        dealt = threshold.deal(self.ring, secret, quorum) if quorum.collective else (secret,) * quorum.holders
        shares = tuple(SecretShare(key_id, quorum, index, part) for index, part in enumerate(dealt, 1))
        return PublicKey(key_id, quorum, public), shares

    # -- without a key ------------------------------------------------------------------------------------------

    def check(self, key: PublicKey, vector: CiphertextVector) -> None:
        """Key, block count, and each block's SEAL header, size, level and residues. Raises: KeyMismatch, WireError."""
        self.require_shape(key, vector)
        blocks.check_all(self.preset, self.ring, vector)

    def require_shape(self, key: PublicKey | SecretShare, vector: CiphertextVector) -> None:
        """The label's own consistency and the number of blocks. Raises: KeyMismatch, WireError."""
        require_key(key, vector)
        check_label(vector, self.preset.max_terms)
        expected = -(-self.count_in_blocks(vector) // self.per_block)
        if len(vector.blocks) != expected or (vector.tagged and not self.preset.tagged):
            raise WireError(
                f"{self.preset.name}: expected {expected} blocks for d = {vector.length}, found {len(vector.blocks)}"
            )

    def accumulator(self, key: PublicKey) -> blocks.Accumulator:
        """A running sum."""
        return blocks.Accumulator(self.preset, self.ring, key, self.require_shape)

    def mask_digests(self, total: CiphertextVector) -> tuple[bytes, ...]:
        """What must not repeat, one digest per block: the residues of c1, or the seed of a seeded upload.

        A share holder answers each at most once; a coordinator rejects an upload that repeats one.
        Raises: WireError.
        """
        if self.preset.seeded and total.terms == 1:
            blocks.check_all(self.preset, self.ring, total)
            return blocks.seeds(total)
        return threshold.mask_digests(self.preset, self.ring, total)

    # -- decrypt ------------------------------------------------------------------------------------------------

    def partial_decrypt(self, share: SecretShare, total: CiphertextVector, active: Iterable[int]) -> PartialDecryption:
        """Under t of n: this holder's flooded part. Under 1 of n: the whole decryption, a plaintext that is never sent.

        Raises: KeyMismatch; IntegrityError when BFV's noise says that this key did not make the ciphertext; for t > 1 as
            :func:`~hefl_core.schemes.ring.threshold.partial_decrypt`.
        """
        members = threshold.check_active(share, active)
        self.require_shape(share, total)
        if share.quorum.collective:
            return threshold.partial_decrypt(self.preset, self.ring, share, total, members)
        # Loaded before the key is exposed: a block that raises does so with no secret in the frame.
        ciphertexts = blocks.load(self.preset, self.ring, total)
        decryptor = seal.decryptor(self.ring, expose_secret(share))
        self.check_decryptable(share, total, decryptor, ciphertexts)
        opened = tuple(self.decrypt_block(decryptor, ciphertext) for ciphertext in ciphertexts)
        return PartialDecryption(total.key_id, share.index, members, digest(total.to_bytes()), opened)

    def open(
        self,
        key: PublicKey,
        total: CiphertextVector,
        partials: Sequence[PartialDecryption],
        *,
        bound: float | None = None,
    ) -> Opened:
        """Combine the partial decryptions and decode. Raises: QuorumError, KeyMismatch, IntegrityError."""
        return self.decode(self.words(key, total, partials), total, bound)

    def words(self, key: PublicKey, total: CiphertextVector, partials: Sequence[PartialDecryption]) -> npt.NDArray[Any]:
        """Every word or slot of the decrypted blocks, undecoded. Shapes: (blocks · per_block,), uint64 or float64.

        Raises: QuorumError, KeyMismatch, IntegrityError.
        """
        seal.check_public_key(self.preset, key)
        check_partials(key, total, partials)
        parts = partials[0].blocks
        if key.quorum.collective:
            self.require_shape(key, total)
            sums = threshold.combine(self.preset, self.ring, key, total, partials)
            # The opener's key belongs to no party: these ciphertexts have c1 = 0, so any key opens them.
            parts = tuple(self.decrypt_block(threshold.opener(self.ring), ciphertext) for ciphertext in sums)
        return seal.join(parts, len(total.blocks), self.per_block, self.block_type)

    def decode(self, numbers: npt.NDArray[Any], total: CiphertextVector, bound: float | None) -> Opened:
        """Read summed words or slots under the declared bound, or the given one. Raises: EncodingError, IntegrityError."""
        bound = total.bound if bound is None else bound
        if bound is None:
            raise EncodingError("open: expected the bound, the ciphertext does not declare one; pass bound=")
        return self.decode_sum(numbers, total, check_bound(bound))

"""A key without a dealer, for BFV and CKKS: the algebra of keys/ceremony.py, each step one party's own.

    a   = SHAKE-256(seed), the seed made by all           b_i = e_i - a·s_i, s_i of -1, 0, 1
    key = (Σ b_i, a), an ordinary SEAL public key         its secret Σ s_i is never in one place
    f_i = a Shamir sharing of s_i                         share of j = Σ_i f_i(j), like a dealt one

A fresh ciphertext has √n times the noise it has under a dealt key; ``preset.gap_bits(dealer_free=True)`` includes it.
Nothing proves that a b_i is well formed or a sharing consistent: parties are assumed semi-honest (see the ceremony).

Source: Mouchet et al. 2021 (eprint 2020/304); Shamir 1979 for the re-sharing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hefl_core.errors import IntegrityError, ParameterError, WireError
from hefl_core.ids import KeyId, digest
from hefl_core.schemes.base import PublicKey, SecretShare, check_quorum
from hefl_core.schemes.presets import RingPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.ring import pairwise, rlwe, shamir
from hefl_core.schemes.ring.rlwe import Residues
from hefl_core.schemes.ring.seal import Ring
from hefl_core.wire.canonical import encode


def common_polynomial(ring: Ring, seed: bytes) -> Residues:
    """The public a as NTT values over all primes. Shapes: uint64 (L + 1, N)."""
    return rlwe.expand(b"hefl/joint/a" + seed, ring.primes, ring.degree)


def contribution(ring: Ring, seed: bytes) -> tuple[bytes, bytes]:
    """Fresh (s_i, b_i): the first stays secret with its party, the second is revealed."""
    # Over all primes, the special one too: SEAL's public key needs it to switch fresh noise down.
    small = rlwe.ternary(ring.degree)
    s = rlwe.ntt(rlwe.residues_of(small, ring.primes), ring.primes)
    e = rlwe.ntt(rlwe.residues_of(rlwe.centred_binomial(ring.degree), ring.primes), ring.primes)
    a = common_polynomial(ring, seed)
    rows = [
        rlwe.minus(noise, rlwe.multiply(mask, rlwe.fix(secret, p), p), p)
        for noise, mask, secret, p in zip(e, a, s, ring.primes, strict=True)
    ]
    return small.astype(np.int8).tobytes(), shamir.to_bytes(np.stack(rows), ring.primes)


def public_key(ring: Ring, seed: bytes, parts: Sequence[bytes]) -> bytes:
    """SEAL's bytes of (Σ b_i, a). Raises: WireError for a part that is no ring element."""
    b = _sum(parts, ring.primes, ring.degree, "b")
    return rlwe.write_public_key(ring, np.stack([b, common_polynomial(ring, seed)]))


def deal(ring: Ring, secret: bytes, quorum: Quorum, index: int) -> tuple[bytes, ...]:
    """Shamir shares of party ``index``'s s_i for the holders 1..n, each for one recipient only. Raises: IntegrityError.

    Half of the seed that sender and recipient will share follows each (pairwise.py).
    """
    small = np.frombuffer(secret, dtype=np.int8)
    if len(small) != ring.degree or np.any((small < -1) | (small > 1)):
        raise IntegrityError(f"joint key: expected {ring.degree} coefficients of -1, 0, 1, found another secret")
    # Shares need no special prime: ciphertexts are opened modulo the data primes only.
    primes = rlwe.data_primes(ring)
    element = rlwe.ntt(rlwe.residues_of(small.astype(np.int64), primes), primes)
    points = shamir.split(element, primes, quorum)
    halves = pairwise.halves(quorum.holders, index)
    return tuple(shamir.to_bytes(point, primes) + half for point, half in zip(points, halves, strict=True))


def share(ring: Ring, dealt: Sequence[bytes], index: int) -> bytes:
    """Holder ``index``'s share: the sum of the points dealt to it, and its row of pairwise seeds.

    Raises: WireError for a part that is no ring element, or has no half of a seed.
    """
    primes = rlwe.data_primes(ring)
    parts = [pairwise.split(part, primes, ring.degree) for part in dealt]
    point = shamir.to_bytes(_sum([point for point, _ in parts], primes, ring.degree, "share"), primes)
    try:
        return point + pairwise.join(index, [half for _, half in parts])
    except IntegrityError as error:
        raise WireError(str(error)) from None


def _sum(parts: Sequence[bytes], primes: tuple[int, ...], degree: int, what: str) -> Residues:
    total = np.zeros((len(primes), degree), dtype=np.uint64)
    for number, part in enumerate(parts, 1):
        try:
            element = shamir.from_bytes(part, primes, degree, f"joint key: {what} of client {number}")
        except IntegrityError as error:
            raise WireError(str(error)) from None
        if not element.any():
            raise WireError(f"joint key: {what} of client {number} is zero; start the ceremony again")
        # Sums of points of polynomials are points of the sum of the polynomials, whose value at 0 is Σ s_i.
        total = shamir.add(total, element, primes)
    return total


class JointKeys:
    """Steps that BFVScheme and CKKSScheme offer to a ceremony; keys/ceremony.py has their callers and order."""

    preset: RingPreset
    ring: Ring

    def joint_contribution(self, seed: bytes) -> tuple[bytes, bytes]:
        """Fresh (s_i, b_i) with b_i = e_i - a(seed)·s_i. The first is secret.

        Raises: ParameterError where the preset cannot be held together.
        """
        if not self.preset.collective:
            check_quorum(self.preset, Quorum(2, 2))
        return contribution(self.ring, seed)

    def joint_public_key(self, seed: bytes, parts: Sequence[bytes], quorum: Quorum, *, epoch: int = 1) -> PublicKey:
        """The public key (Σ b_i, a(seed)) of all clients' parts.

        Raises: ParameterError for a quorum without room; WireError for a wrong number of parts or one that is no b_i.
        """
        if not quorum.collective:
            raise ParameterError(f"joint key: expected t > 1, found {quorum}", "individual custody needs a dealer")
        check_quorum(self.preset, quorum)
        self.preset.require_room(quorum)
        _require_all(parts, quorum)
        material = public_key(self.ring, seed, parts)
        fingerprint = digest(self.preset.digest, encode(quorum), material).hex()
        return PublicKey(KeyId(self.preset.family, self.preset.name, epoch, fingerprint), quorum, material)

    def joint_deal(self, secret: bytes, quorum: Quorum, index: int) -> tuple[bytes, ...]:
        """Shamir shares of party ``index``'s s_i for the holders 1..n."""
        return deal(self.ring, secret, quorum, index)

    def joint_share(self, key: PublicKey, index: int, dealt: Sequence[bytes]) -> SecretShare:
        """Holder ``index``'s share: the sum of what all parties dealt to it. Raises: WireError."""
        _require_all(dealt, key.quorum)
        return SecretShare(key.id, key.quorum, index, share(self.ring, dealt, index))


def _require_all(parts: Sequence[bytes], quorum: Quorum) -> None:
    if len(parts) != quorum.holders:
        raise WireError(
            f"joint key: expected a part of each of {quorum.holders} clients, found {len(parts)}; start again"
        )

"""A scheme small enough to read: additively homomorphic ElGamal with numbers in the exponent, 80 bits, no security.

It offers what a ceremony needs, with the same shape as the lattice schemes: joint key, Shamir shares, λ folded in.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from hefl_core.errors import IntegrityError, QuorumError, WireError
from hefl_core.ids import KeyId, digest
from hefl_core.keys.epochs import preset_digest
from hefl_core.schemes.base import CiphertextVector, PartialDecryption, PublicKey, SecretShare, expose_secret
from hefl_core.schemes.quorum import Quorum
from hefl_core.wire.canonical import decode, encode

P = 1710440104700760806968823
Q = (P - 1) // 2
SCALE = 60
PRESET = "plaintext"


def number(data: bytes) -> int:
    value = int.from_bytes(data, "big")
    if len(data) != 11 or not 0 < value < P:
        raise WireError("toy: no group element")
    return value


def element(value: int) -> bytes:
    return value.to_bytes(11, "big")


def generator(seed: bytes) -> int:
    return pow(int.from_bytes(hashlib.sha256(seed).digest(), "big") % P, 2, P)


def lagrange(index: int, active: Sequence[int]) -> int:
    top = bottom = 1
    for other in active:
        if other != index:
            top, bottom = top * other % Q, bottom * (other - index) % Q
    return top * pow(bottom, -1, Q) % Q


class Toy:
    def __init__(self) -> None:
        self.preset: Any = SimpleNamespace(
            name=PRESET, default_bound=1.0, digest=preset_digest(PRESET), max_decryptions=20
        )
        self.seen: list[bytes] = []

    # what Scheme asks for ------------------------------------------------------------------------------------------

    def encrypt(self, key: PublicKey, x: Any, *, max_terms: int = 16, **_: Any) -> CiphertextVector:
        g, y = decode(key.material, tuple[bytes, bytes])
        blocks = []
        for value in x:
            r = secrets.randbelow(Q)
            body = pow(number(g), round(value * SCALE) % Q, P) * pow(number(y), r, P) % P
            blocks += [element(pow(number(g), r, P)), element(body)]
        return CiphertextVector(key.id, len(x), 0, False, 1.0, max_terms, 1, tuple(blocks))

    def check(self, key: PublicKey, vector: CiphertextVector) -> None:
        if vector.key_id != key.id or len(vector.blocks) != 2 * vector.length or vector.length != 4:
            raise WireError("toy: another shape")
        for block in vector.blocks:
            number(block)

    def accumulator(self, key: PublicKey) -> Any:
        return Running(key)

    def partial_decrypt(self, share: SecretShare, total: CiphertextVector, active: Iterable[int]) -> PartialDecryption:
        who = tuple(active)
        power = int.from_bytes(expose_secret(share), "big") * lagrange(share.index, who) % Q
        blocks = tuple(element(pow(number(b), power, P)) for b in total.blocks[::2])
        return PartialDecryption(share.id, share.index, who, digest(total.to_bytes()), blocks)

    def combine(self, key: PublicKey, total: CiphertextVector, partials: Sequence[PartialDecryption], **_: Any) -> Any:
        if len({p.index for p in partials}) < key.quorum.threshold:
            raise QuorumError("toy: too few", have=len(partials), need=key.quorum.threshold)
        g = number(decode(key.material, tuple[bytes, bytes])[0])
        largest = SCALE * key.quorum.holders
        table, power = {}, pow(g, -largest % Q, P)
        for m in range(-largest, largest + 1):
            table[power] = m
            power = power * g % P
        values = []
        for j, body in enumerate(total.blocks[1::2]):
            mask = 1
            for partial in partials:
                mask = mask * number(partial.blocks[j]) % P
            opened = number(body) * pow(mask, -1, P) % P
            if opened not in table:
                raise IntegrityError("toy: garbage")
            values.append(table[opened] / SCALE)
        return np.array(values)

    def sum_error(self, bound: float, terms: int, max_terms: int) -> float:
        return bound * terms / 2 / SCALE

    # what a ceremony asks for --------------------------------------------------------------------------------------

    def joint_contribution(self, seed: bytes) -> tuple[bytes, bytes]:
        secret = secrets.randbelow(Q)
        self.seen.append(secret.to_bytes(11, "big"))
        return secret.to_bytes(11, "big"), element(pow(generator(seed), secret, P))

    def joint_public_key(self, seed: bytes, parts: Sequence[bytes], quorum: Quorum, *, epoch: int = 1) -> PublicKey:
        y = 1
        for part in parts:
            y = y * number(part) % P
        material = encode((element(generator(seed)), element(y)))
        return PublicKey(
            KeyId("toy", PRESET, epoch, digest(self.preset.digest, encode(quorum), material).hex()), quorum, material
        )

    def joint_deal(self, secret: bytes, quorum: Quorum, index: int) -> tuple[bytes, ...]:
        f = [int.from_bytes(secret, "big"), *(secrets.randbelow(Q) for _ in range(quorum.threshold - 1))]
        points = (sum(c * pow(x, k, Q) for k, c in enumerate(f)) % Q for x in range(1, quorum.holders + 1))
        return tuple(point.to_bytes(11, "big") for point in points)

    def joint_share(self, key: PublicKey, index: int, dealt: Sequence[bytes]) -> SecretShare:
        if any(len(point) != 11 for point in dealt):
            raise WireError("toy: no share")
        total = sum(int.from_bytes(point, "big") for point in dealt) % Q
        return SecretShare(key.id, key.quorum, index, total.to_bytes(11, "big"))


class Running:
    def __init__(self, key: PublicKey) -> None:
        self.sum: CiphertextVector | None = None

    def add(self, vector: CiphertextVector) -> None:
        if self.sum is None:
            self.sum = vector
            return
        blocks = tuple(element(number(a) * number(b) % P) for a, b in zip(self.sum.blocks, vector.blocks, strict=True))
        s = self.sum
        self.sum = CiphertextVector(s.key_id, s.length, 0, False, 1.0, s.max_terms, s.terms + 1, blocks)

    def total(self) -> CiphertextVector:
        assert self.sum is not None
        return self.sum

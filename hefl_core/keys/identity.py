"""A party's own private keys: one signs its messages, one opens messages sealed to it.

A client's identity only signs: messages sealed to a client open with a key of one epoch, destroyed with it (keys/prekeys.py).
"""

from __future__ import annotations

from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from hefl_core.errors import IntegrityError, KeyUseError, WireError
from hefl_core.keys.roster import CLIENT, KEY_BYTES, Member
from hefl_core.keys.secret import Hidden
from hefl_core.wire.canonical import decode, encode

HPKE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
"""ML-KEM-768 and X25519 together (X-Wing), HKDF-SHA256, AES-256-GCM in base mode: opened only by breaking both.

What is recorded today stays shut for a later quantum computer as long as ML-KEM holds, and for today's as long as X25519 does.
Source: RFC 9180; FIPS 203; draft-connolly-cfrg-xwing-kem.
"""
MLKEM_SEED_BYTES = 64


def sealing_public(raw: bytes) -> MLKEM768X25519PublicKey:
    """A reader's public key from its :data:`~hefl_core.keys.roster.SEALING_BYTES` bytes: ML-KEM-768's, then X25519's.

    Raises: ValueError for bytes that are no such keys.
    """
    lattice, curve = raw[:-KEY_BYTES], raw[-KEY_BYTES:]
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(lattice), X25519PublicKey.from_public_bytes(curve)
    )


def check_sealing(client: str, epoch: int, raw: bytes) -> None:
    """Check that one can seal to a client's key. Raises: KeyUseError for bytes to which nobody can."""
    try:
        # Parsing takes any 32 bytes for X25519's part; sealing refuses those with which every exchange gives zero.
        HPKE.encrypt(b"", sealing_public(raw), b"")
    except (TypeError, ValueError) as error:  # an answer of another process may hold anything in this field
        size = f"{len(raw)} bytes" if isinstance(raw, bytes) else "something else"
        raise KeyUseError(
            f"{client}: expected a sealing key of ML-KEM-768 and X25519 for epoch {epoch}, found {size} that is none; "
            "make fresh ones"
        ) from error


def bind(info: bytes, aad: bytes = b"") -> bytes:
    """HPKE's ``info``: the purpose and the associated data as one canonical array."""
    # Lengths are encoded: bytes cannot move from ``info`` to ``aad`` and still give the same array.
    return encode((info, aad))


class Reader(Protocol):
    """Opens messages sealed to ``name``: an identity, or a client's key of one epoch."""

    name: str

    def open(self, sealed: bytes, info: bytes, aad: bytes = b"") -> bytes:
        """The content. Raises: WireError for every failure alike."""


class SealingKey(Hidden):
    """A fresh pair of private keys, ML-KEM-768 and X25519: they open messages sealed to ``name``. Leaks: ``public`` only."""

    __slots__ = ("__private", "__seeds", "name", "public")

    name: str
    public: bytes

    def __init__(self, name: str) -> None:
        self._adopt(name, MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    def _adopt(self, name: str, lattice: MLKEM768PrivateKey, curve: X25519PrivateKey) -> None:
        self.name = name
        self.__seeds = lattice.private_bytes_raw() + curve.private_bytes_raw()
        self.__private = MLKEM768X25519PrivateKey(lattice, curve)
        self.public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()

    def _label(self) -> str:
        return self.name

    def open(self, sealed: bytes, info: bytes, aad: bytes = b"") -> bytes:
        """Open what was sealed to this key for exactly this purpose.

        Raises: WireError for every failure alike; the message does not say which.
        """
        try:
            return HPKE.decrypt(sealed, self.__private, bind(info, aad))
        except (InvalidTag, ValueError, TypeError):
            # One message and no cause: telling which check failed would be an oracle for forged ciphertexts.
            raise WireError(
                f"sealed message: {self.name} cannot open it; expected one sealed to its key for this purpose"
            ) from None

    def _export(self) -> bytes:
        """Private bytes for the encrypted key store, nothing else (a test counts the callers)."""
        return self.__seeds

    @classmethod
    def _import(cls, name: str, data: bytes) -> SealingKey:
        key = cls.__new__(cls)
        try:
            lattice = MLKEM768PrivateKey.from_seed_bytes(data[:MLKEM_SEED_BYTES])
            key._adopt(name, lattice, X25519PrivateKey.from_private_bytes(data[MLKEM_SEED_BYTES:]))
        except ValueError as error:
            raise IntegrityError("sealing key: the stored key cannot be read; restore the store") from error
        return key


class Identity(Hidden):
    """One party's fresh private keys. They sign envelopes (a wire ``Signer``); all but a client's also open sealed bytes.

    Leaks: nothing but ``member``, which is public.
    """

    __slots__ = ("__sealing", "__signing", "member", "name", "role")

    member: Member
    name: str
    role: str

    def __init__(self, name: str, role: str) -> None:
        self._adopt(name, role, Ed25519PrivateKey.generate(), None if role == CLIENT else SealingKey(name))

    def _adopt(self, name: str, role: str, signing: Ed25519PrivateKey, sealing: SealingKey | None) -> None:
        self.name = name
        self.role = role
        self.__signing = signing
        self.__sealing = sealing
        public = b"" if sealing is None else sealing.public
        self.member = Member(name, role, signing.public_key().public_bytes_raw(), public)

    def _label(self) -> str:
        return f"{self.name}, {self.role}"

    def sign(self, data: bytes) -> bytes:
        """Ed25519 signature, 64 bytes. Source: RFC 8032."""
        return self.__signing.sign(data)

    def open(self, sealed: bytes, info: bytes, aad: bytes = b"") -> bytes:
        """Open what was sealed to this party for exactly this purpose.

        Raises: WireError for every failure alike; KeyUseError for a client's identity, which opens nothing.
        """
        if self.__sealing is None:
            raise KeyUseError(
                f"{self.name}: expected its sealing key of the epoch, found its identity, which only signs"
            )
        return self.__sealing.open(sealed, info, aad)

    def _export(self) -> bytes:
        """Private bytes for the encrypted key store, nothing else (a test counts the callers)."""
        sealing = b"" if self.__sealing is None else self.__sealing._export()
        return encode((self.name, self.role, self.__signing.private_bytes_raw(), sealing))

    @classmethod
    def _import(cls, data: bytes) -> Identity:
        name, role, signing, sealing = decode(data, tuple[str, str, bytes, bytes])
        identity = cls.__new__(cls)
        opener = None if role == CLIENT else SealingKey._import(name, sealing)
        try:
            identity._adopt(name, role, Ed25519PrivateKey.from_private_bytes(signing), opener)
        except ValueError as error:
            raise IntegrityError("identity: the stored keys cannot be read; restore the store") from error
        return identity

"""A party's own private keys: one signs its messages, one opens messages sealed to it.

A client's identity only signs: messages sealed to a client open with a key of one epoch, destroyed with it (keys/prekeys.py).
"""

from __future__ import annotations

from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from hefl_core.errors import IntegrityError, KeyUseError, WireError
from hefl_core.keys.roster import CLIENT, Member
from hefl_core.keys.secret import Hidden
from hefl_core.wire.canonical import decode, encode

HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
"""DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM in base mode. Source: RFC 9180."""


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
    """A fresh X25519 private key: it opens messages sealed to ``name``. Leaks: nothing but ``public``."""

    __slots__ = ("__private", "name", "public")

    name: str
    public: bytes

    def __init__(self, name: str) -> None:
        self._adopt(name, X25519PrivateKey.generate())

    def _adopt(self, name: str, private: X25519PrivateKey) -> None:
        self.name = name
        self.__private = private
        self.public = private.public_key().public_bytes_raw()

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
        return self.__private.private_bytes_raw()

    @classmethod
    def _import(cls, name: str, data: bytes) -> SealingKey:
        key = cls.__new__(cls)
        try:
            key._adopt(name, X25519PrivateKey.from_private_bytes(data))
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

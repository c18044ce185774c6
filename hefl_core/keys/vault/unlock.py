"""The keys that open a key store: a passphrase, a key file, or (in memory) a key that ends with the process.

Each wraps the store's random data key; the rows themselves never see the passphrase or the file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from hefl_core.errors import HeflError, KeyUseError, ParameterError, WireError
from hefl_core.keys.secret import Hidden
from hefl_core.wire.canonical import decode, encode

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
SALT_BYTES: Final = 16
SCRYPT_COST_BITS: Final = 17
"""N = 2^17, r = 8, p = 1: 128 MiB and about 0.4 s. Source: RFC 7914; OWASP Password Storage Cheat Sheet (2024)."""
MAX_SCRYPT_COST_BITS: Final = 20
OWNER_ONLY: Final = 0o600


class KeyEncryptionKey(Protocol):
    """Wraps and unwraps the 32-byte data key of a store."""

    def wrap(self, data_key: bytes) -> bytes:
        """A blob that only this key opens again."""

    def unwrap(self, blob: bytes) -> bytes:
        """The data key. Raises: KeyUseError when the blob belongs to another key."""


def refused(kind: str) -> HeflError:
    """The one answer to a wrong passphrase, file or token."""
    return KeyUseError(f"key store: this {kind} does not open it; expected the one it was made with")


def check_owner_only(path: Path, what: str) -> None:
    """Refuse a secret file that others may read. Raises: KeyUseError."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        raise KeyUseError(f"{what} {path.name}: expected mode 0600, found {mode:04o}; run chmod 600 on it")


def create_owner_only(path: Path, content: bytes, what: str) -> None:
    """Make a new file with mode 0600. Raises: KeyUseError when it exists."""
    # O_EXCL and the mode in one call: no symbolic link is followed, and others never have a moment to open the file.
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY)
    except FileExistsError as error:
        raise KeyUseError(f"{what} {path.name}: expected a new file, found one; choose another name") from error
    except OSError as error:
        raise KeyUseError(
            f"{what} {path.name}: cannot be made there ({error.strerror}); choose another folder"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        if os.name == "posix":
            os.fchmod(descriptor, OWNER_ONLY)  # a umask may have taken the owner's own bits
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


class _WithKey(Hidden):
    """Base of the kinds that hold 32 bytes in this process."""

    __slots__ = ()
    KIND = ""

    def _wrap_with(self, key: bytes, parameters: bytes, data_key: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        aad = encode((self.KIND, parameters))
        return encode((self.KIND, parameters, nonce, AESGCM(key).encrypt(nonce, data_key, aad)))

    def _parameters(self, blob: bytes) -> bytes:
        kind, parameters, _, _ = self._read(blob)
        if kind != self.KIND:
            raise KeyUseError(f"key store: expected a {kind[:20]}, found a {self.KIND}")
        return parameters

    def _unwrap_with(self, key: bytes, blob: bytes) -> bytes:
        _, parameters, nonce, wrapped = self._read(blob)
        try:
            return AESGCM(key).decrypt(nonce, wrapped, encode((self.KIND, parameters)))
        except (InvalidTag, ValueError):
            raise refused(self.KIND) from None

    def _read(self, blob: bytes) -> tuple[str, bytes, bytes, bytes]:
        try:
            return decode(blob, tuple[str, bytes, bytes, bytes])
        except WireError as error:
            raise refused(self.KIND) from error


class Passphrase(_WithKey):
    """A passphrase, stretched by scrypt with a salt of the store's own.

    Raises: ParameterError for an empty passphrase or a cost past 2^20.
    """

    __slots__ = ("__text", "cost_bits")
    KIND = "passphrase"

    def __init__(self, text: str, *, cost_bits: int = SCRYPT_COST_BITS) -> None:
        if not text:
            raise ParameterError("passphrase: expected at least one character, found none", "choose a long one")
        if not 1 <= cost_bits <= MAX_SCRYPT_COST_BITS:
            raise ParameterError(f"passphrase: expected a cost of 1 to {MAX_SCRYPT_COST_BITS} bits, found {cost_bits}")
        self.__text = text
        self.cost_bits = cost_bits

    def _key(self, salt: bytes, cost_bits: int) -> bytes:
        return Scrypt(salt=salt, length=KEY_BYTES, n=1 << cost_bits, r=8, p=1).derive(self.__text.encode("utf-8"))

    def wrap(self, data_key: bytes) -> bytes:
        """A blob that only this passphrase opens again; it names its salt and cost."""
        salt = os.urandom(SALT_BYTES)
        return self._wrap_with(self._key(salt, self.cost_bits), encode((salt, self.cost_bits)), data_key)

    def unwrap(self, blob: bytes) -> bytes:
        """The data key. Raises: KeyUseError for another passphrase."""
        try:
            salt, cost_bits = decode(self._parameters(blob), tuple[bytes, int])
        except WireError as error:
            raise refused(self.KIND) from error
        # Before deriving: scrypt takes 1 KiB times the cost, so a forged 2^30 in the file would ask for a tebibyte.
        if not 1 <= cost_bits <= MAX_SCRYPT_COST_BITS:
            raise refused(self.KIND)
        return self._unwrap_with(self._key(salt, cost_bits), blob)


class KeyFile(_WithKey):
    """A file of 32 random bytes, mode 0600, best on another device than the store.

    Raises: KeyUseError when the file is missing, of another length, or readable by others.
    """

    __slots__ = ("__key",)
    KIND = "key file"

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        try:
            check_owner_only(path, self.KIND)
            key = path.read_bytes()
        except OSError as error:
            raise KeyUseError(f"key file {path.name}: expected a readable file, found {error.strerror}") from error
        if len(key) != KEY_BYTES:
            raise KeyUseError(f"key file {path.name}: expected {KEY_BYTES} bytes, found {len(key)}")
        self.__key = key

    @classmethod
    def create(cls, path: str | Path) -> KeyFile:
        """Make a new key file. Raises: KeyUseError when the file exists."""
        create_owner_only(Path(path), os.urandom(KEY_BYTES), cls.KIND)
        return cls(path)

    def wrap(self, data_key: bytes) -> bytes:
        """A blob that only this file opens again."""
        return self._wrap_with(self.__key, b"", data_key)

    def unwrap(self, blob: bytes) -> bytes:
        """The data key. Raises: KeyUseError for another file."""
        self._parameters(blob)
        return self._unwrap_with(self.__key, blob)


class ProcessKey(_WithKey):
    """A random key that ends with the process: for a store in memory."""

    __slots__ = ("__key",)
    KIND = "process key"

    def __init__(self) -> None:
        self.__key = os.urandom(KEY_BYTES)

    def wrap(self, data_key: bytes) -> bytes:
        """A blob that only this object opens again."""
        return self._wrap_with(self.__key, b"", data_key)

    def unwrap(self, blob: bytes) -> bytes:
        """The data key. Raises: KeyUseError for another process's."""
        self._parameters(blob)
        return self._unwrap_with(self.__key, blob)

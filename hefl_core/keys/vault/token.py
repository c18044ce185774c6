"""Like unlock.py, but the key-encryption key lives in a PKCS#11 token and never leaves it.

Needs ``python-pkcs11`` and a module: a hardware token's, or SoftHSM2's (Debian: ``softhsm2``).
Source: PKCS #11 v3.0, CKM_AES_GCM; the key is made with CKA_SENSITIVE and without CKA_EXTRACTABLE.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from hefl_core.errors import KeyUseError, RuntimeUnavailable, WireError
from hefl_core.keys.secret import Hidden
from hefl_core.keys.vault.unlock import KEY_BYTES, NONCE_BYTES, refused
from hefl_core.wire.canonical import decode, encode

KIND: Final = "PKCS#11 token"
KEY_LABEL: Final = "hefl-key-encryption-key"
TAG_BITS: Final = 128


def _library() -> Any:
    try:
        import pkcs11
    except ImportError as error:
        raise RuntimeUnavailable("PKCS#11: expected the package python-pkcs11, found none; pip install it") from error
    return pkcs11


class Token(Hidden):
    """An AES-256 key in a token, opened with its PIN for each use. ``module``: path of the PKCS#11 library.

    Raises: RuntimeUnavailable without the package, the module or the token; KeyUseError for a wrong PIN or when the
        token holds no such key (:meth:`create` makes it).
    """

    __slots__ = ("__pin", "key_label", "module", "token_label")

    def __init__(self, module: str, token_label: str, pin: str, *, key_label: str = KEY_LABEL) -> None:
        self.module = module
        self.token_label = token_label
        self.key_label = key_label
        self.__pin = pin
        with self._session() as session:
            self._key(session)

    def _label(self) -> str:
        return f"{self.token_label}/{self.key_label}"

    @classmethod
    def create(cls, module: str, token_label: str, pin: str, *, key_label: str = KEY_LABEL) -> Token:
        """Make the key inside the token, sensitive and not extractable. Raises: KeyUseError when there is one."""
        token = cls.__new__(cls)
        token.module, token.token_label, token.key_label, token.__pin = module, token_label, key_label, pin
        library = _library()
        with token._session(rw=True) as session:
            try:
                token._key(session)
            except KeyUseError:
                session.generate_key(
                    library.KeyType.AES,
                    KEY_BYTES * 8,
                    label=key_label,
                    store=True,
                    template={library.Attribute.SENSITIVE: True, library.Attribute.EXTRACTABLE: False},
                )
                return token
        raise KeyUseError(f"token {token_label}: expected no key {key_label!r}, found one; use it, or another label")

    @contextmanager
    def _session(self, *, rw: bool = False) -> Iterator[Any]:
        library = _library()
        try:
            token = library.lib(self.module).get_token(token_label=self.token_label)
        except library.PKCS11Error as error:
            raise RuntimeUnavailable(
                f"token {self.token_label}: expected it at {Path(self.module).name}, found {type(error).__name__}; plug it in"
            ) from error
        try:
            session = token.open(user_pin=self.__pin, rw=rw)
        except library.PKCS11Error as error:
            raise KeyUseError(
                f"token {self.token_label}: it did not open ({type(error).__name__}); check the PIN"
            ) from None
        try:
            yield session
        finally:
            session.close()

    def _key(self, session: Any) -> Any:
        library = _library()
        try:
            return session.get_key(
                object_class=library.ObjectClass.SECRET_KEY, key_type=library.KeyType.AES, label=self.key_label
            )
        except library.PKCS11Error as error:
            raise KeyUseError(f"token {self.token_label}: no key {self.key_label!r} in it; create it first") from error

    def _mechanism(self, nonce: bytes) -> dict[str, Any]:
        library = _library()
        aad = encode((KIND, self.token_label, self.key_label))
        return {
            "mechanism": library.Mechanism.AES_GCM,
            "mechanism_param": library.GCMParams(nonce, aad, TAG_BITS),
        }

    def wrap(self, data_key: bytes) -> bytes:
        """A blob that only this token opens again."""
        nonce = os.urandom(NONCE_BYTES)
        with self._session() as session:
            wrapped = bytes(self._key(session).encrypt(data_key, **self._mechanism(nonce)))
        return encode((KIND, self.key_label.encode(), nonce, wrapped))

    def unwrap(self, blob: bytes) -> bytes:
        """The data key. Raises: KeyUseError for another token or key."""
        try:
            kind, _, nonce, wrapped = decode(blob, tuple[str, bytes, bytes, bytes])
        except WireError as error:
            raise refused(KIND) from error
        if kind != KIND:
            raise KeyUseError(f"key store: expected a {kind[:20]}, found a {KIND}")
        with self._session() as session:
            try:
                return bytes(self._key(session).decrypt(wrapped, **self._mechanism(nonce)))
            except _library().PKCS11Error:
                raise refused(KIND) from None

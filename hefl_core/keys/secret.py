"""The base of every secret in this package: it stays in its process."""

from __future__ import annotations

from typing import NoReturn

from hefl_core.errors import SecretKeyEscape


class Hidden:
    """A secret that cannot be pickled, copied, encoded or printed by accident.

    Subclasses keep their bytes in name-mangled slots and say in ``_label`` what may be shown of them.
    """

    __slots__ = ()

    def _label(self) -> str:
        return ""

    def __repr__(self) -> str:
        label = self._label()
        return f"{type(self).__name__}({label + ', ' if label else ''}hidden)"

    def _refuse(self, *_: object) -> NoReturn:
        raise SecretKeyEscape(
            f"{type(self).__name__}: expected to stay in this process, found an attempt to pickle or copy it; "
            "seal it to one client (keys/sealing.py) or keep it in the key store (keys/vault/store.py)"
        )

    __reduce__ = __reduce_ex__ = __getstate__ = __copy__ = __deepcopy__ = _refuse


class SecretBytes(Hidden):
    """Secret bytes on their way from one step to the next."""

    __slots__ = ("__content",)

    def __init__(self, content: bytes) -> None:
        self.__content = content

    def expose(self) -> bytes:
        """The bytes, for the one step that consumes them."""
        return self.__content

"""Names of keys and parties."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from hefl_core.errors import WireError

COORDINATOR, AUDITOR, KMS, OBSERVER = "coordinator", "auditor", "kms", "observer"


def client_name(index: int) -> str:
    """Name of the client with this number, counted from 1."""
    return f"client-{index}"


def is_client(name: str) -> bool:
    """Whether this is a client's name."""
    return name.startswith("client-")


def digest(*parts: bytes) -> bytes:
    """SHA-256 over length-prefixed parts, so that no two lists of parts collide by concatenation."""
    state = hashlib.sha256()
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.digest()


FEWEST_VALUES: Final = 15
"""Least different bytes in a digest: a SHA-256 has fewer with probability below 2^-55; a written number has few."""


def looks_like_a_digest(leaf: object) -> bool:
    """Whether these are 32 bytes with many different values, unlike a number written there.

    >>> looks_like_a_digest(hashlib.sha256(b"x").digest()), looks_like_a_digest((113).to_bytes(32, "big"))
    (True, False)
    """
    return isinstance(leaf, bytes) and len(leaf) == hashlib.sha256().digest_size and len(set(leaf)) >= FEWEST_VALUES


@dataclass(frozen=True, slots=True, order=True)
class KeyId:
    """Which key: the preset fixes the ring, the epoch the time, the fingerprint the key itself.

    ``fingerprint`` is the SHA-256 (64 hex digits) of the public material. Compared whole, shown short.
    """

    scheme: str
    preset: str
    epoch: int
    fingerprint: str

    @property
    def short(self) -> str:
        """The form for screens, for example ``bfv-lean/epoch-2/4b62c64d``."""
        return f"{self.preset}/epoch-{self.epoch}/{self.fingerprint[:8]}"

    def __str__(self) -> str:
        return f"{self.preset}/epoch-{self.epoch}/{self.fingerprint}"

    @classmethod
    def parse(cls, text: str, scheme: str) -> KeyId:
        """Read ``preset/epoch-N/fingerprint`` back.

        Raises: WireError when the text has another form.
        """
        preset, _, rest = text.partition("/epoch-")
        epoch, _, fingerprint = rest.partition("/")
        if not (preset and epoch.isdecimal() and len(fingerprint) == 64):
            raise WireError(f"key id: expected 'preset/epoch-N/<64 hex digits>', found {text[:80]!r}; ask the KMS")
        return cls(scheme, preset, int(epoch), fingerprint)

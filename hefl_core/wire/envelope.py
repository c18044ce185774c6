"""A signed envelope: a header that says what it is, and a body that may be sealed to named readers.

The signature covers the header; the header covers the content by its SHA-256 and length. Where the body is sealed,
``content_digest`` is the digest of the content inside: every party can compare digests, only readers see bytes.

Source: the header's fields follow the protocol page (docs/protocol.md, "Envelope").
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hefl_core.errors import WireError
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.limits import MAX_BODY_BYTES, MAX_HEADER_BYTES

DOMAIN = "hefl/envelope"
VERSION = 1
NO_DIGEST = b""


@dataclass(frozen=True, slots=True)
class Position:
    """Where in an experiment a message belongs. Every party's answer is keyed by this and the step."""

    epoch: int
    round: int
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Header:
    """All that is public about a message. ``recipients`` are party names; digests are SHA-256."""

    kind: str
    experiment: str
    position: Position
    key_id: str
    sender: str
    recipients: tuple[str, ...]
    sequence: int
    previous: bytes
    plan: bytes
    state: bytes
    commitments: bytes
    length: int
    blocks: int
    content_nbytes: int
    content_digest: bytes
    sealed: bool
    domain: str = DOMAIN
    version: int = VERSION

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical header: the name of this message."""
        return hashlib.sha256(encode(self)).digest()


class Signer(Protocol):
    """A party's signing key (keys/identity.py)."""

    def sign(self, data: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A header and its signature: every client gets this of every message of a round."""

    header: Header
    signature: bytes

    def verify(self, signing_key: bytes) -> None:
        """Check the signature against a party's Ed25519 public key (32 bytes).

        Raises: WireError when it does not match.
        """
        header = self.header
        # The domain is signed too: a signature made for another purpose never counts as an envelope's.
        if header.domain != DOMAIN or header.version != VERSION:
            raise WireError(f"envelope: expected {DOMAIN!r} version {VERSION}, found another; update the older side")
        try:
            Ed25519PublicKey.from_public_bytes(signing_key).verify(self.signature, encode(header))
        except (InvalidSignature, ValueError) as error:
            raise WireError(
                f"{header.kind}: the signature is not {header.sender!r}'s; expected a message signed with the roster's key"
            ) from error


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message under way. ``body`` is the content, or its sealed form when ``header.sealed``."""

    header: Header
    signature: bytes
    body: bytes

    @property
    def signed_header(self) -> SignedHeader:
        """The public part."""
        return SignedHeader(self.header, self.signature)

    @property
    def nbytes(self) -> int:
        """Bytes on the wire: header, signature, body."""
        return len(encode(self.header)) + len(self.signature) + len(self.body)

    def to_bytes(self) -> bytes:
        """Canonical bytes."""
        return encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Envelope:
        """Read canonical bytes; size first. Raises: WireError."""
        return decode(data, cls, limit=MAX_BODY_BYTES + MAX_HEADER_BYTES)

    def check(self, signing_key: bytes, *, experiment: str, recipient: str, limit: int = MAX_BODY_BYTES) -> None:
        """Wire checks, cheapest first: size, version, signature, addressee, and the digest of an unsealed body.

        Raises: WireError naming the first that fails.
        """
        header = self.header
        if len(self.body) > limit:
            raise WireError(f"{header.kind}: expected at most {limit} bytes, found {len(self.body)}; refuse the sender")
        self.signed_header.verify(signing_key)
        if header.experiment != experiment:
            raise WireError(
                f"{header.kind}: expected experiment {experiment[:12]}, found another; a message of another run"
            )
        if recipient not in header.recipients:
            raise WireError(f"{header.kind}: addressed to {', '.join(header.recipients)}, not to {recipient}")
        if not header.sealed:
            check_content(header, self.body)


def check_content(header: Header, content: bytes) -> None:
    """Compare opened content with its signed length and digest. Raises: WireError."""
    if len(content) != header.content_nbytes:
        raise WireError(f"{header.kind}: expected {header.content_nbytes} bytes of content, found {len(content)}")
    found = hashlib.sha256(content).digest()
    if found != header.content_digest:
        raise WireError(
            f"{header.kind}: expected content {header.content_digest.hex()[:16]}, found {found.hex()[:16]}; changed on the way"
        )

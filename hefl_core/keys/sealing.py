"""Bytes for named readers only: HPKE to each of them, bound to purpose, place and header.

A short secret is sealed directly (:func:`seal`); a body for several readers is encrypted once under a random content
key, and only that key is sealed to each reader (:func:`seal_body`).

Source: RFC 9180 (HPKE, base mode); the fields of :class:`SealingInfo` follow docs/protocol.md, step 0.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import KEM

from hefl_core.errors import KeyUseError, ParameterError, SecretKeyEscape, WireError
from hefl_core.ids import KeyId
from hefl_core.keys.identity import HPKE, Reader, bind, sealing_public
from hefl_core.keys.roster import CLIENT, KEY_BYTES, Member
from hefl_core.keys.sum_tag import TagKey, expose_tag_key
from hefl_core.schemes.base import SecretShare, expose_secret
from hefl_core.schemes.quorum import Quorum
from hefl_core.wire.canonical import bytes_nbytes, decode, encode
from hefl_core.wire.envelope import Envelope, Header, check_content
from hefl_core.wire.outbox import Seal

DOMAIN = "hefl/seal"
VERSION = 1
CONTENT_KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
HPKE_BYTES = KEM.MLKEM768_X25519.enc_length() + TAG_BYTES
"""HPKE puts an encapsulated key of 1,120 bytes (1,088 of ML-KEM-768, 32 of X25519) and a tag of 16 on top of its content."""
WRAPPED_BYTES = CONTENT_KEY_BYTES + HPKE_BYTES
EARLIER_WRAPPED_BYTES = CONTENT_KEY_BYTES + KEM.X25519.enc_length() + TAG_BYTES
"""A wrap in a record made before ML-KEM was added: such a record is verified, nothing is sealed that way."""


@dataclass(frozen=True, slots=True)
class SealingInfo:
    """The purpose of sealed bytes. Opening needs the same values, so they cannot be moved to another place.

    ``recipient`` is filled in: with each reader's name when sealing, with the opener's own when opening.
    """

    purpose: str
    experiment: str
    epoch: int
    key_id: str
    round: int
    sender: str
    recipient: str = ""
    share_index: int = 0
    threshold: int = 0
    holders: int = 0

    def to(self, recipient: str) -> SealingInfo:
        """The same purpose for this reader."""
        return replace(self, recipient=recipient)

    def to_bytes(self) -> bytes:
        """Canonical array, domain and version first."""
        return encode(
            (
                DOMAIN,
                VERSION,
                self.purpose,
                self.experiment,
                self.epoch,
                self.key_id,
                self.round,
                self.sender,
                self.recipient,
                self.share_index,
                self.threshold,
                self.holders,
            )
        )


@dataclass(frozen=True, slots=True)
class Wrap:
    """The content key, sealed to one reader."""

    recipient: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class SealedBody:
    """One ciphertext for several readers, as it travels in ``Envelope.body``. Public: names, sizes."""

    wraps: tuple[Wrap, ...]
    nonce: bytes
    ciphertext: bytes


def _hpke(content: bytes, recipient: Member, info: SealingInfo, aad: bytes) -> bytes:
    try:
        key = sealing_public(recipient.sealing)
        return HPKE.encrypt(content, key, bind(info.to(recipient.name).to_bytes(), aad))
    except ValueError as error:
        raise KeyUseError(
            f"{recipient.name}: expected a sealing key of ML-KEM-768 and X25519, found {len(recipient.sealing)} bytes "
            f"that are none; enrol it again"
        ) from error


def seal(content: bytes, recipient: Member, info: SealingInfo) -> bytes:
    """Seal bytes to one member: :data:`HPKE_BYTES` longer than the content, different each time.

    Leaks: the length.
    Raises: KeyUseError when the member's key is unusable.
    """
    return _hpke(content, recipient, info, b"")


def open_sealed(reader: Reader, sealed: bytes, info: SealingInfo) -> bytes:
    """Open what :func:`seal` made for this party and this purpose.

    Raises: WireError for every failure alike.
    """
    return reader.open(sealed, info.to(reader.name).to_bytes())


def _unreadable(reader: Reader) -> WireError:
    return WireError(f"sealed message: {reader.name} cannot open it; expected one sealed to its key for this purpose")


def seal_body(content: bytes, readers: Sequence[Member], info: SealingInfo, header_digest: bytes) -> bytes:
    """Encrypt once, seal the content key to each reader; the envelope's header is bound in.

    Leaks: the length and the readers' names.
    Raises: ParameterError without readers or with one named twice; KeyUseError for an unusable key.
    """
    names = [reader.name for reader in readers]
    if not names or len(set(names)) != len(names):
        raise ParameterError(f"{info.purpose}: expected different readers, found {names}", "name each reader once")
    key, nonce = os.urandom(CONTENT_KEY_BYTES), os.urandom(NONCE_BYTES)  # one key, one body: no nonce repeats under it
    wraps = tuple(Wrap(reader.name, _hpke(key, reader, info, header_digest)) for reader in readers)
    return encode(SealedBody(wraps, nonce, AESGCM(key).encrypt(nonce, content, header_digest)))


def open_body(reader: Reader, body: bytes, info: SealingInfo, header_digest: bytes) -> bytes:
    """Open a body as one of its readers.

    Raises: WireError for every failure alike.
    """
    sealed = decode(body, SealedBody)
    for wrap in sealed.wraps:
        if wrap.recipient == reader.name:
            key = reader.open(wrap.wrapped, info.to(reader.name).to_bytes(), header_digest)
            try:
                return AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext, header_digest)
            except (InvalidTag, ValueError):
                break
    raise _unreadable(reader)


def readers_of(body: bytes) -> tuple[str, ...]:
    """For whom a sealed body has a wrap, in order. Raises: WireError for one of another form."""
    return tuple(wrap.recipient for wrap in decode(body, SealedBody).wraps)


def wrapped_nbytes(kms: Member) -> int:
    """Bytes of a wrap in the records of this KMS: its own sealing key says of which form they are."""
    return EARLIER_WRAPPED_BYTES if len(kms.sealing) == KEY_BYTES else WRAPPED_BYTES


def sealed_nbytes(header: Header, wrapped: int = WRAPPED_BYTES) -> int:
    """Bytes of a body that is sealed to this header's recipients, whatever it says."""
    wraps = tuple(Wrap(name, bytes(wrapped)) for name in header.recipients)
    empty = len(encode(SealedBody(wraps, bytes(NONCE_BYTES), b""))) - bytes_nbytes(0)
    return empty + bytes_nbytes(header.content_nbytes + TAG_BYTES)


def sealer(readers: Sequence[Member], info: SealingInfo) -> Seal:
    """The ``seal=`` argument of :meth:`hefl_core.wire.outbox.Outbox.compose` for these readers."""
    return lambda content, header_digest: seal_body(content, readers, info, header_digest)


def open_envelope(reader: Reader, envelope: Envelope, info: SealingInfo) -> bytes:
    """The content of a (checked) envelope: opened where it is sealed, compared with its signed digest either way.

    Raises: WireError.
    """
    header = envelope.header
    content = open_body(reader, envelope.body, info, header.digest) if header.sealed else envelope.body
    # HPKE's base mode authenticates no sender: only the digest under the header's signature ties content to author.
    check_content(header, content)
    return content


def pack_share(share: SecretShare, tag_key: TagKey | None = None) -> bytes:
    """Secret bytes of a share and the epoch's tag key, to be sealed to a client or put into its key store only."""
    tag = b"" if tag_key is None else expose_tag_key(tag_key)
    return encode((share.id, share.quorum, share.index, expose_secret(share), tag))


def unpack_share(content: bytes) -> tuple[SecretShare, TagKey | None]:
    """Read :func:`pack_share` back. Raises: WireError."""
    key_id, quorum, index, material, tag = decode(content, tuple[KeyId, Quorum, int, bytes, bytes])
    if not 1 <= index <= quorum.holders:
        raise WireError(f"share: expected an index of 1 to {quorum.holders}, found {index}; ask the KMS again")
    return SecretShare(key_id, quorum, index, material), TagKey.from_material(tag) if tag else None


def share_info(experiment: str, key_id: KeyId, quorum: Quorum, index: int, sender: str) -> SealingInfo:
    """The purpose under which share number ``index`` of this key travels."""
    return SealingInfo(
        "share",
        experiment,
        key_id.epoch,
        str(key_id),
        0,
        sender,
        share_index=index,
        threshold=quorum.threshold,
        holders=quorum.holders,
    )


def only_clients(member: Member) -> Member:
    """The member, if it may hold a secret.

    Raises: SecretKeyEscape for every role but 'client'.
    """
    if member.role != CLIENT:
        raise SecretKeyEscape(f"share: expected a client, found {member.name} ({member.role}), who must never hold one")
    return member

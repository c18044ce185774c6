"""Is a body marked as sealed really sealed? A body on record is tried without a key; otherwise its size is compared.

Candidate keys are those that could lie in the open: every 32 bytes of a wrap, also backwards, the header's digest, and
zeros. The content is also tried as plaintext. A key disclosed in another way is not found.
Source: RFC 9180: an HPKE wrap is an encapsulated key (ML-KEM-768 and X25519: 1,120 bytes) and a tag of 16 longer than its content.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hefl_core.federation.record.transcript import Sent
from hefl_core.keys import sealing
from hefl_core.keys.sealing import CONTENT_KEY_BYTES, NONCE_BYTES, TAG_BYTES, WRAPPED_BYTES, SealedBody, Wrap
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import SignedHeader

MOST_TRIED_BYTES: Final = 1 << 22
"""For larger bodies only the ends of one wrap are tried."""


def sealed_nbytes(head: SignedHeader) -> int:
    """Size of a message with this header, sealed to its recipients."""
    return len(encode(head.header)) + len(head.signature) + sealing.sealed_nbytes(head.header)


def opens_without_key(head: SignedHeader, body: bytes) -> bool:
    """Whether this body can be read without a key. Raises: WireError for one of another form."""
    header, sealed = head.header, decode(body, SealedBody)
    if header.content_digest in (hashlib.sha256(part).digest() for part in (body, *_plain(sealed.ciphertext))):
        return True
    return any(_opens(key, sealed, header.digest) for key in _lying_about(sealed, header.digest))


def with_key_beside(sent: Sent) -> bytes:
    """Control: a body of this message's size whose wraps are the content key itself, for each of its readers."""
    key, nonce, header = os.urandom(CONTENT_KEY_BYTES), os.urandom(NONCE_BYTES), sent.head.header
    wraps = tuple(Wrap(name, bytes(WRAPPED_BYTES - CONTENT_KEY_BYTES) + key) for name in header.recipients)
    return encode(SealedBody(wraps, nonce, AESGCM(key).encrypt(nonce, bytes(header.content_nbytes), header.digest)))


def smaller(sent: Sent) -> Sent:
    """Control: the same line, as small as with a wrap that is the key itself."""
    less = sent.nbytes - (WRAPPED_BYTES - CONTENT_KEY_BYTES) * len(sent.head.header.recipients)
    return Sent(sent.step, sent.head, sent.receivers, less, sent.body, sent.work, sent.inline)


def _plain(ciphertext: bytes) -> tuple[bytes, ...]:
    return ciphertext, ciphertext[:-TAG_BYTES], ciphertext[TAG_BYTES:]


def _lying_about(sealed: SealedBody, digest: bytes) -> Iterator[bytes]:
    yield from (bytes(CONTENT_KEY_BYTES), digest)
    small = len(sealed.ciphertext) <= MOST_TRIED_BYTES
    for wrap in sealed.wraps[: None if small else 1]:
        last = len(wrap.wrapped) - CONTENT_KEY_BYTES
        for at in range(last + 1) if small else {0, max(0, last)}:
            key = wrap.wrapped[at : at + CONTENT_KEY_BYTES]
            yield from (key, key[::-1])


def _opens(key: bytes, sealed: SealedBody, digest: bytes) -> bool:
    if len(key) != CONTENT_KEY_BYTES:
        return False
    try:
        AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext, digest)
    except (InvalidTag, ValueError):
        return False
    return True

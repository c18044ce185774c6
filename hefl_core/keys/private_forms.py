"""The byte patterns of a party's own keys and of the clients' tag key in memory."""

from __future__ import annotations

from collections.abc import Iterator

from hefl_core.keys.identity import Identity, SealingKey
from hefl_core.keys.sum_tag import KEY_BYTES, TagKey, expose_tag_key
from hefl_core.wire.canonical import decode
from hefl_core.wire.fingerprint import Form

IDENTITY, TAG = "identity keys", "tag key"


def identity_forms(identity: Identity) -> Iterator[Form]:
    """The private keys, 32 bytes each, as OpenSSL keeps them: of a client the signing key alone.

    Leaks: everything; for fingerprints made in the party's own process only.
    """
    _, _, signing, sealing = decode(identity._export(), tuple[str, str, bytes, bytes])
    yield Form(IDENTITY, f"signing key of {identity.name}", signing, 8.0 * len(signing))
    if sealing:
        yield Form(IDENTITY, f"sealing key of {identity.name}", sealing, 8.0 * len(sealing))


def sealing_forms(key: SealingKey, epoch: int) -> Iterator[Form]:
    """A client's private key for one epoch. Leaks: everything, like :func:`identity_forms`."""
    data = key._export()
    yield Form(IDENTITY, f"sealing key of {key.name}, epoch {epoch}", data, 8.0 * len(data))


def tag_forms(key: TagKey, epoch: int) -> Iterator[Form]:
    """Both halves of the tag key. Leaks: everything, like :func:`identity_forms`."""
    material = expose_tag_key(key)
    for name, data in (("words", material[:KEY_BYTES]), ("pads", material[KEY_BYTES:])):
        yield Form(TAG, f"tag key for {name}, epoch {epoch}", data, 8.0 * len(data))

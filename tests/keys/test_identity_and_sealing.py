"""Sealed bytes open for one reader, one purpose, one header; every failure looks the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import KeyUseError, ParameterError, SecretKeyEscape, WireError
from hefl_core.ids import KeyId
from hefl_core.keys.identity import MLKEM_SEED_BYTES, Identity, SealingKey
from hefl_core.keys.roster import Member
from hefl_core.keys.sealing import (
    CONTENT_KEY_BYTES,
    WRAPPED_BYTES,
    SealedBody,
    SealingInfo,
    Wrap,
    only_clients,
    open_body,
    open_sealed,
    pack_share,
    seal,
    seal_body,
    unpack_share,
    wrapped_nbytes,
)
from hefl_core.keys.sum_tag import TagKey, expose_tag_key
from hefl_core.schemes.base import SecretShare, expose_secret
from hefl_core.schemes.quorum import Quorum
from hefl_core.wire.canonical import decode, encode

ALICE, BOB, EVE = (Identity(name, "auditor") for name in ("alice", "bob", "eve"))
INFO = SealingInfo("update", "experiment-1", 1, "plaintext/epoch-1/" + "0" * 64, 3, "client-9", threshold=1, holders=3)
OTHERS = [
    replace(INFO, purpose="partial"),
    replace(INFO, experiment="experiment-2"),
    replace(INFO, epoch=2),
    replace(INFO, key_id="plaintext/epoch-1/" + "1" * 64),
    replace(INFO, round=4),
    replace(INFO, sender="client-8"),
    replace(INFO, share_index=1),
    replace(INFO, threshold=2),
    replace(INFO, holders=4),
]
DIGEST = b"h" * 32


def test_signature_verifies() -> None:
    Ed25519PublicKey.from_public_bytes(ALICE.member.signing).verify(ALICE.sign(b"data"), b"data")
    assert len({ALICE.member.signing, ALICE.member.sealing, BOB.member.signing, BOB.member.sealing}) == 4


def test_an_identity_survives_its_store_form() -> None:
    again = Identity._import(ALICE._export())
    assert again.member == ALICE.member
    assert open_sealed(again, seal(b"x", ALICE.member, INFO), INFO) == b"x"


def test_seal_opens_for_its_reader_only() -> None:
    sealed = seal(b"secret", ALICE.member, INFO)
    assert open_sealed(ALICE, sealed, INFO) == b"secret"
    assert sealed != seal(b"secret", ALICE.member, INFO)
    with pytest.raises(WireError):
        open_sealed(BOB, sealed, INFO)


def half_of(stolen: SealingKey, *, lattice: bool) -> SealingKey:
    """An attacker with one of the reader's two private keys, and one of its own in place of the other."""
    secret, own = stolen._export(), SealingKey("eve")._export()
    cut = MLKEM_SEED_BYTES
    return SealingKey._import("alice", secret[:cut] + own[cut:] if lattice else own[:cut] + secret[cut:])


@pytest.mark.parametrize("lattice", [True, False])
def test_one_of_the_two_keys_opens_nothing(lattice: bool) -> None:
    key = SealingKey("alice")
    member = Member("alice", "auditor", ALICE.member.signing, key.public)
    sealed = seal(b"secret", member, INFO)
    assert open_sealed(SealingKey._import("alice", key._export()), sealed, INFO) == b"secret"
    with pytest.raises(WireError):
        open_sealed(half_of(key, lattice=lattice), sealed, INFO)


def test_nothing_is_sealed_to_a_key_of_an_earlier_record() -> None:
    earlier = Member("alice", "auditor", ALICE.member.signing, bytes(range(32)))
    with pytest.raises(KeyUseError, match="ML-KEM-768"):
        seal(b"secret", earlier, INFO)
    assert wrapped_nbytes(earlier) == 80 and wrapped_nbytes(ALICE.member) == 1168


def test_a_wrap_has_the_size_that_is_stated() -> None:
    assert len(seal(bytes(CONTENT_KEY_BYTES), ALICE.member, INFO)) == WRAPPED_BYTES


@pytest.mark.parametrize("other", OTHERS)
def test_every_field_of_the_purpose_is_bound(other: SealingInfo) -> None:
    with pytest.raises(WireError):
        open_sealed(ALICE, seal(b"secret", ALICE.member, INFO), other)
    with pytest.raises(WireError):
        open_body(ALICE, seal_body(b"secret", [ALICE.member], INFO, DIGEST), other, DIGEST)


def test_a_reader_with_the_same_key_but_another_name_cannot_open() -> None:
    twin = Identity._import(encode(("bob", "auditor", *decode(ALICE._export(), tuple[str, str, bytes, bytes])[2:])))
    with pytest.raises(WireError):
        open_sealed(twin, seal(b"secret", ALICE.member, INFO), INFO)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_change_is_refused_alike(data: st.DataObject) -> None:
    body = seal_body(b"secret " * 5, [ALICE.member, BOB.member], INFO, DIGEST)
    sealed = seal(b"secret " * 5, ALICE.member, INFO)
    for honest, opened in (
        (sealed, lambda b: open_sealed(ALICE, b, INFO)),
        (body, lambda b: open_body(ALICE, b, INFO, DIGEST)),
    ):
        place = data.draw(st.integers(0, len(honest) - 1))
        flip = data.draw(st.integers(1, 255))
        changed = honest[:place] + bytes([honest[place] ^ flip]) + honest[place + 1 :]
        try:
            assert opened(changed) == b"secret " * 5  # Bob's wrap changed: Alice does not notice
        except WireError as error:
            assert "secret secret" not in str(error)
    for cut in (b"", sealed[:5], sealed[:32], sealed[:-1], sealed + b"\0", bytes(32) + sealed[32:]):
        with pytest.raises(WireError):
            open_sealed(ALICE, cut, INFO)


def test_failures_do_not_say_what_failed() -> None:
    sealed = seal(b"secret", ALICE.member, INFO)
    messages = set()
    for bytes_, info in ((sealed[:-1], INFO), (sealed, OTHERS[0]), (b"", INFO)):
        with pytest.raises(WireError) as caught:
            open_sealed(ALICE, bytes_, info)
        messages.add(str(caught.value))
        assert caught.value.__cause__ is None
    assert len(messages) == 1


def test_a_body_opens_for_each_reader_and_nobody_else() -> None:
    body = seal_body(b"content", [ALICE.member, BOB.member], INFO, DIGEST)
    assert open_body(ALICE, body, INFO, DIGEST) == open_body(BOB, body, INFO, DIGEST) == b"content"
    assert b"content" not in body
    with pytest.raises(WireError):
        open_body(EVE, body, INFO, DIGEST)
    with pytest.raises(WireError):
        open_body(ALICE, body, INFO, b"another header".ljust(32))


def test_a_wrap_cannot_move_to_another_body() -> None:
    one = decode(seal_body(b"one", [ALICE.member], INFO, DIGEST), SealedBody)
    two = decode(seal_body(b"two", [ALICE.member], INFO, b"i" * 32), SealedBody)
    for mixed in (replace(one, wraps=two.wraps), replace(two, wraps=one.wraps), replace(one, nonce=b"")):
        with pytest.raises(WireError):
            open_body(ALICE, encode(mixed), INFO, DIGEST)
    stolen = replace(one, wraps=(Wrap("bob", one.wraps[0].wrapped),))
    with pytest.raises(WireError):
        open_body(BOB, encode(stolen), INFO, DIGEST)


def test_readers_are_named_once() -> None:
    for readers in ([], [ALICE.member, ALICE.member]):
        with pytest.raises(ParameterError):
            seal_body(b"x", readers, INFO, DIGEST)


def test_a_key_of_small_order_is_refused() -> None:
    with pytest.raises(KeyUseError):
        seal(b"x", Member("alice", "auditor", bytes(32), bytes(32)), INFO)


def test_a_share_comes_back_whole_and_is_for_clients_only() -> None:
    key_id, quorum = KeyId("plaintext", "plaintext", 1, "0" * 64), Quorum(2, 3)
    share, tag = SecretShare(key_id, quorum, 1, b"material"), TagKey()
    opened, opened_tag = unpack_share(pack_share(share, tag))
    assert (opened.id, opened.quorum, opened.index) == (key_id, quorum, 1)
    assert opened_tag is not None
    assert expose_secret(opened) == b"material" and expose_tag_key(opened_tag) == expose_tag_key(tag)
    for role in ("coordinator", "auditor", "kms", "observer"):
        with pytest.raises(SecretKeyEscape):
            only_clients(Identity("somebody", role).member)
    with pytest.raises(WireError):
        unpack_share(b"not a share")


def test_a_client_s_identity_opens_nothing() -> None:
    client = Identity("client-1", "client")
    assert client.member.sealing == b"" and Identity._import(client._export()).member == client.member
    with pytest.raises(KeyUseError, match="only signs"):
        open_sealed(client, seal(b"x", ALICE.member, INFO), INFO)

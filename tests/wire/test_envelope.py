"""Envelopes: what is refused, and that it is refused before anything is parsed."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import HeflError, WireError
from hefl_core.ids import KeyId, digest
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position, SignedHeader
from hefl_core.wire.outbox import Outbox

SIGNER = Ed25519PrivateKey.generate()
KEY = SIGNER.public_key().public_bytes_raw()


def make(content=b"hello", **more):
    return Outbox("client-1", SIGNER, "exp").compose("update", Position(1, 2), ("coordinator",), content, **more)


def check(envelope, recipient="coordinator", experiment="exp", limit=1 << 20):
    envelope.check(KEY, experiment=experiment, recipient=recipient, limit=limit)


def test_a_good_envelope_passes_and_round_trips():
    envelope = make()
    check(envelope)
    assert Envelope.from_bytes(envelope.to_bytes()) == envelope
    assert envelope.nbytes == len(encode(envelope.header)) + 64 + 5


@pytest.mark.parametrize(
    "change",
    [
        lambda e: replace(e, body=b"hellO"),
        lambda e: replace(e, body=b"hell"),
        lambda e: replace(e, signature=bytes(64)),
        lambda e: replace(e, signature=b""),
        lambda e: replace(e, header=replace(e.header, sender="client-2")),
        lambda e: replace(e, header=replace(e.header, position=Position(1, 3))),
        lambda e: replace(e, header=replace(e.header, version=2)),
        lambda e: replace(e, header=replace(e.header, domain="other")),
        lambda e: replace(e, header=replace(e.header, key_id="x")),
    ],
)
def test_any_change_is_refused(change):
    with pytest.raises(WireError):
        check(change(make()))


def test_wrong_place_is_refused():
    with pytest.raises(WireError, match="another run"):
        check(make(), experiment="other")
    with pytest.raises(WireError, match="not to auditor"):
        check(make(), recipient="auditor")
    with pytest.raises(WireError, match="at most 3 bytes"):
        check(make(), limit=3)


def test_messages_are_numbered_and_chained():
    outbox = Outbox("client-1", SIGNER, "exp")
    first, second = (outbox.compose("k", Position(1, 1), ("a",), b"") for _ in range(2))
    assert (first.header.sequence, second.header.sequence) == (0, 1)
    assert second.header.previous == first.header.digest


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_refused_or_canonical(data):
    try:
        assert Envelope.from_bytes(data).to_bytes() == data
    except WireError:
        pass


@given(st.integers(0, 10_000), st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_no_flipped_bit_is_accepted(position, bit):
    raw = bytearray(make().to_bytes())
    raw[position % len(raw)] ^= 1 << bit
    with pytest.raises(HeflError):
        check(Envelope.from_bytes(bytes(raw)))


@pytest.mark.parametrize("raw", [b"", b"\xdd\xff\xff\xff\xff", b"\x91" * 2000, b"\xc1", b"\x83\xa1x\x01"])
def test_hostile_bytes_are_typed_errors(raw):
    with pytest.raises(WireError):
        decode(raw, SignedHeader)


def test_non_canonical_bytes_are_refused():
    assert decode(b"\x05", int) == 5
    with pytest.raises(WireError, match="canonical"):
        decode(b"\xcd\x00\x05", int)


def test_size_is_checked_first():
    with pytest.raises(WireError, match="at most 2 bytes"):
        decode(b"\xc1\xc1\xc1", int, limit=2)


def test_key_ids_read_back_and_bad_ones_do_not():
    key = KeyId("bfv", "bfv-lean", 2, digest(b"x").hex())
    assert KeyId.parse(str(key), "bfv") == key
    assert key.short.startswith("bfv-lean/epoch-2/")
    for text in ("", "bfv-lean", "bfv-lean/epoch-x/" + "0" * 64, "bfv-lean/epoch-1/abc"):
        with pytest.raises(WireError):
            KeyId.parse(text, "bfv")

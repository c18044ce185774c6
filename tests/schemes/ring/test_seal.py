"""SEAL's bytes, in and out: both ways to unpack agree, plaintexts come back whole, and a frame is judged before it is read."""

import struct

import gmpy2
import numpy as np
import pytest
import tenseal.sealapi as sealapi

from hefl_core.errors import IntegrityError, KeyMismatch, KeyUseError, WireError
from hefl_core.schemes.base import expose_secret
from hefl_core.schemes.presets import PRESETS, BFVPreset, load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import blocks, seal

BFV = [name for name, preset in PRESETS.items() if isinstance(preset, BFVPreset)]
SMALL = "INSECURE_bfv-1024"


@pytest.fixture(scope="module")
def keys():
    return open_scheme(SMALL).keygen(Quorum(1, 2))


@pytest.mark.parametrize("name", BFV)
def test_the_plaintext_modulus_is_the_largest_prime_that_is_free(name):
    ring = seal.open_ring(load_preset(name))
    t, bits = ring.plain_modulus, PRESETS[name].plain_bits
    assert gmpy2.is_prime(t) and t not in ring.primes and t.bit_length() == bits
    assert all(p in ring.primes or not gmpy2.is_prime(p) for p in range(t + 1, 1 << bits))


def test_a_ring_is_opened_once():
    assert seal.open_ring(load_preset(SMALL)) is seal.open_ring(load_preset(SMALL))


@pytest.mark.parametrize("words", [[0], [0] * 9, [5], [0, 0, 7], [1] * 1024, []], ids=len)
def test_plaintexts_there_and_back_and_through_a_ciphertext(keys, words):
    """Trailing zeros are not in SEAL's bytes, and a polynomial may be zero."""
    scheme, (key, shares) = open_scheme(SMALL), keys
    words = np.array(words, dtype=np.uint64)
    whole = np.zeros(scheme.ring.degree, dtype=np.uint64)
    whole[: len(words)] = words
    assert np.array_equal(seal.read_plaintext(scheme.ring, seal.write_plaintext(scheme.ring, words)), whole)
    encryptor = seal.encryptor_for(scheme.preset, scheme.ring, key)
    block = blocks.encrypt(scheme.preset, scheme.ring, encryptor, words)
    ciphertext, opened = seal.from_bytes(sealapi.Ciphertext(), scheme.ring, block, "block"), sealapi.Plaintext()
    seal.decryptor(scheme.ring, expose_secret(shares[0])).decrypt(ciphertext, opened)
    assert np.array_equal(seal.read_plaintext(scheme.ring, opened), whole)


def test_both_ways_to_unpack_agree_and_a_wrong_size_is_no_silence(keys):
    scheme = open_scheme(SMALL)
    data = seal.encrypt_zero(scheme.preset, seal.encryptor_for(scheme.preset, scheme.ring, keys[0]))
    plain = seal.uncompressed(data)
    size = len(plain) - seal.HEADER_BYTES
    assert data[5] == seal.ZSTD, "SEAL compresses what it writes"
    assert bytes(seal.body_of(data, size)) == plain[seal.HEADER_BYTES :] == bytes(seal.body_of(plain, size))
    for wrong in (size - 1, size + 1):
        with pytest.raises(OSError, match="ZSTD"):
            seal.body_of(data, wrong)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:15],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data + data,
        lambda data: b"\0" + data[1:],
        lambda data: data[:5] + b"\1" + data[6:],
        lambda data: data[:8] + struct.pack("<Q", 2**63) + data[16:],
        lambda data: bytes(10**7),
    ],
    ids=["empty", "half a header", "cut off", "longer", "spliced", "magic", "zlib", "lying", "huge"],
)
def test_a_frame_is_judged_before_it_is_read(keys, change, monkeypatch):
    scheme = open_scheme(SMALL)
    data = seal.encrypt_zero(scheme.preset, seal.encryptor_for(scheme.preset, scheme.ring, keys[0]))
    monkeypatch.setattr(seal.os, "memfd_create", lambda *_: pytest.fail("SEAL saw a byte"))
    with pytest.raises(WireError):
        seal.from_bytes(sealapi.Ciphertext(), scheme.ring, change(data), "block")


def test_keys_of_another_ring_or_preset_are_refused(keys):
    key, shares = keys
    lean = open_scheme("bfv-lean")
    for encrypting in (seal.decryptor, seal.symmetric_encryptor):
        with pytest.raises(IntegrityError, match="not a key of this ring"):
            encrypting(lean.ring, expose_secret(shares[0]))
    with pytest.raises(KeyMismatch):
        seal.encryptor_for(lean.preset, lean.ring, key)
    with pytest.raises(KeyUseError):
        seal.encryptor_for(lean.preset, lean.ring, shares[0])

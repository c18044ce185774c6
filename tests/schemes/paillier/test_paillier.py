"""Paillier: exact sums without a key, and a typed refusal of everything else."""

from __future__ import annotations

import math
import os
import threading
import time
from dataclasses import replace

import numpy as np
import phe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import (
    EncodingError,
    HeflError,
    IntegrityError,
    KeyMismatch,
    KeyUseError,
    ParameterError,
    QuorumError,
    RoundError,
    WireError,
)
from hefl_core.ids import KeyId
from hefl_core.keys.sum_tag import TagKey
from hefl_core.schemes.base import CiphertextVector, PublicKey, SecretShare, expose_secret
from hefl_core.schemes.paillier import keys as paillier_keys
from hefl_core.schemes.paillier import masks
from hefl_core.schemes.paillier.big_words import BigWords
from hefl_core.schemes.paillier.masks import MaskPool
from hefl_core.schemes.paillier.scheme import PaillierScheme
from hefl_core.schemes.presets import PaillierPreset, load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.wire.envelope import Position

RNG = np.random.default_rng(11)
SMALL = "INSECURE_paillier-512"
ALONE = Quorum(1, 3)


def small_scheme(name: str = SMALL) -> PaillierScheme:
    scheme = open_scheme(name)
    assert isinstance(scheme, PaillierScheme)
    return scheme


@pytest.fixture(scope="module")
def scheme() -> PaillierScheme:
    return small_scheme()


@pytest.fixture(scope="module")
def naive() -> PaillierScheme:
    """One value per ciphertext, as phe has it, at 512 bits."""
    preset = load_preset(SMALL)
    assert isinstance(preset, PaillierPreset)
    return PaillierScheme(replace(preset, field_bits=0, max_terms=1000, mask_bits=0, collective=False))


@pytest.fixture(scope="module")
def keys(scheme: PaillierScheme) -> tuple[PublicKey, tuple[SecretShare, ...]]:
    return scheme.keygen(ALONE)


@pytest.fixture(scope="module")
def other_keys(scheme: PaillierScheme) -> tuple[PublicKey, tuple[SecretShare, ...]]:
    return scheme.keygen(ALONE)


def vector(d: int = 60, bound: float = 1.0) -> np.ndarray:
    return RNG.uniform(-bound, bound, d)


def decrypt(scheme, keys, total, **options):
    public, shares = keys
    return scheme.open(public, total, [scheme.partial_decrypt(shares[1], total, {2})], **options)


def weighted(words, modulus):
    return sum((j + 3) * int(word) for j, word in enumerate(words)) % modulus


# -- laws ------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    d=st.integers(1, 90),
    terms=st.integers(1, 6),
    integers=st.lists(st.integers(0, 2**50), max_size=9),
    tagged=st.booleans(),
)
def test_the_sum_decrypts_to_the_sum(d, terms, integers, tagged, scheme, keys):
    xs = [vector(d, 0.5) for _ in range(terms)]
    tag = weighted if tagged else None
    running = scheme.accumulator(keys[0])
    for x in xs:
        running.add(scheme.encrypt(keys[0], x, bound=0.5, max_terms=6, integers=integers, tag=tag))
    opened = decrypt(scheme, keys, running.total())
    assert np.max(np.abs(opened.values - sum(xs))) <= scheme.sum_error(0.5, terms, 6)
    assert opened.integers == tuple(terms * value for value in integers)
    assert opened.tag == (weighted(opened.words, opened.modulus) if tagged else None)


def test_extremes_fill_the_head_room_exactly(scheme, keys):
    x = np.array([1.0, -1.0] * 40)
    one = scheme.encrypt(keys[0], x, max_terms=16, integers=(2**60 - 1,))
    running = scheme.accumulator(keys[0])
    for _ in range(16):
        running.add(one)
    opened = decrypt(scheme, keys, running.total())
    assert np.max(np.abs(opened.values - 16 * x)) <= scheme.sum_error(1, 16, 16)
    assert opened.integers == (16 * (2**60 - 1),)
    with pytest.raises(EncodingError, match="head-room"):
        running.add(one)


def test_addition_is_commutative_associative_and_repeatable(scheme, keys):
    a, b, c = (scheme.encrypt(keys[0], vector(), integers=(5,)) for _ in range(3))
    left = scheme.add(keys[0], scheme.add(keys[0], a, b), c)
    right = scheme.add(keys[0], a, scheme.add(keys[0], c, b))
    assert left == right and left.to_bytes() == right.to_bytes()


def test_every_holder_decrypts_the_same(scheme, keys):
    total = scheme.encrypt(keys[0], vector())
    found = [scheme.combine(keys[0], total, [scheme.partial_decrypt(s, total, {s.index})]) for s in keys[1]]
    assert all(np.array_equal(found[0], other) for other in found)


def test_encryption_is_fresh_and_travels_as_bytes(scheme, keys):
    x = vector()
    a, b = scheme.encrypt(keys[0], x), scheme.encrypt(keys[0], x)
    assert not set(a.blocks) & set(b.blocks)
    assert CiphertextVector.from_bytes(a.to_bytes()) == a
    assert PublicKey.from_bytes(keys[0].to_bytes()) == keys[0]


def test_the_epoch_is_in_the_label(scheme):
    public, shares = scheme.keygen(ALONE, epoch=4)
    assert public.id.epoch == 4 == shares[0].id.epoch
    assert KeyId.parse(str(public.id), "paillier") == public.id


def test_the_tag_of_the_keys_fits(scheme, keys):
    key, clients = TagKey(), ("client-1", "client-2", "client-3")
    running = scheme.accumulator(keys[0])
    for client in clients:
        tag = key.for_message("experiment", 1, 1, 1, client)
        running.add(scheme.encrypt(keys[0], vector(), integers=(7, 1), tag=tag))
    opened = decrypt(scheme, keys, running.total())
    key.check(opened, clients, "experiment", Position(1, 1, 1))
    shifted = list(opened.words)
    shifted[0] += 1
    with pytest.raises(IntegrityError, match="tag"):
        key.check(replace(opened, words=shifted), clients, "experiment", Position(1, 1, 1))


def test_a_shift_without_the_key_passes_the_scheme_and_fails_the_tag(scheme, keys):
    """What the layout cannot notice is exactly what the tag is for."""
    public = keys[0]
    total = scheme.encrypt(public, np.zeros(30), max_terms=1, tag=weighted)
    modulus = scheme.modulus(public)
    shift = modulus.encrypt(1 << (72 + 5))
    block = modulus.write(int.from_bytes(total.blocks[0], "big") * shift % modulus.square)
    opened = decrypt(scheme, keys, replace(total, blocks=(block, *total.blocks[1:])))
    assert np.any(opened.values != 0)
    assert opened.tag != weighted(opened.words, opened.modulus)


def test_a_hidden_bound_is_needed_to_open(scheme, keys):
    x = vector(bound=0.01)
    total = scheme.encrypt(keys[0], x, bound=0.01, declare_bound=False)
    assert total.bound is None
    with pytest.raises(EncodingError, match="bound"):
        decrypt(scheme, keys, total)
    assert np.max(np.abs(decrypt(scheme, keys, total, bound=0.01).values - x)) <= scheme.sum_error(0.01, 1, 16)


def test_one_value_per_ciphertext(naive):
    keys = naive.keygen(ALONE)
    xs = [vector(7) for _ in range(3)]
    running = naive.accumulator(keys[0])
    for x in xs:
        running.add(naive.encrypt(keys[0], x, max_terms=1000, integers=(31, 1), tag=weighted))
    opened = decrypt(naive, keys, running.total())
    assert len(running.total().blocks) == 2 + 1 + 7
    assert np.max(np.abs(opened.values - sum(xs))) <= naive.sum_error(1, 3, 1000)
    assert opened.integers == (93, 3) and opened.tag == weighted(opened.words, opened.modulus)


def test_floats_never_reach_phe(naive, monkeypatch):
    """phe's floating-point encoding publishes an exponent beside each ciphertext."""

    def forbidden(*_args, **_options):
        raise AssertionError("phe encoded a number")

    monkeypatch.setattr(phe.EncodedNumber, "__init__", forbidden)
    monkeypatch.setattr(phe.EncodedNumber, "encode", forbidden)
    monkeypatch.setattr(phe.EncryptedNumber, "__init__", forbidden)
    keys = naive.keygen(ALONE)
    total = naive.encrypt(keys[0], vector(3))
    assert decrypt(naive, keys, total).values.shape == (3,)


def test_2048_bits_in_earnest():
    scheme = small_scheme("paillier-packed")
    keys = scheme.keygen(ALONE)
    xs = [vector(150) for _ in range(2)]
    a, b = (scheme.encrypt(keys[0], x, integers=(100, 1), tag=weighted) for x in xs)
    total = scheme.add(keys[0], a, b)
    opened = decrypt(scheme, keys, total)
    assert np.max(np.abs(opened.values - sum(xs))) <= scheme.sum_error(1, 2, 16)
    assert opened.integers == (200, 2) and opened.tag == weighted(opened.words, opened.modulus)
    assert [len(block) for block in total.blocks] == [512, 512]


@pytest.mark.parametrize(("d", "preset"), [(2410, "paillier-packed"), (99_530, "paillier-packed-3072")])
def test_packing_sends_a_hundredth_of_the_bytes(d, preset):
    packed, single = small_scheme(preset).words.layout, small_scheme("paillier-naive").words.layout
    assert single.block_count(d, 2, True) >= 100 * packed.block_count(d, 2, True)


def test_packing_and_short_masks_cost_a_fraction():
    """Loose here (300 times), measured in the benchmarks: one block against one number of phe's, at 2048 bits."""
    scheme = small_scheme("paillier-packed")
    public, _ = scheme.keygen(ALONE)
    x, alone = vector(1020), phe.PaillierPublicKey(int(scheme.modulus(public).n))
    scheme.masks(public).fill(1)  # builds the table
    before = time.process_time()
    for value in x[:3]:
        alone.encrypt(float(value))
    between = time.process_time()
    scheme.encrypt(public, x)
    assert (between - before) / 3 > 300 * (time.process_time() - between) / len(x)


# -- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x", [np.array([]), np.zeros((2, 2)), np.array([math.nan]), np.array([math.inf]), np.array([1.5])]
)
def test_what_does_not_fit_is_refused(x, scheme, keys):
    with pytest.raises(EncodingError):
        scheme.encrypt(keys[0], x)


@pytest.mark.parametrize("integers", [(-1,), (2**60,), (1.5,), (0,) * 65, ("1",)])
def test_integers_without_head_room_are_refused(integers, scheme, keys):
    with pytest.raises(EncodingError):
        scheme.encrypt(keys[0], vector(), integers=integers)


@pytest.mark.parametrize("max_terms", [0, 65, -3, 2.5, None])
def test_more_terms_than_the_preset_has_room_for_are_refused(max_terms, scheme, keys):
    with pytest.raises(EncodingError):
        scheme.encrypt(keys[0], vector(), max_terms=max_terms)


@pytest.mark.parametrize("tag", [-1, 2**61 - 1, 0.5])
def test_tags_past_their_field_are_refused(tag, scheme, keys):
    with pytest.raises(EncodingError):
        scheme.encrypt(keys[0], vector(), tag=lambda _words, _modulus: tag)


def test_mixed_keys_are_refused(scheme, keys, other_keys):
    mine, foreign = scheme.encrypt(keys[0], vector()), scheme.encrypt(other_keys[0], vector())
    for attempt in (
        lambda: scheme.add(keys[0], mine, foreign),
        lambda: scheme.check(keys[0], foreign),
        lambda: scheme.accumulator(keys[0]).add(foreign),
        lambda: scheme.partial_decrypt(keys[1][0], foreign, {1}),
    ):
        with pytest.raises(KeyMismatch):
            attempt()


def test_a_false_label_surfaces(scheme, keys, other_keys):
    """Ciphertexts of one key under the label of another: refused by range, or garbage that no honest sum contains."""
    for _ in range(20):
        forged = replace(scheme.encrypt(other_keys[0], vector()), key_id=keys[0].id)
        with pytest.raises((WireError, IntegrityError)):
            decrypt(scheme, keys, forged)


def test_a_mislabelled_share_surfaces(scheme, keys, other_keys):
    total = scheme.encrypt(keys[0], vector())
    for material in (expose_secret(other_keys[1][0]), b"", b"\x00", expose_secret(keys[1][0])[:-1]):
        with pytest.raises(IntegrityError):
            scheme.partial_decrypt(SecretShare(keys[0].id, ALONE, 1, material), total, {1})


def test_a_mislabelled_public_key_is_refused(scheme, keys, other_keys):
    with pytest.raises(KeyMismatch, match="fingerprint"):
        scheme.encrypt(replace(keys[0], material=other_keys[0].material), vector())
    with pytest.raises(KeyMismatch, match="fingerprint"):
        scheme.encrypt(replace(keys[0], quorum=Quorum(1, 4)), vector())
    with pytest.raises(KeyMismatch):
        small_scheme("paillier-packed").encrypt(keys[0], vector())


def test_a_secret_share_does_not_encrypt(scheme, keys):
    with pytest.raises(KeyUseError):
        scheme.encrypt(keys[1][0], vector())


@pytest.mark.parametrize(
    "n",
    [0, 1, 15, 2**512 - 2, 2**512 - 1, 3 * (2**510 + 1) | 1, (2**256 - 189) ** 2, 2**511 + 111],
    ids=["zero", "one", "15", "even", "small factors", "multiple of 3", "square", "prime"],
)
def test_a_modulus_that_protects_nobody_is_refused(n, scheme, keys):
    material = paillier_keys.write_public(paillier_keys.Modulus(n))
    with pytest.raises((ParameterError, WireError)):
        scheme.encrypt(replace(keys[0], material=material), vector())


@pytest.mark.parametrize("material", [b"", b"\xc1", b"\x00" * 64, b"\x81\xa7modulus\xc4\x01\x0f"])
def test_material_of_another_form_is_refused(material, scheme, keys):
    with pytest.raises((ParameterError, WireError)):
        scheme.encrypt(replace(keys[0], material=material), vector())


def test_blocks_that_are_none_are_refused(scheme, keys):
    public = keys[0]
    modulus = scheme.modulus(public)
    honest = scheme.encrypt(public, vector())
    n, square, size = int(modulus.n), int(modulus.square), modulus.nbytes
    p = paillier_keys.open_whole(scheme.preset, expose_secret(keys[1][0]))[1]
    bad = {
        "empty": b"",
        "short": honest.blocks[0][1:],
        "long": b"\x00" + honest.blocks[0],
        "zero": bytes(size),
        "one": (1).to_bytes(size, "big"),
        "in the clear": (1 + 77 * n).to_bytes(size, "big"),
        "n": n.to_bytes(size, "big"),
        "divisor": (5 * p).to_bytes(size, "big"),
        "n squared": square.to_bytes(size, "big"),
        "too large": b"\xff" * size,
    }
    for block in bad.values():
        forged = replace(honest, blocks=(*honest.blocks[:-1], block))
        for attempt in (
            lambda vector: scheme.check(public, vector),
            lambda vector: scheme.accumulator(public).add(vector),
            lambda vector: scheme.partial_decrypt(keys[1][0], vector, {1}),
        ):
            with pytest.raises(WireError):
                attempt(forged)


def test_shapes_that_do_not_fit_are_refused(scheme, keys):
    honest = scheme.encrypt(keys[0], vector(60))
    for forged in (
        replace(honest, blocks=()),
        replace(honest, blocks=honest.blocks[:1]),
        replace(honest, blocks=honest.blocks + honest.blocks[:1]),
        replace(honest, length=0),
        replace(honest, length=10**18),
        replace(honest, integers=10**12),
        replace(honest, integers=-1),
        replace(honest, terms=0),
        replace(honest, terms=99),
        replace(honest, max_terms=10**6),
        replace(honest, bound=-1.0),
        replace(honest, bound=math.nan),
        replace(honest, bound=math.inf),
    ):
        with pytest.raises(WireError):
            scheme.check(keys[0], forged)


def test_nothing_is_broadcast(scheme, keys):
    long, one = scheme.encrypt(keys[0], vector(20)), scheme.encrypt(keys[0], vector(1))
    for other in (one, scheme.encrypt(keys[0], vector(20), max_terms=8), scheme.encrypt(keys[0], vector(20), bound=2)):
        with pytest.raises(WireError, match="equal shapes"):
            scheme.add(keys[0], long, other)


def test_an_empty_sum_is_refused(scheme, keys):
    with pytest.raises(RoundError):
        scheme.accumulator(keys[0]).total()


def test_an_understated_sum_surfaces(scheme, keys):
    """Five terms labelled as one: sums leave the range of one value."""
    x = np.ones(40)
    running = scheme.accumulator(keys[0])
    for _ in range(5):
        running.add(scheme.encrypt(keys[0], x))
    with pytest.raises(IntegrityError):
        decrypt(scheme, keys, replace(running.total(), terms=1))


def test_foreign_partials_are_refused(scheme, keys):
    public, shares = keys
    total, another = scheme.encrypt(public, vector()), scheme.encrypt(public, vector())
    partial = scheme.partial_decrypt(shares[0], total, {1})
    with pytest.raises(QuorumError) as caught:
        scheme.combine(public, total, [])
    assert (caught.value.have, caught.value.need) == (0, 1)
    for bad in (
        [scheme.partial_decrypt(shares[0], another, {1})],
        [replace(partial, index=2)],
        [replace(partial, blocks=partial.blocks[:-1])],
        [replace(partial, blocks=(b"\x01", *partial.blocks[1:]))],
        [replace(partial, blocks=(b"\xff" * 64, *partial.blocks[1:]))],
        [partial, partial],
    ):
        with pytest.raises(IntegrityError):
            scheme.combine(public, total, bad)


def test_no_quorum_for_the_naive_preset(naive):
    with pytest.raises(ParameterError) as caught:
        small_scheme("paillier-naive").keygen(Quorum(2, 3))
    assert "paillier-packed" in caught.value.suggestion


@settings(max_examples=60, deadline=None)
@given(data=st.binary(min_size=1, max_size=300), place=st.integers(0, 400))
def test_damaged_bytes_raise_nothing_untyped(data, place, scheme, keys):
    honest = bytearray(scheme.encrypt(keys[0], np.zeros(25)).to_bytes())
    honest[place : place + len(data)] = data
    try:
        decrypt(scheme, keys, CiphertextVector.from_bytes(bytes(honest)))
    except HeflError:
        pass


# -- layout ----------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 200),
    st.integers(0, 20),
    st.booleans(),
    st.sampled_from([(511, 20), (200, 20), (511, 40), (150, 17)]),
)
@settings(deadline=None)
def test_the_layout_reads_what_it_wrote(length, integers, tagged, shape):
    for singly in (False, True):
        layout = BigWords(*shape, singly=singly)
        fields = RNG.integers(0, 1 << shape[1], length, dtype=np.uint64)
        numbers = [int(value) for value in RNG.integers(0, 2**63, integers)]
        words, plan = layout.write(numbers, fields, tagged)
        assert len(words) == plan.blocks == layout.block_count(length, integers, tagged)
        assert max(words).bit_length() <= shape[0]
        without_tag = list(words)
        if plan.tag is not None:
            words[plan.tag[0]] += 12345 << plan.tag[1]
        content = layout.read(words, length, integers, tagged)
        assert content.integers == tuple(numbers) and np.array_equal(content.fields, fields)
        assert content.words == without_tag and content.tag == (12345 if tagged else None)


def test_bits_above_the_fields_are_seen():
    layout = BigWords(511, 20)
    words, _ = layout.write([3], np.array([1, 2], np.uint64), False)
    words[0] |= 1 << (64 + 2 * 20)
    with pytest.raises(IntegrityError, match="above the fields"):
        layout.read(words, 2, 1, False)


# -- masks in threads and forked processes ---------------------------------------------------------------------


def test_no_thread_of_a_forked_child_gets_a_mask_of_the_parent(monkeypatch):
    """Two ciphertexts under one mask give away the difference of their plaintexts."""
    pool = MaskPool(lambda: "fresh")
    pool._ready.append("parent's")
    mine, real, inside, done = os.getpid(), threading.Lock, threading.Event(), threading.Event()

    def slow_lock():
        inside.set()
        assert done.wait(5)
        return real()

    first = threading.Thread(target=pool.take)
    monkeypatch.setattr(masks.os, "getpid", lambda: mine + 1)
    monkeypatch.setattr(masks.threading, "Lock", slow_lock)
    first.start()
    assert inside.wait(5)
    monkeypatch.setattr(masks.threading, "Lock", real)
    taken = pool.take()  # while the first is still emptying the pool
    done.set()
    first.join()
    assert taken == "fresh"


def test_a_filler_that_failed_is_replaced(monkeypatch):
    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda failure: seen.append(failure.exc_type))
    draws = iter([MemoryError("once")])

    def draw():
        for failure in draws:
            raise failure
        return "fresh"

    pool = MaskPool(draw)
    for _ in range(2):
        pool.fill_in_background(3)
        pool.wait()
    assert len(pool) == 3 and seen == [MemoryError]

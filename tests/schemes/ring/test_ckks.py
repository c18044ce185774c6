"""CKKS: errors within the stated bound, and what a wrong key or damage looks like where no tag can tell."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tenseal as ts
import tenseal.sealapi as sealapi

from hefl_core.errors import EncodingError, IntegrityError, KeyMismatch, KeyUseError, WireError
from hefl_core.schemes.base import SecretShare, expose_secret
from hefl_core.schemes.presets import PRESETS, CKKSPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.ring import blocks, rlwe, seal
from hefl_core.schemes.ring.ckks import INTEGER_UNIT, LARGEST_INTEGER, SIGMAS
from tests.schemes.ring.test_bfv import World as Rings

NAMES = [name for name, preset in PRESETS.items() if isinstance(preset, CKKSPreset)]
SMALL = "INSECURE_ckks-1024"
RNG = np.random.default_rng(23)


@pytest.fixture(scope="module", params=NAMES)
def world(request):
    return Rings(request.param)


@pytest.fixture(scope="module")
def small():
    return Rings(SMALL)


def test_the_largest_sum_stays_below_q_and_within_the_error(world):
    """Slots all at the bound at once: the polynomial's constant coefficient is as large as it gets."""
    terms = world.scheme.largest_sum(16.0)
    d = world.ring.degree // 2 - 10
    x = np.full(d, 15.99)
    fresh = [
        world.encrypt(x, bound=16.0, max_terms=terms, integers=(LARGEST_INTEGER, 1)) for _ in range(min(32, terms))
    ]
    opened = world.open(world.sum(fresh[k % len(fresh)] for k in range(terms)))
    repeated = world.scheme.sum_error(16.0, terms * -(-terms // len(fresh)), world.preset.max_terms)
    assert np.max(np.abs(opened.values - terms * x)) <= repeated
    assert opened.integers == (terms * LARGEST_INTEGER, terms)


@pytest.mark.parametrize("terms", [1, 16])
def test_the_error_bound_is_safe_and_not_idle(world, terms):
    """Over many slots the largest error stays well below the bound, and its deviation is what the bound is derived from."""
    xs = RNG.uniform(-1, 1, (terms, 2 * world.ring.degree))
    opened = world.open(world.sum(world.encrypt(x, bound=1.0) for x in xs))
    errors = opened.values - xs.sum(axis=0)
    bound = world.scheme.sum_error(1.0, terms, 16)
    assert np.max(np.abs(errors)) < 0.6 * bound
    if not world.preset.collective:  # those count the flooding in, which individual custody has not
        assert np.std(errors) == pytest.approx((bound - terms * 1e-12) / SIGMAS, rel=0.25)


def test_the_symmetric_preset_takes_the_share_and_only_the_share():
    world = Rings("ckks-nvflare")
    with pytest.raises(KeyUseError, match="secret share"):
        world.scheme.encrypt(world.key, np.zeros(3))
    with pytest.raises(KeyMismatch):
        other = dataclasses.replace(world.key.id, preset="ckks-lean")
        world.scheme.encrypt(SecretShare(other, Quorum(1, 2), 1, b""), np.zeros(3))
    with pytest.raises(KeyUseError, match="public key"):
        lean = Rings("ckks-lean")
        lean.scheme.encrypt(lean.shares[0], np.zeros(3))


def test_what_does_not_fit_is_refused(world):
    for options in (
        {"integers": (LARGEST_INTEGER + 1,)},
        {"bound": 2.0**61},
        {"tag": lambda *_: 1},
        {"max_terms": 4096},
    ):
        with pytest.raises(EncodingError):
            world.encrypt(np.zeros(3), **options)


def test_sums_are_seals_sums(world):
    a, b = (world.encrypt(RNG.uniform(-1, 1, 30)) for _ in range(2))
    total = world.scheme.add(world.key, a, b)
    evaluator = sealapi.Evaluator(world.ring.context)
    ciphertext = seal.from_bytes(sealapi.Ciphertext(), world.ring, a.blocks[0], "block")
    evaluator.add_inplace(ciphertext, seal.from_bytes(sealapi.Ciphertext(), world.ring, b.blocks[0], "block"))
    found = seal.to_bytes(ciphertext)
    assert total.blocks[0] == (found if world.preset.compressed else seal.uncompressed(found))


def test_tenseal_is_silent_where_this_package_is_not():
    """The positive control: on plain TenSEAL each of these passes."""

    def context():
        made = ts.context(ts.SCHEME_TYPE.CKKS, 4096, coeff_mod_bit_sizes=[54, 20], n_threads=1)
        made.global_scale = 2.0**40
        return made

    mine, other = context(), context()
    a, b = ts.ckks_vector(mine, [1.0, 2.0, 3.0]), ts.ckks_vector(other, [1.0, 2.0, 3.0])
    foreign = ts.ckks_vector_from(mine, b.serialize())
    assert abs(foreign.decrypt()[0] - 1) > 1
    assert abs((a + foreign).decrypt()[0] - 2) > 1
    overflow = ts.ckks_vector(mine, [4000.0])
    for _ in range(2):
        overflow += ts.ckks_vector(mine, [4000.0])
    assert abs(overflow.decrypt()[0] - 12000) > 1
    ts.ckks_vector_from(mine, a.serialize() + b.serialize())


def test_a_mislabelled_secret_or_ciphertext_shows(world):
    other = Rings(world.preset.name)
    false = SecretShare(world.key.id, Quorum(1, 3), 1, expose_secret(other.shares[0]))
    total = world.sum([world.encrypt(np.zeros(30), integers=(5, 1)) for _ in range(2)])
    with pytest.raises(IntegrityError):
        world.open(total, false)
    foreign = dataclasses.replace(other.encrypt(np.zeros(30)), key_id=world.key.id)
    world.scheme.check(world.key, foreign)
    for wrong in (foreign, world.scheme.add(world.key, world.encrypt(np.zeros(30)), foreign)):
        with pytest.raises(IntegrityError):
            world.open(wrong)


def test_a_false_number_of_terms_or_bound_shows_when_values_leave_it(small):
    total = small.sum([small.encrypt(np.full(20, 1.0), bound=1.0)] * 3)
    with pytest.raises(IntegrityError, match="values"):
        small.open(dataclasses.replace(total, terms=2))
    with pytest.raises(IntegrityError, match="values"):
        small.open(dataclasses.replace(total, bound=0.9))


def test_a_small_shift_is_not_seen_here(small):
    """The limit, stated: adding a known small constant passes every check of CKKS; re-adding by the auditor stops it."""
    one = small.encrypt(np.zeros(20), bound=1.0)
    shifted = small.scheme.add(small.key, one, small.encrypt(np.full(20, 0.5), bound=1.0))
    opened = small.open(dataclasses.replace(shifted, terms=1))
    assert np.max(np.abs(opened.values - 0.5)) < 1e-3


def test_splices_cuts_and_strangers_are_refused_unread(world, monkeypatch):
    one = world.encrypt(RNG.uniform(-1, 1, 20))
    (block,) = one.blocks
    sized = bytearray(block + block)
    sized[8:16] = len(sized).to_bytes(8, "little")
    other = Rings("bfv-lean").encrypt(np.zeros(3)).blocks[0]
    rescaled = bytearray(seal.uncompressed(block))
    place = seal.HEADER_BYTES + 57
    rescaled[place : place + 8] = np.array([2.0**39], dtype="<f8").tobytes()
    monkeypatch.setattr(seal, "from_bytes", lambda *_: pytest.fail("SEAL saw a byte"))
    for wrong in (
        b"",
        block[:-1],
        block + b"\0",
        block + block,
        bytes(sized),
        block[:16],
        other,
        bytes(rescaled),
        block[:200],
    ):
        with pytest.raises(WireError):
            world.scheme.check(world.key, dataclasses.replace(one, blocks=(bytes(wrong),)))


def test_a_decompression_bomb_stops_at_the_size_of_a_ciphertext(small):
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        for _ in range(64):
            stream.write(bytes(1 << 20))
    body = sink.getvalue().to_pybytes()
    block = bytearray(seal.header(seal.HEADER_BYTES + len(body)) + body)
    block[5] = seal.ZSTD
    one = small.encrypt(np.zeros(20))
    with pytest.raises(WireError, match="another length"):
        small.scheme.check(small.key, dataclasses.replace(one, blocks=(bytes(block),)))


def test_transparent_and_unreduced_ciphertexts_are_refused(world):
    one = world.encrypt(np.zeros(20))
    words = blocks.read(world.preset, world.ring, one.blocks[0], "block", fresh=True)
    for polynomial, value in ((1, 0), (0, rlwe.data_primes(world.ring)[-1])):
        wrong = words.copy()
        wrong[polynomial, -1] = value
        wrong[polynomial] = wrong[polynomial] if value else 0
        block = rlwe.write_ciphertext(world.ring, wrong)
        with pytest.raises(WireError):
            world.scheme.check(world.key, dataclasses.replace(one, blocks=(block,)))


def test_flipped_bits_are_refused_or_detected(small):
    """NTT form spreads a changed residue over all slots: there is no harmless flip among those that load."""
    x, rng = RNG.uniform(-1, 1, 40), np.random.default_rng(8)
    outcomes = {"refused": 0, "detected": 0}
    for _ in range(80):
        one = small.encrypt(x, bound=1.0, integers=(3, 1))
        block = bytearray(one.blocks[0])
        place = int(rng.integers(150)) if rng.random() < 0.3 else int(rng.integers(len(block)))
        block[place] ^= 1 << int(rng.integers(8))
        try:
            opened = small.open(dataclasses.replace(one, blocks=(bytes(block),)))
        except WireError:
            outcomes["refused"] += 1
        except IntegrityError:
            outcomes["detected"] += 1
        else:
            assert np.max(np.abs(opened.values - x)) <= small.scheme.sum_error(1.0, 1, 16)
    assert min(outcomes.values()) > 0, outcomes


def test_integers_are_found_again_among_noise(world):
    assert INTEGER_UNIT * 0.1 > world.scheme.sum_error(1.0, 16, 16)
    values = (0, 1, LARGEST_INTEGER, 65_537)
    assert world.open(world.sum(world.encrypt(np.zeros(3), integers=values) for _ in range(16))).integers == tuple(
        16 * v for v in values
    )

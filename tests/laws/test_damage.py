"""Laws of damage: whatever happens to a ciphertext, a refusal has a type, and no wrong sum passes where there is a tag."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from hefl_core.errors import EncodingError, HeflError, IntegrityError, WireError
from hefl_core.keys.sum_tag import TagKey
from hefl_core.schemes.base import CiphertextVector
from hefl_core.schemes.presets import PRESETS, RingPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import blocks, rlwe, seal
from hefl_core.wire.envelope import Position

SLOW = {"paillier-naive", "paillier-packed", "paillier-packed-3072"}
NAMES = [name for name in PRESETS if name not in SLOW]
ENCRYPTING = [name for name in NAMES if name != "plaintext"]
RINGS = [name for name in NAMES if isinstance(PRESETS[name], RingPreset)]
TAGGED = [name for name in NAMES if PRESETS[name].tagged]
FLIPS = dict.fromkeys(ENCRYPTING, 16) | {
    "INSECURE_paillier-512": 200,
    "INSECURE_bfv-1024": 200,
    "INSECURE_ckks-1024": 200,
    "INSECURE_bfv-threshold-1024": 100,
    "bfv-compact-2048-seeded": 200,
}
"""How many flips: the smallest ring of each kind stands for the larger ones, which differ in numbers only."""
BOUND = 0.5
ROUND = Position(1, 1, 1)
CLIENTS = ("client-1", "client-2", "client-3", "client-4", "client-5")


class World:
    """One preset, a key, a tag key of the clients, and an update."""

    def __init__(self, name: str) -> None:
        self.scheme = open_scheme(name)
        self.preset = self.scheme.preset
        self.key, self.shares = self.scheme.keygen(Quorum(1, 3))
        self.maker = self.shares[0] if self.preset.symmetric else self.key
        self.tags = TagKey()
        self.x = np.random.default_rng(11).uniform(-BOUND, BOUND, 30)

    def encrypt(self, x=None, client=None, **options):
        tag = self.tags.for_message("e", 1, 1, 1, client) if client and self.preset.tagged else None
        options = {"bound": BOUND, "max_terms": 5, "integers": (3, 1), **options}
        return self.scheme.encrypt(self.maker, self.x if x is None else x, tag=tag, **options)

    def sum(self, vectors):
        running = self.scheme.accumulator(self.key)
        for vector in vectors:
            running.add(vector)
        return running.total()

    def open(self, total):
        return self.scheme.open(self.key, total, [self.scheme.partial_decrypt(self.shares[0], total, {1})])


@cache
def world_of(name):
    return World(name)


@pytest.fixture(params=NAMES)
def world(request):
    return world_of(request.param)


# -- bits that change on the way --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENCRYPTING)
def test_a_flipped_bit_never_passes_for_another_sum(name):
    """Alone or in a sum: a typed refusal, a tag that does not fit, or the right values (the flip was in the noise).

    CKKS has no tag; there a flip spreads over all slots, and what decrypts is refused or right.
    """
    world, rng, found = world_of(name), np.random.default_rng(29), Counter()
    for turn in range(FLIPS[name]):
        fresh = [world.encrypt(client=client) for client in CLIENTS[:2]]
        block = bytearray(fresh[0].blocks[0])
        place = {0: int(rng.integers(min(len(block), 170))), 1: len(block) - 1 - int(rng.integers(90))}.get(
            turn % 4, int(rng.integers(len(block)))
        )
        block[place] ^= 1 << int(rng.integers(8))
        damaged = replace(fresh[0], blocks=(bytes(block), *fresh[0].blocks[1:]))
        terms = 1 + turn % 2
        try:
            opened = world.open(world.sum([damaged, fresh[1]][:terms]))
            if world.preset.tagged:
                world.tags.check(opened, CLIENTS[:terms], "e", ROUND)
        except (WireError, IntegrityError) as refusal:
            found[type(refusal).__name__] += 1
        else:
            found["harmless"] += 1
            assert np.max(np.abs(opened.values - terms * world.x)) <= world.scheme.sum_error(BOUND, terms, 5), place
            assert opened.integers == (3 * terms, terms)
    assert found["WireError"] + found["IntegrityError"] > found["harmless"], found


@pytest.mark.parametrize("name", TAGGED)
def test_the_tag_of_five_fits_and_every_change_shows(name):
    world = world_of(name)
    fresh = [world.encrypt(client=client) for client in CLIENTS]
    honest = world.open(world.sum(fresh))
    world.tags.check(honest, CLIENTS, "e", ROUND)
    assert honest.integers == (15, 5)
    stranger = world.encrypt(client="client-6")
    unchanged, zeros = world.encrypt(np.zeros(30), integers=(0, 0)), world.encrypt(client=CLIENTS[0])
    for sums, signed in (
        (fresh[:4], CLIENTS),  # dropped
        (fresh, CLIENTS[:4]),  # not said
        ([*fresh[:4], fresh[0]], CLIENTS),  # doubled
        ([*fresh[:4], stranger], CLIENTS),  # swapped
        ([*fresh[:4], zeros], CLIENTS),  # a second message of the same client
    ):
        with pytest.raises(IntegrityError, match="tag"):
            world.tags.check(world.open(world.sum(sums)), signed, "e", ROUND)
    with pytest.raises(WireError, match="shapes"):
        world.sum([fresh[0], unchanged])  # an untagged one is refused before
    for wrong in (replace(honest, tag=(honest.tag + 1) % honest.modulus), replace(honest, tag=None)):
        with pytest.raises(IntegrityError, match="tag"):
            world.tags.check(wrong, CLIENTS, "e", ROUND)


# -- bytes made on purpose --------------------------------------------------------------------------------------------

_HEAD = struct.Struct("<32s?QQQdQ")
"""parms_id, NTT form, polynomials, N, L, scale, correction factor."""


def framed(body, mode=seal.UNCOMPRESSED):
    block = bytearray(seal.header(seal.HEADER_BYTES + len(body)) + body)
    block[5] = mode
    return bytes(block)


def zstd(*bodies):
    made = []
    for body in bodies:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(body)
        made.append(sink.getvalue().to_pybytes())
    return b"".join(made)


@pytest.fixture(params=RINGS)
def ring(request):
    """(world, an honest sum, the body of its block)."""
    world = world_of(request.param)
    total = world.sum([world.encrypt(), world.encrypt()])
    words = rlwe.read_ciphertext(world.scheme.ring, total.blocks[0], "block")
    return world, total, rlwe.write_ciphertext(world.scheme.ring, words)[seal.HEADER_BYTES :]


@pytest.mark.parametrize("mode", [seal.UNCOMPRESSED, seal.ZSTD])
def test_a_head_that_says_something_else_is_refused(ring, mode):
    """Key level, other form, other sizes, other scale: each in SEAL's own valid frame."""
    world, total, body = ring
    head, rest = list(_HEAD.unpack_from(body)), body[_HEAD.size :]
    one_level = len(PRESETS[world.preset.name].prime_bits) == 1
    changes = [(0, bytes(32)), (1, not head[1]), (2, 0), (2, 1), (2, 3), (2, 2**63), (3, 2 * head[3]), (4, head[4] + 1)]
    changes += [(5, 2 * head[5]), (5, -head[5]), (5, float("nan")), (6, 0), (6, 2)]
    changes += [] if one_level else [(0, struct.pack("<4Q", *world.scheme.ring.context.key_parms_id()))]
    for place, value in changes:
        wrong = _HEAD.pack(*(value if n == place else old for n, old in enumerate(head))) + rest
        block = framed(wrong if mode == seal.UNCOMPRESSED else zstd(wrong), mode)
        for step in (world.scheme.check, lambda key, v: world.scheme.add(key, total, v)):
            with pytest.raises(WireError):
                step(world.key, replace(total, blocks=(block,)))


def test_only_what_was_read_reaches_seal(ring):
    """Frames that two parsers could read differently are refused, or decrypt to what was read and added."""
    world, total, body = ring
    lying = bytearray(body)
    lying[_HEAD.size + 8 : _HEAD.size + 16] = struct.pack("<Q", 1 << 40)
    flagged, foreign = bytearray(body), bytearray(framed(zstd(body), seal.ZSTD))
    flagged[_HEAD.size + 5] = seal.ZSTD
    foreign[4] = 9
    right = world.open(total).values
    for block in (
        framed(zstd(body[:999], body[999:]), seal.ZSTD),
        framed(zstd(body, b""), seal.ZSTD),
        framed(zstd(body) + b"more", seal.ZSTD),
        framed(zstd(bytes(lying)), seal.ZSTD),
        framed(bytes(lying)),
        framed(bytes(flagged)),
        bytes(foreign),
        framed(body, 1),
    ):
        changed = replace(total, blocks=(block,))
        try:
            world.scheme.check(world.key, changed)
        except WireError:
            with pytest.raises(WireError):
                world.open(changed)
        else:
            assert world.preset.compressed
            np.testing.assert_array_equal(world.open(changed).values, right)


def test_ciphertexts_that_cancel_leave_nothing_that_opens(ring):
    """x and -x give c1 = 0, on which SEAL raises "transparent": here it is a sum that everybody refuses."""
    world, total, _ = ring
    words = rlwe.read_ciphertext(world.scheme.ring, total.blocks[0], "block")
    primes = np.array(rlwe.data_primes(world.scheme.ring), dtype=np.uint64)[:, None]
    negated = blocks.write(world.preset, world.scheme.ring, np.where(words == 0, words, primes - words))
    nothing = world.scheme.add(world.key, total, replace(total, blocks=(negated,)))
    for step in (lambda: world.scheme.check(world.key, nothing), lambda: world.open(nothing)):
        with pytest.raises(WireError, match="c1 is zero"):
            step()


@pytest.mark.parametrize("name", RINGS)
def test_blocks_of_every_other_ring_and_key_material_are_refused(name):
    world = world_of(name)
    one = world.encrypt()
    foreign = [(other, world_of(other).encrypt().blocks[0]) for other in RINGS if other != name]
    alike = {PRESETS[name].name, *(other for other, block in foreign if _same_ring(PRESETS[name], PRESETS[other]))}
    for other, block in [*foreign, ("public key", world.key.material)]:
        if other not in alike:
            with pytest.raises(WireError):
                world.scheme.check(world.key, replace(one, blocks=(block,)))


def _same_ring(a, b):
    numbers = ("family", "degree", "prime_bits", "seeded", "plain_bits", "scale_bits")
    return all(getattr(a, number, None) == getattr(b, number, None) for number in numbers)


# -- numbers of other types -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_terms", [np.int64(4), np.int32(4), np.uint8(4)], ids=lambda v: type(v).__name__)
def test_a_whole_number_of_numpy_is_a_number(world, max_terms):
    vector = world.encrypt(max_terms=max_terms, integers=np.array([3, 1]), bound=np.float32(BOUND))
    assert CiphertextVector.from_bytes(vector.to_bytes()) == vector
    assert world.open(world.sum([vector, vector])).integers == (6, 2)


def test_true_is_one_term(world):
    vector = world.encrypt(max_terms=True)
    assert CiphertextVector.from_bytes(vector.to_bytes()) == vector and vector.max_terms == 1


@pytest.mark.parametrize(
    "options",
    [{"bound": np.complex128(1)}, {"bound": 1j}, {"bound": "1"}, {"bound": 10**400}, {"max_terms": 4.0}]
    + [{"integers": wrong} for wrong in ("12", (0.5,), (None,), (2**200,), (-1,), None)],
    ids=lambda options: f"{next(iter(options))}-{str(next(iter(options.values())))[:12]}",
)
def test_what_is_no_such_number_is_refused(world, options):
    with pytest.raises(EncodingError):
        world.encrypt(**options)


# -- presets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_any_number_that_changes_changes_the_digest(name):
    """Two parties who compare digests compare every number, word and flag."""
    preset = PRESETS[name]
    changed = set()
    for field in fields(preset):
        value = getattr(preset, field.name)
        other = {bool: lambda v: not v, str: lambda v: v + "x", tuple: lambda v: (*v, 20)}.get(
            type(value), lambda v: v + 1
        )
        changed.add(replace(preset, **{field.name: other(value)}).digest)
    assert len(changed) == len(fields(preset)) and preset.digest not in changed


@pytest.mark.parametrize("name", TAGGED)
def test_random_blocks_of_the_right_length_are_refused(name):
    world, rng = world_of(name), np.random.default_rng(3)
    one = world.encrypt()
    for _ in range(5):
        block = rng.bytes(len(one.blocks[0]))
        with pytest.raises(HeflError):
            world.open(replace(one, blocks=(block, *one.blocks[1:])))

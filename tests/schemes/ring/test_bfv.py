"""BFV: exact at the largest values and the largest sums, and each of TenSEAL's silences made an error."""

from __future__ import annotations

import dataclasses
import math
import struct

import numpy as np
import pytest
import tenseal as ts
import tenseal.sealapi as sealapi

from hefl_core.errors import (
    EncodingError,
    HeflError,
    IntegrityError,
    KeyMismatch,
    KeyUseError,
    ParameterError,
    WireError,
)
from hefl_core.schemes.base import SecretShare, expose_secret
from hefl_core.schemes.presets import PRESETS, BFVPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import blocks, rlwe, seal
from hefl_core.schemes.ring.bfv import BFVScheme

NAMES = [name for name, preset in PRESETS.items() if isinstance(preset, BFVPreset)]
ALONE = Quorum(1, 3)
RNG = np.random.default_rng(17)


class World:
    def __init__(self, name):
        self.scheme = open_scheme(name)
        self.preset, self.ring = self.scheme.preset, self.scheme.ring
        self.key, self.shares = self.scheme.keygen(ALONE)
        self.maker = self.shares[0] if self.preset.symmetric else self.key

    def encrypt(self, x, **options):
        return self.scheme.encrypt(self.maker, x, **options)

    def open(self, total, share=None):
        share = share or self.shares[0]
        return self.scheme.open(self.key, total, [self.scheme.partial_decrypt(share, total, {share.index})])

    def sum(self, vectors):
        running = self.scheme.accumulator(self.key)
        for vector in vectors:
            running.add(vector)
        return running.total()


@pytest.fixture(scope="module", params=NAMES)
def world(request):
    return World(request.param)


@pytest.fixture(scope="module")
def lean():
    return World("bfv-lean")


@pytest.fixture(scope="module")
def seeded():
    return World("bfv-compact-seeded")


def weighted(words, modulus):
    rng = np.random.default_rng(99)
    return sum(int(r) * int(word) for r, word in zip(rng.integers(1, 2**62, len(words)), words, strict=True)) % modulus


# -- exact ------------------------------------------------------------------------------------------------------------


def test_the_largest_values_in_the_largest_sum_are_exact(world):
    """Every field full, K = max_terms of sixteen fresh ciphertexts: the words of the sum are K times the words."""
    terms, modulus = world.preset.max_terms, world.ring.plain_modulus
    d = world.ring.degree * world.preset.fields + 5
    x = np.where(RNG.random(d) < 0.8, 1.0, -1.0)
    top = (modulus - 1) // terms
    fresh = [world.encrypt(x, max_terms=terms, integers=(top, 0), tag=lambda *_: 3) for _ in range(16)]
    total = world.sum(fresh[k % 16] for k in range(terms))
    opened = world.open(total)
    assert len(total.blocks) == 2 and total.terms == terms
    assert np.array_equal(opened.values, terms * x)
    assert opened.integers == (terms * top, 0) and opened.tag == 3 * terms % modulus


def test_the_noise_is_what_the_preset_says(world):
    """Over several sums, the standard deviation of the invariant noise; a few per cent above for the encoding's rounding."""
    secret, q = expose_secret(world.shares[0]), math.prod(rlwe.data_primes(world.ring))
    found = []
    for _ in range(4):
        block = world.encrypt(np.zeros(5)).blocks[0]
        words = blocks.read(world.preset, world.ring, block, "block", fresh=True)
        phase = rlwe.phase(world.ring, words, rlwe.read_secret_key(world.ring, secret))
        found += [(int(v) + q // 2) % q - q // 2 for v in crt(phase, rlwe.data_primes(world.ring))[64:2048]]
    assert np.std(np.array(found, dtype=np.float64)) == pytest.approx(world.preset.noise_std, rel=0.15)


def crt(rows, primes):
    q = math.prod(primes)
    total = 0
    for row, p in zip(rows, primes, strict=True):
        total = total + row.astype(object) * (q // p * pow(q // p, -1, p))
    return total % q


def test_one_ciphertext_sixteen_times_is_refused_by_nobody():
    """Its noise is 16 times one's, past SEAL's last whole bit of budget in a quarter of all cases, and below q/2t."""
    world = World("bfv-compact")
    decryptor = seal.decryptor(world.ring, expose_secret(world.shares[0]))
    budgets = []
    for _ in range(20):
        x = RNG.uniform(-1, 1, 30)
        total = world.sum([world.encrypt(x)] * 16)
        assert np.max(np.abs(world.open(total).values - 16 * x)) <= world.scheme.sum_error(1.0, 16, 16)
        budgets.append(decryptor.invariant_noise_budget(blocks.load(world.preset, world.ring, total)[0]))
    assert set(budgets) <= {0, 1, 2}


def test_encryption_over_one_prime_adds_what_seal_adds(lean):
    """The shortcut past SEAL's plaintext parser decrypts, by SEAL, to the same words; its budget is SEAL's."""
    words = RNG.integers(0, lean.ring.plain_modulus, lean.ring.degree, dtype=np.uint64)
    words[:3] = 0, 1, lean.ring.plain_modulus - 1
    encryptor = seal.encryptor_for(lean.preset, lean.ring, lean.key)
    decryptor = seal.decryptor(lean.ring, expose_secret(lean.shares[0]))
    budgets = []
    for block in (
        blocks.encrypt(lean.preset, lean.ring, encryptor, words),
        seal.encrypt(lean.preset, encryptor, seal.write_plaintext(lean.ring, words)),
    ):
        ciphertext, plaintext = seal.from_bytes(sealapi.Ciphertext(), lean.ring, block, "block"), sealapi.Plaintext()
        decryptor.decrypt(ciphertext, plaintext)
        assert np.array_equal(seal.read_plaintext(lean.ring, plaintext), words)
        budgets.append(decryptor.invariant_noise_budget(ciphertext))
    assert abs(budgets[0] - budgets[1]) <= 1 and min(budgets) >= 9


def test_sums_are_seals_sums(lean):
    a, b = (lean.encrypt(RNG.uniform(-1, 1, 9000)) for _ in range(2))
    total = lean.scheme.add(lean.key, a, b)
    evaluator = sealapi.Evaluator(lean.ring.context)
    for mine, left, right in zip(total.blocks, a.blocks, b.blocks, strict=True):
        ciphertext = seal.from_bytes(sealapi.Ciphertext(), lean.ring, left, "block")
        evaluator.add_inplace(ciphertext, seal.from_bytes(sealapi.Ciphertext(), lean.ring, right, "block"))
        assert seal.uncompressed(seal.to_bytes(ciphertext)) == mine


def test_plaintext_words_need_no_file_system(lean, monkeypatch):
    """Where there is no memfd (not Linux), a private temporary file gives the same bytes."""
    monkeypatch.delattr("os.memfd_create")
    vector = lean.encrypt(np.full(10, 0.25))
    assert np.max(np.abs(lean.open(vector).values - 0.25)) <= lean.scheme.sum_error(1.0, 1, 16)


def test_bytes_per_parameter(lean, seeded):
    assert lean.encrypt(np.zeros(99_530), integers=(1, 1)).nbytes / (4 * 99_530) < 2.4
    assert seeded.encrypt(np.zeros(99_530), integers=(1, 1)).nbytes / (4 * 99_530) < 0.6
    small = World("bfv-compact-2048")
    assert small.encrypt(np.zeros(2410), integers=(1, 1)).nbytes / (4 * 2410) < 3.5


# -- which key --------------------------------------------------------------------------------------------------------


def test_seeded_presets_need_a_whole_secret_key(seeded, lean):
    with pytest.raises(KeyUseError, match="secret share"):
        seeded.scheme.encrypt(seeded.key, np.zeros(3))
    with pytest.raises(KeyUseError, match="public key"):
        lean.scheme.encrypt(lean.shares[0], np.zeros(3))
    with pytest.raises(KeyMismatch):
        other = World("bfv-lean-seeded")
        seeded.scheme.encrypt(other.shares[0], np.zeros(3))


def test_a_seed_is_never_used_twice(seeded):
    vectors = [seeded.encrypt(np.zeros(40_000)) for _ in range(4)]
    seeds = {block[-64:] for vector in vectors for block in vector.blocks}
    assert len(seeds) == sum(len(vector.blocks) for vector in vectors)
    fresh = [mask for vector in vectors for mask in seeded.scheme.mask_digests(vector)]
    assert len(set(fresh)) == len(fresh) == len(seeds)
    assert seeded.scheme.mask_digests(vectors[0]) == seeded.scheme.mask_digests(vectors[0])
    masks = [mask for vector in vectors for mask in seeded.scheme.mask_digests(seeded.sum([vector] * 2))]
    assert len(set(masks)) == len(masks)


def test_sums_of_sums_and_uploads_are_one_sum(seeded):
    """In any order and grouping, asked for in between or not, a sum of seeded uploads has the same bytes."""
    a, b, c, d = (seeded.encrypt(RNG.uniform(-1, 1, 20_000)) for _ in range(4))
    ab, cd = (seeded.sum(pair) for pair in ((a, b), (c, d)))
    running = seeded.scheme.accumulator(seeded.key)
    for vector in (a, ab, c):
        running.add(vector)
        running.total()
    assert running.total().blocks == seeded.sum([a, a, b, c]).blocks == seeded.sum([ab, a, c]).blocks
    assert seeded.sum([ab, cd]) == seeded.sum([d, c, b, a])


def test_seeded_uploads_are_half_the_size_and_sums_are_whole(seeded):
    one = seeded.encrypt(np.zeros(10))
    assert one.nbytes < 0.51 * seeded.sum([one, one]).nbytes
    with pytest.raises(WireError):
        seeded.scheme.check(seeded.key, dataclasses.replace(seeded.sum([one, one]), terms=1))
    with pytest.raises(WireError):
        seeded.scheme.check(seeded.key, dataclasses.replace(one, terms=2))


def test_a_public_key_is_what_its_label_says(lean):
    other, _ = lean.scheme.keygen(ALONE)
    for false in (
        dataclasses.replace(lean.key, material=other.material),
        dataclasses.replace(lean.key, quorum=Quorum(1, 4)),
        dataclasses.replace(lean.key, id=other.id),
        open_scheme("bfv-compact").keygen(ALONE)[0],
    ):
        with pytest.raises(KeyMismatch):
            lean.scheme.encrypt(false, np.zeros(3))


def test_damaged_key_material_is_an_error_and_not_a_crash(lean):
    share = expose_secret(lean.shares[0])
    for material in (b"", share[:-1], share + share, bytes(len(share)), share[:40] + b"\xff" * 60 + share[100:]):
        with pytest.raises(IntegrityError):
            lean.open(lean.encrypt(np.zeros(3)), SecretShare(lean.key.id, ALONE, 1, material))
    for material in (b"", lean.key.material[:-1], bytes(4000)):
        with pytest.raises(HeflError):
            lean.scheme.encrypt(dataclasses.replace(lean.key, material=material), np.zeros(3))


def test_a_mislabelled_secret_shows_in_the_noise(world):
    """The right label on another key: every block's noise is uniform modulo q. TenSEAL decrypts to garbage and says nothing."""
    other = World(world.preset.name)
    false = SecretShare(world.key.id, ALONE, 1, expose_secret(other.shares[0]))
    total = world.sum([world.encrypt(np.zeros(30), integers=(5, 1)) for _ in range(2)])
    with pytest.raises(IntegrityError, match="noise"):
        world.open(total, false)


def test_a_mislabelled_ciphertext_shows_in_the_noise(world):
    """The wrong-key and mixed-key cases with false labels: added without complaint, refused when decrypted."""
    other = World(world.preset.name)
    foreign = dataclasses.replace(other.encrypt(np.zeros(30)), key_id=world.key.id)
    world.scheme.check(world.key, foreign)
    for total in (foreign, world.scheme.add(world.key, world.encrypt(np.zeros(30)), foreign)):
        with pytest.raises(IntegrityError, match="noise"):
            world.open(total)


# -- what TenSEAL says nothing about ---------------------------------------------------------------------------------


def test_tenseal_is_silent_where_this_package_is_not():
    """The positive control: on plain TenSEAL each of these passes."""
    context = ts.context(ts.SCHEME_TYPE.BFV, 4096, plain_modulus=1032193, n_threads=1)
    other = ts.context(ts.SCHEME_TYPE.BFV, 4096, plain_modulus=1032193, n_threads=1)
    a, b = ts.bfv_vector(context, [1, 2, 3]), ts.bfv_vector(other, [1, 2, 3])
    assert ts.bfv_vector_from(context, b.serialize()).decrypt() != [1, 2, 3]
    assert (a + ts.bfv_vector_from(context, b.serialize())).decrypt() != [2, 4, 6]
    assert (ts.bfv_vector(context, [1032192 // 2]) + ts.bfv_vector(context, [2])).decrypt()[0] < 0
    spliced = ts.bfv_vector_from(context, a.serialize() + ts.bfv_vector(context, [7]).serialize())
    assert len(spliced.ciphertext()) >= 1


def test_a_shorter_vector_is_not_broadcast(world):
    with pytest.raises(WireError, match="broadcast"):
        world.scheme.add(world.key, world.encrypt(np.zeros(3)), world.encrypt(np.zeros(1)))


def test_overflow_is_refused_before_and_after(lean):
    full = lean.encrypt(np.ones(50), max_terms=2)
    with pytest.raises(EncodingError, match="head-room"):
        lean.sum([full, full, full])
    lying = lean.sum([dataclasses.replace(lean.encrypt(np.ones(50), max_terms=2, integers=(1,)), max_terms=128)] * 5)
    with pytest.raises(IntegrityError):
        lean.open(lying)
    plausible = lean.open(dataclasses.replace(lying, max_terms=2, terms=2))
    assert plausible.integers == (5,), "fields that wrapped around t can look right; the count tells"


@pytest.mark.parametrize("terms", [1, 3, 16])
def test_a_false_number_of_terms_shows_in_the_fields(lean, terms):
    total = lean.sum([lean.encrypt(np.tile([1.0, -1.0], 20))] * 2)
    with pytest.raises(IntegrityError):
        lean.open(dataclasses.replace(total, terms=terms))


def test_splices_cuts_and_strangers_are_refused_unread(world, monkeypatch):
    one = world.encrypt(RNG.uniform(-1, 1, 20))
    (block,) = one.blocks
    other = World("ckks-lean").encrypt(np.zeros(3)).blocks[0]
    sized = bytearray(block + block)
    sized[8:16] = struct.pack("<Q", len(sized))
    false = [
        b"",
        block[:-1],
        block + b"\0",
        block + block,
        bytes(sized),
        block[:16],
        b"\0" * len(block),
        block[:97],
        other,
        seal.to_bytes(seal.from_bytes(sealapi.Ciphertext(), world.ring, block, "block")),
    ]
    monkeypatch.setattr(seal, "from_bytes", lambda *_: pytest.fail("SEAL saw a byte"))
    for wrong in false:
        with pytest.raises(WireError):
            world.scheme.check(world.key, dataclasses.replace(one, blocks=(wrong,)))


def test_every_byte_of_the_header_counts(lean):
    one = lean.encrypt(np.zeros(20))
    (block,) = one.blocks
    prefix = len(block) - 2 * 8 * lean.ring.degree
    for place in range(prefix):
        wrong = bytearray(block)
        wrong[place] ^= 1 << int(RNG.integers(8))
        with pytest.raises(WireError):
            lean.scheme.check(lean.key, dataclasses.replace(one, blocks=(bytes(wrong),)))


def test_transparent_and_unreduced_ciphertexts_are_refused(world):
    one = world.sum([world.encrypt(np.zeros(20))] * 2)
    words = rlwe.read_ciphertext(world.ring, one.blocks[0], "block").copy()
    transparent, unreduced = words.copy(), words.copy()
    transparent[1] = 0
    unreduced[1, -1, -1] = rlwe.data_primes(world.ring)[-1]
    for wrong in (transparent, unreduced):
        with pytest.raises(WireError):
            world.scheme.check(world.key, dataclasses.replace(one, blocks=(rlwe.write_ciphertext(world.ring, wrong),)))


@pytest.mark.parametrize("name", ["INSECURE_bfv-1024", "bfv-compact", "bfv-compact-seeded", "bfv-threshold"])
def test_flipped_bits_are_refused_detected_or_harmless(name):
    """Any bit, anywhere: a typed refusal, a refusal at decryption, a tag that does not fit, or the right sum."""
    world, outcomes = World(name), dict.fromkeys(("refused", "noise", "tag", "harmless"), 0)
    x = RNG.uniform(-1, 1, 40)
    rng = np.random.default_rng(5)
    for _ in range(60):
        one = world.encrypt(x, integers=(3, 1), tag=weighted)
        block = bytearray(one.blocks[0])
        place = int(rng.integers(150)) if rng.random() < 0.3 else int(rng.integers(len(block)))
        block[place] ^= 1 << int(rng.integers(8))
        changed = dataclasses.replace(one, blocks=(bytes(block),))
        try:
            opened = world.open(changed)
        except WireError:
            outcomes["refused"] += 1
        except IntegrityError:
            outcomes["noise"] += 1
        else:
            right = opened.tag == weighted(opened.words, opened.modulus)
            outcomes["harmless" if right else "tag"] += 1
            if right:
                assert np.max(np.abs(opened.values - x)) <= world.scheme.sum_error(1.0, 1, 16)
    assert outcomes["refused"] and outcomes["noise"], outcomes


def test_random_bytes_are_refused(world):
    one = world.encrypt(np.zeros(20))
    for size in (1, 16, 100, len(one.blocks[0])):
        with pytest.raises(WireError):
            world.scheme.check(world.key, dataclasses.replace(one, blocks=(RNG.bytes(size),)))


def test_partial_decryptions_with_other_words_are_refused(lean):
    one = lean.encrypt(np.zeros(20))
    partial = lean.scheme.partial_decrypt(lean.shares[0], one, {1})
    for wrong in ((), (b"",), (partial.blocks[0][:-8],), partial.blocks * 2, (b"\xff" * len(partial.blocks[0]),)):
        with pytest.raises(IntegrityError):
            lean.scheme.open(lean.key, one, [dataclasses.replace(partial, blocks=wrong)])


def test_a_preset_that_seal_refuses_does_not_open():
    wrong = dataclasses.replace(PRESETS["bfv-lean"], prime_bits=(60, 60), name="bfv-wrong")
    with pytest.raises(ParameterError):
        BFVScheme(wrong)
    for impossible in ((2, 3), (61, 20), ()):
        with pytest.raises(ParameterError):
            BFVScheme(dataclasses.replace(PRESETS["INSECURE_bfv-1024"], prime_bits=impossible, name="INSECURE_x"))


def test_a_false_tag_function_is_refused(lean):
    for value in (-1, lean.ring.plain_modulus, 2**70):
        with pytest.raises(EncodingError, match="tag"):
            lean.encrypt(np.zeros(3), tag=lambda *_, value=value: value)

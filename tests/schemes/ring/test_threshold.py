"""BFV and CKKS held 3 of 5: every active set opens what the whole key opens, and nothing wrong passes for a decryption."""

from __future__ import annotations

import dataclasses
import itertools
import time

import numpy as np
import pytest

from hefl_core.errors import (
    IntegrityError,
    KeyMismatch,
    KeyUseError,
    ParameterError,
    QuorumError,
    WireError,
)
from hefl_core.schemes.base import PartialDecryption, SecretShare, expose_secret
from hefl_core.schemes.presets import PRESETS, load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import pairwise, rlwe, seal, shamir, threshold

RNG = np.random.default_rng(7)
TOGETHER, ACTIVE = Quorum(3, 5), (1, 2, 4)
SETS = list(itertools.combinations(range(1, 6), 3))
SMALL_BFV, SMALL_CKKS = "INSECURE_bfv-threshold-1024", "INSECURE_ckks-threshold-1024"
BFV = ("bfv-threshold", "bfv-threshold-classroom", "bfv-threshold-small", "bfv-threshold-strict")
SMALL = (SMALL_BFV, SMALL_CKKS)


class Held:
    """A key, its shares, a sum of K vectors and what it must open to."""

    def __init__(self, name, quorum=TOGETHER, terms=10, length=600):
        self.scheme = open_scheme(name)
        self.key, self.shares = self.scheme.keygen(quorum)
        self.vectors = [RNG.uniform(-1, 1, length) for _ in range(terms)]
        self.total = self.sum_of(self.vectors)
        self.error = self.scheme.sum_error(1.0, terms, 10)

    def sum_of(self, vectors):
        running = self.scheme.accumulator(self.key)
        for x in vectors:
            running.add(self.scheme.encrypt(self.key, x, bound=1.0, max_terms=10, integers=(3, 1)))
        return running.total()

    def partials(self, active=ACTIVE, total=None):
        total = total or self.total
        return [self.scheme.partial_decrypt(self.shares[i - 1], total, active) for i in active]

    def open(self, partials):
        return self.scheme.open(self.key, self.total, partials)

    def share(self, index, material):
        return SecretShare(self.key.id, self.key.quorum, index, material)


@pytest.fixture(scope="module", params=SMALL)
def held(request):
    return Held(request.param)


@pytest.fixture(scope="module")
def bfv():
    return Held(SMALL_BFV)


# -- it opens ------------------------------------------------------------------------------------------------------


def test_every_active_set_opens_the_sum_of_ten(held):
    for active in SETS:
        opened = held.open(held.partials(active))
        assert opened.integers == (30, 10)
        assert np.max(np.abs(opened.values - sum(held.vectors))) <= held.error


def test_together_is_what_the_whole_key_opens(held, monkeypatch):
    """The dealer's key, caught before it is forgotten, opens the same ciphertext to the same numbers."""
    made = seal.make_keys(held.scheme.ring)
    monkeypatch.setattr(seal, "make_keys", lambda ring: made)
    alone, copies = held.scheme.keygen(Quorum(1, 5))
    together, shares = held.scheme.keygen(TOGETHER)
    vector = held.scheme.encrypt(alone, held.vectors[0], bound=1.0)
    relabelled = dataclasses.replace(vector, key_id=together.id)
    one = held.scheme.combine(alone, vector, [held.scheme.partial_decrypt(copies[0], vector, (1,))])
    for active in SETS:
        parts = [held.scheme.partial_decrypt(shares[i - 1], relabelled, active) for i in active]
        difference = held.scheme.combine(together, relabelled, parts) - one
        assert np.max(np.abs(difference)) <= (0 if held.scheme.preset.family == "bfv" else 2 * held.error)


@pytest.mark.parametrize("name", [*BFV, "ckks-threshold"])
def test_shipped_presets(name):
    held = Held(name, length=5000, terms=4)
    began = time.process_time()
    partials = held.partials((5, 2, 3))
    opened = held.open(partials)
    seconds = time.process_time() - began
    worst = float(np.max(np.abs(opened.values - sum(held.vectors))))
    print(f"{name}: max error {worst:.2e} (bound {held.error:.2e}), 3 partials and combination {seconds * 1000:.0f} ms")
    assert opened.integers == (12, 4) and worst <= held.error


@pytest.mark.parametrize("name", [SMALL_BFV, "bfv-threshold-small", "ckks-threshold"])
def test_one_of_n_on_a_threshold_preset_is_individual_custody(name):
    held = Held(name, Quorum(1, 3), terms=2)
    partial = held.scheme.partial_decrypt(held.shares[2], held.total, (3,))
    assert np.max(np.abs(held.open([partial]).values - sum(held.vectors))) <= held.error
    assert len({expose_secret(share) for share in held.shares}) == 1


@pytest.mark.parametrize("quorum", [Quorum(2, 2), Quorum(6, 10), Quorum(16, 30), Quorum(16, 16)])
@pytest.mark.parametrize("name", SMALL)
def test_other_quorums(name, quorum):
    held = Held(name, quorum, terms=2, length=100)
    active = tuple(sorted(int(i) + 1 for i in RNG.permutation(quorum.holders)[: quorum.threshold]))
    assert np.max(np.abs(held.open(held.partials(active)).values - sum(held.vectors))) <= held.error


def test_blocks_travel_as_bytes(held):
    for partial in held.partials():
        again = PartialDecryption.from_bytes(partial.to_bytes())
        assert again == partial
        assert all(len(block) == 1024 * 16 for block in partial.blocks)


def test_the_same_question_brings_the_same_bytes_and_c0_does_not_matter(held):
    share, ring = held.shares[0], held.scheme.ring
    first = held.scheme.partial_decrypt(share, held.total, ACTIVE)
    assert held.scheme.partial_decrypt(share, held.total, ACTIVE[::-1]) == first
    words = rlwe.read_ciphertext(ring, held.total.blocks[0], "block").copy()
    words[0, :, 0] ^= np.uint64(1)
    other = dataclasses.replace(held.total, blocks=(rlwe.write_ciphertext(ring, words), *held.total.blocks[1:]))
    assert held.scheme.mask_digests(other) == held.scheme.mask_digests(held.total)
    assert held.scheme.partial_decrypt(share, other, ACTIVE).blocks == first.blocks
    assert held.scheme.partial_decrypt(share, held.total, (1, 2, 3)).blocks != first.blocks


# -- it refuses ----------------------------------------------------------------------------------------------------


def test_a_holder_answers_for_an_exact_set_with_itself_in_it(held):
    share = held.shares[0]
    with pytest.raises(QuorumError):
        held.scheme.partial_decrypt(share, held.total, (1, 2))
    with pytest.raises(KeyUseError):
        held.scheme.partial_decrypt(share, held.total, (2, 3, 4))
    for active in [(1, 2, 3, 4), (1, 2, 2), (1, 2, 6), (0, 1, 2)]:
        with pytest.raises(ParameterError):
            held.scheme.partial_decrypt(share, held.total, active)


def test_fewer_than_t_open_nothing(held):
    with pytest.raises(QuorumError):
        held.open(held.partials()[:2])
    other = Held(held.scheme.preset.name)
    with pytest.raises(KeyMismatch):
        held.open([*held.partials()[:2], other.partials()[2]])
    with pytest.raises(KeyMismatch):
        held.scheme.partial_decrypt(other.shares[0], held.total, ACTIVE)


def tampered(held):
    """Answers that are not these three holders' to this sum, by name."""
    one, two, three = held.partials()
    foreign = Held(held.scheme.preset.name)
    stale = held.partials(total=held.sum_of(held.vectors))
    outside = held.scheme.partial_decrypt(held.shares[2], held.total, (1, 2, 3))
    strange = held.scheme.partial_decrypt(held.share(4, expose_secret(foreign.shares[3])), held.total, ACTIVE)
    swapped = held.scheme.partial_decrypt(held.share(4, expose_secret(held.shares[2])), held.total, ACTIVE)
    flat = dataclasses.replace(three, blocks=tuple(bytes(len(block)) for block in three.blocks))
    cut = dataclasses.replace(three, blocks=(three.blocks[0][:-1], *three.blocks[1:]))
    return {
        "doubled": [one, two, two],
        "doubled and renumbered": [one, two, dataclasses.replace(two, index=4)],
        "one too many": [one, two, three, three],
        "stale": [one, two, stale[2]],
        "stale and relabelled": [one, two, dataclasses.replace(stale[2], total_digest=three.total_digest)],
        "another set": [one, two, outside],
        "another set, relabelled": [one, two, dataclasses.replace(outside, index=4, active=ACTIVE)],
        "another key's share": [one, two, strange],
        "another holder's share": [one, two, swapped],
        "missing, zeros instead": [one, two, flat],
        "cut off": [one, two, cut],
        "a block too few": [one, two, dataclasses.replace(three, blocks=three.blocks[1:])],
        "residues out of range": [one, two, dataclasses.replace(three, blocks=(b"\xff" * 16384, *three.blocks[1:]))],
        "noise": [one, two, dataclasses.replace(three, blocks=tuple(RNG.bytes(8) * 2048 for _ in three.blocks))],
    }


def test_nothing_wrong_passes_for_a_decryption(held):
    for name, answers in tampered(held).items():
        with pytest.raises(IntegrityError):
            held.open(answers)
            pytest.fail(name)


def test_one_damaged_coefficient_shows_in_the_noise_of_bfv(bfv):
    """A residue that changes is a change by k·q/p, far above the noise limit for almost every k."""
    one, two, three = bfv.partials()
    found = 0
    for place in range(64):
        raw = bytearray(three.blocks[0])
        raw[8 * place : 8 * place + 7] = RNG.bytes(7)
        try:
            bfv.open([one, two, dataclasses.replace(three, blocks=(bytes(raw), *three.blocks[1:]))])
        except IntegrityError:
            found += 1
    assert found >= 48


def test_damaged_shares_and_ciphertexts(held):
    material = expose_secret(held.shares[0])
    for damaged in (material[:-1], b"", b"\xff" * len(material)):
        with pytest.raises(IntegrityError):
            held.scheme.partial_decrypt(held.share(1, damaged), held.total, ACTIVE)
    ring, block = held.scheme.ring, held.total.blocks[0]
    words = rlwe.read_ciphertext(ring, block, "block").copy()
    large, flat = words.copy(), words.copy()
    large[0, 0, 0], flat[1] = rlwe.data_primes(ring)[0], 0
    bad = [
        rlwe.write_ciphertext(ring, large),
        rlwe.write_ciphertext(ring, flat),
        b"",
        block[:-1],
        block[:100],
        block * 2,
    ]
    bad.append(held.key.material)
    for other in bad:
        with pytest.raises(WireError):
            total = dataclasses.replace(held.total, blocks=(other, *held.total.blocks[1:]))
            held.scheme.partial_decrypt(held.shares[0], total, ACTIVE)
    with pytest.raises(WireError):
        held.scheme.partial_decrypt(held.shares[0], dataclasses.replace(held.total, blocks=()), ACTIVE)


def test_t_minus_one_shares_say_nothing(bfv):
    """Interpolating through two of three shares and any guess gives a polynomial, and never a small one."""
    primes = rlwe.data_primes(bfv.scheme.ring)
    shares = [
        shamir.from_bytes(pairwise.split(expose_secret(s), primes, 1024)[0], primes, 1024, "share") for s in bfv.shares
    ]

    def at_zero(indices):
        parts = [shamir.scale(shares[i - 1], [shamir.lagrange(indices, i, p) for p in primes], primes) for i in indices]
        total = parts[0]
        for part in parts[1:]:
            total = shamir.add(total, part, primes)
        return rlwe.inverse_ntt(total, primes)[0]

    assert len(np.unique(at_zero((1, 2)))) > 1000
    assert len(np.unique(at_zero((2, 3, 5)))) == 3


# -- presets -------------------------------------------------------------------------------------------------------


def test_lean_presets_refuse_and_say_what_to_take():
    for name, other in [
        ("bfv-lean", "bfv-threshold"),
        ("bfv-compact", "bfv-threshold"),
        ("ckks-lean", "ckks-threshold"),
    ]:
        with pytest.raises(ParameterError) as refused:
            open_scheme(name).keygen(TOGETHER)
        assert other in refused.value.suggestion


def test_more_floodings_than_fit_are_refused():
    with pytest.raises(ParameterError):
        open_scheme("bfv-threshold").keygen(Quorum(17, 20))
    open_scheme("bfv-threshold").keygen(Quorum(1, 20))


@pytest.mark.parametrize("name", BFV)
def test_flooding_fits_below_q_over_4t(name):
    preset = load_preset(name)
    ring = open_scheme(name).ring
    limit = preset.noise_limit(Quorum(preset.largest_threshold, 32), preset.max_terms)
    assert limit * ring.plain_modulus / threshold.modulus(ring) < 0.26
    for change in ({"flood_bits": preset.flood_bits + 8}, {"largest_threshold": 4096}, {"flood_bits": 30}):
        with pytest.raises(ParameterError):
            dataclasses.replace(preset, **change).require_safe()


def test_gap_and_distance_are_the_stated_ones():
    figures = {
        name: (
            round(preset.gap_bits(TOGETHER, 10), 1),
            round(preset.gap_bits(Quorum(16, 30), 16, dealer_free=True), 1),
            round(preset.distance_bits(TOGETHER, 10, 100 * (100_000 // preset.degree + 1)), 0),
        )
        for name, preset in PRESETS.items()
        if preset.collective and preset.family in ("bfv", "ckks") and not preset.insecure
    }
    print(figures)
    assert figures["bfv-threshold"] == (61.9, 59.1, -43.0)
    assert all(gap > 32 and free > 32 for gap, free, _ in figures.values())


def test_sampled_noise_is_what_gap_bits_says(monkeypatch):
    """Measured on the combined pair without flooding: the standard deviation is the preset's."""
    held = Held("bfv-threshold", terms=10)
    monkeypatch.setattr(threshold, "_flooding", lambda preset, ring, key, c1: np.zeros_like(c1))
    ring, noise = held.scheme.ring, []
    monkeypatch.setattr(threshold, "check_noise", lambda ring, words, *_: noise.append(words.copy()))
    held.open(held.partials())
    q, t = threshold.modulus(ring), ring.plain_modulus
    primes = rlwe.data_primes(ring)
    weight = [q // p * pow(q // p, -1, p) for p in primes]
    values = [sum(int(x) * w for x, w in zip(column, weight, strict=True)) % q for column in noise[0].T]
    errors = [(v - ((v * t + q // 2) // q * q + t // 2) // t) for v in values]
    measured, stated = float(np.std(errors)), held.scheme.preset.aggregate_noise_std(10)
    print(f"noise of a sum of 10: measured {measured:.1f}, stated {stated:.1f}")
    assert 0.9 * stated < measured < 1.1 * stated
    mean = float(np.mean(np.abs(np.array(errors, dtype=np.float64))))
    assert 0.9 * held.scheme.preset.mean_noise(10) < mean < 1.08 * held.scheme.preset.mean_noise(10)


# -- arithmetic ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [4079617, (1 << 42) - 11, (1 << 50) - 27, (1 << 60) - 93, (1 << 61) - 1])
def test_products_are_exact(p):
    ends = np.array([0, 1, 2, p // 2, p - 2, p - 1], dtype=np.uint64)
    a, b = (np.concatenate([rlwe.uniform((p,), 500)[0], ends]) for _ in range(2))
    for x, y in [(a, b), (a, b[::-1].copy())]:
        product = rlwe.multiply(x, rlwe.fix(y, p), p)
        assert [int(v) for v in product] == [int(u) * int(v) % p for u, v in zip(x, y, strict=True)]
        assert [int(v) for v in rlwe.plus(x, y, p)] == [(int(u) + int(v)) % p for u, v in zip(x, y, strict=True)]
        assert [int(v) for v in rlwe.minus(x, y, p)] == [(int(u) - int(v)) % p for u, v in zip(x, y, strict=True)]


@pytest.mark.parametrize("name", [SMALL_BFV, "bfv-threshold-classroom", "bfv-threshold"])
def test_the_transform_is_seals(name):
    """SEAL's own secret key comes back with coefficients -1, 0, 1, and its public key with small errors."""
    ring = open_scheme(name).ring
    public, secret = seal.make_keys(ring)
    s = rlwe.read_secret_key(ring, secret)
    b, a = rlwe.read_public_key(ring, public)
    small = rlwe.inverse_ntt(s, ring.primes)
    for row, p in zip(small, ring.primes, strict=True):
        assert set(row.tolist()) == {0, 1, p - 1}
    assert np.array_equal(rlwe.ntt(small, ring.primes), s)
    for i, p in enumerate(ring.primes):
        error = rlwe.plus(b[i], rlwe.multiply(a[i], rlwe.fix(s[i], p), p), p)
        error = rlwe.transform(p, ring.degree).inverse(error).astype(np.int64)
        assert np.max(np.abs(np.where(error > p // 2, error - p, error))) <= 21
    assert rlwe.write_public_key(ring, np.stack([b, a])) != public
    assert np.array_equal(rlwe.read_public_key(ring, rlwe.write_public_key(ring, np.stack([b, a]))), np.stack([b, a]))


@pytest.mark.parametrize("bits", [4, 47, 59, 60, 71, 84])
def test_flooding_is_uniform_and_signed(bits):
    primes = ((1 << 60) - 93, (1 << 50) - 27)
    stream = RNG.bytes(rlwe.flooding_bytes(4096, bits))
    rows = rlwe.flooding(stream, bits, primes)
    q = primes[0] * primes[1]
    weight = [q // p * pow(q // p, -1, p) for p in primes]
    values = [sum(int(x) * w for x, w in zip(column, weight, strict=True)) % q for column in rows.T]
    signed = [v - q if v > q // 2 else v for v in values]
    assert -(1 << bits) <= min(signed) < -0.9 * (1 << bits) and 0.8 * (1 << bits) < max(signed) < 1 << bits
    assert abs(sum(signed) / 4096) < 0.07 * (1 << bits)  # more than seven standard deviations


def test_small_samples():
    ternary, error = rlwe.ternary(60000), rlwe.centred_binomial(60000)
    assert set(np.unique(ternary)) == {-1, 0, 1} and abs(np.mean(ternary)) < 0.024  # seven standard deviations
    assert abs(np.std(error) - 10.5**0.5) < 0.07 and abs(np.mean(error)) < 0.1  # seven standard deviations

"""Paillier held 3 of 5: every active set finds what the whole key finds, and nothing wrong passes for a decryption."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import gmpy2
import numpy as np
import pytest

from hefl_core.errors import (
    DecryptionRefused,
    EncodingError,
    IntegrityError,
    KeyMismatch,
    ParameterError,
    QuorumError,
    SecretKeyEscape,
)
from hefl_core.keys.sum_tag import TagKey
from hefl_core.schemes.base import PartialDecryption, SecretShare, expose_secret
from hefl_core.schemes.paillier import keys as paillier_keys
from hefl_core.schemes.paillier import scheme as paillier
from hefl_core.schemes.paillier.threshold import open_share, write_share
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.wire.envelope import Position

RNG = np.random.default_rng(12)
SMALL, TOGETHER = "INSECURE_paillier-512", Quorum(3, 5)


@pytest.fixture(scope="module")
def scheme():
    return open_scheme(SMALL)


@pytest.fixture(scope="module")
def primes():
    return paillier_keys.make_primes(512, safe=True)


@pytest.fixture(scope="module")
def keys(scheme, primes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paillier, "make_primes", lambda *_args, **_options: primes)
        return scheme.keygen(TOGETHER)


@pytest.fixture(scope="module")
def other_keys(scheme):
    return scheme.keygen(TOGETHER)


def vector(d=60):
    return RNG.uniform(-1, 1, d)


def partials(scheme, keys, total, active):
    return [scheme.partial_decrypt(share, total, set(active)) for share in keys[1] if share.index in active]


@pytest.fixture(scope="module")
def total(scheme, keys):
    return scheme.add(keys[0], *(scheme.encrypt(keys[0], vector(), integers=(9, 1)) for _ in range(2)))


@pytest.fixture(scope="module")
def parts(scheme, keys, total):
    return partials(scheme, keys, total, (1, 2, 5))


def test_every_active_set_finds_what_the_whole_key_finds(scheme, keys, primes, total):
    p, q = primes
    n = p * q
    whole = paillier_keys.Factors(p, q)
    words = [whole.decrypt(gmpy2.mpz(int.from_bytes(block, "big"))) for block in total.blocks]
    alone = scheme.words.decode(words, total, None)
    for active in itertools.combinations(range(1, 6), 3):
        opened = scheme.open(keys[0], total, partials(scheme, keys, total, active))
        assert np.array_equal(opened.values, alone.values)
        assert opened.words == alone.words == words and opened.integers == (18, 2)
    assert max(words) < n


@pytest.mark.parametrize("quorum", [Quorum(2, 2), Quorum(2, 3), Quorum(6, 10), Quorum(4, 4)], ids=str)
def test_other_quorums(quorum, scheme):
    keys = scheme.keygen(quorum)
    x = vector()
    sent = scheme.encrypt(keys[0], x)
    active = RNG.permutation(np.arange(1, quorum.holders + 1))[: quorum.threshold].tolist()
    found = scheme.combine(keys[0], sent, partials(scheme, keys, sent, active))
    assert np.max(np.abs(found - x)) <= scheme.sum_error(1, 1, 16)


def test_individual_custody_and_quorum_share_the_code_but_no_key(scheme):
    (one, _), (two, _) = scheme.keygen(Quorum(1, 5)), scheme.keygen(TOGETHER)
    assert one.id != two.id and two.quorum == TOGETHER


@pytest.mark.slow
def test_2048_bits_in_earnest():
    scheme = open_scheme("paillier-packed")
    keys = scheme.keygen(TOGETHER)
    xs, tag, clients = [vector(90) for _ in range(2)], TagKey(), ("client-1", "client-2")
    sent = [
        scheme.encrypt(keys[0], x, integers=(50, 1), tag=tag.for_message("e", 1, 1, 1, client))
        for x, client in zip(xs, clients, strict=True)
    ]
    total = scheme.add(keys[0], *sent)
    opened = scheme.open(keys[0], total, partials(scheme, keys, total, (1, 3, 4)))
    assert np.max(np.abs(opened.values - sum(xs))) <= scheme.sum_error(1, 2, 16)
    assert opened.integers == (100, 2)
    tag.check(opened, clients, "e", Position(1, 1, 1))


def test_partials_are_repeatable_and_travel_as_bytes(scheme, keys, total, parts):
    assert partials(scheme, keys, total, (5, 2, 1)) == parts
    assert all(PartialDecryption.from_bytes(part.to_bytes()) == part for part in parts)


def test_too_few_find_nothing(scheme, keys, total, parts):
    with pytest.raises(QuorumError) as caught:
        scheme.combine(keys[0], total, parts[:2])
    assert (caught.value.have, caught.value.need) == (2, 3)
    with pytest.raises(QuorumError) as caught:
        scheme.partial_decrypt(keys[1][0], total, {1, 2})
    assert (caught.value.have, caught.value.need) == (2, 3)


def test_a_holder_answers_only_for_sets_with_itself(scheme, keys, total):
    with pytest.raises(DecryptionRefused):
        scheme.partial_decrypt(keys[1][0], total, {2, 3, 4})
    for active in ({1, 2, 3, 4}, {1, 2, 6}, {0, 1, 2}):
        with pytest.raises(ParameterError):
            scheme.partial_decrypt(keys[1][0], total, active)


def test_two_holders_pretending_to_be_three_find_nothing(scheme, keys, total, parts):
    """The power of a holder that is not there, guessed as 1, as another's, or as the ciphertext."""
    guesses = [parts[1].blocks, total.blocks, tuple((2).to_bytes(128, "big") for _ in total.blocks)]
    for blocks in guesses:
        with pytest.raises(IntegrityError):
            scheme.combine(keys[0], total, [*parts[:2], replace(parts[2], blocks=blocks)])


def test_a_bad_partial_never_passes(scheme, keys, other_keys, total, parts):
    """64 damaged powers, each of a random bit: none of them is taken for a decryption."""
    for _ in range(64):
        holder, place = int(RNG.integers(3)), int(RNG.integers(len(total.blocks)))
        blocks = list(parts[holder].blocks)
        damaged = bytearray(blocks[place])
        damaged[int(RNG.integers(len(damaged)))] ^= 1 << int(RNG.integers(8))
        blocks[place] = bytes(damaged)
        bad = [*parts[:holder], replace(parts[holder], blocks=tuple(blocks)), *parts[holder + 1 :]]
        with pytest.raises(IntegrityError):
            scheme.combine(keys[0], total, bad)


def test_missing_doubled_and_foreign_partials_are_refused(scheme, keys, other_keys, total, parts):
    public = keys[0]
    another = scheme.encrypt(public, vector(), integers=(9, 1))
    stale = partials(scheme, keys, another, (1, 2, 5))
    elsewhere = partials(scheme, keys, total, (1, 2, 3))
    foreign_total = replace(scheme.encrypt(other_keys[0], vector(), integers=(9, 1)))
    foreign = partials(scheme, other_keys, foreign_total, (1, 2, 5))
    relabelled = replace(stale[2], total_digest=parts[2].total_digest)
    disguised = replace(foreign[2], key_id=public.id, total_digest=parts[2].total_digest)
    truncated = replace(parts[2], blocks=parts[2].blocks[:-1])
    for bad in (
        [*parts[:2], parts[1]],
        [*parts[:2], stale[2]],
        [*parts[:2], elsewhere[2]],
        [*parts, parts[0]],
        [*parts[:2], relabelled],
        [*parts[:2], disguised],
        [*parts[:2], truncated],
        [*parts[:2], replace(parts[2], index=4)],
    ):
        with pytest.raises(IntegrityError):
            scheme.combine(public, total, bad)
    with pytest.raises(KeyMismatch):
        scheme.combine(public, total, [*parts[:2], foreign[2]])


def test_a_lying_holder_shifts_the_sum_unseen(scheme, keys):
    """The limit that the module states: without proofs, a multiple of (1+n) in a power is not noticed."""
    public = keys[0]
    total = scheme.encrypt(public, np.zeros(10), max_terms=1, integers=(5,))
    parts, modulus = partials(scheme, keys, total, (1, 2, 3)), scheme.modulus(public)
    # holder 1's power counts 2·Δ·λ_1 = 2·120·3 times, the product 4·Δ³ times
    factor = pow(720, -1, int(modulus.n)) * 4 * math.factorial(5) ** 3 % modulus.n
    lie = int.from_bytes(parts[0].blocks[0], "big") * (1 + factor * modulus.n) % modulus.square
    opened = scheme.open(public, total, [replace(parts[0], blocks=(modulus.write(lie),)), *parts[1:]])
    assert opened.integers == (6,)


def test_mislabelled_shares_surface(scheme, keys, other_keys, total, parts):
    foreign, lone = other_keys[1][0], scheme.keygen(Quorum(1, 5))[1][0]
    for material in (expose_secret(foreign), expose_secret(lone), b"", b"\x00"):
        with pytest.raises(IntegrityError):
            scheme.partial_decrypt(SecretShare(keys[0].id, TOGETHER, 1, material), total, {1, 2, 5})
    public, share = open_share(scheme.preset, expose_secret(keys[1][0]))
    with pytest.raises(IntegrityError):
        scheme.partial_decrypt(SecretShare(keys[0].id, TOGETHER, 1, write_share(public, 0)), total, {1, 2, 5})
    for material in (write_share(public, share + 1), expose_secret(keys[1][2])):  # well-formed, but not holder 1's
        wrong = scheme.partial_decrypt(SecretShare(keys[0].id, TOGETHER, 1, material), total, {1, 2, 5})
        with pytest.raises(IntegrityError):
            scheme.combine(keys[0], total, [wrong, *parts[1:]])


def test_shares_stay_where_they_are(keys):
    import pickle

    with pytest.raises(SecretKeyEscape):
        pickle.dumps(keys[1][0])
    assert "hidden" in repr(keys[1][0])


def test_a_hidden_bound_is_needed_to_open(scheme, keys):
    total = scheme.encrypt(keys[0], vector(), declare_bound=False)
    with pytest.raises(EncodingError, match="bound"):
        scheme.combine(keys[0], total, partials(scheme, keys, total, (1, 2, 3)))


def test_safe_primes_are_safe(primes):
    for p in primes:
        assert gmpy2.is_prime(p) and gmpy2.is_prime(p // 2) and p % 4 == 3 and p.bit_length() == 256
    for p in paillier_keys.make_primes(512, safe=False):
        assert gmpy2.is_prime(p) and p % 4 == 3 and p.bit_length() == 256
        assert gmpy2.gcd(p // 2, gmpy2.primorial(paillier_keys.ROUGH)) == 1

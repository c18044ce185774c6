"""The tag adds up with the words; whatever changes the sum without the key is caught."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable

import gmpy2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from hefl_core.errors import EncodingError, IntegrityError, ParameterError, WireError
from hefl_core.keys.sum_tag import SECRET_PRIME_BITS, TagKey, _secret_prime, dot, expose_tag_key
from hefl_core.schemes.base import Opened, Words
from hefl_core.wire.envelope import Position

RNG = np.random.default_rng(7)
PRIMES = [1_032_193, 2**37 - 25, 8_796_092_858_369, 2**48 - 59, 2**60 - 93, 2**61 - 1]
WHOLE = 2**61 - 1
CLIENTS = tuple(f"client-{i}" for i in range(1, 6))
PLACE = Position(2, 3, 1)


def tags(key: TagKey, messages: list[Words], modulus: int, place: Position = PLACE) -> list[int]:
    return [
        key.for_message("experiment-1", place.epoch, place.round, place.attempt, client)(words, modulus)
        for client, words in zip(CLIENTS, messages, strict=True)
    ]


def opened(words: Words, tag: int | None, modulus: int) -> Opened:
    return Opened(np.zeros(1), (), words, tag, modulus)


def sum_modulo(key: TagKey, modulus: int, length: int = 50) -> Opened:
    messages = [RNG.integers(0, modulus, length, dtype=np.uint64) for _ in CLIENTS]
    total = np.array([sum(int(m[j]) for m in messages) % modulus for j in range(length)], dtype=np.uint64)
    return opened(total, sum(tags(key, messages, modulus)) % modulus, modulus)


def sum_of_integers(key: TagKey, length: int = 20) -> Opened:
    messages = [[int.from_bytes(RNG.bytes(250), "big") for _ in range(length)] for _ in CLIENTS]
    total = [sum(m[j] for m in messages) for j in range(length)]
    return opened(total, sum(tags(key, messages, WHOLE)), WHOLE)


@pytest.mark.parametrize("modulus", PRIMES)
def test_honest_sums_pass(modulus: int) -> None:
    key = TagKey()
    key.check(sum_modulo(key, modulus), CLIENTS, "experiment-1", PLACE)


def test_honest_integer_sums_pass() -> None:
    key = TagKey()
    total = sum_of_integers(key)
    key.check(total, CLIENTS, "experiment-1", PLACE)
    assert total.tag is not None and total.tag < WHOLE  # nothing was reduced away


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(PRIMES), st.data())
def test_dot_is_exact(modulus: int, data: st.DataObject) -> None:
    entry = st.integers(0, modulus - 1)
    a, b = (data.draw(st.lists(entry, min_size=9, max_size=9)) for _ in range(2))
    expected = sum(x * y for x, y in zip(a, b, strict=True)) % modulus
    assert dot(np.array(a, np.uint64), np.array(b, np.uint64), modulus) == expected


def test_dot_of_the_largest_words_does_not_overflow() -> None:
    length, modulus = (1 << 20) + 3, 2**61 - 1
    largest = np.full(length, modulus - 1, np.uint64)
    assert dot(largest, largest, modulus) == length % modulus


def test_forgeries_are_caught() -> None:
    key, modulus = TagKey(), PRIMES[2]
    honest = sum_modulo(key, modulus)
    words, tag = np.asarray(honest.words), honest.tag
    assert tag is not None
    moved, scaled, swapped = words.copy(), words * np.uint64(2) % np.uint64(modulus), words[::-1].copy()
    moved[17] = (int(moved[17]) + 1) % modulus
    for forged in (moved, scaled, swapped, words[:-1], np.append(words, np.uint64(1))):
        for guess in (tag, 2 * tag % modulus, 0, tag + 1):
            with pytest.raises(IntegrityError):
                key.check(opened(forged, guess, modulus), CLIENTS, "experiment-1", PLACE)


def test_a_shift_by_a_public_modulus_is_caught_in_integer_words() -> None:
    key = TagKey()
    honest = sum_of_integers(key)
    words = [int(word) for word in honest.words or ()]
    for shift in (WHOLE, WHOLE << 700, 1, -1, 2**61, 6 * WHOLE * PRIMES[0]):
        with pytest.raises(IntegrityError):
            key.check(opened([words[0] + shift, *words[1:]], honest.tag, WHOLE), CLIENTS, "experiment-1", PLACE)


def test_dropped_doubled_replayed_and_foreign_contributions_are_caught() -> None:
    key, modulus = TagKey(), PRIMES[2]
    total = sum_modulo(key, modulus)
    for contributors, experiment, place in (
        (CLIENTS[:-1], "experiment-1", PLACE),
        ((*CLIENTS, "client-6"), "experiment-1", PLACE),
        ((*CLIENTS[:-1], "client-6"), "experiment-1", PLACE),
        ((*CLIENTS, CLIENTS[0]), "experiment-1", PLACE),
        (CLIENTS, "experiment-2", PLACE),
        (CLIENTS, "experiment-1", Position(3, 3, 1)),
        (CLIENTS, "experiment-1", Position(2, 4, 1)),
        (CLIENTS, "experiment-1", Position(2, 3, 2)),
    ):
        with pytest.raises(IntegrityError):
            key.check(total, contributors, experiment, place)
    with pytest.raises(IntegrityError):
        TagKey().check(total, CLIENTS, "experiment-1", PLACE)


def test_a_ciphertext_carried_over_from_an_earlier_attempt() -> None:
    """A holder died after its upload: the others encrypt again, its ciphertext stays in the sum."""
    key, modulus = TagKey(), PRIMES[2]
    words, total = np.full(4, 7, np.uint64), np.full(4, 35, np.uint64)
    attempts = {**dict.fromkeys(CLIENTS, 2), "client-5": 1}
    tag = sum(key.for_message("experiment-1", 2, 3, attempts[c], c)(words, modulus) for c in CLIENTS) % modulus
    place = Position(2, 3, 2)
    key.check(opened(total, tag, modulus), CLIENTS, "experiment-1", place, carried={"client-5": 1})
    for wrong in ({}, {"client-4": 1}, {"client-4": 1, "client-5": 1}, {"client-5": 3}):
        with pytest.raises(IntegrityError):
            key.check(opened(total, tag, modulus), CLIENTS, "experiment-1", place, carried=wrong)


def test_a_sum_without_tag_is_refused() -> None:
    words = np.zeros(3, np.uint64)
    for stripped in (opened(words, None, PRIMES[0]), opened(None, 5, PRIMES[0])):
        with pytest.raises(IntegrityError):
            TagKey().check(stripped, CLIENTS, "experiment-1", PLACE)


def test_a_small_modulus_is_forged_about_once_in_t() -> None:
    """The bound is 1/t and no better: guesses against t = 17 succeed about as often as they should."""
    hits, tries = 0, 2000
    for _ in range(tries):
        key = TagKey()
        tag = key.for_message("experiment-1", 1, 1, 1, "client-1")
        words = np.array([3], np.uint64)
        value = tag(words, 17)
        try:
            key.check(
                opened(words + np.uint64(1), (value + 5) % 17, 17), ["client-1"], "experiment-1", Position(1, 1, 1)
            )
            hits += 1
        except IntegrityError:
            pass
    assert 50 < hits < 200  # expected 118; outside once in 10^12 (exact binomial)


def test_a_colluding_client_makes_it_useless() -> None:
    """Said in the docstring: whoever holds the key makes a right tag for any sum."""
    key, modulus = TagKey(), PRIMES[2]
    honest = sum_modulo(key, modulus)
    forged = np.zeros(50, np.uint64)
    value = sum(tags(key, [forged] * 5, modulus)) % modulus
    key.check(opened(forged, value, modulus), CLIENTS, "experiment-1", PLACE)
    assert value != honest.tag


def test_coefficients_are_uniform_and_do_not_depend_on_the_order_of_use() -> None:
    key, twin = TagKey(), None
    twin = TagKey.from_material(expose_tag_key(key))
    tag, same = (k.for_message("experiment-1", 1, 1, 1, "client-1") for k in (key, twin))
    long_, short = np.arange(5000, dtype=np.uint64), np.arange(7, dtype=np.uint64)
    assert [tag(short, 1_032_193), tag(long_, 1_032_193)] == [same(long_, 1_032_193), same(short, 1_032_193)][::-1]
    zero = tag(np.zeros(4000, np.uint64), 1_032_193)
    units = [(tag(row, 1_032_193) - zero) % 1_032_193 / 1_032_193 for row in np.eye(4000, dtype=np.uint64)[:400]]
    assert abs(np.mean(units) - 0.5) < 0.1 and np.std(units) == pytest.approx(0.2887, abs=0.05)


def test_what_does_not_fit_is_refused() -> None:
    tag = TagKey().for_message("experiment-1", 1, 1, 1, "client-1")
    for words in (np.array([17], np.uint64), np.array([1.0]), np.zeros((2, 2), np.uint64)):
        with pytest.raises(EncodingError):
            tag(words, 17)  # type: ignore[arg-type]
    for modulus in (0, 1, 2**61, 2**64):
        with pytest.raises(ParameterError):
            tag(np.zeros(1, np.uint64), modulus)
    with pytest.raises(ParameterError):
        tag([1, 2, 3], 2**40)
    with pytest.raises(WireError):
        TagKey.from_material(b"short")
    key = TagKey()
    with pytest.raises(IntegrityError):
        key.check(opened(np.array([99], np.uint64), 3, 17), CLIENTS, "experiment-1", PLACE)


# -- the secret prime ----------------------------------------------------------------------------------------------

SMALL_BITS = 12
SMALL_PRIMES = [n for n in range(1 << (SMALL_BITS - 1), 1 << SMALL_BITS) if gmpy2.is_prime(n)]


def chi_square(draw: Callable[[bytes], int]) -> float:
    """p of "all primes are equally likely" over 40 draws for each: small where some are likelier."""
    found = Counter(draw(number.to_bytes(8, "big")) for number in range(40 * len(SMALL_PRIMES)))
    assert set(found) <= set(SMALL_PRIMES)
    return float(chisquare([found[p] for p in SMALL_PRIMES]).pvalue)


def after_a_random_number(seed: bytes) -> int:
    """How it was drawn once: the next prime."""
    low = 1 << (SMALL_BITS - 1)
    start = low + int.from_bytes(hashlib.sha256(seed).digest(), "big") % (SMALL_PRIMES[-1] - low)
    return int(gmpy2.next_prime(start))


def test_every_secret_prime_is_equally_likely() -> None:
    """Of 12 bits, where all can be counted. Control: the prime after a random number is likelier after a long gap."""
    assert chi_square(lambda seed: _secret_prime(seed, SMALL_BITS)) > 1e-9
    assert chi_square(after_a_random_number) < 1e-9


def test_a_shift_escapes_less_than_2_to_the_minus_38_of_the_secret_primes() -> None:
    """Primes of 50 bits, counted from below (Rosser, Schoenfeld 1962) and above (Dusart 1999); all derive alike again."""
    top, low = 2.0**SECRET_PRIME_BITS, 2.0 ** (SECRET_PRIME_BITS - 1)
    primes = top / math.log(top) - low / math.log(low) * (1 + 1.2762 / math.log(low))
    dividing = 2048 // (SECRET_PRIME_BITS - 1)  # the product of more is above 2^2048
    assert primes > 2**43.7 and dividing / primes < 2**-38
    for number in range(50):
        seed = hashlib.sha256(bytes([number])).digest()
        prime = _secret_prime(seed)
        assert prime.bit_length() == SECRET_PRIME_BITS and gmpy2.is_prime(prime) and prime == _secret_prime(seed)

"""Plaintext has the manners of the other schemes: labels, head-room and refusals; only the secrecy is missing."""

from dataclasses import replace

import numpy as np
import pytest

from hefl_core.errors import (
    EncodingError,
    IntegrityError,
    KeyMismatch,
    KeyUseError,
    ParameterError,
    QuorumError,
    RoundError,
    WireError,
)
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme

SCHEME = open_scheme("plaintext")
KEY, SHARES = SCHEME.keygen(Quorum(1, 3), epoch=2)
RNG = np.random.default_rng(3)


def total_of(xs, **options):
    running = SCHEME.accumulator(KEY)
    for x in xs:
        running.add(SCHEME.encrypt(KEY, x, max_terms=1000, **options))
    return running.total()


def opened(total, **options):
    return SCHEME.open(KEY, total, [SCHEME.partial_decrypt(SHARES[0], total, (1,))], **options)


def test_it_costs_four_bytes_per_entry_and_says_what_it_is():
    vector = SCHEME.encrypt(KEY, RNG.uniform(-1, 1, 1000))
    assert vector.nbytes == 4000 and SCHEME.preset.family == "plaintext" and KEY.id.epoch == 2


def test_a_thousand_terms_lose_nothing():
    xs = RNG.uniform(-1e6, 1e6, (1000, 20))
    found = opened(total_of(xs, integers=(2**53, 1)))
    assert found.integers == (1000 * 2**53, 1000)
    assert np.max(np.abs(found.values - xs.sum(axis=0))) <= SCHEME.sum_error(1e6, 1000, 1000)
    assert (found.words, found.tag) == (None, None)


def test_the_largest_numbers_do_not_overflow():
    x = np.array([3e17, -3e17])
    found = opened(total_of([x] * 3, bound=3e17))
    assert np.max(np.abs(found.values - 3 * x)) <= SCHEME.sum_error(3e17, 3, 1000)
    largest = (2**63 - 1) // 1000
    assert opened(total_of([x] * 2, bound=3e17, integers=(largest,))).integers == (2 * largest,)
    with pytest.raises(EncodingError, match="integers"):
        total_of([x], bound=3e17, integers=(largest + 1,))


def test_refusals():
    a, b = (SCHEME.encrypt(KEY, np.ones(4)) for _ in range(2))
    other, _ = SCHEME.keygen(Quorum(1, 3))
    with pytest.raises(KeyMismatch):
        SCHEME.add(other, a, b)
    with pytest.raises(KeyMismatch):
        SCHEME.encrypt(open_scheme("bfv-lean").keygen(Quorum(1, 2))[0], np.ones(4))
    with pytest.raises(ParameterError, match="encrypting"):
        SCHEME.keygen(Quorum(2, 3))
    with pytest.raises(EncodingError, match="tag"):
        SCHEME.encrypt(KEY, np.ones(4), tag=lambda words, modulus: 0)
    with pytest.raises(RoundError):
        SCHEME.accumulator(KEY).total()
    with pytest.raises(WireError, match="broadcast"):
        SCHEME.add(KEY, a, SCHEME.encrypt(KEY, np.ones(1)))
    with pytest.raises(EncodingError, match="head-room"):
        one = SCHEME.encrypt(KEY, np.ones(4), max_terms=1)
        SCHEME.add(KEY, one, one)
    with pytest.raises(QuorumError):
        SCHEME.open(KEY, a, [])
    with pytest.raises((QuorumError, ParameterError, KeyUseError)):
        SCHEME.partial_decrypt(SHARES[0], a, ())


@pytest.mark.parametrize(
    "blocks",
    [
        (b"", b""),
        (b"", b"\0" * 15),
        (b"", b"\0" * 16, b""),
        (b"", np.array([1, np.nan, 0, 0], dtype="<f4").tobytes()),
        (b"", np.array([1, np.inf, 0, 0], dtype="<f4").tobytes()),
        (b"\0" * 8, b"\0" * 16),
    ],
)
def test_other_bytes_are_refused(blocks):
    with pytest.raises(WireError):
        SCHEME.check(KEY, replace(SCHEME.encrypt(KEY, np.ones(4)), blocks=blocks))


def test_a_partial_with_other_numbers_is_refused():
    vector = SCHEME.encrypt(KEY, np.ones(4))
    partial = SCHEME.partial_decrypt(SHARES[0], vector, (1,))
    with pytest.raises(IntegrityError):
        SCHEME.open(KEY, vector, [replace(partial, blocks=(b"", b"\0" * 16))])

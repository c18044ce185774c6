"""Related ciphertexts under one-time keys: an old key mixed into one's own is read in part from the next sum, and noticed.

A client that deviates multiplies the old short part by 2^33, above the digits of all others, and adds it to its own. Ten bits of
each old word come out with the sum; four rounds read all of them, and with the key the old update. Every such sum ends in an
IntegrityError: nobody applies it, and nobody knows who sent it. A key epoch per round opens the mixture to nothing.
"""

from dataclasses import replace

import numpy as np
import pytest

from hefl_core.errors import IntegrityError
from hefl_core.schemes.base import RoundContext
from hefl_core.schemes.onetime.scheme import OneTimeScheme
from hefl_core.schemes.presets import PRESETS
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.ring import rlwe

PRESET = PRESETS["INSECURE_onetime-1024"]
QUORUM, ACTIVE = Quorum(2, 4), (1, 2)
FIRST, SECOND = RoundContext("x", b"record", 1), RoundContext("x", b"record", 2)
SHIFT, SEEN = 33, 10


def encrypted(context, key):
    return OneTimeScheme(PRESET, context).encrypt(key, np.zeros(100), bound=0.5, max_terms=4, integers=(1, 1))


def mix(scheme, own, old):
    """Own ⊞ 2^33 · old, in the short part."""
    transport = scheme.transport(QUORUM)
    mine, theirs = transport.read(own.blocks[0]), transport.read(old.blocks[0])
    for at, p in enumerate(transport.primes):
        factor = rlwe.fix(np.array([1 << SHIFT], dtype=np.uint64), p)
        mine[:, at] = rlwe.plus(mine[:, at], rlwe.multiply(theirs[:, at], factor, p), p)
    return replace(own, blocks=(transport.write(mine), *own.blocks[1:]))


def next_sum(one_key):
    scheme = OneTimeScheme(PRESET, SECOND)
    key, shares = scheme.keygen(QUORUM)
    old = encrypted(FIRST, key)
    truth = words_of(scheme, key, shares, old)
    if not one_key:
        key, shares = scheme.keygen(QUORUM, epoch=2)
    running = scheme.accumulator(key)
    for vector in (mix(scheme, encrypted(SECOND, key), old), *(encrypted(SECOND, key) for _ in range(3))):
        running.add(vector)
    return scheme, key, shares, running.total(), truth


def parts_of(scheme, shares, vector):
    return [scheme.partial_decrypt(share, vector, ACTIVE) for share in shares[:2]]


def words_of(scheme, key, shares, vector):
    transport = scheme.transport(key.quorum)
    return transport._rounded(transport._summed(vector, parts_of(scheme, shares, vector)))[0]


def test_under_one_key_bits_of_an_old_key_are_read_and_the_sum_is_refused():
    scheme, key, shares, total, truth = next_sum(one_key=True)
    found = words_of(scheme, key, shares, total) >> np.uint64(SHIFT)
    # The digits of the others fill 33 bits and may carry one up; the prime is just below 2^43 and takes up to one off.
    off = (found.astype(np.int64) - (truth & np.uint64((1 << SEEN) - 1)).astype(np.int64)) % (1 << SEEN)
    assert np.isin(off, (0, 1, (1 << SEEN) - 1)).all() and len(np.unique(truth & np.uint64((1 << SEEN) - 1))) > 100
    with pytest.raises(IntegrityError, match="digits of 4 one-time keys"):
        scheme.open(key, total, parts_of(scheme, shares, total))


def test_with_a_key_for_each_round_the_mixture_opens_to_nothing():
    scheme, key, shares, total, _ = next_sum(one_key=False)
    with pytest.raises(IntegrityError, match="noise of the keys' sum"):
        scheme.open(key, total, parts_of(scheme, shares, total))


def test_an_old_body_adds_nothing_but_garbage():
    """The second fault: key and body of the old upload, whole. Its body stands over another round's public polynomials."""
    scheme = OneTimeScheme(PRESET, SECOND)
    key, shares = scheme.keygen(QUORUM)
    total = scheme.add(key, encrypted(FIRST, key), encrypted(SECOND, key))
    with pytest.raises(IntegrityError, match="errors of block"):
        scheme.open(key, total, parts_of(scheme, shares, total))
    honest = scheme.add(key, encrypted(SECOND, key), encrypted(SECOND, key))
    assert scheme.open(key, honest, parts_of(scheme, shares, honest)).integers == (2, 2)

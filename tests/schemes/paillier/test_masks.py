"""Masks: what hides a plaintext is fresh, used once, and stays in its process."""

from __future__ import annotations

import os
import pickle
import threading
from dataclasses import replace

import gmpy2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import ParameterError, SecretKeyEscape
from hefl_core.schemes.base import expose_secret
from hefl_core.schemes.paillier import keys as paillier_keys
from hefl_core.schemes.paillier import masks
from hefl_core.schemes.paillier.masks import MaskPool, ShortMasks, in_threads
from hefl_core.schemes.presets import load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme

SQUARE = (2**89 - 1) ** 2
SHORT = ShortMasks(gmpy2.mpz(3**70 % SQUARE), gmpy2.mpz(SQUARE), 64)


@pytest.fixture
def scheme():
    return open_scheme("INSECURE_paillier-512")


@pytest.fixture
def keys(scheme):
    return scheme.keygen(Quorum(1, 1))


@settings(deadline=None)
@given(st.one_of(st.sampled_from([0, 1, 127, 128, 2**64 - 1]), st.integers(0, 2**64 - 1)))
def test_the_table_raises_to_powers(exponent):
    assert SHORT.power(exponent) == gmpy2.powmod(3**70, exponent, SQUARE)


def test_masks_are_residues_of_n(scheme, keys):
    """Decrypted alone, a mask is zero: it hides and does not change."""
    public, shares = keys
    modulus = scheme.modulus(public)
    _, p, q = paillier_keys.open_whole(scheme.preset, expose_secret(shares[0]))
    factors = paillier_keys.Factors(p, q)
    drawn = [modulus.masks.take() for _ in range(50)] + [modulus.full_mask() for _ in range(5)]
    assert len(set(drawn)) == 55
    assert all(factors.decrypt(mask) == 0 and mask % modulus.n > 1 for mask in drawn)


def test_exponents_have_half_the_length_and_full_range(monkeypatch, scheme, keys):
    asked = []
    draw = masks.secrets.randbits
    monkeypatch.setattr(masks.secrets, "randbits", lambda bits: asked.append(bits) or draw(bits))
    scheme.encrypt(keys[0], np.zeros(30))
    assert asked == [256, 256]


def test_ready_masks_are_used_once_each(scheme, keys):
    pool = scheme.masks(keys[0])
    pool.fill(3)
    ready = list(pool._ready)
    square, n = scheme.modulus(keys[0]).square, scheme.modulus(keys[0]).n
    sent = scheme.encrypt(keys[0], np.zeros(30))
    used = [int.from_bytes(block, "big") % n for block in sent.blocks]
    assert used == [mask % n for mask in ready[:2]] and len(pool) == 1 and square > n
    again = scheme.encrypt(keys[0], np.zeros(30))
    assert not set(used) & {int.from_bytes(block, "big") % n for block in again.blocks}
    assert len(pool) == 0


def test_many_threads_never_share_a_mask():
    numbers = iter(range(10**6))
    lock = threading.Lock()

    def draw():
        with lock:
            return next(numbers)

    pool = MaskPool(draw)
    pool.fill_in_background(500)
    taken = in_threads(lambda _: [pool.take() for _ in range(200)], range(8))
    pool.wait()
    flat = [mask for part in taken for mask in part]
    assert len(flat) == len(set(flat)) == 1600


def test_the_background_fills_to_the_goal_and_ends(scheme, keys):
    pool = scheme.masks(keys[0])
    pool.fill_in_background(5)
    pool.fill_in_background(9)
    pool.wait()
    assert len(pool) == 9
    pool.fill_in_background(9)
    pool.wait()
    assert len(pool) == 9 and pool._filler is None


def test_a_forked_child_starts_empty(monkeypatch):
    pool = MaskPool(lambda: 7)
    pool.fill(4)
    mine = os.getpid()
    monkeypatch.setattr(masks.os, "getpid", lambda: mine + 1)
    assert len(pool) == 0
    pool.fill(2)
    assert len(pool) == 2


def test_a_pool_has_a_limit(monkeypatch):
    monkeypatch.setattr(masks, "POOL_LIMIT", 10)
    pool = MaskPool(lambda: 7)
    pool.fill(10**9)
    assert len(pool) == 10


def test_masks_are_never_written_down(scheme, keys):
    pool = scheme.masks(keys[0])
    with pytest.raises(SecretKeyEscape):
        pickle.dumps(pool)
    assert "hidden" in repr(pool)


@pytest.mark.parametrize("bad", ["none", "zero", "one", "minus one", "in n", "too large", "not a residue symbol"])
def test_a_base_that_hides_nothing_is_refused(bad, scheme, keys):
    public = keys[0]
    modulus = scheme.modulus(public)
    n = int(modulus.n)
    base = {
        "none": 0,
        "zero": 0,
        "one": 1,
        "minus one": n - 1,
        "in n": n,
        "too large": 256**128 - 1,
        "not a residue symbol": next(x for x in range(2, 10**4) if gmpy2.jacobi(x, n) == -1),
    }[bad]
    size = 0 if bad == "none" else modulus.nbytes
    n_bytes = n.to_bytes(64, "big")
    forged = paillier_keys.encode(paillier_keys.PublicMaterial(n_bytes, (base % 256**128).to_bytes(size, "big")))
    with pytest.raises(ParameterError):
        paillier_keys.open_public(scheme.preset, forged)


def test_full_masks_admit_no_base(scheme, keys):
    naive = replace(scheme.preset, mask_bits=0)
    with pytest.raises(ParameterError):
        paillier_keys.open_public(naive, keys[0].material)


def test_short_exponents_are_not_too_short():
    preset = load_preset("paillier-packed")
    with pytest.raises(ParameterError, match="mask exponents"):
        replace(preset, mask_bits=512).require_safe()


def test_long_work_is_done_by_the_same_few_threads():
    seen = set()
    for _ in range(20):
        seen |= set(in_threads(lambda _: threading.get_ident(), range(8)))
    assert len(seen) <= os.cpu_count()  # gmpy2 leaks a context for each thread that ever used it

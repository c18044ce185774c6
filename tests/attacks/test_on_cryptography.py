"""Attacks on the cryptography and its use, each with the switch that stops it."""

import numpy as np
import phe
import pytest

from hefl_core.attacks.catalogue import run
from hefl_core.attacks.ckks_key_lab import KeyRecovery, stage
from hefl_core.attacks.lab import COALITION, COORDINATOR, PLAIN
from hefl_core.attacks.methods import distinguishing, naive_schemes, tampering
from hefl_core.attacks.methods.ckks_key_recovery import conjugates, recover_key
from hefl_core.attacks.trials import key_recovery
from hefl_core.errors import ParameterError
from hefl_core.schemes.ring import rlwe


@pytest.mark.parametrize("scheme", ["ckks-lean", "ckks-nvflare"])
def test_a_returned_decryption_gives_the_whole_key_and_every_update(scheme):
    found = key_recovery(KeyRecovery(scheme=scheme))
    assert found.value == 1.0 and "100%" in found.note
    assert np.max(np.abs(found.array("opened") - found.array("update"))) < 1e-7


@pytest.mark.parametrize(
    "recovery",
    [
        KeyRecovery(returned="float32"),
        KeyRecovery(returned="10 decimals"),
        KeyRecovery(returned="flooded", noise=1e-10),
        KeyRecovery(returned="flooded", noise=1e-11, answers=300),
        KeyRecovery(scheme="ckks-threshold", returned="preset flooding"),
        KeyRecovery(rotated=True),
        KeyRecovery(returned="nothing"),
    ],
)
def test_what_stops_the_heist(recovery):
    found = key_recovery(recovery)
    assert found.value == 0.0
    assert recovery.rotated == ("100%" in found.note)


def test_fresh_noise_in_each_answer_averages_away():
    assert key_recovery(KeyRecovery(returned="flooded", noise=1e-11, answers=300, cached=False)).value == 1.0


def test_one_chunk_is_not_enough_and_an_honest_run_returns_nothing():
    with pytest.raises(ParameterError, match="two full chunks"):
        recover_key(stage(KeyRecovery(parameters=2000))[0])
    with pytest.raises(ParameterError, match="no decryption"):
        recover_key(stage(KeyRecovery(returned="nothing"))[0])


def test_conjugate_points_multiply_to_one():
    prime, degree = 12289, 1024
    pairs = conjugates(prime, degree)
    x = np.zeros(degree, np.uint64)
    x[1] = 1
    values = rlwe.transform(prime, degree).ntt(x).astype(object)
    assert all(values[at] * values[other] % prime == 1 for at, other in enumerate(pairs))


def test_ciphertexts_are_not_told_apart_but_a_broken_schemes_are():
    for scheme in ("bfv-lean", "ckks-lean", "INSECURE_paillier-512"):
        found = run("distinguish", COORDINATOR, scheme=scheme)
        assert found.trials >= 400 and found.at_chance(3), (scheme, found.value)
    assert run("distinguish", PLAIN).value > 0.99
    encrypt = distinguishing.encryptor("bfv-lean")
    assert distinguishing.repeats(encrypt, np.zeros(4), 10) == 0
    assert distinguishing.repeats(distinguishing.broken_encryptor(), np.zeros(4), 10) == 9


def test_the_exponents_are_those_that_phe_publishes():
    key, _ = phe.generate_paillier_keypair(n_length=256)
    values = np.concatenate([[0.0, 1.0, -1.0, 0.5, 1e-9, -3e7], np.random.default_rng(1).normal(size=200)])
    published = [phe.EncodedNumber.encode(key, float(value)).exponent for value in values]
    assert naive_schemes.phe_exponents(values).tolist() == published
    assert run("exponents", PLAIN).value > 0.95
    ours = run("exponents", COORDINATOR)
    assert ours.value <= ours.prior + 0.02


def test_publishing_a_part_for_ones_own_ciphertext_publishes_the_update():
    assert run("multi-key").value == 1.0
    update = np.linspace(-0.1, 0.1, 50)
    exact, count = naive_schemes.read_naive(naive_schemes.naive_multi_key(update))
    flooded, _ = naive_schemes.read_naive(naive_schemes.naive_multi_key(update, flood_bits=20))
    assert np.max(np.abs(exact - update)) < 1e-6 and count == 1
    assert np.max(np.abs(flooded - update)) < 1e-3


@pytest.mark.parametrize(("scheme", "threshold"), [("bfv-lean", 1), ("bfv-threshold", 3), ("INSECURE_paillier-512", 1)])
def test_as_many_colluders_as_custody_asks_for(scheme, threshold):
    found = run("collusion", COALITION, scheme=scheme, threshold=threshold)
    assert found.array("opened").tolist() == [float(j >= threshold) for j in range(5)]


@pytest.mark.parametrize("scheme", ["bfv-lean", "ckks-lean"])
def test_six_forgeries_pass_unchecked_and_are_caught(scheme):
    desk = tampering.set_desk(scheme)
    assert tampering.judge(desk, "none").caught_by == () and tampering.judge(desk, "none").error < 1e-4
    for forgery in tampering.FORGERIES:
        off, on = tampering.judge(desk, forgery, ()), tampering.judge(desk, forgery)
        assert off.caught_by == () and off.error > 0.005, forgery
        assert tampering.RE_ADDING in on.caught_by
        assert (tampering.TAG in on.caught_by) == (scheme == "bfv-lean")
        assert tampering.judge(desk, forgery, (tampering.COUNT,)).caught_by == ()
    with pytest.raises(ParameterError):
        tampering.forge(desk, "bribe")
    with pytest.raises(ParameterError):
        tampering.set_desk("paillier-packed")


def test_a_client_that_lies_is_not_caught():
    found = run("poisoning")
    assert found.value > 0.3 and "no check" in found.note

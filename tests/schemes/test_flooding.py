"""The stated flooding distance, computed a second time in another way; planted faults that turn it red.

That real ciphertexts have this noise is measured in test_threshold.py.
"""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from hefl_core.errors import DecryptionRefused, ParameterError
from hefl_core.keys import decryption_policy as question_module
from hefl_core.keys.custody import Custody
from hefl_core.keys.identity import Identity
from hefl_core.keys.kms.service import KMS
from hefl_core.keys.prekeys import Prekeys
from hefl_core.schemes import flooding as module
from hefl_core.schemes.flooding import ANSWERS_PER_ROUND, SELF_TESTS, answers_cap, at_ceiling, flooding, wanted_answers
from hefl_core.schemes.presets import FULL_FLOODING_BITS, PRESETS, USUAL, RingPreset, load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import block_count
from tests.keys.test_answers import CLIENTS, RECORD, ask, holder, question, total

TOGETHER = [name for name, preset in PRESETS.items() if isinstance(preset, RingPreset) and preset.collective]
FULL = {"bfv-threshold": 40, "bfv-threshold-strict": 50, "ckks-threshold": 40}
DEMONSTRATION = {"bfv-threshold-small": 26, "bfv-threshold-classroom": 20}


# -- the figure, another way ---------------------------------------------------------------------------------------------


def exact_distance(noise, width):
    """Statistical distance of v + e and e, e uniform on ``width`` integers: by adding up both distributions.

    ``noise``: {v: probability}.
    """
    shifted: dict[int, Fraction] = {}
    for v, chance in noise.items():
        for e in range(width):
            shifted[v + e] = shifted.get(v + e, Fraction(0)) + chance / width
    flat = {e: Fraction(1, width) for e in range(width)}
    return sum(abs(shifted.get(x, 0) - flat.get(x, 0)) for x in {*shifted, *flat}) / 2


def test_one_coefficient_is_away_by_no_more_than_mean_noise_over_width():
    """Convolution, exactly. Above the formula it would be wrong; far below, useless."""
    for spread in (1, 3, 7):
        noise = {v: Fraction(1, 2 * spread + 1) for v in range(-spread, spread + 1)}
        mean = sum(abs(v) * chance for v, chance in noise.items())
        found = exact_distance(noise, 256)
        assert found <= mean / 256
        assert float(found) > 0.49 * float(mean / 256)
        assert exact_distance({spread: Fraction(1)}, 256) == Fraction(spread, 256), "a known shift: the bound itself"


def test_two_coefficients_or_ciphertexts_add_up_at_most():
    """Exactly, for a pair: the distance of a product is no larger than the sum."""
    width = 12
    noise = {-1: Fraction(1, 4), 0: Fraction(1, 2), 1: Fraction(1, 4)}
    one = exact_distance(noise, width)
    both = Fraction(0)
    shifted = {x: sum(noise.get(x - e, 0) for e in range(width)) / width for x in range(-1, width + 1)}
    for x in range(-1, width + 1):
        for y in range(-1, width + 1):
            flat = Fraction(1, width**2) if 0 <= x < width and 0 <= y < width else 0
            both += abs(shifted[x] * shifted[y] - flat)
    assert one < both / 2 <= 2 * one


def mean_noise_by_convolution(degree, terms, makers, bfv):
    """E|v| of a coefficient from the roundings themselves: their characteristic function, inverted on a grid by FFT.

    A fresh ciphertext's noise after its special prime is gone: r_0 + Σ r_j·s_j, r uniform on (-1/2, 1/2), s the key's 2N/3 · n
    coefficients that are not zero (of +-1: by symmetry the sign does not matter). BFV: and (K + 1)/2 beside it.
    """
    size, cell = 1 << 16, 1 / 8
    count = terms * (1 + round(2 * degree / 3 * makers))
    frequency = np.fft.fftfreq(size, cell)
    density = np.fft.fft(np.sinc(frequency) ** count).real
    density = np.fft.fftshift(np.maximum(density, 0))
    density /= density.sum()
    values = (np.arange(size) - size // 2) * cell
    return float(np.sum(density * np.abs(values + (terms + 1) / 2 * bfv)))


def recomputed(preset, quorum, terms, ciphertexts, dealer_free):
    """log2 of the distance, with nothing of presets.py but the ring's own numbers."""
    makers = quorum.holders if dealer_free else 1
    mean = mean_noise_by_convolution(preset.degree, terms, makers, preset.family == "bfv")
    return math.log2(ciphertexts * preset.degree) + math.log2(mean) - (preset.flood_bits + 1)


CASES = [(USUAL, 10, False), (Quorum(3, 5), 5, True), (Quorum(6, 10), 16, True), (Quorum(2, 3), 3, False)]


def agree(name):
    preset = load_preset(name)
    for quorum, terms, free in CASES:
        stated = preset.distance_bits(quorum, terms, 1234, dealer_free=free)
        again = recomputed(preset, quorum, terms, 1234, free)
        assert abs(stated - again) < 0.01, (name, quorum, terms, free, stated, again)


@pytest.mark.parametrize("name", TOGETHER)
def test_the_figures_agree_with_a_second_computation(name):
    agree(name)


@pytest.mark.parametrize(
    ("attribute", "wrong"),
    [
        (
            "mean_noise",
            lambda self, terms, makers=1: self.noise_std * math.sqrt(2 / math.pi * terms),
        ),  # no √n, no rounding
        ("mean_noise", lambda self, terms, makers=1: self.noise_std * terms),
        ("aggregate_noise_std", lambda self, terms, makers=1: self.noise_std * math.sqrt(terms)),
        ("noise_std", property(lambda self: math.sqrt((self.degree / 3 + 1) / 12))),
    ],
)
def test_a_wrong_factor_turns_it_red(monkeypatch, attribute, wrong):
    monkeypatch.setattr(RingPreset, attribute, wrong)
    with pytest.raises(AssertionError):
        agree("bfv-threshold")


# -- what is stated where ------------------------------------------------------------------------------------------------


def test_the_figures_at_the_ceiling():
    """As the issue has them: at 10^5 parameters the ceilings are the same numbers of sums as before."""
    for name, exponent in {**FULL, **DEMONSTRATION}.items():
        found = at_ceiling(load_preset(name), USUAL)
        assert found.exponent == exponent, found
        assert found.demonstration == (name in DEMONSTRATION) == load_preset(name).demonstration
        assert str(found).startswith("demonstration flooding 2^-" if name in DEMONSTRATION else "flooding 2^-")
    sums = {"bfv-threshold": 1000, "bfv-threshold-small": 100, "bfv-threshold-classroom": 100, "ckks-threshold": 1000}
    for name, count in sums.items():
        preset = load_preset(name)
        assert preset.max_decryptions == count * block_count(preset, 100_000), name


@pytest.mark.parametrize("name", TOGETHER)
@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("quorum", [Quorum(2, 3), Quorum(3, 10), Quorum(16, 30), Quorum(2, 100)])
def test_full_flooding_keeps_its_word_whatever_is_asked(name, free, quorum):
    preset = load_preset(name)
    if quorum.threshold > preset.largest_threshold:
        pytest.skip("no room for so many")
    for wanted in (1, 100, 10**9):
        try:
            found = flooding(preset, quorum, quorum.holders, wanted, dealer_free=free)
        except ParameterError:
            continue  # refused: nothing is promised
        assert found.ciphertexts <= preset.max_decryptions
        if not preset.demonstration:
            assert found.exponent >= FULL_FLOODING_BITS and not found.demonstration


def test_what_is_stated_is_rounded_to_the_safe_side():
    found = flooding(load_preset("bfv-threshold"), Quorum(3, 5), 5, 40)
    assert 2.0**found.distance_bits <= 2.0**-found.exponent
    assert found.exponent == math.floor(-found.distance_bits)


def test_paillier_and_keys_held_alone_flood_nothing():
    assert flooding(load_preset("paillier-packed"), Quorum(3, 5), 5, 10) is None
    assert flooding(load_preset("bfv-threshold"), Quorum(1, 5), 5, 10) is None
    assert answers_cap(load_preset("paillier-packed"), Quorum(3, 5), 5, 10) == 10


def test_one_sum_that_is_more_than_the_cap_is_refused_before_a_key_is_made():
    with pytest.raises(ParameterError, match="a sum of 300 ciphertexts exceeds"):
        kms("bfv-threshold-small", "2-of-4", blocks=300)


# -- the cap counts ciphertexts --------------------------------------------------------------------------------------------


def kms(preset, custody, blocks, rounds=3):
    clients = Custody.parse(custody, 4)
    one = KMS("e", preset, clients, sum_blocks=blocks)
    for name, role in (("coordinator", "coordinator"), ("auditor", "auditor")):
        one.enrol(Identity(name, role).member)
    for number in range(1, 5):
        client = Identity(f"client-{number}", "client")
        one.enrol(client.member)
        one.deposit(Prekeys(client, "e").offer(1))
    one.open_epoch(1, rounds)
    return one.active.record


def test_the_record_caps_what_the_epoch_needs_in_ciphertexts():
    record = kms("INSECURE_bfv-threshold-1024", "2-of-4", blocks=5)
    assert record.max_decryptions == ANSWERS_PER_ROUND * 5 * 3 == wanted_answers(5, 3)
    assert wanted_answers(5, 3, dealer_free=True) == 60 + SELF_TESTS
    assert kms("INSECURE_bfv-threshold-1024", "2-of-4", blocks=5, rounds=10_000).max_decryptions == 7000 // 3
    assert kms("INSECURE_paillier-512", "2-of-4", blocks=5).max_decryptions == 60


def opened_by_all(most):
    """How many ciphertexts two colluders of three open, with three honest holders that answer in each other's place."""
    record, opened = replace(RECORD, max_decryptions=most), 0
    for name in CLIENTS[2:]:
        one = holder(name=name)
        for round_ in range(1, 11):
            asked = replace(question(round_=round_, sum_=total(blocks=3)), active=(CLIENTS[0], CLIENTS[1], name))
            try:
                ask(one, asked, record=record)
            except DecryptionRefused as error:
                assert "cap" in str(error)
                break
            opened += 3
    return opened


def keeps_to_what_is_stated(wanted=12):
    stated = flooding(load_preset("bfv-threshold"), Quorum(3, 5), 5, wanted)
    assert opened_by_all(stated.per_holder) <= stated.ciphertexts


def test_no_more_is_opened_than_is_stated():
    keeps_to_what_is_stated()
    assert opened_by_all(12) == 36, "the bound is reached: it is not larger than it need be"


def test_a_cap_counted_in_sums_turns_it_red(monkeypatch):
    def in_sums(self, epoch, more, most):
        if self._count(epoch) // 3 >= most:
            raise question_module.refuse("cap", most, "more", "rotate")

    monkeypatch.setattr(question_module.AnsweredSet, "_check_cap", in_sums)
    with pytest.raises(AssertionError):
        keeps_to_what_is_stated(wanted=6)


def test_a_statement_that_forgets_the_other_holders_turns_it_red(monkeypatch):
    real = module.flooding

    def forgetful(preset, quorum, terms, wanted, **more):
        found = real(preset, quorum, terms, wanted, **more)
        return replace(found, ciphertexts=found.per_holder)

    monkeypatch.setitem(globals(), "flooding", forgetful)
    with pytest.raises(AssertionError):
        keeps_to_what_is_stated()

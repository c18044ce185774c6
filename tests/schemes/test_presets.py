"""Presets: what breaks a rule does not load, and the names that the contract promises are there."""

import math
from dataclasses import replace

import pytest

from hefl_core.errors import ParameterError
from hefl_core.schemes.presets import (
    LIMIT_2024,
    PRESETS,
    BFVPreset,
    CKKSPreset,
    PaillierPreset,
    RingPreset,
    load_preset,
)

PROMISED = """
plaintext paillier-naive paillier-packed paillier-packed-3072 ckks-tutorial ckks-nvflare ckks-lean bfv-lean bfv-compact
bfv-compact-2048 bfv-lean-seeded bfv-compact-seeded bfv-threshold bfv-threshold-classroom bfv-threshold-small
bfv-threshold-strict ckks-threshold
""".split()
RINGS = [preset for preset in PRESETS.values() if isinstance(preset, RingPreset)]


def test_the_promised_names_are_there():
    assert set(PROMISED) <= set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_loads_and_says_where_its_numbers_come_from(name):
    preset = load_preset(name)
    assert preset.name == name and preset.source and preset.security_standard
    assert preset.insecure == name.startswith("INSECURE_")
    assert preset.insecure or preset.security_bits >= 112 or name == "plaintext"


def test_digests_tell_presets_apart():
    assert len({preset.digest for preset in PRESETS.values()}) == len(PRESETS)
    lean = load_preset("bfv-lean")
    assert lean.digest == replace(lean).digest != replace(lean, default_bound=0.5).digest


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ParameterError, match="bfv-lean") as caught:
        load_preset("bfv-huge")
    assert caught.value.suggestion


@pytest.mark.parametrize("preset", [p for p in RINGS if not p.insecure], ids=lambda p: p.name)
def test_rings_stay_under_the_stricter_table(preset):
    assert sum(preset.prime_bits) <= LIMIT_2024[preset.degree]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("bfv-lean", {"plain_bits": 50, "fields": 2}),
        ("bfv-lean", {"max_terms": 1 << 16}),
        ("bfv-compact", {"max_terms": 64}),
        ("bfv-compact", {"plain_bits": 50}),
        ("bfv-compact", {"fields": 5}),
        ("bfv-compact-2048", {"plain_bits": 38}),
        ("bfv-compact-2048", {"prime_bits": (54,)}),
        ("bfv-compact-2048", {"prime_bits": (60,)}),
        ("bfv-lean", {"prime_bits": (60, 50)}),
        ("bfv-lean", {"degree": 2048}),
        ("bfv-lean", {"degree": 3000}),
        ("bfv-lean", {"seeded": True}),
        ("bfv-lean-seeded", {"collective": True}),
        ("bfv-lean", {"security_bits": 0}),
        ("bfv-lean", {"default_bound": 0.0}),
        ("ckks-lean", {"scale_bits": 50}),
        ("ckks-lean", {"prime_bits": (109, 20)}),
        ("ckks-lean", {"max_terms": 1 << 12}),
        ("ckks-lean", {"degree": 2048}),
        ("paillier-packed", {"modulus_bits": 1024}),
        ("INSECURE_bfv-1024", {"plain_bits": 58}),
        ("bfv-lean", {"collective": True}),
    ],
)
def test_a_broken_rule_does_not_load(name, changes):
    with pytest.raises(ParameterError) as caught:
        replace(PRESETS[name], **changes).require_safe()
    assert name in str(caught.value)


@pytest.mark.parametrize("preset", [p for p in RINGS if isinstance(p, BFVPreset)], ids=lambda p: p.name)
def test_the_noise_rule_holds_at_the_largest_sum(preset):
    """q/(2tσ√K) ≥ 15 and q/(2tKσ) ≥ 8: recomputed here from the numbers."""
    q_over_2t = 2.0 ** (preset.data_bits - preset.plain_bits - 1)
    sigma, terms = preset.noise_std, preset.max_terms
    assert q_over_2t / (sigma * math.sqrt(terms)) >= 15
    assert q_over_2t / (sigma * terms) >= 8


def test_the_families_have_their_own_numbers():
    assert isinstance(load_preset("bfv-lean"), BFVPreset)
    assert isinstance(load_preset("ckks-lean"), CKKSPreset)
    assert isinstance(load_preset("paillier-packed"), PaillierPreset)

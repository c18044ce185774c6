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
bfv-threshold-strict ckks-threshold onetime onetime-2048
""".split()
DIGESTS = {
    "plaintext": "713211c136100e35064b74859edf6fa1aff1c54b2f6027c9d9a9bee5b5840c50",
    "paillier-naive": "9f73bce73c48626e08c433b18fe8e2829a0bfede2ae5934d282de4cd6e5c0965",
    "paillier-packed": "637dff2a026b042588b49f31508e0c230f0ccfef07264acb54d831b8fabd7b9a",
    "paillier-packed-3072": "8cb0b9872220d3a051d54f796b5bd574475ac4c655fa85fa09257e26d571bea6",
    "INSECURE_paillier-512": "76014f338aff470ffa3c03aeb2e7117ef2fe710beaaa23193dd2534bc0874dab",
    "ckks-tutorial": "2cac02678359e8413efb66cf5540ee71bc46287333195843d2ec2927ec75069d",
    "ckks-nvflare": "6c8a8788fcbaaf456a3bb26d5025188fe698b2594f2909a6bd0444aed91de5dd",
    "ckks-lean": "93213281e17d0500ac11e8ef2f1190c3a5458e11aeb5332c1234218d3ac5a153",
    "bfv-lean": "ce7187922504c451f53c8e00105195ee1db8b4ceea981cbbedcdc5fd6f0317ba",
    "bfv-compact": "e803482ba803e9ab1720650f6b9f706e42416c2ad8fdedf5ca5cfe4871cd4808",
    "bfv-compact-2048": "0958ce98cd97e4969bfd1529dd93e5e03fcaff8b91f45fecbf1c98cdc7042f33",
    "bfv-compact-2048-seeded": "28e4300d4e10e18e49b8d72a5b1f2212ff321d196dc8e5bf3597cc058e8fb6dc",
    "bfv-lean-seeded": "2ac66c6a40e4408a4118b612d119950ca7c2464a5b7faf7ba4e58034e5eb8e55",
    "bfv-compact-seeded": "0065d3229300fc92cd882d4e2fc786e09a76453b288a2ac2182c4f7ccc6a91bc",
    "INSECURE_ckks-1024": "a5d3c857439e5adcb4df140a12ba3ea01972127f3acf6acbae773ae28d8bd12e",
    "bfv-threshold": "4a8f1266ab08435f90bc4f2035a89ef165ce811f01c54a5f7b9aa0e65caa5879",
    "bfv-threshold-classroom": "9fe6a4552b84ae82a72a60313d1d89a5dc75f30d5febcee01fb9081cdf8c29bc",
    "bfv-threshold-small": "ce0f7dfa55957a8d41e92c562363675cf2557d1a88aee9927dd4b4d0e3b6b31c",
    "bfv-threshold-strict": "1d571d4b360fe50473e695b594edff577c9a806c7bbfea1af89bad2754b79d8b",
    "ckks-threshold": "d59e095538a7c0119cc9d56dc6ee3fa9e1129f63b477b487e2381c160b99d4dd",
    "INSECURE_bfv-threshold-1024": "c04fa9fb52702aff1b690033b446b80df60820d41422d0a9fce95e01550caf6e",
    "INSECURE_ckks-threshold-1024": "924e8c3c57f932bf02e2257f3dc502b866299592ec6b1031b5b393f7141f002a",
    "INSECURE_bfv-1024": "7df639afac4da0b76009c8d5ee4abab26076042f4cfb59c5d354f9ce9338ae3d",
    "onetime": "62a9810d9a3e4df99bc1748cb9e0314c49f26a6f6147833b6ab11baf790dc050",
    "onetime-2048": "79676b243d9f1189329b63fec653496c45967592f86f3a60e3d74410ac1cd669",
    "INSECURE_onetime-1024": "14351504e3cdb8032c719ca14fcd4873f772559ff093c26a9d7ac34662677abd",
}
"""Records of earlier runs name presets by these digests: a changed one refuses every record of before."""
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


def test_digests_are_those_that_records_of_earlier_versions_name():
    assert {name: preset.digest.hex() for name, preset in PRESETS.items()} == DIGESTS


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

"""Mixed radix: as many fields in a word as arithmetic allows, sums that are exact, and refusal of what is no sum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import EncodingError, IntegrityError, ParameterError
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.schemes.onetime.body import Body
from hefl_core.schemes.presets import PRESETS, BFVPreset, OneTimePreset, few_bits, load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.radix import Radix, base_of, digits_below
from hefl_core.schemes.registry import INTEGERS, block_count, open_scheme
from hefl_core.schemes.ring import seal

SMALL = (
    ("INSECURE_bfv-1024", (2, 5)), ("INSECURE_bfv-1024", (3, 16)), ("INSECURE_bfv-1024", (16, 64)),
    ("INSECURE_paillier-512", (2, 5)), ("INSECURE_paillier-512", (3, 16)), ("INSECURE_paillier-512", (16, 64)),
    ("INSECURE_onetime-1024", (2, 5)), ("INSECURE_onetime-1024", (3, 16)), ("INSECURE_onetime-1024", (16, 4)),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(bits=st.integers(2, 16), terms=st.integers(1, 128), d=st.integers(1, 41), seed=st.integers(0, 2**32))
def test_sums_of_words_are_the_sums_at_both_ends_too(bits, terms, d, seed):
    rng, fields = np.random.default_rng(seed), FixedPoint.of(bits, terms)
    radix = Radix(base_of(bits, terms), digits_below(base_of(bits, terms), 2**43))
    xs = rng.uniform(-1, 1, (terms, d))
    xs[:, 0], xs[:, -1] = 1.0, -1.0
    whole = [fields.quantise(x, 1.0) for x in xs]
    total = radix.unpack(sum(map(radix.pack, whole)), d, terms)
    assert np.array_equal(total, np.sum(whole, axis=0))
    assert np.max(np.abs(fields.restore(total, 1.0, terms) - xs.sum(axis=0))) <= fields.sum_error(1.0, terms)
    assert np.array_equal(
        fields.whole(fields.restore(total, 1.0, terms), 1.0), total.astype(int) - terms * fields.offset
    )


def test_no_word_wastes_a_field_and_none_reaches_the_plaintext_prime():
    """The largest sum of all stays below t, so no sum is reduced; one more field would not."""
    for name, preset in PRESETS.items():
        if isinstance(preset, BFVPreset):
            bits_of_a_word, t = preset.plain_bits, seal.open_ring(preset).plain_modulus
        elif isinstance(preset, OneTimePreset):
            bits_of_a_word, t = preset.payload_bits, Body(preset).largest_sum
        else:
            continue
        assert 2**bits_of_a_word - 2**16 < t
        for bits, terms in ((2, 2), (3, 5), (4, 16), (16, preset.max_terms)):
            radix = load_preset(few_bits(name, bits, terms)).radix
            assert radix.limit <= t < radix.limit * radix.base
    whole_bits = load_preset("bfv-compact").plain_bits // (4 + 3)  # 4 value bits, 3 of head-room for 5
    assert load_preset(few_bits("bfv-compact", 4, 5)).fields == 7 > whole_bits == 6


def test_what_is_no_sum_is_refused():
    radix = Radix(31, 9)
    words = radix.pack(np.full(10, 7, dtype=np.uint64))
    assert np.array_equal(radix.unpack(words, 10, 1), np.full(10, 7))
    with pytest.raises(IntegrityError, match="past the largest sum"):
        radix.unpack(words + np.array([radix.limit, 0], dtype=np.uint64), 10, 1)
    with pytest.raises(IntegrityError, match="digits after the last field"):
        radix.unpack(words + np.array([0, 31], dtype=np.uint64), 10, 1)
    # A digit within the base and past what this number of terms can reach: the quantiser refuses it.
    with pytest.raises(IntegrityError, match="sums of 1 values"):
        FixedPoint.of(3, 5).restore(radix.unpack(words + np.uint64(1), 10, 1), 1.0, 1)


@pytest.mark.parametrize(("name", "choice"), SMALL)
def test_every_packed_scheme_adds_few_bits_exactly(name, choice):
    bits, terms = choice
    preset = load_preset(few_bits(name, bits, terms))
    scheme, rng = open_scheme(preset.name), np.random.default_rng(1)
    key, shares = scheme.keygen(Quorum(1, 2))
    xs = rng.uniform(-1, 1, (3, 301))
    made = [scheme.encrypt(key, x, bound=1.0, max_terms=terms, integers=(7, 1), tag=lambda *_: 5) for x in xs]
    assert {len(vector.blocks) for vector in made} == {block_count(preset, 301)} and INTEGERS == 2
    running = scheme.accumulator(key)
    for vector in made:
        running.add(vector)
    total = running.total()
    opened = scheme.open(key, total, [scheme.partial_decrypt(shares[0], total, (1,))])
    assert (opened.integers, opened.tag) == ((21, 3), 15)
    assert np.max(np.abs(opened.values - xs.sum(axis=0))) <= scheme.sum_error(1.0, 3, terms)
    with pytest.raises(EncodingError, match="max_terms"):
        scheme.encrypt(key, xs[0], bound=1.0, max_terms=terms + 1)


def test_the_packing_is_in_the_keys_name_and_nowhere_else():
    """Two parties with different bits have different keys: their ciphertexts never meet in a sum."""
    one, other = (load_preset(few_bits(SMALL[0][0], bits, 5)) for bits in (3, 4))
    assert len({one.digest, other.digest, load_preset(SMALL[0][0]).digest}) == 3
    key, _ = open_scheme(one.name).keygen(Quorum(1, 2))
    assert key.id.preset == one.name == "INSECURE_bfv-1024.3bit.k5"
    for wrong in ("ckks-lean", "plaintext", "paillier-naive"):
        with pytest.raises(ParameterError, match="packs whole numbers"):
            load_preset(few_bits(wrong, 3, 5))
    for bits, terms, what in ((1, 5, "expected 2..16"), (17, 5, "expected 2..16"), (3, 17, "sums of 2 to 16")):
        with pytest.raises(ParameterError, match=what):
            load_preset(few_bits("bfv-compact", bits, terms))
    for name in ("bfv-compact.03bit.k5", "nobody.3bit.k5", "bfv-compact.3bit.k5.4bit.k5", "bfv-compact.3bit.k5\n"):
        with pytest.raises(ParameterError, match="expected one of"):
            load_preset(name)

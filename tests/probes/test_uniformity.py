"""Ciphertexts against noise: honest ones pass under every family, broken ones are seen."""

import numpy as np
import pytest

from hefl_core.probes.uniformity import CiphertextRow, compare, read_rows, rows_of, same_mask, unmasked
from hefl_core.runtime.launch import run_experiment
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import blocks, seal
from tests.conftest import SMALL

RARE = 1e-9
"""A suite that runs every day asks for more than one false alarm in a thousand."""


@pytest.mark.parametrize("name", ["bfv-lean", "bfv-compact-seeded", "ckks-tutorial", "INSECURE_paillier-512"])
def test_fresh_ciphertexts_pass_and_broken_ones_do_not(name):
    scheme = open_scheme(name)
    key, shares = scheme.keygen(Quorum(1, 3))
    by = shares[0] if scheme.preset.symmetric else key
    vectors = [scheme.encrypt(by, np.full(200, 0.01), bound=0.5, max_terms=3) for _ in range(8)]
    senders, rows = ["client-1", "client-2"] * 4, list(read_rows(key, vectors))
    assert compare(senders, rows, RARE).holds
    assert not compare(senders, unmasked(rows), RARE).holds
    assert not compare(senders, same_mask(rows), RARE).holds
    assert not compare(senders, list(read_rows(key, vectors[:1] * 8)), RARE).holds


def test_a_run_is_tested_under_its_newest_key(small_result):
    senders, rows = rows_of(small_result.transcript)
    found = compare(senders, rows, RARE)
    assert found.holds and found.uploads == len(senders) >= 3 and found.numbers > 10_000
    changed = run_experiment(SMALL.but(scheme="INSECURE_paillier-512", epoch_rounds=1, model="logistic"))
    senders, rows = rows_of(changed.transcript)
    assert len(senders) == changed.experiment.clients and compare(senders, rows, RARE).holds


def test_what_is_not_encrypted_is_not_uniform_and_nothing_is_no_evidence():
    senders, rows = rows_of(run_experiment(SMALL.but(scheme="plaintext", rounds=1)).transcript)
    assert not compare(senders, rows, RARE).holds
    assert not compare((), ()).holds


@pytest.mark.parametrize("modulus", [(1 << 20) - 3, (1 << 40) - 87, (1 << 60) - 93])
def test_bits_that_are_not_free_are_seen(modulus):
    """Numbers of the right size whose low byte is zero, or two bits in the middle; of which one more in eight is even."""
    rng = np.random.default_rng(11)
    fair = [rng.integers(0, modulus, 8192, np.uint64) for _ in range(4)]
    even = [np.where(rng.random(8192) < 1 / 8, one & ~np.uint64(1), one) for one in fair]
    rows = {
        name: (CiphertextRow("row", modulus, tuple(uploads)),) for name, uploads in (("fair", fair), ("even", even))
    }
    rows["byte"] = (CiphertextRow("row", modulus, tuple(one & ~np.uint64(255) for one in fair)),)
    rows["middle"] = (CiphertextRow("row", modulus, tuple(one & ~np.uint64(0x600) for one in fair)),)
    assert compare("abab", rows["fair"], RARE).holds
    for name in ("even", "byte", "middle"):
        found = compare("abab", rows[name], RARE)
        wrong = {trial.name for trial in found.tests if trial.p_value < RARE / len(found.tests)}
        assert wrong and all(", bits " in one for one in wrong), (name, wrong)


@pytest.mark.parametrize("clients", [4, 16])
def test_one_clients_masks_do_not_drown_in_those_of_many(clients):
    """One upload of many with all residues odd, or in the lower half: pooled, 1 of 16 would pass."""
    rng, modulus = np.random.default_rng(12), (1 << 40) - 87
    fair = [rng.integers(0, modulus, 8192, np.uint64) for _ in range(clients)]
    senders = [f"client-{n + 1}" for n in range(clients)]
    assert compare(senders, [CiphertextRow("c1", modulus, tuple(fair))], RARE).holds
    for bad in (fair[2] | np.uint64(1), fair[2] // np.uint64(2)):
        found = compare(senders, [CiphertextRow("c1", modulus, (*fair[:2], bad, *fair[3:]))], RARE)
        wrong = {trial.name for trial in found.tests if trial.p_value < RARE / len(found.tests)}
        assert any(one.startswith("c1, client-3's upload 3") for one in wrong), wrong


def test_rests_of_a_small_modulus_are_weighed_as_often_as_they_occur():
    """Modulo 300 the rests 0 to 43 of 256 occur twice as often as the others."""
    uploads = (np.tile(np.arange(300, dtype=np.uint64), 400),)
    assert all(trial.p_value == 1 for trial in compare("a", [CiphertextRow("row", 300, uploads)]).tests[1:])


def test_the_family_raises_few_false_alarms():
    """At alpha = 5 %, of 200 families of uniform numbers about 10 are accused; 30 would be six standard deviations off."""
    rng = np.random.default_rng(3)

    def family():
        return [
            CiphertextRow(f"row {n}", modulus, tuple(rng.integers(0, modulus, 512, np.uint64) for _ in range(4)))
            for n, modulus in enumerate((1 << 40, 10_007))
        ]

    assert sum(not compare("abab", family(), 0.05).holds for _ in range(200)) < 30


def test_a_mask_that_returns_after_others_is_seen_between_its_clients_own():
    """The first client's ninth upload has its first mask: alone, and beside its neighbour, it looks like any other."""
    rng, modulus = np.random.default_rng(5), (1 << 40) - 87
    masks = [rng.integers(0, modulus, 4096, np.uint64) for _ in range(8)]
    uploads = [(one + rng.integers(0, 1 << 16, 4096, np.uint64)) % np.uint64(modulus) for one in (*masks, masks[0])]
    found = compare("abcdefgha", [CiphertextRow("row", modulus, tuple(uploads))], RARE)
    wrong = [trial.name for trial in found.tests if trial.p_value < RARE / len(found.tests)]
    assert wrong and all("to the same client's next upload" in one for one in wrong)


def test_of_many_uploads_and_blocks_the_seed_decides_which_are_looked_at():
    """Every block can be drawn, and one seed draws the same of each upload."""
    scheme = open_scheme("INSECURE_bfv-1024")
    key, _ = scheme.keygen(Quorum(1, 3))
    vector = scheme.encrypt(key, np.full(20_000, 0.01), bound=0.5, max_terms=3)
    assert len(vector.blocks) > 6
    whole = {
        blocks.read(scheme.preset, seal.open_ring(scheme.preset), block, "block", fresh=True)[0, 0].tobytes()
        for block in vector.blocks
    }
    seen = set()
    for seed in range(40):
        row = next(read_rows(key, [vector, vector], bytes([seed])))
        one, other = (upload.reshape(-1, 1024) for upload in row.uploads)
        assert np.array_equal(one, other) and len({block.tobytes() for block in one}) == 4
        seen |= {block.tobytes() for block in one}
    assert seen == whole

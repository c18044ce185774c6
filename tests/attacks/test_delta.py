"""A number added to one's own c1: the key from one opened sum, seen or unseen, and what a key per round leaves of it."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from hefl_core.attacks.catalogue import run
from hefl_core.attacks.lab import COALITION
from hefl_core.attacks.methods import deviating_client as delta
from hefl_core.cli.main import app
from hefl_core.errors import ParameterError
from hefl_core.schemes.base import PartialDecryption
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import load_preset, open_scheme
from hefl_core.schemes.ring import blocks, rlwe, shamir

RINGS = ("bfv-threshold", "bfv-threshold-strict", "bfv-threshold-classroom", "bfv-threshold-small", "ckks-threshold")
SMALL = "INSECURE_bfv-threshold-1024"


@pytest.mark.parametrize("scheme", [*RINGS, SMALL])
@pytest.mark.parametrize("deviation", [delta.LOUD, delta.SILENT])
def test_one_opened_sum_gives_the_key_and_a_key_for_each_round_limits_it_to_that_round(scheme, deviation):
    kept = run("delta", scheme=scheme, deviation=deviation)
    assert (kept.seat, kept.trials, kept.value, kept.scheme) == (COALITION, 8, 1.0, scheme)
    assert set(kept.array("key").tolist()) == {-1.0, 0.0, 1.0}
    fresh = run("delta", scheme=scheme, deviation=deviation, epoch_rounds=1)
    assert fresh.array("opened").tolist() == [1.0] * 4 + [0.0] * 4, "the round in which the client deviated, no other"
    assert "4 of 4 uploads of round 1, 0 of 4 of round 2" in fresh.note


@pytest.mark.parametrize("scheme", [*RINGS, SMALL])
def test_the_control_a_client_that_follows_the_protocol_reads_nothing(scheme):
    found = run("delta", scheme=scheme, deviation=delta.NONE)
    assert found.value == 0 and not found.array("key").any() and "notice nothing" in found.note


def test_in_many_rounds_it_never_fails_and_never_succeeds_by_luck():
    """The rate: 20 rounds under 20 keys for each way; every upload of every round, or none."""
    found = {
        deviation: [
            run("delta", scheme=SMALL, deviation=deviation, epoch_rounds=1, seed=seed).value for seed in range(20)
        ]
        for deviation in delta.DEVIATIONS
    }
    assert found == {
        delta.NONE: [0.0] * 20,
        delta.LOUD: [0.5] * 20,
        delta.SILENT: [0.5] * 20,
    }


@pytest.mark.parametrize("threshold_", [2, 3, 4, 5])
def test_the_quorum_does_not_matter(threshold_):
    assert run("delta", scheme=SMALL, threshold=threshold_).value == 1


@pytest.mark.parametrize(
    ("scheme", "says"), [(SMALL, "noise of block 1"), ("ckks-threshold", "integers: expected whole")]
)
def test_the_loud_one_is_noticed_when_the_key_is_out_and_the_silent_one_never(scheme, says):
    loud, silent = (run("delta", scheme=scheme, deviation=deviation) for deviation in (delta.LOUD, delta.SILENT))
    assert loud.value == silent.value == 1
    assert "honest clients refuse the sum: IntegrityError" in loud.note and says in loud.note
    assert "honest clients notice nothing" in silent.note


def test_what_the_silent_one_leaves_is_an_honest_sum():
    """Its noise is within the honest limit; with the answer that it should have sent it is beyond."""
    view, _ = delta.stage(SMALL)
    key, scheme = delta.read_key(view), open_scheme(SMALL)
    amount = delta.delta_for(scheme.preset, 3)
    sent = [delta.cover_up(p, key, amount) if p.index == delta.DEVIATES else p for p in delta._partials(view)]
    total = delta._total(view)
    primes, noise = rlwe.data_primes(scheme.ring), []
    for partials in (sent, delta._partials(view)):
        words = blocks.read(scheme.preset, scheme.ring, total.blocks[0], "sum", fresh=False)[0]
        for part in partials:
            element = shamir.from_bytes(part.blocks[0], primes, scheme.ring.degree, "partial")
            words = shamir.add(words, element, primes)
        noise.append(max(abs(v) for v in delta._without_plaintext(scheme.ring, words)))
    limit = scheme.preset.noise_limit(Quorum(3, 5), 5)
    assert noise[0] <= limit < noise[1]


def test_no_check_before_the_answer_sees_it():
    """c1 is uniform either way, and shape and residues are right: what a coordinator, an auditor or a holder looks at."""
    scheme = open_scheme(SMALL)
    key, _ = scheme.keygen(Quorum(3, 5))
    own = scheme.encrypt(key, np.zeros(600), bound=1.0, integers=(1, 1), tag=lambda words, modulus: 17)
    shifted = delta.shift(own, delta.delta_for(scheme.preset, 3))
    scheme.check(key, shifted)
    before, after = (rlwe.read_ciphertext(scheme.ring, v.blocks[0], "block") for v in (own, shifted))
    assert np.array_equal(before[0], after[0]) and (before[1] != after[1]).sum() == len(rlwe.data_primes(scheme.ring))
    with pytest.raises(ParameterError, match="no room"):
        delta.delta_for(load_preset(SMALL), 16)


def test_the_view_holds_no_key():
    view, _ = delta.stage(SMALL)
    assert view.keys == () and {message.kind for message in view.messages} == {"update", "total", "partial"}
    assert len([PartialDecryption.from_bytes(one.content) for one in view.messages if one.kind == "partial"]) == 3


@pytest.mark.parametrize("scheme", ["bfv-lean", "paillier-packed", "plaintext"])
def test_other_schemes_are_refused_by_name(scheme):
    with pytest.raises(ParameterError, match="expected a BFV or CKKS preset that is held together"):
        delta.stage(scheme)


def test_the_command_has_the_ways_and_the_limit_as_switches():
    def told(*args):
        found = CliRunner().invoke(app, ["attack", "delta", *args, "--json", "-"], standalone_mode=False)
        return json.loads(found.stdout)[0]["value"]

    assert told() == 1 and told("--epoch-rounds", "1") == 0.5
    assert told("--deviation", "silent") == 1 and told("--deviation", "none") == 0
    with pytest.raises(ParameterError, match="deviation: expected none or loud or silent"):
        app(["attack", "delta", "--deviation", "kind"], standalone_mode=False)

"""Attacks on real runs' own messages: they read a plaintext run, and under every scheme and custody they read nothing."""

import json
import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from typer.testing import CliRunner

from hefl_core.app.captured_run import of_result, of_run, of_transcript
from hefl_core.attacks.on_run import HINTS, ON_RUN, Reading, attack_run, luck, reading
from hefl_core.attacks.view import MEAN
from hefl_core.cli.main import app
from hefl_core.errors import HeflError, ParameterError
from hefl_core.runtime.launch import run_experiment
from hefl_core.terms.experiment import Experiment
from tests.conftest import finished

RARE = 1e-13
"""All questions of this file together raise less than one false alarm in 10^9, although scores of one update depend on each other
(measured: their AUC spreads up to 7 % wider than the p-value assumes)."""
ROUNDS = 6
"""Label shares of a dozen hospitals are little evidence in one round; each round has ciphertexts of its own."""
PLAIN = Experiment(dataset="breast_cancer", batch=16, clients=12, rounds=2, alpha=0.05, scheme="plaintext")
"""Hospitals of very different size: two of them have two patients each, and one step on those."""
EVEN = Experiment(dataset="breast_cancer", batch=16, clients=5, rounds=2)
ENCRYPTED = [
    PLAIN.but(scheme="bfv-lean"),
    PLAIN.but(scheme="bfv-compact-2048-seeded"),
    PLAIN.but(scheme="ckks-lean"),
    PLAIN.but(scheme="INSECURE_paillier-512"),
    EVEN.but(scheme="bfv-threshold", custody="3-of-5"),
    EVEN.but(scheme="ckks-threshold", custody="dealer-free:2-of-5"),
]


def pooled(results):
    """The p-value of all results together: their normal scores added up (Stouffer 1949)."""
    scores = [NormalDist().inv_cdf(min(1 - 1e-12, max(1e-300, result.p_value))) for result in results]
    return NormalDist().cdf(sum(scores) / math.sqrt(len(scores)))


def told(capture, name, seat):
    """Whether all rounds of a run together told this seat more than guessing, beyond luck."""
    results = [attack_run(capture, name, seat, round_) for round_ in capture.rounds]
    return any(reading(result) is Reading.READ for result in results) if name == "records" else pooled(results) < RARE


@pytest.fixture(scope="module")
def plain():
    return of_run(finished(PLAIN.but(rounds=ROUNDS)))


@pytest.fixture(scope="module")
def even():
    return of_run(finished(EVEN, keep_keys=True))


@pytest.mark.parametrize("seat", ["coordinator", "auditor"])
def test_on_a_plaintext_run_every_attack_reads(plain, seat):
    for round_ in (1, 2):
        found = {name: attack_run(plain, name, seat, round_) for name in ON_RUN}
        told = {name: reading(result) for name, result in found.items()}
        assert told == {"property": Reading.HINT, "membership": Reading.READ, "records": Reading.READ}, told
        assert all(result.trials == 12 and result.source and seat in result.threat for result in found.values())
        assert found["property"].value < found["property"].prior / 2 and found["membership"].value > 0.7


def test_the_smallest_hospitals_records_come_back_whole(plain):
    found = attack_run(plain, "records", "coordinator")
    sizes, whole = found.array("recovered").T
    assert sizes.min() == 2 and set(whole[sizes == 2]) == {2.0} and whole[sizes > 100].sum() == 0
    assert np.max(np.abs(found.array("guess") - found.array("record"))) < 1e-3
    assert found.array("psnr")[0] > 60 and "of 455 records whole" in found.note


@pytest.mark.parametrize("experiment", ENCRYPTED, ids=lambda e: f"{e.scheme} {e.custody}")
def test_on_an_encrypted_run_the_coordinator_and_the_auditor_read_nothing(experiment):
    capture = of_run(finished(experiment.but(rounds=ROUNDS)))
    assert not any(told(capture, name, "coordinator") for name in ON_RUN)
    assert not any(told(replace(capture, last=1), name, "auditor") for name in ON_RUN), "the same bytes"
    for victim in capture.victims("coordinator", 1):
        assert not victim.view.keys and not victim.view.held and len(victim.view.messages) == 1


def test_what_is_planted_is_found(plain):
    """Positive controls: the same code, seat and check, after a share or the open updates got to the coordinator."""
    assert all(told(plain, name, seat) for name in ON_RUN for seat in ("coordinator", "auditor"))
    capture = of_run(finished(PLAIN.but(scheme="bfv-lean", rounds=ROUNDS), keep_keys=True))
    with_key = replace(capture, shares={"coordinator": capture.shares["client-3"]})
    # records are not among them: two of 256 weights leave few of the fixed point's steps to a small client's update
    assert all(told(with_key, name, "coordinator") for name in ("property", "membership"))
    assert not any(told(capture, name, "coordinator") for name in ON_RUN)
    transcripts = (capture.transcript, plain.transcript)
    uploads = ([sent for sent in one.sent if sent.step == "update"] for one in transcripts)
    for sealed, open_ in zip(*uploads, strict=True):
        capture.transcript.blobs[sealed.head.header.content_digest] = plain.transcript.content(open_)
    assert all(told(capture, name, "coordinator") for name in ON_RUN)


def test_with_one_clients_share_a_coordinator_reads_what_individual_custody_protects(even):
    alone, together, plain = (
        attack_run(even, "membership", seat) for seat in ("coordinator", "coordinator+client-1", "auditor+client-2")
    )
    assert alone.p_value > RARE and reading(together) is Reading.READ is reading(plain)
    assert together.trials == 4 and "shares of the key" in together.threat
    open_ = attack_run(of_run(finished(EVEN.but(scheme="plaintext"))), "membership", "coordinator+client-1")
    assert together.value == pytest.approx(open_.value, abs=0.02), "decrypted, it is the update of the plaintext run"


def test_fewer_than_t_together_have_the_mean_only():
    capture = of_run(finished(EVEN.but(scheme="bfv-threshold", custody="3-of-5", rounds=1), keep_keys=True))
    assert capture.seats[3:6] == ("coordinator+client-1", "coordinator+client-1+client-2", capture.seats[5])
    (victim,) = capture.victims("coordinator+client-1+client-2", 1)
    assert victim.name == "3 clients together"
    assert len(capture.victims(capture.seats[5], 1)) == 2
    assert reading(attack_run(capture, "membership", capture.seats[5])) is Reading.READ


def test_a_verdict_needs_more_than_luck_and_victims_enough(plain):
    """How often guessing reaches a p-value is measured in test_calibration.py."""
    found = attack_run(plain, "property", "coordinator")
    assert luck(found) == int(float(f"{1 / found.p_value:.2g}")) > 1 / HINTS
    for p_value, said in ((None, "too few"), (1e-7, "read"), (1e-3, "hint"), (0.02, "nothing"), (1.0, "nothing")):
        assert reading(replace(found, p_value=p_value)).value == said
    assert reading(replace(found, p_value=1e-7, trials=4)) is Reading.TOO_FEW, "4 victims: 24 orders"


def test_a_client_subtracts_itself_from_the_mean(even):
    """Against the clients' updates as the observer has them."""
    for round_ in even.rounds:
        (victim,) = even.victims("client-2", round_)
        seen = [one for one in even.private[round_] if one.client != "client-2"]
        mean = sum(np.frombuffer(one.update) * one.examples for one in seen) / sum(one.examples for one in seen)
        assert np.max(np.abs(victim.view.array(MEAN) - mean)) < 1e-5
        assert victim.examples == len(victim.truth.examples) == sum(one.examples for one in seen)
    assert reading(attack_run(even, "property", "client-2")) is Reading.TOO_FEW, "one victim has no interval"


def test_without_shares_a_client_still_has_what_it_decrypted(even):
    result = run_experiment(EVEN)
    for_client, kept = of_result(result).victims("client-1", 2), even.victims("client-1", 2)
    assert for_client[0].view.array(MEAN) == pytest.approx(kept[0].view.array(MEAN), abs=1e-4)
    with pytest.raises(ParameterError, match="needs the live run"):
        of_transcript(result.transcript).victims("client-1", 1)


def test_who_has_nothing_and_what_does_not_fit_is_said(even):
    for seat in ("kms", "eavesdropper"):
        with pytest.raises(ParameterError, match="no update"):
            attack_run(even, "property", seat)
    with pytest.raises(ParameterError, match="round"):
        even.victims("coordinator", 9)
    with pytest.raises(ParameterError, match="property, membership, records"):
        attack_run(even, "label", "coordinator")
    with pytest.raises(HeflError, match="moon"):
        even.victims("moon", 1)
    convolution = of_run(finished(Experiment(model="cnn", clients=3, rounds=1, scheme="plaintext")))
    for name in ("property", "records"):
        with pytest.raises(ParameterError, match="dense"):
            attack_run(convolution, name, "coordinator")


def test_the_command_attacks_a_transcript_from_a_file(plain, tmp_path):
    def command(*args):
        return CliRunner().invoke(app, ["attack", *args], standalone_mode=False)

    for name, transcript in (("plain", plain.transcript), ("even", finished(EVEN).transcript)):
        transcript.save(tmp_path / f"{name}.jsonl")
    told = json.loads(command("property", "--transcript", str(tmp_path / "plain.jsonl"), "--json", "-").stdout)
    same = attack_run(plain, "property", "coordinator")
    assert told["value"] == same.value and told["seat"] == "coordinator" and told["evidence"]["read"]
    second = ("membership", "--seat", "auditor", "--round", "2", "--transcript", str(tmp_path / "even.jsonl"))
    assert json.loads(command(*second, "--json", "-").stdout)["p_value"] > RARE
    for blob in (tmp_path / "even.jsonl.d").iterdir():
        blob.unlink()
    with pytest.raises(ParameterError, match="blobs"):
        raise command(*second).exception


def test_a_rotation_is_public_and_hides_nothing_from_a_seat_that_decrypts():
    """The coordinator with one client's share reads updates of few bits too; as they lie in the ciphertext they are noise."""
    coarse = of_run(finished(EVEN.but(rounds=1, bits=12, bound=1.0), keep_keys=True))
    truths = [np.frombuffer(one.update) for one in coarse.private[1]]

    def likeness(view):
        found = [view.opened(vector)[0] for vector in view.ciphertexts()]
        return min(max(abs(np.corrcoef(one, truth)[0, 1]) for truth in truths) for one in found)

    view = coarse._view("coordinator+client-1", ("coordinator", "client-1"), 1)
    assert likeness(view) > 0.99
    assert likeness(replace(view, rotation=None)) < 0.5

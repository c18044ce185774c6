"""What is said beside a choice: that nobody checks the mean, how much flooding there is, that a quorum is no majority."""

import json
import re

import pytest

from hefl_core.app.report import to_html
from hefl_core.federation.remarks import (
    SAID,
    ceiling_remarks,
    custody_remarks,
    majority_remark,
    mean_remark,
    remarks_on,
)
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.runtime.run import Run
from hefl_core.schemes.presets import PRESETS, RingPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.canonical import decode
from tests.conftest import finished

HELD = Experiment(scheme="bfv-threshold", custody="3-of-5", clients=5, rounds=4)


def said(remarks):
    return " ".join(str(remark) for remark in remarks)


def test_without_a_clip_the_mean_is_not_checked_and_with_one_it_is():
    assert "not checked" in str(mean_remark(HELD))
    assert "no longer than the clip of 0.25" in str(mean_remark(HELD.but(clip_norm=0.25)))


@pytest.mark.parametrize(
    ("threshold", "holders", "marked"),
    [(2, 3, False), (2, 4, True), (3, 5, False), (2, 5, True), (5, 10, True), (6, 10, False), (3, 6, True)],
)
def test_t_of_half_of_n_or_less_is_marked(threshold, holders, marked):
    """2t ≤ n is exactly when two disjoint groups of t exist."""
    disjoint = (
        len(range(1, holders + 1)[:threshold]) + len(range(1, holders + 1)[threshold:][:threshold]) == 2 * threshold
    )
    assert disjoint == marked == (not Quorum(threshold, holders).majority)
    for dealt in ("", "dealer-free:"):
        chosen = HELD.but(custody=f"{dealt}{threshold}-of-{holders}", clients=holders, min_cohort=2)
        assert bool(majority_remark(chosen)) == marked
        assert (
            ("no majority" in said(custody_remarks(chosen, 1000)))
            == marked
            == ("no majority" in said(ceiling_remarks(chosen)))
        )


def test_a_key_that_each_client_holds_needs_no_such_mark():
    assert custody_remarks(Experiment(), 1000) == () == ceiling_remarks(Experiment())


@pytest.mark.parametrize("name", [name for name, p in PRESETS.items() if isinstance(p, RingPreset) and p.collective])
def test_flooding_is_stated_for_the_model_the_quorum_and_the_dealer(name):
    chosen = HELD.but(scheme=name)
    stated = {
        (d, custody, rounds): chosen.but(custody=custody, rounds=rounds, epoch_rounds=rounds).flooding(d).distance_bits
        for d in (1000, 100_000)
        for custody in ("3-of-5", "dealer-free:3-of-5", "2-of-5")
        for rounds in (1, 2)
    }
    assert stated[100_000, "3-of-5", 1] > stated[1000, "3-of-5", 1], "a larger model opens more ciphertexts"
    assert stated[1000, "dealer-free:3-of-5", 1] > stated[1000, "3-of-5", 1], "√n larger noise"
    assert stated[1000, "2-of-5", 1] > stated[1000, "3-of-5", 1], "one more holder answers in another's place"
    assert stated[1000, "3-of-5", 2] > stated[1000, "3-of-5", 1], "more rounds"
    words = said(custody_remarks(chosen, 1000))
    assert ("Demonstration flooding" in words) == PRESETS[name].demonstration
    assert re.search(r"2\^-\d+", words)


@pytest.mark.parametrize(("custody", "every"), [("3-of-5", 2), ("2-of-5", None), ("dealer-free:3-of-5", 3)])
def test_what_is_said_is_what_the_record_holds_holders_to(custody, every):
    """Each epoch's record caps at most what the experiment stated; and the rounds of the records are those of the rotations."""
    chosen = Experiment(
        dataset="digits", model="logistic", scheme="INSECURE_bfv-threshold-1024", custody=custody, clients=5, rounds=4,
        epoch_rounds=every,
    )  # fmt: skip
    run = finished(chosen)
    records = [
        decode(run.transcript.body(s), EpochAnnouncement).record for s in run.transcript.sent if s.step == "epoch"
    ]
    stated = chosen.flooding(run.transcript.manifest.parameters)
    assert max(record.max_decryptions for record in records) == stated.per_holder
    rounds = [n for record in records for n in range(record.first_round, record.last_round + 1)]
    assert rounds == [1, 2, 3, 4]
    assert run.result().flooding == stated


def test_a_rotation_in_between_does_not_move_the_others():
    chosen = HELD.but(rounds=7, epoch_rounds=3)
    assert [chosen.last_round_of(n) for n in range(1, 8)] == [3, 3, 3, 6, 6, 6, 7]
    assert HELD.last_round_of(2) == 2, "a dealt key that is held together serves one round unless it is said otherwise"
    assert HELD.but(epoch_rounds=4).last_round_of(2) == 4


@pytest.fixture(scope="module")
def result():
    run: Run = finished(
        Experiment(model="logistic", clients=4, rounds=1, scheme="bfv-threshold-classroom", custody="2-of-4")
    )
    return run.result()


def test_the_result_and_the_report_say_it(result):
    found = json.loads(result.to_json())
    text = " ".join(found["remarks"])
    for words in ("not checked", "Demonstration flooding", "2 of 4 is no majority"):
        assert words in text and words in to_html(result)
    assert found["flooding"]["per_holder"] == result.flooding.per_holder
    assert result.remarks == tuple(str(remark) for remark in remarks_on(result.experiment, result.parameters))


def test_every_sentence_can_be_filled_in():
    for sentence in SAID:
        places = set(re.findall(r"{(\d)}", sentence))
        assert sentence.format(*"ab") and places <= {"0", "1"}

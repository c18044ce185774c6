"""Honest runs of every kind: no row of the ledger is red. What a run does not allow to check is not checked."""

from dataclasses import replace

import pytest

from hefl_core.checks.claims.ledger import check_claims
from hefl_core.checks.claims.planted import move_mean, tamper_sum
from hefl_core.errors import HeflError, RuntimeUnavailable, WireError
from hefl_core.federation.client import Client
from hefl_core.federation.record.transcript import LeftOut, Transcript, TranscriptLine, Unsent
from hefl_core.keys.ceremony import STEPS as CEREMONY
from hefl_core.keys.ceremony_result import PREFIX
from hefl_core.keys.roster import CLIENT
from hefl_core.probes.inputs import examine_record
from hefl_core.runtime.calls import STEPS
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.restart import durable_local_stage
from hefl_core.runtime.run import Run
from hefl_core.terms import messages as m
from tests.conftest import SMALL

FOUR = SMALL.but(clients=4, model="logistic")
TOGETHER = FOUR.but(scheme="INSECURE_bfv-threshold-1024", custody="2-of-4")
DEALER_FREE = TOGETHER.but(custody="dealer-free:2-of-4")
PAILLIER = FOUR.but(scheme="INSECURE_paillier-512", custody="2-of-4")
PRIVATE = FOUR.but(clip_norm=1.0, dp_noise=0.5)
ONE_TIME = FOUR.but(scheme="INSECURE_onetime-1024", bits=3)
ONE_TIME_TOGETHER = ONE_TIME.but(custody="2-of-4")


def kind(one):
    return "-".join(filter(None, (one.scheme, one.custody, "private" * (one.dp_noise is not None))))


UNSEEN = {"coordinator-blind", "equals-fedavg", "one-model", "noise-added", "epochs-apart", "flooded"}
"""Rows that need what the clients show to the observer."""


def unflooded(experiment):
    """Paillier's answers are not flooded, so that nothing of it can be measured."""
    return {"flooded"} if "paillier" in experiment.scheme and experiment.quorum.collective else set()


def not_red(result):
    """The rows that were not checked. AssertionError where one is red."""
    checked = check_claims(result)
    assert checked.failed == ()
    return {finding.id for finding in checked.claims if finding.holds is None}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"epoch_rounds": 1},
        {"clip_norm": 0.1},
        {"bound": "adaptive", "epoch_rounds": 1},
        {"scheme": "bfv-compact-2048-seeded"},
        {"scheme": "INSECURE_ckks-1024", "epoch_rounds": 1},
        {"scheme": "INSECURE_paillier-512"},
        {"clip_norm": 1.0, "dp_noise": 0.5, "epoch_rounds": 1},
        {"custody": "2-of-4", "scheme": "INSECURE_bfv-threshold-1024", "epoch_rounds": 1, "rounds": 3},
        {"custody": "dealer-free:3-of-4", "scheme": "INSECURE_bfv-threshold-1024"},
        {"custody": "2-of-4", "scheme": "INSECURE_paillier-512", "epoch_rounds": 1},
        {"scheme": "INSECURE_paillier-512", "bits": 3, "dataset": "breast_cancer", "rounds": 3},
        {"scheme": "INSECURE_onetime-1024", "epoch_rounds": 1},
        {"scheme": "INSECURE_onetime-1024", "bits": 3, "custody": "2-of-4"},
        {"scheme": "INSECURE_onetime-1024", "bits": 3, "custody": "dealer-free:2-of-4"},
    ],
    ids=str,
)
def test_every_row_is_green(changes):
    experiment = FOUR.but(**changes)
    assert not_red(run_experiment(experiment)) == unflooded(experiment)


@pytest.mark.parametrize("experiment", [FOUR, FOUR.but(epoch_rounds=1), TOGETHER, DEALER_FREE, PRIVATE], ids=kind)
def test_unobserved_runs_are_green_or_not_checked(experiment):
    assert not_red(run_experiment(experiment.but(observed=False))) <= UNSEEN


def failing(monkeypatch, step, when):
    """One party's process dies in this step, where ``when`` says so of its name and place."""
    method = getattr(Client, step)

    def dies(self, position, **more):
        if when(self.name, position):
            raise RuntimeUnavailable(f"{self.name}: its process is gone")
        return method(self, position, **more)

    monkeypatch.setattr(Client, step, dies)


RETRIED = [FOUR, TOGETHER, DEALER_FREE, PAILLIER, PRIVATE, ONE_TIME, ONE_TIME_TOGETHER]


@pytest.mark.parametrize("experiment", RETRIED, ids=kind)
@pytest.mark.parametrize("observed", [True, False])
def test_a_retry_after_a_client_died_is_not_red(monkeypatch, experiment, observed):
    """It committed and did not upload: the attempt is over, the next one has all four."""
    failing(monkeypatch, "upload", lambda name, at: (name, at.round, at.attempt) == ("client-3", 2, 1))
    result = run_experiment(experiment.but(observed=observed))
    assert [line.attempts for line in result.rounds] == [1, 2]
    assert not_red(result) <= (unflooded(experiment) if observed else UNSEEN)


@pytest.mark.parametrize("experiment", [TOGETHER, DEALER_FREE, PAILLIER, ONE_TIME_TOGETHER], ids=kind)
def test_a_retry_after_a_holder_died_is_not_red(monkeypatch, experiment):
    """It said that it is ready and did not answer: the sum is made again, of the same members."""
    failing(monkeypatch, "partial_decryption", lambda name, at: (name, at.round, at.attempt) == ("client-1", 1, 1))
    result = run_experiment(experiment)
    assert [line.attempts for line in result.rounds] == [2, 1]
    assert not_red(result) == unflooded(experiment)


EVERY_CUSTODY = [FOUR, FOUR.but(scheme="ckks-lean"), TOGETHER, DEALER_FREE, PAILLIER, PRIVATE]


@pytest.mark.parametrize("experiment", EVERY_CUSTODY, ids=kind)
@pytest.mark.parametrize("step", ["commit", "apply"])
def test_a_drop_out_and_the_round_after_it_are_not_red(monkeypatch, experiment, step):
    """It catches up: its receipt of the round that it missed comes to nobody, and its next message follows that receipt."""
    gone = []
    failing(monkeypatch, step, lambda name, at: (name, at.round) == ("client-2", 2) and not gone and not gone.append(1))
    result = run_experiment(experiment.but(rounds=3))
    contributors = 3 if step == "commit" else 4
    assert [len(line.contributors) for line in result.rounds] == [4, contributors, 4]
    if step == "commit":
        assert [one.sender for one in unsent(result)] == ["client-2"]
        assert not_red(result) == unflooded(experiment)
    else:
        assert not_red(result) == unflooded(experiment) | of_all(experiment)
        assert "left out: round 2" in evidence(result, "equals-fedavg")


def of_all(experiment):
    """The row that says something of all contributors together: what ε says of the sum takes the noise of each."""
    return {"noise-added"} if experiment.dp_noise is not None else set()


def evidence(result, name):
    return next(finding.evidence for finding in check_claims(result).claims if finding.id == name)


CKKS_TOGETHER = TOGETHER.but(scheme="INSECURE_ckks-threshold-1024")


@pytest.mark.parametrize("experiment", [*EVERY_CUSTODY, CKKS_TOGETHER], ids=kind)
@pytest.mark.parametrize("step", ["apply", "observe", "observe_sum"])
def test_the_first_client_may_be_the_one_that_is_gone(monkeypatch, experiment, step):
    """It is the one that is asked to show the opened sum; then another one shows it. Only its own rounds are left out."""
    failing(monkeypatch, step, lambda name, at: (name, at.round) == ("client-1", 2))
    result = run_experiment(experiment.but(rounds=3))
    gone = step != "observe_sum"
    assert not_red(result) == unflooded(experiment) | (of_all(experiment) if gone else set())
    assert ("left out: round 2" in evidence(result, "equals-fedavg")) == gone
    assert ("client-1 in round 2" in evidence(result, "one-model")) == gone
    assert all(any(seen.theta for seen in found) for found in result.observations.values())
    if experiment in (TOGETHER, DEALER_FREE):
        assert "left out" not in evidence(result, "flooded")


def test_a_round_of_ckks_that_leaves_nothing_to_compare_is_named(monkeypatch):
    """CKKS's noise is the mean less the updates: it takes all of them."""
    failing(monkeypatch, "observe", lambda name, at: (name, at.round) == ("client-3", 1))
    assert "left out: round 1" in evidence(run_experiment(CKKS_TOGETHER), "flooded")


def test_where_nobody_else_was_seen_nothing_is_called_checked(monkeypatch):
    """One client of four is observed: its model equals itself, no mean can be computed, no two holders showed an imprint."""
    failing(monkeypatch, "observe", lambda name, at: name != "client-3")
    missing = not_red(run_experiment(TOGETHER))
    assert {"equals-fedavg", "one-model", "epochs-apart"} <= missing and "flooded" not in missing


OF_KEYS = [PREFIX + step for step in CEREMONY]


def damaged_once(monkeypatch, kinds):
    """The first message of each kind that client 2 gets is damaged on the way, and arrives when it is sent again."""
    receive, damaged = Client.receive, set()

    def once(self, envelope):
        kind = envelope.header.kind
        if self.name == "client-2" and kind in set(kinds) - damaged:
            damaged.add(kind)
            raise WireError(f"{kind}: changed on the way")
        return receive(self, envelope)

    monkeypatch.setattr(Client, "receive", once)
    return damaged


def test_a_fault_that_a_ceremony_survives_is_not_red(monkeypatch):
    """One of each of the nine kinds, and of the key's announcement: the notes about them are on record."""
    kinds = [*OF_KEYS, "epoch"]
    damaged = damaged_once(monkeypatch, kinds)
    result = run_experiment(DEALER_FREE.but(rounds=1))
    assert not_red(result) == set() and damaged == set(kinds) and len(CEREMONY) == 9
    noted = {line.entry.step for line in result.transcript.lines if isinstance(line.entry, LeftOut)}
    assert noted == {f"receive {kind}" for kind in kinds}


def test_a_note_of_a_step_that_its_party_does_not_have_is_red():
    """In letters and spaces, as a ceremony's kinds have them; another party's step; more than the kind."""
    result = run_experiment(FOUR.but(rounds=1))
    place = result.transcript.sent[-1].position
    wrong = (("client-1", "receive key commitment"), ("client-1", "cxiii examples"), ("auditor", "commit"))
    wrong += (("coordinator", "receive commitment of client-5"), ("client-1", "receive plan of client-2"))
    for party, step in wrong:
        copy = Transcript.from_bytes(result.transcript.to_bytes(), dict(result.transcript.blobs))
        copy.note(LeftOut(party, step, place, "RoundError: no"))
        assert examine_record(copy, STEPS), (party, step)
    allowed = [(role.replace(CLIENT, "client-4"), step) for role, steps in STEPS.items() for step in steps]
    allowed += [("coordinator", "receive commitment of client-4"), ("coordinator", "receive unrecorded of client-1")]
    copy = Transcript.from_bytes(result.transcript.to_bytes(), dict(result.transcript.blobs))
    for party, step in allowed:
        copy.note(LeftOut(party, step, place, "RoundError: no"))
    assert examine_record(copy, STEPS) == ()


def unsent(result):
    return [line.entry for line in result.transcript.lines if isinstance(line.entry, Unsent)]


def test_a_number_in_a_header_that_nobody_got_is_red(monkeypatch):
    """Of the receipt that was lost: in its length, its size, its digest. Control: the drop-out above."""
    failing(monkeypatch, "commit", lambda name, at: name == "client-2" and at.round == 2)
    result = run_experiment(FOUR.but(rounds=3))
    assert examine_record(result.transcript, STEPS) == ()
    at = next(n for n, line in enumerate(result.transcript.lines) if isinstance(line.entry, Unsent))
    for changes in ({"length": 113}, {"content_nbytes": 113}, {"content_digest": (113).to_bytes(32, "big")}):
        copy = Transcript.from_bytes(result.transcript.to_bytes(), dict(result.transcript.blobs))
        head = copy.lines[at].entry.head
        copy.lines[at] = TranscriptLine(
            copy.lines[at].previous, Unsent(replace(head, header=replace(head.header, **changes)))
        )
        assert examine_record(copy, STEPS), changes


@pytest.mark.parametrize("experiment", [FOUR, TOGETHER, PRIVATE], ids=kind)
@pytest.mark.parametrize("step", ["commit", "upload", "apply"])
@pytest.mark.parametrize("round_", [1, 2])
def test_a_run_that_breaks_off_is_not_red(monkeypatch, experiment, step, round_):
    """Nobody does this step in this round. What is there is looked at, what is not there is not checked."""
    failing(monkeypatch, step, lambda name, at: at.round == round_)
    run = Run(experiment)
    with pytest.raises(HeflError):
        for _ in run.steps():
            pass
    missing = not_red(run.result())
    assert "sums-confirmed" in missing
    if round_ == 1:
        assert {"one-model", "equals-fedavg"} <= missing and ("quorum-kept" in missing or experiment is not TOGETHER)


@pytest.mark.parametrize("step", ["commit", "apply"])
def test_a_changed_upload_of_a_run_that_broke_off_is_red(monkeypatch, step):
    failing(monkeypatch, step, lambda name, at: at.round == 2)
    run = Run(FOUR)
    with pytest.raises(HeflError):
        for _ in run.steps():
            pass
    failed = {finding.id for finding in check_claims(tamper_sum(run.result())).failed}
    assert "sums-confirmed" in failed


@pytest.mark.parametrize("experiment", [FOUR, TOGETHER, PRIVATE], ids=kind)
def test_a_contributor_that_was_not_observed_is_not_red_and_not_called_seen(monkeypatch, experiment):
    failing(monkeypatch, "observe", lambda name, at: name == "client-1" and at.round == 1)
    result = run_experiment(experiment)
    assert not_red(result) == of_all(experiment)
    assert "left out: round 1" in evidence(result, "equals-fedavg")
    assert "left out: client-1 in round 1" in evidence(result, "one-model")


@pytest.mark.parametrize("experiment", [FOUR, PRIVATE], ids=kind)
def test_a_mean_that_is_off_where_everybody_was_seen_is_red_all_the_same(experiment):
    """One round has nothing to compare with; the other one's fault is found."""
    result = run_experiment(experiment)
    partly = replace(result, observations={**result.observations, 2: result.observations[2][:1]})
    assert "left out: round 2" in evidence(partly, "equals-fedavg")
    assert "equals-fedavg" in {finding.id for finding in check_claims(move_mean(partly)).failed}


def test_everybody_lost_after_every_message_is_not_red():
    run = Run(PRIVATE, stage=durable_local_stage)
    for _ in run.steps():
        for party in (run.parties.coordinator, run.parties.auditor, *run.parties.clients):
            party.restart()
    result = run.result()
    run.close()
    assert not_red(result) == set()


def test_a_client_that_is_revoked_under_noise_is_not_red():
    """Sums of fewer terms have a finer grid: the noise of each round is on the grid of its own plan."""
    run, asked = Run(PRIVATE.but(clients=5, rounds=2)), False
    for sent in run.steps():
        if sent.step == m.RECEIPT and not asked:
            asked = True
            run.revoke("client-5")
    assert len(run.rounds[1].contributors) == 4
    assert "noise-added" not in not_red(run.result())


def test_a_model_that_hardly_moves_is_not_taken_for_a_plan():
    """Under CKKS no entry of the mean is 0, and at this rate no entry of the model changes."""
    not_red(run_experiment(FOUR.but(scheme="INSECURE_ckks-1024", learning_rate=1e-9)))


def test_separate_processes_are_not_red():
    assert not_red(run_experiment(TOGETHER.but(epoch_rounds=1), "ray")) == set()


def test_services_are_not_red():
    """Observed by nobody; the models are compared in the clients' own folders."""
    assert not_red(run_experiment(FOUR, "strict")) == {"coordinator-blind", "equals-fedavg"}

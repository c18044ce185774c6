"""A coordinator and a KMS that are lost at any point come back from their stores, and no round is lost or doubled."""

import pytest

from hefl_core.errors import IntegrityError, RoundError, RuntimeUnavailable
from hefl_core.federation.record.verify import verify
from hefl_core.federation.round_log import EVENTS
from hefl_core.runtime.restart import durable_local_stage
from hefl_core.runtime.run import Run
from tests.conftest import SMALL, finished


def models(run):
    return [item.model for item in run.result().rounds]


@pytest.mark.parametrize("custody", [{}, {"custody": "2-of-3", "scheme": "bfv-threshold"}])
def test_a_coordinator_lost_after_every_message_changes_nothing(custody):
    experiment = SMALL.but(**custody)
    run = Run(experiment, stage=durable_local_stage)
    for sent in run.steps():
        if sent.position.round:
            run.parties.coordinator.restart()
    assert models(run) == models(finished(experiment))
    assert verify(run.transcript).sums == 2
    run.close()


def test_a_kms_lost_after_every_message_rotates_once():
    run = Run(SMALL.but(epoch_rounds=1), stage=durable_local_stage)
    for _ in run.steps():
        run.parties.kms.restart()
    assert [epoch.epoch for epoch in run.parties.kms.epochs] == [1, 2]
    assert len(set(models(run))) == 2
    run.close()


def test_a_deed_whose_answer_was_lost_is_not_done_again(monkeypatch):
    run = Run(SMALL.but(epoch_rounds=1), stage=durable_local_stage)
    steps = run.steps()
    next(steps)
    kms, lost = type(run.parties.kms._party), []
    rotate = kms.rotate

    def rotate_and_die(self, *args):
        rotate(self, *args)
        if not lost:
            lost.append(args)
            raise RuntimeUnavailable("the answer is lost")

    monkeypatch.setattr(kms, "rotate", rotate_and_die)
    for _ in steps:
        pass
    assert lost and [epoch.epoch for epoch in run.parties.kms.epochs] == [1, 2]
    run.close()


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("client-1", "theta"),
        ("client-1", "private_side"),
        ("client-1", "leave"),
        ("kms", "audit_log"),
        ("auditor", "finish"),
    ],
)
def test_a_party_elsewhere_answers_what_is_on_its_list_and_nothing_else(name, step):
    """The list is the party's: a caller that goes round its own end of it is refused all the same."""
    run = Run(SMALL.but(rounds=1), stage=durable_local_stage)
    next(iter(run.steps()))
    party = next(p for p in (run.parties.kms, run.parties.auditor, *run.parties.clients) if p.name == name)
    with pytest.raises(RoundError, match="answers nothing else"):
        party.ask(step)
    if step != "leave":
        assert hasattr(type(party._party), step)  # the control: the object itself would give it out
    run.close()


def test_the_log_holds_the_round_under_way_only():
    run = Run(SMALL, stage=durable_local_stage)
    held = {}
    for sent in run.steps():
        store = run.parties.coordinator._store
        held[sent.position.round, sent.step] = len(store.list(EVENTS))
    assert held[1, "sum"] == held[2, "sum"] == 9  # plan, 3 commitments, list, 3 updates, sum
    assert not run.parties.coordinator._store.list(EVENTS)
    run.close()


def test_a_replayed_ciphertext_is_refused_after_a_restart_too():
    run = Run(SMALL, stage=durable_local_stage)
    seen = None
    for sent in run.steps():
        if sent.step == "sum" and sent.position.round == 1:
            seen = set(run.parties.coordinator._party._seen)
    run.parties.coordinator.restart()
    assert seen and seen < run.parties.coordinator._party._seen
    run.close()


def test_a_changed_event_is_noticed():
    run = Run(SMALL, stage=durable_local_stage)
    for sent in run.steps():
        if sent.step == "sum":
            break
    coordinator = run.parties.coordinator
    names = coordinator._store.list(EVENTS)
    coordinator._store.delete(EVENTS, names[2])  # a commitment that the published list names
    with pytest.raises(IntegrityError, match="round log"):
        coordinator.restart()
    run.close()


@pytest.mark.parametrize("changes", [{}, {"scheme": "ckks-lean"}, {"bound": "adaptive", "epoch_rounds": 1}])
def test_everybody_lost_after_every_message_changes_nothing(changes):
    experiment = SMALL.but(**changes)
    run = Run(experiment, stage=durable_local_stage)
    for _ in run.steps():
        for party in (run.parties.coordinator, run.parties.auditor, *run.parties.clients):
            party.restart()
    if experiment.scheme == "bfv-lean":
        assert models(run) == models(finished(experiment))
    assert len(run.rounds) == experiment.rounds and all(item.attempts == 1 for item in run.rounds)
    assert all(item.max_abs_error <= item.error_bound for item in run.rounds)
    assert verify(run.transcript).sums == experiment.rounds
    assert not run.transcript.left_out
    run.close()

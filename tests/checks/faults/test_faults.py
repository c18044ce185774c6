"""Faults on purpose: nothing is lost, nothing counted twice; and the harness says so when something is."""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hefl_core.checks.faults.campaign import (
    ALONE,
    FEWER,
    KEPT,
    LOST,
    NO_DEALER,
    ONE_TIME,
    RETRIED,
    STOPPED,
    TOGETHER,
    UNREACHED,
    WRONG,
    local_faults,
    one_fault,
)
from hefl_core.checks.faults.faults import KINDS, LIES, Fault, all_faults
from hefl_core.checks.faults.judge import _allowed, judge
from hefl_core.errors import RuntimeUnavailable
from hefl_core.federation.client import Client
from hefl_core.keys.custody import Custody
from hefl_core.runtime.restart import durable_local_stage
from hefl_core.runtime.run import Run

CHANCE = random.Random(1)


def test_faults_by_chance_lose_nothing():
    outcomes = list(local_faults(seed=20, count=6))
    assert [(o.fault, o.detail) for o in outcomes if o.result in (LOST, WRONG, UNREACHED)] == []


@pytest.mark.parametrize(
    ("fault", "experiment", "ends"),
    [
        (Fault("coordinator", "aggregate", "kill after", 2), ALONE, {KEPT}),
        (Fault("auditor", "confirm", "kill before", 1), ALONE, {KEPT}),
        (Fault("client-2", "commit", "kill after", 2), ALONE, {KEPT}),
        (Fault("client-1", "partial_decryption", "kill before", 1), TOGETHER, {RETRIED}),
        (Fault("client-1", "partial_decryption", "kill before", 1), ONE_TIME, {RETRIED}),
        (Fault("client-2", "commit", "kill after", 2), ONE_TIME.but(custody="individual"), {KEPT}),
        (Fault("client-3", "receive commitments", "partition", 1), ALONE, {RETRIED}),
        (Fault("client-4", "receive plan", "disk full for long", 1), ALONE, {FEWER, KEPT}),
        (Fault("client-3", "apply", "store", 1), ALONE, {FEWER}),
        (Fault("coordinator", "receive update", "store", 2), ALONE, {STOPPED}),
        (Fault("auditor", "receive sum", "corrupt", 1), ALONE, {KEPT}),
        (Fault("client-1", "receive roster", "kill before", 2), TOGETHER, {KEPT}),
        (Fault("client-3", "receive ceremony key commitment", "kill before", 2), NO_DEALER, {KEPT}),
        (Fault("client-1", "receive ceremony approval", "disk full for long", 2), NO_DEALER, {KEPT}),
        (Fault("client-4", "receive ceremony partial", "partition", 1), NO_DEALER, {KEPT}),
        (Fault("kms", "register", "kill after", 1), NO_DEALER, {KEPT}),
        (Fault("client-2", "ceremony", "store", 3), NO_DEALER, {STOPPED}),
    ],
    ids=lambda value: f"{value.kind} at {value.party}" if isinstance(value, Fault) else None,
)
def test_how_a_fault_ends(fault, experiment, ends):
    outcome = one_fault(experiment, fault, random.Random(3))
    assert outcome.result in ends, outcome
    assert outcome.rounds_checked >= (0 if outcome.result == STOPPED else 2)


@pytest.mark.parametrize("kind", LIES)
def test_false_letters_are_refused_and_counted(kind):
    outcome = one_fault(ALONE.but(rounds=1), Fault("coordinator", "receive update", kind, 1), random.Random(4))
    assert (outcome.result, outcome.refusals) == (KEPT, 1)


def test_every_kind_and_party_is_among_them():
    faults = all_faults(4, CHANCE, Custody.parse(TOGETHER.custody, 4))
    assert {fault.kind for fault in faults} == set(KINDS)
    assert len(faults) > 300
    assert {fault.party.split("-")[0] for fault in faults} == {"kms", "coordinator", "auditor", "client"}


def test_control_without_stores_rounds_are_lost():
    fault = Fault("coordinator", "aggregate", "kill before", 2)
    assert one_fault(ALONE, fault, CHANCE, durable=False).result == LOST
    assert one_fault(ALONE, fault, CHANCE).result == KEPT


def test_control_a_double_count_is_seen(monkeypatch):
    honest = Client._make_receipt

    def twice(self, position):
        receipt = honest(self, position)
        self._theta = (self._theta + self._mean).astype("float32")
        return receipt

    monkeypatch.setattr(Client, "_make_receipt", twice)
    outcome = one_fault(ALONE, Fault("coordinator", "plan", "slow", 1), CHANCE)
    assert outcome.result == WRONG and "off by" in outcome.detail


def moved(run, round_, by):
    """The models that clients showed of a round, off by so much in one entry."""

    def off(seen):
        theta = np.frombuffer(seen.theta, dtype=np.float32).copy()
        theta[0] += by
        return replace(seen, theta=theta.tobytes())

    found = run.observer.observations[round_]
    run.observer.observations[round_] = tuple(off(one) if one.theta else one for one in found)


def test_an_unseen_round_gives_room_to_the_next_one_and_to_no_other():
    """Nobody shows the first model. The second may be off by two rounds' errors, the third by one round's again."""
    run = Run(ALONE.but(rounds=3))
    for _ in run.steps():
        pass
    room = _allowed(run.experiment, run.transcript.manifest, run.rounds[0])
    assert judge(run).wrong == ()
    whole = dict(run.observer.observations)
    run.observer.observations[1] = tuple(replace(one, theta=b"") for one in whole[1])
    found = judge(run)
    assert (found.wrong, found.checked, found.unseen) == ((), 2, 1)
    moved(run, 3, 1.7 * room)
    (wrong,) = judge(run).wrong
    assert wrong[0] == 3 and "off by" in wrong[1]
    run.observer.observations.update({2: whole[2], 3: whole[3]})
    moved(run, 2, 2.7 * room)
    assert [number for number, _ in judge(run).wrong][:1] == [2]


def test_a_client_that_missed_a_round_is_back_in_the_next():
    run = Run(ALONE, stage=durable_local_stage)
    steps, missing = run.steps(), []

    def out_of_reach(*_):
        raise RuntimeUnavailable("client-4: no answer in time")

    for sent in steps:
        client = run.parties.clients[3]
        if sent.step == "receipt" and sent.position.round == 1 and sent.sender == "client-4":
            client.call, _ = out_of_reach, missing.append("client-4")
        if sent.step == "receipt" and sent.position.round == 2 and "call" in vars(client):
            del client.call
    assert missing and [len(item.contributors) for item in run.rounds] == [4, 3, 4]
    assert all(item.model for item in run.rounds)
    assert any(entry.party == "client-4" for entry in run.result().left_out)
    run.close()


def test_a_restored_backup_gives_no_second_answer(tmp_path):
    run = Run(TOGETHER, stage=durable_local_stage)
    for sent in run.steps():
        holder = run.parties.clients[0]
        home = Path(holder._store.path).parent
        if sent.step == "ready" and sent.sender == "client-1":
            for file in home.glob("client-1*"):
                shutil.copy2(file, tmp_path)
        if sent.step == "partial" and sent.sender == "client-1":
            break
    first = holder.partial_decryption(sent.position).envelope
    assert first.header == sent.head.header
    holder.release()
    for file in tmp_path.iterdir():
        shutil.copy2(file, home)
    holder.restart()
    holder._party.receive(run.parties.coordinator.request_decryption(sent.position).envelope)
    with pytest.raises(RuntimeUnavailable, match="answers nothing new"):
        holder.call("partial_decryption", (sent.position,))
    run.close()

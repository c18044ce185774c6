"""One-time keys in a running experiment: what a retry repeats, what is refused, and that keys end with their round."""

from dataclasses import replace

import numpy as np
import pytest

from hefl_core.errors import DecryptionRefused, IntegrityError, RoundError
from hefl_core.federation import auditor, coordinator
from hefl_core.federation.record.verify import verify
from hefl_core.federation.round_log import EVENTS, MADE
from hefl_core.ids import AUDITOR, COORDINATOR
from hefl_core.keys.decryption_policy import check_question
from hefl_core.probes.memory import Search
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.restart import durable_local_stage
from hefl_core.runtime.run import Run
from hefl_core.schemes.onetime.scheme import ONE_TIME
from hefl_core.schemes.presets import PRESETS
from hefl_core.schemes.private_forms import one_time_forms
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Position
from hefl_core.wire.fingerprint import Salt
from tests.conftest import finished
from tests.security.hostile import World, names

SMALL = Experiment(dataset="breast_cancer", model="logistic", scheme="INSECURE_onetime-1024", clients=5, rounds=2)
TOGETHER = SMALL.but(custody="3-of-5")
FIRST, SECOND = Position(1, 1, 1), Position(1, 1, 2)
EVERYBODY = names(1, 2, 3, 4, 5)


class OneTimeWorld(World):
    """Opens a round's sum as its clients do."""

    def open_with_round(self, position, told, holders):
        self.coordinator.active = holders
        self.deliver(self.coordinator.request_decryption(position).envelope, *EVERYBODY)
        for name in holders:
            self.deliver(self.said(name, "partial_decryption", position), *EVERYBODY)
        client = self.clients["client-4"]
        return client.decrypt(position, client._bound(client.current_plan(position)), told)


@pytest.mark.parametrize("custody", ["individual", "3-of-5", "dealer-free:3-of-5"])
def test_a_run_has_the_models_that_today_s_packed_scheme_gives(custody):
    """Eight-bit values under either: the same fields, so the same sums to the last bit."""
    run = finished(SMALL.but(custody=custody))
    expected = run_experiment(SMALL.but(scheme="bfv-compact-2048"))
    assert [item.model for item in run.result().rounds] == [item.model for item in expected.rounds]
    assert verify(run.transcript).sums == 2


def test_holders_answer_for_one_ciphertext_whatever_the_model():
    experiment = TOGETHER.but(dataset="digits", model="mlp", rounds=1)
    run = finished(experiment)
    total = decode(next(run.transcript.body(s) for s in run.transcript.sent if s.step == m.SUM), m.EncryptedSum).total
    assert len(total.blocks) == 2 and experiment.flooding(10**7) == experiment.flooding(100)
    for client in run.parties.clients:
        assert client.enrolment.holder._answers._count(1) <= 1


# -- a retry ----------------------------------------------------------------------------------------------------------


def uploads(world, attempt):
    return {
        name: world.coordinator._ciphertext(found[attempt - 1])
        for name, found in world.coordinator._uploads.items()
        if len(found) >= attempt
    }


@pytest.mark.parametrize("carried", [(), ("client-5",)], ids=["all again", "one died"])
def test_a_retry_sends_the_same_body_and_opens(carried):
    world = OneTimeWorld(TOGETHER)
    world.deliver(world.list_of(FIRST, EVERYBODY), AUDITOR, *EVERYBODY)
    world.acknowledge(FIRST, EVERYBODY)
    world.uploads(FIRST, EVERYBODY)
    first = uploads(world, 1)
    told = world.sum_of(SECOND, EVERYBODY, carried)
    opened = world.open_with_round(SECOND, told, names(1, 2, 3))
    second = {name: world.coordinator._ciphertext(world.coordinator._uploads[name][-1]) for name in EVERYBODY}
    for name in EVERYBODY:
        assert first[name].blocks[1:] == second[name].blocks[1:]
        assert (first[name].blocks[0] == second[name].blocks[0]) == (name in carried)
    assert opened.integers[1] == 5
    world.applied(SECOND, *EVERYBODY)  # count and tag fit: the pad names the round, as the body does


# -- a second body -------------------------------------------------------------------------------------------------------


def with_a_second_body(world):
    """Client 2's process has forgotten its key: in the next attempt it makes another body."""
    world.deliver(world.list_of(FIRST, EVERYBODY), AUDITOR, *EVERYBODY)
    world.uploads(FIRST, EVERYBODY)
    world.clients["client-2"]._made.clear()
    world.coordinator.members = world.coordinator.carried = EVERYBODY  # it keeps the uploads of the first attempt
    world.deliver(world.coordinator.plan(SECOND).envelope, AUDITOR, *EVERYBODY)
    for name in EVERYBODY:
        world.deliver(world.said(name, "commit", SECOND), COORDINATOR)
    world.deliver(world.coordinator.commitments(SECOND).envelope, AUDITOR, *EVERYBODY)
    return world.said("client-2", "upload", SECOND)


def test_a_second_body_in_a_round_is_refused_by_coordinator_and_auditor(monkeypatch):
    world = OneTimeWorld(SMALL)
    second = with_a_second_body(world)
    for name in (COORDINATOR, AUDITOR):
        with pytest.raises(RoundError, match="a second body in one round"):
            world.deliver(second, name)
    honest = world.said("client-3", "upload", SECOND)
    world.deliver(honest, COORDINATOR, AUDITOR)
    for module in (coordinator, auditor):  # the control: without the rule it is taken
        monkeypatch.setattr(module, "check_lasting", lambda *_: None)
    world.deliver(second, COORDINATOR, AUDITOR)


def durable(until, change):
    """A run with stores up to a message; then client 1 loses rows, and its process."""
    run = Run(SMALL.but(clients=3, rounds=1), stage=durable_local_stage)
    for sent in run.steps():
        if (sent.step, sent.sender) == until:
            break
    client = run.parties.clients[0]
    for row in change:
        client._store.delete(MADE, row)
    return run, client


def test_a_client_that_lost_its_key_counts_as_dead():
    run, client = durable((m.COMMITMENT, "client-3"), (ONE_TIME, "ciphertext/1"))
    with pytest.raises(IntegrityError, match=r"its one-time key of round 1 is lost, and a second one .* is refused"):
        client.restart()
    run.close()
    run, client = durable((m.COMMITMENT, "client-3"), ())
    client.restart()  # the control: with its rows it comes back
    run.close()


def test_a_key_is_erased_when_its_round_closes():
    run = Run(SMALL.but(clients=3, rounds=1), stage=durable_local_stage)
    held = {}
    for sent in run.steps():
        if sent.position.round and sent.sender.startswith("client"):
            store = next(c for c in run.parties.clients if c.name == sent.sender)._store
            held.setdefault(sent.step, set()).add(ONE_TIME in store.list(MADE))
    assert held == {m.COMMITMENT: {True}, m.UPDATE: {True}, m.RECEIPT: {False}}
    run.close()
    run = finished(SMALL.but(rounds=1))
    assert all(ONE_TIME not in client._made for client in run.parties.clients)


def test_everybody_lost_after_every_message_changes_nothing():
    experiment = SMALL.but(clients=3, rounds=1)
    run = Run(experiment, stage=durable_local_stage)
    for sent in run.steps():
        for party in run.parties.clients if sent.position.round else ():
            party.restart()
    assert all(item.attempts == 1 for item in run.rounds) and verify(run.transcript).sums == 1
    assert [item.model for item in run.result().rounds] == [item.model for item in finished(experiment).result().rounds]
    run.close()


@pytest.mark.parametrize("custody", ["individual", "3-of-5"])
def test_keys_and_their_sum_are_in_no_message_store_or_log(custody, caplog):
    """The probes' own forms of s and S; the control: each is found where its client has it."""
    caplog.set_level(0)
    run, salt = Run(SMALL.but(custody=custody, rounds=1), stage=durable_local_stage), Salt(b"test")
    forms, stored = [], b""
    for sent in run.steps():
        if sent.step == m.SUM or (sent.step, sent.sender) == (m.RECEIPT, "client-5"):
            for client in run.parties.clients:
                for what, keys in client._party.one_time_keys():
                    forms += one_time_forms(PRESETS[SMALL.scheme], keys, f"{client.name}, {what}", 4)
            store = run.parties.coordinator._store
            stored += b"".join(store.get(MADE, name) for name in store.list(MADE))
            stored += b"".join(store.get(EVENTS, name) for name in store.list(EVENTS))
    assert {form.name.split(", ")[1] for form in forms} == {"one-time key", "sum of one-time keys"}
    search = Search(salt, [salt.fingerprint(form) for form in forms])
    public = b"".join(run.transcript.blobs.values()) + run.transcript.to_bytes() + stored + caplog.text.encode()
    assert len(public) > 100_000 and not search.in_bytes(public)
    assert all(search.in_bytes(bytes(64) + form.data + bytes(64)) for form in forms)
    run.close()


# -- sums of keys and of bodies -------------------------------------------------------------------------------------------


def with_blocks(envelope, world, change):
    """The coordinator's sum with other blocks, under its own signature."""
    message = decode(envelope.body, m.EncryptedSum)
    forged = replace(message, total=replace(message.total, blocks=change(message.total.blocks)))
    listed = decode(world.coordinator.said(FIRST, m.COMMITMENTS).body, m.CommitmentList)
    clients = world.coordinator.enrolment.roster.clients
    count = len(message.total.blocks)
    return world.coordinator._compose(
        m.SUM, FIRST, (AUDITOR, *clients), encode(forged), commitments=listed.digest, blocks=count
    )


def keys_of_fewer(world):
    """A sum whose keys are those of four clients, and whose body is everybody's."""
    scheme, key = world.coordinator.scheme, world.coordinator.public_key
    running = scheme.accumulator(key)
    for name in EVERYBODY[:4]:
        running.add(world.coordinator._ciphertext(world.coordinator._uploads[name][-1]))
    return running.total().blocks[0]


def shift(blocks):
    scale = 1 << PRESETS[SMALL.scheme].scale_bits
    row = np.frombuffer(blocks[1], dtype="<u8").copy()
    row[4] += np.uint64(scale)
    return blocks[0], row.tobytes()


@pytest.mark.parametrize("forgery", ["keys of fewer", "a word moved"])
def test_the_auditor_confirms_no_sum_whose_parts_differ(forgery):
    world = OneTimeWorld(TOGETHER)
    world.deliver(world.list_of(FIRST, EVERYBODY), AUDITOR, *EVERYBODY)
    world.acknowledge(FIRST, EVERYBODY)
    world.uploads(FIRST, EVERYBODY)
    honest = world.coordinator.aggregate(FIRST).envelope
    other = keys_of_fewer(world)
    forged = with_blocks(honest, world, shift if forgery == "a word moved" else lambda blocks: (other, *blocks[1:]))
    world.deliver(forged, AUDITOR)
    with pytest.raises(IntegrityError, match="1 of 2 blocks differ"):
        world.auditor.confirm(FIRST)


def test_a_holder_refuses_sums_of_keys_and_bodies_of_different_members():
    world = OneTimeWorld(TOGETHER)
    world.sum_of(FIRST, EVERYBODY)
    world.coordinator.active = names(1, 2, 3)
    world.deliver(world.coordinator.request_decryption(FIRST).envelope, "client-1")
    holder = world.clients["client-1"]
    question = holder._question(FIRST, decode(world.coordinator.said(FIRST, m.REQUEST).body, m.DecryptionRequest))
    enrolment = holder.enrolment
    mixed = replace(question, total=replace(question.total, blocks=(keys_of_fewer(world), *question.total.blocks[1:])))
    place = (enrolment.holder.name, enrolment.share, enrolment.record, enrolment.roster)
    with pytest.raises(DecryptionRefused, match="rule 'auditor'"):
        check_question(mixed, *place)
    check_question(question, *place)
    check_question(mixed, *place, without=frozenset({"auditor"}))  # the control: no other rule sees it

"""Keys in a running experiment: held together, rotated between rounds, revoked."""

import pytest

from hefl_core.errors import HeflError, KeyNotActive, KeyUseError, RoundError
from hefl_core.federation.record.transcript import Transcript
from hefl_core.federation.record.transcript_zip import pack, unpack
from hefl_core.federation.record.verify import verify
from hefl_core.keys.vault.store import KeyStore
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.run import Run
from hefl_core.terms import messages as m
from tests.conftest import SMALL, finished

TOGETHER = SMALL.but(scheme="INSECURE_paillier-512", custody="2-of-3", rounds=2, model="logistic")


def test_a_collective_round_says_ready_request_partial():
    run = finished(TOGETHER)
    kinds = [sent.step for sent in run.transcript.of_round(1)]
    assert kinds[-9:] == [*["ready"] * 3, "request", *["partial"] * 2, *["receipt"] * 3]
    assert verify(run.transcript).sums == 2
    for item in run.result().rounds:
        assert item.max_abs_error <= item.error_bound


def test_collective_equals_individual():
    together, alone = run_experiment(TOGETHER), run_experiment(TOGETHER.but(custody="individual"))
    assert [item.model for item in together.rounds] == [item.model for item in alone.rounds]


def test_the_coordinator_cannot_read_the_partials():
    run = finished(TOGETHER)
    seen = {seen.sent.step for seen in run.transcript.seen_by("coordinator")}
    assert "partial" not in seen
    assert all(seen.content is None for seen in run.transcript.seen_by("eavesdropper") if seen.sent.step == "partial")


def test_a_holder_that_is_not_ready_is_not_named():
    run = Run(TOGETHER.but(rounds=1))
    steps = run.steps()
    for sent in steps:
        if sent.step == "confirmation":
            break
    run.parties.clients[0].ready = lambda position: None
    active = [sent.sender for sent in steps if sent.step == "partial"]
    assert active == ["client-2", "client-3"]


def test_a_coordinator_without_a_confirmation_gets_no_partial(monkeypatch):
    """The request names a confirmation; a holder compares it with the one it has."""
    from hefl_core.federation.coordinator import Coordinator
    from hefl_core.runtime import stage
    from hefl_core.terms.messages import DecryptionRequest
    from hefl_core.wire.canonical import encode

    class LyingCoordinator(Coordinator):
        def _make_request(self, position):
            clients = self.enrolment.roster.clients
            return self._compose(
                m.REQUEST, position, clients, encode(DecryptionRequest(clients[:2], bytes(32), bytes(32)))
            )

    monkeypatch.setattr(stage, "Coordinator", LyingCoordinator)
    with pytest.raises(HeflError, match="names another sum"):
        finished(TOGETHER.but(rounds=1))


def test_rotation_in_mid_experiment_loses_no_round():
    experiment = SMALL.but(rounds=5, epoch_rounds=2)
    run = finished(experiment, keep_keys=True)
    assert [sent.position.epoch for sent in run.transcript.sent if sent.step == "sum"] == [1, 1, 2, 2, 3]
    plain = finished(SMALL.but(rounds=5))
    assert [r.model for r in run.rounds] == [r.model for r in plain.rounds]
    assert verify(run.transcript).sums == 5
    with pytest.raises(KeyNotActive):
        run.parties.clients[0].enrolment.holder.share(1)
    assert run.parties.clients[0].enrolment.share.id.epoch == 3


def test_a_key_opens_its_own_epoch_only():
    from hefl_core.schemes.registry import open_scheme
    from hefl_core.terms.messages import EncryptedSum
    from hefl_core.wire.canonical import decode

    run = Run(SMALL.but(rounds=2, epoch_rounds=1))
    stolen = None
    for sent in run.steps():
        if sent.step == "share" and stolen is None:
            stolen = run.parties.clients[0]
        if sent.step == "plan" and sent.position.epoch == 1:
            stolen_share = stolen.enrolment.share
    scheme = open_scheme("bfv-lean")
    first, second = (decode(run.transcript.body(s), EncryptedSum).total for s in run.transcript.sent if s.step == "sum")
    assert scheme.partial_decrypt(stolen_share, first, (1,)).blocks
    with pytest.raises(HeflError):
        scheme.partial_decrypt(stolen_share, second, (1,))


def test_a_revoked_client_is_out_from_the_next_epoch_on():
    run = Run(SMALL.but(clients=4, rounds=3))
    for sent in run.steps():
        if sent.step == "receipt" and sent.position.round == 1 and sent.sender == "client-4":
            run.revoke("client-4")
    rounds = [[s.sender for s in run.transcript.of_round(number) if s.step == "update"] for number in (1, 2, 3)]
    assert rounds == [
        ["client-1", "client-2", "client-3", "client-4"],
        ["client-1", "client-2", "client-3"],
        ["client-1", "client-2", "client-3"],
    ]
    verify(run.transcript)
    with pytest.raises(RoundError):
        run.parties.kms.revoke("client-9")


@pytest.mark.parametrize(("custody", "opened"), [({}, 0), ({"custody": "2-of-3", "scheme": "bfv-threshold"}, 3)])
def test_a_store_of_answers_is_opened_only_where_holders_are_asked(monkeypatch, custody, opened):
    made = []
    monkeypatch.setattr("hefl_core.keys.custody.KeyStore", lambda: made.append(KeyStore()) or made[-1])
    run = Run(SMALL.but(rounds=1, **custody))
    for _ in run.steps():
        pass
    assert len(made) == opened and len(run.rounds) == 1


def test_an_older_epoch_is_refused():
    run = Run(SMALL.but(rounds=2, epoch_rounds=1))
    old = None
    for sent in run.steps():
        if sent.step == "epoch" and old is None:
            old = run.parties.kms.epoch_envelope(1)
    client = run.parties.clients[0]
    before = client.enrolment.record.epoch
    try:
        client.receive(old)
    except HeflError:
        pass
    assert client.enrolment.record.epoch == before == 2


def take_the_place_of(run, clients):
    """From now on these stand for the run's clients, under later keys too."""
    from dataclasses import replace

    parties = replace(run.parties, clients=clients)
    run._begun = replace(run._begun, stage=replace(run._begun.stage, parties=parties))
    run._parties = parties


class Dying:
    """Wraps a client: at the named step its process is gone, and stays gone."""

    def __init__(self, client, step):
        self._client, self._step, self._dead = client, step, False

    def __getattr__(self, name):
        from hefl_core.errors import RuntimeUnavailable

        def gone(*_):
            raise RuntimeUnavailable(f"{self._client.name}: its process is gone")

        if name == self._step:
            self._dead = True
        return gone if self._dead and name != "name" else getattr(self._client, name)


@pytest.mark.parametrize(
    ("step", "attempts", "members"),
    [("upload", 2, 3), ("ready", 1, 4), ("partial_decryption", 2, 4)],
)
def test_a_holder_that_dies_costs_at_most_one_attempt(step, attempts, members):
    run = Run(TOGETHER.but(clients=4, custody="2-of-4", rounds=2))
    steps = run.steps()
    for sent in steps:
        if sent.step == "receipt" and sent.position.round == 1 and sent.sender == "client-4":
            break
    dying = Dying(run.parties.clients[0], step)
    take_the_place_of(run, (dying, *run.parties.clients[1:]))
    for _ in steps:
        pass
    last = run.rounds[-1]
    assert (last.attempts, len(last.contributors)) == (attempts, members)
    assert verify(run.transcript).sums >= 2


class Away:
    """Wraps a client that cannot be reached until it is back."""

    def __init__(self, client):
        self._client, self.back = client, False

    def __getattr__(self, name):
        from hefl_core.errors import RuntimeUnavailable

        def gone(*_):
            raise RuntimeUnavailable(f"{self._client.name}: no answer in time")

        return getattr(self._client, name) if self.back or name == "name" else gone


def with_a_newcomer():
    """Client 5 is away, client 1 dies when it is asked for its part; before the second attempt client 5 is back."""
    run = Run(TOGETHER.but(clients=5, custody="3-of-5", rounds=2))
    steps = run.steps()
    for sent in steps:
        if sent.step == "share" and sent.receivers == ("client-5",):
            break
    clients = run.parties.clients
    away = Away(clients[4])
    take_the_place_of(run, (Dying(clients[0], "partial_decryption"), *clients[1:4], away))
    for sent in steps:
        if sent.step == "partial":
            away.back = True
    return run


def test_a_retry_takes_no_newcomer_in_and_loses_no_round():
    run = with_a_newcomer()
    assert [(item.attempts, len(item.contributors)) for item in run.rounds] == [(2, 4), (1, 4)]
    first, second = run.rounds
    assert "client-5" not in first.contributors and "client-5" in second.contributors
    assert any(
        entry.party == "client-5" and "the members of round 1 are fixed" in entry.reason
        for entry in run.transcript.left_out
    )
    assert verify(run.transcript).sums >= 2


def test_a_coordinator_that_took_the_newcomer_in_would_lose_it(monkeypatch):
    from hefl_core.federation.client import Client
    from hefl_core.federation.coordinator import Coordinator

    monkeypatch.setattr(Coordinator, "_summed", lambda self, number: None)
    monkeypatch.setattr(Coordinator, "_first_list", lambda self, position: None)
    monkeypatch.setattr(Client, "_check_open", lambda self, position: None)
    monkeypatch.setattr(Coordinator, "_spared", lambda self, position, names: ())
    with pytest.raises(HeflError, match="client-5 added"):
        with_a_newcomer()


# -- a record and a key are never in one hand --------------------------------------------------------------------------


def test_after_the_last_round_nobody_holds_a_key_and_the_record_may_leave(tmp_path):
    run = finished(TOGETHER)
    assert [epoch.state.value for epoch in run.parties.kms.epochs] == ["destroyed", "destroyed"]
    for client in run.parties.clients:
        assert client.enrolment.holder.epochs == ()
        with pytest.raises(KeyNotActive):
            client.enrolment.tag_key.check  # noqa: B018
    assert run.captured == {} and run.transcript.released
    run.transcript.save(tmp_path / "t.jsonl")
    assert verify(Transcript.load(tmp_path / "t.jsonl")).sums == 2
    assert [entry for entry in run.transcript.left_out if entry.step.startswith("destroy")] == []


def test_a_record_whose_last_key_lives_leaves_without_bodies(tmp_path):
    run = finished(TOGETHER, keep_keys=True)
    assert run.parties.clients[0].enrolment.share.id.epoch == 2
    for leave in (lambda: run.transcript.save(tmp_path / "t.jsonl"), lambda: pack(run.transcript)):
        with pytest.raises(KeyUseError, match="expected the keys of its epochs destroyed before its bodies leave"):
            leave()
    run.transcript.save(tmp_path / "t.jsonl", bodies=False)
    assert not (tmp_path / "t.jsonl.d").exists() and not unpack(pack(run.transcript, bodies=False)).blobs
    kept = run.captured
    assert {share.id.epoch for share in kept["client-1"]} == {1, 2} and len(kept) == 3
    assert run.end_keys() == () and run.captured == kept
    assert verify(unpack(pack(run.transcript))).sums == 2


def test_a_client_out_of_reach_may_still_hold_its_key(tmp_path):
    """The second fault: the key that somebody could not be asked to destroy."""
    from hefl_core.errors import RuntimeUnavailable

    def gone(epoch):
        raise RuntimeUnavailable("client-2: no answer in time")

    run = Run(SMALL.but(rounds=1))
    steps = run.steps()
    for sent in steps:
        if sent.step == "receipt":
            run.parties.clients[1].destroy_epoch = gone
    assert run.parties.clients[1].enrolment.share and not run.transcript.released
    assert verify(run.transcript).sums == 1
    with pytest.raises(KeyUseError):
        run.transcript.save(tmp_path / "t.jsonl")
    assert run.end_keys() == ("client-2",)
    assert verify(run.transcript).sums == 1, "nothing is written after the end that the clients signed"


def test_a_revoked_client_destroys_its_key_too():
    """The third: who left with the key of an old epoch."""
    run = Run(SMALL.but(clients=4, rounds=2))
    for sent in run.steps():
        if sent.step == "receipt" and sent.position.round == 1 and sent.sender == "client-4":
            leaver = run.parties.clients[3]
            run.revoke("client-4")
    assert leaver.enrolment.holder.epochs == () and run.transcript.released

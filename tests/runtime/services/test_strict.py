"""The strict mode passes what local and Ray pass, and refuses who is not who they say."""

import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from hefl_core.errors import DataError, KeyUseError, RoundError, RuntimeUnavailable, Stopped, WireError
from hefl_core.federation.record.verify import verify
from hefl_core.ids import COORDINATOR, KMS
from hefl_core.ops.logs import Log
from hefl_core.ops.metrics import Metrics
from hefl_core.ops.settings import Address
from hefl_core.runtime import stage
from hefl_core.runtime.calls import Report
from hefl_core.runtime.client_results import read_rounds
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.services.certificates import Authority, TLSKey, check_certificate
from hefl_core.runtime.services.channel import OPTIONS, REPORT, SERVICE, grpc
from hefl_core.runtime.services.coordinator_server import LEASE_SECONDS, CoordinatorServer, Credentials
from hefl_core.runtime.services.kit import Kit
from hefl_core.runtime.services.party_agent import _FINAL, PartyAgent
from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import Envelope, Position
from tests.conftest import SMALL, finished
from tests.runtime.services.strict_world import world

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
UNSEEN = SMALL.but(observed=False)


def models_at(world, name):
    return [line.model for line in read_rounds(world.machine.folder / name)]


def own_models(experiment):
    return [item.model for item in finished(experiment).result().rounds]


def test_all_services_as_processes_give_the_models_and_accuracies_of_a_local_run(small_result):
    result = run_experiment(SMALL, "strict")
    assert [item.model for item in result.rounds] == [item.model for item in small_result.rounds]
    assert [item.accuracy for item in result.rounds] == [item.accuracy for item in small_result.rounds]
    kinds = [sorted(sent.step for sent in r.transcript.sent) for r in (result, small_result)]
    assert kinds[0] == kinds[1]
    assert verify(result.transcript).sums == 2
    assert not result.observations and not result.experiment.observed


@pytest.fixture(scope="module")
def small_world(tmp_path_factory):
    """Three clients that have done round 1 of 2; the rest of the steps is left to the tests below, in their order."""
    with world(UNSEEN, tmp_path_factory.mktemp("strict")) as made:
        run = made.run()
        steps = run.steps()
        for sent in steps:
            if sent.step == "receipt" and sent.position.round == 1 and sent.sender == "client-3":
                break
        yield made, run, steps


@pytest.mark.parametrize("step", ["theta", "observe", "_export", "identity", "receive_all"])
def test_a_client_refuses_what_is_not_on_its_list(small_world, step):
    made, _, _ = small_world
    with pytest.raises(RoundError, match="a client answers nothing else"):
        made.server.ask("client-1", step)


def test_a_client_keeps_the_key_under_way_and_the_kms_its_terms(small_world):
    made, run, _ = small_world
    with pytest.raises(KeyUseError, match="it is needed"):
        made.server.ask("client-1", "destroy_epoch", 1)
    with pytest.raises(RoundError, match="the terms say otherwise"):
        run.parties.kms.rotate(2, 500)
    with pytest.raises(RoundError, match="a kms answers nothing else"):
        run.parties.kms.enrol(made.kit.member("client-1"))


def test_a_second_process_of_a_client_is_detected(small_world):
    """A copy of the home, so that the lock on the folder says nothing."""
    made, _, _ = small_world
    with pytest.raises(RuntimeUnavailable, match="another one attends"):
        attend_as(made, "client-2", *kit_of(made, "client-2"), patience=0)
    assert 'hefl_refusals_total{reason="started twice"} 1.0' in made.metrics.exposition().decode()


def kit_of(made, name, folder="copy"):
    """Certificate and key of a party, from a copy of its home."""
    copy = made.machine.folder.parent / folder / name
    if not copy.exists():
        shutil.copytree(made.machine.folder / name, copy)
    with stage.open_store(copy, name) as store:
        return Kit.load(copy), Kit.load(copy).credentials(store)


class NoDiary:
    def note(self, step):
        pass

    def refused(self, error):
        pass


def attend_as(made, name, kit, credentials, *, experiment=None, patience=None, seconds=20):
    """Call the coordinator under this name with these credentials; what keeps failing is RuntimeUnavailable."""
    stop, said = threading.Event(), []
    agent = PartyAgent(
        name, "client", None, experiment or kit.manifest.id, Log(name, "error"), Metrics(name), NoDiary()
    )
    if patience is not None:
        agent.patience_seconds = patience
    timer = threading.Timer(seconds, stop.set)
    timer.start()
    try:
        agent.attend(made.address, credentials, stop, lambda value: said.append(value) or (value and stop.set()))
    finally:
        timer.cancel()
    return any(said)


def test_the_certificate_of_another_party_is_refused(small_world):
    made, _, _ = small_world
    kit, credentials = kit_of(made, "client-2")
    with pytest.raises(KeyUseError, match="expected the certificate of client-1, found one of client-2"):
        attend_as(made, "client-1", kit, credentials)


def test_the_kit_of_another_experiment_is_refused(small_world):
    made, _, _ = small_world
    kit, credentials = kit_of(made, "client-2")
    with pytest.raises(WireError, match="take the new kit"):
        attend_as(made, "client-2", kit, credentials, experiment="0" * 64)


def certified(authority, name, now=None):
    """A fresh key and a certificate for it; it trusts this world's authority only if that is ``authority``."""
    key = TLSKey()
    return Credentials(authority.certificate, authority.issue(key.request(name), name, 1, now), key.expose())


def own_authority(made):
    with stage.open_store(made.machine.folder / "organiser", "organiser") as store:
        return Authority(TLSKey(store.get("organiser", "key")), store.get("organiser", "certificate"))


def test_foreign_expired_and_misused_certificates_never_get_in_and_a_valid_one_does(small_world):
    """The coordinator's own may answer, not call. Control: a valid one comes as far as the seat, which is taken."""
    made, _, _ = small_world
    authority = own_authority(made)
    foreign = certified(Authority.found(made.kit.manifest.id, 1), "client-2")
    foreign = Credentials(authority.certificate, foreign.certificate, foreign.key)
    expired = certified(authority, "client-2", datetime.now(UTC) - timedelta(days=3))
    valid = certified(authority, "client-2")
    for credentials in (foreign, expired, certified(authority, COORDINATOR)):
        assert not attend_as(made, "client-2", made.kit, credentials, seconds=2)
    with pytest.raises(RuntimeUnavailable, match="another one attends"):  # past the handshake: the seat is taken
        attend_as(made, "client-2", made.kit, valid, patience=0)
    with pytest.raises(DataError, match="expected one valid at"):
        check_certificate(expired.certificate, authority.certificate, "client-2")
    check_certificate(valid.certificate, authority.certificate, "client-2")


@contextmanager
def desk(made, credentials):
    """Another coordinator's desk, for client-2 alone."""
    server = CoordinatorServer(
        made.kit.manifest.id, {"client-2": "client"}, Log(COORDINATOR, "error"), Metrics(COORDINATOR)
    )
    before, made.address = made.address, server.listen(Address("127.0.0.1", 0), credentials)
    try:
        yield server
    finally:
        made.address = before
        server.close()


def test_a_client_speaks_to_the_coordinators_valid_certificate_only(small_world):
    """A borrowed, an expired and a foreign one are refused by the client. Control: the same server with a valid one."""
    made, _, _ = small_world
    authority, seen = own_authority(made), {}
    foreign = certified(Authority.found(made.kit.manifest.id, 1), COORDINATOR)
    shown = {
        "a client's": certified(authority, "client-1"),
        "expired": certified(authority, COORDINATOR, datetime.now(UTC) - timedelta(days=3)),
        "foreign": Credentials(authority.certificate, foreign.certificate, foreign.key),
        "valid": certified(authority, COORDINATOR),
    }
    for name, credentials in shown.items():
        with desk(made, credentials):
            seen[name] = attend_as(made, "client-2", made.kit, certified(authority, "client-2"), seconds=2)
    assert seen == {"a client's": False, "expired": False, "foreign": False, "valid": True}


def test_a_seat_is_taken_over_only_after_its_lease(small_world, monkeypatch):
    """By another life of the same name; the clock of the desk is the test's."""
    made, _, _ = small_world
    authority, clock = own_authority(made), [100.0]
    with desk(made, certified(authority, COORDINATOR)) as server:
        monkeypatch.setattr(
            "hefl_core.runtime.services.coordinator_server.time", SimpleNamespace(monotonic=lambda: clock[0])
        )
        credentials = certified(authority, "client-2")
        assert attend_as(made, "client-2", made.kit, credentials)
        assert wait_for(lambda: not server.attending())
        for moment, gets_in in ((100.0, False), (100.0 + LEASE_SECONDS - 0.1, False), (100.0 + LEASE_SECONDS, True)):
            clock[0] = moment
            if gets_in:
                assert attend_as(made, "client-2", made.kit, credentials)
            else:
                with pytest.raises(RuntimeUnavailable, match="another one attends"):
                    attend_as(made, "client-2", made.kit, credentials, patience=0)


def test_a_report_of_a_life_that_holds_no_seat_is_sent_back_and_does_not_end_the_party(small_world):
    """What a client had to say to a coordinator that died meanwhile: it comes again, and attends the new one."""
    made, _, _ = small_world
    authority = own_authority(made)
    with desk(made, certified(authority, COORDINATOR)):
        mine = certified(authority, "client-2")
        secure = grpc.ssl_channel_credentials(mine.authority, mine.key, mine.certificate)
        options = (*OPTIONS, ("grpc.ssl_target_name_override", COORDINATOR))
        with grpc.secure_channel(str(made.address), secure, options) as channel:
            with pytest.raises(grpc.RpcError) as refused:
                report = encode(Report(b"another life", 1, None, b""))
                channel.unary_unary(f"/{SERVICE}/{REPORT}")(report, timeout=20, wait_for_ready=True)
    assert refused.value.code() is grpc.StatusCode.ABORTED and grpc.StatusCode.ABORTED not in _FINAL


def test_an_order_to_stop_ends_what_is_being_asked_and_is_nobodys_absence():
    """Else every attempt of the round would be gone through on the way out. Control: without the order it waits."""
    stop = threading.Event()
    server = CoordinatorServer(
        "x", {"client-2": "client"}, Log("x", "error"), Metrics("x"), deadline_seconds=1, stop=stop
    )
    server._seats["client-2"].connected = True
    with pytest.raises(RuntimeUnavailable, match="no answer to commit within 1 s"):
        server.ask("client-2", "commit", Position(1, 1))
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(Stopped):
        server.ask("client-2", "commit", Position(1, 1))


def test_a_replay_across_rounds_is_refused_and_the_run_ends_as_a_local_one(small_world):
    """Relabelled for round 2 it is refused; word for word it is known, and counts for nothing in round 2."""
    made, run, steps = small_world
    plan, upload = (
        next(envelope_of(run, sent) for sent in run.transcript.of_round(1) if sent.step == step)
        for step in ("plan", "update")
    )
    replayed = False
    for sent in steps:
        if sent.step == "commitments" and sent.position.round == 2:
            coordinator, client = run.parties.coordinator, run.parties.clients[0]
            for receiver, old in ((coordinator, upload), (client, plan)):
                with pytest.raises(WireError, match="signature"):
                    receiver.receive(replace(old, header=replace(old.header, position=sent.position)))
                receiver.receive(old)
            assert not coordinator.received(sent.position, "update")
            replayed = True
    assert replayed and [item.contributors for item in run.rounds][1] == ("client-1", "client-2", "client-3")
    assert verify(run.transcript).sums == 2
    expected = own_models(SMALL)
    for name in ("client-1", "client-2", "client-3"):
        assert wait_for(lambda name=name: models_at(made, name) == expected)
        model = np.load(made.machine.folder / name / "results" / "model.npy", allow_pickle=False)
        assert model.dtype == np.float32 and model.shape == (2410,)
    assert all(item.accuracy is None for item in run.rounds)


def envelope_of(run, sent):
    return Envelope(sent.head.header, sent.head.signature, run.transcript.body(sent))


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_no_log_holds_a_secret_or_an_update(small_world):
    """After the run above. Control: the same search finds what does stand in the logs."""
    made, _, _ = small_world
    logs = b"".join(made.machine.log_path(name).read_bytes() for name in made.machine.names if name != COORDINATOR)
    assert made.kit.manifest.id.encode() in logs
    secrets = [secret for name in made.machine.names for secret in secrets_of(made, name)]
    assert len(secrets) == len(made.machine.names) * 4
    assert found_in(logs, secrets) == []
    for secret in secrets:  # control: each would be found, as bytes and as text
        assert found_in(logs + secret, secrets) and found_in(logs + secret.hex().encode(), secrets)
    for client in ("client-1", "client-2", "client-3"):
        home = made.machine.folder / client
        with np.load(home / "data" / "train.npz", allow_pickle=False) as data:
            count = str(len(data["labels"])).encode() + b'"'
        theta = np.load(home / "results" / "model.npy", allow_pickle=False)
        numbers = [repr(float(value)).encode() for value in theta[:200] if value]
        assert len(numbers) > 100 and found_in(logs, [count, *numbers]) == []
        assert found_in(logs + b'{"loss": ' + numbers[7], numbers) == [numbers[7]]


def secrets_of(made, name):
    """Parts of a party's private keys."""
    with _copy(made, name) as store:
        pem, identity = store.get("tls", "key"), store.get("identities", name)
    return pem.splitlines()[1], pem.splitlines()[2], identity[-32:], identity[-66:-34]


def found_in(logs, needles):
    return [needle for needle in needles if needle in logs or needle.hex().encode() in logs]


def _copy(made, name):
    copy = made.machine.folder.parent / "later" / name
    shutil.copytree(made.machine.folder / name, copy)
    return stage.open_store(copy, name)


def test_a_killed_client_is_left_out_and_the_rounds_go_on(tmp_path):
    experiment = UNSEEN.but(clients=4)
    with world(experiment, tmp_path, as_processes=["client-4"]) as made:
        run = made.run()
        for sent in run.steps():
            if sent.step != "receipt" or sent.sender != "client-4":
                continue
            if sent.position.round == 1:
                made.machine.processes["client-4"].kill()
                made.gone("client-4")
        contributors = [sorted(s.sender for s in run.transcript.of_round(r) if s.step == "update") for r in (1, 2)]
        assert contributors[0] == [f"client-{i}" for i in range(1, 5)]
        assert contributors[1] == ["client-1", "client-2", "client-3"]
        assert any(entry.party == "client-4" for entry in run.transcript.left_out)
        assert verify(run.transcript).signers == (3, 4)


@pytest.mark.parametrize("custody", ["2-of-3", "dealer-free:2-of-3"])
def test_collective_custody_and_rotation(tmp_path, custody):
    experiment = UNSEEN.but(scheme="bfv-threshold", custody=custody, epoch_rounds=1)
    with world(experiment, tmp_path) as made:
        run = made.run()
        for _ in run.steps():
            pass
        assert [epoch.epoch for epoch in run.parties.kms.epochs] == [1, 2]
        assert verify(run.transcript).sums == 2
        models = [models_at(made, name) for name in ("client-1", "client-2", "client-3")]
        assert len(models[0]) == 2 and models[0] == models[1] == models[2]
        assert models[0] == own_models(SMALL.but(scheme="bfv-threshold", custody="2-of-3"))
        assert run.parties.kms.epochs[0].state.value == "destroyed" and KMS in made.server.attending()


def test_a_holder_that_comes_back_in_the_middle_of_a_round_keeps_its_place_and_answers_nothing_new(tmp_path):
    """Its process is killed after it committed; the next one uploads what was committed, two others decrypt."""
    experiment = UNSEEN.but(scheme="INSECURE_paillier-512", custody="2-of-3", model="logistic")
    with world(experiment, tmp_path, as_processes=["client-1"], absence_seconds=120) as made:
        run = made.run()
        for sent in run.steps():
            if (sent.step, sent.position.round) == ("commitments", 2):
                made.machine.processes["client-1"].kill()
                made.gone("client-1")
                made.machine.start("client-1")
        said = [[s.sender for s in run.transcript.of_round(2) if s.step == step] for step in ("update", "partial")]
        assert sorted(said[0]) == ["client-1", "client-2", "client-3"]
        assert sorted(said[1]) == ["client-2", "client-3"]
        assert [item.attempts for item in run.rounds] == [1, 1] and not run.transcript.left_out
        assert wait_for(lambda: len(models_at(made, "client-1")) == 2)
        expected = own_models(SMALL.but(scheme="INSECURE_paillier-512", custody="2-of-3", model="logistic"))
        assert models_at(made, "client-1") == models_at(made, "client-3") == expected

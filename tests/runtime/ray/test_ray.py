"""On Ray: the same accuracies and the same message kinds as with objects, and nothing left behind."""

import os
import signal
import time

import psutil
import pytest

from hefl_core.errors import RoundError, RuntimeUnavailable
from hefl_core.federation.record.verify import verify
from hefl_core.runtime.events import EventBus, Progress
from hefl_core.runtime.run import Run
from tests.conftest import SMALL, finished

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def on_ray():
    bus = EventBus()
    run = Run(SMALL, "ray", bus=bus)
    for _ in run.steps():
        pass
    result = run.result()
    run.close()
    return result, bus


def test_local_and_ray_agree(on_ray, small_result):
    result, _ = on_ray
    assert [item.model for item in result.rounds] == [item.model for item in small_result.rounds]
    assert [item.accuracy for item in result.rounds] == [item.accuracy for item in small_result.rounds]
    kinds = [sorted(sent.step for sent in r.transcript.sent) for r in (result, small_result)]
    assert kinds[0] == kinds[1]
    assert any("share a process" in text for text in result.shared_processes)


def test_the_transcript_from_ray_verifies(on_ray):
    assert verify(on_ray[0].transcript).sums == 2


def test_progress_can_be_followed_with_a_cursor(on_ray):
    _, bus = on_ray
    events, cursor = bus.since(0)
    assert any(isinstance(event, Progress) for event in events)
    assert bus.since(cursor) == ((), cursor)


def test_parties_are_freed(on_ray):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        left = [p for p in psutil.Process(os.getpid()).children(recursive=True) if "PartyHost" in " ".join(_cmd(p))]
        if not left:
            return
        time.sleep(0.2)
    raise AssertionError(f"party processes left: {left}")


def _cmd(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_dead_client_host_is_left_out_and_the_round_goes_on():
    from hefl_core.runtime.ray.cluster import ray

    run = Run(SMALL.but(clients=4, rounds=2), "ray", clients_per_host=1)
    steps = run.steps()
    for sent in steps:
        if sent.step == "receipt" and sent.position.round == 1 and sent.sender == "client-4":
            break
    ray.kill(run.parties.clients[3].host, no_restart=True)
    for _ in steps:
        pass
    contributors = [s.sender for s in run.transcript.of_round(2) if s.step == "update"]
    assert sorted(contributors) == ["client-1", "client-2", "client-3"]
    assert any(entry.party == "client-4" for entry in run.transcript.left_out)
    assert verify(run.transcript).signers == (3, 4)
    run.close()


def test_an_actor_answers_what_is_on_its_list_and_tells_no_more_of_a_failure_than_kind_and_place():
    from hefl_core.runtime.ray.cluster import ray

    run = Run(SMALL.but(rounds=1), "ray")
    next(iter(run.steps()))
    client = run.parties.clients[0]
    for step in ("theta", "enrolment", "private_side", "leave", "no_such_method"):
        found, body = ray.get(client.host.call.remote(client.name, step))  # goes round this process's end of the list
        assert body is None and isinstance(found, RoundError) and "answers nothing else" in str(found)
        assert step == "leave" or not hasattr(client, step)  # this end of the list
    with pytest.raises(RuntimeUnavailable, match=r"unexpected TypeError in calls\.py:answer"):
        run.parties.coordinator.ask("aggregate", "too", "many")
    run.close()


@pytest.fixture(scope="module")
def disturbed():
    """Three clients on hosts of their own: a process killed at each step of round 2, one stopped in round 3."""
    run = Run(SMALL.but(rounds=3), "ray", clients_per_host=1, deadline_seconds=4)
    victims = {
        ("plan", "coordinator"): "client-2",
        ("commitment", "client-1"): "coordinator",
        ("commitments", "coordinator"): "auditor",
        ("update", "client-1"): "auditor",
        ("sum", "coordinator"): "client-1",
        ("confirmation", "auditor"): "coordinator",
    }
    for sent in run.steps():
        if sent.position.round == 2 and (name := victims.pop((sent.step, sent.sender), None)):
            os.kill(pid_of(run, name), signal.SIGKILL)
        if sent.position.round == 3 and sent.step == "plan" and sent.position.attempt == 1:
            os.kill(pid_of(run, "auditor"), signal.SIGSTOP)
    assert not victims
    yield run
    run.close()


def pid_of(run, name):
    parties = run.parties
    party = next(p for p in (parties.kms, parties.coordinator, parties.auditor, *parties.clients) if p.name == name)
    return int((party.home / "pid").read_text())


def test_killed_processes_come_back_and_lose_nothing(disturbed):
    assert [(item.attempts, len(item.contributors)) for item in disturbed.rounds] == [(1, 3)] * 3
    assert [item.model for item in disturbed.rounds] == [item.model for item in finished(SMALL.but(rounds=3)).rounds]
    assert verify(disturbed.transcript).sums == 3

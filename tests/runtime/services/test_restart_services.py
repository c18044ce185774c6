"""Real processes under mutual TLS, killed with SIGKILL in the middle of a round and started again by a supervisor."""

import threading
import time

import pytest

from hefl_core.federation.record.transcript import Sent, Transcript, read_line
from hefl_core.federation.record.verify import verify
from hefl_core.ids import AUDITOR, COORDINATOR, KMS
from hefl_core.ops.logs import Log
from hefl_core.ops.metrics import Metrics
from hefl_core.ops.settings import Settings
from hefl_core.runtime.client_results import read_rounds
from hefl_core.runtime.events import EventBus
from hefl_core.runtime.journal import TRANSCRIPT
from hefl_core.runtime.services import one_machine
from hefl_core.runtime.services.context import Service
from hefl_core.runtime.services.one_machine import OneMachine, run_strict
from hefl_core.runtime.services.provision import role_of
from hefl_core.runtime.services.roles import serve_strict
from tests.conftest import SMALL, finished

EXPERIMENT = SMALL.but(rounds=3, observed=False)
KILLS = {  # by whom, once the record of the coordinator shows this message of this round
    KMS: ("roster", 0),
    AUDITOR: ("commitments", 1),
    COORDINATOR: ("update", 2),
    "client-2": ("commitment", 3),
}


class Killer(threading.Thread):
    """Reads the coordinator's record as it grows and kills processes of a machine, each once."""

    def __init__(self):
        super().__init__(daemon=True)
        self.machine, self.killed, self.over = None, {}, threading.Event()

    def run(self):
        while not self.over.wait(0.005):
            if self.machine is None:
                continue
            seen = said(self.machine)
            for name, point in KILLS.items():
                if name not in self.killed and point in seen:
                    self.machine.processes[name].kill()
                    self.killed[name] = seen[-1]


def said(machine):
    """(step, round) of every message on the coordinator's disk."""
    path = machine.folder / COORDINATOR / "results" / TRANSCRIPT
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    entries = [read_line(line).entry for line in lines]
    return [(entry.step, entry.position.round) for entry in entries if isinstance(entry, Sent)]


@pytest.fixture(scope="module")
def disturbed():
    """`run --runtime strict` in which every role loses its process once, three of them at work on a round or a key."""
    killer, bus = Killer(), EventBus()

    class Watched(OneMachine):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            killer.machine = self
            self.own = {}

        def stop(self):
            killer.over.set()
            killer.join()
            super().stop()
            self.own = {name: read_rounds(self.folder / name) for name in self.names if name.startswith("client")}
            self.lines = {name: self.log(name) for name in self.names}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(one_machine, "OneMachine", Watched)
        killer.start()
        result = run_strict(EXPERIMENT, bus)
    return result, killer, bus


def test_killed_in_the_middle_of_a_round_all_come_back_and_the_models_are_those_of_an_undisturbed_run(disturbed):
    result, killer, _ = disturbed
    assert set(killer.killed) == set(KILLS)
    assert killer.killed[COORDINATOR][1] == 2 and killer.killed["client-2"][1] == 3
    undisturbed = [item.model for item in finished(EXPERIMENT.but(observed=True)).result().rounds]
    assert [item.model for item in result.rounds] == undisturbed
    assert {name: [line.model for line in own] for name, own in killer.machine.own.items()} == dict.fromkeys(
        ("client-1", "client-2", "client-3"), undisturbed
    )
    assert [item.attempts for item in result.rounds] == [1, 1, 1]
    assert all(len(item.contributors) == 3 for item in result.rounds)


def test_the_record_is_one_and_verifies(disturbed):
    result, _, _ = disturbed
    verdict = verify(result.transcript)
    assert (verdict.rounds, verdict.sums, verdict.signers) == (3, 3, (3, 3))
    kinds = [entry.step for entry in result.transcript.sent]
    undisturbed = finished(EXPERIMENT).transcript
    assert sorted(kinds) == sorted(entry.step for entry in undisturbed.sent)
    assert not result.left_out


def test_the_logs_say_what_happened(disturbed):
    _, killer, bus = disturbed
    lines = killer.machine.lines
    resumed = [line for line in lines[COORDINATOR] if line["event"] == "resumes"]
    assert len(resumed) == 1 and resumed[0]["rounds_done"] == 1
    for name in ("client-1", "client-3"):
        events = [line["event"] for line in lines[name]]
        assert events.count("start") == 1 and events.count("ready") == 2 and events[-1] == "stop"
    for name in KILLS:
        assert [line["event"] for line in lines[name]].count("start") == 2
    told = [event.text for event in bus.since(0)[0] if "was killed" in getattr(event, "text", "")]
    assert len(told) == len(KILLS)


class House:
    """The services of one experiment in threads of this process, each with an order to stop of its own."""

    def __init__(self, experiment, folder):
        self.machine = OneMachine(experiment, folder / "parties")
        self.running = {}

    def start(self, *names):
        for name in names:
            settings = Settings.load(role_of(name), self.machine.folder / name / "service.toml", {})
            log = self.machine.log_path(name).open("a", encoding="utf-8")
            service = Service(settings, Log(name, "debug", log), Metrics(name), threading.Event(), threading.Event())
            thread = threading.Thread(target=serve_strict, args=(service,), daemon=True)
            thread.start()
            self.running[name] = (thread, service.stop, log)

    def join(self, name, seconds=120):
        thread, stop, log = self.running[name]
        thread.join(seconds)
        assert not thread.is_alive()
        stop.set()
        log.close()

    def close(self):
        for thread, stop, log in self.running.values():
            stop.set()
            thread.join(60)
            log.close()


@pytest.fixture
def house(tmp_path):
    made = House(EXPERIMENT, tmp_path)
    yield made
    made.close()


def test_a_coordinator_that_is_told_to_stop_leaves_nobody_out_and_the_next_one_goes_on(house):
    """SIGTERM, as at a reboot: no further attempt is begun on the way out."""
    house.start(*house.machine.names)
    end = time.monotonic() + 120
    while ("commitment", 2) not in said(house.machine) and time.monotonic() < end:
        time.sleep(0.002)
    house.running[COORDINATOR][1].set()
    house.join(COORDINATOR)
    before = said(house.machine)
    house.start(COORDINATOR)
    for name in house.machine.names:
        house.join(name)
    record = Transcript.load(house.machine.folder / COORDINATOR / "results" / TRANSCRIPT)
    assert ("receipt", 3) not in before and said(house.machine)[: len(before)] == before
    assert not record.left_out and {sent.position.attempt for sent in record.sent} == {1}
    assert verify(record).sums == 3
    models = {tuple(line.model for line in read_rounds(house.machine.folder / f"client-{k}")) for k in (1, 2, 3)}
    assert models == {tuple(item.model for item in finished(EXPERIMENT.but(observed=True)).result().rounds)}

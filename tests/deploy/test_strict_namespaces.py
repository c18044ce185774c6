"""The services of compose.strict.yaml, read from the file, as processes in namespaces of their own, under mutual TLS.

Like test_namespaces.py, but nobody drives it: each party starts in its own directory and leaves at the end.
"""

import os
import shutil
import subprocess
import time
from contextlib import ExitStack

import pytest

from hefl_core.federation.record.transcript import Transcript
from hefl_core.federation.record.verify import verify
from hefl_core.runtime.client_results import read_rounds
from hefl_core.runtime.services.provision import provision_all
from tests.conftest import SMALL, finished
from tests.deploy.driver import needles
from tests.deploy.files import compose
from tests.deploy.namespaces import Container, Network, Tap, why_not

pytestmark = [pytest.mark.ray, pytest.mark.skipif(bool(why_not()), reason=f"namespaces: {why_not()}")]
SERVICES = compose("compose.strict.yaml")["services"]
CLIENTS = [name for name in SERVICES if name.startswith("client")]
EXPERIMENT = SMALL.but(rounds=6, observed=False)
"""Rounds enough that the coordinator is caught in the middle, on a slow machine too."""
END_SECONDS = 150


class Organisations:
    """Everybody in a container of their own, and what was seen on the coordinator's line."""

    def __init__(self, folder, held):
        whole = folder / "parties"
        self.manifest = provision_all(whole, EXPERIMENT, coordinator="coordinator:7443", metrics=False)
        self.network = held.enter_context(Network(SERVICES, folder))
        self.containers = {n: Container(n, s, self.network, folder, None) for n, s in SERVICES.items()}
        for name, container in self.containers.items():
            held.callback(container.kill)
            move_in(whole / name, container)
        self.tap = Tap(self.network, "coordinator", folder / "coordinator.pcap")
        held.callback(self.tap.close)

    def run(self, planted):
        """The coordinator last: whoever comes before it keeps calling."""
        for name in reversed(SERVICES):
            self.containers[name].start()
        self.containers["client-1"].wait_until_healthy()
        self.seen_inside = self._inside("client-1")
        send = f"import socket; socket.socket(2, 2).sendto({planted!r}, ('coordinator', 9))"
        with self.containers["client-2"].exec(["python", "-c", send]) as sender:
            assert sender.wait() == 0
        self._lose("coordinator")
        end = time.monotonic() + END_SECONDS
        self.exit_codes = {
            name: container.exit_code(max(1, end - time.monotonic())) for name, container in self.containers.items()
        }
        self.tap.close()
        self.seen = self.tap.seen

    def _lose(self, name):
        """Killed in the middle of the run, and started again as ``restart: on-failure`` says."""
        record, end = self.home("coordinator") / "results" / "transcript.jsonl", time.monotonic() + END_SECONDS
        while not record.exists() or b'"commitment"' not in record.read_bytes():
            assert time.monotonic() < end, self.containers[name].log.read_text()[-2000:]
            time.sleep(0.005)
        self.containers[name].kill()
        self.written = record.read_bytes()
        self.containers[name].start()

    def _inside(self, name):
        """Whatever looks like a party's home, as the party itself sees it."""
        look = "find /var/lib/hefl /app/parties /parties -name '*.key' -o -name '*.db' -o -name '*.npz' 2>&1; id -u"
        with self.containers[name].exec(["sh", "-c", look], stdout=subprocess.PIPE, text=True) as asked:
            return asked.communicate()[0].splitlines()

    def home(self, name):
        return self.containers[name].volume


def move_in(home, container):
    uid, gid = map(int, container.service["user"].split(":"))
    shutil.copytree(home, container.volume, dirs_exist_ok=True)
    for path in (container.volume, *container.volume.rglob("*")):
        os.chown(path, uid, gid)


@pytest.fixture(scope="module")
def local():
    return finished(EXPERIMENT.but(observed=True))


@pytest.fixture(scope="module")
def private(local):
    """Rows of what each client computed in the same run without any network, and of the models."""
    seen = local.observer.observations
    models = [item.theta for items in seen.values() for item in items if item.theta]
    found = [bytes.fromhex(needle) for needle in needles(seen)]
    found += [theta[start : start + 32] for theta in models for start in range(0, len(theta) - 32, len(theta) // 16)]
    assert len(models) == EXPERIMENT.rounds and len(found) >= 100
    return found


@pytest.fixture(scope="module")
def organisations(tmp_path_factory, private):
    if shutil.which("tcpdump") is None:
        pytest.skip("namespaces: tcpdump is not installed")
    with ExitStack() as held:
        found = Organisations(tmp_path_factory.mktemp("strict"), held)
        found.planted = [private[0], found.manifest.id.encode()]
        found.run(b"PLANTED:" + b"".join(found.planted))
        logs = {name: container.log.read_text()[-2000:] for name, container in found.containers.items()}
        assert set(found.exit_codes.values()) == {0}, logs
        yield found


def test_the_run_ends_where_a_local_one_ends(organisations, local):
    models = [item.model for item in local.result().rounds]
    for name in CLIENTS:
        lines = read_rounds(organisations.home(name))
        assert [line.model for line in lines] == models
        assert [line.accuracy for line in lines] == [item.accuracy for item in local.rounds]
    verdict = verify(Transcript.load(organisations.home("coordinator") / "results" / "transcript.jsonl"))
    assert (verdict.rounds, verdict.sums, verdict.signers) == (EXPERIMENT.rounds, EXPERIMENT.rounds, (3, 3))


def test_a_killed_coordinator_went_on_from_what_it_had_written(organisations):
    record = (organisations.home("coordinator") / "results" / "transcript.jsonl").read_bytes()
    whole = organisations.written[: organisations.written.rfind(b"\n") + 1]
    assert record.startswith(whole) and len(record) > len(whole)
    assert '"resumes"' in organisations.containers["coordinator"].log.read_text()


def test_nothing_that_passes_the_coordinator_can_be_read(organisations, private):
    """Not even the experiment's name, which every message carries. Control: both are found in a datagram in the open."""
    record = Transcript.load(organisations.home("coordinator") / "results" / "transcript.jsonl")
    assert len(organisations.seen) > sum(sent.nbytes for sent in record.sent if sent.step == "update")
    planted = b"PLANTED:" + b"".join(organisations.planted)
    assert planted in organisations.seen
    rest = organisations.seen.replace(planted, b"")  # the answer that nobody listens there quotes it once more
    assert not [needle for needle in (*private, organisations.manifest.id.encode()) if needle in rest]


def test_a_party_sees_its_own_directory_and_nobody_elses(organisations):
    *files, uid = [line for line in organisations.seen_inside if "No such file" not in line]
    assert uid == "10001"
    assert sorted(files) == [
        f"/var/lib/hefl/{name}" for name in ("client-1.db", "client-1.key", "data/holdout.npz", "data/train.npz")
    ]

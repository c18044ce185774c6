"""The services of compose.yaml, read from the file, as processes in namespaces of their own, run a federation.

No container engine takes part (tests/deploy/namespaces.py says what is the same and what is not); one run serves all
tests here. Explicitly skipped without root, Linux and the tools.
"""

import json
import os
import shutil
import stat
import subprocess
import time
from contextlib import ExitStack

import pytest

from hefl_core.errors import RuntimeUnavailable
from hefl_core.runtime.run import Run
from tests.conftest import SMALL
from tests.deploy.files import CLIENTS, PARTIES, compose
from tests.deploy.namespaces import Container, Network, Tap, why_not

pytestmark = [pytest.mark.ray, pytest.mark.skipif(bool(why_not()), reason=f"namespaces: {why_not()}")]
WORDS = {"clients": 4, "rounds": 3, "local_epochs": 4}
EXPERIMENT = SMALL.but(**WORDS)
CUT_BEFORE = 3
DEADLINE_SECONDS = 10


class Cluster:
    """All services up, and what was seen from outside while they worked."""

    def __init__(self, folder, held):
        services = compose()["services"]
        secret = folder / "ray_token"
        secret.write_text(os.urandom(32).hex(), encoding="ascii")
        self.network = held.enter_context(Network(services, folder))
        self.containers = {n: Container(n, s, self.network, folder, secret) for n, s in services.items()}
        for container in self.containers.values():
            held.callback(container.kill)
        self.tap = Tap(self.network, "coordinator", folder / "coordinator.pcap")
        held.callback(self.tap.close)
        self._start(services)

    def _start(self, services):
        """In the order of depends_on, everybody who may start at once."""
        left = dict(self.containers)
        while left:
            able = [n for n in left if not set(services[n].get("depends_on", ())) & set(left)]
            for name in able:
                left.pop(name).start()
            for name in able:
                self.containers[name].wait_until_healthy()

    def run(self):
        command = [
            "python",
            "-m",
            "tests.deploy.driver",
            json.dumps(WORDS | {"seed": EXPERIMENT.seed}),
            str(CUT_BEFORE),
            str(DEADLINE_SECONDS),
        ]
        driver = self.containers["gui"].exec(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with driver:
            try:
                self.before = json.loads(driver.stdout.readline())
                self.while_it_ran = self.network.processes("kms")
                self.volumes = {name: self._volume(name) for name in self.containers}
                self.network.cut("client-4")
                driver.stdin.write("go\n")
                driver.stdin.flush()
                self.after = json.loads(driver.stdout.readline())
            finally:
                driver.stdin.close()
                if driver.wait(60):
                    print(self.containers["gui"].log.read_text()[-4000:])
        self.metrics = {name: self._metrics(name) for name in PARTIES if name != "client-4"}
        needle = bytes.fromhex(self.after["needles"][0])
        self.planted = b"PLANTED:" + needle[::-1]
        send = f"import socket; socket.socket(2, 2).sendto({self.planted!r}, ('coordinator', 9))"
        with self.containers["client-1"].exec(["python", "-c", send]) as sender:
            assert sender.wait() == 0
        time.sleep(1)
        self.tap.close()
        self.seen = self.tap.seen
        self.exit_codes = {}
        self.containers["client-4"].kill()  # unplugged, it would only wait for a head that it cannot reach
        for names in (["gui"], [name for name in PARTIES if name != "client-4"], ["ray-head"]):
            self._stop(names)
        self.left = {name: left for name in self.containers if (left := self.network.processes(name))}

    def _metrics(self, name):
        """What Prometheus would read, a second after the run: the node's service looks twice a second."""
        program = "import time, urllib.request as u; time.sleep(1); print(u.urlopen('http://127.0.0.1:9464/metrics').read().decode())"
        with self.containers[name].exec(["python", "-c", program], stdout=subprocess.PIPE, text=True) as asked:
            lines = [line.rsplit(" ", 1) for line in asked.stdout if not line.startswith("#") and line.strip()]
        return {key: float(value) for key, value in lines}

    def _stop(self, names):
        """Nobody before those that depend on it; within the time of grace that compose.yaml gives."""
        for name in names:
            self.containers[name].ask_to_stop()
        for name in names:
            grace = int(self.containers[name].service["stop_grace_period"].rstrip("s"))
            self.exit_codes[name] = self.containers[name].exit_code(grace)

    def _volume(self, name):
        folder = self.containers[name].volume
        return sorted(path for path in folder.rglob("*") if path.is_file()) if folder else None


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if shutil.which("tcpdump") is None:
        pytest.skip("namespaces: tcpdump is not installed")
    with ExitStack() as held:
        found = Cluster(tmp_path_factory.mktemp("cluster"), held)
        found.run()
        yield found


def test_each_party_lives_on_the_node_that_has_its_name(cluster):
    assert cluster.before["hosts"] == [[[name], name] for name in PARTIES]


def test_four_clients_end_where_the_local_run_ends_with_one_unplugged_before_the_last_round(cluster):
    local = Run(EXPERIMENT)
    for sent in local.steps():
        if sent.position.round == CUT_BEFORE and sent.step == "plan":
            local.parties.clients[3].commit = unplugged
    rounds = local.result().rounds
    assert cluster.after["models"] == [item.model for item in rounds]
    assert cluster.after["accuracy"] == [item.accuracy for item in rounds] and rounds[-1].accuracy > 0.85
    assert cluster.after["contributors"] == [list(CLIENTS), list(CLIENTS), list(CLIENTS[:3])]
    assert cluster.after["signers"] == [3, 4]


def unplugged(*_):
    raise RuntimeUnavailable("client-4: unplugged")


def test_no_plaintext_passes_the_coordinator(cluster):
    assert len(cluster.seen) > cluster.after["uploaded"]
    assert len(cluster.after["needles"]) >= 100
    found = [needle for needle in cluster.after["needles"] if bytes.fromhex(needle) in cluster.seen]
    assert not found
    assert cluster.planted in cluster.seen  # what is there is found


def test_keys_lie_on_their_own_party_s_volume(cluster):
    for name in ("kms", *CLIENTS):
        secret = [path for path in cluster.volumes[name] if path.suffix in (".key", ".db")]
        assert {path.name for path in secret} == {f"{name}.key", f"{name}.db"}
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in secret if path.exists())
    assert cluster.volumes["coordinator"] is None and cluster.volumes["auditor"] is None


@pytest.mark.parametrize("name", [name for name in PARTIES if name != "client-4"])
def test_prometheus_reads_what_the_record_says(cluster, name):
    found = cluster.metrics[name]
    for direction in ("in", "out"):
        messages, nbytes = cluster.after["traffic"].get(f"{name} {direction}", (0, 0))
        counted = found.get(f'hefl_messages_total{{direction="{direction}"}}', 0)
        assert messages <= counted <= 2 * messages  # a question that is asked again gets its answer again
        assert nbytes <= found.get(f'hefl_bytes_total{{direction="{direction}"}}', 0) <= 2 * nbytes
    assert found["hefl_rounds_total"] == (0 if name == "kms" else EXPERIMENT.rounds)
    assert found["hefl_ready"] == 1


def test_every_service_stops_in_order_when_it_is_told_to(cluster):
    assert cluster.exit_codes == dict.fromkeys(set(cluster.containers) - {"client-4"}, 0)


def test_no_process_stays_behind(cluster):
    assert cluster.while_it_ran and cluster.left == {}

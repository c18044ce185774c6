"""A Ray cluster that nobody of us started: the same experiment joins it, with parties on both of its nodes.

Two machines (tests/deploy/namespaces.py) run Ray's own `ray start`, once with a token and once without; the driver is
`python -m hefl_core run --runtime ray` on the first with RAY_ADDRESS set, and nothing else.
"""

import json
import os
import subprocess
import time
from contextlib import ExitStack

import pytest

from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.services.ray_node import STARTED
from tests.conftest import SMALL
from tests.deploy.namespaces import Container, Network, why_not

pytestmark = [pytest.mark.ray, pytest.mark.skipif(bool(why_not()), reason=f"namespaces: {why_not()}")]
PORT = 6391
TOKEN_FILE = "/run/secrets/ray_token"
RAY_START = ["python", "-m", "ray.scripts.scripts", "start"]
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": TOKEN_FILE}
OPEN = {"RAY_AUTH_MODE": "disabled"}
RUN = ["python", "-m", "hefl_core", "run", "--runtime", "ray", "--json", "-", "--seed", str(SMALL.seed)]
RUN += ["--clients", str(SMALL.clients), "--rounds", str(SMALL.rounds), "--model", SMALL.model]
PARTIES = {"kms", "coordinator", "auditor", "client-1", "client-2", "client-3"}


def machine(name, command, environment):
    """A host as compose.yaml would describe it; Ray is all that it runs."""
    return {
        "hostname": name,
        "user": "10001:10001",
        "read_only": True,
        "cap_drop": ["ALL"],
        "shm_size": "512m",
        "tmpfs": ["/tmp:mode=1777,size=512m"],
        "secrets": ["ray_token"],
        "environment": {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", **environment},
        "command": command,
    }


class Pair:
    """One or two nodes of a cluster."""

    def __init__(self, environment, count, folder, held):
        secret = folder / "ray_token"
        secret.write_text(os.urandom(32).hex(), encoding="ascii")
        network = held.enter_context(Network(("first", "second"), folder))
        common = ["--block", "--num-cpus", "1", "--object-store-memory", str(128 << 20), "--disable-usage-stats"]
        head = ["--head", "--port", str(PORT), "--include-dashboard", "false"]
        self.address = f"{network.addresses['first']}:{PORT}"
        commands = {"first": head, "second": ["--address", self.address]}
        self.nodes = {}
        for name, own in list(commands.items())[:count]:
            command = [*own, "--node-ip-address", network.addresses[name], *common]
            node = Container(name, machine(name, command, environment), network, folder, secret, RAY_START)
            held.callback(node.kill)
            node.start()
            self.nodes[name] = node
            self._wait_for(node)

    @staticmethod
    def _wait_for(node, seconds=90):
        """Ray says in one line that the node is registered."""
        end = time.monotonic() + seconds
        while STARTED not in node.log.read_text() and node.process.poll() is None and time.monotonic() < end:
            time.sleep(0.2)
        assert STARTED in node.log.read_text(), node.log.read_text()[-3000:]

    def run(self, **environment):
        """The driver, on the first machine."""
        node = self.nodes["first"]
        node.environment = {**node.environment, "RAY_ADDRESS": self.address, **environment}
        with node.exec(RUN, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as driver:
            out, err = driver.communicate(timeout=180)
        return driver.returncode, out, err


@pytest.fixture(scope="module")
def local():
    return run_experiment(SMALL)


def assert_the_same(found, local):
    assert [item["model"] for item in found["rounds"]] == [item.model for item in local.rounds]
    assert [item["accuracy"] for item in found["rounds"]] == [item.accuracy for item in local.rounds]


def test_a_guarded_cluster_of_two_nodes_carries_the_same_experiment(local, tmp_path):
    with ExitStack() as held:
        pair = Pair(TOKEN, 2, tmp_path, held)
        code, out, err = pair.run()
        assert code == 0, err[-3000:]
        assert_a_foreign_token_is_refused(pair)
    found = json.loads(out)
    assert_the_same(found, local)
    where = {party: host["node"] for host in found["hosts"] for party in host["parties"]}
    assert set(where) == PARTIES and found["shared_processes"] == []
    assert {where[name] for name in PARTIES if name.startswith("client")} == {"first", "second"}
    assert "kms, auditor, client-2 on first; coordinator, client-1, client-3 on second" in " ".join(err.split())


def test_an_open_cluster_carries_it_too(local, tmp_path):
    with ExitStack() as held:
        alone = Pair(OPEN, 1, tmp_path, held)
        code, out, err = alone.run()
        assert code == 0, err[-3000:]
        assert_the_same(json.loads(out), local)


def assert_a_foreign_token_is_refused(pair):
    code, _, err = pair.run(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64)
    assert code != 0 and "is the cluster up, the token set?" in err, err

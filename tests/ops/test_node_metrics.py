"""What a party on a Ray node did reaches the metrics of the service that keeps the node, once."""

import stat
import subprocess
import sys

import pytest

from hefl_core.errors import HeflError, RoundError
from hefl_core.ops.metrics import Metrics
from hefl_core.ops.node_metrics import FILE, MESSAGE, REFUSAL, ROUNDS, STEP, NodeMetrics
from hefl_core.runtime.ray.actors import PartyHost, PartySpec
from tests.conftest import SMALL
from tests.runtime.services.strict_world import world

LINES = [(MESSAGE, "in", 120), (MESSAGE, "out", 30), (REFUSAL, "WireError", 1), (STEP, "commit", 0.5), (ROUNDS, "", 2)]


def shown(metrics):
    text = metrics.exposition().decode()
    return {key: float(value) for key, value in (row.rsplit(" ", 1) for row in text.splitlines() if row[0] != "#")}


def test_lines_are_counted_once(tmp_path):
    node_metrics, metrics = NodeMetrics(tmp_path), Metrics("client-1")
    node_metrics.begin()
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    for _ in range(2):
        NodeMetrics(tmp_path).note(LINES)
        node_metrics.drain(metrics)
        node_metrics.drain(metrics)
    found = shown(metrics)
    assert found['hefl_messages_total{direction="in"}'] == 2 and found['hefl_bytes_total{direction="in"}'] == 240
    assert found['hefl_bytes_total{direction="out"}'] == 60 and found["hefl_rounds_total"] == 4
    assert found['hefl_refusals_total{reason="WireError"}'] == 2
    assert found['hefl_step_seconds_sum{step="commit"}'] == 1.0


def test_without_a_service_nobody_counts(tmp_path):
    NodeMetrics(tmp_path).note(LINES)
    assert not list(tmp_path.iterdir())
    NodeMetrics(None).note(LINES)
    node_metrics = NodeMetrics(tmp_path)
    node_metrics.begin()
    node_metrics.end()
    NodeMetrics(tmp_path).note(LINES)
    assert not list(tmp_path.iterdir())


def test_lines_of_several_processes_stay_whole(tmp_path):
    node_metrics, metrics = NodeMetrics(tmp_path), Metrics("kms")
    node_metrics.begin()
    program = (
        "import sys; from pathlib import Path; from hefl_core.ops.node_metrics import NodeMetrics\n"
        "for _ in range(300): NodeMetrics(Path(sys.argv[1])).note([('message', 'in', 7), ('rounds', '', 1)])"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(3)]
    while any(one.poll() is None for one in started):
        node_metrics.drain(metrics)
    node_metrics.drain(metrics)
    assert [one.returncode for one in started] == [0, 0, 0]
    assert shown(metrics)["hefl_rounds_total"] == 900 and shown(metrics)['hefl_bytes_total{direction="in"}'] == 6300


def test_a_host_tells_what_its_party_did_and_refused(tmp_path, monkeypatch, small_run):
    monkeypatch.setenv("HEFL_HOME", str(tmp_path))
    node_metrics, metrics = NodeMetrics(tmp_path), Metrics("auditor")
    node_metrics.begin()
    manifest, root = small_run.transcript.manifest, small_run.parties.kms.member
    host = PartyHost(str(tmp_path / "x" / "auditor"), [PartySpec("auditor", "make_auditor", (manifest, root))])
    letter = next(iter(small_run.parties.coordinator._answers.values()))  # of a run that this auditor never enrolled in
    assert isinstance(host.deliver("auditor", letter.envelope, None), HeflError)
    assert host.call("auditor", "rounds_done") == (0, None)
    node_metrics.drain(metrics)
    found = shown(metrics)
    assert found['hefl_bytes_total{direction="in"}'] == letter.nbytes
    assert sum(value for key, value in found.items() if key.startswith("hefl_refusals_total")) == 1
    assert found["hefl_rounds_total"] == 0
    host.leave()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_over_tls_the_same_numbers_count(tmp_path, monkeypatch):
    kept = {}
    monkeypatch.setattr(
        "tests.runtime.services.strict_world.Metrics", lambda name: kept.setdefault(name, Metrics(name))
    )
    with world(SMALL.but(observed=False), tmp_path) as made:
        for _ in made.run().steps():
            pass
        with pytest.raises(RoundError):
            made.server.ask("client-1", "_export")
        made.server.farewell()
        found = {name: shown(metrics) for name, metrics in kept.items() if name != "coordinator"}
    for name, numbers in found.items():
        assert numbers["hefl_rounds_total"] == (0 if name == "kms" else SMALL.rounds), name
        for direction in ("in", "out"):
            assert numbers[f'hefl_bytes_total{{direction="{direction}"}}'] > 0
    assert found["client-1"]['hefl_refusals_total{reason="RoundError"}'] == 1

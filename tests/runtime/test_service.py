"""A service as a process: health, one home for one process, a clean end on SIGTERM, refusals in one line."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from hefl_core.errors import ParameterError
from hefl_core.runtime import gui
from hefl_core.runtime.metrics import Endpoint, Metrics
from hefl_core.runtime.service import home_of_one
from hefl_core.runtime.settings import Address

ANY = Address("127.0.0.1", 0)


def get(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_and_metrics_over_http():
    metrics, ready = Metrics("client-1"), threading.Event()
    endpoint = Endpoint(ANY, metrics, ready)
    try:
        assert get(endpoint.address, "/live") == (200, "live\n")
        assert get(endpoint.address, "/ready")[0] == 503
        ready.set()
        assert get(endpoint.address, "/ready") == (200, "ready\n")
        assert get(endpoint.address, "/secrets")[0] == 404
        metrics.refusal("WireError")
        metrics.message("out", 120)
        metrics.step("commit", 0.5)
        text = get(endpoint.address, "/metrics")[1]
        assert 'hefl_refusals_total{reason="WireError"} 1.0' in text
        assert 'hefl_bytes_total{direction="out"} 120.0' in text
        assert 'hefl_step_seconds_count{step="commit"} 1.0' in text
        with pytest.raises(ParameterError, match="cannot be taken"):
            Endpoint(endpoint.address, metrics, ready)
    finally:
        endpoint.close()


def test_a_home_is_served_once(tmp_path):
    with home_of_one(tmp_path / "own"):
        with pytest.raises(ParameterError, match="a party runs once"), home_of_one(tmp_path / "own"):
            pass
    with home_of_one(tmp_path / "own"):
        pass


def test_a_wrong_setting_ends_with_2_and_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "hefl_core", "serve", "client"],
        env=os.environ | {"HEFL_PARTY": "client-x"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "expected client-1" in done.stderr


def test_an_installation_without_the_application_says_where_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(gui, "APP", tmp_path / "app.py")
    with pytest.raises(ParameterError, match="install the built wheel, or start it from a clone"):
        gui.streamlit_command("127.0.0.1", 8501)


def test_the_screen_as_a_service_comes_up_and_leaves_on_sigterm(tmp_path, free_port):
    home = tmp_path / "gui"
    environment = os.environ | {"HEFL_HOME": str(home), "HEFL_LISTEN": f"127.0.0.1:{free_port}", "HEFL_METRICS": ""}
    with subprocess.Popen(
        [sys.executable, "-m", "hefl_core", "serve", "gui"], env=environment, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            deadline = time.monotonic() + 60
            while not (home / "ready").exists() and time.monotonic() < deadline and child.poll() is None:
                time.sleep(0.1)
            assert (home / "ready").exists()
            assert get(Address("127.0.0.1", free_port), "/_stcore/health")[0] == 200
            child.send_signal(signal.SIGTERM)
            _, told = child.communicate(timeout=60)
        finally:
            child.kill()
    assert child.returncode == 0
    events = [json.loads(line)["event"] for line in told.splitlines()]
    assert events[0] == "start" and "ready" in events and events[-1] == "stop"
    assert not (home / "ready").exists()

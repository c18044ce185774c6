"""A service as a process: health, one home for one process, a clean end on SIGTERM, refusals in one line."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from hefl_core.errors import ParameterError
from hefl_core.ops.host_names import HostNames, parse_names
from hefl_core.ops.metrics import Endpoint, Metrics
from hefl_core.ops.settings import Address
from hefl_core.runtime.services import screen
from hefl_core.runtime.services.service import home_of_one

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


def asked(port, path, hosts, more=""):
    """The status of one call with these Host headers, over a bare socket."""
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        named = "".join(f"Host: {host}\r\n" for host in hosts)
        line.sendall(f"GET {path} HTTP/1.1\r\n{named}{more or 'Connection: close'}\r\n\r\n".encode())
        return int(line.recv(64).split()[1])


FOREIGN = {
    "another's name": ("evil.example:{port}",),
    "a name that begins like ours": ("localhost.evil.example",),
    "a name that ends like ours": ("evil-localhost",),
    "a user before our name": ("evil.example@127.0.0.1",),
    "our name and another": ("localhost", "evil.example"),
    "another's address": ("203.0.113.5:{port}",),
    "every address": ("0.0.0.0:{port}",),
    "a path": ("localhost/evil.example",),
    "nothing": ("",),
}
OURS = ("127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "localhost.", "[::1]:{port}", "hefl.example:{port}")


def called(names, port):
    return [name.format(port=port) for name in names]


def test_health_and_metrics_under_our_names_alone(monkeypatch):
    """A page whose own name points here (DNS rebinding) reads no client's numbers."""
    endpoint = Endpoint(Address("0.0.0.0", 0), Metrics("client-1"), threading.Event(), ("hefl.example",))
    port = endpoint.address.port
    try:
        for path in ("/metrics", "/live"):
            for host in OURS:
                assert asked(port, path, called((host,), port)) == 200, host
            for name, hosts in FOREIGN.items():
                assert asked(port, path, called(hosts, port)) == 421, name
            assert asked(port, path, ()) == 200, "no browser leaves it out"
        monkeypatch.setattr(HostNames, "admit", lambda *_: True)  # the control
        assert asked(port, "/metrics", ("evil.example",)) == 200
    finally:
        endpoint.close()


def test_the_address_that_a_call_came_in_on_is_always_right():
    """A probe calls a pod by its address, which nobody knows beforehand."""
    names = HostNames()
    assert names.admit(("10.1.2.3:9464",), "10.1.2.3") and names.admit(("10.1.2.3",), "::ffff:10.1.2.3")
    assert names.admit(("[fe80::1]:80",), "fe80::1")
    assert not names.admit(("10.1.2.4",), "10.1.2.3") and not names.admit(("",), "")
    for wrong in ("evil.example/x", "a b@c", "http://x", "*"):
        with pytest.raises(ParameterError, match="hosts: expected names"):
            parse_names(wrong)


UPGRADE = "\r\n".join(
    ("Origin: http://{host}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
     "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
)  # fmt: skip


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
    monkeypatch.setattr(screen, "APP", tmp_path / "app.py")
    with pytest.raises(ParameterError, match="install the built wheel, or start it from a clone"):
        screen.streamlit_command("127.0.0.1", 8501)


def test_the_screen_as_a_service_comes_up_and_leaves_on_sigterm(tmp_path, free_port):
    home = tmp_path / "gui"
    environment = os.environ | {"HEFL_HOME": str(home), "HEFL_LISTEN": f"127.0.0.1:{free_port}", "HEFL_METRICS": ""}
    environment |= {"HEFL_HOSTS": "hefl.example"}
    with subprocess.Popen(
        [sys.executable, "-m", "hefl_core", "serve", "gui"], env=environment, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            deadline = time.monotonic() + 60
            while not (home / "ready").exists() and time.monotonic() < deadline and child.poll() is None:
                time.sleep(0.1)
            assert (home / "ready").exists()
            assert get(Address("127.0.0.1", free_port), "/_stcore/health")[0] == 200
            for hosts, status in (
                *(((one,), 200) for one in OURS),
                *((other, 421) for other in FOREIGN.values() if other != ("",)),
            ):
                hosts = called(hosts, free_port)
                for path in ("/", "/_stcore/host-config"):
                    assert asked(free_port, path, hosts) in (status, 400 if len(hosts) > 1 else status), hosts
                opened = asked(free_port, "/_stcore/stream", hosts, UPGRADE.format(host=hosts[-1]))
                assert opened in ((101,) if status == 200 else (421, 400)), hosts
            foreign = UPGRADE.format(host="evil.example")
            assert asked(free_port, "/_stcore/stream", (f"127.0.0.1:{free_port}",), foreign) == 403
            child.send_signal(signal.SIGTERM)
            _, told = child.communicate(timeout=60)
        finally:
            child.kill()
    assert child.returncode == 0
    events = [json.loads(line)["event"] for line in told.splitlines()]
    assert events[0] == "start" and "ready" in events and events[-1] == "stop"
    assert not (home / "ready").exists()

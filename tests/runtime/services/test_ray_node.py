"""What a Ray node refuses before it starts, and where parties are put. With a real cluster: tests/deploy."""

import sys
import threading

import pytest

from hefl_core.errors import ParameterError, RuntimeUnavailable
from hefl_core.ops.logs import Log
from hefl_core.ops.metrics import Metrics
from hefl_core.ops.settings import Settings
from hefl_core.runtime.services.context import Service
from hefl_core.runtime.services.ray_node import MAX_STARTS, RayNode, _bring_up, address_of


@pytest.mark.parametrize("address", ["", "auto", "ray://head:10001", "head:", ":6379"])
def test_an_address_is_host_and_port(address):
    with pytest.raises(ParameterError, match="expected HOST:PORT"):
        address_of(address)


def test_ray_is_never_started_without_a_readable_token(monkeypatch, tmp_path):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ParameterError, match="RAY_AUTH_MODE=token"):
        RayNode("127.0.0.1:6379")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(ParameterError, match="readable token file"):
        RayNode("127.0.0.1:6379")


def test_a_head_that_nobody_knows_is_named(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    with pytest.raises(RuntimeUnavailable, match=r"no-such-host\.invalid"):
        RayNode("no-such-host.invalid:6379")


def test_only_ray_has_a_head():
    assert Settings.load("ray-head", environment={}).transport == "ray"
    with pytest.raises(ParameterError, match="expected ray, found 'tls'"):
        Settings.load("ray-head", environment={"HEFL_TRANSPORT": "tls"})


DIES = """
import ctypes, os, sys, time
from pathlib import Path
starts = Path(sys.argv[1]) / "starts"
starts.write_text(starts.read_text() + "." if starts.exists() else ".")
if len(starts.read_text()) > int(sys.argv[2]):
    print("Ray runtime started.", flush=True)
else:
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(15, b"raylet")  # PR_SET_NAME
        os._exit(1)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("deaths", [0, 1, MAX_STARTS])
def test_a_node_whose_raylet_dies_at_its_start_is_started_again(deaths, monkeypatch, tmp_path, capsys):
    """In place of Ray a program whose child named raylet ends at once, so often, and then says what Ray says."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    settings = Settings.load("kms", environment={"HEFL_HOME": str(tmp_path), "HEFL_TRANSPORT": "ray"})
    service = Service(settings, Log("kms", "warning"), Metrics("kms"), threading.Event(), threading.Event())
    node = RayNode("127.0.0.1:6379", ("kms",))
    node._command = [sys.executable, "-c", DIES, str(tmp_path), str(deaths)]
    try:
        if deaths == MAX_STARTS:
            with pytest.raises(RuntimeUnavailable, match=r"expected a node at 127\.0\.0\.1:6379"):
                _bring_up(node, service)
        else:
            _bring_up(node, service)
            assert node.ended is None and not node.broken
    finally:
        node.kill()
    assert len((tmp_path / "starts").read_text()) == min(deaths + 1, MAX_STARTS)
    assert capsys.readouterr().err.count("once more") == deaths

"""What a Ray node refuses before it starts, and where parties are put. With a real cluster: tests/deploy."""

import pytest

from hefl_core.errors import ParameterError, RuntimeUnavailable
from hefl_core.runtime.node import RayNode, address_of
from hefl_core.runtime.settings import Settings


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

"""Why Ray did not come up, in words that lead to the cause. Ray is imported, not started."""

import pytest

from hefl_core.errors import RuntimeUnavailable
from hefl_core.runtime.ray.cluster import Cluster, ray


def failed(error):
    cluster = Cluster()
    cluster._failure, cluster._thread = error, object()
    cluster._ready.set()
    with pytest.raises(RuntimeUnavailable) as caught:
        cluster.wait()
    return str(caught.value)


def test_a_long_tmpdir_is_named_not_a_token(monkeypatch):
    """The error is Ray's own, made by its own check."""
    folder = "/home/somebody/" + "a long folder/" * 8
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    with pytest.raises(OSError) as caught:
        ray._private.utils.validate_socket_filepath(f"{folder}/ray/session/sockets/plasma_store")
    said = failed(caught.value)
    assert f"found TMPDIR {folder} ({len(folder)} bytes)" in said and "RAY_TMPDIR=/tmp" in said and "token" not in said


def test_other_failures_are_said_as_before():
    assert "is the cluster up, the token set?" in failed(ConnectionError("no answer"))

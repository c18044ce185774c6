"""A node of the Ray cluster: one ``ray start`` with a party's resource, which lives as long as its service.

Every actor that Ray starts here inherits this process's environment, so the party on this node keeps its store, its key
file and its data in ``HEFL_HOME``. The command is Ray's own; nothing here runs a party's code.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import psutil

from hefl_core.errors import ParameterError, RuntimeUnavailable
from hefl_core.ops.node_metrics import NodeMetrics
from hefl_core.ops.settings import GUI, RAY_HEAD
from hefl_core.runtime.services.own_data import refuse_own_data
from hefl_core.runtime.services.screen import run_gui

if TYPE_CHECKING:
    from hefl_core.runtime.services.context import Service

OBJECT_STORE_BYTES: Final = 128 << 20
START_SECONDS: Final = 180.0
STOP_SECONDS: Final = 15.0
DRAIN_SECONDS: Final = "5"
"""Ray's wait for the actors of a node that is told to leave; Docker's default grace period is ten seconds."""
STARTED: Final = "Ray runtime started"
MAX_STARTS: Final = 3
SERVERS: Final = ("raylet", "gcs_server")
TOKEN_VARIABLES: Final = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def address_of(text: str) -> tuple[str, int]:
    """Host and port of ``RAY_ADDRESS``.

    >>> address_of("ray-head:6379")
    ('ray-head', 6379)

    Raises: ParameterError for anything else; a ``ray://`` address cannot carry parties.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ParameterError(
            f"RAY_ADDRESS: expected HOST:PORT, found {text!r}", "name the head's port, by default 6379"
        )
    return host, int(port)


def own_address(towards: str, port: int) -> str:
    """The address of this machine's interface that leads to ``towards``.

    Raises: RuntimeUnavailable when the name is unknown or no interface leads there.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((towards, port))  # UDP: this only picks the route, no packet is sent
            return str(probe.getsockname()[0])
    except OSError as error:
        raise RuntimeUnavailable(f"{towards}: {error.strerror}; is its name known here, is the network up?") from error


def require_token() -> None:
    """Require Ray's token: Ray listens on the network and never starts without one. Raises: ParameterError."""
    if os.environ.get("RAY_AUTH_MODE") != "token" or not any(os.environ.get(name) for name in TOKEN_VARIABLES):
        raise ParameterError(
            "Ray: expected RAY_AUTH_MODE=token and a token", "set RAY_AUTH_TOKEN_PATH to a file that holds it"
        )
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if path and not os.access(path, os.R_OK):
        raise ParameterError(f"Ray: expected a readable token file, found none at {path}", "check its owner and mode")


class RayNode:
    """``ray start --block`` as a child: the head of a cluster, or a node that joins one and offers ``resources``.

    ``resources``: usually one, named after the party that may live here. ``address``: the head's HOST:PORT.
    ``cpus`` 0 keeps off every task and actor that does not ask for one of the resources.
    """

    def __init__(self, address: str, resources: tuple[str, ...] = (), *, head: bool = False, cpus: int = 0) -> None:
        require_token()
        self.host, self.port = address_of(address)
        self.ip = own_address(self.host, self.port)
        self._child: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        self._command += ["--node-ip-address", self.ip, "--num-cpus", str(cpus), "--num-gpus", "0"]
        self._command += ["--object-store-memory", str(OBJECT_STORE_BYTES), "--include-log-monitor", "false"]
        if head:
            self._command += ["--head", "--port", str(self.port), "--include-dashboard", "false"]
        else:
            self._command += ["--address", f"{socket.gethostbyname(self.host)}:{self.port}"]
            self._command += ["--resources", json.dumps(dict.fromkeys(resources, 1))]

    def start(self, home: Path, told: Callable[[str], None]) -> None:
        """Start; ``told`` gets every output line. Actors on this node find their party's folder in ``HEFL_HOME``."""
        self._child = child = subprocess.Popen(
            self._command,
            env=os.environ | {"HEFL_HOME": str(home.resolve()), "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": DRAIN_SECONDS},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a process group of its own, so that kill() reaches Ray's servers too
        )
        self._reader = threading.Thread(target=_relay, args=(child.stdout, told), name="ray-lines", daemon=True)
        self._reader.start()

    @property
    def ended(self) -> int | None:
        """The exit code, None while the node's processes run."""
        return None if self._child is None else self._child.poll()

    @property
    def broken(self) -> bool:
        """Whether one of Ray's servers died during start-up: `ray start` waits for it for ever."""
        if self._child is None:
            return False
        try:
            children = psutil.Process(self._child.pid).children()
            return any(one.status() == psutil.STATUS_ZOMBIE and one.name() in SERVERS for one in children)
        except psutil.Error:
            return False

    def stop(self) -> None:
        """End the node and everything on it: SIGTERM first, then SIGKILL."""
        if self._child is not None:
            self._child.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(STOP_SECONDS)
            self.kill()

    def kill(self) -> None:
        """Kill the node's process group and read its last output."""
        if self._child is None or self._reader is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        self._reader.join(STOP_SECONDS)
        if self._child.stdout is not None:
            self._child.stdout.close()


def run_node(service: Service) -> None:
    """Join the cluster at ``RAY_ADDRESS`` (or be its head) until the service ends; the GUI's service also runs the GUI.

    Raises: ParameterError without an address or a token; DataError for a client with its own table;
        RuntimeUnavailable when the node does not come up, or ends.
    """
    settings = service.settings
    refuse_own_data(service.home)
    party = () if settings.role in (RAY_HEAD, GUI) else (settings.party,)
    screen = settings.role == GUI
    node = RayNode(os.environ.get("RAY_ADDRESS", ""), party, head=settings.role == RAY_HEAD, cpus=int(screen))
    node_metrics = NodeMetrics(service.home)
    node_metrics.begin()
    try:
        _bring_up(node, service)
        service.log.info("ray node", address=node.ip, head=f"{node.host}:{node.port}", offers=", ".join(party))
        if screen:
            run_gui(service)
            return
        service.ready()
        while not service.stop.wait(0.5):
            node_metrics.drain(service.metrics)
            if node.ended is not None:
                raise RuntimeUnavailable(f"ray: the node ended with {node.ended}; is the head still there?")
    finally:
        node.stop()
        node_metrics.end()


def _bring_up(node: RayNode, service: Service) -> None:
    """Start the node; retry when one of Ray's servers dies during start-up: nodes that start at once on one host may
    choose the same socket. Raises: RuntimeUnavailable when it is not up in time.
    """
    end = time.monotonic() + START_SECONDS
    for _ in range(MAX_STARTS):
        up = threading.Event()
        node.start(service.home, lambda line, up=up: _told(service, up, line))  # type: ignore[misc]
        while not up.wait(0.2) and not service.stop.is_set() and not node.broken:
            if node.ended is not None or time.monotonic() > end:
                raise _no_node(node)
        if up.is_set() or service.stop.is_set():
            return
        service.log.warning("ray node", text="a server of Ray's died at its start; once more")
        node.kill()
    raise _no_node(node)


def _no_node(node: RayNode) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        f"ray: expected a node at {node.host}:{node.port} within {START_SECONDS:.0f} s; "
        "is the head up, the token the same, the version of Ray the same?"
    )


def _told(service: Service, up: threading.Event, line: str) -> None:
    """Log an output line of Ray; one of them says that the node is registered."""
    if STARTED in line:
        up.set()
    if line.strip():
        service.log.debug("ray", text=line.strip()[:300])


def _relay(lines: IO[str] | None, told: Callable[[str], None]) -> None:
    for line in lines or ():
        told(line)

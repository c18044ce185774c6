"""Start Ray for this process, or join a running cluster.

A local Ray is started once per process, in a thread that never returns: Ray dies with the thread that started it.
It listens on all interfaces, so it is started in token mode with a fresh token. Ray reads that choice at import time: this
file sets it first, and all other modules import ``ray`` from here.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import threading
import time

from hefl_core.errors import RuntimeUnavailable
from hefl_core.runtime.events import EventBus, Progress

START_SECONDS = 180.0
"""Four seconds on a free machine; a busy one took more than sixty."""

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # overrides the user's setting: nothing is reported to anybody
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
if not os.environ.get("RAY_ADDRESS"):
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

import ray  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

__all__ = ["CLUSTER", "Cluster", "NodeAffinitySchedulingStrategy", "ray"]


class Cluster:
    """The one Ray of this process. ``warm_up`` returns at once; ``wait`` blocks until Ray is up."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def ready(self) -> bool:
        """Whether actors can be made without waiting."""
        return self._ready.is_set() and self._failure is None

    @property
    def address(self) -> str:
        """The address of the joined cluster, or 'local'."""
        return os.environ.get("RAY_ADDRESS") or "local"

    def warm_up(self) -> None:
        """Begin starting or joining in the background; a second call does nothing."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._stay, name="ray-keeper", daemon=True)
                self._thread.start()

    def wait(self, bus: EventBus | None = None, *, timeout_seconds: float = START_SECONDS) -> None:
        """Block until Ray is up, reporting progress. Raises: RuntimeUnavailable when it is not up in time."""
        self.warm_up()
        started = time.monotonic()
        while not self._ready.wait(0.5):
            waited = time.monotonic() - started
            if waited > timeout_seconds:
                raise RuntimeUnavailable(
                    f"Ray: expected it within {timeout_seconds:.0f} s, it did not come up; use --runtime local or retry"
                )
            if bus is not None:
                bus.publish(Progress(f"starting Ray, {waited:.0f} s", min(0.95, waited / 10)))
        if self._failure is not None:
            raise RuntimeUnavailable(self._why(self._failure))

    def _why(self, failure: BaseException) -> str:
        """What happened and what to do. Ray puts its sockets below TMPDIR, and their paths have a limit of about 107 bytes."""
        if "AF_UNIX path length" in str(failure):
            folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR", "/tmp")
            return (
                f"Ray: expected a short folder for its sockets, found TMPDIR {folder} ({len(folder.encode())} bytes); "
                "set RAY_TMPDIR=/tmp, or use --runtime local"
            )
        return f"Ray at {self.address}: {failure}; is the cluster up, the token set?"

    def _stay(self) -> None:
        try:
            self._start()
        except Exception as error:
            self._failure = error
            self._ready.set()
            return
        atexit.register(self._stop)
        self._ready.set()
        threading.Event().wait()  # for ever: see the module's docstring

    def _start(self) -> None:
        logging.getLogger("ray").setLevel(logging.ERROR)  # it would warn that this is not the main thread
        joins = bool(os.environ.get("RAY_ADDRESS"))
        local = {} if joins else {"num_cpus": max(2, os.cpu_count() or 2), "object_store_memory": 512 << 20}
        ray.init(
            address=self.address,
            include_dashboard=None if joins else False,
            log_to_driver=False,
            configure_logging=False,
            **local,
        )

    def _stop(self) -> None:
        ray.shutdown()


CLUSTER = Cluster()

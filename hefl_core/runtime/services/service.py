"""A party as a long-running service: the part common to all roles.

Start: settings, the home's lock, health and metrics. End: SIGTERM, SIGINT or SIGHUP set ``stop``; the role's work ends at the
next message, stores are closed, the exit code is 0.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from hefl_core import dumps
from hefl_core.ending import SIGNALS
from hefl_core.errors import HeflError, ParameterError
from hefl_core.federation.outside import public_text
from hefl_core.ops.logs import Log, place_of
from hefl_core.ops.metrics import Endpoint, Metrics
from hefl_core.ops.settings import GUI, RAY, TLS, Settings
from hefl_core.runtime.services.context import READY, Service
from hefl_core.runtime.services.ray_node import run_node
from hefl_core.runtime.services.roles import serve_strict
from hefl_core.runtime.services.screen import run_gui

LOCK: Final = "lock"
Body = Callable[["Service"], None]
"""A service's work until ``stop`` is set or it is done."""


TRANSPORT: Final[dict[str, Body]] = {TLS: serve_strict, RAY: run_node}
"""One function per transport."""


def serve(settings: Settings) -> None:
    """Run a service until it is told to stop, or its work is done.

    Raises: ParameterError for an unusable home, address or kit; the error that ends the service early.
    """
    log = Log(settings.party, settings.log_level)
    if settings.transport == TLS and settings.role != GUI:
        dumps.hide()  # its user's other processes cannot read its memory. On Ray the blindness test has to
    stop = threading.Event()
    service = Service(settings, log, Metrics(settings.party), stop, threading.Event())
    with ExitStack() as held:  # left in reverse order: not ready first, the home's lock last
        held.enter_context(home_of_one(settings.home))
        held.enter_context(_stopped_by_signals(stop))
        log.take_over()
        if settings.metrics is not None:
            endpoint = Endpoint(settings.metrics, service.metrics, service.is_ready, settings.hosts)
            held.callback(endpoint.close)
            log.info("health", address=str(endpoint.address))
        log.info("start", role=settings.role, transport=settings.transport)
        (settings.home / READY).unlink(missing_ok=True)  # a killed process leaves it behind
        held.callback(log.info, "stop")
        held.callback(service.ready, False)
        try:
            body_of(settings)(service)
        except HeflError as error:
            log.error("failed", kind=type(error).__name__, text=public_text(error), place=place_of(error))
            raise


def body_of(settings: Settings) -> Body:
    """The function for this role and transport."""
    return run_gui if settings.role == GUI and settings.transport != RAY else TRANSPORT[settings.transport]


@contextmanager
def home_of_one(home: Path) -> Iterator[None]:
    """Lock a home, so that no second process of this machine serves it. Raises: ParameterError."""
    import fcntl  # POSIX only; imported here so that everything but services runs elsewhere too

    try:
        home.mkdir(parents=True, exist_ok=True)
        lock: IO[str] = (home / LOCK).open("w")
    except OSError as error:
        raise ParameterError(
            f"home: expected a folder that can be written, {home} is none ({error.strerror})", "set HEFL_HOME"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ParameterError(
                f"home: expected no other process in {home}, found one; a party runs once", "stop the other first"
            ) from error
        yield


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP set ``stop``; the earlier handlers are restored afterwards."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

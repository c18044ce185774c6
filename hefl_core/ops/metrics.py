"""A service's Prometheus metrics, liveness and readiness over HTTP.

Nothing here depends on private data, except that a client's training time grows with the number of its examples: keep
a client's metrics inside its organisation.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary, generate_latest

from hefl_core import errors
from hefl_core.errors import ParameterError
from hefl_core.ops.host_names import REFUSAL, STATUS, HostNames
from hefl_core.ops.settings import Address

IN, OUT = "in", "out"
OTHER: Final = "other"
KNOWN_REFUSALS: Final = frozenset(
    {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.HeflError)}
    | {"certificate", "experiment", "life", "started twice", "duplicate"}
)
"""The labels allowed: a remote party names the kind of its own refusals, and each label stays in memory."""
MOST_CALLERS: Final = 16
CALL_SECONDS: Final = 5.0
"""For a whole call: a slow trickle of bytes does not prolong it."""
TEXT: Final = "text/plain; charset=utf-8"
EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one party, in their own registry."""

    def __init__(self, party: str) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self.ready = Gauge("hefl_ready", "1 when the service takes part", registry=own)
        self.rounds = Counter("hefl_rounds", "Rounds done", registry=own)
        self._messages = Counter("hefl_messages", "Messages that passed", ["direction"], registry=own)
        self._bytes = Counter("hefl_bytes", "Bytes of those messages", ["direction"], registry=own)
        self._refusals = Counter("hefl_refusals", "What was refused, by the kind of error", ["reason"], registry=own)
        self._seconds = Summary("hefl_step_seconds", "Seconds per step", ["step"], registry=own)
        Gauge("hefl_party", "Whose numbers these are", ["party"], registry=own).labels(party).set(1)

    def message(self, direction: str, nbytes: int) -> None:
        """One message came ('in') or went ('out')."""
        self._messages.labels(direction).inc()
        self._bytes.labels(direction).inc(nbytes)

    def refusal(self, reason: str) -> None:
        """Count a refusal; ``reason`` is an error's kind."""
        self._refusals.labels(reason if reason in KNOWN_REFUSALS else OTHER).inc()

    def step(self, step: str, seconds: float) -> None:
        """Add a step's duration."""
        self._seconds.labels(step).observe(seconds)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class Endpoint:
    """Serves /live, /ready and /metrics, and nothing else, until it is closed.

    ``hosts``: accepted host names beside this machine's own; others get status 421.
    Raises: ParameterError when the address cannot be taken.
    """

    def __init__(
        self, address: Address, metrics: Metrics, is_ready: threading.Event, hosts: Sequence[str] = ()
    ) -> None:
        class Handler(_Handler):
            pages = (metrics, is_ready)
            names = HostNames((address.host, *hosts))

        try:
            self._server = _Server((address.host, address.port), Handler)
        except OSError as error:
            raise ParameterError(
                f"metrics: expected a free address, {address} cannot be taken ({error.strerror})",
                "set HEFL_METRICS to another one, or to nothing",
            ) from error
        self.address = Address(address.host, self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Free the address."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    """One thread per caller, at most ``MOST_CALLERS``: further callers are disconnected, and so are slow ones."""

    def __init__(self, address: tuple[str, int], handler: type[_Handler]) -> None:
        self._room = threading.BoundedSemaphore(MOST_CALLERS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        late = threading.Timer(CALL_SECONDS, _hang_up, (request,))
        late.daemon = True
        late.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            late.cancel()
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore callers that disconnect early; report anything else."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _hang_up(request: socket.socket) -> None:
    with suppress(OSError):  # the caller has already disconnected
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    pages: tuple[Metrics, threading.Event]
    names: HostNames

    def do_GET(self) -> None:
        metrics, is_ready = self.pages
        if not self.names.admit(self.headers.get_all("Host", []), self.connection.getsockname()[0]):
            self._answer(STATUS, TEXT, REFUSAL)
        elif self.path == "/metrics":
            self._answer(200, EXPOSITION, metrics.exposition())
        elif self.path == "/live":
            self._answer(200, TEXT, b"live\n")
        elif self.path == "/ready":
            ready = is_ready.is_set()
            self._answer(200 if ready else 503, TEXT, b"ready\n" if ready else b"not ready\n")
        else:
            self._answer(404, TEXT, b"expected /live, /ready or /metrics\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""

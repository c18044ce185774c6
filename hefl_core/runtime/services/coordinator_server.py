"""The coordinator's server: parties connect to it, receive calls and return reports.

Only the coordinator listens. A party holds one gRPC stream open: calls come down on it, and while it stands the party is
present. The name is the certificate's. Each process has a random ``life``, and one life at a time holds a seat: a second
one is rejected while the first is connected, and for ``lease_seconds`` after (it may only have lost its connection).
Afterwards another process of the party may take the seat; it receives the calls still unanswered. Calls to a party that is
absent for ``absence_seconds`` fail at once with RuntimeUnavailable.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hefl_core.errors import HeflError, ParameterError, RuntimeUnavailable, Stopped, WireError
from hefl_core.ops.logs import Log
from hefl_core.ops.metrics import IN, OUT, Metrics
from hefl_core.ops.settings import Address
from hefl_core.runtime.calls import LEAVE, STEPS, Call, Hello, Report, Step, error_of, read_hello, unpack_result
from hefl_core.runtime.services.channel import ATTEND, MAX_MESSAGE, REPORT, SERVICE, grpc, server_options
from hefl_core.wire.canonical import decode, encode

STEP_DEADLINE_SECONDS: Final = 120.0
LEASE_SECONDS: Final = 5.0
ABSENCE_SECONDS: Final = 20.0
"""Longer than the lease by the time that a party's process needs to restart."""
SPARE_THREADS: Final = 8
SEATED: Final = b""
"""The first message on a connection: the party holds its seat."""


@dataclass(frozen=True)
class Credentials:
    """What one end of a connection presents and trusts. All PEM; ``key`` is private and never printed."""

    authority: bytes
    certificate: bytes
    key: bytes = field(repr=False)


@dataclass
class _Asked:
    """A pending call and its report."""

    call: bytes
    step: Step
    report: Report | None = None


@dataclass
class _Seat:
    """One party's seat. ``attendance`` numbers its connections: an older one must not act for a newer."""

    role: str
    life: bytes = b""
    attendance: int = 0
    connected: bool = False
    left: float = float("-inf")
    next_number: int = 1
    asked: dict[int, _Asked] = field(default_factory=dict)
    refused: set[bytes] = field(default_factory=set)


class CoordinatorServer:
    """Seats for the named parties (name to role). Thread-safe; ``ask`` may be called from any thread.

    ``stop``: once it is set all waiting ends, and callers get Stopped.
    """

    def __init__(
        self,
        experiment: str,
        roles: dict[str, str],
        log: Log,
        metrics: Metrics,
        *,
        deadline_seconds: float = STEP_DEADLINE_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
        absence_seconds: float = ABSENCE_SECONDS,
        stop: threading.Event | None = None,
    ) -> None:
        self._experiment = experiment
        self._seats = {name: _Seat(role) for name, role in roles.items()}
        self._log = log
        self._metrics = metrics
        self._deadline = deadline_seconds
        self._lease = lease_seconds
        self._absence = absence_seconds
        self._changed = threading.Condition()
        self._server: Any = None
        self._closing = stop or threading.Event()

    # -- the outside -------------------------------------------------------------------------------------------

    def listen(self, address: Address, credentials: Credentials) -> Address:
        """Start serving, with mutual TLS only. Raises: ParameterError when the address cannot be taken."""
        handlers = grpc.method_handlers_generic_handler(
            SERVICE,
            {
                ATTEND: grpc.unary_stream_rpc_method_handler(self._attend),
                REPORT: grpc.unary_unary_rpc_method_handler(self._report),
            },
        )
        pool = ThreadPoolExecutor(2 * len(self._seats) + SPARE_THREADS, thread_name_prefix="coordinator-server")
        server = grpc.server(pool, handlers=(handlers,), options=server_options(len(self._seats)))
        pair = ((credentials.key, credentials.certificate),)
        secure = grpc.ssl_server_credentials(pair, credentials.authority, require_client_auth=True)
        try:
            port = server.add_secure_port(str(address), secure)
        except RuntimeError as error:
            raise ParameterError(
                f"listen: expected a free address, {address} cannot be taken", "set HEFL_LISTEN to another one"
            ) from error
        server.start()
        self._server = server
        return replace(address, port=port)

    def close(self) -> None:
        """End all connections."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
        if self._server is not None:
            self._server.stop(grace=1).wait()

    def _attend(self, data: bytes, context: Any) -> Iterator[bytes]:
        hello = self._admitted(data, context)
        attendance = self._take_seat(hello, context)
        self._log.info("attends", who=hello.party, life=hello.life.hex()[:8])
        try:
            yield SEATED
            yield from self._calls(hello.party, attendance)
        finally:
            self._leave_seat(hello.party, attendance)

    def _admitted(self, data: bytes, context: Any) -> Hello:
        """Identify the party by its certificate, or abort the call."""
        names = _certificate_names(context)
        try:
            hello = read_hello(data)
        except WireError as error:
            self._turn_away(context, grpc.StatusCode.INVALID_ARGUMENT, "WireError", str(error), names)
            raise
        if hello.party not in self._seats or hello.party not in names:
            told = f"expected the certificate of {hello.party[:40]}, found one of {', '.join(names) or 'nobody'}"
            self._turn_away(context, grpc.StatusCode.PERMISSION_DENIED, "certificate", told, names)
        if hello.experiment != self._experiment:
            told = f"expected experiment {self._experiment[:12]}, found {hello.experiment[:12]}; take the new kit"
            self._turn_away(context, grpc.StatusCode.FAILED_PRECONDITION, "experiment", told, names)
        return hello

    def _turn_away(self, context: Any, status: Any, reason: str, told: str, names: Sequence[str]) -> None:
        self._metrics.refusal(reason)
        self._log.warning("turned away", reason=reason, certificate=", ".join(names)[:80])
        context.abort(status, told)

    def _take_seat(self, hello: Hello, context: Any) -> int:
        with self._changed:
            seat = self._seats[hello.party]
            held = seat.connected or time.monotonic() - seat.left < self._lease
            other = seat.life != hello.life and held
            again = hello.life in seat.refused
            if other:
                seat.refused.add(hello.life)
            else:
                seat.life, seat.connected = hello.life, True
                seat.attendance += 1
                self._changed.notify_all()
            attendance = seat.attendance
        if other:
            if not again:
                self._log.warning("started twice", who=hello.party, life=hello.life.hex()[:8])
                self._metrics.refusal("started twice")
            context.abort(
                grpc.StatusCode.ALREADY_EXISTS,
                f"{hello.party}: expected one process, another one attends; stop one of them",
            )
        context.add_callback(lambda: self._leave_seat(hello.party, attendance))
        return attendance

    def _leave_seat(self, party: str, attendance: int) -> None:
        with self._changed:
            seat = self._seats[party]
            if seat.attendance != attendance or not seat.connected:
                return
            seat.connected, seat.left = False, time.monotonic()
            self._changed.notify_all()
        self._log.warning("gone", who=party)

    def _calls(self, party: str, attendance: int) -> Iterator[bytes]:
        """A party's pending calls, each once per connection; calls without a report are sent again on the next one."""
        seat, sent = self._seats[party], 0

        def due() -> int | None:
            return min((number for number in seat.asked if number > sent), default=None)

        def over() -> bool:
            return self._closing.is_set() or not seat.connected or seat.attendance != attendance

        while True:
            with self._changed:
                self._changed.wait_for(lambda: over() or due() is not None)
                number = due()
                if over() or number is None:
                    return
                sent, call = number, seat.asked[number].call
            self._metrics.message(OUT, len(call))
            yield call

    def _report(self, data: bytes, context: Any) -> bytes:
        names = _certificate_names(context)
        try:
            report = decode(data, Report, limit=MAX_MESSAGE)
        except WireError as error:
            self._turn_away(context, grpc.StatusCode.INVALID_ARGUMENT, "WireError", str(error), names)
            raise
        seats = [seat for name, seat in self._seats.items() if name in names and seat.life == report.life]
        if len(seats) != 1:
            told = f"report: expected one of the process that attends, found another of {', '.join(names)}"
            self._turn_away(context, grpc.StatusCode.ABORTED, "life", told, names)  # it may come and attend again
        self._metrics.message(IN, len(data))
        with self._changed:
            asked = seats[0].asked.pop(report.number, None)  # None: too late, the caller has given up
            if asked is not None:
                asked.report = report
                self._changed.notify_all()
        return b""

    # -- the inside --------------------------------------------------------------------------------------------

    def attending(self) -> tuple[str, ...]:
        """The parties connected now."""
        with self._changed:
            return tuple(name for name, seat in self._seats.items() if seat.connected)

    def wait_until(self, enough: Callable[[tuple[str, ...]], bool], seconds: float) -> bool:
        """Wait until ``enough`` accepts the connected parties, or the service is told to stop. False when time runs out."""
        end = time.monotonic() + seconds
        with self._changed:
            while not (self._closing.is_set() or self._enough(enough)):
                if time.monotonic() >= end:
                    return False
                self._changed.wait(_slice(end))  # a signal handler sets the event but cannot notify this condition
            return True

    def _enough(self, enough: Callable[[tuple[str, ...]], bool]) -> bool:
        return enough(tuple(name for name, seat in self._seats.items() if seat.connected))

    def ask(self, party: str, step: str, *arguments: object) -> Any:
        """Ask one party and return its answer.

        Raises: the party's error; RuntimeUnavailable past the deadline or without the party; Stopped.
        """
        answer = next(iter(self.ask_all([party], step, *arguments)))[1]
        if isinstance(answer, HeflError):
            raise answer
        return answer

    def ask_all(self, parties: Sequence[str], step: str, *arguments: object) -> Iterator[tuple[str, Any]]:
        """Ask several parties at once; yields answers, or errors in their place, as they come.

        Raises: Stopped once the server closes: no party is to be recorded as absent for that.
        """
        data, end = encode(arguments), time.monotonic() + self._deadline
        waiting = {party: self._put(party, step, data) for party in parties}
        while waiting:
            with self._changed:
                self._changed.wait_for(lambda: any(self._settled(p, a) for p, (_, a) in waiting.items()), _slice(end))
                settled = [party for party, (_, asked) in waiting.items() if self._settled(party, asked)]
                late = list(waiting) if time.monotonic() >= end and not settled else []
                for party in (*settled, *late):
                    self._seats[party].asked.pop(waiting[party][0], None)
            if self._closing.is_set():
                raise Stopped("coordinator: told to stop; start it again to go on")
            for party in (*settled, *late):
                yield party, self._answer(party, step, waiting.pop(party)[1])

    def _put(self, party: str, step: str, arguments: bytes) -> tuple[int, _Asked]:
        with self._changed:
            seat = self._seats[party]
            kind = STEPS[seat.role].get(step, _UNKNOWN)
            number, seat.next_number = seat.next_number, seat.next_number + 1
            asked = seat.asked[number] = _Asked(encode(Call(number, step, arguments)), kind)
            self._changed.notify_all()
        return number, asked

    def _settled(self, party: str, asked: _Asked) -> bool:
        """Whether waiting is over: there is a report, or the party is absent, or the server closes."""
        seat = self._seats[party]
        gone = not seat.connected and time.monotonic() - seat.left >= self._absence
        return asked.report is not None or gone or self._closing.is_set()

    def _answer(self, party: str, step: str, asked: _Asked) -> Any:
        if (report := asked.report) is None:
            connected = self._seats[party].connected
            told = f"no answer to {step} within {self._deadline:.0f} s" if connected else "it is not connected"
            return RuntimeUnavailable(f"{party}: {told}; is its service running and reachable?")
        if report.refusal is not None:
            refused = error_of(report.refusal)
            self._metrics.refusal(type(refused).__name__)  # one of our class names, whatever the party wrote
            return refused
        try:
            return unpack_result(asked.step, report.result)
        except WireError as error:
            self._metrics.refusal("WireError")
            return error

    def farewell(self) -> None:
        """Tell all connected parties that the experiment is over."""
        for _ in self.ask_all(self.attending(), LEAVE):
            pass


_UNKNOWN: Final = Step(tuple[Any, ...], bytes)
"""Stands for a step that is on no list: the party itself rejects it."""


def _slice(end: float) -> float:
    """At most half a second of waiting: nothing notifies the condition when a lease runs out."""
    return max(0.0, min(0.5, end - time.monotonic()))


def _certificate_names(context: Any) -> tuple[str, ...]:
    """The names in the peer's verified certificate."""
    found = context.auth_context().get("x509_subject_alternative_name", [])
    return tuple(name.decode("utf-8", "replace") for name in found)

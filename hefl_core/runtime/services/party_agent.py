"""A party's agent in strict mode: connects to the coordinator, executes the calls on its own list, and reports.

It opens no port. The agent and the party decide what is answered, never the caller.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from hefl_core.errors import HeflError, KeyUseError, RuntimeUnavailable, WireError
from hefl_core.ids import COORDINATOR
from hefl_core.keys.roster import CLIENT
from hefl_core.ops.logs import Log, place_of
from hefl_core.ops.metrics import IN, OUT, Metrics
from hefl_core.ops.settings import Address
from hefl_core.runtime.calls import (
    LEAVE,
    Call,
    Hello,
    Report,
    answer,
    guarded,
    pack_result,
    refusal_of,
    step_of,
    unpack_arguments,
)
from hefl_core.runtime.services.channel import ATTEND, MAX_MESSAGE, OPTIONS, REPORT, SERVICE, grpc
from hefl_core.runtime.services.coordinator_server import LEASE_SECONDS, SEATED, Credentials
from hefl_core.wire.canonical import decode, encode

REPORT_SECONDS: Final = 60.0
RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0)
PATIENCE_SECONDS: Final = 3 * LEASE_SECONDS
"""How long a second process waits for the first one's lease to run out."""


class PartyDiary(Protocol):
    """A party's private log of steps and refusals."""

    def note(self, step: str) -> None:
        """Note a finished step."""

    def refused(self, error: HeflError) -> None:
        """Note a refusal or failure."""


class PartyAgent:
    """Serves one party, under its name and role, for one experiment."""

    def __init__(
        self, name: str, role: str, party: Any, experiment: str, log: Log, metrics: Metrics, diary: PartyDiary
    ) -> None:
        self.life = secrets.token_bytes(16)
        self._name = name
        self._role = role
        self._party = party
        self._experiment = experiment
        self._log = log
        self._metrics = metrics
        self._diary = diary
        self._over = False
        self.patience_seconds = PATIENCE_SECONDS

    # -- one call ----------------------------------------------------------------------------------------------

    def perform(self, data: bytes) -> Report:
        """Execute a call and return its report. Every error becomes a refusal."""
        call = guarded(lambda: decode(data, Call, limit=MAX_MESSAGE))
        if isinstance(call, HeflError):
            return self._refused(0, call)
        answered = guarded(lambda: self._do(call))
        if isinstance(answered, HeflError):
            return self._refused(call.number, answered)
        return Report(self.life, call.number, None, answered)

    def _refused(self, number: int, error: HeflError) -> Report:
        refusal = refusal_of(error, private=self._role == CLIENT)
        self._metrics.refusal(refusal.kind)
        self._log.warning("refused", kind=refusal.kind, text=refusal.text, place=place_of(error))
        self._diary.refused(error)
        return Report(self.life, number, refusal, b"")

    def _do(self, call: Call) -> bytes:
        step = step_of(self._role, call.step, owner=False)
        arguments = tuple(unpack_arguments(step, call.arguments))
        if call.step == LEAVE:
            self._over = True
            return pack_result(None)
        started = time.perf_counter()
        result = pack_result(answer(self._party, self._role, call.step, arguments, owner=False))
        self._metrics.step(call.step, time.perf_counter() - started)
        self._log.debug("done", step=call.step)
        self._diary.note(call.step)
        return result

    # -- the connection ----------------------------------------------------------------------------------------

    def attend(
        self, address: Address, credentials: Credentials, stop: threading.Event, ready: Callable[[bool], None]
    ) -> None:
        """Execute calls until told to leave, or to stop.

        Raises: KeyUseError when the coordinator rejects this certificate or name; RuntimeUnavailable when another
            process of this party holds the seat for longer than its lease.
        """
        refused_since: float | None = None
        failures = 0
        while not (stop.is_set() or self._over):
            try:
                self._attend_once(address, credentials, stop, ready)
                failures = 0
            except grpc.RpcError as error:
                status, told = error.code(), str(error.details())[:200]
                if status is grpc.StatusCode.ALREADY_EXISTS:
                    refused_since = refused_since or time.monotonic()
                    if time.monotonic() - refused_since >= self.patience_seconds:
                        raise RuntimeUnavailable(told) from error
                elif status in _FINAL:
                    raise _FINAL[status](f"{COORDINATOR}: {told}") from error
                else:
                    refused_since = None
                if failures == 0:
                    self._log.warning("no connection", status=status.name, text=told)
                failures += 1
            finally:
                ready(False)
            if not self._over:
                stop.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])

    def _attend_once(
        self, address: Address, credentials: Credentials, stop: threading.Event, ready: Callable[[bool], None]
    ) -> None:
        secure = grpc.ssl_channel_credentials(credentials.authority, credentials.key, credentials.certificate)
        options = (*OPTIONS, ("grpc.ssl_target_name_override", COORDINATOR))
        with grpc.secure_channel(str(address), secure, options) as channel:
            stream = channel.unary_stream(f"/{SERVICE}/{ATTEND}")(
                encode(Hello(self._name, self.life, self._experiment))
            )
            report = channel.unary_unary(f"/{SERVICE}/{REPORT}")
            done = threading.Event()
            threading.Thread(target=_cancel_on, args=(stop, done, stream), daemon=True).start()
            try:
                for call in stream:
                    if call == SEATED:
                        ready(True)
                        continue
                    self._metrics.message(IN, len(call))
                    told = encode(self.perform(call))
                    self._metrics.message(OUT, len(told))
                    report(told, timeout=REPORT_SECONDS)
                    if self._over:
                        return
            except grpc.RpcError as error:
                if not stop.is_set() or error.code() is not grpc.StatusCode.CANCELLED:
                    raise
            finally:
                done.set()
                stream.cancel()


def _cancel_on(stop: threading.Event, done: threading.Event, stream: Any) -> None:
    """Cancel a waiting stream once the service is asked to stop; a step under way is finished first."""
    while not done.wait(0.1):
        if stop.is_set():
            stream.cancel()
            return


_FINAL: Final[dict[Any, type[HeflError]]] = {
    grpc.StatusCode.PERMISSION_DENIED: KeyUseError,
    grpc.StatusCode.FAILED_PRECONDITION: WireError,
    grpc.StatusCode.INVALID_ARGUMENT: WireError,
}
"""Retrying would bring the same answer."""

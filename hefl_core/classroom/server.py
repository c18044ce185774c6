"""The class's port: phones' routes, each guarded, in a thread that lives as long as the class.

The application itself stays on loopback. This server knows only the routes of :data:`ROUTES`; none is a verb of the teacher's.
State goes down as server-sent events, everything else comes up as a POST of a known length.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hefl_core.classroom import bridge, guards
from hefl_core.classroom.guards import HurriedProtocol, Refusal, read_body
from hefl_core.classroom.live_class import LiveClass
from hefl_core.classroom.page_files import START, PageFile
from hefl_core.classroom.seat import Seat
from hefl_core.classroom.summing import QUESTION, ROUND
from hefl_core.errors import HeflError, RuntimeUnavailable
from hefl_core.shown import visible

MOST_JSON_BYTES: Final = 2000
HEARTBEAT_SECONDS: Final = 15.0
STOP_SECONDS: Final = 10.0
CONNECTIONS_OF_A_SEAT: Final = 3
LONGEST_REASON: Final = 200
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
Handler = Callable[[Request], Awaitable[Response]]


class ClassServer:
    """Serves one class on one address. ``port`` 0: any free one."""

    def __init__(self, live: LiveClass, files: dict[str, PageFile], address: str, port: int = 0) -> None:
        self.live = live
        self._files = files
        self._socket = _bound(address, port)
        self.address, self.port = address, int(self._socket.getsockname()[1])
        self._waiting: set[asyncio.Event] = set()
        self._connections: dict[int, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        config = uvicorn.Config(
            Starlette(routes=[Route(path, self._guarded(handler), methods=[verb]) for verb, path, handler in self._routes()]),
            http=HurriedProtocol, ws="none", lifespan="off", access_log=False, log_level="error", server_header=False,
            timeout_keep_alive=5, limit_concurrency=10 * live.settings.seats, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="hefl-class", daemon=True)
        live.listen(self._wake)

    @property
    def host(self) -> str:
        """Address and port, as in the Host header."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        """What a QR code says. The join code is in the fragment, which no browser sends and no log has."""
        return f"http://{self.host}/#{self.live.seats.code}"

    def start(self) -> None:
        """Begin to listen. Raises: RuntimeUnavailable."""
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeUnavailable(f"class: expected to serve {self.host}, the server ended; try another port")
            self._thread.join(0.01)

    def stop(self) -> None:
        """Stop listening; open connections end."""
        self._server.should_exit = True
        self._wake()
        self._thread.join(STOP_SECONDS)
        self._socket.close()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._server.serve(sockets=[self._socket]))
        self._loop = None

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        for event in self._waiting:
            event.set()

    # -- guards ---------------------------------------------------------------------------------------------------

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                guards.check_host(request, self.host)
                if request.method == "POST":
                    guards.check_post(request)
                    guards.body_length(request)
                response = await handler(request)
            except Refusal as refusal:
                response = _refused(refusal.status, refusal)
            except HeflError as error:
                response = _refused(400, error)
            response.headers.update(HEADERS)
            return response

        return answer

    def _seat(self, request: Request) -> Seat:
        """Raises: Refusal (401)."""
        return self.live.seats.find(request.headers.get("x-hefl-token", ""))

    def _routes(self) -> tuple[tuple[str, str, Handler], ...]:
        return (
            ("GET", "/", self._start), ("GET", "/web/{name}", self._file), ("GET", "/hashes", self._hashes),
            ("GET", "/parameters", self._parameters), ("GET", "/key", self._key), ("GET", "/events", self._events),
            ("POST", "/join", self._join), ("POST", "/prediction/{id:int}", self._prediction),
            ("POST", "/answer/{id:int}", self._answer), ("POST", "/update/{id:int}", self._update),
            ("POST", "/plain", self._plain), ("GET", "/patients", self._patients), ("GET", "/share", self._share),
            ("GET", "/sum/{id:int}", self._sum), ("GET", "/addends/{id:int}", self._addends),
            ("POST", "/consent/{id:int}", self._consent), ("POST", "/partial/{id:int}", self._partial),
            ("POST", "/commitment", self._ceremony("commitment")), ("GET", "/commitments", self._all("commitment")),
            ("POST", "/contribution", self._ceremony("contribution")), ("GET", "/contributions", self._all("contribution")),
            ("POST", "/dealing", self._ceremony("dealing")), ("GET", "/dealing", self._dealing),
        )  # fmt: skip

    # -- open to all ----------------------------------------------------------------------------------------------

    async def _start(self, request: Request) -> Response:
        return _sent(self._files[START])

    async def _file(self, request: Request) -> Response:
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise Refusal(404, f"file: expected one of {', '.join(self._files)}, found another name")
        return _sent(found)

    async def _hashes(self, request: Request) -> Response:
        return _json({file.name: file.digest for file in self._files.values()})

    async def _parameters(self, request: Request) -> Response:
        held, key = self.live.settings.held, self.live.key
        preset, cohort = held.scheme.preset, self.live.settings.cohort
        if key.public is None:
            said = json.loads(bridge.ring_parameters(preset, held.quorum, min_cohort=cohort))
        else:
            free = key.ceremony is not None
            found = bridge.phone_key(key.public, preset, dealer_free=free, min_cohort=cohort)
            said = json.loads(found.parameters)
        return _json(said | {"max_terms": self.live.settings.seats})

    async def _key(self, request: Request) -> Response:
        key = self.live.key.require_public()
        return _bytes(bridge.phone_key(key, self.live.settings.held.scheme.preset).raw)

    async def _join(self, request: Request) -> Response:
        asked = await _read_json(request)
        code, name = asked.get("code"), asked.get("name")
        if not isinstance(code, str) or not isinstance(name, str):
            raise Refusal(400, "join: expected a code and a name, found another body")
        client = request.client
        seat, token = self.live.join(code, name, client.host if client else "")
        return _json({"token": token, "seat": seat.number, "holder": seat.holder, "name": seat.name})

    # -- for a seat -----------------------------------------------------------------------------------------------

    async def _events(self, request: Request) -> Response:
        seat = self.live.seats.find(request.query_params.get("token", ""))
        if self._connections.get(seat.number, 0) >= CONNECTIONS_OF_A_SEAT:
            raise Refusal(
                429, f"events: expected at most {CONNECTIONS_OF_A_SEAT} pages of one seat, found more; close one"
            )
        return StreamingResponse(self._stream(seat.number), media_type="text/event-stream")

    async def _stream(self, seat: int) -> AsyncIterator[bytes]:
        """The whole state after each change; of changes that come while one is sent, the last."""
        event = asyncio.Event()
        self._waiting.add(event)
        self._connections[seat] = self._connections.get(seat, 0) + 1
        self.live.arrive(seat)
        try:
            while True:
                event.clear()
                last = (
                    self._server.should_exit
                )  # asked before the state: the last one sent says that the class has ended
                yield b"event: state\ndata: " + self.live.state().to_json() + b"\n\n"
                if last:
                    return
                try:
                    await asyncio.wait_for(event.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            self._waiting.discard(event)
            self._connections[seat] -= 1
            self.live.leave(seat)

    async def _prediction(self, request: Request) -> Response:
        seat = self._seat(request)
        choice = (await _read_json(request)).get("choice")
        picks = [choice] if type(choice) is int else choice
        if not isinstance(picks, list) or not all(type(pick) is int for pick in picks):
            raise Refusal(400, "prediction: expected the place of a choice for each question, found another body")
        self.live.predict(request.path_params["id"], seat, picks)
        return _json({})

    async def _answer(self, request: Request) -> Response:
        return await self._upload(QUESTION, request)

    async def _update(self, request: Request) -> Response:
        return await self._upload(ROUND, request)

    async def _upload(self, kind: str, request: Request) -> Response:
        seat = self._seat(request)
        exact = bridge.upload_nbytes(self.live.settings.held.scheme.preset)
        body = await read_body(request, exact, exact)
        return _json({"digest": self.live.upload(kind, request.path_params["id"], seat, body)})

    async def _plain(self, request: Request) -> Response:
        seat = self._seat(request)
        exact = 8 * self.live.require_volunteer(seat).length
        self.live.plain(seat, await read_body(request, exact, exact))
        return _json({})

    async def _patients(self, request: Request) -> Response:
        rows = self.live.patients(self._seat(request))
        assert self.live.deal is not None
        dataset = self.live.deal.dataset
        return _json(
            {
                "features": rows.features.astype(float).tolist(),
                "labels": rows.labels.tolist(),
                "names": list(dataset.feature_names),
                "classes": list(dataset.classes),
            }
        )

    # -- for holders ----------------------------------------------------------------------------------------------

    async def _share(self, request: Request) -> Response:
        return _bytes(self.live.share(self._seat(request)))

    async def _sum(self, request: Request) -> Response:
        self.live.require_holder(self._seat(request))
        total = self.live.require_opening(request.path_params["id"]).total
        return _bytes(bridge.sum_for_holders(total, self.live.settings.held.scheme.preset))

    async def _addends(self, request: Request) -> Response:
        self.live.require_holder(self._seat(request))
        return _bytes(b"".join(one.c1 for one in self.live.require_opening(request.path_params["id"]).summing.addends))

    async def _consent(self, request: Request) -> Response:
        seat = self._seat(request)
        yes = (await _read_json(request)).get("yes")
        if not isinstance(yes, bool):
            raise Refusal(400, "consent: expected yes, true or false, found another body")
        self.live.consent(request.path_params["id"], seat, yes)
        return _json({})

    async def _partial(self, request: Request) -> Response:
        seat, number = self._seat(request), request.path_params["id"]
        reason = request.headers.get("x-hefl-refuse")
        if reason is not None:
            await read_body(request, 0, 0)
            self.live.refuse(number, seat, visible(reason, LONGEST_REASON))
            return _json({})
        exact = bridge.partial_nbytes(self.live.settings.held.scheme.preset)
        self.live.partial(number, seat, await read_body(request, exact, exact))
        return _json({})

    def _ceremony(self, step: str) -> Handler:
        async def take(request: Request) -> Response:
            seat = self._seat(request)
            self.live.require_holder(seat)
            exact = self.live.require_ceremony().nbytes(step)
            self.live.ceremony_step(step, seat, await read_body(request, exact, exact))
            return _json({})

        return take

    def _all(self, step: str) -> Handler:
        async def give(request: Request) -> Response:
            self._seat(request)
            return _bytes(self.live.require_ceremony().all_of(step))

        return give

    async def _dealing(self, request: Request) -> Response:
        index = self.live.require_holder(self._seat(request))
        return _bytes(self.live.require_ceremony().dealt_to(index))


def _bound(address: str, port: int) -> socket.socket:
    """A socket on exactly this address. Raises: RuntimeUnavailable."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let another process take the port over
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
    except OSError as error:
        made.close()
        raise RuntimeUnavailable(
            f"class: expected to listen on {address}:{port}, found {error.strerror}; choose another address or port"
        ) from error
    return made


async def _read_json(request: Request) -> dict[str, Any]:
    """A small JSON object. Raises: Refusal (400, 408, 411, 413)."""
    body = await read_body(request, 2, MOST_JSON_BYTES)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"body: expected JSON, found {type(error).__name__}") from None
    if not isinstance(found, dict):
        raise Refusal(400, f"body: expected a JSON object, found {type(found).__name__}")
    return found


def _refused(status: int, error: HeflError) -> Response:
    # The connection ends with a refusal: what is left of a body that was not read never becomes the next request.
    answer = _json({"error": visible(error)}, status)
    answer.headers["connection"] = "close"
    return answer


def _json(found: object, status: int = 200) -> Response:
    return Response(json.dumps(found), status, media_type="application/json")


def _bytes(found: bytes) -> Response:
    return Response(found, media_type="application/octet-stream")


def _sent(file: PageFile) -> Response:
    return Response(file.content, headers={"content-type": file.kind})

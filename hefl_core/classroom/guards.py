"""Guards of a class's port: what is refused before any of it is believed.

==================  ==============================================================================================
guard               attack
==================  ==============================================================================================
Host                a foreign page whose name resolves to this computer (DNS rebinding)
header X-Hefl       a foreign page that posts here: a browser asks first for this header, and no route answers
exact length        oversized, short and endless bodies: the length is known before the first byte is read
deadlines           connections that send one byte a minute (slow loris), before and in a body
tries               guessed join codes
one for each seat   a stolen token: what it sends second is refused, whoever comes first
==================  ==============================================================================================
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from hefl_core.errors import HeflError

HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 30.0
TRIES_OF_ONE: Final = 20
TRIES_OF_ALL: Final = 400
"""Wrong codes in a class: 400 guesses at one of 31^6 codes succeed with probability 5 · 10^-7."""
HEADER: Final = "x-hefl"


class Refusal(HeflError):
    """A request to a class that is not answered, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Tries:
    """Wrong join codes, by address and together."""

    def __init__(self) -> None:
        self._wrong: Counter[str] = Counter()

    def check(self, address: str) -> None:
        """Raises: Refusal (429) after too many wrong codes; a right one is then refused as well."""
        if self._wrong[address] >= TRIES_OF_ONE or self._wrong.total() >= TRIES_OF_ALL:
            raise Refusal(429, "code: too many wrong tries; the teacher can open joining again")

    def failed(self, address: str) -> None:
        """Count a wrong code."""
        self._wrong[address] += 1

    def forget(self) -> None:
        """Begin again, with a new code."""
        self._wrong.clear()


def check_host(request: Request, own: str) -> None:
    """The Host header is this server's address and port, once. Raises: Refusal (421)."""
    if request.headers.getlist("host") != [own]:
        raise Refusal(421, f"host: expected {own}, found another name; type the address on the wall")


def check_post(request: Request) -> None:
    """The header that no foreign page can send unasked. Raises: Refusal (403)."""
    if request.headers.getlist(HEADER) != ["1"]:
        raise Refusal(403, "header X-Hefl: expected 1, found none; only the class's own page posts here")


def body_length(request: Request) -> int:
    """The declared length of the body. Raises: Refusal (411) without exactly one."""
    lengths = request.headers.getlist("content-length")
    if len(lengths) != 1 or not lengths[0].isdecimal() or "transfer-encoding" in request.headers:
        raise Refusal(411, "content-length: expected one, found none or several; send the body's exact length")
    return int(lengths[0])


async def read_body(request: Request, least: int, most: int) -> bytes:
    """The body, whose declared length is checked before a byte of it is read.

    Raises: Refusal (411, 413; 408 for a body that is too slow; 400 for one that ends early).
    """
    expected = body_length(request)
    if not least <= expected <= most:
        wanted = str(most) if least == most else f"{least} to {most}"
        raise Refusal(413, f"body: expected {wanted} bytes, found {expected}; nothing of it was read")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.body()
    except TimeoutError:
        raise Refusal(408, f"body: expected it within {BODY_SECONDS:.0f} s; send it again") from None
    if len(body) != expected:
        raise Refusal(400, f"body: expected {expected} bytes, found {len(body)}; send it again")
    return body


class HurriedProtocol(H11Protocol):
    """Uvicorn's protocol, which has no deadline for a request's head: here a connection without one is closed."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the clock."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Stop the clock once a request is whole; bytes of half a head do not."""
        self._await_head()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

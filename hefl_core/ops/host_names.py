"""The host names that the HTTP services of this machine accept. Any other name gets status 421.

A foreign web page can make its own name resolve to this machine (DNS rebinding). The browser then takes this server for the
page's own and lets the page read the answers. The name in the Host header reveals it. A literal address needs no check:
no foreign page can own it, so the address that a call came in on is always accepted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from ipaddress import ip_address
from typing import Any, Final, TypeAlias

from hefl_core.errors import ParameterError

VARIABLE: Final = "HEFL_HOSTS"
ALWAYS: Final = ("localhost", "127.0.0.1", "::1")
STATUS: Final = 421
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,252}[a-z0-9_])?|[0-9a-f]*:[0-9a-f:.]+")
_HOST: Final = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]+))(?::[0-9]{1,5})?")
_MAPPED: Final = "::ffff:"
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def parse_names(text: str) -> tuple[str, ...]:
    """Split names at commas or blanks; no ports. Raises: ParameterError.

    >>> parse_names("hefl.example, Monitor")
    ('hefl.example', 'monitor')
    """
    names = tuple(_plain(name.strip("[]")) for name in text.replace(",", " ").split())
    for name in names:
        if not _NAME.fullmatch(name):
            raise ParameterError(f"hosts: expected names such as hefl.example, found {name[:80]!r}", f"set {VARIABLE}")
    return names


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _every(name: str) -> bool:
    """Whether this is the unspecified address (0.0.0.0, ::), which can be listened on but not called."""
    try:
        return ip_address(name).is_unspecified
    except ValueError:
        return False


class HostNames:
    """The accepted names: this machine's own, and ``others``."""

    def __init__(self, others: Sequence[str] = ()) -> None:
        named = (_plain(name) for name in (*ALWAYS, *others))
        self._names = frozenset(name for name in named if name and not _every(name))

    @classmethod
    def here(cls, *others: str) -> HostNames:
        """Add the names from the environment. Raises: ParameterError."""
        return cls((*others, *parse_names(os.environ.get(VARIABLE, ""))))

    def admit(self, hosts: Sequence[str], own: str) -> bool:
        """Whether to accept a call with these Host headers. ``own``: the address that it came in on."""
        # a browser always sends one, and only a browser can be deceived; probes by HTTP/1.0 send none
        if not hosts:
            return True
        # with two Host headers a proxy and this server could each believe another one
        found = _HOST.fullmatch(hosts[0].lower()) if len(hosts) == 1 else None
        if found is None:
            return False
        name = found["six"] or _plain(found["name"])
        return name in self._names or name == own.lower().removeprefix(_MAPPED)


class NamedOnly:
    """ASGI middleware (for the GUI): rejects calls under other names, also websockets, before the application sees them."""

    def __init__(self, app: Application, names: HostNames) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or reject it."""
        if scope["type"] not in ("http", "websocket") or self._admits(scope):
            await self._app(scope, receive, send)
            return
        kind = "http" if scope["type"] == "http" else "websocket.http"
        if kind != "http" and "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(REFUSAL))]
        await send({"type": f"{kind}.response.start", "status": STATUS, "headers": headers})
        await send({"type": f"{kind}.response.body", "body": REFUSAL})

    def _admits(self, scope: Scope) -> bool:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        return self._names.admit(hosts, (scope.get("server") or ("",))[0])


REFUSAL: Final = f"expected a name that this service is called by; set {VARIABLE} where it is started\n".encode()

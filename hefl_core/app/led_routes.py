"""Routes by which followers' browsers get the leader's screen: read only, on the application's own port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hefl_core.app.led_run import LED_RUN, LedRun

ADDRESS: Final = "/follow"
MOST_FOLLOWERS: Final = 200
HEARTBEAT_SECONDS: Final = 15.0


class Following:
    """Server-sent events for the followers of one led run."""

    def __init__(self, led: LedRun) -> None:
        self._led = led
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        led.listen(self._wake)

    def routes(self) -> list[Route]:
        """``/follow/events``: cursor and pane after each change; ``/follow/scene``: the run as it is drawn."""
        return [Route(f"{ADDRESS}/events", self._events), Route(f"{ADDRESS}/scene", self._scene)]

    def _wake(self) -> None:
        for event, loop in tuple(self._waiting.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def _events(self, request: Request) -> Response:
        if len(self._waiting) >= MOST_FOLLOWERS:
            return Response(f"expected at most {MOST_FOLLOWERS} followers, found as many; look at the projector\n", 429)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._stream(), media_type="text/event-stream", headers=headers)

    async def _stream(self) -> AsyncIterator[bytes]:
        event = asyncio.Event()
        self._waiting[event] = asyncio.get_running_loop()
        try:
            while True:
                event.clear()
                now = self._led.screen
                said = json.dumps({"scene": now.number, "cursor": now.cursor, "pane": now.pane})
                yield f"data: {said}\n\n".encode()
                try:
                    await asyncio.wait_for(event.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            del self._waiting[event]

    async def _scene(self, request: Request) -> Response:
        return Response(self._led.screen.scene, media_type="application/json", headers={"cache-control": "no-store"})


FOLLOWING: Final = Following(LED_RUN)

"""Visitors of the application without a browser: what one sends and receives, so that thirty of them load the server alone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

PATIENCE = 120.0
STEPPER = "hefl_stepper"


class Visitor:
    """One session on page One round. ``drawn``: the message that its matrix shows."""

    def __init__(self, address: str, query: str) -> None:
        self._query = query
        self._socket = connect(
            address.replace("http", "ws") + "/_stcore/stream",
            subprotocols=["streamlit"],
            max_size=None,
            origin=address,
            max_queue=None,
            ping_interval=None,
        )
        self._wanted, self._page = "", ""
        self._stepper, self._fragment = "", ""
        self.drawn = -1

    def open(self, page: str) -> None:
        """Open a page and wait until its run is over and its matrix is there."""
        self._wanted = page
        self._send(page_name=page)
        end = time.monotonic() + PATIENCE
        while self.drawn < 0 or not self._stepper:
            if time.monotonic() > end:
                raise SystemExit(f"{page}: expected a matrix within {PATIENCE:.0f} s, found none")
            if self._until_finished() and (self.drawn < 0 or not self._stepper):
                time.sleep(0.3)
                self._send()

    def step(self, position: int) -> float:
        """Seconds until the matrix is the one of this message."""
        began = time.perf_counter()
        self._send(position=position)
        while self.drawn != position:
            self._receive()
        return time.perf_counter() - began

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def _send(self, page_name: str = "", position: int | None = None) -> None:
        said = BackMsg()
        state = said.rerun_script
        state.query_string = self._query
        if page_name:
            state.page_name = page_name
        else:
            state.page_script_hash = self._page
        if position is not None:
            state.fragment_id = self._fragment
            widget = state.widget_states.widgets.add()
            widget.id, widget.json_value = self._stepper, json.dumps({"position": position})
        self._socket.send(said.SerializeToString())

    def _until_finished(self) -> bool:
        while self._receive() != "script_finished":
            pass
        return True

    def _receive(self) -> str:
        """Take one message in; its kind."""
        data = self._socket.recv(timeout=PATIENCE)
        message = ForwardMsg.FromString(data if isinstance(data, bytes) else data.encode())
        kind = message.WhichOneof("type") or ""
        if kind == "navigation":  # a fresh server knows its pages only now
            pages = {one.url_pathname: one.page_script_hash for one in message.navigation.app_pages}
            self._page = pages.get(self._wanted, "")
        if kind == "delta":
            self._look(message)
        return kind

    def _look(self, message: ForwardMsg) -> None:
        element = message.delta.new_element
        if element.WhichOneof("type") == "bidi_component" and STEPPER in element.bidi_component.component_name:
            self._stepper, self._fragment = element.bidi_component.id, message.delta.fragment_id
        if element.WhichOneof("type") == "html" and 'data-sent="' in element.html.body:
            self.drawn = int(element.html.body.split('data-sent="')[1].split('"')[0])


def at_once(work: Sequence[Callable[[], float]]) -> list[float]:
    """Do all of it at the same time; each one's seconds."""
    found = [0.0] * len(work)
    gate = threading.Barrier(len(work))

    def one(number: int) -> None:
        gate.wait()
        found[number] = work[number]()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found

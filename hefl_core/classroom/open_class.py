"""The class that this process has open: one at most, its server, its teacher's verbs and its bots."""

from __future__ import annotations

import threading
from typing import Final

from hefl_core.classroom.addresses import check_address
from hefl_core.classroom.bots import Bots
from hefl_core.classroom.live_class import CLOSED, LiveClass, Settings
from hefl_core.classroom.page_files import page_files
from hefl_core.classroom.server import ClassServer
from hefl_core.classroom.teacher import Teacher
from hefl_core.errors import RoundError, RuntimeUnavailable


class OpenClass:
    """A class that listens, from its making to :meth:`close`. Raises: RuntimeUnavailable, ParameterError."""

    def __init__(self, settings: Settings, address: str, port: int = 0) -> None:
        files, chosen = page_files(), check_address(address)
        self.live = LiveClass(settings)
        try:
            self.server = ClassServer(self.live, files, chosen, port)
        except RuntimeUnavailable:
            self.live.record.end()
            raise
        self.teacher = Teacher(self.live)
        self.bots = Bots(self.server)
        self.content = b""
        self.server.start()

    def close(self) -> bytes:
        """End the class and stop listening; its record."""
        if self.live.phase != CLOSED:
            self.bots.stop()
            self.content = self.teacher.close()
            self.server.stop()
        return self.content


class Classroom:
    """Holds the class that is open. Pages are drawn anew at each click; this stays."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now: OpenClass | None = None

    def open(self, settings: Settings, address: str, port: int = 0) -> OpenClass:
        """Open a class. Raises: RoundError while another is open."""
        with self._lock:
            if self.now is not None and self.now.live.phase != CLOSED:
                raise RoundError("class: expected none, found one that is open; close it first")
            self.now = OpenClass(settings, address, port)
            return self.now


CLASSROOM: Final = Classroom()

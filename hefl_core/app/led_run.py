"""A run that one session shows to any number of others: "follow the teacher".

What is on the leader's screen is made once, for its owner, and sent to every follower as it is; a follower's own session
does nothing when the leader steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hefl_core.errors import RuntimeUnavailable

if TYPE_CHECKING:
    from hefl_core.app.session import Session


@dataclass(frozen=True, slots=True)
class Screen:
    """What the leader has on the screen. ``scene``: the run as the seat sees it, for the stepper, JSON; ``number``: its version.

    ``pane``: HTML beside it for the cursor. Number 0: nobody leads.
    """

    number: int = 0
    scene: bytes = b"{}"
    cursor: int = 0
    pane: str = ""


class LedRun:
    """The session that leads, one at most, and its screen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._listeners: list[Callable[[], None]] = []
        self.session: Session | None = None
        self.screen = Screen()

    def listen(self, listener: Callable[[], None]) -> None:
        """Have a function called after each change, from any thread."""
        self._listeners.append(listener)

    def lead(self, session: Session) -> None:
        """Let others follow this session. Raises: RuntimeUnavailable while another one leads."""
        with self._lock:
            if self.session not in (None, session):
                raise RuntimeUnavailable(
                    "follow: expected nobody to lead, found another session; follow it, or ask it to end"
                )
            self.session = session

    def show(self, session: Session, scene: bytes, cursor: int, pane: str) -> None:
        """Put this on every follower's screen; nothing where this session does not lead."""
        with self._lock:
            if self.session is not session:
                return
            if scene != self.screen.scene or not self.screen.number:
                self._number += 1
            self.screen = Screen(self._number, scene, cursor, pane)
        self._tell()

    def end(self, session: Session) -> None:
        """Lead no more; nothing where this session does not lead."""
        with self._lock:
            if self.session is not session:
                return
            self.session, self.screen = None, Screen()
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


LED_RUN: Final = LedRun()

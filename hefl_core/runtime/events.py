"""Progress events that several readers can follow, each at its own pace."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TypeAlias

from hefl_core.federation.record.transcript import LeftOut, Sent
from hefl_core.runtime.result import RoundResult


@dataclass(frozen=True, slots=True)
class Progress:
    """Work under way. ``fraction`` 0..1, or None when it is unknown."""

    text: str
    fraction: float | None = None


Event: TypeAlias = Progress | Sent | LeftOut | RoundResult


class EventBus:
    """An append-only list of events. Readers keep a cursor; nothing is lost and nothing blocks the writer."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._arrived = threading.Condition()

    def publish(self, event: Event) -> None:
        """Append an event and wake the readers."""
        with self._arrived:
            self._events.append(event)
            self._arrived.notify_all()

    def since(self, cursor: int, *, wait_seconds: float = 0.0) -> tuple[tuple[Event, ...], int]:
        """The events after ``cursor`` and the new cursor; waits at most ``wait_seconds`` for the first."""
        with self._arrived:
            if len(self._events) <= cursor and wait_seconds > 0:
                self._arrived.wait(wait_seconds)
            return tuple(self._events[cursor:]), len(self._events)

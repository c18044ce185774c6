"""How a process ends when it is told to: SIGINT, SIGTERM and SIGHUP alike raise one exception that every ``with`` sees.

So a terminal that closes, a service manager and Ctrl-C all end a run in the same way: processes are ended, keys deleted.
"""

from __future__ import annotations

import atexit
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
PATIENCE_SECONDS: Final = 30.0
"""A further signal during that time changes nothing: it would interrupt the cleaning up that the first one asked for."""


class Ended(KeyboardInterrupt):
    """The process was told to end. A KeyboardInterrupt, because libraries (Ray) let only that one through."""


class Ending:
    """What this process was told. ``number``: the first signal that arrived, None as long as none did."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._told_at = 0.0
        self._depth = 0
        self._waiting = False

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise :class:`Ended` in the main thread when a signal arrives; the earlier handlers are restored afterwards.

        A signal that the starter had ignored (nohup, a shell's background job) stays ignored.
        """
        if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
            yield
            return
        wanted = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._told) for number in wanted}
        self.number = None
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let a signal wait until this block is over: what it starts is noted, so that it can be ended."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._waiting and not self._depth:
                self._waiting = False
                raise Ended(self.said)

    @property
    def said(self) -> str:
        """The signal's name in words; empty when none arrived."""
        return "" if self.number is None else f"ended by {signal.Signals(self.number).name}"

    def _told(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is not None and now - self._told_at < PATIENCE_SECONDS:
            return
        self.number, self._told_at = number, now
        if self._depth:
            self._waiting = True
            return
        raise Ended(self.said)


ENDING: Final = Ending()
"""The one of this process: signals belong to processes."""


def finish_undisturbed() -> None:
    """From the interpreter's end on, no signal interrupts what is cleaned up there (Ray's processes, folders)."""
    atexit.register(_ignore_all)  # registered last, so it comes first


def _ignore_all() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)

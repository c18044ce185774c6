"""Work in the background that a screen watches: begun once, cancelled on demand, its end waited for."""

from __future__ import annotations

import threading

from hefl_core.errors import HeflError, RuntimeUnavailable


class Job:
    """One piece of work in a thread; what it does is ``work``. ``error``: what stopped it, None while nothing did."""

    def __init__(self, name: str) -> None:
        self.error: HeflError | None = None
        self._name = name
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def work(self) -> None:
        """Do it, looking at ``cancelled`` now and then. Raises: what stops it."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self._thread.is_alive()

    @property
    def cancelled(self) -> bool:
        """Whether its audience ended it."""
        return self._cancel.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self) -> None:
        """Have it end at its next look."""
        self._cancel.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end; whether it came in time."""
        self._thread.join(seconds)
        return not self.running

    def _run(self) -> None:
        try:
            self.work()
        except HeflError as error:
            self.error = error
        except Exception as error:  # its text could hold anything; a thread's traceback nobody reads
            self.error = RuntimeUnavailable(f"{self._name}: stopped by {type(error).__name__}; start it again")

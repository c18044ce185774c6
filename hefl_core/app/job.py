"""Background work that a page follows: started once, cancelled on demand, waited for."""

from __future__ import annotations

import threading

from hefl_core.errors import HeflError, RuntimeUnavailable


class Job:
    """One piece of work in a thread, defined by ``work``. ``error``: the error that stopped it, else None."""

    def __init__(self, name: str) -> None:
        self.error: HeflError | None = None
        self._name = name
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def work(self) -> None:
        """Do the work, checking ``cancelled`` now and then. Raises: the error that stops it."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread.is_alive()

    @property
    def cancelled(self) -> bool:
        """Whether the user cancelled it."""
        return self._cancel.is_set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def cancel(self) -> None:
        """Ask the work to end at its next check."""
        self._cancel.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end. Returns whether it came in time."""
        self._thread.join(seconds)
        return not self.running

    def _run(self) -> None:
        try:
            self.work()
        except HeflError as error:
            self.error = error
        except Exception as error:  # keep the kind only: its text could hold anything
            self.error = RuntimeUnavailable(f"{self._name}: stopped by {type(error).__name__}; start it again")

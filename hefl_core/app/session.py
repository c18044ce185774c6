"""One browser session's runs: a thread steps a run into its transcript, pages only read.

Two reruns of a page that stepped the same generator would collide. Therefore one thread steps it; play, step and back
only move a cursor over the record.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hefl_core.app.evidence.file import to_html
from hefl_core.errors import HeflError, RuntimeUnavailable
from hefl_core.federation.record.transcript import Transcript
from hefl_core.federation.record.transcript_zip import pack
from hefl_core.learning.trainers import require_trainer
from hefl_core.runtime.events import EventBus, Progress
from hefl_core.runtime.result import RunResult
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment

if TYPE_CHECKING:
    from hefl_core.app.blindness_job import BlindnessJob
    from hefl_core.probes.findings import Blindness

MAX_SESSIONS = int(os.environ.get("HEFL_MAX_SESSIONS", "4"))
"""Sessions at a time that may run something: each may have its own processes. Others wait, or follow one."""
RAY_ALLOWED = os.environ.get("HEFL_RUNTIME", "ray") != "local"
"""``HEFL_RUNTIME=local`` runs the application without Ray: every party is an object in this process."""

Finish = Callable[[RunResult], RunResult]
"""Applied to a finished run's result before a page sees it, for example to check the claims."""


class WarmUp:
    """Starts Ray in the background, with progress. No page waits for it."""

    def __init__(self) -> None:
        self.bus = EventBus()
        self.failure: HeflError | None = None
        self._thread: threading.Thread | None = None
        self._ready = False
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Start once; a second call does nothing."""
        with self._lock:
            if RAY_ALLOWED and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="warm-up", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        self.bus.publish(Progress("starting Ray", 0.0))
        from hefl_core.runtime.ray.cluster import CLUSTER  # importing Ray takes half a second; no page waits here

        try:
            CLUSTER.wait(self.bus)
            self._ready = True
        except HeflError as error:
            self.failure = error

    @property
    def ready(self) -> bool:
        """Whether a run can have its own processes without waiting."""
        return self._ready

    @property
    def coming(self) -> bool:
        """Whether Ray is starting: neither up nor failed."""
        return self._thread is not None and not self._ready and self.failure is None

    @property
    def progress(self) -> Progress | None:
        """The last progress of the start, None before it began."""
        events, _ = self.bus.since(0)
        said = [event for event in events if isinstance(event, Progress)]
        return said[-1] if said else None


WARM_UP = WarmUp()


class Session:
    """The runs of one browser session, one at a time. ``finish`` is applied to a finished run's result.

    ``run``: the last one started, ``result``: its result once it is finished, ``error``: the error that stopped it.
    """

    def __init__(self, finish: Finish = lambda result: result) -> None:
        self._finish = finish
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._cancel = threading.Event()
        self.closed = False
        self.experiment: Experiment | None = None
        self.run: Run | None = None
        self.bus = EventBus()
        self.result: RunResult | None = None
        self.error: HeflError | None = None
        self.number = 0
        self.blindness_job: BlindnessJob | None = None

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def cancelled(self) -> bool:
        """Whether the user cancelled the last run."""
        return self._cancel.is_set()

    @property
    def runtime(self) -> str:
        """The last run's runtime: 'local' or 'ray'; empty before the first."""
        return self.run.runtime if self.run else ""

    def start(self, experiment: Experiment, runtime: str | None = None) -> None:
        """Start a run in the background; the run before is cancelled and its processes end.

        ``runtime`` None: Ray if it is ready (and always for Keras), else objects in this process.
        Raises: RuntimeUnavailable after the session was closed; ParameterError for an unknown runtime.
        """
        with self._lock:
            if self.closed:
                raise RuntimeUnavailable("session: this one is closed; reload the page")
            self._end()
            self._cancel = threading.Event()
            self.experiment, self.result, self.error = experiment, None, None
            self.bus = EventBus()
            self.run = Run(experiment, runtime or default_runtime(experiment), bus=self.bus, keep_keys=True)
            self.number += 1
            self._thread = threading.Thread(
                target=self._drain, args=(self.run, self._cancel), name="runner", daemon=True
            )
            self._thread.start()

    def _drain(self, run: Run, cancel: threading.Event) -> None:
        """Take every step; keep an error for the page."""
        try:
            for _ in run.steps():
                if cancel.is_set():
                    run.close()
                    return
            result = self._finish(run.result())
            if not cancel.is_set():
                self.result = result
        except Exception as error:
            if not cancel.is_set():
                self.error = _of_ours(error)
            run.close()

    def inquire(self, blindness_job: BlindnessJob) -> None:
        """Start a blindness test; the one before is cancelled."""
        with self._lock:
            if self.blindness_job is not None:
                self.blindness_job.cancel()
            self.blindness_job = blindness_job
            blindness_job.start()

    def take_finding(self, found: Blindness) -> None:
        """Add a blindness test of this session's run to its result and its claims."""
        if self.result is not None:
            self.result = self._finish(replace(self.result, blindness=found))

    def record(self, transcript: Transcript) -> bytes:
        """A record as a file. A finished run of this session destroys its keys first; a run under way keeps its bodies here."""
        self._end_keys_of(transcript)
        return pack(transcript, bodies=transcript.released)

    def evidence(self, transcript: Transcript, language: str, words: Mapping[str, str]) -> str:
        """The evidence file of a record, as :meth:`record`. ``words``: every sentence of it in ``language``."""
        self._end_keys_of(transcript)
        leaving = transcript if transcript.released else Transcript.from_bytes(transcript.to_bytes())
        return to_html(leaving, language=language, translate=words.__getitem__).html

    def _end_keys_of(self, transcript: Transcript) -> None:
        """Destroy the keys of a finished run of this session before the bodies of its record leave."""
        run = self.run
        if run is not None and not self.running and not transcript.released and run.transcript is transcript:
            run.end_keys()

    def cancel(self) -> None:
        """Cancel the run under way, if there is one; the record stays."""
        self._cancel.set()
        if self.run is not None and self.run.runtime == "ray":
            self.run.close()

    def _end(self) -> None:
        if self.run is not None:
            self.cancel()
            self.run.close()

    def wait(self, seconds: float) -> bool:
        """Wait for the run under way. Returns whether it ended in time."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.running

    def close(self) -> None:
        """Cancel everything and end the processes; nothing can start afterwards."""
        with self._lock:
            self.closed = True
            if self.blindness_job is not None:
                self.blindness_job.cancel()
            self._end()


def default_runtime(experiment: Experiment) -> str:
    """'ray' if Ray is ready, else 'local'; Keras always on Ray, so that TensorFlow is never in this process."""
    require_trainer(experiment.trainer)
    if experiment.trainer == "keras":
        if not RAY_ALLOWED:
            raise RuntimeUnavailable("keras: it runs in processes of its own, Ray is switched off; choose numpy")
        return "ray"
    return "ray" if WARM_UP.ready else "local"


def _of_ours(error: Exception) -> HeflError:
    """Keep only the kind of an error that is not ours: its text could hold anything."""
    if isinstance(error, HeflError):
        return error
    return RuntimeUnavailable(f"the run stopped: unexpected {type(error).__name__}; start it again")


class Sessions:
    """The sessions of this process in the order of their arrival: the first ``limit`` have places, the others wait."""

    def __init__(self, limit: int = MAX_SESSIONS) -> None:
        self.limit = limit
        self._open: list[Session] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Sessions that have places."""
        return min(len(self._open), self.limit)

    def open(self, finish: Finish = lambda result: result) -> Session:
        """A new session, with a place or a number in the queue."""
        session = Session(finish)
        self.number(session)
        return session

    def number(self, session: Session) -> int:
        """Its number in the queue; 0: it has a place. One that left the queue stands at its end again."""
        with self._lock:
            if session not in self._open and not session.closed:
                self._open.append(session)
            return max(0, self._open.index(session) + 1 - self.limit) if session in self._open else 0

    def leave_queue(self, session: Session) -> None:
        """Wait no more, so that those behind move up; a session with a place keeps it."""
        with self._lock:
            if session in self._open[self.limit :]:
                self._open.remove(session)

    def close(self, session: Session) -> None:
        """Close a session: the first in the queue gets its place."""
        with suppress(ValueError), self._lock:
            self._open.remove(session)
        session.close()


SESSIONS = Sessions()

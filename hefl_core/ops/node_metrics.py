"""Metrics of a party on a Ray node, passed to the service that runs the node: short lines in a file.

The party lives in a process that Ray started; Prometheus asks the node's service. The service creates the file when it
starts and deletes it when it ends; on a node without a service nothing is counted. A line holds a kind, a name and a
number that the metrics of the strict mode show too, never a message's content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, TypeAlias

from hefl_core.ops.metrics import Metrics

FILE: Final = "node-metrics"
MESSAGE, REFUSAL, STEP, ROUNDS = "message", "refusal", "step", "rounds"
MetricLine: TypeAlias = tuple[str, str, float]
"""MESSAGE: direction, bytes. REFUSAL: kind of error, 1. STEP: its name, seconds. ROUNDS: '', how many."""


class NodeMetrics:
    """The file in a node's home. ``home`` None: this node has no service, so nothing is noted."""

    def __init__(self, home: Path | None) -> None:
        self._path = None if home is None else home / FILE

    @classmethod
    def of_this_node(cls) -> NodeMetrics:
        """The file that the service of this process's node reads."""
        home = os.environ.get("HEFL_HOME")
        return cls(Path(home) if home else None)

    def note(self, lines: Sequence[MetricLine]) -> None:
        """Append lines, whole and in order, under the lock. A failed write stops no party."""
        with suppress(OSError), self._held(os.O_WRONLY | os.O_APPEND, "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    # -- the service's side ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Create an empty file. Raises: OSError."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            # O_EXCL follows no symlink that another user may have put in the file's place
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    def drain(self, metrics: Metrics) -> None:
        """Add the file's lines to the metrics and empty the file. Raises: OSError."""
        with self._held(os.O_RDWR, "r+") as file:
            lines = file.readlines()
            file.truncate(0)  # still under the lock: a line appended in between would be lost
        for line in lines:
            _count(metrics, *json.loads(line))

    def end(self) -> None:
        """Delete the file: no service reads it any more."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    @contextmanager
    def _held(self, flags: int, mode: str) -> Iterator[IO[str]]:
        """Open the file under an exclusive lock. Raises: OSError when there is none."""
        import fcntl  # POSIX only, as are the services that run nodes

        if self._path is None:
            raise FileNotFoundError(FILE)
        with os.fdopen(os.open(self._path, flags), mode, encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def _count(metrics: Metrics, kind: str, name: str, number: float) -> None:
    if kind == MESSAGE:
        metrics.message(name, int(number))
    elif kind == REFUSAL:
        metrics.refusal(name)
    elif kind == STEP:
        metrics.step(name, number)
    elif kind == ROUNDS:
        metrics.rounds.inc(number)

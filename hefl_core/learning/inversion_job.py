"""What an attacker's search is asked and answers, and the process that it runs in.

A job holds public knowledge and one observed gradient; it has no field for a key. The caller imports no TensorFlow.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from types import TracebackType
from typing import IO, BinaryIO

import msgspec

from hefl_core.errors import ParameterError, RuntimeUnavailable
from hefl_core.learning.models import Activation, Model, model_for

_LENGTH = 8
LONGEST = 1 << 28
"""Bytes of a frame at most."""
_SHOWN = 400


class Job(msgspec.Struct, frozen=True):
    """One search. ``theta`` and ``observed``: little-endian float32, as many as the model has parameters.

    ``labels``: one per record. ``tv``: weight of total variation. ``restarts``: searches, of which the best is kept.
    """

    model_name: str
    features: int
    classes: int
    activation: Activation
    theta: bytes
    observed: bytes
    labels: tuple[int, ...]
    tv: float
    steps: int
    restarts: int
    seed: int

    @property
    def model(self) -> Model:
        """The architecture."""
        return model_for(self.model_name, self.features, self.classes, activation=self.activation)


class Searched(msgspec.Struct, frozen=True):
    """What was found. ``rows`` and ``frames``: little-endian float32, (n, features) and (f, n, features); ``losses``: (f - 1,).

    ``cpu_seconds``: what the search took in its process.
    """

    rows: bytes
    frames: bytes
    losses: tuple[float, ...]
    cpu_seconds: float


def read_frame(source: BinaryIO | IO[bytes]) -> bytes | None:
    """The next frame; None at the end of the stream. Raises: ParameterError for one that is too long or cut off."""
    head = source.read(_LENGTH)
    if not head:
        return None
    length = int.from_bytes(head, "little")
    if len(head) < _LENGTH or length > LONGEST:
        raise ParameterError(f"frame: expected at most {LONGEST} bytes, found {length}")
    body = source.read(length)
    if len(body) < length:
        raise ParameterError(f"frame: expected {length} bytes, found {len(body)}")
    return body


def write_frame(target: BinaryIO | IO[bytes], body: bytes) -> None:
    """One frame: its length, then its bytes."""
    target.write(len(body).to_bytes(_LENGTH, "little") + body)
    target.flush()


class SearchProcess:
    """A process of its own for searches: it imports TensorFlow, is sent jobs, and holds nothing else.

    Use it in a ``with`` block; starting takes some seconds. ``cpu_seconds``: of all its searches.

    Raises: RuntimeUnavailable when the process ends before it answers.
    """

    def __enter__(self) -> SearchProcess:
        self.cpu_seconds = 0.0
        self._complaints = tempfile.TemporaryFile()
        command = [sys.executable, "-m", "hefl_core.learning.keras_inversion"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()  # it holds nothing that must be finished
        self._child.communicate()
        self._complaints.close()

    def search(self, job: Job) -> Searched:
        """The answer to one job. Raises: RuntimeUnavailable."""
        if self._child.stdin is None or self._child.stdout is None:
            raise RuntimeUnavailable("search process: expected pipes, found none")
        try:
            write_frame(self._child.stdin, msgspec.msgpack.encode(job))
            answer = read_frame(self._child.stdout)
        except BrokenPipeError:
            answer = None
        if answer is None:
            raise RuntimeUnavailable(f"search process: expected an answer, found its end: {self._last_words()}")
        found = msgspec.msgpack.decode(answer, type=Searched)
        self.cpu_seconds += found.cpu_seconds
        return found

    def _last_words(self) -> str:
        self._child.wait()
        self._complaints.seek(0)
        return self._complaints.read().decode(errors="replace")[-_SHOWN:]

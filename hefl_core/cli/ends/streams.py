"""Standard output and error of a command, in any state and encoding: closed, full, read by nobody, or ASCII only."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

from rich.console import Console

from hefl_core.errors import OutputLost

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDOUT_NUMBER, STDERR_NUMBER = 1, 2
UTF8: Final = "utf-8"


class _Outlet(io.RawIOBase):
    """A descriptor that is written to until it fails once; afterwards everything is dropped.

    ``must``: the first failure is an OutputLost. Without it nothing is said: standard error is where it would be said.
    """

    def __init__(self, descriptor: int, *, must: bool, closed: bool = False) -> None:
        self._descriptor = descriptor
        self._must = must
        self._failure: OSError | None = OSError(errno.EBADF, os.strerror(errno.EBADF)) if closed else None
        self._told = False

    def write(self, data: ReadableBuffer) -> int:
        """Write some of it, as RawIOBase says. Raises: OutputLost, once."""
        if self._failure is None:
            try:
                return os.write(self._descriptor, data)
            except OSError as error:
                self._failure = error
        if self._must and not self._told:
            self._told = True
            raise OutputLost("standard output", self._failure)
        return memoryview(data).nbytes

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether a terminal shows it."""
        return self._failure is None and os.isatty(self._descriptor)


class Screen(Console):
    """rich's console, which takes the stream's own encoding into account: frames become ASCII where it has no others."""

    @property
    def encoding(self) -> str:
        """The encoding of the stream that is written to now."""
        return (getattr(self.file, "encoding", UTF8) or UTF8).lower()


STDERR: Final = Screen(stderr=True)
STDOUT: Final = Screen()


@contextmanager
def taken_over() -> Iterator[None]:
    """Have a process's own stdout and stderr fail by OutputLost or not at all; streams of others are left alone."""
    before = sys.stdout, sys.stderr
    closed = _reserve_descriptors()
    if closed[STDOUT_NUMBER] or _is(sys.stdout, STDOUT_NUMBER):
        sys.stdout = _stream(sys.stdout, STDOUT_NUMBER, must=True, closed=closed[STDOUT_NUMBER])
    if closed[STDERR_NUMBER] or _is(sys.stderr, STDERR_NUMBER):
        sys.stderr = _stream(sys.stderr, STDERR_NUMBER, must=False, closed=closed[STDERR_NUMBER])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _stream(old: TextIO | None, number: int, *, must: bool, closed: bool) -> TextIO:
    outlet = _Outlet(number, must=must, closed=closed)
    lines = outlet.isatty() or not must
    # an encoding without a character writes its number: a run is not lost because of an arrow
    return io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding=getattr(old, "encoding", None) or UTF8,
        errors="backslashreplace",
        line_buffering=lines,
    )


def _is(stream: TextIO | None, number: int) -> bool:
    """Whether the stream writes to this descriptor; a test's capture does not."""
    try:
        return stream is not None and stream.fileno() == number
    except (OSError, ValueError):
        return False


def _reserve_descriptors() -> dict[int, bool]:
    """Which of the standard descriptors were closed. They are opened on nothing: a later file must not take their numbers."""
    closed = {}
    for number in (0, STDOUT_NUMBER, STDERR_NUMBER):
        try:
            os.fstat(number)
            closed[number] = False
        except OSError:
            closed[number] = os.open(os.devnull, os.O_RDWR) == number
    return closed

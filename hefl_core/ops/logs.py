"""Log with one JSON object per line on stderr. It may hold names, kinds, counts, places; never a message's content.

Log records of libraries and uncaught exceptions become such lines too, reduced to their origin: their text could hold
anything.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, TextIO, TypeAlias

Value: TypeAlias = str | int | float | bool
_RANK: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Log:
    """Writes one party's lines of at least ``level``."""

    def __init__(self, party: str, level: str = "info", stream: TextIO | None = None) -> None:
        self._party = party
        self._rank = _RANK[level]
        self._stream = stream
        self._lock = threading.Lock()

    def debug(self, event: str, **fields: Value) -> None:
        """Detail for debugging."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Value) -> None:
        """Normal operation."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Value) -> None:
        """A message was rejected, or a party is missing."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Value) -> None:
        """The service cannot continue."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: Mapping[str, Value]) -> None:
        if _RANK[level] < self._rank:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "level": level, "party": self._party, "event": event, **fields})
        stream = self._stream or sys.stderr
        with self._lock:
            stream.write(line + "\n")
            stream.flush()

    def take_over(self) -> None:
        """Redirect log records and warnings of libraries and uncaught exceptions into this log."""
        logging.getLogger().handlers = [_Handler(self)]
        logging.captureWarnings(True)
        sys.excepthook = self._uncaught
        threading.excepthook = lambda told: self._uncaught(told.exc_type, told.exc_value, told.exc_traceback)

    def _uncaught(self, kind: type[BaseException], error: BaseException | None, _: TracebackType | None) -> None:
        self.error("uncaught", kind=kind.__name__, place=place_of(error))


class _Handler(logging.Handler):
    """Keeps only logger and place of a library's record."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        self._log.warning("library", logger=record.name, place=f"{record.filename}:{record.lineno}")


def place_of(error: BaseException | None) -> str:
    """Function and line in which an exception arose, or '?'."""
    where = error.__traceback__ if error is not None else None
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    if where is None:
        return "?"
    code = where.tb_frame.f_code
    return f"{Path(code.co_filename).name}:{code.co_name}:{where.tb_lineno}"

"""Context of every role's service: its settings, log, metrics and stop signal."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hefl_core.ops.logs import Log
from hefl_core.ops.metrics import Metrics
from hefl_core.ops.settings import Settings

READY: Final = "ready"


@dataclass(frozen=True)
class Service:
    """Context of a running service."""

    settings: Settings
    log: Log
    metrics: Metrics
    stop: threading.Event
    is_ready: threading.Event

    @property
    def home(self) -> Path:
        """The party's own folder."""
        return self.settings.home

    def ready(self, value: bool = True) -> None:
        """Publish whether this service takes part, in all three places: HOME/ready, /ready, the metric."""
        if value == self.is_ready.is_set():
            return
        if value:
            (self.home / READY).touch()
            self.is_ready.set()
        else:
            self.is_ready.clear()
            (self.home / READY).unlink(missing_ok=True)
        self.metrics.ready.set(value)
        self.log.info("ready" if value else "not ready")

"""A party that comes back: when its object is lost or cannot write, it is made again from its store and asked again.

The coordinator answers a repeated question with the same bytes. The KMS does not repeat what it has done: its audit log,
written in the same transaction as the deed, says whether the deed was done.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from hefl_core.errors import RuntimeUnavailable
from hefl_core.federation.coordinator import Coordinator
from hefl_core.federation.experiment import Manifest
from hefl_core.ids import COORDINATOR
from hefl_core.ids import KMS as KMS_NAME
from hefl_core.keys.kms import KMS
from hefl_core.keys.roster import Member
from hefl_core.keys.store import KeyStore
from hefl_core.runtime import stage

MAX_RESTARTS: Final = 3
DEEDS: Final = {
    "enrol": "enrol",
    "revoke": "revoke",
    "open_epoch": "activate",
    "rotate": "activate",
    "register": "activate",
    "destroy": "destroy",
}
"""The KMS's methods that change something, and the entry in its audit log that says it is done."""


class Restartable:
    """Stands for a party with the same methods; behind it one object follows another, over one store."""

    def __init__(self, name: str, open_store: Callable[[], KeyStore], make: Callable[[KeyStore], Any]) -> None:
        self.name = name
        self.restarts = 0
        self._open_store = open_store
        self._make = make
        self._start()

    def _start(self) -> None:
        self._store = self._open_store()
        try:
            self._party = self._make(self._store)
        except BaseException:
            self._store.close()
            raise

    def restart(self) -> None:
        """Drop the object and make it again from its store. Raises: IntegrityError when the store was changed."""
        self._store.close()
        self.restarts += 1
        self._start()

    def release(self) -> None:
        """Close the store."""
        self._store.close()

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        if not callable(getattr(type(self._party), method, None)):
            return getattr(self._party, method)
        return lambda *args: self._ask(method, args)

    def _ask(self, method: str, args: tuple[Any, ...]) -> Any:
        deed = DEEDS.get(method) if self.name == KMS_NAME else None
        before = len(self._party.audit_log) if deed else 0
        left = MAX_RESTARTS
        while True:
            try:
                if left < MAX_RESTARTS and deed and self._did(deed, before):
                    return None
                return getattr(self._party, method)(*args)
            except RuntimeUnavailable:
                if not left:
                    raise
                left -= 1
                self.restart()

    def _did(self, deed: str, before: int) -> bool:
        return any(entry.action == deed for entry in self._party.audit_log.entries[before:])


def durable_local_stage(manifest: Manifest, observer: Member | None) -> stage.Stage:
    """The local stage with a KMS and a coordinator that survive their objects; their stores go when it closes."""
    folder = tempfile.TemporaryDirectory(prefix="hefl-")
    home = Path(folder.name)
    kms = Restartable(KMS_NAME, lambda: stage.open_store(home, KMS_NAME), lambda store: stage.make_kms(manifest, store))
    coordinator = Restartable(
        COORDINATOR,
        lambda: stage.open_store(home, COORDINATOR),
        lambda store: stage.make_coordinator(manifest, kms.member, store),
    )

    def close() -> None:
        kms.release()
        coordinator.release()
        folder.cleanup()

    return stage.local_stage_of(cast(KMS, kms), cast(Coordinator, coordinator), manifest, observer, close=close)

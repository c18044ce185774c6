"""Restart of a lost party: it is restored from its store and the call is retried, also when it could not write.

A party answers a repeated call with the same bytes, and a repeated change changes nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from hefl_core.errors import HeflError, RuntimeUnavailable
from hefl_core.federation.auditor import Auditor
from hefl_core.federation.client import Client
from hefl_core.federation.coordinator import Coordinator
from hefl_core.ids import AUDITOR, COORDINATOR, client_name
from hefl_core.ids import KMS as KMS_NAME
from hefl_core.keys.kms.service import KMS
from hefl_core.keys.roster import Member
from hefl_core.keys.vault.store import KeyStore
from hefl_core.runtime import stage
from hefl_core.runtime.calls import Proxy, answer, role_of
from hefl_core.terms.experiment import Manifest

MAX_RESTARTS: Final = 3


class StandIn(Proxy):
    """Proxy for a party that may be lost. It restarts the party and retries the call."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.restarts = 0

    def call(self, method: str, args: tuple[Any, ...]) -> Any:
        """:func:`calls.answer`, in the party's process. Raises: the party's error; RuntimeUnavailable when it is lost."""
        raise NotImplementedError

    def restart(self) -> None:
        """Restore the party from its store. Raises: the error that prevents it."""
        raise NotImplementedError

    def ask(self, step: str, *arguments: Any) -> Any:
        """Call; when the party is lost, restart it and retry.

        Raises: the party's error; RuntimeUnavailable when it does not come back.
        """
        left = MAX_RESTARTS
        while True:
            try:
                return self.call(step, arguments)
            except RuntimeUnavailable:
                if not left:
                    raise
                left -= 1
                self.come_back()

    def come_back(self) -> None:
        """Restart and count it. Raises: RuntimeUnavailable when it fails."""
        self.restarts += 1
        try:
            self.restart()
        except RuntimeUnavailable:
            raise
        except HeflError as error:
            raise RuntimeUnavailable(f"{self.name}: it cannot come back ({type(error).__name__}: {error})") from error


class Restartable(StandIn):
    """Proxy for a party in this process: a new object over the same store replaces a lost one."""

    def __init__(self, name: str, open_store: Callable[[], KeyStore], make: Callable[[KeyStore], Any]) -> None:
        super().__init__(name)
        self._open_store = open_store
        self._make = make
        self._start()

    def _start(self) -> None:
        self._store = self._open_store()
        try:
            self._party = self._make(self._store)
            self.member: Member = self._party.member
        except BaseException:
            self._store.close()
            raise

    def call(self, method: str, args: tuple[Any, ...]) -> Any:
        """In this process."""
        return answer(self._party, role_of(self.name), method, args, owner=True)

    def restart(self) -> None:
        """Drop the object and restore it. Raises: IntegrityError when the store was tampered with."""
        self._store.close()
        self._start()

    def release(self) -> None:
        """Close the store."""
        self._store.close()


def durable_local_stage(manifest: Manifest, observer: Member | None) -> stage.Stage:
    """The local stage with parties that can be restarted; closing it deletes their stores."""
    folder = tempfile.TemporaryDirectory(prefix="hefl-")
    home = Path(folder.name)
    made: list[Restartable] = []

    def settle(name: str, make: Callable[[KeyStore], Any]) -> Any:
        made.append(Restartable(name, lambda: stage.open_store(home, name), make))
        return made[-1]

    def client(index: int) -> Client:
        def make(store: KeyStore) -> Client:
            return stage.make_client(manifest, root, index, observer, store)

        return cast(Client, settle(client_name(index), make))

    def close() -> None:
        for party in made:
            party.release()
        folder.cleanup()

    kms = cast(KMS, settle(KMS_NAME, lambda store: stage.make_kms(manifest, store)))
    root = kms.member
    coordinator = cast(Coordinator, settle(COORDINATOR, lambda store: stage.make_coordinator(manifest, root, store)))
    auditor = cast(Auditor, settle(AUDITOR, lambda store: stage.make_auditor(manifest, root, store)))
    clients = tuple(client(index) for index in range(1, manifest.experiment.clients + 1))
    return stage.local_stage_of(kms, coordinator, auditor, clients, manifest, close)

"""A client's host receives the run's table: sealed to this process, because Ray's object store is mapped everywhere.

The host keeps it in an encrypted store of its own and puts it on the shelf of its process again after a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hefl_core.errors import DataError
from hefl_core.ids import OBSERVER
from hefl_core.keys.identity import Identity
from hefl_core.keys.roster import Member
from hefl_core.keys.sealing import SealingInfo, open_sealed, seal
from hefl_core.learning import own_sets, shelf
from hefl_core.learning.own_sets import GivenSource
from hefl_core.runtime.stage import open_store
from hefl_core.tables.doors import is_given_name
from hefl_core.tables.hospitals import TABLES, HospitalTables
from hefl_core.tables.source import TABLE, TableSource
from hefl_core.terms.experiment import Manifest

_PURPOSE: Final = "table"
_SENDER: Final = "driver"
_STORE: Final = "table"


def table_of(manifest: Manifest) -> str | None:
    """The name of the users' own data that a run needs (a table, tables, arrays or pictures), or None."""
    name = manifest.experiment.dataset
    return name if name.startswith((TABLE, TABLES)) or is_given_name(name) else None


def seal_tables(manifest: Manifest, reader: Member, clients: Sequence[int]) -> bytes:
    """For one host the run's table, or, where each client has its own, those of the host's ``clients`` only.

    Leaks: its length. Raises: DataError when this process does not have it.
    """
    name = manifest.experiment.dataset
    return seal(_own(name, clients).to_bytes(), reader, _info(manifest))


def _own(name: str, clients: Sequence[int]) -> HospitalTables | TableSource | GivenSource:
    if name.startswith(TABLES):
        return shelf.tables(name).only(clients)
    return own_sets.find(name).source if is_given_name(name) else shelf.find(name).source


class TableBox:
    """A host's box for one table. ``home``: the host's folder."""

    def __init__(self, home: Path, manifest: Manifest) -> None:
        self._home = home
        self._manifest = manifest
        # A client's own sealing keys are made for epochs, at enrolment, later than this.
        self._key = Identity(home.name, OBSERVER)

    @property
    def member(self) -> Member:
        """The key to which the table is sealed; a new one in every process."""
        return self._key.member

    def take(self, sealed: bytes) -> None:
        """Open, keep and put the table. Raises: WireError for another's; DataError for another table than the run's."""
        content = open_sealed(self._key, sealed, _info(self._manifest))
        self._put(content)
        with open_store(self._home, _STORE) as store:
            store.put(_STORE, _STORE, content)

    def recall(self) -> bool:
        """Put the table that an earlier process of this host kept. Returns whether there was one."""
        if not (self._home / f"{_STORE}.db").exists():
            return False
        with open_store(self._home, _STORE) as store:
            content = store.find(_STORE, _STORE)
        if content is not None:
            self._put(content)
        return content is not None

    def _put(self, content: bytes) -> None:
        wanted = self._manifest.experiment.dataset
        if wanted.startswith(TABLES):
            found = shelf.put_tables(HospitalTables.from_bytes(content))
        elif is_given_name(wanted):
            if (found := own_sets.put(GivenSource.from_bytes(content))) != wanted:
                own_sets.forget(found)
        elif (found := shelf.put(TableSource.from_bytes(content))) != wanted:
            shelf.forget(found)
        if found != wanted:
            raise DataError(
                f"table: expected {wanted}, found {found}; the driver reads tables in another way: install one release on all nodes"
            )


def _info(manifest: Manifest) -> SealingInfo:
    return SealingInfo(_PURPOSE, manifest.id, 0, "", 0, _SENDER)

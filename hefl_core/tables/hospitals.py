"""One table for each client: no client's table is anybody else's, and they stay files of different forms until all agree."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from hefl_core.errors import DataError
from hefl_core.tables.decision import refused, shown
from hefl_core.tables.declared import Declared
from hefl_core.tables.doors import CSV_DIR
from hefl_core.tables.reading import MAX_BYTES, content_at
from hefl_core.tables.schema import TableSchema
from hefl_core.tables.source import TableSource

TABLES: Final = "tables:"
"""Prefix of the name of such tables, before the SHA-256 over all of their names."""


@dataclass(frozen=True)
class HospitalTables:
    """The clients' tables in order: all of their names, and the sources of those that this process holds.

    Leaks: a name tells that two files are the same; a process that holds one source has the other clients' names only.
    """

    names: tuple[str, ...]
    sources: tuple[TableSource | None, ...]

    @classmethod
    def of(cls, sources: Sequence[TableSource]) -> HospitalTables:
        """All of these tables, read once for their names. Raises: DataError naming the client whose table cannot be read."""
        names = []
        for at, source in enumerate(sources, start=1):
            try:
                names.append(source.identity(source.read()))
            except DataError as error:
                raise DataError(f"table of client {at}: {error}") from error
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            both = ", ".join(str(at) for at, name in enumerate(names, start=1) if name == twice)
            raise refused(
                "tables", "a table of its own for each client", f"one table at clients {both}", "take one out"
            )
        return cls(tuple(names), tuple(sources))

    @classmethod
    def typed(cls, text: str, *, label: str | None = None, declared: Declared | None = None) -> HospitalTables:
        """The tables of a typed csv-dir:FOLDER, one file for each client in the order of the files' names.

        Raises: DataError for a folder without two files, or a file that cannot be read.
        """
        folder = Path(text.removeprefix(CSV_DIR)).expanduser()
        paths = sorted(
            path
            for path in folder.glob("*")
            if path.suffix.lower() in (".csv", ".tsv") and not path.name.startswith(".")
        )
        if len(paths) < 2:
            remedy = "put one .csv or .tsv of each client there"
            found = f"{len(paths)}" if folder.is_dir() else "no folder"
            raise refused(f"folder {shown(folder.name)}", "two tables or more", found, remedy)
        return cls.of([TableSource(content_at(path, MAX_BYTES), label, declared or Declared()) for path in paths])

    @property
    def name(self) -> str:
        """The name of all of them together: the same files in the same order have the same one, whatever they are called."""
        return TABLES + hashlib.sha256(b"hefl/tables\0" + msgspec.json.encode(self.names)).hexdigest()

    def source(self, client: int) -> TableSource:
        """The table of client ``client`` (from 1). Raises: DataError where this process does not have it."""
        found = self.sources[client - 1] if 1 <= client <= len(self.sources) else None
        if found is None:
            raise refused("dataset", f"the table of client {client}", "none in this process", "give the files again")
        return found

    def only(self, clients: Sequence[int]) -> HospitalTables:
        """The same names with these clients' sources only, for the process in which they live."""
        kept = [source if at in clients else None for at, source in enumerate(self.sources, start=1)]
        return replace(self, sources=tuple(kept))

    def under(self, schema: TableSchema) -> HospitalTables:
        """All tables as read by the agreed schema."""
        whole = [self.source(at) for at in range(1, len(self.sources) + 1)]
        return HospitalTables.of([replace(source, schema=schema) for source in whole])

    def joined(self, other: HospitalTables) -> HospitalTables:
        """These tables and those of ``other``, which has the same names."""
        return replace(self, sources=tuple(a or b for a, b in zip(self.sources, other.sources, strict=True)))

    def to_bytes(self) -> bytes:
        """For another process of this run. Leaks: the tables; it travels sealed."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> HospitalTables:
        """Read :meth:`to_bytes` back. Raises: DataError also for a table that is not the one of its name."""
        try:
            found = msgspec.msgpack.decode(data, type=cls)
        except msgspec.MsgspecError as error:
            raise DataError(
                f"tables: expected tables' sources, found other bytes ({error}); send them again"
            ) from error
        for name, source in zip(found.names, found.sources, strict=True):
            if source is not None and source.identity(source.read()) != name:
                raise refused("tables", "the table of this name", "another", "install one release on all nodes")
        return found

"""A table before it is read: bytes and declarations, never a path. Equal sources give equal numbers everywhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from hefl_core.errors import DataError
from hefl_core.tables.decision import refused, shown
from hefl_core.tables.declared import Declared, DeclaredColumn
from hefl_core.tables.doors import CSV
from hefl_core.tables.reading import MAX_BYTES, content_at, path_and_label
from hefl_core.tables.schema import TableSchema
from hefl_core.tables.table import Table, read_table

TABLE: Final = "table:"
"""Prefix of a table's name, before the SHA-256 that is its identity."""


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table's bytes, and what is declared about them. ``schema``: agreed columns, categories and classes.

    ``mark_missing``: without a schema, a further column for each one with gaps says where they were.

    A client's values stay out of logs: the bytes are not in the repr.
    """

    content: bytes = field(repr=False)
    label: str | None = None
    declared: Declared = field(default_factory=Declared)
    schema: TableSchema | None = None
    mark_missing: bool = False

    @classmethod
    def typed(
        cls,
        text: str,
        *,
        label: str | None = None,
        declared: Declared | None = None,
        schema: TableSchema | None = None,
        mark_missing: bool = False,
    ) -> TableSource:
        """Read the file of a typed PATH or PATH:LABEL now; ``~`` and the working directory are those of this moment.

        The longest prefix that is a file is the path. Raises: DataError for what cannot be read, or two labels.
        """
        path, glued = path_and_label(text.removeprefix(CSV))
        if glued is not None and label is not None and glued != label:
            raise refused("label", "one label", f"{shown(glued)} and {shown(label)}", "name one of them")
        return cls(content_at(Path(path), MAX_BYTES), label or glued, declared or Declared(), schema, mark_missing)

    def read(self) -> Table:
        """Read the table as declared, and as agreed where there is a schema. Raises: DataError."""
        label, declared = self.label, self.declared
        if self.schema is not None:
            if label not in (None, self.schema.label):
                expected = f"the schema's label {shown(self.schema.label)}"
                raise refused("label", expected, shown(label or ""), "leave the label out, or the schema")
            label, declared = self.schema.label, self.schema.declared(declared)
        return read_table(self.content, label=label, declared=declared)

    def reread(self, schema: TableSchema | None) -> Table:
        """Read the table by another schema, or by none. Raises: DataError."""
        return replace(self, schema=schema).read()

    def identity(self, table: Table) -> str:
        """``table:`` and 64 hex digits: content, label, declarations and schema, the same under every path.

        ``table``: as :meth:`read` gave it. A label that was guessed and the same one named are equal.
        Leaks: whoever has the same file can recognise it.
        """
        schema = self.schema.digest if self.schema is not None else ""
        said = (table.digest, table.label.name, _canonical(self.declared), schema, self.mark_missing)
        return TABLE + hashlib.sha256(b"hefl/table-source\0" + msgspec.json.encode(said)).hexdigest()

    def to_bytes(self) -> bytes:
        """For another process of this run. Leaks: the table; it travels sealed."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> TableSource:
        """Read :meth:`to_bytes` back. Raises: DataError."""
        try:
            return msgspec.msgpack.decode(data, type=cls)
        except msgspec.MsgspecError as error:
            raise DataError(f"table: expected a table's source, found other bytes ({error}); send it again") from error


def _canonical(declared: Declared) -> Declared:
    """Equal for declarations that say the same: sorted, without columns about which nothing is declared."""
    columns = {column.name: column for column in reversed(declared.columns)}
    said = tuple(
        replace(column, missing=_sorted(column.missing), present=_sorted(column.present))
        for name, column in sorted(columns.items())
        if column != DeclaredColumn(name)
    )
    return replace(declared, columns=said, missing=_sorted(declared.missing))


def _sorted(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(texts)))

"""Agreement of all clients on their tables: columns, kinds, categories, classes, scaling. Never a row, never a path."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import Final

import msgspec

from hefl_core.tables.cells.booleans import pair_of
from hefl_core.tables.cells.cell import EMPTY, MINUS
from hefl_core.tables.classes import MAX_CLASSES
from hefl_core.tables.column import LeftOut
from hefl_core.tables.columns import MAX_TEXT, MOST_CATEGORIES
from hefl_core.tables.decision import refused, shown, unseen
from hefl_core.tables.declared import Declared, DeclaredColumn, Kind
from hefl_core.tables.rows.grid import MAX_COLUMNS, MAX_NAME
from hefl_core.tables.table import Table

VERSION: Final = 1
MAX_SCHEMA_BYTES: Final = 4 * 2**20
_LARGEST: Final = 1e60
_SHARED: Final = (None, LeftOut.CONSTANT, LeftOut.DUPLICATE)
"""Columns whose categories are proposed: another client may learn from them."""


class ColumnSchema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One agreed column. ``centre`` and ``spread`` scale it: (x - centre) / spread; a missing number is its centre.

    ``words``: what stands for 0 and 1 in the table that proposed it; for numbers 0 and 1, or 1 and 2, if it has no others but
    9 and its like. ``fill``: the category of a missing cell. ``marked``: a further column says where the value was missing.
    ``left_out``: why it is not learnt from; None if it is.
    ``only``: in a proposal, the one cell of a column of yes or no that has only one: another client may have it as a category.
    ``repeats``: in a proposal, the column of which it is a duplicate there; unset elsewhere: agreed schemas keep their bytes.
    ``remainder``: the part of the mean that its centre cannot hold, where the values are far larger than their spread.
    """

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()
    unit: str = ""
    words: tuple[str, str] | None = None
    left_out: LeftOut | None = None
    marked: bool = False
    centre: float = 0.0
    remainder: float = 0.0
    spread: float = 1.0
    fill: str = ""
    only: str = ""
    repeats: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def learnt(self) -> bool:
        """Whether the clients learn from it."""
        return self.left_out is None

    @property
    def standardised(self) -> bool:
        """Whether it is standardised: numbers, and 0 and 1 written as such; a yes or no in words is 0 or 1."""
        return not self.kind.has_categories and (self.kind is not Kind.BOOLEAN or self.words == ("0", "1"))

    @property
    def width(self) -> int:
        """Number of features that it becomes."""
        return (len(self.categories) if self.kind.has_categories else 1) + self.marked


class TableSchema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An agreed table. ``yes_no``: the classes are a no and a yes in whatever language. ``above``: where a measured label is
    cut in two; unset for other labels, so that their schemas keep their bytes.

    ``scaled``: centre, spread and fill of every column are agreed on; before that the schema is a proposal.
    """

    columns: tuple[ColumnSchema, ...]
    label: str
    classes: tuple[str, ...]
    yes_no: bool = False
    scaled: bool = False
    version: int = VERSION
    above: float | msgspec.UnsetType = msgspec.UNSET

    @property
    def learnt(self) -> tuple[ColumnSchema, ...]:
        """The columns that the clients learn from, in the agreed order."""
        return tuple(column for column in self.columns if column.learnt)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each feature, in the order of :func:`hefl_core.tables.encoding.encode`."""
        names = []
        for column in self.learnt:
            ones = (
                [f"{column.name} = {one}" for one in column.categories] if column.kind.has_categories else [column.name]
            )
            names.extend([*ones, f"{column.name} was missing"] if column.marked else ones)
        return tuple(names)

    @property
    def digest(self) -> str:
        """SHA-256 of the schema's canonical JSON, in hexadecimal."""
        return hashlib.sha256(b"hefl/table-schema\0" + msgspec.json.encode(self, order="deterministic")).hexdigest()

    def to_json(self) -> bytes:
        """The schema as a JSON file that other clients can use."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic")) + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> TableSchema:
        """Read a schema file. Raises: DataError for one that is too large, of another version, or inconsistent."""
        if len(data) > MAX_SCHEMA_BYTES:
            raise refused("schema", f"at most {MAX_SCHEMA_BYTES} bytes", f"{len(data)}", "ask for the schema again")
        try:
            schema = msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise refused(
                "schema", "a table schema as JSON", f"{error}", "write one with table check --schema"
            ) from error
        _require_sound(schema)
        return schema

    def declared(self, own: Declared | None = None) -> Declared:
        """Declarations that make a client read its table as agreed, added to those about its own file.

        Raises: DataError where it cuts the label elsewhere.
        """
        own = own or Declared()
        if own.label_above not in (msgspec.UNSET, self.above):
            agreed_at = "no cut" if self.above is msgspec.UNSET else f"{self.above:g}"
            remedy = "leave the cut out, or the schema"
            raise refused(f"label {shown(self.label)}", f"the agreed cut ({agreed_at})", f"{own.label_above:g}", remedy)
        agreed = {column.name: column for column in self.columns}
        label = _with_signs(own.of(self.label), self.classes)
        labels = () if label == DeclaredColumn(self.label) else (label,)
        others = tuple(column for column in own.columns if column.name not in (*agreed, self.label))
        columns = tuple(
            replace(
                _with_signs(own.of(name), column.words or column.categories), kind=column.kind, keep=True, drop=False
            )
            if column.learnt
            else DeclaredColumn(name, drop=True)
            for name, column in agreed.items()
        )
        return replace(own, columns=(*columns, *labels, *others), label_kind="classes", label_above=self.above)


def _with_signs(column: DeclaredColumn, values: tuple[str, ...]) -> DeclaredColumn:
    """Where - or an empty cell is an agreed value, it is no missing cell in any table: alone in a file it could be either."""
    also = (*(MINUS if "-" in values else ()), *((EMPTY,) if EMPTY in values else ()))
    return replace(column, present=(*column.present, *also)) if also else column


def propose(table: Table, *, mark_missing: bool = False) -> TableSchema:
    """A client's proposal from its own table: names, kinds, categories and classes; scaling comes from sums.

    Leaks: to the readers of the proposal, which categories and classes this client has and which columns have gaps; no row,
        no count, no range.
    """
    columns = tuple(
        ColumnSchema(
            column.name,
            column.kind,
            column.categories if column.left_out in _SHARED else (),
            column.unit,
            column.words,
            column.left_out,
            marked=mark_missing and column.left_out is None and bool(column.missing.any()),
            only=column.only,
            repeats=column.repeats or msgspec.UNSET,
        )
        for column in table.columns
    )
    both = pair_of(table.classes) if table.label.yes_no else None  # a client may have none of one class
    label = table.label
    return TableSchema(columns, label.name, both or table.classes, label.yes_no, above=label.above)


def identity(table: Table, schema: TableSchema) -> str:
    """Identity of a table read by a schema: SHA-256 over content and schema, in hexadecimal, the same under every path."""
    return hashlib.sha256(b"hefl/table\0" + bytes.fromhex(table.digest) + bytes.fromhex(schema.digest)).hexdigest()


def _require_sound(schema: TableSchema) -> None:
    if schema.version != VERSION:
        raise refused("schema", f"version {VERSION}", f"{schema.version}", "write the schema with this release")
    if not 1 <= len(schema.columns) < MAX_COLUMNS or not 1 <= len(schema.classes) <= MAX_CLASSES:
        found = f"{len(schema.columns)} and {len(schema.classes)}"
        raise refused("schema", f"1 to {MAX_COLUMNS} columns and 1 to {MAX_CLASSES} classes", found, "choose columns")
    _require_texts("columns", (schema.label, *(column.name for column in schema.columns)), MAX_NAME)
    _require_texts("classes", schema.classes, MAX_TEXT)
    for column in schema.columns:
        _require_column(column)


def _require_column(column: ColumnSchema) -> None:
    _require_texts(f"categories of {column.name!r}", column.categories, MAX_TEXT)
    if len(column.categories) > MOST_CATEGORIES or (column.categories and not column.kind.has_categories):
        found = f"{len(column.categories)} for kind {column.kind.value}"
        raise refused("schema", f"up to {MOST_CATEGORIES} categories, of category columns only", found, "correct it")
    if column.fill and column.fill not in column.categories:
        raise refused("schema", f"a fill among the categories of {column.name!r}", repr(column.fill), "correct it")
    if not (
        abs(column.centre) <= _LARGEST
        and abs(column.remainder) <= _LARGEST
        and 0 < column.spread <= _LARGEST
        and math.isfinite(column.spread)
    ):
        found = f"centre {column.centre}, spread {column.spread}"
        raise refused("schema", f"a finite centre and a positive spread of {column.name!r}", found, "correct it")


def _require_texts(what: str, texts: tuple[str, ...], most: int) -> None:
    bad = next((text for text in texts if not text or len(text) > most or unseen(text)), None)
    if bad is not None:
        raise refused("schema", f"{what} of 1 to {most} characters that can be seen", repr(bad[:40]), "correct it")
    if len(set(texts)) < len(texts):
        raise refused("schema", f"different {what}", "one twice", "correct it")

"""A proposal as texts that many clients share, and the schema that all clients' texts give."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from hefl_core.tables.agreement import agree
from hefl_core.tables.column import LeftOut
from hefl_core.tables.decision import listed, refused, shown
from hefl_core.tables.declared import Kind
from hefl_core.tables.schema import ColumnSchema, TableSchema


class _Label(msgspec.Struct, frozen=True, tag="label", forbid_unknown_fields=True):
    name: str
    yes_no: bool
    above: float | msgspec.UnsetType = msgspec.UNSET


class _Form(msgspec.Struct, frozen=True, tag="column", forbid_unknown_fields=True, omit_defaults=True):
    """A column as one client reads it, at its place, without categories and scaling. Defaults are left out: texts are short."""

    place: int
    name: str
    kind: Kind
    unit: str = ""
    words: tuple[str, str] | None = None
    left_out: LeftOut | None = None
    marked: bool = False
    only: str = ""
    repeats: str | msgspec.UnsetType = msgspec.UNSET

    def column(self, categories: tuple[str, ...]) -> ColumnSchema:
        """The column with all clients' categories."""
        own = categories if self.kind.has_categories else ()
        return ColumnSchema(
            self.name,
            self.kind,
            own,
            self.unit,
            self.words,
            self.left_out,
            self.marked,
            only=self.only,
            repeats=self.repeats,
        )


class _Category(msgspec.Struct, frozen=True, tag="category", forbid_unknown_fields=True):
    column: str
    name: str


class _Class(msgspec.Struct, frozen=True, tag="class", forbid_unknown_fields=True):
    name: str


_Part: TypeAlias = _Label | _Form | _Category | _Class


def texts(proposal: TableSchema) -> Iterator[bytes]:
    """The proposal in pieces: label, each column without its categories, each category, each class."""
    return (msgspec.json.encode(part, order="deterministic") for part in _parts(proposal))


def _parts(proposal: TableSchema) -> Iterator[_Part]:
    yield _Label(proposal.label, proposal.yes_no, proposal.above)
    for at, column in enumerate(proposal.columns):
        form = _Form(
            at,
            column.name,
            column.kind,
            column.unit,
            column.words,
            column.left_out,
            column.marked,
            column.only,
            column.repeats,
        )
        yield form
        yield from (_Category(column.name, category) for category in column.categories)
    yield from (_Class(name) for name in proposal.classes)


def united(counted: Iterable[tuple[bytes, int]], clients: int) -> TableSchema:
    """The schema that all proposals fit, from their texts and how many of ``clients`` have each.

    Raises: DataError for texts of something else, for a column that not every client has, and as
        :func:`hefl_core.tables.agreement.agree`.
    """
    parts = [(_read(text), times) for text, times in counted]
    labels = [part for part, _ in parts if isinstance(part, _Label)]
    classes = tuple(sorted(part.name for part, _ in parts if isinstance(part, _Class)))
    _require_one_label(labels)
    forms, categories = _forms(parts, clients)
    # agree() asks which forms there are, not who has them: each form stands in at least one proposal made up here.
    most = max(len(labels), min(clients, 2), *(len(some) for some in forms))
    made = []
    for which in range(most):
        label = labels[which % len(labels)]
        chosen = sorted((some[which % len(some)] for some in forms), key=lambda form: (form.place, form.name))
        columns = tuple(form.column(tuple(sorted(categories[form.name]))) for form in chosen)
        made.append(TableSchema(columns, label.name, classes, label.yes_no, above=label.above))
    return agree(made)


def having(counted: Iterable[tuple[bytes, int]]) -> dict[str, int]:
    """Number of clients that propose each class. A lone no or 1 proposes its other half as well."""
    return {part.name: times for text, times in counted if isinstance(part := _read(text), _Class)}


def _read(text: bytes) -> _Part:
    try:
        part: _Part = msgspec.json.decode(text, type=_Part)
        return part
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise refused("round zero", "a proposal's texts", f"{error}", "run the agreement again") from error


def _forms(parts: list[tuple[_Part, int]], clients: int) -> tuple[list[list[_Form]], dict[str, list[str]]]:
    """The forms of each column, and all clients' categories of each."""
    categories, forms, having = defaultdict[str, list[str]](list), defaultdict[str, list[_Form]](list), Counter[str]()
    for part, times in parts:
        if isinstance(part, _Category):
            categories[part.column].append(part.name)
        elif isinstance(part, _Form):
            forms[part.name].append(part)
            having[part.name] += times
    odd = [f"{shown(name)} at {count}" for name, count in sorted(having.items()) if count != clients]
    if odd or not forms:
        remedy = "name columns alike in all tables, or take them out of the files"
        raise refused("columns", f"each at all {clients} clients", listed(odd) or "none", remedy)
    return list(forms.values()), categories


def _require_one_label(labels: list[_Label]) -> None:
    """Nobody knows which client has which: no number of a client can be named."""
    names = sorted({label.name for label in labels})
    if len(names) > 1:
        found = listed(map(shown, names))
        raise refused("label", "one label at all clients", found, "name the label, and the column alike in all tables")
    if not names:
        raise refused("label", "one label at all clients", "none", "run the agreement again")

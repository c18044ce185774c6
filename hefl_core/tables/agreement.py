"""One schema from the proposals of several clients: kinds reconciled, categories and classes united."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hefl_core.tables.cells.booleans import pair_of
from hefl_core.tables.classes import MAX_CLASSES, refuse_spellings, sorted_classes
from hefl_core.tables.column import LeftOut
from hefl_core.tables.columns import MOST_CATEGORIES
from hefl_core.tables.decision import listed, refused, shown
from hefl_core.tables.declared import Kind
from hefl_core.tables.schema import ColumnSchema, TableSchema

_YES_NO = ("no", "yes")


def agree(proposals: Sequence[TableSchema]) -> TableSchema:
    """The schema that every proposal fits, the same for every order of the proposals.

    Columns stand in the clients' common order, else by name. Clients that differ in languages of yes and no agree on
    no and yes. A column is left out where all clients leave it out for the same reason, or one dropped it; what is
    constant at one client, or a number that repeats at another, is learnt.

    Leaks: to the party that computes it, each client's proposal; see :func:`hefl_core.tables.schema.propose`.
    Raises: DataError naming client and column for columns, labels, kinds or units that differ.
    """
    first = proposals[0]
    for at, other in enumerate(proposals[1:], start=2):
        _require_same_columns(first, other, at)
    names = [column.name for column in first.columns]
    if any([column.name for column in other.columns] != names for other in proposals):
        names = sorted(names)
    by_name = [{column.name: column for column in proposal.columns} for proposal in proposals]
    columns = tuple(_agreed([columns[name] for columns in by_name]) for name in names)
    classes, yes_no = _classes(proposals)
    return TableSchema(columns, first.label, classes, yes_no)


def _require_same_columns(first: TableSchema, other: TableSchema, at: int) -> None:
    ours, theirs = ({column.name for column in schema.columns} for schema in (first, other))
    if ours != theirs:
        lacks, more = (listed(map(shown, sorted(names))) or "none" for names in (ours - theirs, theirs - ours))
        found = f"without {lacks}; with {more}"
        raise refused(
            f"client {at}", "the columns of client 1", found, "name columns alike, or take them out of the files"
        )
    if other.label != first.label:
        found = f"{shown(other.label)} beside {shown(first.label)}"
        raise refused(f"client {at}", "one label at all clients", found, "name the label, and the column alike")
    if bool(other.classes) != bool(first.classes):
        raise refused(
            f"client {at}", "classes at all clients, or values", "one of each", "declare the label's kind alike"
        )


def _agreed(columns: list[ColumnSchema]) -> ColumnSchema:
    left_out = _left_out(columns)
    if left_out:
        return ColumnSchema(columns[0].name, columns[0].kind, left_out=left_out)
    told = [column for column in columns if column.left_out != LeftOut.EMPTY]
    kind = _kind(told)
    units = {column.unit for column in told}
    if len(units) > 1:
        found = listed(shown(unit) if unit else "none" for unit in sorted(units))
        raise refused(
            f"column {shown(told[0].name)}", "one unit at all clients", found, "convert the column at some clients"
        )
    categories = tuple(sorted({one for column in told for one in column.categories}))
    if len(categories) > MOST_CATEGORIES:
        found = f"{len(categories)} together"
        raise refused(f"column {shown(told[0].name)}", f"up to {MOST_CATEGORIES} categories", found, "drop the column")
    words = {column.words for column in told}
    return msgspec.structs.replace(
        told[0],
        kind=kind,
        categories=categories,
        words=(next(iter(words)) if len(words) == 1 else _YES_NO) if kind is Kind.BOOLEAN else None,
        left_out=None,
        marked=any(column.marked for column in columns),
    )


def _left_out(columns: list[ColumnSchema]) -> LeftOut | None:
    """Why it is not learnt from. With several clients a constant stays: it may be another constant elsewhere."""
    reasons = {column.left_out for column in columns}
    for always in (LeftOut.DROPPED, LeftOut.TEXT):
        if always in reasons:
            return always
    if any(column.left_out == LeftOut.IDENTIFIER and column.kind.has_categories for column in columns):
        return LeftOut.IDENTIFIER  # one client's texts name its rows and must not reach the others
    reasons.discard(LeftOut.EMPTY)
    if not reasons:
        return LeftOut.EMPTY
    only = next(iter(reasons)) if len(reasons) == 1 else None
    return None if only is LeftOut.CONSTANT and len(columns) > 1 else only


def _kind(columns: list[ColumnSchema]) -> Kind:
    """One kind for all; 0 and 1 are numbers beside other numbers, and no and yes beside words."""
    kinds = {column.kind for column in columns}
    digits = all(column.words == ("0", "1") for column in columns if column.kind is Kind.BOOLEAN)
    if kinds == {Kind.BOOLEAN, Kind.NUMBER} and digits:
        return Kind.NUMBER
    if len(kinds) > 1:
        found = listed(sorted(kind.value for kind in kinds))
        remedy = "declare the column's kind alike, or drop it at one client"
        raise refused(f"column {shown(columns[0].name)}", "one kind at all clients", found, remedy)
    return next(iter(kinds))


def _classes(proposals: Sequence[TableSchema]) -> tuple[tuple[str, ...], bool]:
    united = {one for proposal in proposals for one in proposal.classes}
    classes = sorted_classes(united)
    if all(proposal.yes_no for proposal in proposals):
        return pair_of(classes) or _YES_NO, True
    refuse_spellings(proposals[0].label, classes)
    if len(classes) > MAX_CLASSES:
        raise refused(
            "label", f"up to {MAX_CLASSES} classes", f"{len(classes)} together", "group them alike at all clients"
        )
    return classes, False

"""One schema from the proposals of several clients: kinds reconciled, categories and classes united."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from hefl_core.tables.cells.booleans import DIGITS, ONE_TWO, PAIRS, YES_NO, pair_of
from hefl_core.tables.cells.codes import without_unknown
from hefl_core.tables.classes import MAX_CLASSES, plain, refuse_spellings, sorted_classes
from hefl_core.tables.column import LeftOut
from hefl_core.tables.columns import MOST_CATEGORIES, is_id
from hefl_core.tables.decision import listed, refused, shown
from hefl_core.tables.declared import Kind
from hefl_core.tables.schema import ColumnSchema, TableSchema

_DECLARE_BOOLEAN = "write it alike in all tables, or declare its kind boolean: 0 is no and 1 is yes"


def agree(proposals: Sequence[TableSchema]) -> TableSchema:
    """The schema that every proposal fits, the same for every order of the proposals.

    Columns stand in the clients' common order, else by name. Clients that differ in languages of yes and no agree on
    no and yes. A column is left out where all clients leave it out for the same reason, or one dropped it; what is
    constant at one client, a number that repeats at another, or a duplicate of different columns, is learnt.

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
    return TableSchema(columns, first.label, classes, yes_no, above=first.above)


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


def _agreed(columns: list[ColumnSchema]) -> ColumnSchema:
    left_out = _left_out(columns)
    if left_out:
        return ColumnSchema(columns[0].name, columns[0].kind, left_out=left_out)
    told = [column for column in columns if column.left_out != LeftOut.EMPTY]
    kind = _kind(told)
    _refuse_counted_otherwise(told)
    units = {column.unit for column in told}
    if len(units) > 1:
        found = listed(shown(unit) if unit else "none" for unit in sorted(units))
        raise refused(
            f"column {shown(told[0].name)}", "one unit at all clients", found, "convert the column at some clients"
        )
    categories = _categories(told) if kind.has_categories else ()
    if len(categories) > MOST_CATEGORIES:
        found = f"{len(categories)} together"
        raise refused(f"column {shown(told[0].name)}", f"up to {MOST_CATEGORIES} categories", found, "drop the column")
    words = {column.words for column in told if column.words is not None}
    if kind is Kind.BOOLEAN and DIGITS in words and len(words) > 1:
        others = listed(" or ".join(pair) for pair in sorted(words))
        raise refused(f"column {shown(told[0].name)}", "one way to write yes and no", others, _DECLARE_BOOLEAN)
    return msgspec.structs.replace(
        told[0],
        kind=kind,
        categories=categories,
        words=(next(iter(words)) if len(words) == 1 else YES_NO) if kind is Kind.BOOLEAN else None,
        left_out=None,
        only="",
        repeats=msgspec.UNSET,
        marked=any(column.marked for column in columns),
    )


def _left_out(columns: list[ColumnSchema]) -> LeftOut | None:
    """Why it is not learnt from. With several clients a constant stays: it may be another constant elsewhere."""
    reasons = {column.left_out for column in columns}
    for always in (LeftOut.DROPPED, LeftOut.TEXT):
        if always in reasons:
            return always
    named = [column for column in columns if column.left_out == LeftOut.IDENTIFIER]
    if any(column.kind.has_categories or is_id(column.name) for column in named):
        return LeftOut.IDENTIFIER  # one client's texts name its rows and must not reach the others
    reasons.discard(LeftOut.EMPTY)
    if not reasons:
        return LeftOut.EMPTY
    if len({column.repeats for column in columns if column.left_out == LeftOut.DUPLICATE}) > 1:
        return None  # it is no one column's duplicate at all clients
    only = next(iter(reasons)) if len(reasons) == 1 else None
    return None if only is LeftOut.CONSTANT and len(columns) > 1 else only


def _kind(columns: list[ColumnSchema]) -> Kind:
    """One kind for all; 0 and 1 are numbers beside other numbers, and the one yes or no of a client is a category beside others."""
    kinds = {column.kind for column in columns if not column.only} or {column.kind for column in columns}
    if any(column.only for column in columns) and not kinds <= {Kind.BOOLEAN, Kind.CATEGORY}:
        kinds.add(Kind.BOOLEAN)
    digits = all(column.words == ("0", "1") for column in columns if column.kind is Kind.BOOLEAN)
    if kinds == {Kind.BOOLEAN, Kind.NUMBER} and digits:
        return Kind.NUMBER
    if len(kinds) > 1:
        found = listed(sorted(kind.value for kind in kinds))
        remedy = "declare the column's kind alike, or drop it at one client"
        raise refused(f"column {shown(columns[0].name)}", "one kind at all clients", found, remedy)
    return next(iter(kinds))


def _refuse_counted_otherwise(columns: list[ColumnSchema]) -> None:
    """Reject 0 and 1 at some clients beside 1 and 2 at the others, and no third form: one pair counted from two numbers."""
    if {column.words for column in columns if column.left_out is None} == {DIGITS, ONE_TWO}:
        found, remedy = "0 and 1, 1 and 2", "write it alike in all tables, or declare its kind number if it is a count"
        raise refused(f"column {shown(columns[0].name)}", "the same two numbers at all clients", found, remedy)


def _categories(columns: list[ColumnSchema]) -> tuple[str, ...]:
    lone = {column.only for column in columns if column.only}
    return tuple(sorted(lone | {one for column in columns for one in column.categories}))


def _classes(proposals: Sequence[TableSchema]) -> tuple[tuple[str, ...], bool]:
    united = {one for proposal in proposals for one in proposal.classes}
    classes = sorted_classes(united)
    if len({proposal.above for proposal in proposals}) > 1 or (
        proposals[0].above is not msgspec.UNSET and len(united) > 2
    ):
        found, remedy = listed(map(shown, classes)), "cut it at one number, in one unit, in all tables"
        raise refused(f"label {shown(proposals[0].label)}", "one cut of the label at all clients", found, remedy)
    _refuse_two_ways(proposals[0].label, united)
    if all(proposal.yes_no for proposal in proposals):
        return pair_of(classes) or YES_NO, True
    refuse_spellings(proposals[0].label, classes)
    if len(classes) > MAX_CLASSES:
        raise refused(
            "label", f"up to {MAX_CLASSES} classes", f"{len(classes)} together", "group them alike at all clients"
        )
    return classes, False


def refuse_shifted(label: str, having: Mapping[str, int], clients: int) -> None:
    """Reject 0 and 1 at some clients beside 1 and 2 at the others: two classes that were counted from another number.

    ``having``: number of clients with each class, of those that somebody has a row of; 9 and its like may be an unknown.
    Raises: DataError. Three classes of which each client lacks the first or the last look the same, so they must be words.
    """
    if not all(name.removeprefix("-").isdecimal() for name in having):
        return
    every = frozenset(map(float, having))
    for numbers in (every, without_unknown(every)):
        if len(numbers) != 3:
            continue
        low, middle, high = (plain(number) for number in sorted(numbers))
        if int(high) - int(low) == 2 and having[low] + having[high] <= clients and having[middle] > 0:
            found = f"{low} at {having[low]}, {high} at {having[high]}, and {middle} at both kinds"
            remedy = "write two classes alike in all tables; if there are three, write them as words"
            raise refused(f"label {shown(label)}", "the same two numbers at all clients", found, remedy)


def _refuse_two_ways(label: str, classes: set[str]) -> None:
    """Reject classes in which one client's yes and no would stand beside another's as classes of their own, or be guessed.

    Two languages of yes and no agree; numbers beside words say nothing of which is which.
    """
    lowered = {name.lower() for name in classes}
    known = {word for pair in PAIRS if pair != DIGITS for word in pair}
    words = [pair for pair in PAIRS if pair != DIGITS and set(pair) <= lowered]
    others = lowered - {word for pair in words for word in pair}
    numbers = {name for name in others if name.replace(".", "", 1).isdecimal()}
    if words and (numbers or others & known or (len(words) > 1 and others)):
        found = listed(map(shown, sorted_classes(classes)))
        raise refused(f"label {shown(label)}", "one way to write yes and no at all clients", found, _DECLARE_BOOLEAN)

"""The label: its column, always reported, and its classes; a missing outcome is never a class."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from hefl_core.tables.cells.booleans import YES_NO, pair_of
from hefl_core.tables.cells.cell import NO_OUTCOME, Cells, plain_sign
from hefl_core.tables.cells.codes import far_codes, stands_out
from hefl_core.tables.cells.numbers import INFINITE, read_numbers
from hefl_core.tables.classes import (
    MAX_CLASSES,
    class_numbers,
    class_texts,
    class_warnings,
    cut_classes,
    plain,
    sorted_classes,
)
from hefl_core.tables.decision import Decision, decided, listed, refused, shown
from hefl_core.tables.declared import Declared, Kind

LABEL_NAMES: Final = (
    "label",
    "target",
    "class",
    "outcome",
    "diagnosis",
    "y",
    "labels",
    "klasse",
    "ziel",
    "diagnose",
    "ergebnis",
    "classe",
)


_CUT: Final = "cut it in two (--label-above X; Cut above on the page; label_above in a service's declared.json)"


@dataclass(frozen=True, eq=False)
class Label:
    """The outcome to learn. Shapes: codes int64 (n,) into ``classes``.

    ``yes_no``: the two classes are a no and a yes, in some language, so that tables in two languages can agree. ``above``:
    where a measured label was cut in two; unset for classes of the table's own.
    """

    name: str
    classes: tuple[str, ...]
    codes: npt.NDArray[np.int64] = field(repr=False)
    yes_no: bool
    decision: Decision
    warnings: tuple[Decision, ...] = ()
    above: float | msgspec.UnsetType = msgspec.UNSET

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Rows of each class. Shapes: (classes,)."""
        return np.bincount(self.codes, minlength=len(self.classes)).astype(np.int64)


def choose_label(names: tuple[str, ...], wanted: str | None) -> tuple[int, str]:
    """The label's place among the columns, and how it was found: as named, by its name, or as the last column.

    Raises: DataError for a name that the table lacks.
    """
    if wanted is not None:
        if wanted in names:
            return names.index(wanted), "as named"
        close = next((name for name in names if name.lower() == wanted.strip().lower()), None)
        remedy = f"write {shown(close)}" if close else "name one of these"
        raise refused("label", f"a column {shown(wanted)}", listed(map(shown, names)), remedy)
    lowered = [name.lower() for name in names]
    guessed = next((lowered.index(name) for name in LABEL_NAMES if name in lowered), None)
    return (guessed, "by its name") if guessed is not None else (len(names) - 1, "last column")


def labelled(cells: Cells, declared: Declared) -> npt.NDArray[np.bool_]:
    """Which rows have an outcome. Shapes: bool (n,).

    Raises: DataError naming the lines without one, unless they may be left out; and when no row has one.
    """
    about = declared.of(cells.name)
    _, mask, written = cells.without_missing((*declared.missing, *about.missing, *NO_OUTCOME), about.present)
    if mask.all():
        raise refused(f"label {shown(cells.name)}", "outcomes", f"none ({written})", "name another label column")
    if mask.any() and not declared.drop_unlabelled:
        where = listed(map(str, cells.lines[mask]))
        raise refused(
            f"label {shown(cells.name)}",
            "an outcome in every row",
            f"{int(mask.sum())} missing ({written}) in line {where}",
            "fill them in, ask to leave such rows out (drop unlabelled), or declare that these cells are present",
        )
    return ~mask


def read_label(cells: Cells, how: str, declared: Declared) -> Label:
    """The classes of a column that has an outcome in every row.

    Raises: DataError for measured values that are not cut, too many classes, a code for a missing value, a last line of
        totals, or an invisible class.
    """
    if declared.label_above is not msgspec.UNSET:
        return _cut(cells, how, declared, declared.label_above)
    kind = declared.of(cells.name).kind
    named = kind in (Kind.CATEGORY, Kind.CODE)
    if kind is Kind.BOOLEAN:
        cells = _as_words(cells)
    values = None if named else class_numbers(cells)
    _refuse_infinity(cells)
    if declared.label_kind == "auto":
        _refuse_measured(cells, values)
    if not named and values is not None:
        _refuse_missing_code(cells, values, declared)
        _refuse_total(cells, values, declared)
    texts = class_texts(cells, values)
    classes = sorted_classes(set(texts))
    if len(classes) > MAX_CLASSES:
        found = f"{len(classes)} ({listed(map(shown, classes), 4)})"
        raise refused(
            f"label {shown(cells.name)}", f"1 to {MAX_CLASSES} classes", found, f"name another label, or {_CUT}"
        )
    place = {name: at for at, name in enumerate(classes)}
    codes = np.array([place[text] for text in texts], np.int64)[cells.codes]
    said = "label: {label} ({how}), classes {classes}; to change this, name another column as the label"
    decision = decided(said, label=cells.name, how=how, classes=listed(classes, MAX_CLASSES))
    yes_no = pair_of(classes) is not None
    return Label(cells.name, classes, codes, yes_no, decision, class_warnings(cells.name, classes, codes))


def _as_words(cells: Cells) -> Cells:
    """A label declared boolean, written as no and yes, whatever its language or digits. Raises: DataError for other cells."""
    pair = pair_of(cells.texts)
    if pair is None:
        found = listed(map(shown, cells.texts))
        raise refused(f"label {shown(cells.name)}", "a yes and a no, as declared", found, "declare another kind")
    words = tuple(YES_NO[pair.index(plain_sign(text.lower()))] for text in cells.texts)
    return replace(cells, texts=words)


def _cut(cells: Cells, how: str, declared: Declared, above: float) -> Label:
    """A measured label in two classes: up to ``above``, and above it. Both are classes, also where one has no row here."""
    found = read_numbers(cells, required=True)
    if found is None:
        expected, remedy = f"numbers, to be cut at {plain(above)}", "name another label column, or do not cut it"
        raise refused(f"label {shown(cells.name)}", expected, shown(cells.texts[0]), remedy)
    values = found.values(found.mark(declared.of(cells.name).decimal or declared.decimal, lambda: None))
    _refuse_missing_code(cells, values, declared)
    _refuse_total(cells, values, declared, measured=True)
    classes = cut_classes(above, found.unit)
    codes = (values > above).astype(np.int64)[cells.codes]
    said = (
        "label: {label} ({how}), measured, {low} to {high}, cut at {above}: classes {classes}; "
        "to change this, cut it elsewhere"
    )
    decision = decided(
        said,
        label=cells.name,
        how=how,
        low=plain(values.min()),
        high=plain(values.max()),
        above=plain(above),
        classes=listed(classes),
    )
    return Label(cells.name, classes, codes, False, decision, class_warnings(cells.name, classes, codes), above)


def _refuse_measured(cells: Cells, values: npt.NDArray[np.float64] | None) -> None:
    if values is None:
        return
    different, rows = len(set(values.tolist())), len(cells.codes)
    if different > MAX_CLASSES or (different > 10 and different * 2 > rows):
        raise refused(
            f"label {shown(cells.name)}",
            f"classes (up to {MAX_CLASSES}; nothing here trains a regression)",
            f"{different} different numbers in {rows} rows",
            f"name another label column, or {_CUT}",
        )


def _refuse_total(cells: Cells, values: npt.NDArray[np.float64], declared: Declared, *, measured: bool = False) -> None:
    """Reject a last line whose outcome stands there alone, as a part among whole numbers or far from all. A mean is no class.

    Measured outcomes stand alone in other lines too.
    """
    last = int(cells.codes[-1])
    rest, others = np.delete(values, last), np.delete(cells.counts, last)
    if declared.summary == "data" or cells.counts[last] > 1 or len(rest) < 2 or (not measured and (others < 2).any()):
        return
    a_part = values[last] % 1 != 0 and not (rest % 1).any()
    if a_part or stands_out(float(values[last]), rest.min(), rest.max()):
        raise refused(
            f"line {cells.first_line(last)}, label {shown(cells.name)}",
            "an outcome as in the lines above",
            f"{shown(cells.texts[last])} in the last line alone, like a line of totals or means",
            "delete the line, or declare the last line data (summary data)",
        )


def _refuse_infinity(cells: Cells) -> None:
    for at, text in enumerate(cells.texts):
        if text.lower() in INFINITE:
            place = f"line {cells.first_line(at)}, label {shown(cells.name)}"
            remedy = "give the outcome, or declare the cell missing and leave such rows out (drop unlabelled)"
            raise refused(place, "an outcome", f"an infinity ({shown(text)})", remedy)


def _refuse_missing_code(cells: Cells, values: npt.NDArray[np.float64], declared: Declared) -> None:
    different = np.unique(values)
    for code in different[list(far_codes(different))]:
        at = int(np.flatnonzero(values == code)[0])
        text = cells.texts[at]
        if text not in declared.of(cells.name).present:
            raise refused(
                f"line {cells.first_line(at)}, label {shown(cells.name)}",
                "an outcome",
                f"{text}, a usual code for a missing one",
                f"declare {text} missing and leave these rows out (drop unlabelled), or declare it present",
            )

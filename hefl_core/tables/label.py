"""The label: its column, always reported, and its classes or values; a missing outcome is never a class."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.tables.cells.booleans import YES_NO, pair_of
from hefl_core.tables.cells.cell import Cells, is_code, plain_sign
from hefl_core.tables.cells.kinds import stands_out
from hefl_core.tables.cells.numbers import INFINITE, read_numbers
from hefl_core.tables.classes import MAX_CLASSES, class_numbers, class_texts, class_warnings, sorted_classes
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


@dataclass(frozen=True, eq=False)
class Label:
    """The outcome to learn. Shapes: codes int64 (n,) into ``classes``; for regression values float64 (n,) and no classes.

    ``yes_no``: the two classes are a no and a yes, in some language, so that tables in two languages can agree.
    """

    name: str
    classes: tuple[str, ...]
    codes: npt.NDArray[np.int64] = field(repr=False)
    values: npt.NDArray[np.float64] = field(repr=False)
    yes_no: bool
    decision: Decision
    warnings: tuple[Decision, ...] = ()

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
    _, mask, written = cells.without_missing((*declared.missing, *about.missing), about.present)
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
    """The classes or values of a column that has an outcome in every row.

    Raises: DataError for regression values, too many classes, a code for a missing value, or an invisible class.
    """
    if declared.label_kind == "regression":
        return _regression(cells, how, declared)
    kind = declared.of(cells.name).kind
    named = kind in (Kind.CATEGORY, Kind.CODE)
    if kind is Kind.BOOLEAN:
        cells = _as_words(cells)
    values = None if named else class_numbers(cells)
    _refuse_infinity(cells)
    if declared.label_kind == "auto":
        _refuse_regression(cells, values)
    if not named:
        _refuse_missing_code(cells, values)
    texts = class_texts(cells, values)
    classes = sorted_classes(set(texts))
    if len(classes) > MAX_CLASSES:
        found = f"{len(classes)} ({listed(map(shown, classes), 4)})"
        raise refused(
            f"label {shown(cells.name)}", f"1 to {MAX_CLASSES} classes", found, "name another label, or group them"
        )
    place = {name: at for at, name in enumerate(classes)}
    codes = np.array([place[text] for text in texts], np.int64)[cells.codes]
    said = "label: {label} ({how}), classes {classes}; to change this, name another column as the label"
    decision = decided(said, label=cells.name, how=how, classes=listed(classes, MAX_CLASSES))
    yes_no = pair_of(classes) is not None
    return Label(cells.name, classes, codes, np.zeros(0), yes_no, decision, class_warnings(cells.name, classes, codes))


def _as_words(cells: Cells) -> Cells:
    """A label declared boolean, written as no and yes, whatever its language or digits. Raises: DataError for other cells."""
    pair = pair_of(cells.texts)
    if pair is None:
        found = listed(map(shown, cells.texts))
        raise refused(f"label {shown(cells.name)}", "a yes and a no, as declared", found, "declare another kind")
    words = tuple(YES_NO[pair.index(plain_sign(text.lower()))] for text in cells.texts)
    return replace(cells, texts=words)


def _regression(cells: Cells, how: str, declared: Declared) -> Label:
    found = read_numbers(cells, required=True)
    if found is None:
        raise refused(
            f"label {shown(cells.name)}", "numbers, for regression", shown(cells.texts[0]), "name another label column"
        )
    mark = found.mark(declared.of(cells.name).decimal or declared.decimal, lambda: None)
    values = found.values(mark)[cells.codes]
    decision = decided("label: {label} ({how}), values for regression, as asked", label=cells.name, how=how)
    return Label(cells.name, (), np.zeros(len(values), np.int64), values, False, decision)


def _refuse_regression(cells: Cells, values: npt.NDArray[np.float64] | None) -> None:
    if values is None:
        return
    different, rows = len(set(values.tolist())), len(cells.codes)
    if different > MAX_CLASSES or (different > 10 and different * 2 > rows):
        raise refused(
            f"label {shown(cells.name)}",
            f"classes (up to {MAX_CLASSES})",
            f"{different} different numbers in {rows} rows",
            "name another label column, group the values into classes, or ask for regression",
        )


def _refuse_infinity(cells: Cells) -> None:
    for at, text in enumerate(cells.texts):
        if text.lower() in INFINITE:
            place = f"line {cells.first_line(at)}, label {shown(cells.name)}"
            remedy = "give the outcome, or declare the cell missing and leave such rows out (drop unlabelled)"
            raise refused(place, "an outcome", f"an infinity ({shown(text)})", remedy)


def _refuse_missing_code(cells: Cells, values: npt.NDArray[np.float64] | None) -> None:
    if values is None:
        return
    for at, text in enumerate(cells.texts):
        rest = np.delete(values, at)
        if is_code(text) and stands_out(float(values[at]), rest.min(initial=np.inf), rest.max(initial=-np.inf)):
            raise refused(
                f"line {cells.first_line(at)}, label {shown(cells.name)}",
                "an outcome",
                f"{text}, a usual code for a missing one",
                f"declare {text} missing and leave these rows out (drop unlabelled), or declare the label a category",
            )

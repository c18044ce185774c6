"""The label: which column it is, said always, and the classes or values in it; a missing outcome is never a class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.errors import DataError
from hefl_core.tables.booleans import pair_of
from hefl_core.tables.cells import CODES, Cells, plain_sign
from hefl_core.tables.columns import MAX_TEXT
from hefl_core.tables.decision import Decision, decided, listed, refused, shown, unseen
from hefl_core.tables.declared import Declared, Kind
from hefl_core.tables.kinds import stands_out
from hefl_core.tables.numbers import read_numbers

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
MAX_CLASSES: Final = 50


@dataclass(frozen=True, eq=False)
class Label:
    """What is learnt. Shapes: codes int64 (n,) into ``classes``; for regression values float64 (n,) and no classes.

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
        """How many rows have each class. Shapes: (classes,)."""
        return np.bincount(self.codes, minlength=len(self.classes)).astype(np.int64)


def choose_label(names: tuple[str, ...], wanted: str | None) -> tuple[int, str]:
    """The label's place among the columns, and how it was found: as named, by its name, or as the last column.

    Raises: DataError for a name that the table has not.
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

    Raises: DataError for regression values, too many classes, a code for a missing value, or a class nobody can see.
    """
    if declared.label_kind == "regression":
        return _regression(cells, how, declared)
    values = _numbers(cells)
    if declared.label_kind == "auto":
        _refuse_regression(cells, values)
    if declared.of(cells.name).kind not in (Kind.CATEGORY, Kind.CODE):
        _refuse_missing_code(cells, values)
    texts = _texts(cells, values)
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
    return Label(cells.name, classes, codes, np.zeros(0), yes_no, decision, _warnings(cells.name, classes, codes))


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


def _numbers(cells: Cells) -> npt.NDArray[np.float64] | None:
    """The value of each text, if all are bare numbers that can be kept exactly. Shapes: (texts,)."""
    try:
        found = read_numbers(cells)
        return (
            found.values(found.mark(None, lambda: "point")) if found is not None and found.kind is Kind.NUMBER else None
        )
    except DataError:
        return None  # as classes they are names


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


def _refuse_missing_code(cells: Cells, values: npt.NDArray[np.float64] | None) -> None:
    if values is None:
        return
    for at, text in enumerate(cells.texts):
        rest = np.delete(values, at)
        if text in CODES and stands_out(float(values[at]), rest.min(initial=np.inf), rest.max(initial=-np.inf)):
            raise refused(
                f"line {cells.first_line(at)}, label {shown(cells.name)}",
                "an outcome",
                f"{text}, a usual code for a missing one",
                f"declare {text} missing and leave these rows out (drop unlabelled), or declare the label a category",
            )


def _texts(cells: Cells, values: npt.NDArray[np.float64] | None) -> list[str]:
    """The class of each text: numbers by their value (1.0 is 1), signs and yes or no alike, other text as it is."""
    if values is not None:
        return [str(int(value)) if value == int(value) else repr(float(value)) for value in values]
    for at, text in enumerate(cells.texts):
        number = unseen(text)
        if number is not None or len(text) > MAX_TEXT:
            found = f"the character {number}" if number else f"{len(text)} characters"
            place = f"line {cells.first_line(at)}, label {shown(cells.name)}"
            raise refused(
                place, f"a class of at most {MAX_TEXT} characters that can be seen", found, "correct the cell"
            )
    pair = pair_of(cells.texts)
    return [plain_sign(text.lower()) for text in cells.texts] if pair else list(cells.texts)


def sorted_classes(classes: set[str]) -> tuple[str, ...]:
    """A no before a yes, numbers by their value, texts by their letters.

    >>> sorted_classes({"yes", "no"}), sorted_classes({"10", "9"}), sorted_classes({"well", "ill"})
    (('no', 'yes'), ('9', '10'), ('ill', 'well'))
    """
    pair = pair_of(tuple(classes))
    if pair is not None:
        return tuple(word for word in pair if word in classes)
    try:
        return tuple(sorted(classes, key=lambda text: (float(text), text)))
    except ValueError:
        return tuple(sorted(classes))


def _warnings(name: str, classes: tuple[str, ...], codes: npt.NDArray[np.int64]) -> tuple[Decision, ...]:
    warnings = []
    counts = np.bincount(codes, minlength=len(classes))
    if len(classes) == 1:
        warnings.append(decided("label {label}: one class only ({only})", label=name, only=shown(classes[0])))
    rarest = int(np.argmin(counts))
    if len(classes) > 1 and counts[rarest] * 20 < len(codes):
        said = "label {label}: class {rare} is rare, {count} of {rows} rows; read accuracy beside balanced accuracy"
        warnings.append(
            decided(said, label=name, rare=shown(classes[rarest]), count=int(counts[rarest]), rows=len(codes))
        )
    lowered = {text.lower(): text for text in classes}
    if len(lowered) < len(classes):
        pair = next((text, lowered[text.lower()]) for text in classes if lowered[text.lower()] != text)
        said = "label {label}: {one} and {other} differ in capitals only and are two classes; write them alike"
        warnings.append(decided(said, label=name, one=shown(pair[0]), other=shown(pair[1])))
    warnings.extend(
        decided(
            "label {label}: class {text} begins like a formula; it is text here and is never run",
            label=name,
            text=shown(text),
        )
        for text in classes
        if text.startswith(("=", "@"))
    )
    return tuple(warnings)

"""Classes of a label: their names, their order, and warnings about them."""

from __future__ import annotations

import unicodedata
from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.errors import DataError
from hefl_core.tables.cells.booleans import pair_of
from hefl_core.tables.cells.cell import Cells, plain_sign
from hefl_core.tables.cells.numbers import read_numbers
from hefl_core.tables.columns import MAX_TEXT
from hefl_core.tables.decision import Decision, decided, listed, refused, shown, unseen
from hefl_core.tables.declared import Kind

MAX_CLASSES: Final = 50


def class_numbers(cells: Cells) -> npt.NDArray[np.float64] | None:
    """The value of each text, if all are bare numbers that can be kept exactly. Shapes: (texts,)."""
    try:
        found = read_numbers(cells)
        return (
            found.values(found.mark(None, lambda: "point")) if found is not None and found.kind is Kind.NUMBER else None
        )
    except DataError:
        return None  # what is no column of exact numbers still serves as names of classes


def plain(value: float) -> str:
    """A number as the name of a class.

    >>> plain(1.0), plain(-0.5)
    ('1', '-0.5')
    """
    return str(int(value)) if value == int(value) else repr(float(value))


def cut_classes(above: float, unit: str = "") -> tuple[str, str]:
    """Names of the two classes of a measured label that is cut at ``above``, in the order of :func:`sorted_classes`.

    >>> cut_classes(140.0, "mmHg")
    ('140 mmHg or less', 'above 140 mmHg')
    """
    at = f"{plain(above)} {unit}".rstrip()
    return f"{at} or less", f"above {at}"


def class_texts(cells: Cells, values: npt.NDArray[np.float64] | None) -> list[str]:
    """The class of each text: numbers by their value (1.0 is 1), signs and yes or no alike, other text as it is."""
    if values is not None:
        return [plain(value) for value in values]
    for at, text in enumerate(cells.texts):
        number = unseen(text)
        if number is not None or len(text) > MAX_TEXT:
            found = f"the character {number}" if number else f"{len(text)} characters"
            place = f"line {cells.first_line(at)}, label {shown(cells.name)}"
            raise refused(
                place, f"a class of at most {MAX_TEXT} characters that can be seen", found, "correct the cell"
            )
    pair = pair_of(cells.texts)
    return [plain_sign(text.lower() if pair else text) for text in cells.texts]


def refuse_spellings(label: str, classes: tuple[str, ...]) -> None:
    """Reject classes that differ in case, spaces or the form of their letters only: one outcome would become two.

    Raises: DataError naming them.
    """
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(" ".join(unicodedata.normalize("NFKC", name).casefold().split()), []).append(name)
    twice = next((names for names in alike.values() if len(names) > 1), None)
    if twice is not None:
        found = listed(map(shown, twice))
        remedy = "write the outcome alike in all rows and files, or declare the label a category to keep them apart"
        raise refused(f"label {shown(label)}", "one spelling of a class", found, remedy)


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


def class_warnings(name: str, classes: tuple[str, ...], codes: npt.NDArray[np.int64]) -> tuple[Decision, ...]:
    """Warnings: one class only, a rare one, two that differ in capitals, one like a formula. Shapes: codes (n,)."""
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

"""From checked features and labels that a user gave to a data set: split, scaled, frozen, named by content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hefl_core.learning.base import Dataset, Examples, Scaling
from hefl_core.learning.split import HELD_OUT_PART, split_indices
from hefl_core.tables.decision import refused

MIN_ROWS: Final = 20
MIN_CLASSES: Final = 2
MAX_CLASSES: Final = 50
MAX_FEATURES: Final = 20_000
MAX_NUMBERS: Final = 64_000_000
"""Rows times features: 512 MiB in float64; all of MNIST is 55 million."""


@dataclass(frozen=True, eq=False)
class Given:
    """Features in their own units, and labels. Shapes: rows (n, features), labels int64 (n,) into ``classes``.

    ``held_out``: the last so many rows are the user's own hold-out; None: a fifth is set aside.
    """

    rows: npt.NDArray[np.number[Any]]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    held_out: int | None = None


def dataset_of(
    given: Given, name: str, source: str, *, scaling: Scaling | None = None, side: int | None = None
) -> Dataset:
    """The data set of these rows; standardised by the training rows' mean and deviation unless ``scaling`` is given.

    ``side``: of square gray pictures.
    """
    every = np.arange(len(given.labels))
    if given.held_out is None:
        train, test = split_indices(given.labels, len(every) // HELD_OUT_PART)
    else:
        train, test = np.split(every, [len(every) - given.held_out])
    scaling = scaling or _standardising(given.rows[train])
    return Dataset(
        name=name,
        train=_examples(given, train, scaling),
        test=_examples(given, test, scaling),
        classes=given.classes,
        feature_names=given.names,
        synthetic=False,
        source=source,
        image_side=side,
        scaling=scaling,
    )


def check_size(what: str, rows: int, features: int) -> None:
    """Refuse what is too little to learn from or too much for a classroom's machine. Raises: DataError."""
    if rows < MIN_ROWS:
        raise refused(what, f"at least {MIN_ROWS} rows", str(rows), "give more examples")
    if not 1 <= features <= MAX_FEATURES:
        raise refused(what, f"1 to {MAX_FEATURES:,} features", f"{features:,}", "choose columns, or smaller pictures")
    if rows * features > MAX_NUMBERS:
        found = f"{rows:,} rows of {features:,}"
        raise refused(what, f"at most {MAX_NUMBERS:,} numbers", found, "give fewer rows, or smaller pictures")


def check_classes(what: str, classes: Sequence[str]) -> None:
    """Refuse labels that are no classes. Raises: DataError."""
    if len(classes) < MIN_CLASSES:
        raise refused(what, f"{MIN_CLASSES} classes or more", f"{len(classes)}", "add examples of another class")
    if len(classes) > MAX_CLASSES:
        found = f"{len(classes):,} (a measured value or a number of persons?)"
        remedy = "cut measured values in two (--label-above X, or Cut above on the page), or group them"
        raise refused(what, f"at most {MAX_CLASSES} classes", found, remedy)


def _standardising(rows: npt.NDArray[np.number[Any]]) -> Scaling:
    """Mean 0 and deviation 1; a column with one value in all rows becomes 0."""
    centre, spread = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    # Compared exactly: rounding gives a constant column a tiny spread, and a true tiny spread beside a large mean is data.
    constant = rows.min(axis=0) == rows.max(axis=0)
    return Scaling(np.where(constant, rows[0], centre), np.where(constant | (spread == 0), 1.0, spread))


def _examples(given: Given, at: npt.NDArray[np.int64], scaling: Scaling) -> Examples:
    features, labels = scaling.apply(given.rows[at].astype(np.float64)), given.labels[at].astype(np.int64)
    features.setflags(write=False)
    labels.setflags(write=False)
    return Examples(features, labels)

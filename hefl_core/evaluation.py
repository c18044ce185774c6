"""What a model does on a hold-out set, beyond accuracy: the numbers that a rare class needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hefl_core.errors import DataError

Confusion: TypeAlias = tuple[tuple[int, ...], ...]
"""Hold-out rows by true class (rows) and predicted class (columns)."""


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Metrics by class, made by :meth:`of`; an object whose numbers do not follow from its confusion matrix cannot exist.

    ``balanced_accuracy``: mean recall over the classes that the hold-out has. ``majority_share``: accuracy of always naming
    the hold-out's most frequent class. ``rarest``: place of the least frequent class that the hold-out has (of equal ones
    the last). ``average_precision``: area under the precision-recall curve: with two classes that of the rarest, with more
    the mean over the classes present, each against the rest; None where fewer than two classes are present.

    Shapes: confusion (classes, classes), true classes as rows.
    Raises: DataError for a matrix that is not square, has a negative count or no row, or numbers that do not follow from it.
    Leaks: how often each class occurs in the hold-out set; sealed to the observer, or kept by the client.
    """

    confusion: Confusion
    average_precision: float | None
    balanced_accuracy: float
    majority_share: float
    rarest: int

    @classmethod
    def of(cls, confusion: Confusion, average_precision: float | None) -> ClassMetrics:
        """The metrics of a confusion matrix and an average precision. Raises: DataError as the class."""
        _check_counts(confusion)
        return cls(confusion, average_precision, *_derived(confusion))

    def __post_init__(self) -> None:
        _check_counts(self.confusion)
        found = (self.balanced_accuracy, self.majority_share, self.rarest)
        if found != _derived(self.confusion):
            raise DataError(
                f"metrics: expected those of the confusion matrix, found {found}; make them with ClassMetrics.of"
            )
        several = len(self.present) > 1
        if (self.average_precision is not None) != several or not 0 <= (self.average_precision or 0.0) <= 1:
            raise DataError(
                f"average precision: expected {'0..1' if several else 'none for a single class'}, "
                f"found {self.average_precision}; make it with learning/metrics.py"
            )

    @property
    def counts(self) -> tuple[int, ...]:
        """Hold-out rows of each class."""
        return tuple(sum(row) for row in self.confusion)

    @property
    def present(self) -> tuple[int, ...]:
        """Places of the classes that the hold-out has."""
        return tuple(at for at, count in enumerate(self.counts) if count)

    @property
    def absent(self) -> tuple[int, ...]:
        """Places of the classes that the hold-out lacks: no metric says anything about them."""
        return tuple(at for at, count in enumerate(self.counts) if not count)

    @property
    def most(self) -> int:
        """Place of the most frequent class of the hold-out (of equal ones the first)."""
        return self.counts.index(max(self.counts))

    @property
    def accuracy(self) -> float:
        """Share of the diagonal: 0..1."""
        return sum(row[at] for at, row in enumerate(self.confusion)) / sum(self.counts)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Accuracy in 0..1, mean cross-entropy in nats, and the metrics by class."""

    accuracy: float
    loss: float
    metrics: ClassMetrics


def _check_counts(confusion: Confusion) -> None:
    classes = len(confusion)
    square = classes > 0 and all(len(row) == classes for row in confusion)
    if not square or any(count < 0 for row in confusion for count in row) or not any(map(any, confusion)):
        raise DataError(
            f"confusion matrix: expected a square of counts, not all 0, found another of {classes} lines; "
            "count each hold-out row once"
        )


def _derived(confusion: Confusion) -> tuple[float, float, int]:
    """Balanced accuracy, the majority's share, and the rarest class present."""
    counts = [sum(row) for row in confusion]
    present = [at for at, count in enumerate(counts) if count]
    balanced = sum(confusion[at][at] / counts[at] for at in present) / len(present)
    return balanced, max(counts) / sum(counts), min(present, key=lambda at: (counts[at], -at))

"""Metrics of a hold-out set from its logits, in NumPy: scikit-learn would cost each party a second and 100 MiB."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hefl_core.evaluation import ClassMetrics, Confusion
from hefl_core.vectors import Array

Labels = npt.NDArray[np.int64]


def class_metrics(logits: Array, labels: Labels) -> ClassMetrics:
    """The metrics by class of a model's outputs. Shapes: logits (n, classes), labels (n,), n at least 1."""
    confusion = confusion_matrix(logits.argmax(axis=1), labels, logits.shape[1])
    return ClassMetrics.of(confusion, _average_precision(logits, labels))


def confusion_matrix(predicted: Labels, labels: Labels, classes: int) -> Confusion:
    """Rows counted by true and predicted class. Shapes: predicted and labels (n,) to (classes, classes)."""
    counted = np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)
    return tuple(tuple(int(count) for count in row) for row in counted)


def average_precision(scores: Array, positive: npt.NDArray[np.bool_]) -> float:
    """Area under the precision-recall curve: sum over thresholds of (gain in recall) times precision.

    Rows of equal score count as one threshold, so their order in the file changes nothing.

    Shapes: scores and positive (n,), at least one of them positive.
    Source: Davis and Goadrich 2006, section 4: no linear interpolation, which is too optimistic.

    >>> average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]))
    0.8333333333333333
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    ranked = scores[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(scores) - 1)
    precision = hits[ends] / (ends + 1)
    # Rounding may carry a perfect ranking's sum an ulp over 1, which ClassMetrics refuses.
    return min(1.0, float(np.sum(np.diff(hits[ends], prepend=0) * precision) / hits[-1]))


def _average_precision(logits: Array, labels: Labels) -> float | None:
    """With two classes that of the rarer (of equal ones the last), with more the mean over the classes present."""
    counts = np.bincount(labels, minlength=logits.shape[1])
    present = np.flatnonzero(counts)
    if len(present) < 2:
        return None
    wanted = present if len(counts) > 2 else present[[-1 if counts[1] <= counts[0] else 0]]
    found = [average_precision(_log_odds(logits, int(at)), labels == at) for at in wanted]
    return min(1.0, float(np.mean(found)))


def _log_odds(logits: Array, wanted: int) -> Array:
    """Log-odds of one class against the rest: ranks as its probability does, but does not saturate at 1. Shapes: (n,)."""
    rest = np.delete(logits, wanted, axis=1)
    with np.errstate(invalid="ignore", over="ignore"):  # a model that diverged may give infinities
        highest = rest.max(axis=1)
        return np.asarray(logits[:, wanted] - highest - np.log(np.exp(rest - highest[:, None]).sum(axis=1)))

"""Partition of the examples: alike for all clients, skewed by label, or one kind of patient per hospital."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hefl_core.errors import ParameterError
from hefl_core.learning.base import Dataset, Examples
from hefl_core.vectors import Array

MIN_EXAMPLES = 2
HOSPITAL_FEATURE = {"breast_cancer": "mean radius"}
Positions = list[npt.NDArray[np.int64]]


@dataclass(frozen=True)
class LabelTable:
    """Number of examples of each class that each client holds, for a figure of the partition.

    Shapes: counts has one row per client, one column per class.
    Leaks: it is the observer's; in a deployment no party knows these numbers of another.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Examples per client, n_k."""
        return tuple(sum(row) for row in self.counts)


def partition(
    dataset: Dataset,
    clients: int,
    alpha: float | None = None,
    by: Literal["iid", "hospital"] = "iid",
    seed: int = 0,
) -> tuple[Examples, ...]:
    """Deal the training examples to the clients: each example to exactly one, at least two to each.

    ``alpha`` skews the labels (Dirichlet; small is strong), ``by="hospital"`` the patients (breast_cancer only).

    Raises: ParameterError for fewer than 1 client, more clients than half the examples, a non-positive ``alpha``,
        ``alpha`` together with ``hospital``, or ``hospital`` on a data set without such groups.
    """
    labels = dataset.train.labels
    if by not in ("iid", "hospital"):
        raise ParameterError(f"partition: expected iid or hospital, found {by!r}", "use alpha for a label skew")
    if by == "hospital":
        if alpha is not None:
            raise ParameterError(f"partition: expected alpha or hospital, found both (alpha {alpha})", "leave one out")
        positions = by_hospital(_hospital_feature(dataset), clients, seed)
    elif alpha is not None:
        positions = dirichlet(labels, clients, alpha, seed)
    else:
        positions = iid(len(labels), clients, seed)
    return tuple(dataset.train.take(own) for own in positions)


def label_table(parts: Sequence[Examples], classes: tuple[str, ...]) -> LabelTable:
    """Count each client's labels."""
    counted = (np.bincount(part.labels, minlength=len(classes)) for part in parts)
    return LabelTable(classes, tuple(tuple(int(count) for count in row) for row in counted))


def iid(examples: int, clients: int, seed: int) -> Positions:
    """Shuffle, then cut into parts whose sizes differ by at most one.

    Shapes: one sorted array of positions per client; together 0..examples-1.
    Raises: ParameterError if there are not two examples for each client.
    """
    _check_clients(examples, clients)
    return [np.sort(part) for part in np.array_split(_generator(seed).permutation(examples), clients)]


def dirichlet(labels: npt.NDArray[np.int64], clients: int, alpha: float, seed: int) -> Positions:
    """Skew the labels: each class is dealt in shares drawn from Dirichlet(alpha, …, alpha).

    Large alpha is close to IID, alpha = 0.1 leaves most clients with a few classes. A client left with fewer than two
    examples is given some of the largest client's.

    Shapes: labels (n,) to one sorted array of positions per client; together 0..n-1.
    Raises: ParameterError for alpha outside 1e-3..1e6, or if there are not two examples for each client.
    Source: Hsu, Qi and Brown 2019 (Measuring the Effects of Non-Identical Data Distribution), section 2.
    """
    _check_clients(len(labels), clients)
    if not (math.isfinite(alpha) and 1e-3 <= alpha <= 1e6):
        raise ParameterError(
            f"alpha: expected 0.001 to 1000000, found {alpha}", "0.5 is a strong skew, 100 almost none"
        )
    draw = _generator(seed)
    dealt: list[list[npt.NDArray[np.int64]]] = [[] for _ in range(clients)]
    for value in np.unique(labels):
        members = draw.permutation(np.flatnonzero(labels == value))
        # Cut points are rounded, not sizes: the parts then always add up to the class.
        ends = np.cumsum(draw.dirichlet(np.full(clients, alpha)))[:-1] * len(members)
        for own, part in zip(dealt, np.split(members, np.rint(ends).astype(np.int64)), strict=True):
            own.append(part)
    return _fill_up([np.concatenate(own) for own in dealt])


def by_hospital(feature: Array, clients: int, seed: int) -> Positions:
    """Skew the patients: hospital 1 sees the smallest values of one measurement, the last one the largest.

    The data name no hospitals: this is our grouping, by tumour size, as between a screening centre and a clinic that
    large tumours are referred to. The ranks are shaken a little, so that the groups overlap; sizes differ by at most
    one. Malignant tumours are larger, so the labels become skewed too.

    Shapes: feature (n,) to one sorted array of positions per client; together 0..n-1.
    Raises: ParameterError if there are not two examples for each client.
    """
    _check_clients(len(feature), clients)
    # The argsort of an argsort gives each value its rank.
    ranks = np.argsort(np.argsort(feature, kind="stable"), kind="stable")
    shaken = ranks + _generator(seed).normal(0, 0.25 * len(feature) / clients, len(feature))
    return [np.sort(part) for part in np.array_split(np.argsort(shaken, kind="stable"), clients)]


def _hospital_feature(dataset: Dataset) -> Array:
    if dataset.name not in HOSPITAL_FEATURE:
        raise ParameterError(
            f"partition: expected a data set with hospitals ({', '.join(HOSPITAL_FEATURE)}), found {dataset.name}",
            "use alpha=0.5 for a label skew, or leave both out for IID",
        )
    return dataset.train.features[:, dataset.feature_names.index(HOSPITAL_FEATURE[dataset.name])]


def _fill_up(positions: Positions) -> Positions:
    """Give clients below the minimum some of the largest client's examples."""
    for at, own in enumerate(positions):
        missing = MIN_EXAMPLES - len(own)
        while missing > 0:
            largest = max(range(len(positions)), key=lambda other: len(positions[other]))
            positions[at] = np.concatenate([positions[at], positions[largest][-1:]])
            positions[largest] = positions[largest][:-1]
            missing -= 1
    return [np.sort(own) for own in positions]


def _check_clients(examples: int, clients: int) -> None:
    most = examples // MIN_EXAMPLES
    if not 1 <= clients <= most:
        raise ParameterError(
            f"clients: expected 1 to {most} for {examples} examples ({MIN_EXAMPLES} each), found {clients}",
            "choose fewer clients or a larger data set" if clients > most else "choose at least 1",
        )


def _generator(seed: int) -> np.random.Generator:
    if seed < 0:
        raise ParameterError(f"seed: expected 0 or more, found {seed}", "use any non-negative integer")
    return np.random.Generator(np.random.PCG64(seed))

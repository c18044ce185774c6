"""Partition of the examples: alike for all clients, skewed by label in three ways, or one kind of patient per hospital.

Two laws are called Dirichlet in the literature: shares of each *class* over the clients (:func:`dirichlet`), and a mix of
classes for each *client* (:func:`dirichlet_by_client`). Sizes differ under the first, and hardly under the second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from hefl_core.errors import ParameterError
from hefl_core.learning.base import Dataset, Examples
from hefl_core.vectors import Array

MIN_EXAMPLES = 2
SHARDS_EACH = 2
By: TypeAlias = Literal["iid", "hospital", "shards", "dirichlet-by-class", "dirichlet-by-client"]
PARTITIONS: tuple[By, ...] = get_args(By)
HOSPITAL_FEATURE = {"breast_cancer": "mean radius"}
_SMALLEST_WEIGHT = 1e-6
"""Below it Dirichlet's gammas are all zero in floating point, and a mix would be no number."""
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
    by: By = "iid",
    seed: int = 0,
) -> tuple[Examples, ...]:
    """Deal the training examples to the clients: each example to exactly one, at least two to each.

    ``by="hospital"`` skews the patients (breast_cancer only), every other ``by`` but ``iid`` the labels. ``alpha`` is
    Dirichlet's (small is strong); with ``iid`` it means ``dirichlet-by-class``, an older spelling that links and presets
    use.

    Raises: ParameterError for fewer than 1 client, more clients than half the examples, a non-positive ``alpha``,
        ``alpha`` where nothing is drawn by it or none where something is, or ``hospital`` on a data set without such groups.
    """
    _check_kind(by, alpha)
    positions = _positions(dataset, clients, alpha, by, seed)
    return tuple(dataset.train.take(own) for own in positions)


def _check_kind(by: str, alpha: float | None) -> None:
    if by not in PARTITIONS:
        raise ParameterError(f"partition: expected one of {', '.join(PARTITIONS)}, found {by!r}", "try iid")
    if by in ("hospital", "shards") and alpha is not None:
        raise ParameterError(f"partition: expected alpha or {by}, found both (alpha {alpha})", "leave one out")
    if by.startswith("dirichlet") and alpha is None:
        raise ParameterError(
            f"partition: expected alpha with {by}, found none", "0.5 is a strong skew, 100 almost none"
        )


def _positions(dataset: Dataset, clients: int, alpha: float | None, by: By, seed: int) -> Positions:
    labels = dataset.train.labels
    if by == "hospital":
        return by_hospital(_hospital_feature(dataset), clients, seed)
    if by == "shards":
        return shards(labels, clients, seed)
    if alpha is None:
        return iid(len(labels), clients, seed)
    draw = dirichlet_by_client if by == "dirichlet-by-client" else dirichlet
    return draw(labels, clients, alpha, seed)


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
    """Skew the labels by class: each class is dealt to the clients in shares drawn from Dirichlet(alpha, …, alpha).

    Large alpha is close to IID, alpha = 0.1 leaves most clients with a few classes. A client left with fewer than two
    examples is given some of the largest client's.

    Shapes: labels (n,) to one sorted array of positions per client; together 0..n-1.
    Raises: ParameterError for alpha outside 1e-3..1e6, or if there are not two examples for each client.
    Source: Yurochkin et al. 2019 (Bayesian Nonparametric Federated Learning of Neural Networks), section 4.
    """
    _check_clients(len(labels), clients)
    _check_alpha(alpha)
    draw = _generator(seed)
    dealt: list[list[npt.NDArray[np.int64]]] = [[] for _ in range(clients)]
    for value in np.unique(labels):
        members = draw.permutation(np.flatnonzero(labels == value))
        # Cut points are rounded, not sizes: the parts then always add up to the class.
        ends = np.cumsum(draw.dirichlet(np.full(clients, alpha)))[:-1] * len(members)
        for own, part in zip(dealt, np.split(members, np.rint(ends).astype(np.int64)), strict=True):
            own.append(part)
    return _fill_up([np.concatenate(own) for own in dealt])


def dirichlet_by_client(labels: npt.NDArray[np.int64], clients: int, alpha: float, seed: int) -> Positions:
    """Skew the labels by client: each client's mix of classes is drawn from Dirichlet(alpha·p), p the classes' shares in all.

    Clients take their examples one after another, without replacement, each from a class drawn by its mix; when a class is
    used up, the mix goes on without it, so the last clients are nearer to what is left than to their draw. Sizes differ
    by at most one.

    Shapes: labels (n,) to one sorted array of positions per client; together 0..n-1.
    Raises: ParameterError for alpha outside 1e-3..1e6, or if there are not two examples for each client.
    Source: Hsu, Qi and Brown 2019 (Measuring the Effects of Non-Identical Data Distribution), section on synthetic
        client data.
    """
    _check_clients(len(labels), clients)
    _check_alpha(alpha)
    draw = _generator(seed)
    values, counts = np.unique(labels, return_counts=True)
    left = [list(draw.permutation(np.flatnonzero(labels == value))) for value in values]
    mixes = draw.dirichlet(np.maximum(alpha * counts / len(labels), _SMALLEST_WEIGHT), clients)
    sizes = [len(part) for part in np.array_split(np.arange(len(labels)), clients)]
    return [_take_by_mix(left, mix, size, draw) for mix, size in zip(mixes, sizes, strict=True)]


def _take_by_mix(left: list[list[np.int64]], mix: Array, size: int, draw: np.random.Generator) -> npt.NDArray[np.int64]:
    """Take examples from the classes' piles by a client's mix of classes; the piles become smaller."""
    own: list[np.int64] = []
    while len(own) < size:
        sizes = np.array([len(pile) for pile in left])
        open_mix = np.where(sizes > 0, mix, 0.0)
        # A client whose classes are all used up takes what is left, in proportion.
        weights = open_mix if open_mix.sum() > 0 else sizes.astype(np.float64)
        wanted = draw.multinomial(size - len(own), weights / weights.sum())
        for pile, count in zip(left, np.minimum(wanted, sizes), strict=True):
            own += [pile.pop() for _ in range(count)]
    return np.sort(np.array(own, np.int64))


def shards(labels: npt.NDArray[np.int64], clients: int, seed: int) -> Positions:
    """Sort by label, cut into two shards per client, and give each client two at random.

    Where shards end with the classes, no client has more than two classes; a shard that spans the end of a class has two.
    Sizes differ by at most two.

    Shapes: labels (n,) to one sorted array of positions per client; together 0..n-1.
    Raises: ParameterError if there are not two examples for each client.
    Source: McMahan 2017, section 3: 200 shards of 300 MNIST digits for 100 clients.
    """
    _check_clients(len(labels), clients)
    draw = _generator(seed)
    # Shuffled first: otherwise the order within a class would be that of the file.
    mixed = draw.permutation(len(labels))
    cut = np.array_split(mixed[np.argsort(labels[mixed], kind="stable")], SHARDS_EACH * clients)
    dealt = draw.permutation(len(cut)).reshape(clients, SHARDS_EACH)
    return [np.sort(np.concatenate([cut[at] for at in own])) for own in dealt]


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


def _check_alpha(alpha: float) -> None:
    if not (math.isfinite(alpha) and 1e-3 <= alpha <= 1e6):
        raise ParameterError(
            f"alpha: expected 0.001 to 1000000, found {alpha}", "0.5 is a strong skew, 100 almost none"
        )


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

"""Split of a data set into training and hold-out rows: the same at every call and on every machine."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_SPLIT_SEED = 20_260_101
HELD_OUT_PART: Final = 5
"""Of data that bring no hold-out of their own, one row in this many is held out."""


def split_indices(labels: npt.NDArray[np.int64], held_out: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions for training and hold-out: stratified, ``held_out`` in all, by a fixed seed, each in file order.

    Each class of two or more rows has a held-out row, unless there are more such classes than held-out rows; the only row
    of a class is kept for training.

    Shapes: labels (n,) to (n - held_out,) and (held_out,).
    """
    order = np.random.Generator(np.random.PCG64(_SPLIT_SEED))
    values, counts = np.unique(labels, return_counts=True)
    share = counts * held_out / len(labels)
    wanted = np.floor(share).astype(np.int64)
    # Largest remainder: classes that lost most to rounding down get the missing rows, so the total is exact.
    wanted[np.argsort(wanted - share, kind="stable")[: held_out - int(wanted.sum())]] += 1
    wanted = _every_class(wanted, counts)
    mixed = (order.permutation(np.flatnonzero(labels == value)) for value in values)
    test = np.sort(np.concatenate([positions[:count] for positions, count in zip(mixed, wanted, strict=True)]))
    return np.setdiff1d(np.arange(len(labels)), test), test


def _every_class(wanted: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The same number in all, at least one for each class that has two rows, and at most all but one."""
    least, most = np.minimum(counts - 1, 1), counts - 1
    fair = np.clip(wanted, least, most)
    while fair.sum() > wanted.sum():
        spare = fair > least
        fair[np.argmax(np.where(spare, fair, 0) if spare.any() else fair)] -= 1
    while fair.sum() < wanted.sum():
        fair[np.argmax(most - fair)] += 1
    return fair

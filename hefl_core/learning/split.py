"""Split of a data set into training and hold-out rows: the same at every call and on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SPLIT_SEED = 20_260_101


def split_indices(labels: npt.NDArray[np.int64], held_out: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions for training and hold-out: stratified, ``held_out`` in all, by a fixed seed, each in file order.

    Shapes: labels (n,) to (n - held_out,) and (held_out,).
    """
    order = np.random.Generator(np.random.PCG64(_SPLIT_SEED))
    values, counts = np.unique(labels, return_counts=True)
    share = counts * held_out / len(labels)
    wanted = np.floor(share).astype(np.int64)
    # Largest remainder: classes that lost most to rounding down get the missing rows, so the total is exact.
    wanted[np.argsort(wanted - share, kind="stable")[: held_out - int(wanted.sum())]] += 1
    mixed = (order.permutation(np.flatnonzero(labels == value)) for value in values)
    test = np.sort(np.concatenate([positions[:count] for positions, count in zip(mixed, wanted, strict=True)]))
    return np.setdiff1d(np.arange(len(labels)), test), test

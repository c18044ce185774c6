"""A model as one vector: flatten it, cut it back into arrays, clip its length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.errors import EncodingError, ParameterError

Shape: TypeAlias = tuple[int, ...]
Array: TypeAlias = npt.NDArray[np.floating[Any]]


def length_of(shapes: Sequence[Shape]) -> int:
    """Number of entries in arrays of these shapes: the model's d.

    >>> length_of([(64, 32), (32,), (32, 10), (10,)])
    2410
    """
    return sum(math.prod(shape) for shape in shapes)


def flatten(arrays: Sequence[Array], shapes: Sequence[Shape] | None = None) -> npt.NDArray[np.float32]:
    """Write arrays one after another into a float32 vector, without changing a bit of any value.

    Shapes: any list of arrays to (d,), d the sum of their sizes, each in C order.
    Raises: EncodingError if the arrays do not have the given ``shapes``, hold NaN or infinity, or hold a value that
        float32 cannot hold exactly.
    """
    found = [tuple(array.shape) for array in arrays]
    if shapes is not None and found != [tuple(shape) for shape in shapes]:
        raise EncodingError(f"arrays: expected shapes {list(shapes)}, found {found}; flatten one model's own arrays")
    if not arrays:
        raise EncodingError("arrays: expected at least one, found an empty list; flatten a model's arrays")
    whole = np.concatenate([np.asarray(array).reshape(-1) for array in arrays])
    require_finite(whole)
    with np.errstate(over="ignore"):
        vector = whole.astype(np.float32)
    if whole.dtype != np.float32 and not np.array_equal(vector, whole):
        raise EncodingError(f"arrays: expected values exact in float32, found {whole.dtype}; cast to float32 first")
    return vector


def unflatten(vector: Array, shapes: Sequence[Shape]) -> list[Array]:
    """Cut a vector into arrays of these shapes: views, so that writing into them writes into the vector.

    Shapes: (d,) to one array per entry of ``shapes``, dtype kept.
    Raises: EncodingError if the vector is not flat, has another length than the shapes ask for, or is not finite.
    """
    expected = length_of(shapes)
    if vector.ndim != 1 or len(vector) != expected:
        raise EncodingError(
            f"vector: expected shape ({expected},), found {vector.shape}; use the same model throughout"
        )
    require_finite(vector)
    arrays, start = [], 0
    for shape in shapes:
        stop = start + math.prod(shape)
        arrays.append(vector[start:stop].reshape(shape))
        start = stop
    return arrays


def require_finite(vector: Array) -> None:
    """Reject NaN and infinity.

    Raises: EncodingError naming the first offending entry.
    """
    finite = np.isfinite(vector)
    if not finite.all():
        at = int(np.argmin(finite))
        raise EncodingError(
            f"entry {at}: expected a finite number, found {vector[at]}; lower the learning rate or clip"
        )


def norm_of(vector: Array) -> float:
    """Euclidean length in float64, without overflow on the way.

    Raises: EncodingError if the vector is not finite.
    """
    require_finite(vector)
    largest = float(np.max(np.abs(vector), initial=0.0))
    if largest == 0.0:
        return 0.0
    # Divided by the largest entry first: squares of entries near 1e200 would overflow.
    return largest * float(np.linalg.norm(vector.astype(np.float64) / largest))


def clip_norm(vector: Array, max_norm: float) -> Array:
    """Shorten a vector to at most ``max_norm``; one that is short enough comes back unchanged.

    The result's length is at most ``max_norm`` after rounding too, which is what the noise of differential privacy
    relies on.

    Shapes: (d,) in and out, dtype kept.
    Raises: ParameterError unless ``max_norm`` is positive and finite; EncodingError if the vector is not finite.
    Source: Abadi 2016 (Deep Learning with Differential Privacy), algorithm 1; McMahan 2018, section 2 per update.
    """
    if not (math.isfinite(max_norm) and max_norm > 0):
        raise ParameterError(f"max_norm: expected a positive number, found {max_norm}", "leave it out for no clipping")
    length = norm_of(vector)
    if length <= max_norm:
        return vector
    # Two units in the last place less: rounding the entries to the dtype must not make the vector longer than max_norm.
    shrink = max_norm / length * (1 - 2 * float(np.finfo(vector.dtype).eps))
    return (vector.astype(np.float64) * shrink).astype(vector.dtype)

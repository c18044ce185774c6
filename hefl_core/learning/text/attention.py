"""Self-attention of one head over a sentence in plain NumPy: forward and backward, and the vectors of words and places.

The vectors are public and fixed, as those of a pretrained model that is frozen: they are no part of an update. (Trained ones
would name their words without any attack: only the rows of words that occur move. Melis 2019, section 4.1.)
"""

from __future__ import annotations

import functools
import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.learning.models import VOCABULARY, Attention
from hefl_core.vectors import Array

_UNSEEN: Final = -1e9
"""A score that the softmax turns into an exact 0: padding is not looked at."""


@functools.cache
def word_vectors(width: int) -> Array:
    """One vector for each word number; word 0 is padding. Shapes: float32 (VOCABULARY, width), read-only."""
    return _drawn(b"hefl/words", VOCABULARY, width)


@functools.cache
def place_vectors(words: int, width: int) -> Array:
    """One vector for each place of a sentence. Shapes: float32 (words, width), read-only."""
    return _drawn(b"hefl/places", words, width)


def embed(layer: Attention, rows: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """The vectors of sentences, word plus place, and which of them are words; padding is 0.

    Shapes: word numbers (n, words) to (n, words, width) and bool (n, words).
    """
    numbers = rows.astype(np.int64)
    there = numbers > 0
    words, places = word_vectors(layer.width), place_vectors(layer.words, layer.width)
    vectors = words[numbers].astype(rows.dtype) + places.astype(rows.dtype)
    return np.asarray(vectors * there[..., None], rows.dtype), there


def attend(layer: Attention, weights: Array, bias: Array, rows: Array) -> Array:
    """Mean over a sentence's words of relu(softmax(q·kᵀ/√units)·v). Shapes: word numbers (n, words) to (n, units).

    Source: Vaswani 2017, equation 1, one head.
    """
    return np.asarray(_Pass(layer, weights, bias, rows).pooled)


def attend_back(layer: Attention, weights: Array, bias: Array, rows: Array, upstream: Array) -> tuple[Array, Array]:
    """Gradients of W and b. Shapes: upstream (n, units) to (width, 3·units) and (3·units,)."""
    seen = _Pass(layer, weights, bias, rows)
    of_looked = (upstream / seen.count)[:, None, :] * (seen.there[..., None] & (seen.looked > 0))
    of_values = seen.looks.transpose(0, 2, 1) @ of_looked
    of_looks = of_looked @ seen.values.transpose(0, 2, 1)
    # The slope of a softmax: each share times its own slope less the mean slope of its row.
    of_scores = seen.looks * (of_looks - (seen.looks * of_looks).sum(axis=2, keepdims=True)) / seen.scale
    slopes = np.concatenate(
        [of_scores @ seen.keys, of_scores.transpose(0, 2, 1) @ seen.queries, of_values], axis=2
    ).reshape(-1, 3 * layer.outputs)
    return seen.vectors.reshape(-1, layer.width).T @ slopes, slopes.sum(axis=0)


class _Pass:
    """One forward pass, with what the backward pass needs of it."""

    def __init__(self, layer: Attention, weights: Array, bias: Array, rows: Array) -> None:
        self.scale = np.sqrt(np.asarray(layer.outputs, rows.dtype))
        self.vectors, self.there = embed(layer, rows)
        self.count = np.maximum(self.there.sum(axis=1, keepdims=True), 1).astype(rows.dtype)
        self.queries, self.keys, self.values = np.split(self.vectors @ weights + bias, 3, axis=2)
        scores = self.queries @ self.keys.transpose(0, 2, 1) / self.scale
        scores = np.where(self.there[:, None, :], scores, np.asarray(_UNSEEN, rows.dtype))
        shares = np.exp(scores - scores.max(axis=2, keepdims=True))
        self.looks = shares / shares.sum(axis=2, keepdims=True)
        self.looked = np.maximum(self.looks @ self.values, 0)
        self.pooled = (self.looked * self.there[..., None]).sum(axis=1) / self.count


def _drawn(what: bytes, rows: int, width: int) -> Array:
    """Uniform with variance 1/2, so that the vector of a word at a place has variance 1; the same on every machine."""
    source = np.random.PCG64(int.from_bytes(hashlib.sha256(what).digest(), "big"))
    unit = (source.random_raw(rows * width) >> np.uint64(40)).astype(np.float64) / 2**23 - 1
    table = (np.sqrt(1.5) * unit).astype(np.float32).reshape(rows, width)
    table.setflags(write=False)
    return np.asarray(table)

"""DAGER: the words of letters, exactly, from the low rank of an attention layer's gradient.

The gradient of query, key and value is Xᵀ·(dQ | dK | dV) with a row of X for each word at its place: its columns lie in the span
of those rows. While they are fewer than a vector has numbers, nothing else lies in it, and each word of the vocabulary can be
tested alone. Local steps do not change X, so that they hide nothing; only more words than numbers do.

Source: Petrov et al. 2024 (DAGER, arXiv 2405.15586), section 4: the span check, here on one layer and with places, so that the
words of one letter come in their order. Which words of a batch belong together needs a second layer (section 5) and is not tried.
Leaks: all words of single letters and of small batches; with noise or too many words the gradient has full rank, and nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hefl_core.attacks.view import Doubles, View, gradient
from hefl_core.errors import ParameterError
from hefl_core.learning.models import Attention
from hefl_core.learning.text.attention import place_vectors, word_vectors
from hefl_core.vectors import Array

NEAR = 0.05
"""A vector with less than this part outside the span lies in it."""
GAP = 5.0
"""A singular value that is so many times the next one ends the span: between the values of noise there is no such gap."""
ROUNDING = 1e-7
"""Singular values below this part of the largest are rounding."""


def words(view: View, update: Doubles | None = None) -> npt.NDArray[np.int64]:
    """Word numbers and places whose vectors lie in the span, nearest first.

    Where none lies in it the nearest are guessed, as many as a letter can have words: so that a seat without information can be
    compared with chance.

    Shapes: (found, 2), number and place from 0.
    Raises: ParameterError for a model without an attention layer, or a view without an update.
    """
    layer = view.public.model.layers[0]
    if not isinstance(layer, Attention):
        raise ParameterError(
            f"dager: expected a layer of attention, found the model {view.public.model.name}", "use attention"
        )
    span = span_of(gradient(view, update)[0], layer.words)
    outside = distances(span, layer)
    order = np.argsort(outside, axis=None, kind="stable")
    chosen = order[: int(np.sum(outside < NEAR)) or layer.words]
    numbers, places = np.unravel_index(chosen, outside.shape)
    return np.column_stack([numbers + 1, places]).astype(np.int64)  # number 0 is no word


def span_of(slopes: Array, otherwise: int) -> Doubles:
    """An orthonormal basis of the columns: up to the widest gap between singular values, or ``otherwise`` columns without a gap.

    Shapes: (width, columns) to (width, rank).
    """
    basis, sizes, _ = np.linalg.svd(np.asarray(slopes, np.float64), full_matrices=False)
    sizes = np.maximum(sizes, max(ROUNDING * sizes[0], 1e-300))
    ratios = sizes[:-1] / sizes[1:]
    widest = int(np.argmax(ratios))
    return np.asarray(basis[:, : widest + 1 if ratios[widest] > GAP else otherwise])


def distances(span: Doubles, layer: Attention) -> Doubles:
    """The part of each word's vector, at each place, that lies outside the span: 0 to 1. Shapes: (VOCABULARY - 1, words)."""
    vectors = word_vectors(layer.width)[1:, None] + place_vectors(layer.words, layer.width)[None]
    inside = np.sum(np.square(vectors @ span), axis=2) / np.sum(np.square(vectors, dtype=np.float64), axis=2)
    return np.asarray(np.sqrt(np.maximum(0.0, 1.0 - inside)))

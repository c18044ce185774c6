"""Two decrypted means whose cohorts differ by one client: their difference is nearly that client's update."""

from __future__ import annotations

import numpy as np

from hefl_core.attacks.methods.label_leak import own_gradients
from hefl_core.attacks.view import MEAN, Doubles, View
from hefl_core.errors import ParameterError
from hefl_core.learning.base import Examples


def missing_update(view: View) -> Doubles:
    """K·mean₁ - (K - 1)·mean₂, off by how far the other clients' updates moved with the model. Shapes: float64 (d,).

    Raises: ParameterError unless the view holds two means.
    Source: the difference attack on sums, Pasquini 2022 (eluding secure aggregation), section 2; Dwork 2006.
    """
    means = [held.values for held in view.held if held.name == MEAN]
    if len(means) < 2:
        raise ParameterError(f"differencing: expected two decrypted means, found {len(means)}", "run two rounds")
    clients = view.public.clients
    return np.asarray(clients * means[0] - (clients - 1) * means[1])


def whose(view: View, candidates: list[Examples]) -> Doubles:
    """How well each candidate's records explain the missing update: cosine of gradients. Shapes: (candidates,)."""
    update = -missing_update(view)  # an update points against the gradient
    found = []
    for one in candidates:
        gradient = own_gradients(view, one.features, one.labels).mean(axis=0)
        found.append(float(gradient @ update / (np.linalg.norm(gradient) * np.linalg.norm(update) or 1.0)))
    return np.array(found)

"""Records from an update, by division: a dense first layer's gradient is dW[:, i] = Σ_j δ_ji·x_j, db[i] = Σ_j δ_ji.

If only one record of the batch activates a unit, dW[:, i] / db[i] is exactly that record.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from hefl_core.attacks.view import Doubles, View, gradient
from hefl_core.learning.base import Parameters
from hefl_core.learning.models import Model, dense_model
from hefl_core.vectors import Array, flatten

AGREE = 2e-3
"""Two quotients closer than this (relative, in the maximum) are the same record."""
ALIVE = 1e-6
"""A bias gradient below this part of the largest is rounding."""


def quotients(view: View, update: Doubles | None = None) -> tuple[Doubles, Doubles]:
    """One quotient dW[:, i] / db[i] per unit that moved, and |db[i]|, largest first. Shapes: (units, features), (units,)."""
    weights, bias = gradient(view, update)[:2]
    size = np.abs(bias)
    alive = np.flatnonzero(size > ALIVE * (size.max() or 1.0))
    alive = alive[np.argsort(-size[alive], kind="stable")]
    return np.asarray((weights[:, alive] / bias[alive]).T, np.float64), np.asarray(size[alive], np.float64)


def records(view: View) -> Doubles:
    """Records on which at least two units agree: a rule that the attacker can apply alone.

    On pictures nearly every claim is a record. On two-class tables δ of two records can be proportional; units that see
    the same set of records then agree on a mixture, and the rule claims too much.

    Shapes: (found, features); empty when no two units agree.
    Leaks: works whatever the rest of the network is; a convolution in front stops it, secure aggregation only dilutes it.
    Source: Phong 2018, section 3; Boenisch 2023 (When the Curious Abandon Honesty), section 4.
    """
    rows, _ = quotients(view)
    return agreeing(rows)


def agreeing(rows: Doubles) -> Doubles:
    """One row of each group of at least two that agree. Shapes: (m, features) to (groups, features)."""
    if len(rows) == 0:
        return rows
    scale = np.maximum(np.abs(rows).max(axis=1), 1e-12)
    near = np.abs(rows[:, None] - rows[None]).max(axis=2) <= AGREE * np.maximum(scale[:, None], scale[None])
    found: list[int] = []
    for at in np.flatnonzero(near.sum(axis=1) >= 2):  # each row agrees with itself: two means one other
        if not any(near[at, other] for other in found):
            found.append(int(at))
    return rows[found]


def best_record(view: View) -> Doubles:
    """The record of a batch of one, or the best guess: the quotient of the unit that moved most.

    Shapes: (1, features); always one guess, so that a seat without information can be compared with chance.
    Source: Phong 2018, section 3, observation 1.
    """
    rows, _ = quotients(view)
    agreed = agreeing(rows)
    return agreed[:1] if len(agreed) else rows[:1]


# -- a coordinator that chooses the model --------------------------------------------------------------------------


def imprint_model(features: int, classes: int, bins: int) -> Model:
    """The architecture of a malicious coordinator: one hidden layer of ``bins`` units."""
    return dense_model("imprint", (features, bins, classes))


def imprint_parameters(model: Model, auxiliary: Array, seed: int) -> Parameters:
    """First parameters that sort records into bins: every unit measures the same h·x, each with its own threshold.

    The thresholds are normal quantiles with the auxiliary rows' mean and deviation; the units' outgoing weights are equal,
    so that neighbours differ by the records between their thresholds alone.

    Here every client checks θ_0 against the manifest's digest and refuses this one (federation/client.py, check_start).
    Source: Fowl 2022 (Robbing the Fed), section 4.
    """
    rng = np.random.default_rng(seed)
    bins = model.shapes[1][0]
    direction = rng.normal(size=model.features)
    direction /= np.linalg.norm(direction)
    measured = np.asarray(auxiliary, np.float64) @ direction
    normal = NormalDist(float(measured.mean()), float(measured.std()))
    cuts = np.array([normal.inv_cdf((at + 0.5) / bins) for at in range(bins)])
    out = np.tile(rng.normal(size=model.classes) / bins, (bins, 1))
    # Unit i is active where h·x > cut i: its gradient sums all records above that cut.
    arrays = [np.tile(direction[:, None], (1, bins)), -cuts, out, np.zeros(model.classes)]
    return flatten([array.astype(np.float32) for array in arrays], model.shapes)


def imprinted(view: View) -> Doubles:
    """Records from the differences of neighbouring bins, (dW[:, i] - dW[:, i+1]) / (db[i] - db[i+1]).

    A difference is one record where only one falls between two thresholds; two bins in a row never hold the same record,
    so each non-empty bin is claimed. Shapes: (non-empty bins, features).
    Source: Fowl 2022 (Robbing the Fed), section 4, equation 5.
    """
    weights, bias = gradient(view)[:2]
    steps, heights = -np.diff(weights, axis=1), -np.diff(bias)
    steps = np.column_stack([steps, weights[:, -1]])  # above the last cut there is nothing to subtract
    heights = np.append(heights, bias[-1])
    # In an empty bin two float32 sums cancel: only rounding is left, and it must not be divided by.
    alive = np.flatnonzero(np.abs(heights) > 1e-5 * (np.abs(heights).max() or 1.0))
    return np.asarray((steps[:, alive] / heights[alive]).T, np.float64)

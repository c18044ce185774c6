"""Inverting Gradients: pictures from the gradient of a convolutional network, by cosine distance and total variation.

Like gradient_inversion.py, whose search is written out for one hidden dense layer. Here TensorFlow differentiates, in a process
of its own that is sent the view's gradient and public knowledge, and nothing else of the view. The labels are read off first.

Source: Geiping et al. 2020 (arXiv 2003.14053), equation 4; labels: Zhao 2020 (iDLG), section 3, Wainakh 2022 for batches.
Leaks: one fresh picture is recognisable; batches, local steps and trained models blur it (Huang 2021; Du 2024, arXiv 2404.05403).
"""

from __future__ import annotations

import numpy as np

from hefl_core.attacks.methods.gradient_inversion import Inversion
from hefl_core.attacks.view import Doubles, View
from hefl_core.errors import ParameterError
from hefl_core.learning.inversion_job import Job, SearchProcess
from hefl_core.learning.models import Conv

STEPS, RESTARTS = 120, 1
VARIATION = 0.1
"""Weight of total variation, the mean absolute difference of neighbours."""


def invert(
    view: View,
    process: SearchProcess,
    *,
    steps: int = STEPS,
    restarts: int = RESTARTS,
    tv: float = VARIATION,
    seed: int = 0,
) -> Inversion:
    """Search for pictures in 0..1 whose gradient points where the update points. The same in every seat.

    Raises: ParameterError for a model without a convolution, or a view without an update.
    """
    model = view.public.model
    first = model.layers[0]
    if not isinstance(first, Conv):
        raise ParameterError(f"inverting-gradients: expected a convolution, found the model {model.name}", "use cnn")
    observed = -view.update() / view.public.learning_rate
    labels = labels_of(observed[-model.classes :], view.public.batch)
    job = Job(
        model.name,
        model.features,
        model.classes,
        first.activation,
        np.asarray(view.public.theta, "<f4").tobytes(),
        np.asarray(observed, "<f4").tobytes(),
        labels,
        tv,
        steps,
        restarts,
        seed,
    )
    found = process.search(job)
    rows = np.frombuffer(found.rows, "<f4").reshape(-1, model.features).astype(np.float64)
    frames = np.frombuffer(found.frames, "<f4").reshape(-1, *rows.shape).astype(np.float64)
    # Each loss is that of the last step of its part; the first frame is noise, and has none.
    losses = np.array([found.losses[0], *found.losses])
    return Inversion(rows, np.array(labels, np.float64), frames, losses)


def labels_of(last_bias: Doubles, batch: int) -> tuple[int, ...]:
    """Labels of a batch from the last bias's gradient, mean(p) - n_c / n, with p taken as uniform; as many as records.

    Each label takes 1/n off its entry: name the lowest entry, add 1/n to it, and go on. Shapes: (classes,).
    """
    left, named = np.asarray(last_bias, np.float64).copy(), []
    for _ in range(batch):
        named.append(int(np.argmin(left)))
        left[named[-1]] += 1 / batch
    return tuple(sorted(named))

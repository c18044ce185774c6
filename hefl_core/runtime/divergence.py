"""Signs that a training went wrong, from its rounds: worse than a model that knows nothing, no better than one answer for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Protocol

from hefl_core.evaluation import ClassMetrics
from hefl_core.federation.remarks import Remark

WORSE_THAN_NOTHING: Final = (
    "DIVERGED: the loss after round {0} is {1}; a model that gives every one of {2} classes the same share has {3}. Lower the "
    "learning rate, or clip."
)
ONE_ANSWER: Final = "NOT LEARNT: the accuracy after round {0} is {1}; always naming the most frequent class gives {2}."
GROWING: Final = (
    "DIVERGING: the mean update became longer in every round, from {0} to {1}; in a training that settles it becomes "
    "shorter."
)
SAID: Final = (WORSE_THAN_NOTHING, ONE_ANSWER, GROWING)
"""Every sentence, for translations."""
FEWEST_ROUNDS: Final = 3
GROWTH: Final = 10.0
"""Factor over the whole run from which growth is called divergence: momentum of a good start stays far below it."""


class Measured(Protocol):
    """What a round's result says of its training; None where nobody was observed."""

    @property
    def round(self) -> int:
        """Its number."""

    @property
    def accuracy(self) -> float | None:
        """On the hold-out set, 0..1."""

    @property
    def loss(self) -> float | None:
        """On the hold-out set, in nats."""

    @property
    def metrics(self) -> ClassMetrics | None:
        """By class, on the hold-out set."""

    @property
    def mean_norm(self) -> float | None:
        """Length of the decrypted mean."""


def signs(rounds: Sequence[Measured], classes: int) -> tuple[Remark, ...]:
    """What is wrong with the last model; empty when nothing is, or when nobody was observed. ``classes``: their number."""
    if not rounds:
        return ()
    last, found = rounds[-1], list[Remark]()
    ignorant = math.log(classes)
    if last.loss is not None and not last.loss <= ignorant:  # a NaN is none of those either
        found.append(Remark(WORSE_THAN_NOTHING, (str(last.round), f"{last.loss:.4g}", str(classes), f"{ignorant:.4g}")))
    majority = None if last.metrics is None else last.metrics.majority_share
    if last.accuracy is not None and majority is not None and last.accuracy <= majority:
        found.append(Remark(ONE_ANSWER, (str(last.round), f"{last.accuracy:.4f}", f"{majority:.4f}")))
    return (*found, *_growth([item.mean_norm for item in rounds]))


def _growth(norms: Sequence[float | None]) -> tuple[Remark, ...]:
    known = [norm for norm in norms if norm is not None]
    if len(known) < max(FEWEST_ROUNDS, len(norms)):
        return ()
    rising = all(before < after for before, after in pairwise(known))
    if not rising or known[-1] <= GROWTH * known[0]:
        return ()
    return (Remark(GROWING, (f"{known[0]:.3g}", f"{known[-1]:.3g}")),)

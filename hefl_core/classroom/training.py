"""Training in a class: the same number of patients to each seat, a logistic model, the mean of all updates opened each round.

A phone trains with plain gradient steps on all its rows; the sum of the updates is encrypted, its mean is the next model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.errors import ParameterError, WireError
from hefl_core.learning.base import Dataset, Examples, LocalTraining
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.models import Model, model_for_dataset
from hefl_core.learning.numpy_trainer import NumpyTrainer

DATASET: Final = "breast_cancer"
PATIENTS: Final = 10
LOCAL_EPOCHS: Final = 1
LEARNING_RATE: Final = 0.5
BOUND: Final = 1.0
"""Largest entry of an update: gradients of standardised rows times the learning rate stay well below it."""
SEED: Final = 7
PLAIN_RATE: Final = 0.05
"""Learning rate of the volunteer's one step in the clear: small, so that the bound cuts nothing off."""
SAME: Final = 0.01
"""A computed value is the patient's when they differ by less than this, in standard deviations."""

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Deal:
    """The patients of each seat, 1, 2, …, and the model that all train."""

    dataset: Dataset
    model: Model
    rows: tuple[Examples, ...]

    @classmethod
    def of(cls, seats: int, name: str = DATASET) -> Deal:
        """Deal ``PATIENTS`` rows to each seat, as far as the table reaches; then they go round again.

        Raises: ParameterError for no seat.
        """
        if seats < 1:
            raise ParameterError(f"deal: expected at least 1 seat, found {seats}")
        dataset = load_dataset(name)
        examples = len(dataset.train)
        order = np.random.Generator(np.random.PCG64(SEED)).permutation(examples)
        rows = tuple(
            dataset.train.take(np.take(order, np.arange(at * PATIENTS, (at + 1) * PATIENTS), mode="wrap"))
            for at in range(seats)
        )
        return cls(dataset, model_for_dataset("logistic", dataset), rows)

    def first_model(self) -> Vector:
        """All zeros: each class equally likely for every patient. Shapes: float64 (d,)."""
        return np.zeros(self.model.parameters)

    def accuracy(self, model: Vector) -> float:
        """Share of the hold-out patients that the model gets right, 0..1."""
        return float(NumpyTrainer(self.model).evaluate(model.astype(np.float32), self.dataset.test).accuracy)


def read_patient(update: Vector, classes: int) -> tuple[Vector, int]:
    """What one division makes of a plain update of one step on one patient: the patient, and its class.

    Shapes: (features · classes + classes,) to (features,). Source: hefl_core/attacks/methods/record_leak.py.
    Raises: WireError for an update from which nothing follows.
    """
    weights, bias = update[:-classes].reshape(-1, classes), update[-classes:]
    unit = int(np.argmax(np.abs(bias)))
    with np.errstate(all="ignore"):
        read = weights[:, unit] / bias[unit]
    if not np.all(np.isfinite(update)) or not np.all(np.isfinite(read)):
        raise WireError("plain update: expected numbers that changed the model, found others; train again")
    return read, int(np.argmax(bias))


def train(model: Model, theta: Vector, rows: Examples, learning_rate: float = LEARNING_RATE) -> Vector:
    """One seat's update Δ within the bound: what a phone computes, in this project's own trainer. Shapes: float64 (d,)."""
    how = LocalTraining(LOCAL_EPOCHS, len(rows), learning_rate, SEED)
    start = theta.astype(np.float32)
    trained = NumpyTrainer(model).train(start, rows, how)
    return np.clip(trained.astype(np.float64) - start, -BOUND, BOUND)

"""What a client's training looks like from outside: parameters in, parameters out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from hefl_core.learning.models import Model

Parameters: TypeAlias = npt.NDArray[np.float32]
"""A model flattened: float32 (d,), in the order of ``Model.shapes``."""


@dataclass(frozen=True)
class Examples:
    """Feature rows and their labels. Shapes: features float32 (n, features), labels int64 (n,)."""

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A named table, split into training and hold-out examples. ``synthetic`` is said wherever the name is shown."""

    name: str
    train: Examples
    test: Examples
    classes: tuple[str, ...]
    feature_names: tuple[str, ...]
    synthetic: bool
    source: str


@dataclass(frozen=True, slots=True)
class LocalTraining:
    """How a client trains between two rounds."""

    local_epochs: int
    batch: int
    learning_rate: float
    seed: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Accuracy in 0..1 and mean cross-entropy in nats."""

    accuracy: float
    loss: float


class LocalTrainer(Protocol):
    """Trains one model on one client's data; NumPy and Keras implement it alike."""

    @property
    def model(self) -> Model:
        """The architecture."""

    def train(self, theta: Parameters, data: Examples, how: LocalTraining) -> Parameters:
        """``local_epochs`` passes of mini-batch SGD from theta. Shapes: float32 (d,) in and out."""

    def evaluate(self, theta: Parameters, data: Examples) -> Evaluation:
        """Accuracy and loss of theta on ``data``."""

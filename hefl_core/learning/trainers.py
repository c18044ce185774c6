"""Choose a trainer by name, loading TensorFlow only for the one that needs it."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from hefl_core.errors import ParameterError
from hefl_core.evaluation import Evaluation
from hefl_core.learning.base import Examples, LocalTraining, Parameters
from hefl_core.learning.models import Model

_HOME = {
    "numpy": ("hefl_core.learning.numpy_trainer", "NumpyTrainer"),
    "keras": ("hefl_core.learning.keras_trainer", "KerasTrainer"),
}


def open_trainer(kind: str, model: Model) -> LocalTrainer:
    """A trainer for this model. ``keras`` imports TensorFlow (seconds, hundreds of MiB): never in the GUI process.

    Raises: ParameterError for an unknown name.
    """
    if kind not in _HOME:
        raise ParameterError(f"trainer: expected one of {', '.join(_HOME)}, found {kind!r}", "try 'numpy'")
    module, name = _HOME[kind]
    return cast(LocalTrainer, getattr(importlib.import_module(module), name)(model))


class LocalTrainer(Protocol):
    """Trains one model on one client's data; NumPy and Keras implement it alike."""

    @property
    def model(self) -> Model:
        """The architecture."""

    def train(self, theta: Parameters, data: Examples, how: LocalTraining) -> Parameters:
        """``local_epochs`` passes of mini-batch SGD from theta. Shapes: float32 (d,) in and out."""

    def evaluate(self, theta: Parameters, data: Examples) -> Evaluation:
        """Accuracy, loss and metrics by class of theta on ``data``."""

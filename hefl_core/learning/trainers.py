"""Choose a trainer by name, loading TensorFlow only for the one that needs it."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Protocol, cast

from hefl_core.errors import ParameterError
from hefl_core.evaluation import Evaluation
from hefl_core.learning.base import Examples, LocalTraining, Parameters
from hefl_core.learning.models import Model

_HOME = {
    "numpy": ("hefl_core.learning.numpy_trainer", "NumpyTrainer"),
    "keras": ("hefl_core.learning.keras_trainer", "KerasTrainer"),
}


def trainers_here() -> tuple[str, ...]:
    """Names of the trainers whose libraries are installed; nothing is imported to know it."""
    return ("numpy", "keras") if importlib.util.find_spec("tensorflow") else ("numpy",)


def require_trainer(kind: str) -> None:
    """Refuse a trainer that is unknown, or whose library is not installed. Raises: ParameterError."""
    if kind not in _HOME:
        raise ParameterError(f"trainer: expected one of {', '.join(_HOME)}, found {kind!r}", "try 'numpy'")
    if kind not in trainers_here():
        raise ParameterError(
            f"trainer: expected one that is installed ({', '.join(trainers_here())}), found {kind!r} without TensorFlow",
            "pip install 'hefl[keras]', or choose numpy",
        )


def open_trainer(kind: str, model: Model) -> LocalTrainer:
    """A trainer for this model. ``keras`` imports TensorFlow (seconds, hundreds of MiB): never in the GUI process.

    Raises: ParameterError as :func:`require_trainer`.
    """
    require_trainer(kind)
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

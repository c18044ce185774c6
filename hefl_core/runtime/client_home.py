"""A client's home: its part of the data and a trainer. Built in the client's own process, never sent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from hefl_core.errors import DataError, ParameterError
from hefl_core.federation.client import Home
from hefl_core.federation.experiment import Experiment, Manifest, Schema
from hefl_core.learning.base import Dataset, Examples, LocalTraining, Parameters, training_seed
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.models import Model, model_for, model_for_dataset
from hefl_core.learning.partition import partition
from hefl_core.learning.trainers import open_trainer

OWN: Final = "own:"
"""Prefix of data set names that stand for the clients' own tables (runtime/services/own_data.py)."""


@dataclass(frozen=True)
class DealtData:
    """The data set that an experiment names, partitioned among the clients, and the model that they train."""

    dataset: Dataset
    model: Model
    parts: tuple[Examples, ...]

    def manifest(self, experiment: Experiment) -> Manifest:
        """Draw the public terms of a new run."""
        largest = max(len(part) for part in self.parts)
        return Manifest.draw(experiment, self.model.parameters, largest, self.schema)

    @property
    def schema(self) -> Schema:
        """Columns and classes, the same for every part."""
        return Schema(self.dataset.feature_names, self.dataset.classes)


@lru_cache(maxsize=4)
def _dealt_data(dataset: str, model: str, clients: int, alpha: float | None, by: str, seed: int) -> DealtData:
    data = load_dataset(dataset)
    kind = "hospital" if by == "hospital" else "iid"
    parts = partition(data, clients, alpha, kind, seed)  # type: ignore[arg-type]
    return DealtData(data, model_for_dataset(model, data), parts)


def dealt_data(experiment: Experiment) -> DealtData:
    """Load the data set and partition it. Raises: DataError, ParameterError."""
    e = experiment
    if e.dataset.startswith(OWN):
        raise DataError(
            f"dataset: {e.dataset[:40]} stands for tables that clients keep; nothing of them can be dealt, and only services under "
            "TLS read them: provision issue --schema (docs/strict.md)"
        )
    return _dealt_data(e.dataset, e.model, e.clients, e.alpha, e.partition, e.seed)


def majority_share(experiment: Experiment) -> float | None:
    """Share of the most frequent class in the common hold-out set: 0..1; None where the clients keep their own tables."""
    if experiment.dataset.startswith(OWN):
        return None
    labels = dealt_data(experiment).dataset.test.labels
    return float(np.max(np.unique(labels, return_counts=True)[1]) / len(labels))


def home_of(experiment: Experiment, index: int) -> Home:
    """The home of client ``index`` (from 1): its own examples and a trainer."""
    whole = dealt_data(experiment)
    return home_with(experiment, whole.model, index, whole.parts[index - 1], whole.dataset.test)


def home_with(experiment: Experiment, model: Model, index: int, own: Examples, held_out: Examples) -> Home:
    """The home of client ``index``, built from its own examples."""
    trainer = open_trainer(experiment.trainer, model)

    def train(theta: Parameters, round_: int) -> Parameters:
        seed = training_seed(experiment.seed, round_, index)
        how = LocalTraining(experiment.local_epochs, experiment.batch, experiment.learning_rate, seed)
        return trainer.train(theta, own, how)

    def evaluate(theta: Parameters) -> tuple[float, float]:
        found = trainer.evaluate(theta, held_out)
        return found.accuracy, found.loss

    return Home(len(own), train, evaluate)


def model_of(manifest: Manifest) -> Model:
    """The model that a manifest describes; reads no data. Raises: ParameterError when it describes none."""
    schema = manifest.schema
    if schema is None:
        raise ParameterError(
            "manifest: expected a schema (columns and classes), found none", "draw it from a data set that is dealt"
        )
    return model_for(manifest.experiment.model, len(schema.columns), len(schema.classes))


def initial_parameters(manifest: Manifest) -> Parameters:
    """θ_0, which every party draws from the manifest alone. Shapes: float32 (d,). Raises: as :func:`model_of`."""
    return np.asarray(model_of(manifest).init(manifest.initialisation), dtype=np.float32)

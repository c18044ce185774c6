"""A client's home: its part of the data and a trainer. Built in the client's own process, never sent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np

from hefl_core.errors import DataError, ParameterError
from hefl_core.evaluation import Evaluation
from hefl_core.federation.client import Home
from hefl_core.learning import own_sets, shelf
from hefl_core.learning.base import Dataset, Examples, LocalTraining, Parameters, pooled, training_seed
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.models import SUMS, Model, model_for, model_for_dataset, sums_model
from hefl_core.learning.partition import partition
from hefl_core.learning.trainers import open_trainer
from hefl_core.runtime.round_zero import agreement_home, layout
from hefl_core.tables.doors import is_given_name
from hefl_core.tables.hospitals import TABLES, HospitalTables
from hefl_core.terms.experiment import Experiment, Manifest, Schema

OWN: Final = "own:"
"""Prefix of data set names that stand for the clients' own tables (runtime/services/own_data.py)."""


@dataclass(frozen=True)
class DealtData:
    """The data set that an experiment names, partitioned among the clients, and the model that they train.

    ``held_out``: each client's hold-out rows, the same for all where the data is dealt.
    """

    dataset: Dataset
    model: Model
    parts: tuple[Examples, ...]
    held_out: tuple[Examples, ...]

    def manifest(self, experiment: Experiment) -> Manifest:
        """Draw the public terms of a new run. They name the data set by its content, never by a path."""
        largest = max(len(part) for part in self.parts)
        named = experiment.but(dataset=self.dataset.name)
        return Manifest.draw(named, self.model.parameters, largest, self.schema)

    @property
    def schema(self) -> Schema:
        """Columns and classes, the same for every part."""
        return Schema(self.dataset.feature_names, self.dataset.classes)


@lru_cache(maxsize=4)
def _dealt_data(dataset: str, model: str, clients: int, alpha: float | None, by: str, seed: int) -> DealtData:
    if dataset.startswith(TABLES):
        return _hospitals(dataset, model, clients)
    data = load_dataset(dataset)
    parts = partition(data, clients, alpha, by, seed)  # type: ignore[arg-type]
    return DealtData(data, model_for_dataset(model, data), parts, (data.test,) * clients)


def dealt_data(experiment: Experiment) -> DealtData:
    """Load the data set and partition it. A typed path is read anew at every call. Raises: DataError, ParameterError."""
    e = experiment
    if e.dataset.startswith(OWN):
        raise DataError(
            f"dataset: {e.dataset[:40]} stands for tables that clients keep; nothing of them can be dealt, and only services under "
            "TLS read them: provision issue --schema (docs/strict.md)"
        )
    return _dealt_data(shelf.resolve(e.dataset), e.model, e.clients, e.alpha, e.partition, e.seed)


def _hospitals(dataset: str, model: str, clients: int) -> DealtData:
    """The tables of clients that agreed on a schema, where one process holds all of them: nothing is dealt.

    Raises: DataError for another number of clients.
    """
    require_one_each(shelf.tables(dataset), clients)
    own = tuple(_hospital(dataset, at) for at in range(1, clients + 1))
    train, test = (pooled([getattr(one, part) for one in own]) for part in ("train", "test"))
    whole = replace(own[0], name=dataset, train=train, test=test)
    return DealtData(
        whole, model_for_dataset(model, whole), tuple(one.train for one in own), tuple(one.test for one in own)
    )


def require_one_each(tables: HospitalTables, clients: int) -> None:
    """Reject another number of clients than of tables. Raises: DataError."""
    if (count := len(tables.names)) != clients:
        raise DataError(f"clients: expected {count}, one for each table, found {clients}; say --clients {count}")


@lru_cache(maxsize=16)
def _hospital(dataset: str, index: int) -> Dataset:
    try:
        return shelf.encoded(shelf.tables(dataset).source(index))
    except DataError as error:
        raise DataError(f"table of client {index}: {error}") from error


def forget_table(name: str) -> None:
    """Take a table, arrays or pictures off the shelf, and what was dealt of them, unless somebody else here put them too."""
    if (own_sets if is_given_name(name) else shelf).forget(name):
        _dealt_data.cache_clear()


def home_of(experiment: Experiment, index: int) -> Home:
    """The home of client ``index`` (from 1): its own examples and a trainer; in round zero its own table and its sums."""
    if experiment.dataset.startswith(TABLES):
        return _home_at_hospital(experiment, index)
    whole = dealt_data(experiment)
    return home_with(experiment, whole.model, index, whole.parts[index - 1], whole.dataset.test)


def _home_at_hospital(experiment: Experiment, index: int) -> Home:
    """Only this client's table is read, and its hold-out rows are its own."""
    if experiment.model == SUMS:
        return agreement_home(layout(experiment), index, shelf.tables(experiment.dataset).source(index).reread)
    own = _hospital(experiment.dataset, index)
    return home_with(experiment, model_for_dataset(experiment.model, own), index, own.train, own.test)


def home_with(experiment: Experiment, model: Model, index: int, own: Examples, held_out: Examples) -> Home:
    """The home of client ``index``, built from its own examples."""
    trainer = open_trainer(experiment.trainer, model)

    def train(theta: Parameters, round_: int) -> Parameters:
        seed = training_seed(experiment.seed, round_, index)
        how = LocalTraining(experiment.local_epochs, experiment.batch, experiment.learning_rate, seed)
        return trainer.train(theta, own, how)

    def evaluate(theta: Parameters) -> Evaluation:
        return trainer.evaluate(theta, held_out)

    return Home(len(own), train, evaluate)


def model_of(manifest: Manifest) -> Model:
    """The model that a manifest describes; reads no data. Raises: ParameterError when it describes none."""
    if manifest.experiment.model == SUMS:
        return sums_model(manifest.parameters)
    schema = manifest.schema
    if schema is None:
        raise ParameterError(
            "manifest: expected a schema (columns and classes), found none", "draw it from a data set that is dealt"
        )
    return model_for(manifest.experiment.model, len(schema.columns), len(schema.classes))


def initial_parameters(manifest: Manifest) -> Parameters:
    """θ_0, which every party draws from the manifest alone. Shapes: float32 (d,). Raises: as :func:`model_of`."""
    return np.asarray(model_of(manifest).init(manifest.initialisation), dtype=np.float32)

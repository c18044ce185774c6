"""Baselines of the federation: all data in one place, each client alone, and FedAvg in the clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hefl_core.evaluation import Evaluation
from hefl_core.learning.base import Examples, LocalTraining, Parameters, pooled, training_seed
from hefl_core.learning.trainers import LocalTrainer


def centralised(
    trainer: LocalTrainer, theta: Parameters, parts: Sequence[Examples], test: Examples, rounds: int, how: LocalTraining
) -> tuple[Evaluation, ...]:
    """Train on all clients' examples in one place, which the clients refuse: the upper bound.

    Shapes: theta float32 (d,); one evaluation on ``test`` per round of ``how.local_epochs`` passes.
    Raises: as the trainer.
    """
    return alone(trainer, theta, pooled(parts), test, rounds, how, client=0)


def each_alone(
    trainer: LocalTrainer, theta: Parameters, parts: Sequence[Examples], test: Examples, rounds: int, how: LocalTraining
) -> tuple[tuple[Evaluation, ...], ...]:
    """Each client trains on its own examples only: its result without the federation.

    Shapes: theta float32 (d,); one row per client, one evaluation on ``test`` per round.
    Raises: as the trainer.
    """
    return tuple(alone(trainer, theta, part, test, rounds, how, client=at) for at, part in enumerate(parts, start=1))


def alone(
    trainer: LocalTrainer,
    theta: Parameters,
    data: Examples,
    test: Examples,
    rounds: int,
    how: LocalTraining,
    *,
    client: int,
) -> tuple[Evaluation, ...]:
    """One party trains for as many passes as it would in the federation.

    Shapes: theta float32 (d,); one evaluation on ``test`` per round.
    Raises: as the trainer.
    """
    evaluations = []
    for number in range(1, rounds + 1):
        theta = trainer.train(theta, data, replace(how, seed=training_seed(how.seed, number, client)))
        evaluations.append(trainer.evaluate(theta, test))
    return tuple(evaluations)


def plain_fedavg(
    trainer: LocalTrainer, theta: Parameters, parts: Sequence[Examples], test: Examples, rounds: int, how: LocalTraining
) -> tuple[Evaluation, ...]:
    """Federated averaging without any encryption, weighted by examples: the control of every encrypted run.

    Shapes: theta float32 (d,); one evaluation on ``test`` per round.
    Leaks: everything a server sees in plain federated learning: each client's update in the clear.
    Raises: as the trainer.
    Source: McMahan 2017, algorithm 1.
    """
    evaluations = []
    sizes = np.array([len(part) for part in parts], np.float64)
    for number in range(1, rounds + 1):
        trained = [
            trainer.train(theta, part, replace(how, seed=training_seed(how.seed, number, client)))
            for client, part in enumerate(parts, start=1)
        ]
        updates = np.array(trained, np.float64) - theta
        theta = (theta + sizes @ updates / sizes.sum()).astype(np.float32)
        evaluations.append(trainer.evaluate(theta, test))
    return tuple(evaluations)

"""A client that lies about its own update: nothing here detects it, and the page says so.

Under encryption the coordinator cannot see the norm of an update. Honest clients clip theirs; a lying client does not.
Only the norm of the decrypted mean can be examined, after the fact.

Source: Bagdasaryan 2020, section 4 (model replacement); Bhagoji 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hefl_core.attacks.methods.tampering import CHECKS, ForgeryVerdict, judge, set_desk
from hefl_core.attacks.view import Doubles
from hefl_core.ids import digest
from hefl_core.learning.base import LocalTraining, training_seed
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.models import model_for_dataset
from hefl_core.learning.numpy_trainer import NumpyTrainer
from hefl_core.learning.partition import partition


@dataclass(frozen=True)
class Poisoned:
    """Accuracy per round without and with the lying client, and the norm of each round's mean. Shapes: (rounds,) each."""

    honest: Doubles
    poisoned: Doubles
    honest_norms: Doubles
    poisoned_norms: Doubles
    caught_by: tuple[str, ...]


def poison(
    dataset: str = "digits", *, clients: int = 5, rounds: int = 5, factor: float = -4.0, seed: int = 7
) -> Poisoned:
    """Train with and without one client that sends ``factor`` times its update; run the checks on such a round."""
    data = load_dataset(dataset)
    trainer = NumpyTrainer(model_for_dataset("mlp", data))
    parts = partition(data, clients, None, "iid", seed)
    curves, norms = [], []
    for lie in (1.0, factor):
        theta = trainer.model.init(digest(b"hefl/poison", str(seed).encode()))
        accuracy, length = [], []
        for number in range(1, rounds + 1):
            updates = []
            for client, part in enumerate(parts, 1):
                how = LocalTraining(1, 32, 0.1, training_seed(seed, number, client))
                update = trainer.train(theta, part, how).astype(np.float64) - theta
                updates.append(update * (lie if client == 1 else 1.0))
            mean = np.mean(updates, axis=0)
            theta = (theta + mean).astype(np.float32)
            accuracy.append(trainer.evaluate(theta, data.test).accuracy)
            length.append(float(np.linalg.norm(mean)))
        curves.append(np.array(accuracy))
        norms.append(np.array(length))
    return Poisoned(curves[0], curves[1], norms[0], norms[1], _lying_round(clients, factor).caught_by)


def _lying_round(clients: int, factor: float) -> ForgeryVerdict:
    """A round in which client 1 encrypts, commits and tags a lie: every check passes, since the sum is the clients' sum."""
    desk = set_desk("bfv-lean", clients, times=factor)
    return judge(desk, "none", CHECKS)

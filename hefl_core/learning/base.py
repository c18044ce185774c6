"""Types of a client's training: parameters in, parameters out, examples and settings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.errors import DataError, ParameterError
from hefl_core.ids import digest

Parameters: TypeAlias = npt.NDArray[np.float32]
"""A model flattened: float32 (d,), in the order of ``Model.shapes``."""


@dataclass(frozen=True)
class Examples:
    """Feature rows and their labels. Shapes: features float32 (n, features), labels int64 (n,)."""

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.labels.shape != self.features.shape[:1]:
            raise DataError(
                f"examples: expected features (n, features) and labels (n,), found {self.features.shape} and "
                f"{self.labels.shape}; give one label per row"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: npt.NDArray[np.int64]) -> Examples:
        """The examples at these positions, copied. Shapes: indices (m,)."""
        return Examples(self.features[indices], self.labels[indices])


def pooled(parts: Sequence[Examples]) -> Examples:
    """All the examples of some parts, in their order."""
    return Examples(np.concatenate([part.features for part in parts]), np.concatenate([part.labels for part in parts]))


@dataclass(frozen=True)
class Scaling:
    """How features were scaled: (raw - offset) / scale. Shapes: both float64 (features,)."""

    offset: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]

    @classmethod
    def standardising(cls, rows: npt.NDArray[np.float64]) -> Scaling:
        """The scaling that gives these rows mean 0 and standard deviation 1; constant columns become 0.

        Shapes: (n, columns).
        """
        spread, centre = rows.std(axis=0), rows.mean(axis=0)
        # Rounding gives a constant column a tiny spread, not 0; dividing by it would blow noise up to features.
        constant = spread <= 1e-12 * np.maximum(np.abs(centre), 1e-300)
        return cls(centre, np.where(constant, 1.0, spread))

    def apply(self, raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """From the table's own units to the model's inputs. Shapes: (n, features)."""
        return ((raw - self.offset) / self.scale).astype(np.float32)

    def restore(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """From the model's inputs back to the table's own units. Shapes: (n, features) or (features,)."""
        return features.astype(np.float64) * self.scale + self.offset


@dataclass(frozen=True)
class RawTable:
    """A built-in table in its own units. Shapes: rows float64 (n, columns), labels int64 (n,) into ``classes``."""

    name: str
    columns: tuple[str, ...]
    rows: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """A named table, split into training and hold-out examples. ``synthetic`` is shown wherever the name is.

    ``image_side`` is the side of a square picture, or None for a table; ``scaling`` leads back to the original units.
    ``vocabulary``: the words whose numbers the rows of a text hold, number 0 for padding; None for anything else.
    """

    name: str
    train: Examples
    test: Examples
    classes: tuple[str, ...]
    feature_names: tuple[str, ...]
    synthetic: bool
    source: str
    image_side: int | None = None
    scaling: Scaling | None = None
    vocabulary: tuple[str, ...] | None = None

    def text(self, row: npt.NDArray[np.floating[Any]]) -> str:
        """The words of a row of a text. Shapes: (features,). Raises: DataError for a data set that is none."""
        if self.vocabulary is None:
            raise DataError(f"text: expected a data set of words, found {self.name[:60]}; use 'letters'")
        return " ".join(self.vocabulary[int(number)] for number in row if number)


@dataclass(frozen=True, slots=True)
class LocalTraining:
    """How a client trains between two rounds."""

    local_epochs: int
    batch: int
    learning_rate: float
    seed: int

    def __post_init__(self) -> None:
        for name, value in (("local_epochs", self.local_epochs), ("batch", self.batch)):
            if value < 1:
                raise ParameterError(f"{name}: expected at least 1, found {value}", f"{name}=1 is the smallest")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ParameterError(f"learning_rate: expected a positive number, found {self.learning_rate}", "try 0.1")
        if self.seed < 0:
            raise ParameterError(f"seed: expected 0 or more, found {self.seed}", "use any non-negative integer")


def batches(examples: int, how: LocalTraining) -> Iterator[npt.NDArray[np.int64]]:
    """The positions of each mini-batch, all passes one after another, shuffled anew for each pass.

    All trainers use it, so that they see the same examples in the same order. The last batch of a pass may be
    shorter. Shapes: arrays of at most (batch,).
    """
    order = np.random.Generator(np.random.PCG64(how.seed))
    for _ in range(how.local_epochs):
        shuffled = order.permutation(examples)
        for start in range(0, examples, how.batch):
            yield shuffled[start : start + how.batch]


def training_seed(seed: int, round_number: int, client: int) -> int:
    """Seed of one client's shuffling in one round, from the experiment's seed; below 2^63.

    For learning only: cryptographic randomness is never seeded.
    """
    # Hashed, so that neighbouring rounds and clients get unrelated shuffles; one bit dropped for signed 64-bit seeds.
    return int.from_bytes(digest(b"hefl/training-seed", f"{seed}/{round_number}/{client}".encode())[:8], "big") >> 1

"""The reference job as a file that every peer reads with NumPy alone: data, first model, order of batches.

Runs inside the peers' environments, so it imports nothing of hefl.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Job:
    """Features (n, f) and labels (n,) per client, theta_0 per array, ``orders[round][client]``: positions per batch."""

    rate: float
    start: list[np.ndarray]
    clients: list[tuple[np.ndarray, np.ndarray]]
    test: tuple[np.ndarray, np.ndarray]
    orders: list[list[list[np.ndarray]]]

    @classmethod
    def read(cls, path: str) -> Job:
        """From the file that benchmarks/peers.py wrote."""
        with np.load(path, allow_pickle=False) as f:
            arrays, clients, rounds, batch = (int(f[n]) for n in ("arrays", "clients", "rounds", "batch"))
            orders = [
                [
                    [f[f"order_{r}_{c}"][at : at + batch] for at in range(0, len(f[f"order_{r}_{c}"]), batch)]
                    for c in range(clients)
                ]
                for r in range(rounds)
            ]
            return cls(
                float(f["rate"]),
                [f[f"start_{at}"] for at in range(arrays)],
                [(f[f"x_{c}"], f[f"y_{c}"]) for c in range(clients)],
                (f["x_test"], f["y_test"]),
                orders,
            )


def forward(arrays: list[np.ndarray], rows: np.ndarray) -> list[np.ndarray]:
    """Outputs of each dense layer, ReLU between them. Shapes: rows (n, f)."""
    found = [rows]
    for at in range(0, len(arrays), 2):
        rows = rows @ arrays[at] + arrays[at + 1]
        if at + 2 < len(arrays):
            rows = np.maximum(rows, 0)
        found.append(rows)
    return found


def train(arrays: list[np.ndarray], data: tuple[np.ndarray, np.ndarray], order: list[np.ndarray], rate: float) -> list:
    """One epoch of SGD on softmax cross-entropy, float32, in the given order of batches."""
    arrays = [array.astype(np.float32).copy() for array in arrays]
    for batch in order:
        rows, labels = data[0][batch], data[1][batch]
        outputs = forward(arrays, rows)
        logits = outputs[-1] - outputs[-1].max(axis=1, keepdims=True)
        slope = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        slope[np.arange(len(labels)), labels] -= 1
        slope /= len(labels)
        for at in reversed(range(0, len(arrays), 2)):
            into = outputs[at // 2]
            back = (slope @ arrays[at].T) * (into > 0) if at else None
            arrays[at] -= np.float32(rate) * (into.T @ slope)
            arrays[at + 1] -= np.float32(rate) * slope.sum(axis=0)
            slope = back
    return arrays


def accuracy(arrays: list[np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> float:
    """Share of the test set."""
    return float(np.mean(forward(arrays, test[0])[-1].argmax(axis=1) == test[1]))


@dataclass
class Diary:
    """What a peer measured: per round the model (flattened), wall seconds, and bytes of one client's upload."""

    peer: str
    models: list[np.ndarray] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    upload: int | None = None
    note: str = ""
    began: float = field(default_factory=time.perf_counter)

    def round_done(self, arrays: list[np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> None:
        """Book one round."""
        now = time.perf_counter()
        self.seconds.append(now - self.began)
        self.models.append(np.concatenate([np.asarray(a, np.float32).reshape(-1) for a in arrays]))
        self.accuracies.append(accuracy(arrays, test))
        self.began = time.perf_counter()

    def write(self, folder: str) -> None:
        """The models as .npy, the rest as JSON."""
        out = Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        np.save(out / f"{self.peer}.npy", np.array(self.models))
        said = {
            "peer": self.peer,
            "seconds": self.seconds,
            "accuracies": self.accuracies,
            "upload": self.upload,
            "note": self.note,
        }
        (out / f"{self.peer}.json").write_text(json.dumps(said), encoding="utf-8")

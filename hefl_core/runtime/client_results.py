"""A client's private results: accuracy and cost of each round, its refusals in full, and the model.

Written in its own folder, sent nowhere.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from hefl_core.errors import HeflError
from hefl_core.evaluation import ClassMetrics
from hefl_core.federation.client import Client, Evaluate, OwnClip
from hefl_core.federation.record.client_heads import ClientHeads, Head
from hefl_core.terms.letter import Spent

FOLDER: Final = "results"
ROUNDS, MODEL, REFUSALS, HEAD = "rounds.jsonl", "model.npy", "refusals.txt", "head.json"


class RoundLine(msgspec.Struct, frozen=True):
    """One round at one client. ``model``: SHA-256 of θ, 64 hex digits; accuracy, loss and ``metrics`` on its hold-out rows.

    ``spent``: what the round cost this client; it stays here, because training time grows with n_k. So does ``own_clip``: what
    was cut says how large the update was.
    """

    round: int
    accuracy: float
    loss: float
    model: str
    spent: tuple[Spent, ...] = ()
    metrics: ClassMetrics | None = None
    own_clip: OwnClip | None = None


class ClientResults:
    """A client's own results in ``HOME/results``."""

    def __init__(self, home: Path, evaluate: Evaluate) -> None:
        self._folder = home / FOLDER
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._evaluate = evaluate
        self._head: Head | None = None
        self._last = max((line.round for line in read_rounds(home)), default=0)

    def note(self, client: Client) -> bool:
        """Save the model of the last round that this client finished, once. Returns whether there was a new one."""
        if client.rounds_done <= self._last:
            return False
        theta = client.theta
        found = self._evaluate(theta)
        model = hashlib.sha256(theta.tobytes()).hexdigest()
        spent = client.spent(client.rounds_done)
        line = RoundLine(client.rounds_done, found.accuracy, found.loss, model, spent, found.metrics, client.own_clip)
        temporary = self._folder / (MODEL + ".new")
        with temporary.open("wb") as file:
            np.save(file, theta, allow_pickle=False)
        os.replace(temporary, self._folder / MODEL)
        with (self._folder / ROUNDS).open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
        self._last = line.round
        return True

    def keep_head(self, client: Client) -> None:
        """Save this client's newest message head before its answer leaves: a record that ends earlier was truncated."""
        if client.head != self._head and client.head[1]:
            self._head = client.head
            ClientHeads(client.manifest.id, {client.name: client.head}).save(self._folder / HEAD)

    def refused(self, error: HeflError) -> None:
        """Log in full what this client refused or failed to do; other parties learn only the kind and the rule."""
        note_refusal(self._folder, error)


def model_at(home: Path) -> npt.NDArray[np.float32]:
    """The newest model that a client saved in its folder. Shapes: float32 (d,). Raises: OSError."""
    found: npt.NDArray[np.float32] = np.load(home / FOLDER / MODEL, allow_pickle=False)
    return found


def note_refusal(folder: Path, error: HeflError) -> None:
    """Append a client's error in full, for its owner. Raises: OSError."""
    with (folder / REFUSALS).open("a", encoding="utf-8") as file:
        file.write(f"{type(error).__name__}: {error}\n")


def read_rounds(home: Path) -> tuple[RoundLine, ...]:
    """The lines that a client has written so far; none before its first round."""
    path = home / FOLDER / ROUNDS
    lines = path.read_bytes().splitlines() if path.exists() else []
    return tuple(msgspec.json.decode(line, type=RoundLine) for line in lines)

"""The exercises of lesson 01: what a model update gives away."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.models import model_for, model_for_dataset
from hefl_core.learning.numpy_trainer import loss_and_gradient
from hefl_core.teaching.exercise import Choice, Number, Task
from hefl_core.vectors import flatten, unflatten


def _judge_reconstruct(answer: object) -> str:
    """Three records the lesson did not show, each with its own model and learning rate."""
    if not callable(answer):
        return f"expected a function of the update, found {type(answer).__name__}"
    reconstruct = cast(Callable[[object], object], answer)
    data = load_dataset("digits")
    model = model_for_dataset("mlp", data)
    for row in (3, 17, 99):
        arrays = unflatten(model.init(bytes([row])), model.shapes)
        _, gradient = loss_and_gradient(
            model, arrays, data.train.features[row : row + 1], data.train.labels[row : row + 1]
        )
        record = data.train.features[row].astype(np.float64)
        found = np.asarray(reconstruct(-flatten(gradient).astype(np.float64) / row), dtype=np.float64)
        if found.shape != record.shape:
            return f"expected {len(record)} pixels, found an array of shape {found.shape}"
        if not np.all(np.isfinite(found)):
            return "some pixel is not a number: did you divide by the 0 of a unit that did not move?"
        if np.max(np.abs(found - record)) > 1e-3:
            pixel = int(np.argmax(np.abs(found - record)))
            return f"pixel {pixel} of record {row}: expected {record[pixel]:.4f}, found {found[pixel]:.4f}"
    return ""


def _bytes() -> float:
    return 4.0 * model_for("mlp", 64, 10).parameters


EXERCISES = (
    Number(
        "01.1",
        "How many bytes does one client send per round when nothing is encrypted?",
        value=_bytes,
        tolerance=0.0,
        unit="bytes",
        why="one number of four bytes for each parameter, zeros included",
        hints=("How many parameters has the model?", "A 32-bit number takes 4 bytes; multiply."),
    ),
    Choice(
        "01.2",
        "The coordinator sees only this update. What can it find out about the one record behind it?",
        options=("nothing, a gradient is a summary", "only which digit it was", "every pixel, up to rounding"),
        right=2,
        why="the next section takes every pixel out, with one division",
        hints=("The update has many more numbers than the record has pixels.", "Think of the worst that could be."),
    ),
    Task(
        "01.3",
        "Write reconstruct(update): the record behind an update of one record, by division.",
        judge=_judge_reconstruct,
        why="records that the lesson never showed come out too: it works for every record",
        hints=(
            "W1, b1, W2, b2 = unflatten(update, model.shapes); only the first two are needed.",
            "Which unit? Take the one whose bias moved most: np.argmax(abs(b1)).",
            "return W1[:, i] / b1[i]",
        ),
    ),
    Choice(
        "01.4",
        'A hospital says: "We train on batches of 32, so our updates need no encryption." What is the best reply?',
        options=(
            "right, the mixture cannot be undone",
            "wrong, that this attack fails says nothing about other attacks",
            "right, if the coordinator is slow",
            "wrong, batches make the division more exact",
        ),
        right=1,
        why="stronger attacks on batches are published, and a coordinator may choose the model it sends out",
        hints=("What did the paragraph above say about searching?", "One failed attack is no proof of safety."),
    ),
    Choice(
        "01.5",
        "Everybody encrypts. What does the coordinator still learn in a round?",
        options=(
            "the update of each client, but not the mean",
            "who took part, when, how many and how large the messages were",
            "nothing at all",
            "the labels of each client",
        ),
        right=1,
        why="somebody has to deliver the messages; what is in them is hidden, that they exist is not",
        hints=("What does a postman know who cannot open letters?",),
    ),
)

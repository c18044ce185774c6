"""The exercises of lesson 12: differential privacy with your own hands."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from hefl_core.teaching.exercise import Choice, Number, Task


def _judge_clip(answer: object) -> str:
    if not callable(answer):
        return f"expected a function of update and most, found {type(answer).__name__}"
    clip = cast(Callable[..., Any], answer)
    for update, most in (([3.0, 4.0], 1.0), ([0.3, -0.4], 1.0), ([0.0, 0.0], 1.0), ([-6.0, 8.0, 0.0], 2.0)):
        given = np.array(update)
        length = float(np.linalg.norm(given))
        right = given if length <= most else given * (most / length)
        found = np.asarray(clip(given.copy(), most), dtype=float)
        if found.shape != right.shape or not np.allclose(found, right, atol=1e-9):
            return (
                f"clip({update}, {most}): expected {np.round(right, 3).tolist()}, found {np.round(found, 3).tolist()}"
            )
    return ""


def _judge_epsilon(answer: object) -> str:
    if not callable(answer):
        return f"expected a function of right, wrong and delta, found {type(answer).__name__}"
    epsilon_of = cast(Callable[..., Any], answer)
    for right, wrong, delta in ((0.5, 0.25, 0.0), (0.9, 0.1, 1e-5), (0.3, 0.001, 0.1)):
        wanted, found = math.log((right - delta) / wrong), float(epsilon_of(right, wrong, delta))
        if not math.isclose(found, wanted, rel_tol=1e-6):
            return f"epsilon_of({right}, {wrong}, {delta}): expected {wanted:.4f}, found {found:.4f}"
    return ""


EXERCISES = (
    Task(
        "12.1",
        "Write clip(update, most).",
        judge=_judge_clip,
        why="no update is longer than the clip, and the direction stays",
        hints=(
            "`np.linalg.norm(update)` is its length.",
            "Multiply by `most / length` where the length is above `most`.",
        ),
    ),
    Number(
        "12.2",
        "By how much can the sum of the clipped updates change at most when one client's update is replaced by zeros?",
        value=1.0,
        tolerance=0.0,
        unit="",
        why="the others' updates stay, and the one that goes is at most as long as the clip",
        hints=("All other updates are the same in both worlds.",),
    ),
    Task(
        "12.3",
        "Write epsilon_of(right, wrong, delta).",
        judge=_judge_epsilon,
        why="right ≤ e^ε · wrong + δ, solved for ε",
        hints=("Put the two rates into the definition.", "`math.log((right - delta) / wrong)`."),
    ),
    Number(
        "12.4",
        "One round with z = 1 costs ρ = 1/2. With which z do 100 rounds together cost the same?",
        value=10.0,
        tolerance=0.0,
        unit="",
        why="100/(2z²) = 1/2: the noise grows with the root of the number of rounds",
        hints=("R · 1/(2z²) has to be 1/2.", "z² = R."),
    ),
    Choice(
        "12.5",
        "The shares of the noise are sized for 5 contributors, and two drop out. What must the protocol do?",
        options=(
            "nothing, ε is about the clients that are there",
            "lower δ",
            "not open that sum: it has less noise than was promised",
        ),
        right=2,
        why="shares are sized for the smallest cohort, and a sum of fewer is refused; more contributors mean more noise",
        hints=("How much noise is in the sum then?",),
    ),
)

"""Exercises of lesson 09: what encryption does not stop."""

from __future__ import annotations

import math

import numpy as np

from hefl_core.teaching.exercise import Choice, Number, Task


def _judge_difference(answer: object) -> str:
    """Means of two to twenty random updates."""
    if not callable(answer):
        return "expected a function of (mean_before, mean_after, K)"
    rng = np.random.default_rng(92)
    for clients in (2, 5, 20):
        updates = rng.normal(size=(clients, 3))
        found = answer(updates.mean(axis=0), updates[1:].mean(axis=0), clients)
        if not np.allclose(found, updates[0], atol=1e-9):
            return f"K = {clients}: expected {updates[0].round(3)}, found {np.asarray(found).round(3)}"
    return ""


EXERCISES = (
    Number(
        "09.1",
        "Custody 3-of-5. How many clients must join the coordinator before they read another client's update?",
        value=3.0,
        tolerance=0,
        unit="clients",
        why="The coordinator brings ciphertexts, each client one share; three shares open.",
        hints=("How many shares open a ciphertext?", "The coordinator itself has none."),
    ),
    Task(
        "09.2",
        "Write who_left(mean_before, mean_after, K): the update of the client that left.",
        judge=_judge_difference,
        why="Sums subtract: K·mean before, minus (K − 1)·mean after. Encryption hid neither mean from the clients.",
        hints=("Turn each mean into a sum first.", "`K * mean_before - (K - 1) * mean_after`"),
    ),
    Choice(
        "09.3",
        "One of five clients sends −4 times its update. Which check refuses the round?",
        options=("re-adding by the auditor", "the count", "the tag", "none"),
        right=3,
        why="The sum is honestly the sum of what the clients sent, and a lying client's tag is genuine.",
        hints=("Each check compares the sum with what clients sent. Did the coordinator change anything?",),
    ),
    Choice(
        "09.4",
        "A client returns the decrypted float64 average to the coordinator. What does that give away?",
        options=(
            "the average only",
            "the average and its noise",
            "the whole secret key, and with it every client's update",
        ),
        right=2,
        why="Two full blocks of exact decryptions and their ciphertexts are linear equations in the key, one pair per coefficient.",
        hints=("m = c0 + c1·s: which of these does the coordinator know then?", "It is linear in s."),
    ),
    Number(
        "09.5",
        "ε = 1. By which factor at most does one client's taking part change the odds of an outcome (δ aside)?",
        value=math.e,
        tolerance=0.05,
        unit="",
        why="e^ε: 2.7 for ε = 1, 20 for 3, beyond counting for 300.",
        hints=("The definition bounds a ratio of probabilities by e to the ε.",),
    ),
    Choice(
        "09.6",
        '"Encrypted and ε = 300, so we are private?"',
        options=("yes", "the server sees nothing; ε = 300 proves nothing about the model", "no, encryption is useless"),
        right=1,
        why="Two questions: who reads messages (encryption), and what results reveal (DP). Each needs its own answer.",
        hints=("Which seat does encryption protect against, and which does DP?", "How large is e^300?"),
    ),
)

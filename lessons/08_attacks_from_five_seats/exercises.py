"""Exercises of lesson 08: attacks from five seats."""

from __future__ import annotations

import numpy as np

from hefl_core.teaching.exercise import Choice, Number, Task


def _judge_label(answer: object) -> str:
    """Gradients p - y as they come: sure, unsure and wrong models, scaled by any learning rate."""
    if not callable(answer):
        return "expected a function of bias_gradient"
    rng = np.random.default_rng(8)
    for true in range(10):
        logits = rng.normal(scale=rng.choice([0.1, 1.0, 5.0]), size=10)
        probabilities = np.exp(logits) / np.exp(logits).sum()
        gradient = (probabilities - np.eye(10)[true]) * rng.choice([0.01, 1.0])
        found = answer(gradient)
        if found != true:
            return f"for the gradient {gradient.round(3).tolist()}: expected {true}, found {found}"
    return ""


EXERCISES = (
    Choice(
        "08.1",
        "One record per client, K = 5, noise of a hundredth of the clipping norm on the last. From where is the record named "
        "among 100 far more often than once in a hundred?",
        options=(
            "plain FL only",
            "plain FL and the decrypted mean",
            "those two, and also from the noised update",
        ),
        right=2,
        why="The noised guesses lie near 10 dB, and three in four are still nearest to their own record: never trust your eyes.",
        hints=(
            "Which of these seats hold something that depends on the record?",
            "A bad picture can still be nearer to the right record than to 99 others.",
        ),
    ),
    Task(
        "08.2",
        "Write label_of(bias_gradient): the label of one record from the last bias's gradient p − y.",
        judge=_judge_label,
        why="Probabilities lie between 0 and 1, so only the true label's entry is negative.",
        hints=("p is never negative. Where is something subtracted from it?", "The smallest entry: np.argmin."),
    ),
    Number(
        "08.3",
        "In 400 trials an attack never hits. Its hit rate may still be up to about (95 % sure)?",
        value=3 / 400,
        tolerance=0.0025,
        unit="",
        why="The rule of three: after n trials without a hit the rate may still be 3/n.",
        hints=("With which rate p does (1 − p)^400 fall to 5 %?", "Three over n."),
    ),
    Choice(
        "08.4",
        "An attack finds nothing in ciphertexts. What else must you see before you believe that it could have?",
        options=(
            "a longer key",
            "the same code succeeding where there is something (a positive control)",
            "another failing",
        ),
        right=1,
        why="A broken attack and a perfect cipher look the same. The control tells them apart.",
        hints=("What would a bug in the attack look like?",),
    ),
    Choice(
        "08.5",
        "One record per client: how much does a curious client still get out of the mean of K = 4 updates?",
        options=("none, the mean hides them", "about a quarter", "nearly all"),
        right=2,
        why="Four records, 64 units: most records still have units of their own. It falls at K = 8 and is nearly gone at 32.",
        hints=("How many of 64 hidden units does one record wake alone, when there are only four records?",),
    ),
    Choice(
        "08.6",
        "Which single change takes the coalition of coordinator and one client back to chance?",
        options=("more clients", "larger keys", "collective custody with t ≥ 2", "an auditor"),
        right=2,
        why="The coalition holds one share; with t ≥ 2 one share opens nothing. (t colluding clients are another matter.)",
        hints=("What does the client bring into the coalition?", "Lesson 06: how many shares open a ciphertext?"),
    ),
)

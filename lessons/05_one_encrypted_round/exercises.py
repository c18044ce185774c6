"""Exercises of lesson 05: one encrypted round, message by message."""

from __future__ import annotations

import numpy as np

from hefl_core.schemes.base import CiphertextVector
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.teaching.exercise import Choice, Number, Task

_CHANGES, _EXAMPLES = np.array([0.2, -0.1, 0.5]), np.array([100, 300, 100])


def _judge_sum(answer: object) -> str:
    """Add one, two and four ciphertexts, and compare bytes with the library's own running sum."""
    if not callable(answer):
        return "expected a function of (scheme, key, vectors)"
    scheme = open_scheme("INSECURE_bfv-1024")
    key, _ = scheme.keygen(Quorum(1, 1))
    for count in (1, 2, 4):
        vectors = [scheme.encrypt(key, np.full(5, 0.1 * k), max_terms=4) for k in range(1, count + 1)]
        running = scheme.accumulator(key)
        for vector in vectors:
            running.add(vector)
        found = answer(scheme, key, list(vectors))
        if not isinstance(found, CiphertextVector):
            return f"expected a CiphertextVector, found {type(found).__name__}"
        if found != running.total():
            return f"of {count} vectors: expected a sum of {count} terms, found {found.terms}, or other bytes"
    return ""


EXERCISES = (
    Number(
        "05.1",
        "How many messages does a round with 10 clients take under individual custody?",
        value=lambda: 3 * 10 + 4,
        tolerance=0,
        unit="messages",
        why="Each client commits, uploads and sends a receipt; plan, list, sum and confirmation are sent once to all.",
        hints=("Inside a loop over clients, post.send runs once for each.", "Three in loops, four outside."),
    ),
    Choice(
        "05.2",
        "What would a dishonest client gain if uploads came without commitments?",
        options=(
            "it could choose its ciphertext after it saw, or was told, the others'",
            "it could decrypt the others' updates",
            "nothing",
        ),
        right=0,
        why="With a coordinator's help it could copy or cancel another's ciphertext; a digest given before binds it to its own.",
        hints=("Ciphertexts can be added and subtracted by anybody.", "What does a digest fix, and when is it given?"),
    ),
    Number(
        "05.3",
        "How many updates of other clients does client-2 get, in any form, sealed ones included?",
        value=0.0,
        tolerance=0,
        unit="updates",
        why="It holds the key, so it must not get another's ciphertext: uploads go to coordinator and auditor alone.",
        hints=(
            "Look at who an update is sent to in federated_round.",
            "Under individual custody client-2 could decrypt it.",
        ),
    ),
    Task(
        "05.4",
        "Write add_up(scheme, key, vectors): the encrypted sum of any number of vectors.",
        judge=_judge_sum,
        why="That is all a coordinator can do, and all it needs: the public key and additions.",
        hints=("Start with the first vector and add the others one by one.", "total = scheme.add(key, total, vector)"),
    ),
    Number(
        "05.5",
        "One entry, three clients: Δ = 0.2, -0.1, 0.5 with n = 100, 300, 100 records. By how much does θ move there?",
        value=lambda: float(_CHANGES @ _EXAMPLES / _EXAMPLES.sum()),
        tolerance=1e-6,
        unit="",
        why="Σ n·Δ over Σ n: the client with most records pulls hardest.",
        hints=("Multiply each Δ by its n and add.", "Divide by all records together."),
    ),
    Choice(
        "05.6",
        "A coordinator drops one update and adds an encryption of zeros with count 1 in its place. Which checks refuse?",
        options=("re-adding only", "re-adding and count", "re-adding and tag", "all three"),
        right=2,
        why="The count comes out right, it was repaired; the bytes are others, and a tag cannot be made without its key.",
        hints=("What does the count add up to?", "Can the coordinator make a tag for the ciphertext it put in?"),
    ),
)

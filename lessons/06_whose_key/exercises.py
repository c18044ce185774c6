"""Exercises of lesson 06: whose key?"""

from __future__ import annotations

from hefl_core.schemes.ring.shamir import lagrange
from hefl_core.teaching.exercise import Choice, Number, Task

_P, _C1, _WEIGHT, _ANSWER = 97, 35, 2, 36


def _judge_weight(answer: object) -> str:
    """Against the library's own weights, for sets of two, three and five."""
    if not callable(answer):
        return "expected a function of (active, index, p)"
    for active in ((1, 2), (1, 2, 5), (2, 3, 4), (1, 2, 3, 4, 5)):
        for index in active:
            expected, found = lagrange(active, index, _P), answer(active, index, _P)
            if found != expected:
                return f"active {active}, holder {index}, p = {_P}: expected {expected}, found {found}"
    return ""


EXERCISES = (
    Choice(
        "06.1",
        "Custody 3-of-5. Which coalition can open client-1's upload?",
        options=(
            "coordinator + client-2",
            "coordinator + auditor",
            "coordinator + client-2 + client-3",
            "clients 2, 3, 4 + coordinator",
        ),
        right=3,
        why="Three shares open a ciphertext, and the coordinator has client-1's. Two shares and the bytes open nothing.",
        hints=("How many shares does each coalition have?", "It also needs the ciphertext: who has that?"),
    ),
    Task(
        "06.2",
        "Write weight(active, index, p): the Lagrange weight of one holder in an active set.",
        judge=_judge_weight,
        why="It depends on the whole set: that is why the active set is named before anybody answers.",
        hints=(
            "Multiply j / (j − index) over the others j; a division is a multiplication by `pow(…, -1, p)`.",
            "above = product of j, below = product of (j − index); `above * pow(below, -1, p) % p`.",
        ),
    ),
    Choice(
        "06.3",
        "Holders 1 and 2 alone ask for the sum of a 3-of-5 key. What happens?",
        options=(
            "they get the sum with more noise",
            "they get a third of it",
            "the library refuses: it expects as many holders as t",
        ),
        right=2,
        why="A QuorumError that says have and need; without it they would see something uniform.",
        hints=("What do two points of a polynomial of degree two tell about its value at 0?",),
    ),
    Number(
        "06.4",
        "p = 97, c1 = 35, λ = 2, d = 36 without flooding. What is the share s?",
        value=lambda: float(_ANSWER * pow(_WEIGHT * _C1, -1, _P) % _P),
        tolerance=0,
        unit="",
        why="Divide by what is public. With flooding the division gives s plus noise spread over all of Z_p.",
        hints=("d = λ·c1·s mod 97: what is λ·c1?", "`36 * pow(70, -1, 97) % 97`"),
    ),
    Number(
        "06.5",
        "A thief takes three shares of epoch 2. How many of the recorded ciphertexts open?",
        value=5.0,
        tolerance=0,
        unit="ciphertexts",
        why="The five of round 2, the only round under that key. Each epoch's key opens its own rounds.",
        hints=("How many rounds ran under epoch 2's key?", "One round, and five clients sent in it."),
    ),
    Choice(
        "06.6",
        "The KMS dealt the key and says it deleted it. What takes this promise out of the picture?",
        options=("a larger t", "rotating after every round", "the dealer-free ceremony", "an auditor"),
        right=2,
        why="A dealer that kept the key needs no shares, whatever t is, and deals the next key too. No dealer, no copy.",
        hints=("The dealer knows the whole key at one moment. Which option has no such moment?",),
    ),
)

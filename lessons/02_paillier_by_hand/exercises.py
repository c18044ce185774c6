"""The exercises of lesson 02: Paillier by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from hefl_core.schemes.paillier.by_hand import ByHand
from hefl_core.teaching.exercise import Choice, Number, Task

_LESSON = ByHand(p=11, q=13, m1=100, r1=23, m2=60, r2=31)
_OTHERS = (ByHand(p=17, q=19, m1=0, r1=2, m2=300, r2=5), ByHand(p=101, q=103, m1=9876, r1=77, m2=42, r2=1234))


def _judge_encrypt(answer: object) -> str:
    if not callable(answer):
        return f"expected a function of m, r and n, found {type(answer).__name__}"
    encrypt = cast(Callable[[int, int, int], object], answer)
    for hand in _OTHERS:
        for message, mask, right in ((hand.m1, hand.r1, hand.c1), (hand.m2, hand.r2, hand.c2)):
            found = encrypt(message, mask, hand.n)
            if found != right:
                return f"encrypt({message}, {mask}, {hand.n}): expected {right}, found {found}"
    return ""


def _judge_decrypt(answer: object) -> str:
    if not callable(answer):
        return f"expected a function of c, p and q, found {type(answer).__name__}"
    decrypt = cast(Callable[[int, int, int], object], answer)
    for hand in _OTHERS:
        for ciphertext, right in ((hand.c1, hand.m1), (hand.c2, hand.m2), (hand.total, hand.decrypted)):
            found = decrypt(ciphertext, hand.p, hand.q)
            if found != right:
                return f"decrypt({ciphertext}, {hand.p}, {hand.q}): expected {right}, found {found}"
    return ""


EXERCISES = (
    Number(
        "02.1",
        "Ciphertexts are remainders mod n². How many different remainders mod n² are there for n = 143?",
        value=_LESSON.square,
        tolerance=0.0,
        unit="remainders",
        why="0 to n² - 1: a ciphertext is twice as long as a message",
        hints=("Mod 12 there are 12 remainders, 0 to 11.", "n times n."),
    ),
    Task(
        "02.2",
        "Write encrypt(m, r, n).",
        judge=_judge_encrypt,
        why="it agrees with the library on other keys, messages and masks",
        hints=("`pow(r, n, n**2)` is the mask's part.", "Take the remainder mod n² once more after multiplying."),
    ),
    Choice(
        "02.3",
        "Somebody encrypts 7 twice, with two different masks. What does the coordinator see?",
        options=(
            "twice the same ciphertext",
            "two ciphertexts that nothing visible connects",
            "two ciphertexts of which one is a multiple of 7",
        ),
        right=1,
        why="each mask makes another ciphertext, and without the secret key one cannot tell that both hold 7",
        hints=("What does r change in the formula?",),
    ),
    Task(
        "02.4",
        "Write decrypt(c, p, q).",
        judge=_judge_decrypt,
        why="it opens single ciphertexts and sums under other keys, too",
        hints=(
            "`lam = math.lcm(p - 1, q - 1)`, `u = pow(c, lam, n**2)`.",
            "`(u - 1) // n`, then times `pow(lam, -1, n)`, then mod n.",
        ),
    ),
    Number(
        "02.5",
        "With n = 143 we add 100 and 60. What comes out of the decryption?",
        value=_LESSON.decrypted,
        tolerance=0.0,
        unit="",
        why="sums are taken mod n; the wrong result looks like any other",
        hints=("Is 100 + 60 below n?", "Take the remainder."),
    ),
)

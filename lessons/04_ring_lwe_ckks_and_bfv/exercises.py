"""Exercises of lesson 04: Ring-LWE, CKKS and BFV."""

from __future__ import annotations

import numpy as np

from hefl_core.errors import ParameterError
from hefl_core.measure.precision import explored_bfv
from hefl_core.teaching.exercise import Choice, Number, Task

_FIELDS, _FIELD_BITS, _TERMS = 3, 14, 32


def _judge_product(answer: object) -> str:
    """Against polynomial division, on products that wrap and products that do not."""
    if not callable(answer):
        return "expected a function of (a, b, q)"
    draw = np.random.Generator(np.random.PCG64(4))
    one, last = np.array([0, 1, 0, 0]), np.array([0, 0, 0, 1])
    for a, b, q in ((one, one, 97), (one, last, 97), (draw.integers(0, 97, 8), draw.integers(0, 97, 8), 97)):
        n = len(a)
        whole = np.convolve(a, b)
        expected = (whole[:n] - np.append(whole[n:], 0)) % q
        found = np.asarray(answer(a.copy(), b.copy(), q))
        if found.shape != expected.shape or not np.array_equal(found, expected):
            return f"{a.tolist()} times {b.tolist()} modulo {q}: expected {expected.tolist()}, found {found.tolist()}"
    return ""


def _judge_parameters(answer: object) -> str:
    """By the rules every shipped preset obeys."""
    if not isinstance(answer, tuple) or len(answer) != 6 or not isinstance(answer[1], tuple):
        return "expected (degree, (bits of each prime), plain_bits, fields, field_bits, max_terms)"
    degree, primes, plain_bits, fields, field_bits, terms = answer
    if degree != 4096 or fields < _FIELDS or field_bits < _FIELD_BITS or terms < _TERMS:
        return f"expected N = 4096, ≥ {_FIELDS} fields of ≥ {_FIELD_BITS} bits, ≥ {_TERMS} terms, found {answer}"
    try:
        explored_bfv(degree, primes, plain_bits, fields, field_bits, terms)
    except ParameterError as error:
        return str(error)
    return ""


EXERCISES = (
    Task(
        "04.1",
        "Write ring_multiply(a, b, q): the product of two polynomials modulo q and `X^N + 1`.",
        judge=_judge_product,
        why="`X^N = -1`: what passes the end comes back at the front with the other sign.",
        hints=(
            "Coefficient i of a times coefficient j of b belongs to X^(i + j).",
            "Where i + j ≥ N it goes to place i + j - N, with a minus.",
        ),
    ),
    Choice(
        "04.2",
        "Suppose e were always zero. What would somebody without s do with c0, c1 and a guess of m?",
        options=("nothing: a is uniform", "solve linear equations for s", "factor q"),
        right=1,
        why="c0 - Δm = -a·s is N linear equations for the N coefficients of s: Gauss does it. Noise makes it a hard problem.",
        hints=("Without e, which unknowns are left in c0?", "How many equations are there, and of what degree?"),
    ),
    Number(
        "04.3",
        "q = 12289, t = 16, Δ = 768: the noise must stay below which absolute value for the rounding to be right?",
        value=lambda: 12289 // 16 / 2,
        tolerance=0.5,
        unit="",
        why="Half of Δ: beyond it the nearest multiple of Δ is the neighbour's.",
        hints=("You round to the nearest multiple of Δ.",),
    ),
    Choice(
        "04.4",
        "Encrypt and decrypt the same update several times under each scheme. Which error is the same every time?",
        options=("BFV's", "CKKS's", "both", "neither"),
        right=0,
        why="BFV rounds the noise away, what is left is the quantisation; CKKS keeps the noise, fresh each time.",
        hints=(
            "Which of the two rounds after decrypting?",
            "Quantisation happens before encryption and without randomness.",
        ),
    ),
    Number(
        "04.5",
        "How many bits of noise budget does each doubling of one ciphertext cost?",
        value=1.0,
        tolerance=0.0,
        unit="bits",
        why="The error is doubled exactly, one bit; different ciphertexts cost half a bit, since their errors partly cancel.",
        hints=("The noise of c + c is twice the noise of c.", "Bits are logarithms to base 2."),
    ),
    Task(
        "04.6",
        "Find safe BFV parameters at N = 4096 with ≥ 3 fields of ≥ 14 bits, for ≥ 32 terms.",
        judge=_judge_parameters,
        why="They obey the security tables and the noise rule, so that a sum decrypts wrongly with negligible probability only.",
        hints=(
            "Read what the refusal says: which of the numbers in it can you lower?",
            "plain_bits need not exceed fields · field_bits; narrower fields leave more of q to the noise.",
        ),
    ),
)

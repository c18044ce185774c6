"""Exercises of lesson 03: from Paillier to packed updates."""

from __future__ import annotations

from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.schemes.paillier.big_words import BigWords
from hefl_core.teaching.exercise import Choice, Number, Task


def _judge_packing(answer: object) -> str:
    """Fields of several widths, zero fields and none at all."""
    if not callable(answer):
        return "expected a function of (fields, field_bits)"
    for fields, width in (((1, 2, 3), 8), ((255, 0, 255), 8), ((5,), 20), ((0, 0, 1), 21), ((), 8)):
        expected = 0
        for field in reversed(fields):
            expected = (expected << width) + field
        if (found := answer(list(fields), width)) != expected:
            return f"fields {list(fields)} of {width} bits: expected {expected}, found {found}"
    return ""


EXERCISES = (
    Number(
        "03.1",
        "What is the largest error that rounding to the nearest step can make, at 8 bits and bound 1.0?",
        value=lambda: FixedPoint(8, 1).step(1.0) / 2,
        tolerance=0.00005,
        unit="in units of the entries",
        why="Half a step: an entry in the middle between two steps is as far from both.",
        hints=("How far can a number be from its nearest whole number?", "Half a step; the step is 1.0 / (2⁷ − 1)."),
    ),
    Number(
        "03.2",
        "A field has 20 bits. How many are left for the value when up to 16 clients are summed?",
        value=lambda: FixedPoint(20, 16).value_bits,
        tolerance=0,
        unit="bits",
        why="ceil(log₂ 16) bits are head-room, the rest is the value, sign included.",
        hints=("How many bits longer is a sum of 16 equal numbers?", "16 = 2⁴."),
    ),
    Task(
        "03.3",
        "Write pack_fields(fields, field_bits): one integer holding all fields, the first lowest.",
        judge=_judge_packing,
        why="Place k has the weight `2 ** (k * field_bits)`, so one addition adds every field.",
        hints=(
            "Shift each field to its place: `field << (place * field_bits)`.",
            "Add the shifted fields up with sum().",
        ),
    ),
    Choice(
        "03.4",
        "What comes out of adding [200, 7, 30] and [200, 5, 90] packed into 8-bit fields?",
        options=(
            "an error: the arithmetic notices",
            "only the first field is wrong",
            "the first field is too small and the second too large",
        ),
        right=2,
        why="The first field's carry lands in its neighbour, silently: 400 is 256 + 144.",
        hints=("Add 144 and 256 in your head as one number in two places.", "Where does the ninth bit live?"),
    ),
    Number(
        "03.5",
        "How many values does one ciphertext of paillier-packed hold (2047 usable bits, fields of 20 bits)?",
        value=lambda: BigWords(2047, 20).fields_per_block,
        tolerance=0,
        unit="values",
        why="A field is never cut in two: whole fields only.",
        hints=("Divide, and drop the rest.",),
    ),
    Choice(
        "03.6",
        "The cohort grows from 8 to 16 clients; fields stay as wide. What happens to the largest error of the mean?",
        options=(
            "it halves: more terms average it out",
            "it stays",
            "it doubles: one value bit became head-room",
        ),
        right=2,
        why="Each term errs by up to half a step, so does the mean; and the step doubled with the value bit that was lost.",
        hints=(
            "The mean's largest error is one term's largest error: half a step.",
            "How many value bits are there before and after?",
        ),
    ),
)

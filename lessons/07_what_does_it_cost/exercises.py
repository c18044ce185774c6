"""Exercises of lesson 07: what does it cost?"""

from __future__ import annotations

from typing import cast

from hefl_core.schemes.presets import BFVPreset
from hefl_core.schemes.registry import block_count, load_preset
from hefl_core.teaching.exercise import Choice, Number, Task


def _judge_blocks(answer: object) -> str:
    """Against the library's own count, around the edges of a block."""
    if not callable(answer):
        return "expected a function of (d, fields, degree)"
    for name in ("bfv-lean", "bfv-compact", "bfv-compact-2048"):
        preset = cast(BFVPreset, load_preset(name))
        full = (preset.degree - 3) * preset.fields
        for d in (1, 2_410, full, full + 1, 99_530):
            expected, found = block_count(preset, d), answer(d, preset.fields, preset.degree)
            if found != expected:
                return f"d = {d}, {preset.fields} fields, N = {preset.degree}: expected {expected}, found {found}"
    return ""


EXERCISES = (
    Number(
        "07.1",
        "bfv-lean: N = 4096 words per block, 2 fields per word, 3 words in front. How many blocks for 99,530 parameters?",
        value=lambda: block_count(load_preset("bfv-lean"), 99_530),
        tolerance=0,
        unit="blocks",
        why="Words: 3 and one for every two parameters; blocks are whole, so round up.",
        hints=("How many words do 99,530 fields fill, two to a word?", "Add 3, divide by 4096, round up."),
    ),
    Task(
        "07.2",
        "Write blocks_needed(d, fields, degree): blocks of a BFV update with 3 words in front.",
        judge=_judge_blocks,
        why="Round up twice: to whole words, then to whole blocks.",
        hints=("-(-a // b) rounds a / b up.", "words = 3 + d / fields rounded up; blocks = words / degree rounded up."),
    ),
    Choice(
        "07.3",
        "Which of these is the smallest upload for the large model?",
        options=("no encryption, float32", "ckks-lean", "paillier-packed", "bfv-compact-seeded"),
        right=3,
        why="Four fields to a word, and a seed instead of half of the ciphertext: fewer bytes than float32 itself.",
        hints=(
            "Which of them sends half a ciphertext?",
            "Quantised to twelve-bit fields, a value is shorter than float32.",
        ),
    ),
    Choice(
        "07.4",
        "Client's CPU for encrypting and decrypting: the TenSEAL tutorial's way compared with bfv-compact?",
        options=("about the same", "about twice as much", "more than five times as much"),
        right=2,
        why="Twice the degree, three primes instead of one, and half a value to a word instead of four.",
        hints=(
            "Count the words that each way computes with, per parameter.",
            "N = 8192 with three data primes for 4,096 values; N = 4096 with one for four times 4,096 values.",
        ),
    ),
    Choice(
        "07.5",
        "The cohort grows from 5 to 10 clients, fields stay as wide. What happens to one client's upload?",
        options=("it stays nearly the same", "it doubles", "it grows by half"),
        right=0,
        why="Each client sends its own update; more clients cost head-room, that is precision, not bytes up.",
        hints=("Whose parameters are in one upload?", "Does the number of blocks depend on K?"),
    ),
    Choice(
        "07.6",
        "Three of five hospitals must come together to decrypt, and forged sums must be caught by a tag. Which preset?",
        options=("bfv-compact-seeded", "ckks-threshold", "bfv-threshold", "ckks-nvflare"),
        right=2,
        why="It can be shared out, and its exact arithmetic carries a tag; symmetric and seeded ones need a whole key.",
        hints=("Who could encrypt with a secret key that nobody has?", "Which scheme's arithmetic is exact?"),
    ),
)

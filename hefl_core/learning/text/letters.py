"""Short discharge letters, all of them invented: text to train on, with what a real letter would give away."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hefl_core.learning.base import RawTable

LETTERS: Final = 900
LONGEST: Final = 21
"""Words of the longest letter."""
WARDS: Final = ("heart", "lungs", "bones")
_SEED: Final = 8_128
_WHO: Final = (
    "Mrs Harlow", "Mr Okafor", "Ms Lindqvist", "Mr Petrov", "Mrs Tanaka", "Ms Moreau", "Mr Brandt", "Mrs Silva", "Mr Novak",
    "Ms Adeyemi", "Mrs Keller", "Mr Haddad", "Ms Rossi", "Mr Jensen", "Mrs Kowalski", "Mr Delgado", "Ms Byrne", "Mrs Farouk",
    "Mr Whitlock", "Ms Yamada",
)  # fmt: skip
_CAME: Final = ("came in with", "was admitted with", "was brought in with", "reported")
_COMPLAINTS: Final = (
    ("chest pain", "an irregular pulse", "swollen legs", "palpitations at night", "breathlessness on stairs"),
    ("a dry cough", "breathlessness on stairs", "chest pain", "fever and chills", "wheezing at night"),
    ("a broken wrist", "a sore hip", "a fall on stairs", "swollen legs", "back pain at night"),
)
_FOUND: Final = (
    ("a narrow artery was opened", "the rhythm was restored", "a stent was placed", "the valve was repaired"),
    ("pneumonia was treated", "asthma was confirmed", "the lung was drained", "oxygen was given"),
    ("the joint was replaced", "a cast was applied", "the fracture was plated", "osteoporosis was confirmed"),
)
_HOME: Final = (
    ("aspirin", "bisoprolol", "warfarin", "ramipril"),
    ("amoxicillin", "salbutamol", "prednisolone", "steroids"),
    ("ibuprofen", "calcium", "paracetamol", "vitamins"),
)
_BACK: Final = ("tomorrow", "in May", "next week", "if worse")


def letters() -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """All letters and the ward of each, the same at every call. Names, ages and cases are invented.

    A third of the drugs is drawn from all wards, and complaints are shared: learnable, not separable by one word.

    Shapes: LETTERS texts of at most LONGEST words, labels (LETTERS,) into ``WARDS``.
    """
    draw = np.random.Generator(np.random.PCG64(_SEED))

    def one_of(choices: tuple[str, ...]) -> str:
        return choices[int(draw.integers(len(choices)))]

    texts, wards = [], draw.integers(0, len(WARDS), LETTERS)
    for ward in wards:
        drugs = _HOME[int(ward) if draw.random() < 2 / 3 else int(draw.integers(len(WARDS)))]
        parts = [one_of(_WHO), f"aged {draw.integers(31, 90)}", one_of(_CAME), one_of(_COMPLAINTS[ward])]
        if draw.random() < 0.7:
            parts.append(one_of(_FOUND[ward]))
        parts.append(f"takes {one_of(drugs)}")
        if draw.random() < 0.6:
            parts.append(f"returns {one_of(_BACK)}")
        texts.append(" ".join(parts))
    return tuple(texts), wards.astype(np.int64)


def vocabulary_of(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Every word of the texts, in order of the alphabet; number 0 is no word, for padding."""
    return ("", *sorted({word for text in texts for word in text.split()}))


def letters_table() -> tuple[RawTable, tuple[str, ...]]:
    """The letters as word numbers, padded with 0, and the vocabulary. Shapes: rows (LETTERS, LONGEST)."""
    texts, wards = letters()
    words = vocabulary_of(texts)
    number = {word: at for at, word in enumerate(words)}
    rows = np.zeros((len(texts), LONGEST))
    for row, text in zip(rows, texts, strict=True):
        numbers = [number[word] for word in text.split()]
        row[: len(numbers)] = numbers
    columns = tuple(f"word {place + 1}" for place in range(LONGEST))
    return RawTable("letters", columns, rows, wards, WARDS), words

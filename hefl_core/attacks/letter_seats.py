"""One update of letters, and the words that each seat reads from it: what the page shows word by word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hefl_core.attacks.lab import COORDINATOR, Lab, Setting
from hefl_core.attacks.methods import dager
from hefl_core.attacks.trials import read_words
from hefl_core.errors import DataError


@dataclass(frozen=True)
class WordsRead:
    """What one seat names. ``right``: of each word, whether it stands in the letters; ``whole``: nothing missing, nothing else."""

    seat: str
    words: tuple[str, ...]
    right: tuple[bool, ...]
    missing: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether all words are named, and no others."""
        return all(self.right) and not self.missing


@dataclass(frozen=True)
class LetterSeats:
    """The letters of one update, and what the seats read from it."""

    letters: tuple[str, ...]
    seats: tuple[WordsRead, ...]


def letter_seats(
    letter: int = 0, *, scheme: str = "bfv-lean", batch: int = 1, local_epochs: int = 1, seed: int = 7
) -> LetterSeats:
    """One client's update on ``batch`` letters from this one on, read in plain and from the scheme's ciphertext.

    Raises: DataError for a letter that is not there; ParameterError for a scheme that encrypts nothing.
    """
    setting = Setting(dataset="letters", network="attention", batch=batch, local_epochs=local_epochs, seed=seed)
    plain = Lab(setting)
    if not 0 <= letter < len(plain.data.train):
        raise DataError(f"letter: expected 0..{len(plain.data.train) - 1}, found {letter}; choose another")
    victims = plain.data.train.take(np.arange(letter, letter + batch) % len(plain.data.train))
    letters = tuple(plain.data.text(row) for row in victims.features)
    own = {word for text in letters for word in text.split()}
    found = []
    for lab in (plain, Lab(setting.but(seat=COORDINATOR, scheme=scheme))):
        view, _ = lab.trial(letter, examples=victims)
        words = read_words(plain.data, dager.words(view))
        right = tuple(word in own for word in words)
        found.append(WordsRead(view.seat, words, right, tuple(sorted(own - set(words)))))
    return LetterSeats(letters, tuple(found))

"""Yes and no in the languages of the reader's users: one pair of words for a whole column."""

from __future__ import annotations

from typing import Final

from hefl_core.tables.cells.cell import Cells, plain_sign
from hefl_core.tables.decision import refused, shown

DIGITS: Final = ("0", "1")
ONE_TWO: Final = ("1", "2")
"""Numbers, not a yes and a no; beside 0 and 1 at another client nobody knows which is which."""
YES_NO: Final = ("no", "yes")
PAIRS: Final = (
    DIGITS,
    YES_NO,
    ("n", "y"),
    ("nein", "ja"),
    ("n", "j"),
    ("false", "true"),
    ("f", "t"),
    ("falsch", "wahr"),
    ("non", "oui"),
    ("faux", "vrai"),
    ("no", "si"),
    ("no", "sí"),
    ("no", "sì"),
    ("falso", "verdadero"),
    ("falso", "vero"),
    ("-", "+"),
)
"""Words for 0 and for 1, in lower case."""
_WORDS: Final = frozenset(word for pair in PAIRS for word in pair)


def pair_of(texts: tuple[str, ...]) -> tuple[str, str] | None:
    """The pair of words that these texts belong to, or None.

    >>> pair_of(("Ja", "nein")), pair_of(("no",)), pair_of(("yes", "nein"))
    (('nein', 'ja'), ('no', 'yes'), None)
    """
    lowered = {plain_sign(text.lower()) for text in texts}
    return next((pair for pair in PAIRS if lowered and lowered <= set(pair)), None)


def truth_of(word: str) -> int:
    """0 for a no, 1 for a yes, in any of the languages."""
    return next(pair.index(word) for pair in PAIRS if word in pair)


def read_booleans(cells: Cells) -> tuple[str, str] | None:
    """The column's two words for 0 and 1, or None if it is not boolean.

    Raises: DataError with the odd line if every cell is a yes or a no, but not in one language.
    """
    pair = pair_of(cells.texts)
    if pair is not None or not cells.texts or not all(text.lower() in _WORDS for text in cells.texts):
        return pair
    usual = max(PAIRS, key=lambda one: cells.count(lambda text: text.lower() in one))
    at = next(at for at, text in enumerate(cells.texts) if text.lower() not in usual)
    raise refused(
        f"line {cells.first_line(at)}, column {shown(cells.name)}",
        f"{usual[1]} or {usual[0]} as in most lines",
        shown(cells.texts[at]),
        "write all cells alike, or declare the column a category",
    )

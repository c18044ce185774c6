"""Which clients failed a round that goes on: its later attempts ask others, where enough of them remain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hefl_core.wire.envelope import Position

ACCUSED: Final = 1
"""A reader says that it cannot open this holder's part: one of the two deviates, and nobody can tell which."""
GAVE_NO_PART: Final = 2
"""A holder said that it is ready, was named, and gave no part: nothing has to be believed."""


class Standing:
    """Failures of the round under way. A new round begins without any: a client may have been away.

    A reader is heard once per round: else one client that accuses another holder in every attempt would use all of them up.

    >>> standing, place, names = Standing(), Position(1, 1), ("a", "b", "c")
    >>> standing.accuse("b", "a", place), standing.accuse("c", "a", place), standing.others(names, 2, place)
    (True, False, ('a', 'c'))
    >>> standing.fail("a", place), standing.others(names, 2, place), standing.others(names, 3, place)
    (None, ('b', 'c'), ('a', 'b', 'c'))
    """

    def __init__(self) -> None:
        self._round = 0
        self._failed: dict[str, int] = {}
        self._heard: set[str] = set()

    def fail(self, holder: str, position: Position) -> None:
        """A named holder gave no part."""
        self._enter(position.round)
        self._failed[holder] = GAVE_NO_PART

    def accuse(self, holder: str, reader: str, position: Position) -> bool:
        """A reader cannot open a holder's part. Returns whether that counts."""
        self._enter(position.round)
        if reader in self._heard:
            return False
        self._heard.add(reader)
        self._failed[holder] = max(ACCUSED, self._failed.get(holder, 0))
        return True

    def others(self, names: Sequence[str], need: int, position: Position) -> tuple[str, ...]:
        """``names`` without those that failed in this round, the gravest and earliest first, as long as ``need`` remain."""
        failed = self._failed if position.round == self._round else {}
        room = max(0, len(names) - need)
        out = sorted((name for name in failed if name in names), key=lambda name: -failed[name])[:room]
        return tuple(name for name in names if name not in out)

    def _enter(self, number: int) -> None:
        if number != self._round:
            self._round, self._failed, self._heard = number, {}, set()

"""The three rounds of round zero: names and categories, then means, then spreads. Each is one encrypted sum.

One vector carries all three, each in a part of its own, so that what is agreed so far can be read from the model alone:
a client that restarts has lost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.errors import DataError
from hefl_core.tables.agreement import refuse_shifted
from hefl_core.tables.decision import refused
from hefl_core.tables.round_zero.dictionary import Dictionary
from hefl_core.tables.round_zero.limbs import Digits, Limbs
from hefl_core.tables.round_zero.proposals import having, texts, united
from hefl_core.tables.schema import TableSchema, propose
from hefl_core.tables.statistics import centred, length, require_possible, require_same, scaling_from, sums, with_rows
from hefl_core.tables.table import Table

ROUNDS: Final = 3
NAMES, MEANS, SPREADS = 1, 2, 3
CELLS: Final = 640
NUMBERS: Final = 512
_WIDTH, _FRACTION = 288, 160
_EXACT: Final = 0.25
"""A total this far from a whole number is none."""
Read: TypeAlias = Callable[[TableSchema | None], Table]
"""A client's own table, read freely (None) or as a schema declares."""


@dataclass(frozen=True, eq=False)
class Agreed:
    """What all clients know after round zero. ``totals``: rows, then each column's counts or sums, then the classes' counts.

    Shapes: totals float64 (statistics.length(schema),).
    """

    schema: TableSchema
    totals: npt.NDArray[np.float64]
    clients: int


@dataclass(frozen=True)
class AgreementRounds:
    """The layout of round zero's vector for ``clients`` clients and limbs of ``bits``.

    First one mark for each client and round in which it takes part, then the names, then two times the sums.
    """

    clients: int
    bits: int
    cells: int = CELLS
    numbers: int = NUMBERS

    @cached_property
    def _names(self) -> Dictionary:
        return Dictionary(self.cells, self.bits)

    @cached_property
    def _number(self) -> Limbs:
        return Limbs(self.bits, _WIDTH, _FRACTION)

    @property
    def unit(self) -> float:
        """One in a limb, as an entry of the vector."""
        return math.ldexp(1.0, -self.bits)

    @property
    def parameters(self) -> int:
        """Entries of the vector, d."""
        return self._marks + self._names.length + 2 * self._sums_length

    @property
    def _marks(self) -> int:
        return ROUNDS * self.clients

    @property
    def _sums_length(self) -> int:
        return self.numbers * self._number.count

    def part(self, round_: int) -> slice:
        """Entries that a round fills."""
        start = self._marks + self._names.length
        if round_ == NAMES:
            return slice(self._marks, start)
        return slice(start + (round_ - MEANS) * self._sums_length, start + (round_ - MEANS + 1) * self._sums_length)

    def update(self, mean: npt.NDArray[np.float32], round_: int, client: int, read: Read) -> Digits:
        """What client ``client`` (from 1) adds in a round, after the mean of all clients' vectors so far.

        Shapes: mean (parameters,) to (parameters,), limbs over 2^bits, so that every entry is within ±1.
        Leaks: to the clients, and to nobody else, the total of all clients.
        Raises: DataError for a table that does not fit what was agreed, or more columns than there is room for.
        """
        made = np.zeros(self.parameters)
        made[(round_ - 1) * self.clients + client - 1] = 1
        with _about(client):
            proposed = set(texts(propose(read(None))))
        if round_ == NAMES:
            made[self.part(round_)] = self._names.write(proposed)
            return made * self.unit
        self._require_named(mean, proposed)
        schema = self.named(mean) if round_ == MEANS else self.middled(mean)
        with _about(client):
            own = sums(read(schema), schema)
        if len(own) > self.numbers:
            found = f"{len(own)} for {len(schema.learnt)} columns"
            raise refused("round zero", f"up to {self.numbers} sums", found, "take columns out of the files")
        digits = np.concatenate([self._number.split(float(one)) for one in own])
        at = self.part(round_)
        made[at.start : at.start + len(digits)] = digits
        return made * self.unit

    def _require_named(self, mean: npt.NDArray[np.float32], own: set[bytes]) -> None:
        """A total that lacks a name of one's own was changed by another client. Raises: DataError."""
        lost = own - {text for text, _ in self._counted(mean)}
        if lost:
            found = f"{len(lost)} missing: another client took them out"
            raise refused("round zero", "all names of this table in the total", found, "find out who, and run it again")

    def named(self, mean: npt.NDArray[np.float32]) -> TableSchema:
        """The schema without scaling, after the first round. Raises: DataError where clients' tables do not fit."""
        return united(self._counted(mean), self.present(mean, NAMES))

    def _counted(self, mean: npt.NDArray[np.float32]) -> tuple[tuple[bytes, int], ...]:
        """All names and how many clients have each; decoded once for the same vector."""
        return _decoded(self, mean[: self.part(NAMES).stop].astype(np.float32).tobytes())

    def read_names(self, mean: npt.NDArray[np.float32]) -> tuple[tuple[bytes, int], ...]:
        """Decode the names. Shapes: marks and names of the mean. Raises: DataError for totals of something else."""
        return self._names.read(self._totals(mean, NAMES))

    def middled(self, mean: npt.NDArray[np.float32]) -> TableSchema:
        """The schema with each column's mean, after the second round."""
        schema = self.named(mean)
        totals = self._sums(mean, MEANS, schema)
        require_possible(schema, totals)
        return centred(schema, totals)

    def agreed(self, mean: npt.NDArray[np.float32]) -> Agreed:
        """The whole agreement, after the third round. Shapes: mean float32 (parameters,)."""
        middle = self.middled(mean)
        totals = self._sums(mean, SPREADS, middle)
        require_possible(middle, totals)
        require_same(middle, self._sums(mean, MEANS, middle), totals)
        schema, totals = with_rows(scaling_from(middle, totals), totals)
        clients, classes = self.present(mean, NAMES), having(self._counted(mean))
        refuse_shifted(schema.label, {name: classes[name] for name in schema.classes if name in classes}, clients)
        return Agreed(schema, totals, clients)

    def present(self, mean: npt.NDArray[np.float32], round_: int) -> int:
        """Number of clients in a round's sum: each marks its own place, and the mean of a mark is one over that number.

        Raises: DataError for marks that are none, or of other clients than in the first round.
        """
        marks = mean[: self._marks].reshape(ROUNDS, self.clients) / self.unit
        count = int(np.count_nonzero(marks[round_ - 1]))
        if not count or np.abs(marks[round_ - 1][marks[round_ - 1] != 0] * count - 1).max() > _EXACT:
            raise refused("round zero", "a mark of each client", "other numbers", "run the agreement again")
        if ((marks[round_ - 1] != 0) != (marks[0] != 0)).any():
            found = "others: a client came or left in between"
            raise refused("round zero", "the clients of its first round in every round", found, "run it again")
        return count

    def _sums(self, mean: npt.NDArray[np.float32], round_: int, schema: TableSchema) -> npt.NDArray[np.float64]:
        totals = self._totals(mean, round_).reshape(self.numbers, -1)[: length(schema)]
        return np.array([float(self._number.join(part)) for part in totals])

    def _totals(self, mean: npt.NDArray[np.float32], round_: int) -> Digits:
        """Whole totals from means. Raises: DataError when they are not whole."""
        totals = mean[self.part(round_)].astype(np.float64) / self.unit * self.present(mean, round_)
        whole = np.rint(totals)
        if np.abs(totals - whole).max() > _EXACT:
            raise refused("round zero", "whole totals", "fractions: a client sent something else", "run it again")
        return whole


@contextmanager
def _about(client: int) -> Iterator[None]:
    """What is wrong with one client's table is said with its number; what is wrong with the total is nobody's."""
    try:
        yield
    except DataError as error:
        raise DataError(f"table of client {client}: {error}") from error


@lru_cache(maxsize=4)
def _decoded(rounds: AgreementRounds, content: bytes) -> tuple[tuple[bytes, int], ...]:
    # By content: every client of this process, and every later round, has the same names.
    return rounds.read_names(np.frombuffer(content, np.float32))

"""Quorum of a key: any t of n holders decrypt together. Individual custody is the case t = 1."""

from __future__ import annotations

from dataclasses import dataclass

from hefl_core.errors import ParameterError


@dataclass(frozen=True, slots=True)
class Quorum:
    """``threshold`` of ``holders``: 1 of n means that each client holds the whole key.

    Raises: ParameterError unless 1 ≤ threshold ≤ holders.
    """

    threshold: int
    holders: int

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= self.holders:
            raise ParameterError(
                f"quorum: expected 1 ≤ t ≤ n, found {self.threshold} of {self.holders}", "choose t between 1 and n"
            )

    @property
    def collective(self) -> bool:
        """Whether no holder can decrypt alone."""
        return self.threshold > 1

    @property
    def majority(self) -> bool:
        """Whether two groups that can decrypt have a member in common: t > n/2."""
        return 2 * self.threshold > self.holders

    def __str__(self) -> str:
        return f"{self.threshold}-of-{self.holders}"

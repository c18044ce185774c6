"""Phase of a round that a party's work belongs to: the one rule for counting, measuring and forecasting costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from hefl_core.federation.record.transcript import Sent
from hefl_core.ids import COORDINATOR
from hefl_core.terms.letter import Spent, Work

Unit = Literal["seconds", "cpu_seconds"]
Phase = Literal["train", "encrypt", "aggregate", "decrypt"]
PHASE_NAMES: tuple[Phase, ...] = ("train", "encrypt", "aggregate", "decrypt")
PHASES: Mapping[str, Phase] = {
    "train": "train",
    "encrypt": "encrypt",
    "seal": "encrypt",
    "admit": "aggregate",
    "aggregate": "aggregate",
    "partial": "decrypt",
    "decrypt": "decrypt",
}
"""By step. The auditor's work counts in the wall time only."""


def work_on_record(sent: Iterable[Sent]) -> Iterator[Work]:
    """The coordinator's work, from its messages. Clients' costs are on no record: they grow with n_k."""
    for entry in sent:
        if entry.sender == COORDINATOR:
            yield from entry.work


def work_of(spent: Iterable[Spent]) -> Iterator[Work]:
    """All work of these messages."""
    for one in spent:
        yield from one.work


def phase_totals(works: Iterable[Work], unit: Unit) -> dict[Phase, float]:
    """Seconds per phase."""
    totals = dict.fromkeys(PHASE_NAMES, 0.0)
    for work in works:
        if phase := PHASES.get(work.step):
            totals[phase] += getattr(work, unit)
    return totals

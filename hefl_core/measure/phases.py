"""Which phase of a round a party's piece of work belongs to: the one rule by which costs are counted, measured and forecast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from hefl_core.federation.letter import Spent, Work
from hefl_core.federation.record.transcript import Sent
from hefl_core.ids import COORDINATOR

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
"""By the name of the step. The auditor's work is not the coordinator's and counts in the wall time only."""


def work_on_record(sent: Iterable[Sent]) -> Iterator[Work]:
    """The coordinator's work, as its messages say it. Clients' costs are on no record: they grow with n_k."""
    for entry in sent:
        if entry.sender == COORDINATOR:
            yield from entry.work


def work_of(spent: Iterable[Spent]) -> Iterator[Work]:
    """All work of some messages."""
    for one in spent:
        yield from one.work


def phase_totals(works: Iterable[Work], unit: Unit) -> dict[Phase, float]:
    """Seconds per phase."""
    totals = dict.fromkeys(PHASE_NAMES, 0.0)
    for work in works:
        if phase := PHASES.get(work.step):
            totals[phase] += getattr(work, unit)
    return totals

"""Which phase of a round a party's piece of work belongs to: the one rule by which costs are counted, measured and forecast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from hefl_core.federation.transcript import Sent

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


def phase_totals(sent: Iterable[Sent], unit: Literal["seconds", "cpu_seconds"]) -> dict[str, float]:
    """Seconds per phase of these messages' work, all parties but the auditor together."""
    totals: dict[str, float] = dict.fromkeys(PHASE_NAMES, 0.0)
    for entry in sent:
        if entry.sender == "auditor":
            continue
        for work in entry.work:
            if phase := PHASES.get(work.step):
                totals[phase] += getattr(work, unit)
    return totals

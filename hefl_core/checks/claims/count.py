"""How many claims hold on a run, fail, lack what they need, or rest on a source: one sentence's worth of numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hefl_core.checks.claims.claim import Claim
from hefl_core.runtime.result import ClaimVerdict, Finding


@dataclass(frozen=True)
class Count:
    """Claims by what a run says of them. ``silent``: executed ones that do not speak of this run, or lack what they need."""

    holds: int
    fails: int
    silent: int
    argued: int


def count(claims: Iterable[Claim[Any]], findings: Iterable[Finding]) -> Count:
    """Count every claim once."""
    found = {finding.id: finding.verdict for finding in findings}
    listed = tuple(claims)
    executed = [found.get(claim.id) for claim in listed if claim.kind == "executed"]
    holds, fails = executed.count(ClaimVerdict.HOLDS), executed.count(ClaimVerdict.FAILS)
    return Count(holds, fails, len(executed) - holds - fails, len(listed) - len(executed))

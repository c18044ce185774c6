"""One finished run of a sweep: its numbers, as they stand in the tables."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from hefl_core.errors import DataError
from hefl_core.runtime.result import RunResult

LAST_ROUNDS = 3
"""The mean of so many last rounds stands beside the last one: single rounds of skewed trainings jump."""


@dataclass(frozen=True, slots=True)
class RoundRow:
    """One round. Units: seconds of CPU of all parties that told; bytes of one client's upload."""

    round: int
    accuracy: float | None
    loss: float | None
    max_abs_error: float | None
    fedavg_error: float | None
    upload: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run. ``failed``: claims that its checks found broken. Leaks: what `run --json` leaks, and less of it."""

    id: str
    setting: str
    seed: int
    parameters: int
    rounds: tuple[RoundRow, ...]
    failed: tuple[str, ...]
    insecure: tuple[str, ...]
    version: str

    def last(self, measure: str) -> float | None:
        """A measure after the last round."""
        return _number(self.rounds[-1], measure)

    def settled(self, measure: str) -> float | None:
        """The mean of a measure over the last rounds; None where a round has none."""
        found = [_number(one, measure) for one in self.rounds[-LAST_ROUNDS:]]
        told = [value for value in found if value is not None]
        return sum(told) / len(told) if len(told) == len(found) else None

    def to_json(self) -> bytes:
        """Every field, as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> RunRow:
        """Read :meth:`to_json` back. Raises: DataError for anything else."""
        try:
            return msgspec.json.decode(data, type=cls)
        except msgspec.MsgspecError as error:
            raise DataError(
                f"run of a sweep: expected its JSON, found {error}; delete the file, it is made again"
            ) from error


def row_of(id: str, setting: str, result: RunResult, version: str) -> RunRow:
    """The numbers of a finished, checked run."""
    return RunRow(
        id=id,
        setting=setting,
        seed=result.experiment.seed,
        parameters=result.parameters,
        rounds=tuple(
            RoundRow(
                round=one.round,
                accuracy=one.accuracy,
                loss=one.loss,
                max_abs_error=one.max_abs_error,
                fedavg_error=one.fedavg_error,
                upload=one.bytes.upload_per_client,
                cpu_seconds=sum(
                    spent or 0.0
                    for spent in (
                        one.cpu_seconds.train,
                        one.cpu_seconds.encrypt,
                        one.cpu_seconds.aggregate,
                        one.cpu_seconds.decrypt,
                    )
                ),
            )
            for one in result.rounds
        ),
        failed=tuple(finding.id for finding in result.failed),
        insecure=result.insecure,
        version=version,
    )


def _number(one: RoundRow, measure: str) -> float | None:
    found = getattr(one, measure)
    return None if found is None else float(found)

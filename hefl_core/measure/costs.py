"""Costs of encryption: forecasts by scheme, by party, by model size and by cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hefl_core.measure.forecast import Forecast, forecast
from hefl_core.schemes.registry import load_preset
from hefl_core.terms.experiment import SMALLEST_COHORT, Experiment

SIZES = (1_000, 10_000, 100_000, 1_000_000)
COHORTS = (3, 5, 10, 16)


@dataclass(frozen=True, slots=True)
class Bill:
    """One party's part of one round. Units: bytes, CPU seconds."""

    party: str
    sent: int
    received: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Growth:
    """One scheme's cost at several sizes. ``bytes_up`` of one client, ``cpu_seconds`` of all parties, per round."""

    scheme: str
    at: tuple[int, ...]
    bytes_up: tuple[int, ...]
    cpu_seconds: tuple[float, ...]


def bills(said: Forecast) -> tuple[Bill, Bill]:
    """Costs of a round to one client and to the coordinator."""
    client = Bill("one client", said.bytes_up, said.bytes_down, said.cpu.clients / said.clients)
    return client, Bill("the coordinator", said.coordinator_out, said.coordinator_in, said.cpu.aggregate)


def under(experiment: Experiment, scheme: str, clients: int | None = None) -> Experiment:
    """The same experiment under another scheme, with the same custody where possible, else individual.

    Raises: ParameterError.
    """
    count = clients or experiment.clients
    together = experiment.quorum.collective and load_preset(scheme).collective
    custody = experiment.custody if together and count == experiment.clients else "individual"
    floor = None if count != experiment.clients else experiment.min_cohort
    return experiment.under(scheme, clients=count, custody=custody, min_cohort=floor, bound=None)


def side_by_side(experiment: Experiment, parameters: int, schemes: Sequence[str]) -> tuple[Forecast, ...]:
    """A forecast per scheme. Raises: ParameterError."""
    return tuple(forecast(under(experiment, name), parameters) for name in schemes)


def with_model_size(experiment: Experiment, scheme: str, sizes: Sequence[int] = SIZES) -> Growth:
    """Cost of a round at several d. Raises: ParameterError."""
    said = [forecast(under(experiment, scheme), d) for d in sizes]
    return Growth(scheme, tuple(sizes), tuple(f.bytes_up for f in said), tuple(f.cpu.total for f in said))


def with_cohort(experiment: Experiment, scheme: str, parameters: int, cohorts: Sequence[int] = COHORTS) -> Growth:
    """Cost of a round for each K that the preset has head-room for. Raises: ParameterError."""
    fit = tuple(k for k in cohorts if k <= most_clients(scheme))
    said = [forecast(under(experiment, scheme, k), parameters) for k in fit]
    return Growth(scheme, fit, tuple(f.bytes_up for f in said), tuple(f.cpu.total for f in said))


TOGETHER = {"bfv": "bfv-threshold", "ckks": "ckks-threshold", "paillier": "paillier-packed", "onetime": "onetime"}
"""The preset of each family whose key can be shared."""


@dataclass(frozen=True)
class SharedKeys:
    """One round with a key that each client holds whole, and with one that some must use together."""

    alone: Forecast
    together: Forecast
    threshold: int

    @property
    def upload(self) -> float:
        """Bytes that one client sends, shared over whole."""
        return self.together.bytes_up / self.alone.bytes_up

    @property
    def cpu(self) -> float:
        """CPU of everybody's encryption work, shared over whole."""
        return self.together.cpu.total / self.alone.cpu.total


def shared_keys(experiment: Experiment, parameters: int) -> SharedKeys | None:
    """What a shared key costs; None where this family's key cannot be shared. Raises: ParameterError.

    The experiment's own custody if it is shared, else 2 holders of all.
    """
    chosen = experiment.preset
    if chosen.family not in TOGETHER or experiment.clients < SMALLEST_COHORT:
        return None
    together = experiment
    if not experiment.quorum.collective:
        scheme = experiment.scheme if chosen.collective else TOGETHER[chosen.family]
        together = experiment.under(scheme, custody=f"2-of-{experiment.clients}", min_cohort=None, bound=None)
    lean = {"bfv": "bfv-lean", "ckks": "ckks-lean"}.get(chosen.family, experiment.scheme)
    whole = lean if experiment.quorum.collective else experiment.scheme
    alone = experiment.under(whole, custody="individual", min_cohort=None, bound=None)
    return SharedKeys(forecast(alone, parameters), forecast(together, parameters), together.quorum.threshold)


HOME_LINE = 10
"""Megabits a second of a slow line, for a feeling of sizes."""


def on_a_slow_line(nbytes: int) -> float:
    """Milliseconds that these bytes take at ``HOME_LINE``.

    >>> on_a_slow_line(1_250_000)
    1000.0
    """
    return 8 * nbytes / (HOME_LINE * 1e3)


def most_clients(scheme: str) -> int:
    """Most terms of a sum under this preset."""
    return int(getattr(load_preset(scheme), "max_terms", 1000))


def can_carry(scheme: str, clients: int) -> bool:
    """Whether a sum of ``clients`` updates fits."""
    return clients <= most_clients(scheme)

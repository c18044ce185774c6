"""Forecast of a round's costs: bytes exactly, CPU and memory from a short calibration of this machine."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from hefl_core.federation.record.transcript import Sent, Transcript
from hefl_core.measure.calibration import Calibration, calibrate, units
from hefl_core.measure.sizes import round_bytes
from hefl_core.terms.experiment import Experiment
from hefl_core.terms.messages import SUM, UPDATE


@dataclass(frozen=True, slots=True)
class PhaseSeconds:
    """CPU seconds of one round's encryption work. Clients' phases are summed over the clients, as results report them."""

    encrypt: float
    aggregate: float
    decrypt: float

    @property
    def clients(self) -> float:
        """Sum over the clients."""
        return self.encrypt + self.decrypt

    @property
    def total(self) -> float:
        """Sum over all parties, without training."""
        return self.encrypt + self.aggregate + self.decrypt


@dataclass(frozen=True, slots=True)
class Forecast:
    """One round after the first, before it is run.

    Units: bytes; CPU seconds; memory in bytes: working memory of the heaviest step, above what the process already has.
    """

    scheme: str
    custody: str
    clients: int
    parameters: int
    bytes_up: int
    bytes_down: int
    first_extra: int
    coordinator_in: int
    coordinator_out: int
    plaintext_update: int
    cpu: PhaseSeconds
    client_memory: int
    coordinator_memory: int

    @property
    def expansion(self) -> float:
        """Upload over the plain float32 update."""
        return self.bytes_up / self.plaintext_update


def forecast(experiment: Experiment, parameters: int, calibration: Calibration | None = None) -> Forecast:
    """Forecast one round of this experiment with d parameters.

    ``calibration`` None: of this machine, under a second for the ring presets, measured once per process.
    Raises: ParameterError for an unknown preset or one that cannot be held so.
    """
    collective = experiment.quorum.collective
    lines = calibration or calibrate(experiment.scheme, collective=collective)
    size = round_bytes(experiment, parameters)
    n = units(experiment.preset.name, parameters)
    return Forecast(
        scheme=experiment.scheme,
        custody=experiment.custody,
        clients=experiment.clients,
        parameters=parameters,
        bytes_up=size.up,
        bytes_down=size.down,
        first_extra=size.first_extra,
        coordinator_in=size.coordinator_in,
        coordinator_out=size.coordinator_out,
        plaintext_update=4 * parameters,
        cpu=_cpu(lines, n, experiment),
        client_memory=round(lines.client_memory(n)),
        coordinator_memory=round(lines.coordinator_memory(n)),
    )


def _cpu(lines: Calibration, n: int, experiment: Experiment) -> PhaseSeconds:
    clients, threshold = experiment.clients, experiment.quorum.threshold
    # Calibrated at 2 of 4, or at 3 clients: only what exceeds that is added.
    decrypt = lines.decrypt(n)
    if lines.collective:
        decrypt += lines.per_partial * n * (threshold - 2) + lines.partial(n) * threshold / clients
    else:
        decrypt += lines.per_term * (clients - 3)
    return PhaseSeconds(
        encrypt=clients * lines.encrypt(n), aggregate=clients * lines.admit(n), decrypt=clients * max(0.0, decrypt)
    )


@dataclass(frozen=True, slots=True)
class ForecastError:
    """|forecast - measured| / measured. ``cpu``: of all encryption work together, None where the clients reported nothing."""

    bytes_up: float
    bytes_down: float
    cpu: float | None
    encrypt: float | None
    aggregate: float | None
    decrypt: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """The same quantities measured in a run: medians over its rounds, without the first (warm-up) if there are more.

    ``first``: there was only the first, which brings θ_0. ``cpu``: None where the clients reported nothing.
    """

    bytes_up: int
    bytes_down: int
    cpu: PhaseSeconds | None
    first: bool


@dataclass(frozen=True, slots=True)
class Outlook:
    """A forecast beside the measurement: part of a result."""

    forecast: Forecast
    measured: Measured
    error: ForecastError


def measured(transcript: Transcript, cpu: Sequence[PhaseSeconds | None]) -> Measured:
    """Read a round's bytes off a transcript. ``cpu``: of each round, where known.

    Raises: ValueError when no round is on record.
    """
    rounds = _rounds(transcript)
    if not rounds:
        raise ValueError("forecast: expected a transcript with at least one round, found none")
    later = rounds[1:] or rounds
    traffic = [_traffic(sent) for sent in later]
    return Measured(
        bytes_up=round(statistics.median(up for up, _ in traffic)),
        bytes_down=round(statistics.median(down for _, down in traffic)),
        cpu=_middle([found for found in (cpu[1:] or cpu) if found is not None]),
        first=len(rounds) == 1,
    )


def _middle(found: Sequence[PhaseSeconds]) -> PhaseSeconds | None:
    if not found:
        return None
    names = ("encrypt", "aggregate", "decrypt")
    return PhaseSeconds(*(statistics.median(getattr(one, name) for one in found) for name in names))


def _rounds(transcript: Transcript) -> list[list[Sent]]:
    """Messages of each completed round: those of its last attempt."""
    sums = {sent.position.round: sent.position for sent in transcript.sent if sent.step == SUM}
    return [[sent for sent in transcript.of_round(number) if sent.position == at] for number, at in sums.items()]


def _traffic(sent: Sequence[Sent]) -> tuple[int, int]:
    """The largest upload, and what one contributor receives."""
    uploads = [entry for entry in sent if entry.step == UPDATE]
    first = min(uploads, key=lambda entry: entry.sender).sender
    down = sum(entry.nbytes for entry in sent if first in entry.receivers)
    return max(entry.nbytes for entry in uploads), down


def outlook(
    transcript: Transcript, cpu: Sequence[PhaseSeconds | None], calibration: Calibration | None = None
) -> Outlook:
    """Forecast and measured costs of a transcript's run. Raises: as :func:`forecast`, :func:`measured`."""
    manifest = transcript.manifest
    said, found = forecast(manifest.experiment, manifest.parameters, calibration), measured(transcript, cpu)
    return Outlook(said, found, forecast_error(said, found))


def forecast_error(said: Forecast, found: Measured) -> ForecastError:
    """Relative errors of a forecast."""
    came = found.cpu
    return ForecastError(
        bytes_up=_off(said.bytes_up, found.bytes_up),
        bytes_down=_off(said.bytes_down + (said.first_extra if found.first else 0), found.bytes_down),
        cpu=None if came is None else _off(said.cpu.total, came.total),
        encrypt=None if came is None else _off(said.cpu.encrypt, came.encrypt),
        aggregate=None if came is None else _off(said.cpu.aggregate, came.aggregate),
        decrypt=None if came is None else _off(said.cpu.decrypt, came.decrypt),
    )


def _off(said: float, found: float) -> float:
    return abs(said - found) / found if found else float(said != found)

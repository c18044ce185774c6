"""What a run leaves behind, in the shape of ``run --json``."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import msgspec

from hefl_core.federation.client import Observation
from hefl_core.federation.dp import Guarantee
from hefl_core.federation.experiment import Experiment
from hefl_core.federation.record.transcript import LeftOut, Transcript
from hefl_core.federation.remarks import remarks_on
from hefl_core.measure.forecast import Outlook, PhaseSeconds, outlook
from hefl_core.schemes.flooding import Flooding

if TYPE_CHECKING:
    from hefl_core.probes.findings import Blindness
    from hefl_core.runtime.stage import Host


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds per phase; train, encrypt and decrypt are summed over the clients that told the observer, else None."""

    train: float | None
    encrypt: float | None
    aggregate: float
    decrypt: float | None


@dataclass(frozen=True, slots=True)
class WallPhases:
    """Like Phases, on the wall clock, with the whole round."""

    train: float | None
    encrypt: float | None
    aggregate: float
    decrypt: float | None
    total: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes on the wire. ``plaintext_update``: 4 per parameter, what plain FedAvg would send."""

    upload_per_client: int
    download_per_client: int
    plaintext_update: int


@dataclass(frozen=True, slots=True)
class RoundResult:
    """One round as the observer measured it.

    ``accuracy`` and ``loss`` on the common hold-out set and ``max_abs_error`` (against the plaintext weighted mean of the
    same updates) are None when the experiment is not observed. ``model``: SHA-256 of θ, equal at all clients that were seen;
    ``models``: all that were seen.
    """

    round: int
    attempts: int
    contributors: tuple[str, ...]
    accuracy: float | None
    loss: float | None
    max_abs_error: float | None
    error_bound: float | None
    model: str | None
    seconds: WallPhases
    cpu_seconds: Phases
    bytes: Traffic
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Environment:
    """Versions that decide what happened."""

    python: str
    tenseal: str
    phe: str
    ray: str
    tensorflow: str
    numpy: str
    machine: str
    cpus: int

    @classmethod
    def here(cls) -> Environment:
        """Of this process."""
        return cls(
            python=platform.python_version(),
            tenseal=_version("tenseal"),
            phe=_version("phe"),
            ray=_version("ray"),
            tensorflow=_version("tensorflow-cpu") or _version("tensorflow"),
            numpy=_version("numpy"),
            machine=f"{platform.system()} {platform.machine()}",
            cpus=os.cpu_count() or 1,
        )


class ClaimVerdict(StrEnum):
    """What a check says of a claim. ``NOT_CHECKED``: it lacked what it needs, so it says neither."""

    HOLDS = "holds"
    FAILS = "fails"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one claim's check found on one run. ``evidence``: a sentence with the numbers, or what was missing.

    ``holds`` says the verdict to programs: true, false, or null where nothing was checked.
    """

    id: str
    verdict: ClaimVerdict
    evidence: str
    holds: bool | None = field(init=False)

    def __post_init__(self) -> None:
        holds = {ClaimVerdict.HOLDS: True, ClaimVerdict.FAILS: False}.get(self.verdict)
        object.__setattr__(self, "holds", holds)


@dataclass(frozen=True)
class RunResult:
    """A finished run. The JSON form carries neither the transcript nor the observations (the clients' private side).

    ``refusals``: how many messages each party refused or had already, by kind of error, those that no post carried included.
    ``hosts``: the processes that the parties lived in, and on which nodes.
    """

    experiment: Experiment
    runtime: str
    environment: Environment
    parameters: int
    key_id: str
    cold_start_seconds: float
    rounds: tuple[RoundResult, ...]
    insecure: tuple[str, ...]
    shared_processes: tuple[str, ...]
    transcript: Transcript
    observations: dict[int, tuple[Observation, ...]] = field(default_factory=dict, repr=False)
    claims: tuple[Finding, ...] = ()
    forecast: Outlook | None = None
    blindness: Blindness | None = None
    refusals: dict[str, dict[str, int]] = field(default_factory=dict)
    hosts: tuple[Host, ...] = ()

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Who refused a letter or gave no answer, and why, as it is on record."""
        return self.transcript.left_out

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The claims that do not hold of this run. What was not checked is none of them."""
        return tuple(finding for finding in self.claims if finding.verdict is ClaimVerdict.FAILS)

    @property
    def privacy(self) -> Guarantee | None:
        """(ε, δ) of the rounds that took place; None without differential privacy."""
        mechanism = self.experiment.mechanism
        return mechanism.guarantee(len(self.rounds)) if mechanism is not None and self.rounds else None

    @property
    def flooding(self) -> Flooding | None:
        """What one key of this run gives away at most; None where nothing is flooded."""
        return self.experiment.flooding(self.parameters)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the run should be read with: what nobody checked, what a shared key gives away."""
        return tuple(str(remark) for remark in remarks_on(self.experiment, self.parameters))

    def to_json(self) -> str:
        """The stable surface of ``run --json``."""
        parts = {name: getattr(self, name) for name in _JSON_FIELDS}
        return msgspec.json.format(msgspec.json.encode(parts), indent=1).decode()


_JSON_FIELDS = (
    "experiment",
    "runtime",
    "environment",
    "parameters",
    "key_id",
    "cold_start_seconds",
    "insecure",
    "remarks",
    "flooding",
    "shared_processes",
    "hosts",
    "rounds",
    "privacy",
    "claims",
    "forecast",
    "left_out",
    "refusals",
)


def with_forecast(result: RunResult) -> RunResult:
    """The result with what it should have cost beside what it did cost; calibrates this machine once per preset."""
    return replace(result, forecast=outlook_of(result))


def outlook_of(result: RunResult) -> Outlook:
    """What a run should have cost beside what it did cost; the clients' CPU only where they told the observer."""
    return outlook(result.transcript, [_encryption(item.cpu_seconds) for item in result.rounds])


def _encryption(cpu: Phases) -> PhaseSeconds | None:
    if cpu.encrypt is None or cpu.decrypt is None:
        return None
    return PhaseSeconds(cpu.encrypt, cpu.aggregate, cpu.decrypt)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

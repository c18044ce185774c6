"""The result of a run, in the shape of ``run --json``."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import msgspec

from hefl_core.evaluation import ClassMetrics
from hefl_core.federation.client import Observation
from hefl_core.federation.record.transcript import LeftOut, Transcript
from hefl_core.federation.remarks import Remark, hold_out_remark, remarks_on
from hefl_core.learning import shelf
from hefl_core.measure.forecast import Outlook, PhaseSeconds, outlook
from hefl_core.runtime.divergence import signs
from hefl_core.schemes.flooding import Flooding
from hefl_core.terms.dp import Guarantee
from hefl_core.terms.experiment import Experiment

if TYPE_CHECKING:
    from hefl_core.probes.findings import Blindness
    from hefl_core.runtime.stage import Host


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds per phase; train, encrypt and decrypt are summed over the clients that told the observer, None if none did."""

    train: float | None
    encrypt: float | None
    aggregate: float
    decrypt: float | None


@dataclass(frozen=True, slots=True)
class WallPhases:
    """Like Phases, on the wall clock, with the whole round's time."""

    train: float | None
    encrypt: float | None
    aggregate: float
    decrypt: float | None
    total: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes on the wire. ``plaintext_update``: 4 per parameter, as plain FedAvg would send."""

    upload_per_client: int
    download_per_client: int
    plaintext_update: int


@dataclass(frozen=True, slots=True)
class Clipped:
    """What clients cut off before they encrypted. ``shortened``: clients whose update was longer than the norm's clip.

    ``cut``: clients with entries beyond an adaptive bound; ``entries``: those entries, of all clients together.
    Leaks: it is the clients' private side: told to the observer, never to the coordinator.
    """

    shortened: int
    cut: int
    entries: int


@dataclass(frozen=True, slots=True)
class RoundResult:
    """One round as the observer measured it.

    ``accuracy``, ``loss`` and ``metrics`` on the common hold-out set, ``max_abs_error`` (against the weighted mean of what the
    clients sent; ``error_bound`` is its bound), ``fedavg_error`` (against plain FedAvg of the same updates before any clip or
    noise), ``clipped`` and ``mean_norm`` (of the decrypted mean) are None when the experiment is not observed.
    ``model``: SHA-256 of θ, equal at all clients that were seen; ``models``: all digests seen.
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
    metrics: ClassMetrics | None = None
    fedavg_error: float | None = None
    clipped: Clipped | None = None
    mean_norm: float | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """Versions and machine that a run's results depend on."""

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
        """The environment of this process."""
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
    """A check's verdict on a claim. ``NOT_CHECKED``: its input was missing, so it says neither."""

    HOLDS = "holds"
    FAILS = "fails"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one claim's check on one run. ``evidence``: a sentence with the numbers, or what was missing.

    ``holds``: the verdict for programs: true, false, or null when nothing was checked.
    """

    id: str
    verdict: ClaimVerdict
    evidence: str
    holds: bool | None = field(init=False)

    def __post_init__(self) -> None:
        holds = {ClaimVerdict.HOLDS: True, ClaimVerdict.FAILS: False}.get(self.verdict)
        object.__setattr__(self, "holds", holds)


@dataclass(frozen=True, slots=True)
class TableNote:
    """What a run's own table was read as: no cell, no path. ``label``: a sentence with the classes; ``name``: short.

    Leaks: to the result's readers, names of the label, its classes, and the number of rows.
    """

    name: str
    digest: str
    rows: int
    label: str

    @classmethod
    def of(cls, dataset: str) -> TableNote | None:
        """The note on an experiment's data set; None for one that this process has no table of."""
        found = shelf.known(dataset)
        if found is None:
            return None
        table = found.table
        return cls(table.name, table.digest, len(table), str(table.label.decision))


@dataclass(frozen=True, slots=True)
class RoundZeroNote:
    """What the clients agreed on before the first round.

    ``class_rows``: rows of each class at all clients together. ``warnings``: categories that may be one. ``schema``: the
    agreement's digest, 64 hex digits.
    Units: upload_per_client in bytes, over all sums; seconds of the wall clock.
    Leaks: to the result's readers, totals that every client knows and the coordinator does not.
    """

    clients: int
    rows: int
    features: tuple[str, ...]
    left_out: tuple[str, ...]
    label: str
    classes: tuple[str, ...]
    class_rows: tuple[int, ...]
    warnings: tuple[str, ...]
    schema: str
    sums: int
    upload_per_client: int
    seconds: float

    def __str__(self) -> str:
        split = ", ".join(f"{name} {count:,}" for name, count in zip(self.classes, self.class_rows, strict=True))
        return (
            f"round zero: {self.clients} clients agreed on {len(self.features)} features from {self.rows:,} rows "
            f"(label {self.label}: {split}; left out: {', '.join(self.left_out) or 'nothing'}) by {self.sums} encrypted sums; each "
            "client learned these totals, the coordinator none of them"
        )


@dataclass(frozen=True)
class RunResult:
    """A finished run. The JSON form carries neither the transcript nor the observations (the clients' private side).

    ``refusals``: how many messages each party refused or had already, by kind of error, those that no post carried included.
    ``hosts``: the parties' processes and their nodes. ``table``: what the user's own table was read as.
    ``round_zero``: what clients with tables of their own agreed on first; ``round_zero_run``: the run in which they did.
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
    table: TableNote | None = None
    round_zero: RoundZeroNote | None = None
    round_zero_run: RunResult | None = field(default=None, repr=False)

    @property
    def data_name(self) -> str:
        """The data in a few letters: tables by the beginning of their name, which is their content's."""
        if self.table is not None:
            return self.table.name
        kind, colon, digest = self.experiment.dataset.partition(":")
        return f"{kind}-{digest[:12]}" if colon else kind

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Parties that refused a letter or gave no answer, and why, as recorded."""
        return self.transcript.left_out

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The claims that fail for this run or its round zero. Claims not checked are not among them."""
        every = (*self.claims, *self.round_zero_claims)
        return tuple(finding for finding in every if finding.verdict is ClaimVerdict.FAILS)

    @property
    def round_zero_claims(self) -> tuple[Finding, ...]:
        """The claims as checked on round zero; none without one."""
        return () if self.round_zero_run is None else self.round_zero_run.claims

    @property
    def privacy(self) -> Guarantee | None:
        """(ε, δ) of the rounds that took place; None without differential privacy."""
        mechanism = self.experiment.mechanism
        return mechanism.guarantee(len(self.rounds)) if mechanism is not None and self.rounds else None

    @property
    def flooding(self) -> Flooding | None:
        """The most that one key of this run leaks; None without flooding."""
        return self.experiment.flooding(self.parameters)

    @property
    def caveats(self) -> tuple[Remark, ...]:
        """For reading the run: what was not checked, what a shared key leaks, which class was never tested."""
        metrics = self.last_metrics
        absent = () if metrics is None else hold_out_remark(metrics, self.classes)
        return (*remarks_on(self.experiment, self.parameters), *absent)

    @property
    def remarks(self) -> tuple[str, ...]:
        """:attr:`caveats` in words."""
        return tuple(str(remark) for remark in self.caveats)

    @property
    def last_metrics(self) -> ClassMetrics | None:
        """The metrics by class after the last round; None when the experiment is not observed."""
        return self.rounds[-1].metrics if self.rounds else None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the confusion matrix; numbers where the manifest names none."""
        schema, metrics = self.transcript.manifest.schema, self.last_metrics
        if schema is not None:
            return schema.classes
        return tuple(str(at) for at in range(len(metrics.confusion) if metrics is not None else 0))

    @property
    def signs(self) -> tuple[Remark, ...]:
        """Signs that the training diverged or learnt nothing."""
        schema = self.transcript.manifest.schema
        return () if schema is None else signs(self.rounds, len(schema.classes))

    @property
    def diverged(self) -> tuple[str, ...]:
        """:attr:`signs` in words."""
        return tuple(str(sign) for sign in self.signs)

    def to_json(self) -> str:
        """The stable surface of ``run --json``."""
        parts = {name: getattr(self, name) for name in _JSON_FIELDS}
        return msgspec.json.format(msgspec.json.encode(parts), indent=1).decode()


_JSON_FIELDS = (
    "experiment",
    "runtime",
    "environment",
    "table",
    "round_zero",
    "parameters",
    "key_id",
    "cold_start_seconds",
    "insecure",
    "remarks",
    "diverged",
    "flooding",
    "shared_processes",
    "hosts",
    "rounds",
    "privacy",
    "claims",
    "round_zero_claims",
    "forecast",
    "left_out",
    "refusals",
)


def with_forecast(result: RunResult) -> RunResult:
    """The result with its forecast beside its measured cost; calibrates this machine once per preset."""
    return replace(result, forecast=outlook_of(result))


def outlook_of(result: RunResult) -> Outlook:
    """Forecast beside measured cost; the clients' CPU time only when they told the observer."""
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

"""Calibration of round costs on this machine: a few small real rounds per preset, under a second, and lines through them.

The parties are real, with all their checks; updates are drawn at random instead of trained. Costs grow linearly: per block
of ciphertext, per upload, per partial decryption. Results are cached for the life of the process.
"""

from __future__ import annotations

import statistics
import threading
import tracemalloc
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from hefl_core.errors import HeflError, NotChecked
from hefl_core.evaluation import Evaluation
from hefl_core.federation.auditor import Auditor
from hefl_core.federation.client import Client, Home, Parameters
from hefl_core.federation.coordinator import Coordinator
from hefl_core.federation.epoch import key_epoch
from hefl_core.federation.post import ByCall, Post
from hefl_core.federation.record.transcript import Sent, Transcript
from hefl_core.federation.round import Parties, federated_round
from hefl_core.ids import AUDITOR, COORDINATOR, client_name
from hefl_core.keys.custody import Custody
from hefl_core.keys.kms.service import KMS
from hefl_core.measure.phases import work_on_record
from hefl_core.schemes.presets import BFVPreset, OneTimePreset, PaillierPreset, PlaintextPreset, load_preset
from hefl_core.schemes.registry import block_count, opened_count
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment, Manifest
from hefl_core.terms.letter import Letter, Spent
from hefl_core.wire.envelope import Position

ROUNDS = 2
"""Measured rounds per point, after one warm-up round."""
PATIENCE_SECONDS = 0.15
"""A round that takes longer than this is measured once."""
WIDE = 6
"""Clients at the point that measures what one more client costs the others."""
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class FittedLine:
    """Cost of n units: ``base + slope · n``."""

    base: float
    slope: float

    def __call__(self, units: float) -> float:
        """The cost of so many units."""
        return max(0.0, self.base + self.slope * units)

    @classmethod
    def through(cls, x0: float, y0: float, x1: float, y1: float) -> FittedLine:
        """Through two points; never falling, so that noise cannot forecast negative costs."""
        slope = max(0.0, (y1 - y0) / (x1 - x0))
        return cls(max(0.0, y0 - slope * x0), slope)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Lines over units: blocks of an update, or parameters where nothing is encrypted. Units: CPU seconds, bytes.

    ``encrypt``: per client. ``admit``: per upload at the coordinator. ``decrypt``: per client, ``partial``: per active
    holder (sealing included), ``per_partial``: cost of each additional one to every client. ``per_term``: cost of each
    additional upload to every client at the end. ``client_memory``, ``coordinator_memory``: working memory of the heaviest step,
    above what the process already has.
    """

    preset: str
    collective: bool
    encrypt: FittedLine
    admit: FittedLine
    decrypt: FittedLine
    partial: FittedLine
    per_partial: float
    per_term: float
    client_memory: FittedLine
    coordinator_memory: FittedLine


@dataclass(frozen=True, slots=True)
class _Point:
    """One measured configuration, medians over rounds."""

    units: int
    encrypt: float
    admit: float
    decrypt: float
    partial: float

    @property
    def total(self) -> float:
        """One client's total."""
        return self.encrypt + self.admit + self.decrypt + self.partial


def units(scheme: str, parameters: int) -> int:
    """The unit of costs: ciphertext blocks, or parameters for plaintext."""
    preset = load_preset(scheme)
    return parameters if isinstance(preset, PlaintextPreset) else block_count(preset, parameters)


def calibrate(scheme: str, *, collective: bool = False) -> Calibration:
    """Measure a preset on this machine, once per process; concurrent callers wait. Raises: ParameterError."""
    with _LOCK:
        return _calibrate(scheme, collective)


@lru_cache(maxsize=64)
def _calibrate(scheme: str, collective: bool) -> Calibration:
    small, large = _two_sizes(scheme)
    custody, clients = ("2-of-4", 4) if collective else ("individual", 3)
    low = _measure(scheme, custody, clients, small)
    high = _measure(scheme, custody, clients, large)
    wide = low if collective else _measure(scheme, custody, WIDE, small)
    per_partial = 0.0
    if collective:
        more = _measure(scheme, "3-of-4", 4, large)
        per_partial = max(0.0, more.decrypt - high.decrypt) / more.units
    heavy = _weigh(scheme, custody, clients, large)
    return Calibration(
        preset=scheme,
        collective=collective,
        encrypt=FittedLine.through(low.units, low.encrypt, high.units, high.encrypt),
        admit=FittedLine.through(low.units, low.admit, high.units, high.admit),
        decrypt=FittedLine.through(low.units, low.decrypt, high.units, high.decrypt),
        partial=FittedLine.through(low.units, low.partial, high.units, high.partial),
        per_partial=per_partial,
        per_term=max(0.0, wide.decrypt - low.decrypt) / (WIDE - clients),
        client_memory=FittedLine(0.0, heavy[0] / high.units),
        coordinator_memory=FittedLine(0.0, heavy[1] / high.units),
    )


def _two_sizes(scheme: str) -> tuple[int, int]:
    """Parameters for a small and a larger point, so that both take some milliseconds."""
    preset = load_preset(scheme)
    if isinstance(preset, PlaintextPreset):
        return 2_000, 100_000
    if isinstance(preset, PaillierPreset):
        return (2, 12) if not preset.field_bits else (2 * preset.modulus_bits // preset.field_bits, 800)
    whole = isinstance(preset, BFVPreset | OneTimePreset)
    words = preset.degree if whole else preset.degree // 2  # type: ignore[attr-defined]
    per_block = words * preset.fields if whole else words  # type: ignore[attr-defined]
    return per_block // 2, 4 * per_block - 100


@dataclass(frozen=True)
class _Round:
    """Messages sent, and the clients' costs of theirs."""

    sent: Sequence[Sent]
    spent: Sequence[Spent]


# -- one point ---------------------------------------------------------------------------------------------------


def _experiment(scheme: str, custody: str, clients: int) -> Experiment:
    rounds = ROUNDS + 1
    return Experiment(
        scheme=scheme, custody=custody, clients=clients, rounds=rounds, epoch_rounds=rounds, observed=False
    )


def _parties(experiment: Experiment, parameters: int) -> tuple[Parties, Manifest]:
    """Real parties; the clients draw their updates instead of training."""
    manifest = Manifest.draw(experiment, parameters, 100)
    custody = Custody.parse(experiment.custody, experiment.clients)
    blocks = opened_count(experiment.preset, parameters)
    kms = KMS(manifest.id, experiment.preset.name, custody, sum_blocks=blocks)
    theta = np.zeros(parameters, dtype=np.float32)
    coordinator = Coordinator(COORDINATOR, manifest, kms.member, theta.astype("<f4").tobytes())
    auditor = Auditor(AUDITOR, manifest, kms.member)
    clients = tuple(_client(manifest, kms, number, theta) for number in range(1, experiment.clients + 1))
    for party in (coordinator, auditor, *clients):
        kms.enrol(party.member)
    return Parties(kms, coordinator, auditor, clients, custody.quorum.collective, custody.dealer_free), manifest


def _client(manifest: Manifest, kms: KMS, number: int, theta: Parameters) -> Client:
    draw = np.random.Generator(np.random.PCG64(number))
    change = draw.uniform(-0.01, 0.01, len(theta)).astype(np.float32)
    home = Home(90 + number % 10, lambda start, _round: start + change, _not_observed)
    return Client(client_name(number), manifest, kms.member, home, lambda _seed: theta)


def _not_observed(_theta: Parameters) -> Evaluation:
    raise NotChecked("calibration: expected no observer, found one; drawn updates have no accuracy")


def _rounds(parties: Parties, manifest: Manifest, count: int, carrier: ByCall) -> Iterator[_Round]:
    """Run ``count`` rounds under one key."""
    transcript = Transcript(manifest, parties.kms.member, keep_bodies=False)
    post = Post(transcript, carrier)
    for _ in key_epoch(1, count, parties, post):
        pass
    for number in range(1, count + 1):
        post.begin(parties.coordinator)
        sent = list(federated_round(Position(1, number, 1), parties, post))
        spent = [one for client in parties.clients for one in client.spent(number)]
        yield _Round(sent, spent)
        if post.absent:
            raise next(iter(post.absent.values()))


def _measure(scheme: str, custody: str, clients: int, parameters: int) -> _Point:
    """Run a warm-up round and a few more; medians of each step's cost."""
    parties, manifest = _parties(_experiment(scheme, custody, clients), parameters)
    found: list[_Point] = []
    for number, done in enumerate(_rounds(parties, manifest, ROUNDS + 1, ByCall())):
        point = _read(scheme, parameters, done, clients)
        if number:
            found.append(point)
        if found and point.total * clients > PATIENCE_SECONDS:
            break
    return _Point(
        found[0].units,
        *(
            statistics.median(getattr(point, name) for point in found)
            for name in ("encrypt", "admit", "decrypt", "partial")
        ),
    )


def _read(scheme: str, parameters: int, done: _Round, clients: int) -> _Point:
    """One round's CPU seconds, per client, per upload and per holder."""
    steps: defaultdict[str, float] = defaultdict(float)
    holders = sum(entry.step == m.PARTIAL for entry in done.sent)
    for work in work_on_record(done.sent):
        steps[work.step] += work.cpu_seconds
    for one in done.spent:
        for work in one.work:
            steps["partial" if one.kind == m.PARTIAL else work.step] += work.cpu_seconds
    return _Point(
        units=units(scheme, parameters),
        encrypt=(steps.get("encrypt", 0.0) + steps.get("seal", 0.0)) / clients,
        admit=(steps.get("admit", 0.0) + steps.get("aggregate", 0.0)) / clients,
        decrypt=steps.get("decrypt", 0.0) / clients,
        partial=steps.get("partial", 0.0) / max(1, holders),
    )


# -- memory ------------------------------------------------------------------------------------------------------


class _Weighing(ByCall):
    """Records the largest working memory of each party's steps."""

    def __init__(self) -> None:
        self.most: dict[str, int] = {}

    def deliver(self, letter: Letter, to: Sequence[Any]) -> Iterator[tuple[Any, HeflError | None]]:
        for receiver in to:
            before = self._begin()
            yield from super().deliver(letter, [receiver])
            self._end(receiver.name, before)

    def gather(self, parties: Sequence[Any], step: str, argument: object) -> Iterator[tuple[Any, Any]]:
        for party in parties:
            before = self._begin()
            answers = list(super().gather([party], step, argument))
            self._end(party.name, before)
            yield from answers

    @staticmethod
    def _begin() -> int:
        tracemalloc.reset_peak()
        return tracemalloc.get_traced_memory()[0]

    def _end(self, name: str, before: int) -> None:
        used = tracemalloc.get_traced_memory()[1] - before
        self.most[name] = max(self.most.get(name, 0), used)


def _weigh(scheme: str, custody: str, clients: int, parameters: int) -> tuple[float, float]:
    """Working memory of a client's and of the coordinator's heaviest step, in one round."""
    parties, manifest = _parties(_experiment(scheme, custody, clients), parameters)
    scale = _Weighing()
    tracemalloc.start()
    try:
        for _ in _rounds(parties, manifest, 1, scale):
            pass
    finally:
        tracemalloc.stop()
    return float(scale.most["client-1"]), float(scale.most[COORDINATOR])

"""The observer measures a run. It is outside the threat model: private values reach it sealed, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hefl_core.errors import WireError
from hefl_core.evaluation import ClassMetrics
from hefl_core.federation.client import Observation
from hefl_core.federation.record.transcript import Sent, Transcript
from hefl_core.ids import OBSERVER, client_name
from hefl_core.keys.identity import Identity
from hefl_core.keys.roster import Member
from hefl_core.keys.sealing import SealingInfo, open_sealed
from hefl_core.measure.phases import Unit, phase_totals, work_of, work_on_record
from hefl_core.runtime.result import Clipped, Phases, RoundResult, Traffic, WallPhases
from hefl_core.schemes.base import PublicKey, Vector
from hefl_core.schemes.imprint import MOST_SETS
from hefl_core.schemes.presets import RingPreset, key_preset
from hefl_core.schemes.registry import open_scheme, partial_nbytes
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.letter import Spent
from hefl_core.terms.messages import EncryptedSum, RoundPlan
from hefl_core.wire.canonical import decode
from hefl_core.wire.envelope import Position


class Observer:
    """Opens the clients' sealed observations and measures rounds from the transcript."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.identity = Identity(OBSERVER, OBSERVER)
        self.observations: dict[int, tuple[Observation, ...]] = {}

    @property
    def member(self) -> Member:
        """The public keys to which clients seal their observations."""
        return self.identity.member

    def open(self, client: str, sealed: bytes, position: Position, key: PublicKey) -> Observation:
        """Open one client's observation. Raises: WireError, also when its client, position or shape is wrong."""
        if not isinstance(sealed, bytes):
            raise WireError(f"observation of {client}: expected sealed bytes, found {type(sealed).__name__}")
        info = SealingInfo(
            purpose=OBSERVER,
            experiment=self.manifest.id,
            epoch=position.epoch,
            key_id=str(key.id),
            round=position.round,
            sender=client,
            threshold=key.quorum.threshold,
            holders=key.quorum.holders,
        )
        seen = decode(open_sealed(self.identity, sealed, info), Observation)
        _check(seen, client, position, self.manifest)
        return seen

    def measure(
        self, transcript: Transcript, position: Position, observations: Sequence[Observation], wall_seconds: float
    ) -> RoundResult:
        """One line of the result: numbers from the transcript, and from the observations if there are any."""
        round_ = position.round
        self.observations[round_] = tuple(observations)
        here = transcript.of_round(round_)
        sent = [entry for entry in here if entry.position == position]
        spent = [one for seen in observations for one in seen.spent]
        total = next(entry for entry in sent if entry.step == m.SUM)
        message = decode(transcript.body(total), EncryptedSum)
        contributors = tuple(item.header.sender for item in message.updates)
        plan = decode(transcript.body(next(entry for entry in sent if entry.step == m.PLAN)), RoundPlan)
        errors = fedavg_error(self.manifest, observations, contributors, plan)
        first = next((seen for seen in observations if seen.theta and seen.client in contributors), None)
        models = tuple(sorted({seen.theta_digest.hex() for seen in observations}))
        return RoundResult(
            round=round_,
            attempts=position.attempt,
            contributors=contributors,
            accuracy=first.accuracy if first else None,
            loss=first.loss if first else None,
            metrics=first.metrics if first else None,
            max_abs_error=errors[0] if errors else None,
            error_bound=errors[1] if errors else None,
            fedavg_error=against_plain_fedavg(observations, contributors),
            clipped=clipped(observations, contributors),
            mean_norm=float(np.linalg.norm(np.frombuffer(first.applied))) if first else None,
            model=models[0] if len(models) == 1 else None,
            models=models,
            seconds=wall_phases(_aggregate(here, "seconds"), spent, wall_seconds),
            cpu_seconds=phases(_aggregate(here, "cpu_seconds"), spent, "cpu_seconds"),
            bytes=_traffic(sent, contributors, self.manifest.parameters),
        )


def _check(seen: Observation, client: str, position: Position, manifest: Manifest) -> None:
    """Check every field used later: client, position, lengths and values. Raises: WireError naming the field."""
    wanted, spent = 8 * manifest.parameters, [work for one in seen.spent for work in one.work]
    # under differential privacy every client weighs 1: an exact Σ n_k would carry no noise
    most = 1 if manifest.experiment.mechanism is not None else manifest.examples_max
    whole = bool(seen.theta)
    right = {
        "client": seen.client == client,
        "position": seen.position == position,
        "examples": 1 <= seen.examples <= most,
        "update": _numbers(seen.update, wanted, np.float64),
        "trained": not seen.trained or _numbers(seen.trained, wanted, np.float64),
        "before_noise": not seen.before_noise or _numbers(seen.before_noise, wanted, np.float64),
        "applied": bool(seen.applied) == whole and (not whole or _numbers(seen.applied, wanted, np.float64)),
        "theta": not whole or _numbers(seen.theta, wanted // 2, np.float32),
        "theta_digest": len(seen.theta_digest) == 32
        and (not whole or hashlib.sha256(seen.theta).digest() == seen.theta_digest),
        "accuracy": (seen.accuracy is not None) == whole and (seen.accuracy is None or 0 <= seen.accuracy <= 1),
        "loss": (seen.loss is not None) == whole and (seen.loss is None or 0 <= seen.loss <= _LARGEST),
        "imprint": _parts(seen.imprint, manifest),
        "opened_noise": len(seen.opened_noise) % 4 == 0
        and _numbers(seen.opened_noise, len(seen.opened_noise), np.float32),
        "metrics": (seen.metrics is not None) == whole
        and (seen.metrics is None or _fits(seen.metrics, seen.accuracy, manifest)),
        "bound": seen.bound is None or 0 < seen.bound <= _LARGEST,
        "clipped": 0 <= seen.clipped <= manifest.parameters,
        "spent": all(0 <= one <= _LARGEST for work in spent for one in (work.seconds, work.cpu_seconds)),
    }
    wrong = [field for field, holds in right.items() if not holds]
    if wrong:
        raise WireError(f"observation of {client}: expected a client's view of this round, found a wrong {wrong[0]}")


def _parts(imprint: tuple[bytes, ...], manifest: Manifest) -> bool:
    """Whether these are parts of an imprint under this preset: none, or all of one length (schemes/imprint.py)."""
    preset = key_preset(manifest.experiment.preset, manifest.experiment.quorum)
    if not isinstance(preset, RingPreset):
        return imprint == ()
    nbytes = partial_nbytes(preset) if manifest.experiment.quorum.collective else 32
    return len(imprint) <= MOST_SETS and all(len(part) in (0, nbytes) for part in imprint)


_LARGEST = float(np.finfo(np.float32).max)
"""No model, update or time is larger: sums and products of such numbers stay finite."""


def _numbers(raw: bytes, nbytes: int, kind: type[np.floating[Any]]) -> bool:
    """Whether these bytes are an array of that size with finite entries of usable size."""
    # NaN compares false with everything, so this one comparison rejects it together with the infinities
    return len(raw) == nbytes and bool(np.all(np.abs(np.frombuffer(raw, dtype=kind)) <= _LARGEST))


def _fits(metrics: ClassMetrics, accuracy: float | None, manifest: Manifest) -> bool:
    """Whether these metrics are of the manifest's classes and of the accuracy beside them."""
    classes = len(manifest.schema.classes) if manifest.schema is not None else len(metrics.confusion)
    return len(metrics.confusion) == classes and metrics.accuracy == accuracy


def fedavg_error(
    manifest: Manifest, observations: Sequence[Observation], contributors: Sequence[str], plan: RoundPlan
) -> tuple[float, float] | None:
    """Largest |decrypted mean - weighted mean of what the clients sent| over the entries, and the bound it must keep.

    This is what encryption and encoding change. What was clipped or noised before, :func:`against_plain_fedavg` counts too.
    None where a contributor was not observed.
    """
    seen = {item.client: item for item in observations}
    first = next((seen[name] for name in contributors if name in seen and seen[name].applied), None)
    if first is None or not set(contributors) <= set(seen):
        return None
    examples = sum(seen[name].examples for name in contributors)
    mean = plain_mean([seen[name] for name in contributors])
    found = float(np.max(np.abs(np.frombuffer(first.applied, dtype=np.float64) - mean)))
    scheme = open_scheme(manifest.experiment.preset.name)
    bounds = [seen[name].bound if plan.bound is None else plan.bound for name in contributors]
    bound = min(found for found in bounds if found is not None)  # if clients disagree, the claim must fail
    of_sum = scheme.sum_error(bound, len(contributors), plan.max_terms)
    if plan.bound is None and manifest.experiment.clip_norm is not None:
        of_sum *= 2  # without error feedback the clients round at random: up to a whole step, not half of one
    of_sum *= manifest.error_factor
    # clients encrypt (n_k / examples_max) Δ_k, so the sum's error grows by examples_max / Σ n_k in the mean
    return found, of_sum * plan.examples_max / examples + _ROUNDING


def fedavg_length(
    manifest: Manifest, observations: Sequence[Observation], contributors: Sequence[str], error_bound: float
) -> tuple[float, float]:
    """Length (L2) of what :func:`fedavg_error` bounds by ``error_bound`` in each entry, and the length's own bound.

    Without a rotation it follows from the entries' bound. A rotation spreads one field's error over an entry's block and
    lengthens nothing, so that the bound of the length is √h times sharper.
    """
    seen = {item.client: item for item in observations}
    applied = next(seen[name].applied for name in contributors if seen[name].applied)
    off = np.frombuffer(applied, dtype=np.float64) - plain_mean([seen[name] for name in contributors])
    return float(np.linalg.norm(off)), float(np.sqrt(manifest.parameters)) * error_bound / manifest.error_factor


def against_plain_fedavg(observations: Sequence[Observation], contributors: Sequence[str]) -> float | None:
    """Largest |decrypted mean - one round of FedAvg in float64 on the same clients' untouched updates| over the entries.

    Untouched: no clip, no noise, no field, nothing carried from earlier rounds. The weights are the run's (under differential
    privacy each counts once). None where a contributor was not observed.
    """
    seen = {item.client: item for item in observations}
    first = seen.get(contributors[0])
    if first is None or not first.applied or not set(contributors) <= set(seen):
        return None
    plain = plain_mean([replace(seen[name], update=seen[name].trained or seen[name].update) for name in contributors])
    return float(np.max(np.abs(np.frombuffer(first.applied, dtype=np.float64) - plain)))


def clipped(observations: Sequence[Observation], contributors: Sequence[str]) -> Clipped | None:
    """How many contributors' updates were shortened, and how many entries cut. None where one was not observed."""
    seen = [item for item in observations if item.client in contributors]
    if len(seen) < len(contributors):
        return None
    return Clipped(
        shortened=sum(one.shortened for one in seen),
        cut=sum(one.clipped > 0 for one in seen),
        entries=sum(one.clipped for one in seen),
    )


def plain_mean(observations: Sequence[Observation]) -> Vector:
    """FedAvg on the plain updates: Σ n_k Δ_k / Σ n_k. Shapes: float64 (d,)."""
    examples = sum(one.examples for one in observations)
    mean = np.zeros(len(observations[0].update) // 8)
    for one in observations:
        mean += np.frombuffer(one.update, dtype=np.float64) * (one.examples / examples)
    return mean


_ROUNDING = 1e-12
"""Headroom for float64 rounding in the reference itself."""


def phases(aggregate: float, spent: Sequence[Spent], unit: Unit) -> Phases:
    """Seconds of the coordinator and, as reported, of the clients, over all attempts of a round; None if no client reported."""
    if not spent:
        return Phases(None, None, aggregate, None)
    found = phase_totals(work_of(spent), unit)
    return Phases(found["train"], found["encrypt"], aggregate, found["decrypt"])


def wall_phases(aggregate: float, spent: Sequence[Spent], total: float) -> WallPhases:
    """As :func:`phases`, on the wall clock."""
    found = phases(aggregate, spent, "seconds")
    return WallPhases(found.train, found.encrypt, found.aggregate, found.decrypt, total)


def _aggregate(sent: Sequence[Sent], unit: Unit) -> float:
    """The coordinator's seconds, from the record."""
    return phase_totals(work_on_record(sent), unit)["aggregate"]


def _traffic(sent: Sequence[Sent], contributors: Sequence[str], parameters: int) -> Traffic:
    """The largest contributor's upload (all its update messages), and everything that one contributor receives."""
    first = contributors[0] if contributors else client_name(1)
    return Traffic(
        upload_per_client=max(
            sum(entry.nbytes for entry in sent if entry.sender == name and entry.step == m.UPDATE)
            for name in contributors
        ),
        download_per_client=sum(entry.nbytes for entry in sent if first in entry.receivers),
        plaintext_update=4 * parameters,
    )

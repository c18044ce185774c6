"""Round zero: the clients agree on one schema by three encrypted sums, each an ordinary round of the protocol.

The "model" is the vector of hefl_core/tables/round_zero/rounds.py, and training adds a client's own numbers to it. So
everything that holds of a round holds here: the coordinator adds ciphertexts, the auditor confirms the sum, the clients open it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from hefl_core.evaluation import ClassMetrics, Evaluation
from hefl_core.federation.client import Home
from hefl_core.learning.base import Parameters
from hefl_core.learning.models import SUMS
from hefl_core.schemes.presets import FieldPreset
from hefl_core.schemes.registry import open_scheme
from hefl_core.tables.round_zero.rounds import ROUNDS, AgreementRounds, Read
from hefl_core.terms.experiment import Experiment, Manifest

_EXACT: Final = {"bits": None, "rotate": None}
"""Sums of round zero are exact: the preset's own fields, unrotated."""
_MOST_BITS: Final = 12
"""Limbs of more bits would not come out of a float32 mean exactly, with hundreds of clients."""


def layout(experiment: Experiment) -> AgreementRounds:
    """The vector of round zero for this scheme and these clients: limbs as wide as its fields carry exactly."""
    return AgreementRounds(experiment.clients, _bits_and_bound(experiment)[0])


def round_zero(experiment: Experiment) -> Experiment:
    """The experiment before this one: the same clients, scheme and custody, three rounds of sums instead of training."""
    return experiment.but(
        model=SUMS,
        trainer="numpy",
        rounds=ROUNDS,
        bound=_bits_and_bound(experiment)[1],
        clip_norm=None,
        dp_noise=None,
        local_epochs=1,
        **_EXACT,
    )


def terms(experiment: Experiment) -> Manifest:
    """The public terms of round zero. Every client weighs 1, so that the sums are sums."""
    return Manifest.draw(round_zero(experiment), layout(experiment).parameters, 1)


def agreement_home(rounds: AgreementRounds, index: int, read: Read) -> Home:
    """The home of client ``index`` (from 1) in round zero. No model is evaluated: its accuracy is the part of the rounds so
    far in which this client's mark stands, its loss 0. The table is read once for each schema: its source never changes.
    """
    read = lru_cache(maxsize=ROUNDS)(read)

    def train(theta: Parameters, round_: int) -> Parameters:
        return (theta + rounds.update(theta, round_, index, read)).astype(np.float32)

    def evaluate(theta: Parameters) -> Evaluation:
        marks = theta[: ROUNDS * rounds.clients].reshape(ROUNDS, rounds.clients)
        done = marks[marks.any(axis=1), index - 1] > 0
        there, away = int(done.sum()), int((~done).sum())
        metrics = ClassMetrics.of(((there, away), (0, 0)), None)
        return Evaluation(metrics.accuracy, 0.0, metrics)

    return Home(1, train, evaluate)


def _bits_and_bound(experiment: Experiment) -> tuple[int, float]:
    """Bits of a limb, and the bound: under it one step of the scheme's fields is exactly one in a limb, 2^-bits."""
    experiment = experiment.but(**_EXACT)
    preset = experiment.preset
    if isinstance(preset, FieldPreset) and preset.field_bits:
        fields = open_scheme(experiment.preset.name).fields(experiment.clients)  # type: ignore[attr-defined]
        bits = min(_MOST_BITS, fields.value_bits - 1)
        return bits, (fields.offset - 1) / 2**bits
    # CKKS is off by 10^-6 of the bound or less, and totals are rounded to the next whole number.
    return _MOST_BITS, 1.0

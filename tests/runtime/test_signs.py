"""A result's error is what its name says, what was clipped is counted, a diverged training and an ignored option are visible."""

from dataclasses import fields

import numpy as np
import pytest

from hefl_core.app.report import to_html
from hefl_core.errors import ParameterError
from hefl_core.evaluation import ClassMetrics
from hefl_core.learning.base import LocalTraining, training_seed
from hefl_core.learning.trainers import open_trainer
from hefl_core.runtime.client_home import dealt_data, initial_parameters
from hefl_core.runtime.divergence import FEWEST_ROUNDS, GROWTH, SAID, signs
from hefl_core.runtime.launch import run_experiment
from hefl_core.schemes.registry import load_presets
from hefl_core.terms.experiment import Experiment

BASE = Experiment(model="logistic", clients=3, rounds=1)
TIGHT = 0.05


def fedavg(result):
    """One float64 round of FedAvg, trained here from θ_0: independent of what the clients reported."""
    e, whole = result.experiment, dealt_data(result.experiment)
    trainer, theta = open_trainer("numpy", whole.model), initial_parameters(result.transcript.manifest)
    sizes = np.array([len(part) for part in whole.parts], np.float64)
    if e.dp_noise is not None:
        sizes = np.ones_like(sizes)
    updates = [
        trainer.train(
            theta, part, LocalTraining(e.local_epochs, e.batch, e.learning_rate, training_seed(e.seed, 1, number))
        ).astype(np.float64)
        - theta
        for number, part in enumerate(whole.parts, start=1)
    ]
    return sizes @ np.array(updates) / sizes.sum()


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({}, False),  # the control: nothing is clipped, so the two errors are one
        ({"scheme": "plaintext"}, False),
        ({"clip_norm": TIGHT}, True),
        ({"scheme": "bfv-compact", "learning_rate": 3.0}, True),
        ({"clip_norm": 1.0, "dp_noise": 0.5}, True),
    ],
    ids=lambda value: str(value),
)
def test_the_error_against_plain_fedavg_is_against_plain_fedavg(changes, differs):
    result = run_experiment(BASE.but(**changes))
    (only,) = result.rounds
    applied = next(np.frombuffer(one.applied) for one in result.observations[1] if one.applied)
    assert only.fedavg_error == pytest.approx(float(np.max(np.abs(applied - fedavg(result)))), rel=1e-9, abs=1e-12)
    assert only.max_abs_error <= only.error_bound
    assert (only.fedavg_error > 2 * only.error_bound) == differs


def test_what_was_clipped_is_counted_for_the_observer_alone():
    assert run_experiment(BASE).rounds[0].clipped == type(run_experiment(BASE).rounds[0].clipped)(0, 0, 0)
    shortened = run_experiment(BASE.but(clip_norm=TIGHT)).rounds[0].clipped
    assert (shortened.shortened, shortened.cut, shortened.entries) == (3, 0, 0)
    result = run_experiment(BASE.but(scheme="bfv-compact", learning_rate=3.0))
    cut = result.rounds[0].clipped
    assert cut.cut > 0 and cut.entries == sum(one.clipped for one in result.observations[1]) > 0
    hidden = run_experiment(BASE.but(clip_norm=TIGHT, observed=False)).rounds[0]
    assert (hidden.clipped, hidden.fedavg_error, hidden.mean_norm) == (None, None, None)


def test_a_diverged_training_is_visible_and_a_good_one_is_not():
    good = run_experiment(BASE.but(rounds=3))
    assert good.diverged == () and "DIVERG" not in to_html(good)
    bad = run_experiment(BASE.but(model="mlp", scheme="plaintext", rounds=3, learning_rate=20.0))
    assert any("DIVERGED" in sign for sign in bad.diverged)
    assert "DIVERGED" in bad.to_json() and "DIVERGED" in to_html(bad)


def test_each_sign_alone():
    class Round:
        def __init__(self, number, loss=0.1, accuracy=0.9, norm=1.0):
            self.round, self.loss, self.accuracy, self.mean_norm = number, loss, accuracy, norm
            self.metrics = ClassMetrics.of(((6, 0), (0, 4)), 1.0)  # always the same answer would be right in 0.6

    assert signs([Round(1)], 2) == ()
    for loss in (float("nan"), float("inf"), 0.7):  # ln 2 = 0.693
        assert [one.sentence for one in signs([Round(1, loss=loss)], 2)] == [SAID[0]]
    assert [one.sentence for one in signs([Round(1, accuracy=0.6)], 2)] == [SAID[1]]
    growing = [Round(n, norm=GROWTH ** (n - 1)) for n in range(1, FEWEST_ROUNDS + 1)]
    assert [one.sentence for one in signs(growing, 2)] == [SAID[2]]
    growing[1].mean_norm = GROWTH**9  # not in every round
    assert signs(growing, 2) == ()
    assert signs([Round(1, None, None, None)], 2) == signs([], 2) == ()


@pytest.mark.parametrize("preset", load_presets(), ids=lambda preset: preset.name)
def test_no_scheme_ignores_the_bound_or_the_custody(preset):
    made = Experiment(scheme=preset.name, clients=4)
    if preset.family in ("ckks", "plaintext"):
        with pytest.raises(ParameterError, match="no fields to fit"):
            made.but(bound="adaptive")
    else:
        assert made.but(bound="adaptive").adaptive and made.but(bound="adaptive").declared_bound is None
    assert made.but(bound=0.5).declared_bound == 0.5
    for custody in ("2-of-4", "dealer-free:2-of-4"):
        if preset.collective:
            assert made.but(custody=custody).quorum.collective
        else:
            with pytest.raises(ParameterError, match="cannot be held"):
                made.but(custody=custody)


def test_every_field_is_named_here():
    """A new field of the experiment has to be thought of: which schemes or custodies would ignore it?"""
    assert {one.name for one in fields(Experiment)} == {
        "dataset", "model", "trainer", "scheme", "custody", "clients", "rounds", "local_epochs", "batch", "learning_rate",
        "partition", "alpha", "min_cohort", "seed", "clip_norm", "dp_noise", "bound", "bits", "rotate", "epoch_rounds", "observed",
    }  # fmt: skip

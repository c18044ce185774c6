"""Differential privacy: the sampler's law, the sum's variance, head-room and ε."""

import json
import math

import numpy as np
import pytest

from hefl_core.errors import EncodingError, ParameterError
from hefl_core.runtime.launch import run_experiment
from hefl_core.terms import dp
from hefl_core.terms.dp import DELTA, Mechanism, discrete_gaussian, epsilon, grid, os_words
from hefl_core.terms.experiment import Experiment


def words_of(seed):
    """Seeded words, for tests only."""
    rng = np.random.default_rng(seed)
    return lambda count: rng.integers(0, 2**64, count, dtype=np.uint64)


@pytest.mark.parametrize("std", [1, 4, 37])
def test_the_sampler_follows_the_discrete_gaussian(std):
    count = 60_000
    drawn = discrete_gaussian(std, count, words_of(std))
    support = np.arange(-3 * std, 3 * std + 1)
    wide = np.arange(-12 * std, 12 * std + 1)
    chance = np.exp(-(support**2) / (2 * std**2)) / np.exp(-(wide**2) / (2 * std**2)).sum()
    found = np.array([(drawn == x).sum() for x in support])
    expected = count * chance
    chi = ((found - expected) ** 2 / expected).sum()
    freedom = len(support) - 1
    assert chi < freedom + 5 * math.sqrt(2 * freedom)
    assert abs(drawn.mean()) < 5 * std / math.sqrt(count)


def test_production_noise_comes_from_the_operating_system():
    assert not np.array_equal(discrete_gaussian(50, 64), discrete_gaussian(50, 64))
    assert os_words(5).dtype == np.uint64


@pytest.mark.parametrize("survivors", [3, 10])
def test_the_survivors_sum_has_the_intended_variance(survivors):
    mechanism = Mechanism(clip_norm=0.5, noise=0.8, survivors=survivors)
    step = grid(mechanism.bound)
    total = sum(mechanism.noised(np.zeros(20_000), step, words_of(k)) for k in range(survivors))
    assert np.std(total) == pytest.approx(0.8 * 0.5, rel=0.03)


def test_a_noised_update_is_whole_steps_within_the_bound():
    mechanism = Mechanism(clip_norm=1.0, noise=2.0, survivors=3)
    step = grid(mechanism.bound)
    update = np.zeros(30_000)
    update[0] = 1.0
    sent = mechanism.noised(update, step, words_of(1))
    assert np.array_equal(sent, np.rint(sent / step) * step)
    assert np.abs(sent).max() <= mechanism.bound
    assert np.array_equal(sent, sent.astype(np.float32))


def test_even_an_impossible_tail_stays_within_the_bound(monkeypatch):
    mechanism = Mechanism(clip_norm=1.0, noise=1.0, survivors=3)
    monkeypatch.setattr(dp, "discrete_gaussian", lambda std, count, words: np.full(count, 100 * std))
    assert np.abs(mechanism.noised(np.full(4, 0.5), grid(mechanism.bound))).max() <= mechanism.bound


def test_truncation_never_lengthens_an_update():
    rng = np.random.default_rng(0)
    update = rng.normal(size=5000)
    update /= np.linalg.norm(update)
    step = 1e-3
    assert np.linalg.norm(np.trunc(update / step)) * step <= 1.0


def test_epsilon_agrees_with_the_closed_form():
    """Bun and Steinke 2016, proposition 1.3: ρ-zCDP gives ε = ρ + 2·sqrt(ρ·ln(1/δ)); the accountant's is tighter."""
    for noise in (0.5, 1.0, 4.0):
        for rounds in (1, 3, 20):
            rho = rounds / (2 * noise**2)
            found = Mechanism(1.0, noise, 3).guarantee(rounds).epsilon
            loose = rho + 2 * math.sqrt(rho * math.log(1 / DELTA))
            assert exact_gaussian_epsilon(rho, DELTA) <= found <= loose


def exact_gaussian_epsilon(rho, delta):
    """Balle and Wang 2018, theorem 8: no proof for Gaussian noise of this ρ can state less."""
    mu = math.sqrt(2 * rho)

    def tail(eps):
        normal = lambda x: 0.5 * math.erfc(-x / math.sqrt(2))  # noqa: E731
        return normal(mu / 2 - eps / mu) - math.exp(eps) * normal(-mu / 2 - eps / mu)

    low, high = 0.0, 500.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) > delta else (low, middle)
    return high


def test_more_noise_proves_more_and_more_rounds_less():
    by_noise = [Mechanism(1.0, z, 5).guarantee(3).epsilon for z in (0.2, 0.5, 1, 2, 5)]
    assert by_noise == sorted(by_noise, reverse=True)
    assert epsilon(0.5, 10, DELTA) > epsilon(0.5, 1, DELTA)
    guarantee = Mechanism(1.0, 1.0, 3).guarantee(3)
    assert guarantee.epsilon_inside > guarantee.epsilon


@pytest.mark.parametrize(
    ("clip", "noise", "survivors"), [(0.0, 1.0, 3), (1.0, math.nan, 3), (1.0, math.inf, 3), (1, 1, 1)]
)
def test_useless_numbers_are_refused(clip, noise, survivors):
    with pytest.raises(ParameterError):
        Mechanism(clip, noise, survivors)


def test_coarse_steps_and_unclipped_updates_are_refused():
    mechanism = Mechanism(1.0, 0.001, 3)
    with pytest.raises(ParameterError, match="wider fields"):
        mechanism.noised(np.zeros(4), 0.01)
    with pytest.raises(EncodingError, match="clip it first"):
        Mechanism(1.0, 1.0, 3).noised(np.full(4, 1.0), 1e-3)


def test_an_experiment_that_cannot_hold_the_noise_is_refused():
    with pytest.raises(ParameterError, match="clip_norm"):
        Experiment(dp_noise=1.0)
    with pytest.raises(ParameterError, match="wider than"):
        Experiment(dp_noise=1.0, clip_norm=1.0, scheme="bfv-compact")
    with pytest.raises(ParameterError, match="the noise decides"):
        Experiment(dp_noise=1.0, clip_norm=1.0, bound=0.5)
    with pytest.raises(ParameterError, match="steps per share"):
        Experiment(dp_noise=1e-6, clip_norm=1.0)


@pytest.mark.parametrize("scheme", ["plaintext", "bfv-lean"])
def test_a_run_under_noise_weighs_every_client_once_and_says_its_epsilon(scheme):
    experiment = Experiment(
        dataset="breast_cancer", model="logistic", scheme=scheme, clients=3, rounds=2, clip_norm=0.5, dp_noise=1.0
    )
    result = run_experiment(experiment, "local")
    assert not experiment.adaptive
    assert result.transcript.manifest.examples_max == 1
    for seen in result.observations.values():
        assert {one.examples for one in seen} == {1}
        updates = [np.frombuffer(one.update) for one in seen]
        mean = next(np.frombuffer(one.applied) for one in seen if one.applied)
        assert np.allclose(mean, np.mean(updates, axis=0), atol=1e-9)
        assert max(np.abs(update).max() for update in updates) <= experiment.declared_bound
    assert all(one.max_abs_error <= one.error_bound for one in result.rounds)
    written = json.loads(result.to_json())["privacy"]
    assert written["epsilon"] == pytest.approx(Mechanism(0.5, 1.0, 3).guarantee(2).epsilon)

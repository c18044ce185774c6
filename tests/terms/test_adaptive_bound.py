"""Few bits with a bound that follows the updates: plain accuracy, one bound at all clients, nothing for the coordinator."""

import numpy as np
import pytest

from hefl_core.errors import EncodingError, ParameterError, RoundError
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.run import Run
from hefl_core.schemes.base import CiphertextVector
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.terms.adaptive_bound import BoundRange, Precision
from hefl_core.terms.experiment import Experiment, read_bound
from hefl_core.terms.messages import EncryptedSum, RoundPlan
from hefl_core.wire.canonical import decode
from tests.conftest import SMALL, finished

COMPACT = SMALL.but(scheme="bfv-compact", clients=5)
FIELDS = FixedPoint(12, 4)


def bounds(run, round_):
    return {client.name: seen.bound for client, seen in _pairs(run, round_)}


def _pairs(run, round_):
    by_name = {seen.client: seen for seen in run.observer.observations[round_]}
    return [(client, by_name[client.name]) for client in run.parties.clients]


@pytest.mark.parametrize("alpha", [None, 0.5])
def test_compact_fields_reach_the_plain_accuracy(alpha):
    experiment = COMPACT.but(rounds=10, alpha=alpha)
    compact, plain = run_experiment(experiment), run_experiment(experiment.but(scheme="plaintext"))
    assert abs(compact.rounds[-1].accuracy - plain.rounds[-1].accuracy) <= 0.01
    for item in compact.rounds:
        assert item.max_abs_error <= item.error_bound and item.model is not None


def test_all_clients_agree_and_the_coordinator_learns_no_bound():
    run = finished(COMPACT.but(rounds=3))
    for number in (1, 2, 3):
        assert len(set(bounds(run, number).values())) == 1
    assert set(bounds(run, 1).values()) == {BoundRange().start}
    for sent in run.transcript.sent:
        if sent.step == "plan":
            assert decode(run.transcript.body(sent), RoundPlan).bound is None
        if sent.step == "update":
            assert decode(run.transcript.content(sent), CiphertextVector).bound is None
        if sent.step == "sum":
            assert decode(run.transcript.body(sent), EncryptedSum).total.bound is None


def asleep_once(client):
    apply = client.apply

    def asleep(position):
        client.apply = apply
        raise RoundError("asleep")

    return asleep


def test_a_client_that_missed_a_sum_catches_up():
    run = Run(COMPACT.but(rounds=3))
    for sent in run.steps():
        if sent.step == "confirmation" and sent.position.round == 2:
            late = run.parties.clients[1]
            late.apply = asleep_once(late)
    receipts = [sent.sender for sent in run.transcript.of_round(2) if sent.step == "receipt"]
    assert late.name not in receipts and len(receipts) == 4
    assert len(set(bounds(run, 3).values())) == 1
    assert run.result().rounds[-1].model is not None


def test_the_bound_moves_by_one_step_and_stays_in_its_range():
    terms = BoundRange(start=0.25, floor=0.125, ceiling=0.5)
    for mean, bound, expected in ((0.2, 0.25, 0.5), (0.4, 0.5, 0.5), (0.0, 0.25, 0.125), (0.0, 0.125, 0.125)):
        assert terms.follow(bound, np.array([4 * mean]), 4, FIELDS) == expected


def test_what_was_left_out_comes_with_the_next_update():
    rng = np.random.default_rng(1)
    precision = Precision(BoundRange(start=0.25), feedback=True)
    sent, update = np.zeros(50), rng.normal(0, 0.2, 50)
    for _ in range(40):
        fitted = precision.fit(update, FIELDS, rng)
        assert np.max(np.abs(fitted.rounded)) <= precision.bound
        assert fitted.clipped == np.count_nonzero(np.abs(fitted.sent) == precision.bound)
        sent += fitted.rounded
        precision.follow(4 * fitted.rounded, 4, FIELDS, fitted)
    np.testing.assert_allclose(sent / 40, update, atol=0.05)


def test_an_update_that_was_not_in_the_sum_leaves_nothing_behind():
    precision = Precision(BoundRange(), feedback=True)
    fitted = precision.fit(np.array([0.3, 9.0]), FIELDS, np.random.default_rng(1))
    assert fitted.clipped == 1
    precision.follow(np.zeros(2), 4, FIELDS, None)
    again = precision.fit(np.zeros(2), FIELDS, np.random.default_rng(1))
    assert not again.rounded.any()


def test_under_a_norm_clip_nothing_is_carried_and_rounding_is_fair():
    precision = Precision(BoundRange(), feedback=False)
    rng, x = np.random.default_rng(1), np.full(20_000, 0.0003)
    fitted = precision.fit(x, FIELDS, rng)
    assert abs(fitted.rounded.mean() - 0.0003) < 1e-5
    precision.follow(4 * fitted.rounded, 4, FIELDS, fitted)
    assert not precision.fit(np.zeros(3), FIELDS, rng).rounded.any()
    result = run_experiment(COMPACT.but(clip_norm=1.0))
    assert all(item.max_abs_error <= item.error_bound for item in result.rounds)


def test_a_diverged_training_is_named():
    with pytest.raises(EncodingError, match="diverged"):
        Precision(BoundRange(), feedback=True).fit(np.array([1.0, np.nan]), FIELDS, np.random.default_rng(1))


def test_how_a_bound_is_said():
    assert COMPACT.adaptive and not SMALL.adaptive
    assert COMPACT.but(bound=0.5).declared_bound == 0.5 and SMALL.declared_bound == 1.0
    assert SMALL.but(bound="adaptive").declared_bound is None
    with pytest.raises(ParameterError, match="no fields to fit"):
        SMALL.but(bound="adaptive", scheme="plaintext")
    for experiment in (SMALL.but(bound="adaptive"), SMALL.but(bound=0.25)):
        assert Experiment.from_query(experiment.to_query()) == experiment
        assert Experiment.from_json(experiment.to_json()) == experiment
    assert (read_bound(None), read_bound("adaptive"), read_bound("0.5")) == (None, "adaptive", 0.5)
    for wrong in (lambda: read_bound("tight"), lambda: SMALL.but(bound="tight"), lambda: SMALL.but(alpha="adaptive")):
        with pytest.raises(ParameterError, match="expected a number"):
            wrong()

"""The round as a whole: who says what, what comes out, what repeats and what must not."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from hefl_core.errors import DataError, EncodingError, ParameterError, RoundError, WireError
from hefl_core.learning.baselines import plain_fedavg
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.run import Run
from hefl_core.terms.admission import check_agreed
from hefl_core.terms.experiment import Experiment
from hefl_core.terms.messages import EncryptedSum, RoundPlan
from hefl_core.wire.canonical import decode
from tests.conftest import SMALL, finished


def test_a_round_says_what_the_protocol_says(small_run):
    kinds = [sent.step for sent in small_run.transcript.of_round(1)]
    assert kinds == [
        "plan",
        *["commitment"] * 3,
        "commitments",
        *["update"] * 3,
        "sum",
        "confirmation",
        *["receipt"] * 3,
    ]
    enrolment = Counter(sent.step for sent in small_run.transcript.of_round(0))
    assert enrolment == {"roster": 1, "epoch": 1, "share": 3}


def test_errors_stay_within_the_bound_and_models_agree(small_result):
    for item in small_result.rounds:
        assert item.max_abs_error <= item.error_bound
        assert item.model is not None
        assert item.contributors == ("client-1", "client-2", "client-3")


@pytest.mark.parametrize("scheme", ["plaintext", "bfv-lean", "ckks-lean", "INSECURE_paillier-512"])
def test_every_scheme_gives_the_plain_accuracy(scheme):
    result = run_experiment(SMALL.but(scheme=scheme, rounds=3))
    plain = run_experiment(SMALL.but(scheme="plaintext", rounds=3))
    for item, other in zip(result.rounds, plain.rounds, strict=True):
        assert abs(item.accuracy - other.accuracy) <= 2 / 360
        assert item.max_abs_error <= item.error_bound


def test_one_seed_gives_bit_equal_models_and_different_ciphertexts(small_result):
    again = run_experiment(SMALL)
    assert [item.model for item in again.rounds] == [item.model for item in small_result.rounds]
    uploads = [
        {sent.head.header.content_digest for sent in result.transcript.sent if sent.step == "update"}
        for result in (small_result, again)
    ]
    assert not uploads[0] & uploads[1]


def test_plaintext_is_fedavg():
    from hefl_core.runtime.client_home import dealt_data

    experiment = SMALL.but(scheme="plaintext", rounds=3)
    run = finished(experiment)
    whole = dealt_data(experiment)
    seed = run.transcript.manifest.initialisation
    expected = plain_fedavg_theta(experiment, whole, seed)
    theta = next(np.frombuffer(seen.theta, dtype=np.float32) for seen in run.observer.observations[3] if seen.theta)
    assert np.max(np.abs(theta - expected)) < 1e-6


def plain_fedavg_theta(experiment, whole, seed):
    """FedAvg in ten lines, with nothing of the federation in it."""
    from hefl_core.learning.base import LocalTraining, training_seed
    from hefl_core.learning.trainers import open_trainer

    trainer, theta = open_trainer("numpy", whole.model), whole.model.init(seed)
    weights = np.array([len(part) for part in whole.parts], dtype=np.float64)
    for round_ in range(1, experiment.rounds + 1):
        updates = []
        for index, part in enumerate(whole.parts, start=1):
            how = LocalTraining(
                1, experiment.batch, experiment.learning_rate, training_seed(experiment.seed, round_, index)
            )
            updates.append(trainer.train(theta, part, how).astype(np.float64) - theta)
        theta = (theta + np.average(updates, axis=0, weights=weights)).astype(np.float32)
    return theta


assert callable(plain_fedavg)


def test_asking_again_gives_the_same_bytes():
    run = Run(SMALL.but(rounds=1))
    sent = list(run.steps())
    client = run.parties.clients[0]
    position = sent[-1].position
    again = client.commit(position)
    recorded = next(s for s in sent if s.step == "commitment" and s.sender == client.name)
    assert again.envelope.signed_header == recorded.head


def test_stepping_recomputes_nothing():
    run = Run(SMALL.but(rounds=1))
    steps = run.steps()
    seen = [next(steps) for _ in range(8)]
    assert [sent.step for sent in seen][:3] == ["roster", "epoch", "share"]
    assert len(run.transcript.sent) == 8


def test_the_sum_lists_every_signed_header(small_run):
    total = next(sent for sent in small_run.transcript.of_round(1) if sent.step == "sum")
    message = decode(small_run.transcript.body(total), EncryptedSum)
    assert [item.header.sender for item in message.updates] == ["client-1", "client-2", "client-3"]
    assert message.total.terms == 3


def test_not_observed_means_nothing_private_leaves():
    run = finished(SMALL.but(observed=False, rounds=1))
    result = run.result()
    assert result.rounds[0].accuracy is None and result.rounds[0].max_abs_error is None
    assert not run.observer.observations[1]
    with pytest.raises(RoundError, match="not observed"):
        run.parties.clients[0].observe(run.transcript.of_round(1)[-1].position)


def test_a_bound_that_is_too_small_stops_the_run_with_an_encoding_error():
    with pytest.raises(EncodingError, match="exceeds the bound"):
        finished(SMALL.but(bound=1e-4))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"clients": 1}, ParameterError, "clients"),
        ({"clients": 0}, ParameterError, "clients"),
        ({"clients": 2}, ParameterError, "min_cohort"),
        ({"min_cohort": 9}, ParameterError, "min_cohort"),
        ({"rounds": 0}, ParameterError, "rounds"),
        ({"learning_rate": float("nan")}, ParameterError, "learning_rate"),
        ({"alpha": -1.0}, ParameterError, "alpha"),
        ({"scheme": "rot13"}, ParameterError, "rot13"),
        ({"model": "gpt"}, ParameterError, "model"),
        ({"trainer": "abacus"}, ParameterError, "trainer"),
        ({"custody": "9-of-5"}, ParameterError, "quorum|custody"),
        ({"custody": "2-of-9"}, ParameterError, "custody"),
        ({"custody": "everybody"}, ParameterError, "custody"),
        ({"dataset": "unheard-of"}, (DataError, ParameterError), "unheard-of"),
        ({"dataset": "csv:/nowhere.csv"}, DataError, "nowhere"),
    ],
)
def test_bad_experiments_are_refused_with_what_to_do(changes, error, words):
    with pytest.raises(error, match=words):
        run_experiment(Experiment(**{"rounds": 1, **changes}))


def test_two_clients_are_a_lab_experiment_and_marked():
    experiment = SMALL.but(clients=2, min_cohort=2, rounds=1)
    assert any("INSECURE" in reason for reason in experiment.insecure)
    assert run_experiment(experiment).insecure


def test_experiments_travel_as_json_and_as_url():
    experiment = SMALL.but(alpha=0.5, custody="individual", learning_rate=0.05, observed=False)
    assert Experiment.from_json(experiment.to_json()) == experiment
    assert Experiment.from_query(experiment.to_query()) == experiment
    assert Experiment().to_query() == ""
    for query in ("clients=many", "colour=red", "clients=1"):
        with pytest.raises(ParameterError):
            Experiment.from_query(query)
    for text in ("", "[]", '{"clients": "5"}', '{"colour": 1}'):
        with pytest.raises(ParameterError):
            Experiment.from_json(text)


def test_a_seed_is_never_accepted_twice(monkeypatch):
    """Two uploads under one seed would give their difference away: the coordinator refuses the second."""
    result = run_experiment(SMALL.but(scheme="bfv-lean-seeded", rounds=2))
    assert [item.model is not None for item in result.rounds] == [True, True]
    monkeypatch.setattr("hefl_core.federation.coordinator.mask_digests", lambda scheme, vector: (b"the same seed",))
    with pytest.raises(RoundError, match="randomness was used before"):
        run_experiment(SMALL.but(scheme="bfv-lean-seeded", rounds=1))


def test_a_label_that_is_not_the_plans_is_refused_at_the_door(small_run):
    """Blocks are confirmed and words are tagged; what says how to read them must be agreed as well."""
    plan = decode(small_run.transcript.body(_first(small_run, "plan")), RoundPlan)
    total = decode(small_run.transcript.body(_first(small_run, "sum")), EncryptedSum).total
    check_agreed(total, plan, True, "sum")
    for change in ({"max_terms": 4}, {"bound": 0.5}, {"length": total.length - 1}, {"integers": 1}, {"tagged": False}):
        with pytest.raises(WireError, match="as the plan says"):
            check_agreed(replace(total, **change), plan, True, "sum")


def _first(run, step):
    return next(sent for sent in run.transcript.sent if sent.step == step)


def test_a_bound_that_is_a_whole_number_is_a_bound():
    """`bound=1` in a program is an int; the plan carries a float."""
    assert len(finished(SMALL.but(rounds=1, bound=1)).rounds) == 1

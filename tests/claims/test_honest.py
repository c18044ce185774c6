"""Honest runs of every kind: no row of the ledger is red. What a run does not allow to check is not checked."""

import pytest

from hefl_core.claims import check_claims
from hefl_core.errors import RuntimeUnavailable
from hefl_core.federation.client import Client
from hefl_core.runtime.restart import durable_local_stage
from hefl_core.runtime.run import Run, run_experiment
from tests.conftest import SMALL

FOUR = SMALL.but(clients=4, model="logistic")
TOGETHER = FOUR.but(scheme="INSECURE_bfv-threshold-1024", custody="2-of-4")
DEALER_FREE = TOGETHER.but(custody="dealer-free:2-of-4")
PAILLIER = FOUR.but(scheme="INSECURE_paillier-512", custody="2-of-4")
PRIVATE = FOUR.but(clip_norm=1.0, dp_noise=0.5)


def kind(one):
    return "-".join(filter(None, (one.scheme, one.custody, "private" * (one.dp_noise is not None))))


UNSEEN = {"coordinator-blind", "equals-fedavg", "one-model", "noise-added", "epochs-apart"}
"""Rows that need what the clients show to the observer."""


def not_red(result):
    """The rows that were not checked. AssertionError where one is red."""
    checked = check_claims(result)
    assert checked.failed == ()
    return {finding.id for finding in checked.claims if finding.holds is None}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"epoch_rounds": 1},
        {"clip_norm": 0.1},
        {"bound": "adaptive", "epoch_rounds": 1},
        {"scheme": "bfv-compact-2048-seeded"},
        {"scheme": "INSECURE_ckks-1024", "epoch_rounds": 1},
        {"scheme": "INSECURE_paillier-512"},
        {"clip_norm": 1.0, "dp_noise": 0.5, "epoch_rounds": 1},
        {"custody": "2-of-4", "scheme": "INSECURE_bfv-threshold-1024", "epoch_rounds": 1, "rounds": 3},
        {"custody": "dealer-free:3-of-4", "scheme": "INSECURE_bfv-threshold-1024"},
        {"custody": "2-of-4", "scheme": "INSECURE_paillier-512", "epoch_rounds": 1},
    ],
    ids=str,
)
def test_every_row_is_green(changes):
    assert not_red(run_experiment(FOUR.but(**changes))) == set()


@pytest.mark.parametrize("experiment", [FOUR, FOUR.but(epoch_rounds=1), TOGETHER, DEALER_FREE, PRIVATE], ids=kind)
def test_unobserved_runs_are_green_or_not_checked(experiment):
    assert not_red(run_experiment(experiment.but(observed=False))) <= UNSEEN


def failing(monkeypatch, step, when):
    """One party's process dies in this step, where ``when`` says so of its name and place."""
    method = getattr(Client, step)

    def dies(self, position):
        if when(self.name, position):
            raise RuntimeUnavailable(f"{self.name}: its process is gone")
        return method(self, position)

    monkeypatch.setattr(Client, step, dies)


@pytest.mark.parametrize("experiment", [FOUR, TOGETHER, DEALER_FREE, PAILLIER, PRIVATE], ids=kind)
@pytest.mark.parametrize("observed", [True, False])
def test_a_retry_after_a_client_died_is_not_red(monkeypatch, experiment, observed):
    """It committed and did not upload: the attempt is over, the next one has all four."""
    failing(monkeypatch, "upload", lambda name, at: (name, at.round, at.attempt) == ("client-3", 2, 1))
    result = run_experiment(experiment.but(observed=observed))
    assert [line.attempts for line in result.rounds] == [1, 2]
    assert not_red(result) <= (set() if observed else UNSEEN)


@pytest.mark.parametrize("experiment", [TOGETHER, DEALER_FREE, PAILLIER], ids=kind)
def test_a_retry_after_a_holder_died_is_not_red(monkeypatch, experiment):
    """It said that it is ready and did not answer: the sum is made again, of the same members."""
    failing(monkeypatch, "partial_decryption", lambda name, at: (name, at.round, at.attempt) == ("client-1", 1, 1))
    result = run_experiment(experiment)
    assert [line.attempts for line in result.rounds] == [2, 1]
    assert not_red(result) == set()


@pytest.mark.parametrize("experiment", [FOUR, TOGETHER, PRIVATE], ids=kind)
def test_a_drop_out_is_not_red(monkeypatch, experiment):
    failing(monkeypatch, "commit", lambda name, at: name == "client-2" and at.round == 2)
    result = run_experiment(experiment)
    assert len(result.rounds[1].contributors) == 3
    assert not_red(result) <= {
        "epochs-apart"
    }  # under a key of this round's own, and it takes client-2 to see its secret


@pytest.mark.parametrize("experiment", [FOUR, TOGETHER, PRIVATE], ids=kind)
def test_a_contributor_that_was_not_observed_is_not_red(monkeypatch, experiment):
    failing(monkeypatch, "observe", lambda name, at: name == "client-1" and at.round == 1)
    assert not_red(run_experiment(experiment)) <= UNSEEN


def test_everybody_lost_after_every_message_is_not_red():
    run = Run(PRIVATE, stage=durable_local_stage)
    for _ in run.steps():
        for party in (run.parties.coordinator, run.parties.auditor, *run.parties.clients):
            party.restart()
    result = run.result()
    run.close()
    assert not_red(result) == set()


def test_separate_processes_are_not_red():
    assert not_red(run_experiment(TOGETHER.but(epoch_rounds=1), "ray")) == set()


def test_services_are_not_red():
    """Observed by nobody; the models are compared in the clients' own folders."""
    assert not_red(run_experiment(FOUR, "strict")) == {"coordinator-blind", "equals-fedavg"}

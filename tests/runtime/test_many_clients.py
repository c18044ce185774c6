"""A hundred clients: several per process on Ray, here all in one."""

from hefl_core.runtime.launch import run_experiment
from tests.conftest import SMALL


def test_a_hundred_clients_finish_a_round():
    result = run_experiment(SMALL.but(clients=100, rounds=1, model="logistic"))
    only = result.rounds[0]
    assert len(only.contributors) == 100 and only.model is not None
    assert only.max_abs_error <= only.error_bound

"""Shared pieces: one small local run, drained once."""

import pytest

import tests.untouched  # noqa: F401  before hefl_core, which lowers the limits of this process
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment
from tests import howlong

SMALL = Experiment(dataset="digits", model="mlp", trainer="numpy", scheme="bfv-lean", clients=3, rounds=2, seed=7)


def pytest_configure(config):
    if howlong.whole(config):
        config.pluginmanager.register(howlong.Clock(config), "howlong")


def pytest_ignore_collect(collection_path, config):
    """A file that ``make test-fast`` leaves out is not read either: its imports alone took a quarter of the time."""
    left_out = "not slow" in config.option.markexpr and collection_path.is_file() and not howlong.core(collection_path)
    return True if left_out else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Before ``-m`` chooses: what is not of the core is slow."""
    for item in items:
        if not howlong.core(item.path):
            item.add_marker(pytest.mark.slow)


def finished(experiment, **how):
    run = Run(experiment, **how)
    for _ in run.steps():
        pass
    return run


@pytest.fixture(scope="session")
def small_run():
    """Three clients, two rounds, bfv-lean, all parties in this process."""
    return finished(SMALL)


@pytest.fixture(scope="session")
def small_result(small_run):
    return small_run.result()

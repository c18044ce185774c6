"""What a client cut off its own update stands in its own results, as the observer of a local run counts it, and in no message."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hefl_core.runtime.client_home import home_of
from hefl_core.runtime.client_results import ClientResults, read_rounds
from hefl_core.runtime.run import Run
from hefl_core.runtime.services.one_machine import _with_own
from hefl_core.terms.experiment import Experiment


@pytest.mark.parametrize("changes", [{"clip_norm": 0.05}, {"scheme": "bfv-compact"}, {}], ids=str)
def test_a_clients_own_results_count_what_it_cut(changes, tmp_path):
    """Strict mode showed no count: nobody observes there, but each client knows its own."""
    experiment = Experiment(model="logistic", clients=3, rounds=2, **changes)
    run = Run(experiment)
    own = {}
    for _ in run.steps():
        for client in run.parties.clients:
            keep = own.setdefault(client.name, ClientResults(tmp_path / client.name, home_of(experiment, 1).evaluate))
            keep.note(client)
    result = run.result()
    lines = {name: {line.round: line for line in read_rounds(tmp_path / name)} for name in own}
    for item in result.rounds:
        bare = replace(item, clipped=None)
        found = _with_own(bare, {name: of[item.round] for name, of in lines.items()})
        assert found.clipped == item.clipped and item.clipped is not None
        assert _with_own(bare, {name: of[item.round] for name, of in list(lines.items())[1:]}).clipped is None
    shortened = [item.clipped.shortened for item in result.rounds]
    assert shortened == ([3, 3] if "clip_norm" in changes else [0, 0])

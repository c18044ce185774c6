"""Services with TLS in network namespaces: a plug is pulled, and what the others do about it."""

import numpy as np
import pytest

from hefl_core.checks.faults import networks
from hefl_core.checks.faults.campaign import FEWER
from hefl_core.checks.faults.faults import Fault
from hefl_core.checks.faults.namespaces import why_not
from hefl_core.checks.faults.networks import CUT, one_network_fault
from hefl_core.runtime.client_results import FOLDER, MODEL

pytestmark = [pytest.mark.ray, pytest.mark.skipif(bool(why_not()), reason=f"namespaces: {why_not()}")]


def test_a_client_whose_plug_is_pulled_is_gone_on_without_and_a_wrong_model_would_be_seen(monkeypatch):
    judged = networks._wrong
    spoilt = []

    def twice(machine, result):
        """Judge as it is, then with one number of the last model changed."""
        found = judged(machine, result)
        path = machine.folder / result.rounds[-1].contributors[0] / FOLDER / MODEL
        model = np.load(path)
        model[0] += 1e-3
        np.save(path, model)
        spoilt.append(judged(machine, result)[0])
        return found

    monkeypatch.setattr(networks, "_wrong", twice)
    outcome = one_network_fault(Fault("client-3", "update", CUT, 1), together=False)
    assert (outcome.result, outcome.detail, outcome.rounds_checked) == (FEWER, "", networks.ROUNDS)
    assert "off by 0.001" in spoilt[0]

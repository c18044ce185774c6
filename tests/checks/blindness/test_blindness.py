"""The blindness test itself: quiet on an honest run, loud on a coordinator that breaks the rules."""

import json
import os
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from hefl_core.app.blindness_job import BlindnessJob
from hefl_core.checks.blindness import examination as blindness
from hefl_core.checks.blindness import hosts
from hefl_core.checks.claims.ledger import LEDGER, check_claims
from hefl_core.cli import blindness as command
from hefl_core.cli.main import app
from hefl_core.errors import ParameterError, RuntimeUnavailable
from hefl_core.probes.private_forms import RECORD
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.ray.actors import RayRuntime
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.skipif(not os.path.exists("/proc/self/pagemap"), reason="memory can be read on Linux only"),
]
QUICK = Experiment(dataset="breast_cancer", model="logistic", batch=16, clients=3, rounds=1)


@pytest.fixture(scope="module")
def tested():
    return blindness.full_test(QUICK)


def test_an_honest_run_is_blind_and_the_test_is_not(tested):
    result, found = tested
    assert found.holds, (found.findings, [c for c in found.controls if not c.found])
    assert result.blindness == found and len(found.controls) == 7
    kinds = dict(found.needles)
    assert {"key material", "identity keys", "tag key", "plaintext update", "aggregate", RECORD} <= set(kinds)
    assert found.needle_count > 150 and found.least_bits >= 40
    for looked in found.looked:
        assert looked.looks >= 3 and looked.nbytes > looked.shared > 0 and looked.pid != os.getpid()
    assert found.handed.messages > 50 and found.handed.findings == ()


def test_the_ledger_speaks_of_a_run_that_was_looked_into(tested):
    result, found = tested
    findings = {one.id: one for one in check_claims(result).claims}
    assert findings["coordinator-memory"].holds and findings["inputs-allowed"].holds
    assert f"{found.needle_count} needles" in findings["coordinator-memory"].evidence
    assert "Ray handed" in findings["inputs-allowed"].evidence
    claim = next(one for one in LEDGER if one.id == "coordinator-memory")
    assert all(claim.examine(control(result)).holds is False for control in claim.controls)
    blind = replace(found, controls=(replace(found.controls[0], found=False), *found.controls[1:]))
    assert "blind itself" in claim.examine(replace(result, blindness=blind)).evidence


def leaky():
    """A house that does what it must not; made here so that it travels by value."""

    class Leaky(hosts.WatchedHost):
        def _settle(self, spec):
            from hefl_core.runtime.client_home import dealt_data

            if spec.maker == "make_coordinator":
                dealt_data(spec.args[0].experiment)  # loads every client's records
                self._handed.append((8, {"examples": 113}))
            return super()._settle(spec)

    return Leaky


def test_records_in_the_coordinator_and_a_count_handed_to_it_are_found():
    """The first fault is real: coordinators computed θ_0 themselves once. A session's run, not observed, looked into once."""
    bus = blindness.EventBus()
    run = Run(QUICK.but(observed=False), "ray", bus=bus, stage=RayRuntime(2, bus, host=leaky()), keep_keys=True)
    try:
        for _ in run.steps():
            pass
        found = blindness.look_at(run, run.result(), bus, blindness.threading.Event())
    finally:
        run.close()
    assert {"plaintext update", "aggregate", "key material"} <= set(dict(found.needles))
    assert {hit.kind for hit in found.hits} == {RECORD}
    assert {hit.pid for hit in found.hits} == {one.pid for one in found.looked if one.party == "coordinator"}
    assert any("dict" in finding for finding in found.handed.findings)
    assert found.sighted and not found.holds


def test_a_test_that_does_not_find_what_was_planted_says_so(tested, monkeypatch):
    result, found = tested
    blind = replace(found, controls=(replace(found.controls[0], found=False), *found.controls[1:]))
    assert not blind.sighted and not blind.holds and not blind.findings
    for outcome, code, said in (
        (found, 0, ""),
        (blind, 1, "BLIND ITSELF"),
        (replace(found, hits=_hit(found)), 1, "FOUND"),
    ):
        monkeypatch.setattr(command, "full_test", lambda *_, one=outcome, **__: (result, one))
        ran = CliRunner().invoke(app, ["blindness", "--observed", "on", "--json", "-"])
        assert ran.exit_code == code and said in ran.stderr
        assert json.loads(ran.stdout)["runs"][0]["needle_count"] == found.needle_count


def _hit(found):
    return (blindness.Hit(found.looked[0].pid, RECORD, "planted", "[heap]"),)


def test_cancelled_between_two_looks_it_proves_nothing_and_says_so(tested):
    examination = blindness.Examination(run=None)
    examination.cancel.set()
    with pytest.raises(RuntimeUnavailable, match="proves nothing"):
        examination.look()


def test_in_the_background_it_is_stopped_on_demand_and_a_process_that_went_is_a_message(tested):
    _, found = tested

    def patient(bus, cancel):
        bus.publish(blindness.Progress("looking", 0.5))
        assert cancel.wait(20)
        raise RuntimeUnavailable("cancelled")

    stopped = BlindnessJob(patient)
    stopped.start()
    assert stopped.running and not stopped.full
    stopped.cancel()
    assert stopped.wait(20) and stopped.cancelled and stopped.found is None and stopped.error is not None
    assert stopped.progress.text == "looking"

    def freed(bus, cancel):
        raise ValueError("a text that could hold anything")

    for conduct, outcome in ((freed, None), (lambda bus, cancel: found, found)):
        blindness_job = BlindnessJob(conduct, rounds=20)
        blindness_job.start()
        assert blindness_job.wait(20) and blindness_job.found is outcome and blindness_job.full
        assert outcome or "anything" not in str(blindness_job.error)


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(ParameterError, match="encrypts"):
        blindness.full_test(QUICK.but(scheme="plaintext"))
    result = run_experiment(QUICK)
    with pytest.raises(ParameterError, match="separate processes"):
        blindness.look_at(Run(QUICK), result, blindness.EventBus(), blindness.threading.Event())

"""Each row of the ledger: its check passes on an honest run and fails on its planted fault."""

import pytest

from hefl_core.claims import LEDGER, Claim, check_claims, to_markdown
from hefl_core.errors import ParameterError
from hefl_core.runtime.run import run_experiment
from tests.conftest import SMALL

OF_PROCESSES = {"coordinator-memory"}
"""They speak of runs whose processes were looked into: tests/security/test_blindness.py."""
EXECUTED = [claim for claim in LEDGER if claim.kind == "executed" and claim.id not in OF_PROCESSES]


@pytest.fixture(scope="module")
def collective_result():
    """Held 2 of 3, and the key changes between the rounds: every claim speaks of this run."""
    return run_experiment(SMALL.but(scheme="INSECURE_paillier-512", custody="2-of-3", epoch_rounds=1, model="logistic"))


@pytest.fixture(scope="module")
def private_result():
    """With noise on every update."""
    return run_experiment(SMALL.but(model="logistic", clip_norm=1.0, dp_noise=0.5))


@pytest.fixture
def result(claim, small_result, collective_result, private_result):
    return next(found for found in (small_result, collective_result, private_result) if claim.applies(found))


@pytest.mark.parametrize("claim", EXECUTED, ids=lambda claim: claim.id)
def test_the_check_passes_on_an_honest_run(claim, result):
    finding = claim.examine(result)
    assert finding.holds, finding.evidence


@pytest.mark.parametrize("claim", EXECUTED, ids=lambda claim: claim.id)
def test_the_check_fails_on_its_planted_fault(claim, result):
    assert not claim.examine(claim.control(result)).holds


def test_every_claim_holds_of_a_run_with_all_of_it(collective_result):
    findings = check_claims(collective_result).claims
    assert len(findings) == len(EXECUTED) - 1  # all but differential privacy
    assert all(finding.holds for finding in findings), findings


def test_plaintext_is_not_called_blind():
    findings = {f.id: f for f in check_claims(run_experiment(SMALL.but(scheme="plaintext", rounds=1))).claims}
    assert not findings["coordinator-blind"].holds


def test_an_unobserved_run_does_not_claim_what_it_cannot_check():
    findings = {f.id: f for f in check_claims(run_experiment(SMALL.but(observed=False, rounds=1))).claims}
    assert not findings["coordinator-blind"].holds and "observed" in findings["coordinator-blind"].evidence
    assert findings["shares-sealed"].holds


def test_a_claim_without_a_check_that_can_fail_does_not_load():
    with pytest.raises(ParameterError):
        Claim("x", "All is well.", "coordinator", "executed", "nowhere")
    with pytest.raises(ParameterError):
        Claim("x", "All is well.", "coordinator", "executed", "nowhere", check=lambda result: "fine")
    with pytest.raises(ParameterError):
        Claim("x", "All is well.", "coordinator", "argued", "")


def test_the_generated_page_is_current():
    from pathlib import Path

    page = Path(__file__).parents[2] / "docs" / "claims.md"
    assert page.read_text(encoding="utf-8") == to_markdown()

"""Each row of the ledger: its check passes on an honest run and fails on every planted fault."""

import numpy as np
import pytest
import tenseal.sealapi as sealapi

from hefl_core.claims import LEDGER, MIN_CONTROLS, Claim, check_claims, to_markdown
from hefl_core.errors import NotChecked, ParameterError
from hefl_core.federation.dp import Mechanism
from hefl_core.runtime.result import Finding, Verdict
from hefl_core.runtime.run import run_experiment
from hefl_core.schemes import seal
from tests.conftest import SMALL

OF_PROCESSES = {"coordinator-memory"}
"""They speak of runs whose processes were looked into: tests/security/test_blindness.py."""
EXECUTED = [claim for claim in LEDGER if claim.kind == "executed" and claim.id not in OF_PROCESSES]
PLANTED = [(claim, control) for claim in EXECUTED for control in claim.controls]
ROTATING = SMALL.but(epoch_rounds=1, model="logistic")


@pytest.fixture(scope="module")
def results(small_result):
    """Runs of every kind that some claim speaks of, the key changing between the rounds of most of them."""
    return {
        "individual": small_result,
        "rotated": run_experiment(ROTATING),
        "dealt": run_experiment(ROTATING.but(scheme="INSECURE_paillier-512", custody="2-of-3")),
        "dealer-free": run_experiment(ROTATING.but(scheme="INSECURE_bfv-threshold-1024", custody="dealer-free:2-of-3")),
        "private": run_experiment(SMALL.but(model="logistic", clip_norm=1.0, dp_noise=0.5)),
    }


@pytest.mark.parametrize("kind", ["individual", "rotated", "dealt", "dealer-free", "private"])
def test_every_claim_holds_of_honest_runs(results, kind):
    found = check_claims(results[kind]).claims
    assert [one for one in found if one.verdict is not Verdict.HOLDS] == []
    assert len(found) == sum(claim.applies(results[kind]) for claim in EXECUTED) >= 9


@pytest.mark.parametrize(
    ("claim", "control"), PLANTED, ids=[f"{claim.id}-{control.__name__}" for claim, control in PLANTED]
)
def test_the_check_fails_on_every_planted_fault(results, claim, control):
    tried = 0
    for kind, result in results.items():
        if claim.applies(result):
            found = claim.examine(control(result))
            assert found.verdict is Verdict.FAILS, (kind, found)
            tried += 1
    assert tried


def test_each_row_has_faults_of_two_kinds_and_says_which():
    for claim, control in PLANTED:
        assert len(set(claim.controls)) == len(claim.controls) >= MIN_CONTROLS and control.__doc__, claim.id


# -- faults that no control plants: in the parties themselves ---------------------------------------------------


def key_over(ring, secret):
    """A fresh public key over this secret, and the secret, in SEAL's bytes."""
    public = sealapi.PublicKey()
    sealapi.KeyGenerator(ring.context, secret).create_public_key(public)
    return seal.to_bytes(public), seal.to_bytes(secret)


def finding(result, name):
    return next(one for one in check_claims(result).claims if one.id == name)


def test_a_run_without_noise_is_not_called_private(monkeypatch):
    """Nobody adds noise, and the updates' entries are larger than the noise. Control: the run with it holds."""
    private = SMALL.but(model="logistic", clip_norm=1.0, dp_noise=0.03, rounds=1)
    assert finding(run_experiment(private), "noise-added").verdict is Verdict.HOLDS
    monkeypatch.setattr(Mechanism, "noised", lambda self, clipped, step: np.trunc(clipped / step) * step)
    bare = run_experiment(private)
    share = 0.03 / private.cohort_floor**0.5
    assert all(np.sqrt(np.mean(np.frombuffer(seen.update) ** 2)) > share for seen in bare.observations[1])
    found = finding(bare, "noise-added")
    assert found.verdict is Verdict.FAILS and "variance" in found.evidence


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_too_little_and_too_much_noise_of_one_client_are_seen(monkeypatch, factor):
    """Of one of three, so that the sum is still one that the clients apply."""
    share, noised, asked = Mechanism.share_std, Mechanism.noised, []

    def wrong(self, clipped, step):
        asked.append(step)
        with pytest.MonkeyPatch.context() as once:
            if len(asked) == 1:
                once.setattr(Mechanism, "share_std", lambda self, step: round(factor * share(self, step)))
            return noised(self, clipped, step)

    monkeypatch.setattr(Mechanism, "noised", wrong)
    found = finding(run_experiment(SMALL.but(clip_norm=1.0, dp_noise=0.5, rounds=1)), "noise-added")
    assert found.verdict is Verdict.FAILS and "client-1" in found.evidence, found


@pytest.mark.parametrize(
    ("scheme", "custody"),
    [
        ("bfv-lean", "individual"),
        ("INSECURE_ckks-1024", "individual"),
        ("INSECURE_bfv-threshold-1024", "2-of-3"),
        ("ckks-threshold", "2-of-3"),
    ],
)
def test_epochs_over_one_secret_are_seen(monkeypatch, scheme, custody):
    """The KMS deals every key over one secret: labels, public keys and shares are new each time."""
    first = {}

    def over_one_secret(ring):
        return key_over(ring, first.setdefault("secret", sealapi.KeyGenerator(ring.context).secret_key()))

    run = ROTATING.but(scheme=scheme, custody=custody)
    if scheme.startswith("INSECURE"):
        assert finding(run_experiment(run), "epochs-apart").verdict is Verdict.HOLDS
    monkeypatch.setattr(seal, "make_keys", over_one_secret)
    found = finding(run_experiment(run), "epochs-apart")
    assert found.verdict is Verdict.FAILS and found.evidence == "epochs 1 and 2 have one secret"


@pytest.mark.parametrize(
    ("scheme", "custody"), [("INSECURE_ckks-1024", "individual"), ("INSECURE_bfv-threshold-1024", "2-of-3")]
)
def test_a_secret_that_comes_back_after_another_is_seen(monkeypatch, scheme, custody):
    """No two epochs in a row have one secret: the first and the third have."""
    kept = []

    def in_turn(ring):
        kept.append(kept[0] if len(kept) == 2 else sealapi.KeyGenerator(ring.context).secret_key())
        return key_over(ring, kept[-1])

    monkeypatch.setattr(seal, "make_keys", in_turn)
    found = finding(run_experiment(ROTATING.but(scheme=scheme, custody=custody, rounds=3)), "epochs-apart")
    assert found.verdict is Verdict.FAILS and found.evidence == "epochs 1 and 3 have one secret"


def test_plaintext_is_not_called_blind():
    findings = {f.id: f for f in check_claims(run_experiment(SMALL.but(scheme="plaintext", rounds=1))).claims}
    assert findings["coordinator-blind"].verdict is Verdict.FAILS


# -- verdicts ---------------------------------------------------------------------------------------------------


def test_an_unobserved_run_does_not_claim_what_it_cannot_check():
    result = check_claims(run_experiment(SMALL.but(observed=False, rounds=1)))
    findings = {f.id: f for f in result.claims}
    for name in ("coordinator-blind", "equals-fedavg", "one-model"):
        assert findings[name].verdict is Verdict.NOT_CHECKED and "observ" in findings[name].evidence, findings[name]
    assert findings["shares-sealed"].verdict is Verdict.HOLDS
    assert not result.failed


def test_what_was_not_checked_is_null_for_programs(small_result):
    missing = Claim(
        "x", "All.", "client", "executed", "nowhere", check=_lacks, controls=(lambda r: r, lambda r: r)
    ).examine(small_result)
    assert (missing.verdict, missing.holds, missing.evidence) == (Verdict.NOT_CHECKED, None, "no look; take one")
    assert [Finding("x", verdict, "").holds for verdict in Verdict] == [True, False, None]


def _lacks(result):
    raise NotChecked("no look; take one")


def test_a_claim_without_a_check_that_can_fail_does_not_load():
    with pytest.raises(ParameterError):
        Claim("x", "All is well.", "coordinator", "executed", "nowhere")
    with pytest.raises(ParameterError):
        Claim("x", "All is well.", "coordinator", "executed", "nowhere", check=lambda result: "fine")
    with pytest.raises(ParameterError):
        Claim("x", "All.", "client", "executed", "nowhere", check=lambda result: "fine", controls=(lambda r: r,))
    with pytest.raises(ParameterError):
        Claim("x", "All is well.", "coordinator", "argued", "")


def test_the_generated_page_is_current():
    from pathlib import Path

    page = Path(__file__).parents[2] / "docs" / "claims.md"
    assert page.read_text(encoding="utf-8") == to_markdown()

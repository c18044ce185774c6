"""Few bits under a rotation, in whole runs: one model, both bounds, nothing lost over retries, no noise on a coarse grid."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec import UNSET

from hefl_core.checks.claims.ledger import check_claims
from hefl_core.errors import EncodingError, ParameterError
from hefl_core.federation.record.verify import verify
from hefl_core.federation.round_log import MADE
from hefl_core.runtime.observer import fedavg_length
from hefl_core.runtime.restart import durable_local_stage
from hefl_core.runtime.round_zero import round_zero
from hefl_core.runtime.run import Run
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.schemes.rotated import Rotation
from hefl_core.terms import experiment as terms
from hefl_core.terms.adaptive_bound import BoundRange, Precision, start_of
from hefl_core.terms.dp import Mechanism
from hefl_core.terms.experiment import Experiment, Manifest
from tests.conftest import finished

FEW = Experiment(dataset="digits", model="logistic", scheme="INSECURE_bfv-1024", clients=3, rounds=2, bits=3)
FIELDS = FixedPoint.of(3, 3)


@pytest.fixture
def one_nonce(monkeypatch):
    """Two runs of one experiment are the same run: the same manifest, so the same rotations."""
    monkeypatch.setattr(terms.secrets, "token_bytes", bytes)


def models(run):
    return [item.model for item in run.rounds]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rotate": False, "bits": 6},
        {"scheme": "INSECURE_paillier-512", "bits": 4},
        {"scheme": "INSECURE_bfv-threshold-1024", "custody": "2-of-3"},
        {"clip_norm": 0.5},
        {"bits": None, "rotate": True},
        {"scheme": "INSECURE_bfv-1024", "bits": 12, "bound": 2.0},
    ],
)
def test_every_packed_scheme_runs_on_few_bits_with_one_model_and_within_its_bound(changes):
    run = finished(FEW.but(**changes))
    assert all(models(run)) and verify(run.transcript).sums == 2
    assert all(item.max_abs_error <= item.error_bound for item in run.rounds)
    if not changes:
        assert not check_claims(run.result()).failed


def test_the_error_keeps_its_bound_in_length_too():
    """In L2 the rotation adds nothing: √d · K · LSB/2 · n_max/Σn, of updates as sent."""
    run = finished(FEW)
    manifest, fields = run.transcript.manifest, FixedPoint.of(3, 3)
    for item in run.rounds:
        seen = run.observer.observations[item.round]
        total = sum(one.examples for one in seen)
        mean = sum(np.frombuffer(one.update) * one.examples for one in seen) / total
        error = next(np.frombuffer(one.applied) for one in seen if one.applied) - mean
        of_sum = fields.sum_error(seen[0].bound, 3) * manifest.examples_max / total
        assert np.linalg.norm(error) <= np.sqrt(manifest.parameters) * of_sum
        assert np.max(np.abs(error)) <= item.error_bound == pytest.approx(manifest.error_factor * of_sum, rel=1e-6)


def test_an_error_spread_over_all_entries_shows_by_its_length():
    """Each entry is within its bound, √h times a field's; together they are more than rounding can be."""
    run = finished(FEW.but(rounds=1))
    manifest, item = run.transcript.manifest, run.rounds[0]
    seen = run.observer.observations[1]
    length, most = fedavg_length(manifest, seen, item.contributors, item.error_bound)
    assert length <= most
    nudge = np.full(manifest.parameters, item.error_bound / 2)
    wrong = [
        replace(one, applied=(np.frombuffer(one.applied) + nudge).tobytes()) if one.applied else one for one in seen
    ]
    length, most = fedavg_length(manifest, wrong, item.contributors, item.error_bound)
    assert length > most


def test_a_client_lost_in_the_middle_of_a_round_changes_no_bit(one_nonce):
    """Nothing is carried twice, and nothing is lost: the model of an undisturbed run, bit for bit."""
    run = Run(FEW, stage=durable_local_stage)
    for sent in run.steps():
        if sent.step in ("commitments", "sum"):
            run.parties.clients[0].restart()
    assert models(run) == models(finished(FEW))
    run.close()


def test_what_a_restarted_client_would_round_otherwise_it_takes_from_its_log(monkeypatch):
    """Another library's last bits can tip a field: the log decides. Taken out of the log, the fields are others."""
    run = Run(FEW.but(rounds=1), stage=durable_local_stage)
    for sent in run.steps():
        if sent.step == "commitments":
            break
    client = run.parties.clients[0]
    sent_first, apply = client._party._fitted[2].rounded, Rotation.apply
    monkeypatch.setattr(Rotation, "apply", lambda self, x: apply(self, x) * x.dtype.type(1.2))
    client.restart()
    assert np.array_equal(client._party._fitted[2].rounded, sent_first)
    client._store.delete(MADE, "fields")
    client.restart()
    assert not np.array_equal(client._party._fitted[2].rounded, sent_first)
    run.close()


def test_a_retry_sends_the_logged_fields_though_the_rounding_is_another():
    log = {}

    def once(make):
        return log.setdefault("fields", make())

    x, rotation = np.random.default_rng(1).normal(0, 0.1, 300), Rotation(300, b"r")
    first, again = (Precision(BoundRange(), feedback=True) for _ in range(2))
    before = first.fit(x, FIELDS, np.random.default_rng(1), rotation, once)
    after = again.fit(x * (1 + 1e-3), FIELDS, np.random.default_rng(2), rotation, once)  # another library's last bits
    assert np.array_equal(before.rounded, after.rounded)
    assert not np.array_equal(before.rounded, again.fit(x * 1.1, FIELDS, np.random.default_rng(2), rotation).rounded)


def test_rotations_belong_to_manifest_and_round_and_to_no_attempt(one_nonce):
    manifest = Manifest.draw(FEW, 650, 100)
    one, again, other = manifest.rotation(1), manifest.rotation(1), manifest.rotation(2)
    x = np.random.default_rng(1).normal(size=650)
    assert np.array_equal(one.apply(x), again.apply(x)) and not np.array_equal(one.apply(x), other.apply(x))
    foreign = Manifest.draw(FEW.but(seed=8), 650, 100).rotation(1)
    assert not np.array_equal(one.apply(x), foreign.apply(x))
    assert manifest.id != Manifest.draw(FEW.but(bits=4), 650, 100).id
    assert manifest.id != Manifest.draw(FEW.but(rotate=False), 650, 100).id
    assert manifest.bounds.start == start_of(650) and FEW.but(rotate=False).rotated is False


def test_what_is_left_out_stays_unrotated_and_moves_on_only_with_an_applied_sum():
    """Over rounds with different rotations everything arrives; a round whose sum was without it changes nothing."""
    rng, precision = np.random.default_rng(1), Precision(BoundRange(start=0.25), feedback=True)
    update, arrived = rng.normal(0, 0.1, 650), np.zeros(650)
    for number in range(40):
        rotation = Rotation(650, bytes([number]))
        fitted = precision.fit(update, FIELDS, rng, rotation)
        if number % 4 == 3:  # left out of this sum: the next round sends the same as if this one had not been
            left = precision.remembered()
            precision.follow(3 * fitted.rounded, 3, FIELDS, None, rotated=True)
            kept = Precision(BoundRange(), feedback=True)
            kept.recall(left)
            assert np.array_equal(kept._left_out, precision._left_out)
            continue
        arrived += rotation.undo(fitted.rounded.copy())
        precision.follow(3 * fitted.rounded, 3, FIELDS, fitted, rotated=True)
    np.testing.assert_allclose(arrived + precision._left_out, 30 * update, atol=1e-4)
    assert np.max(np.abs(arrived / 30 - update)) < 0.05


def test_the_bound_follows_the_mean_size_of_a_rotated_sum_to_its_place_in_three_rounds():
    rng, limits = np.random.default_rng(1), BoundRange(start=2.0**-4)
    for size in (2.0**-12, 2.0**-9, 2.0**-5, 2.0**-2):
        bound = limits.start
        for _ in range(8):
            whole = np.rint(np.clip(rng.normal(0, size, 4096), -bound, bound) / FIELDS.step(bound)) * FIELDS.step(bound)
            bound = limits.follow(bound, 3 * whole, 3, FIELDS, rotated=True)
        assert 2 <= bound / size <= 8
    assert limits.follow(limits.floor, np.zeros(4096), 3, FIELDS, rotated=True) == limits.floor
    assert limits.follow(limits.ceiling, np.full(4096, 3 * limits.ceiling), 3, FIELDS, rotated=True) == limits.ceiling


def test_differential_privacy_on_a_coarse_grid_is_refused():
    private = FEW.but(clip_norm=1.0, dp_noise=0.5, bits=12)
    for bits in (2, 8):
        with pytest.raises(ParameterError, match="expected 9 or more under dp_noise"):
            private.but(bits=bits)
    with pytest.raises(ParameterError, match="take 3 bits more"):  # nothing would be left of a large model's update
        Manifest.draw(private.but(bits=10), 99_530, 100)
    Manifest.draw(private.but(bits=13), 99_530, 100)
    # Why: at 4 bits truncation leaves nothing of an update of length 1, and 12 bits nearly all.
    x = np.full(650, 1 / np.sqrt(650))
    kept = {}
    for bits in (4, 12):
        step = FixedPoint.of(bits, 3).step(private.mechanism.bound)
        kept[bits] = np.linalg.norm(np.trunc(x / step) * step)
    assert kept[4] == 0.0 and kept[12] > 0.9


@pytest.mark.parametrize("rotate", [True, False])
def test_under_noise_the_update_is_clipped_rotated_truncated_noised_and_nothing_is_carried(rotate):
    private = FEW.but(clip_norm=0.5, dp_noise=0.5, bits=12, rotate=rotate, rounds=1)
    run = finished(private)
    assert all(models(run)) and (not rotate or not check_claims(run.result()).failed)
    step = FixedPoint.of(12, 3).step(private.declared_bound)
    for client in run.parties.clients:
        assert client._precision is None
        assert np.array_equal(client._on_grid, np.rint(client._on_grid / step) * step)
        assert np.max(np.abs(client._on_grid)) <= private.declared_bound


def test_the_whole_steps_are_checked_against_the_clip_exactly():
    """The length in float64 says 94906267 of the first vector too; exactly it is longer, and the noise is not for that."""
    mechanism = Mechanism(94906267.0, 0.01, 3)
    longer = np.array([94906267.0, 1.0])
    assert np.linalg.norm(longer) == mechanism.clip_norm
    with pytest.raises(EncodingError, match="whole steps are longer"):
        mechanism.noised(longer, 1.0)
    assert mechanism.noised(np.array([94906267.0, 0.5]), 1.0).shape == (2,)


def test_what_cannot_be_packed_or_rotated_is_refused_and_terms_travel():
    for changes in ({"bits": 1}, {"bits": 17}, {"scheme": "ckks-lean"}, {"scheme": "plaintext"}):
        with pytest.raises(ParameterError, match="bits"):
            FEW.but(**changes)
    with pytest.raises(ParameterError, match="rotate"):
        FEW.but(bits=None, rotate=True, scheme="plaintext")
    with pytest.raises(ParameterError, match="give bits apart"):
        FEW.but(bits=None, scheme="INSECURE_bfv-1024.3bit.k3")
    with pytest.raises(ParameterError, match="sums of 2 to 16"):
        FEW.but(scheme="bfv-compact", clients=17)
    for one in (FEW, FEW.but(rotate=False), FEW.but(bits=None, rotate=True)):
        assert Experiment.from_query(one.to_query()) == one == Experiment.from_json(one.to_json())
    assert FEW.under("plaintext").bits is UNSET and FEW.under("bfv-lean").bits == 3
    assert FEW.adaptive and not FEW.but(bits=11).adaptive and FEW.but(bits=11, bound="adaptive").adaptive
    zero = round_zero(FEW)
    assert (zero.bits, zero.rotated) == (UNSET, False)

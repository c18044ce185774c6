"""What an opened sum may be: honest ones always pass, lies about length and counts do not, and what lies inside does."""

import math

import numpy as np
import pytest

from hefl_core.checks import lying_clients
from hefl_core.errors import HeflError, IntegrityError
from hefl_core.federation import client as client_module
from hefl_core.ids import client_name
from hefl_core.runtime.client_home import home_of, model_of
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.run import Run
from hefl_core.runtime.stage import local_stage_of, make_auditor, make_client, make_coordinator, make_kms
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.terms.adaptive_bound import BoundRange, Precision
from hefl_core.terms.dp import Mechanism, grid
from hefl_core.terms.experiment import Experiment
from hefl_core.terms.mean import Allowance, Sending, allowance, check_examples, check_length, longest

CLIP, D = 0.1, 700
RUN = Experiment(dataset="digits", model="logistic", clients=4, rounds=2, clip_norm=CLIP, seed=7)
SCHEMES = ["plaintext", "bfv-lean", "bfv-compact", "ckks-lean", "INSECURE_paillier-512", "paillier-naive"]


def pointing(length, seed=0, d=D):
    """A vector of this norm, by a hair no longer."""
    x = np.random.default_rng(seed).normal(size=d)
    return x * (length * (1 - 1e-15) / np.linalg.norm(x))


def no_check(*_):
    """What stood in a check's place before."""


# -- the total of examples -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("examples", "mine"), [(4, None), (400, None), (33, 30), (330, 30), (4, 1), (400, 100)])
def test_a_total_that_can_be_passes(examples, mine):
    check_examples(examples, 4, 100, mine)


@pytest.mark.parametrize(
    ("examples", "mine"), [(3, None), (401, None), (0, None), (-7, None), (32, 30), (331, 30), (401, 100), (4, 30)]
)
def test_a_total_that_cannot_be_is_refused_and_not_named(examples, mine):
    with pytest.raises(IntegrityError, match="examples: expected a total") as caught:
        check_examples(examples, 4, 100, mine)
    assert "30" not in str(caught.value), "it travels to the coordinator"


# -- the mean's length -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SCHEMES, "bfv-threshold", "INSECURE_ckks-threshold-1024"])
def test_the_longest_honest_sum_passes_and_a_longer_one_does_not(name):
    """Five clients with the same update of exactly the clip: the mean has nothing to spare but the rounding."""
    scheme, terms, bound = open_scheme(name), 5, 0.25
    d = 5 if name == "paillier-naive" else D  # a ciphertext of 2048 bits for each entry
    key, shares = scheme.keygen(Quorum(1, 2))
    weights = [1.0, 0.5, 0.9, 0.7, 0.8]

    def opened(length):
        running = scheme.accumulator(key)
        for weight in weights:
            holder = shares[0] if scheme.preset.symmetric else key
            running.add(scheme.encrypt(holder, pointing(length, d=d) * weight, bound=bound, max_terms=terms))
        total = running.total()
        return scheme.combine(key, total, [scheme.partial_decrypt(shares[0], total, (1,))])

    room = allowance(scheme, Sending(bound, terms, False, 0.0), CLIP, terms, d)
    assert room.noise == 0 and room.rounding < CLIP * (0.9 if name == "bfv-compact" else 0.01)
    check_length(opened(CLIP), sum(weights), CLIP, room)
    above = CLIP + 2.5 * room.rounding / sum(weights) + 1e-6
    with pytest.raises(IntegrityError, match="mean: expected a norm"):
        check_length(opened(above), sum(weights), CLIP, room)


def test_rounding_at_random_stays_within_its_allowance():
    """Narrow fields, five hundred rounds: the largest is below the bound, and not far below: the bound says something."""
    scheme, terms = open_scheme("bfv-compact"), 5
    fields, longest_seen = scheme.fields(terms), 0.0
    room = allowance(scheme, Sending(0.5, terms, True, 0.0), CLIP, terms, D)
    for seed in range(500):
        precision = Precision(BoundRange(start=0.5), feedback=False)
        rng = np.random.default_rng(seed)
        parts = [precision.fit(pointing(CLIP, seed + k), fields, rng).rounded for k in range(terms)]
        error = sum(parts) - sum(pointing(CLIP, seed + k) for k in range(terms))
        longest_seen = max(longest_seen, float(np.linalg.norm(error)))
    assert room.total / 2 < longest_seen < room.total
    worst = terms * fields.step(0.5) * math.sqrt(D)
    assert room.total < worst / 3


@pytest.mark.parametrize("terms", [3, 8])
def test_the_noise_stays_within_its_allowance(terms):
    mechanism = Mechanism(CLIP, 1.0, 3)
    step = grid(mechanism.bound)
    room = allowance(open_scheme("plaintext"), Sending(mechanism.bound, terms, False, step), CLIP, terms, D, mechanism)
    norms = [
        float(np.linalg.norm(sum(mechanism.noised(pointing(CLIP, k), step) for k in range(terms)))) for _ in range(40)
    ]
    limit = CLIP * terms + room.total
    assert max(norms) < limit
    assert room.noise < 1.5 * CLIP * math.sqrt(terms / 3) * math.sqrt(D), "no looser than the noise needs"


def test_the_tail_bound_is_that_of_the_chi_square_distribution():
    from scipy.stats import chi2

    for length in (1, 10, 700, 100_000):
        assert chi2.sf(longest(1.0, length) ** 2, length) <= 1e-12


def test_a_float_scheme_rounds_by_the_size_of_what_is_rounded():
    """plaintext's default bound is a million: an allowance made of that would check nothing."""
    room = allowance(open_scheme("plaintext"), Sending(1e6, 5, False, 0.0), CLIP, 5, D)
    assert room.total < 1e-5


# -- in runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s != "paillier-naive"])
def test_honest_runs_under_a_clip_pass(scheme):
    result = run_experiment(RUN.but(scheme=scheme, rounds=12 if scheme != "INSECURE_paillier-512" else 4))
    assert all(item.model is not None for item in result.rounds)
    assert not result.left_out


@pytest.mark.parametrize(
    ("scheme", "custody"),
    [
        ("INSECURE_bfv-threshold-1024", "2-of-4"),
        ("INSECURE_ckks-threshold-1024", "3-of-4"),
        ("INSECURE_bfv-threshold-1024", "dealer-free:3-of-4"),
        ("INSECURE_paillier-512", "2-of-4"),
    ],
)
def test_honest_runs_under_a_clip_pass_under_every_custody(scheme, custody):
    result = run_experiment(RUN.but(scheme=scheme, custody=custody))
    assert not result.left_out and len(result.rounds) == 2


@pytest.mark.parametrize("scheme", ["plaintext", "bfv-lean", "ckks-lean", "INSECURE_paillier-512"])
@pytest.mark.parametrize("noise", [0.3, 3.0])
def test_honest_runs_with_noise_pass(scheme, noise):
    result = run_experiment(RUN.but(scheme=scheme, dp_noise=noise, rounds=4))
    assert not result.left_out and len(result.rounds) == 4


def test_records_with_many_clients_of_unequal_size_pass():
    result = run_experiment(RUN.but(clients=9, alpha=0.3, rounds=6, clip_norm=0.02))
    assert not result.left_out


def norm_of_the_mean(outcome_of):
    """The largest mean that a client would have applied, told by the sums it opened."""
    seen = []
    original = client_module.Client._check_mean

    def watching(self, opened, message, plan):
        seen.append(float(np.linalg.norm(opened.values)) * plan.examples_max / opened.integers[0])
        original(self, opened, message, plan)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_module.Client, "_check_mean", watching)
        outcome = outcome_of()
    return outcome, max(seen)


def test_a_client_that_ignores_the_clip_is_refused_and_was_not_before(monkeypatch):
    outcome, norm = norm_of_the_mean(lambda: lying_clients.tell(lying_clients.PastTheClip, RUN))
    assert len(outcome.refused_by) == RUN.clients and outcome.applied == 0
    assert "mean: expected a norm" in outcome.reason and norm > 5 * CLIP
    monkeypatch.setattr(client_module, "check_length", no_check)
    before = lying_clients.tell(lying_clients.PastTheClip, RUN)
    assert not before.refused_by and before.applied == 2


def test_a_mean_that_is_no_number_is_refused():
    with pytest.raises(HeflError):
        check_length(np.full(3, np.nan), 1.0, CLIP, Allowance(0.0, 0.0))


def test_a_mean_a_fifth_longer_than_the_clip_is_refused_by_all(monkeypatch):
    """Every client sends 1.2 times the clip, in one direction: nothing is left over for rounding to explain."""
    monkeypatch.setattr(
        client_module.Client, "_train", lambda self, plan, round_: pointing(1.2 * CLIP, d=len(self.theta))
    )
    run = Run(RUN)
    with pytest.raises(HeflError):
        for _ in run.steps():
            pass
    refusals = [one for one in run.transcript.left_out if "mean: expected a norm" in one.reason]
    assert {one.party for one in refusals} == {client_name(n + 1) for n in range(RUN.clients)} and not run.rounds


def test_a_count_modulo_t_is_refused_and_multiplied_the_mean_before(monkeypatch):
    outcome = lying_clients.tell(lying_clients.FewerExamples, RUN)
    assert len(outcome.refused_by) == RUN.clients and outcome.applied == 1
    assert "examples: expected a total" in outcome.reason
    monkeypatch.setattr(client_module, "check_length", no_check)
    monkeypatch.setattr(
        client_module,
        "check_examples",
        lambda examples, count, largest, mine: check_examples(examples, count, largest, None),
    )
    before, norm = norm_of_the_mean(lambda: lying_clients.tell(lying_clients.FewerExamples, RUN))
    assert not before.refused_by and before.applied == 2 and norm > 100 * CLIP


class BarelyFewer(lying_clients.FewerExamples):
    """It stays inside every honest client's own range: as if the others had one example each."""

    title = "a count that makes the total as small as it can be"

    def _aim(self, plan):
        return plan.examples_max + len(plan.cohort) - 1


class JustLonger(lying_clients.LyingClient):
    """It sends what lifts the mean of four equal updates a little above the clip."""

    title = "its share of a mean that is a little too long"

    def _train(self, plan, round_):
        return super()._train(plan, round_) * 4.0


def test_a_count_inside_the_range_passes_unless_it_makes_the_mean_too_long():
    """What is possible stays possible: a sum hides the counts. The clip is what limits the damage."""
    free = lying_clients.tell(BarelyFewer, RUN.but(clip_norm=None))
    assert not free.refused_by and free.applied == 2
    outcome, norm = norm_of_the_mean(lambda: lying_clients.tell(BarelyFewer, RUN))
    assert norm > CLIP and "mean: expected a norm" in outcome.reason and outcome.applied == 1


def test_a_mean_that_is_a_little_too_long_is_refused():
    outcome, norm = norm_of_the_mean(lambda: lying_clients.tell(JustLonger, RUN))
    assert CLIP < norm < 2 * CLIP
    assert "mean: expected a norm" in outcome.reason


def test_what_no_check_of_a_sum_finds():
    """A client that lies and whose update points the other way shortens the mean; a wrong count in range weighs more. Both pass."""
    for lie in (lying_clients.WellFormed, lying_clients.MoreExamples):
        assert not lying_clients.tell(lie, RUN).refused_by


class Leader(lying_clients.PastTheClip):
    """Tells its accomplice what it sends."""

    def _train(self, plan, round_):
        Accomplice.heard = super()._train(plan, round_) * self._weight
        return Accomplice.heard / self._weight


class Accomplice(lying_clients.LyingClient):
    """Sends the same (pull = 1), or what takes it away again (-1)."""

    pull = 1

    def _train(self, plan, round_):
        return self.pull * Accomplice.heard / self._weight


@pytest.mark.parametrize(("pull", "refused"), [(1, True), (-1, False)])
def test_two_liars_are_refused_unless_their_lies_cancel(monkeypatch, pull, refused):
    """What is checked is the sum: two that pull together make it too long, two that pull apart move nothing."""
    monkeypatch.setattr(Accomplice, "pull", pull)

    def stage(manifest, observer):
        kms = make_kms(manifest)
        root, init = kms.member, model_of(manifest).init
        pair = [
            lie(client_name(n), manifest, root, home_of(manifest.experiment, n), init, observer)
            for n, lie in enumerate((Leader, Accomplice), 1)
        ]
        others = [make_client(manifest, root, n, observer) for n in range(3, manifest.experiment.clients + 1)]
        return local_stage_of(
            kms, make_coordinator(manifest, root), make_auditor(manifest, root), (*pair, *others), manifest
        )

    run = Run(RUN.but(rounds=1), stage=stage)
    if refused:
        with pytest.raises(IntegrityError, match="mean: expected a norm"):
            list(run.steps())
    else:
        assert list(run.steps()) and len(run.rounds) == 1


def test_a_refusal_tells_the_coordinator_nothing_of_the_sum():
    texts = [lying_clients.tell(lie, RUN).reason for lie in (lying_clients.PastTheClip, lying_clients.FewerExamples)]
    for text in texts:
        words = {word.strip(";,") for word in text.split()}
        numbers = {word for word in words if any(ch.isdigit() for ch in word)}
        assert numbers <= {"0.1", "4", "1", "512"}, numbers


def test_without_a_clip_no_length_is_checked():
    assert not lying_clients.tell(lying_clients.PastTheClip, RUN.but(clip_norm=None)).refused_by


def test_an_allowance_adds_up():
    assert Allowance(0.25, 0.5).total == 0.75

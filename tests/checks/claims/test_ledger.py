"""Each row of the ledger: its check passes on an honest run and fails on every planted fault."""

import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest
import tenseal.sealapi as sealapi

from hefl_core.checks.claims import evidence
from hefl_core.checks.claims.claim import MIN_CONTROLS, Claim
from hefl_core.checks.claims.evidence import NEEDLED, _check_flooding
from hefl_core.checks.claims.ledger import LEDGER, check_claims
from hefl_core.checks.claims.planted import plant_plaintext, turn_mask, unconfirm
from hefl_core.errors import NotChecked, ParameterError, RuntimeUnavailable
from hefl_core.federation.client import Client
from hefl_core.federation.record.transcript import Transcript
from hefl_core.keys import identity, sealing
from hefl_core.learning.shelf import put
from hefl_core.probes import private_forms
from hefl_core.probes.findings import PLANTED as PLANTED_IN_MEMORY
from hefl_core.probes.findings import Blindness, Guessing, Looked
from hefl_core.probes.findings import Control as ControlOf
from hefl_core.probes.uniformity import Trial, Uniformity
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.result import ClaimVerdict, Finding
from hefl_core.schemes.ring import rlwe, seal, threshold
from hefl_core.tables.source import TableSource
from hefl_core.terms import messages as m
from hefl_core.terms.adaptive_bound import BoundRange
from hefl_core.terms.dp import Mechanism
from tests.conftest import SMALL

OF_PROCESSES = {"coordinator-memory"}
"""They speak of runs whose processes were looked into: tests/checks/blindness/test_blindness.py."""
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
        # A short part has 342 numbers: in two sums one holder's missing flooding is overlooked once in fifteen, in six never.
        "one-time": run_experiment(ROTATING.but(scheme="INSECURE_onetime-1024", custody="2-of-3", rounds=6)),
        "private": run_experiment(SMALL.but(model="logistic", clip_norm=1.0, dp_noise=0.5)),
    }


@pytest.mark.parametrize("kind", ["individual", "rotated", "dealt", "dealer-free", "one-time", "private"])
def test_every_claim_holds_of_honest_runs(results, kind):
    found = check_claims(results[kind]).claims
    without = {"flooded"} if kind == "dealt" else set()  # Paillier's answers are not flooded
    assert {one.id for one in found if one.verdict is not ClaimVerdict.HOLDS} == without
    assert not any(one.verdict is ClaimVerdict.FAILS for one in found)
    assert len(found) == sum(claim.applies(results[kind]) for claim in EXECUTED) >= 9


@pytest.mark.parametrize(
    ("claim", "control"), PLANTED, ids=[f"{claim.id}-{control.__name__}" for claim, control in PLANTED]
)
def test_the_check_fails_on_every_planted_fault(results, claim, control):
    tried = 0
    for kind, result in results.items():
        if claim.applies(result) and claim.examine(result).verdict is ClaimVerdict.HOLDS:
            found = claim.examine(control(result))
            assert found.verdict is ClaimVerdict.FAILS, (kind, found)
            tried += 1
    assert tried


def test_each_row_has_faults_of_two_kinds_and_says_which():
    for claim, control in PLANTED:
        assert len(set(claim.controls)) == len(claim.controls) >= MIN_CONTROLS and control.__doc__, claim.id


# -- faults that no control plants: in the parties themselves ---------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "stage", "what"),
    [
        ({"clip_norm": 0.05}, "trained", "before its clip"),
        ({"clip_norm": 0.05, "dp_noise": 0.5}, "before_noise", "before its noise"),
        ({"bound": "adaptive"}, "trained", "before its clip"),
    ],
)
def test_what_an_update_was_before_is_looked_for_as_well(monkeypatch, changes, stage, what):
    """The leak lies in a sealed body, which nothing else reads: without these needles it slips through."""
    result = run_experiment(SMALL.but(model="logistic", rounds=1, **changes))
    transcript = result.transcript
    leaked = getattr(result.observations[1][0], stage)
    assert leaked and leaked != result.observations[1][0].update
    target = next(sent for sent in transcript.sent if sent.step == m.UPDATE)
    told = replace(result, transcript=Transcript._restore(transcript.lines, dict(transcript.blobs)))
    told.transcript.blobs[target.body] += leaked
    claim = next(one for one in LEDGER if one.id == "coordinator-blind")
    assert claim.examine(result).verdict is ClaimVerdict.HOLDS
    found = claim.examine(told)
    assert found.verdict is ClaimVerdict.FAILS and what in found.evidence, found
    for module in (evidence, private_forms):
        monkeypatch.setattr(module, "stages_of", lambda seen: ())
    assert claim.examine(told).verdict is ClaimVerdict.HOLDS


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
    assert finding(run_experiment(private), "noise-added").verdict is ClaimVerdict.HOLDS
    monkeypatch.setattr(Mechanism, "noised", lambda self, clipped, step: np.trunc(clipped / step) * step)
    bare = run_experiment(private)
    share = 0.03 / private.cohort_floor**0.5
    assert all(np.sqrt(np.mean(np.frombuffer(seen.update) ** 2)) > share for seen in bare.observations[1])
    found = finding(bare, "noise-added")
    assert found.verdict is ClaimVerdict.FAILS and "variance" in found.evidence


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
    assert found.verdict is ClaimVerdict.FAILS and "client-1" in found.evidence, found


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
        assert finding(run_experiment(run), "epochs-apart").verdict is ClaimVerdict.HOLDS
    monkeypatch.setattr(seal, "make_keys", over_one_secret)
    found = finding(run_experiment(run), "epochs-apart")
    assert found.verdict is ClaimVerdict.FAILS and found.evidence == "epochs 1 and 2 have one secret"


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
    assert found.verdict is ClaimVerdict.FAILS and found.evidence == "epochs 1 and 3 have one secret"


def negated(ring, secret):
    """Minus a secret key, in SEAL's bytes: signs of all residues."""
    words = rlwe.read_secret_key(ring, secret)
    shape = (len(ring.primes), ring.degree)
    body = rlwe._unpack(secret, rlwe._SECRET_KEY.size + rlwe._array_bytes(shape), 2 * ring.most_bytes, "secret key")
    minus = np.stack([(np.uint64(p) - row) % np.uint64(p) for row, p in zip(words, ring.primes, strict=True)])
    body = body.replace(words.astype("<u8").tobytes(), minus.astype("<u8").tobytes())
    fields = struct.unpack("<HBBBBHQ", secret[:16])
    head = struct.pack("<HBBBBHQ", *fields[:4], 0, fields[5], 16 + len(body))
    return seal.from_bytes(sealapi.SecretKey(), ring, head + body, "secret")


@pytest.mark.parametrize(
    ("scheme", "custody"),
    [("bfv-lean", "individual"), ("INSECURE_ckks-1024", "individual"), ("INSECURE_bfv-threshold-1024", "2-of-3")],
)
def test_an_epoch_over_the_negative_of_the_secret_before_is_seen(monkeypatch, scheme, custody):
    """New in name, in bytes and in every residue; whoever has one has the other."""
    made, make_keys = [], seal.make_keys

    def minus_the_first(ring):
        if made:
            return key_over(ring, negated(ring, made[0]))
        public, secret = make_keys(ring)
        made.append(secret)
        return public, secret

    monkeypatch.setattr(seal, "make_keys", minus_the_first)
    found = finding(run_experiment(ROTATING.but(scheme=scheme, custody=custody)), "epochs-apart")
    assert found.verdict is ClaimVerdict.FAILS and found.evidence == "epochs 1 and 2 have one secret"


THRESHOLD = SMALL.but(model="logistic", scheme="INSECURE_bfv-threshold-1024", custody="2-of-3")


@pytest.mark.parametrize("scheme", ["INSECURE_bfv-threshold-1024", "INSECURE_ckks-threshold-1024"])
@pytest.mark.parametrize("fault", ["none", "half", "one", "same"])
def test_holders_that_flood_too_little_or_alike_are_seen(monkeypatch, scheme, fault):
    """Nobody floods; all flood half as far; one does not flood; everybody floods every c1 with the same numbers."""
    flooding = threshold._flooding
    kept = {}

    def wrong(preset, ring, key, c1):
        right = flooding(preset, ring, key, c1)
        if fault == "none" or (fault == "one" and kept.setdefault("key", key) == key):
            return np.zeros_like(right)
        if fault == "half":
            count = rlwe.flooding_bytes(ring.degree, preset.flood_bits - 1)
            stream = hashlib.shake_256(key + right.tobytes()).digest(count)
            return rlwe.flooding(stream, preset.flood_bits - 1, rlwe.data_primes(ring))
        return kept.setdefault(key, right) if fault == "same" else right

    run = THRESHOLD.but(scheme=scheme, rounds=3, epoch_rounds=3)
    assert finding(run_experiment(run), "flooded").verdict is ClaimVerdict.HOLDS
    monkeypatch.setattr(threshold, "_flooding", wrong)
    found = finding(run_experiment(run), "flooded")
    assert found.verdict is ClaimVerdict.FAILS and ("follows" if fault == "same" else "variance") in found.evidence, (
        found
    )


def rows_of_numbers(preset, ring, numbers):
    """A polynomial's coefficients as residues."""
    return np.stack([np.array([int(one) % p for one in numbers], dtype=np.uint64) for p in rlwe.data_primes(ring)])


def turned(rows, by, primes):
    """X^by times minus a polynomial. Shapes: (L, N)."""
    limits = np.array(primes, dtype=np.uint64)[:, None]
    minus = (limits - rows) % limits
    return np.concatenate([rows[:, -by:], minus[:, :-by]], axis=1) if by else minus


@pytest.mark.parametrize("fault", ["turned", "sparse"])
def test_flooding_of_the_right_size_that_is_none_is_seen(monkeypatch, fault):
    """A hostile reader's: one holder's flooding comes back turned in every sum; two thirds of the coefficients are bare."""
    flooding, kept, asked = threshold._flooding, {}, []

    def wrong(preset, ring, key, c1):
        right = flooding(preset, ring, key, c1)
        asked.append(key)
        if fault == "turned":
            if kept.setdefault("key", key) != key:
                return right
            kept.setdefault("first", right)
            return turned(kept["first"], 17 * asked.count(key) % ring.degree, rlwe.data_primes(ring))
        signs = np.frombuffer(hashlib.shake_256(key + right.tobytes()).digest(ring.degree), dtype=np.uint8) & 1
        bare = np.arange(ring.degree) % 3 != 0
        size = int(0.99 * 2**preset.flood_bits)
        return rows_of_numbers(
            preset, ring, [0 if b else size if s else -size for b, s in zip(bare, signs, strict=True)]
        )

    # holders flood as far as honest ones do at most, all at once: some sums would be refused by their noise
    monkeypatch.setattr(threshold, "check_noise", lambda *_: None)
    run = THRESHOLD.but(rounds=3, epoch_rounds=3)
    assert finding(run_experiment(run), "flooded").verdict is ClaimVerdict.HOLDS
    monkeypatch.setattr(threshold, "_flooding", wrong)
    found = finding(run_experiment(run), "flooded")
    assert found.verdict is ClaimVerdict.FAILS, found
    assert ("turned by" if fault == "turned" else "of another shape") in found.evidence


def test_a_ciphertext_past_the_first_ones_that_is_not_flooded_is_seen(monkeypatch):
    """The holders flood the first four ciphertexts of a sum: once that was all that was looked at."""
    flooding, asked = threshold._flooding, []

    def first_four(preset, ring, key, c1):
        asked.append(key)
        right = flooding(preset, ring, key, c1)
        return right if asked.count(key) <= 4 else np.zeros_like(right)

    run = THRESHOLD.but(dataset="digits", model="mlp-large", rounds=1)
    monkeypatch.setattr(threshold, "_flooding", first_four)
    found = finding(run_experiment(run), "flooded")
    assert max(map(asked.count, asked)) > 4
    assert found.verdict is ClaimVerdict.FAILS and "that was looked at: noise of" in found.evidence, found


def test_one_secret_is_seen_whichever_quorum_is_there(monkeypatch):
    """The first holder shows nothing in the first epoch, the third nothing in the second one."""
    first, observe = {}, Client.observe

    def over_one_secret(ring):
        return key_over(ring, first.setdefault("secret", sealapi.KeyGenerator(ring.context).secret_key()))

    def gone(self, position, **more):
        if (self.name, position.epoch) in (("client-1", 1), ("client-3", 2)):
            raise RuntimeUnavailable(f"{self.name}: its process is gone")
        return observe(self, position, **more)

    run = ROTATING.but(scheme="INSECURE_bfv-threshold-1024", custody="2-of-4", clients=4)
    monkeypatch.setattr(Client, "observe", gone)
    assert finding(run_experiment(run), "epochs-apart").verdict is ClaimVerdict.HOLDS
    monkeypatch.setattr(seal, "make_keys", over_one_secret)
    found = finding(run_experiment(run), "epochs-apart")
    assert found.verdict is ClaimVerdict.FAILS and found.evidence == "epochs 1 and 2 have one secret"


def test_no_false_alarm_of_the_flooding_in_many_sums():
    """Sums of uniform floodings of every number of holders: the test's bounds leave honest noise far inside."""
    rng = np.random.default_rng(7)
    for holders in (2, 3, 7, 32):
        for numbers in (64, 1024, 8192):
            rows = rng.uniform(-1, 1, (20, holders, numbers)).sum(axis=1) / np.sqrt(holders / 3)
            _check_flooding([f"sum {number}" for number in range(20)], rows, 1.0)


def test_a_check_of_labels_that_checks_nothing_is_seen(monkeypatch):
    """The signature refused every wrong label by itself once, so that nobody noticed."""
    monkeypatch.setattr(evidence, "check_place", lambda *_, **__: None)
    found = finding(run_experiment(SMALL.but(rounds=1)), "labels-checked")
    assert found.verdict is ClaimVerdict.FAILS and found.evidence == "an update labelled with another key was accepted"


def test_a_seal_that_seals_nothing_is_seen(monkeypatch):
    """The wrapped key is the key itself: everybody on the wire reads shares and partials. Headers and signatures are true."""
    monkeypatch.setattr(sealing, "_hpke", lambda content, *_: content)
    for reader in (identity.SealingKey, identity.Identity):
        monkeypatch.setattr(reader, "open", lambda self, data, *_: data)
    result = run_experiment(THRESHOLD.but(rounds=1))
    assert finding(result, "shares-sealed").verdict is ClaimVerdict.FAILS
    found = finding(result, "quorum-kept")
    assert found.verdict is ClaimVerdict.FAILS and "opens without a key" in found.evidence


def test_an_answer_in_an_attempt_that_failed_needs_the_auditors_word_too(monkeypatch):
    """Attempt 1 was answered by one holder, the other died; without the confirmation in the record that is a breach."""
    answer = Client.partial_decryption

    def dies(self, position):
        if (self.name, position.round, position.attempt) == ("client-2", 1, 1):
            raise RuntimeUnavailable("client-2: its process is gone")
        return answer(self, position)

    monkeypatch.setattr(Client, "partial_decryption", dies)
    result = run_experiment(THRESHOLD.but(rounds=1))
    assert finding(result, "quorum-kept").verdict is ClaimVerdict.HOLDS
    answered = [sent.position.attempt for sent in result.transcript.sent if sent.step == m.PARTIAL]
    assert answered == [1, 2, 2]
    assert finding(unconfirm(result), "quorum-kept").verdict is ClaimVerdict.FAILS


def test_a_model_that_moves_by_another_step_is_seen(monkeypatch):
    """Every client moves by twice the mean, so that all have one model."""
    receipt = Client._make_receipt

    def twice(self, position):
        before = self.theta.astype(np.float64)
        envelope = receipt(self, position)
        self._theta = (before + 2 * self._mean).astype(np.float32)
        return envelope

    monkeypatch.setattr(Client, "_make_receipt", twice)
    result = run_experiment(SMALL.but(model="logistic"))
    assert finding(result, "one-model").verdict is ClaimVerdict.HOLDS
    found = finding(result, "equals-fedavg")
    assert found.verdict is ClaimVerdict.FAILS and "another step" in found.evidence


def test_a_bound_that_all_clients_widen_is_seen(monkeypatch):
    """Every client sends 64 times coarser numbers, and says so: the error is within the bound that they tell."""
    adaptive = SMALL.but(model="logistic", bound="adaptive")
    honest = run_experiment(adaptive)
    assert finding(honest, "equals-fedavg").verdict is ClaimVerdict.HOLDS
    follow = BoundRange.follow
    monkeypatch.setattr(BoundRange, "follow", lambda *args, **kept: 64 * follow(*args, **kept))
    result = run_experiment(adaptive)
    monkeypatch.undo()
    found = finding(result, "equals-fedavg")
    assert found.verdict is ClaimVerdict.FAILS and "the rounds before it leave" in found.evidence


def test_a_bound_that_cannot_be_followed_is_not_taken_for_kept(monkeypatch):
    """One contributor of round 1 was not seen, so that nothing says which bound round 2 should have."""
    result = run_experiment(SMALL.but(model="logistic", bound="adaptive", rounds=3))
    partly = replace(result, observations={**result.observations, 1: result.observations[1][:1]})
    found = finding(partly, "equals-fedavg")
    assert found.verdict is not ClaimVerdict.FAILS and "round 2" in found.evidence and "round 3" in found.evidence


@pytest.mark.parametrize("changes", [{"bound": "adaptive"}, {"bits": 3, "rotate": True}], ids=str)
def test_an_update_longer_than_the_clip_is_seen_under_an_adaptive_bound(changes):
    result = run_experiment(SMALL.but(model="logistic", clip_norm=0.05, **changes))
    assert finding(result, "equals-fedavg").verdict is ClaimVerdict.HOLDS
    first, *others = result.observations[1]
    longer = replace(first, update=(3 * np.frombuffer(first.update, dtype=np.float64)).tobytes())
    found = finding(replace(result, observations={**result.observations, 1: (longer, *others)}), "equals-fedavg")
    assert found.verdict is ClaimVerdict.FAILS and "clipped to 0.05" in found.evidence


@pytest.mark.parametrize(("who", "part"), [("all", 0.08), ("one", 0.12), ("one, nearly", 0.12)])
def test_entries_without_noise_are_seen(monkeypatch, who, part):
    """A part of the entries goes out as it was clipped, or with a step of noise: too few to show in variance or shape."""
    noised, shares = Mechanism.noised, []

    def thin(self, clipped, step):
        out, under = noised(self, clipped, step), np.trunc(clipped / step) * step
        shares.append(out)
        if who != "all" and len(shares) > 1:
            return out
        bare = np.random.default_rng(3).random(len(out)) < part
        return np.where(bare, under + (step if "nearly" in who else 0.0), out)

    private = SMALL.but(clip_norm=1.0, dp_noise=0.5)
    assert finding(run_experiment(private), "noise-added").verdict is ClaimVerdict.HOLDS
    monkeypatch.setattr(Mechanism, "noised", thin)
    found = finding(run_experiment(private), "noise-added")
    assert found.verdict is ClaimVerdict.FAILS and (
        "noise of at most" in found.evidence or "its distribution" in found.evidence
    )


def test_a_share_that_is_kept_on_record_is_seen(small_result):
    transcript = Transcript.from_bytes(small_result.transcript.to_bytes(), dict(small_result.transcript.blobs))
    share = next(sent for sent in transcript.sent if sent.step == "share")
    transcript.blobs[share.body] = b"sealed"
    found = finding(replace(small_result, transcript=transcript), "shares-sealed")
    assert found.verdict is ClaimVerdict.FAILS and "stands on record" in found.evidence


def test_the_record_of_another_run_answers_nothing(small_result):
    other = run_experiment(SMALL.but(model="logistic", rounds=1))
    for name in ("sums-confirmed", "labels-checked"):
        found = finding(replace(other, transcript=small_result.transcript), name)
        assert found.verdict is ClaimVerdict.FAILS and "another run" in found.evidence


def test_a_result_that_names_another_model_is_seen(small_result):
    """The digest that a round's result tells is of no model that was seen."""
    rounds = (*small_result.rounds[:-1], replace(small_result.rounds[-1], model="00" * 32))
    found = finding(replace(small_result, rounds=rounds), "one-model")
    assert found.verdict is ClaimVerdict.FAILS and "different models" in found.evidence


def test_noise_of_another_client_and_round_is_seen(monkeypatch):
    """One client in one round adds what another one added in the round before: of the right size and shape."""
    private, noised, drawn = SMALL.but(model="logistic", clip_norm=1.0, dp_noise=0.5), Mechanism.noised, []

    def late(self, clipped, step):
        under = np.trunc(clipped / step) * step
        noise = drawn[0] if len(drawn) == 4 else noised(self, clipped, step) - under
        drawn.append(noise)
        return under + noise

    monkeypatch.setattr(Mechanism, "noised", late)
    found = finding(run_experiment(private), "noise-added")
    assert found.verdict is ClaimVerdict.FAILS and "follows that of" in found.evidence


@pytest.mark.parametrize("scheme", ["bfv-lean", "bfv-compact-2048-seeded", "ckks-lean", "INSECURE_paillier-512"])
def test_masks_of_one_family_are_told_from_others(scheme):
    """A mask's negative turn (or inverse) is recognised under every kind of scheme; fresh masks are no family."""
    result = run_experiment(SMALL.but(model="logistic", rounds=1, scheme=scheme))
    for name in ("fresh-ciphertexts", "ciphertexts-uniform"):
        assert finding(result, name).verdict is ClaimVerdict.HOLDS
    if scheme.endswith("seeded"):  # such an upload has no place for a mask of another's
        return
    for name in ("fresh-ciphertexts", "ciphertexts-uniform"):
        assert "another's" in finding(turn_mask(result), name).evidence


def test_a_thin_look_into_memory_is_no_look(small_result):
    """One needle, of one kind, one process for both: "nothing found" says nothing."""
    looked = tuple(Looked(name, 7, 1, 1, 0) for name in ("coordinator", "auditor"))
    planted = tuple(ControlOf(name, "planted", True, "found") for name in PLANTED_IN_MEMORY)
    uniform, guessing = Uniformity(8, 1e-9, (Trial("x", 9, 2, 0.5),)), Guessing(10, 5, 0.5)
    thin = Blindness(
        *(SMALL, "now", 1, (("key material", 1),), 1.0, looked, (), (), None, uniform, guessing, planted, 1.0)
    )
    found = finding(replace(small_result, blindness=thin), "coordinator-memory")
    assert found.verdict is ClaimVerdict.NOT_CHECKED and "nothing of these was looked for" in found.evidence
    kinds = tuple((kind, 9) for kind in NEEDLED)
    enough = replace(thin, needles=kinds, least_bits=40.0)
    for changes, said in (
        ({}, "1 of 2 rounds"),
        ({"least_bits": 39.0}, "by chance"),
        ({"rounds": 2}, "hardly anything"),
    ):
        found = finding(replace(small_result, blindness=replace(enough, **changes)), "coordinator-memory")
        assert found.verdict is ClaimVerdict.NOT_CHECKED and said in found.evidence, found
    large = tuple(replace(one, nbytes=1 << 24) for one in looked)
    one_process = replace(enough, rounds=2, looked=large)
    assert "one process" in finding(replace(small_result, blindness=one_process), "coordinator-memory").evidence
    apart = replace(one_process, looked=(large[0], replace(large[1], pid=8)))
    assert finding(replace(small_result, blindness=apart), "coordinator-memory").verdict is ClaimVerdict.HOLDS


def test_plaintext_is_not_called_blind():
    findings = {f.id: f for f in check_claims(run_experiment(SMALL.but(scheme="plaintext", rounds=1))).claims}
    assert findings["coordinator-blind"].verdict is ClaimVerdict.FAILS


@pytest.mark.parametrize("columns", [1, 2])
def test_the_smallest_models_have_pieces_to_search_for_or_nothing_is_claimed(columns):
    """Before, a search for nothing was called blindness."""
    lines = (",".join(str(at * (3 + one) % 17) for one in range(columns)) + f",{at % 2}" for at in range(40))
    name = put(TableSource("\n".join([",".join("abc"[:columns]) + ",ill", *lines]).encode()))
    result = run_experiment(SMALL.but(dataset=name, model="logistic", rounds=1))
    assert finding(result, "coordinator-blind").verdict is ClaimVerdict.HOLDS
    assert finding(plant_plaintext(result), "coordinator-blind").verdict is ClaimVerdict.FAILS
    blank = {
        round_: tuple(
            replace(one, update=bytes(len(one.update)), trained=b"", before_noise=b"", applied=b"", theta=b"")
            for one in seen
        )
        for round_, seen in result.observations.items()
    }
    found = finding(replace(result, observations=blank), "coordinator-blind")
    assert found.verdict is ClaimVerdict.NOT_CHECKED and "too plain" in found.evidence


# -- verdicts ---------------------------------------------------------------------------------------------------


def test_an_unobserved_run_does_not_claim_what_it_cannot_check():
    result = check_claims(run_experiment(SMALL.but(observed=False, rounds=1)))
    findings = {f.id: f for f in result.claims}
    for name in ("coordinator-blind", "equals-fedavg", "one-model"):
        assert findings[name].verdict is ClaimVerdict.NOT_CHECKED and "observ" in findings[name].evidence, findings[
            name
        ]
    assert findings["shares-sealed"].verdict is ClaimVerdict.HOLDS
    assert not result.failed


def test_what_was_not_checked_is_null_for_programs(small_result):
    missing = Claim(
        "x", "All.", "client", "executed", "nowhere", check=_lacks, controls=(lambda r: r, lambda r: r)
    ).examine(small_result)
    assert (missing.verdict, missing.holds, missing.evidence) == (ClaimVerdict.NOT_CHECKED, None, "no look; take one")
    assert [Finding("x", verdict, "").holds for verdict in ClaimVerdict] == [True, False, None]


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

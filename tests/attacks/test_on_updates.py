"""Attacks on updates: they work on what plain federated learning sends, and are at chance on ciphertexts."""

from dataclasses import replace
from gc import get_referents
from itertools import pairwise
from types import FunctionType, ModuleType

import numpy as np
import pytest

from hefl_core.attacks import five_seats, scoring
from hefl_core.attacks.catalogue import run
from hefl_core.attacks.lab import CLIENT, COALITION, COORDINATOR, PLAIN, Lab, Setting, finished_model
from hefl_core.attacks.methods import gradient_inversion, label_leak, membership, record_leak
from hefl_core.attacks.result import FAMILY_ALPHA
from hefl_core.attacks.scoring import Truth
from hefl_core.attacks.seat_matrix import family_at_chance
from hefl_core.attacks.trials import CHANCE_TRIALS
from hefl_core.attacks.view import Held, Message, View
from hefl_core.errors import ParameterError
from hefl_core.federation.client import Observation
from hefl_core.federation.party import Party
from hefl_core.keys.identity import Identity
from hefl_core.learning.models import dense_model
from hefl_core.schemes.base import SecretShare, expose_secret
from tests.conftest import SMALL, finished


def test_labels_of_single_records_are_always_right():
    for dataset in ("digits", "breast_cancer"):
        found = run("label", PLAIN, dataset=dataset)
        assert found.value == 1.0 and found.trials == 200 and found.low > 0.97 and found.p_value < 1e-6


def test_a_single_record_comes_back_beyond_60_db():
    for name in ("record", "patient"):
        found = run(name, PLAIN, trials=40)
        assert found.low > 60 and found.prior < 12


def test_larger_batches_hide_records_and_the_attackers_rule_is_honest_on_pictures():
    shares = [run("records", PLAIN, batch=batch, trials=20).value for batch in (1, 4, 16, 64)]
    assert shares[0] == 1.0 and 0.4 < shares[1] < 1 and shares[2] < 0.2 and shares[3] < 0.02
    lab = Lab(Setting(batch=4))
    trials = [lab.trial(number) for number in range(20)]
    assert np.mean([scoring.precision(record_leak.records(view), truth) for view, truth in trials]) > 0.9


def test_a_model_made_for_it_gives_most_records_of_a_batch():
    assert run("imprint", PLAIN, batch=16, trials=10).value > 0.8
    assert run("imprint", PLAIN, batch=64, trials=5).value > 0.45


def test_counts_property_and_membership_leak_from_a_plain_update():
    assert run("label-counts", PLAIN, trials=20).value > 0.95
    share = run("property", PLAIN, trials=40)
    assert share.value < 0.06 < 0.15 < share.prior
    assert run("membership", PLAIN, trials=3).value > 0.95


@pytest.mark.parametrize(("batch", "least"), [(1, 90), (4, 40)])
def test_inversion_finds_the_records_and_keeps_its_frames(batch, least):
    lab = Lab(Setting(batch=batch, activation="sigmoid"))
    view, truth = lab.trial(0)
    found = gradient_inversion.invert(view, side=8, steps=500)
    assert scoring.best_psnr(found.records, truth) > least
    assert found.frames.shape[1:] == (batch, 64) and found.losses[-1] < 1e-6 * found.losses[0]
    quality = [scoring.best_psnr(frame, truth) for frame in found.frames]
    assert quality[-1] > quality[0] + 20


@pytest.mark.parametrize("kind", ["relu", "sigmoid"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_handwritten_slopes_are_those_of_finite_differences(kind, metric):
    model = dense_model("small", (5, 7, 3), kind)
    rng = np.random.default_rng(3)
    weights = [rng.normal(size=shape) for shape in model.shapes]
    observed = [rng.normal(size=shape) for shape in model.shapes]
    rows, logits = rng.normal(size=(2, 5)), rng.normal(size=(2, 3))
    _, of_rows, of_logits = gradient_inversion.mismatch(model, weights, observed, rows, logits, metric)
    for array, slope in ((rows, of_rows), (logits, of_logits)):
        for at in np.ndindex(array.shape):
            ends = []
            for step in (1e-6, -1e-6):
                array[at] += step
                ends.append(gradient_inversion.mismatch(model, weights, observed, rows, logits, metric)[0])
                array[at] -= step
            assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope[at], rel=1e-4, abs=1e-6)


def test_cosine_and_total_variation_find_a_picture_too():
    view, truth = Lab(Setting(hidden=64)).trial(0)
    found = gradient_inversion.invert(view, metric="cosine", tv=1e-4, side=8)
    assert scoring.best_psnr(found.records, truth) > 25
    ordered = run("inversion", PLAIN, search="cosine-tv", trials=3)
    assert ordered.low > 50 and ordered.prior < 20, "total variation biases, it does not hide"
    assert run("inversion", COORDINATOR, search="cosine-tv", trials=12).value < 15
    with pytest.raises(ParameterError, match="found a table"):
        run("inversion", PLAIN, search="cosine-tv", dataset="breast_cancer", trials=1)


# -- the same code on ciphertexts ------------------------------------------------------------------------------------

CHEAP = ("label", "label-counts", "record", "records", "patient", "property", "membership")
SCHEMES = ("bfv-lean", "INSECURE_paillier-512")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_on_ciphertexts_every_attack_is_at_chance(scheme):
    some = CHEAP if scheme == "bfv-lean" else ("label", "record")
    results = [run(name, COORDINATOR, scheme=scheme) for name in some]
    assert all(result.trials >= CHANCE_TRIALS for result in results)
    quiet, smallest = family_at_chance(results)
    assert quiet, (smallest, [(r.attack, r.p_value) for r in results])


@pytest.mark.parametrize("scheme", ["ckks-lean", "bfv-threshold"])
def test_and_under_other_schemes(scheme):
    results = [run(name, COORDINATOR, scheme=scheme, trials=100) for name in ("label", "record")]
    assert family_at_chance(results)[0]


def test_the_same_statistics_see_a_leak():
    """Positive control: on the plain view each of these attacks is far from chance."""
    for name in CHEAP:
        trials = {"membership": 3}.get(name, 40)
        found = run(name, PLAIN, trials=trials)
        assert found.p_value < FAMILY_ALPHA / 100, name


def test_with_a_share_of_the_key_the_coordinator_reads_like_in_plain():
    assert run("label", COALITION, trials=30).value == 1.0
    assert run("record", COALITION, trials=20).low > 60
    assert run("label", COALITION, trials=100, threshold=3, scheme="bfv-threshold", clients=5).value < 0.5


def secrets_of(lab, truth):
    """Pieces of the plaintext update and of the key that must not be in a view."""
    weighted = truth.update * (lab.setting.batch / lab.public.examples_max)
    start = int(np.argmax(np.abs(truth.update)))
    for vector in (truth.update, weighted):
        piece = vector[max(0, start - 3) :][:4]
        yield piece.tobytes()
        yield piece.astype(np.float32).tobytes()


def leaks(lab, view, truth):
    blobs = [message.content for message in view.messages] + [held.values.tobytes() for held in view.held]
    found = any(secret in blob for secret in secrets_of(lab, truth) for blob in blobs)
    return found or bool(view.keys) or view.array("own update") is not None


@pytest.mark.parametrize("scheme", ["bfv-lean", "ckks-lean", "INSECURE_paillier-512"])
def test_the_coordinators_view_reaches_no_plaintext_and_no_key(scheme):
    lab = Lab(Setting(scheme=scheme, seat=COORDINATOR))
    view, truth = lab.trial(0)
    assert not leaks(lab, view, truth)
    planted = replace(view, messages=(*view.messages, Message("update", "x", 1, truth.update.tobytes())))
    assert leaks(lab, planted, truth)
    coalition, _ = Lab(Setting(scheme=scheme, seat=COALITION)).trial(0)
    assert leaks(lab, coalition, truth)
    plain_lab = Lab(Setting(seat=PLAIN))
    assert leaks(plain_lab, *plain_lab.trial(0))


def reach(root):
    """Everything that hangs on an object, closures included; classes, modules and code are not followed."""
    todo, seen = [root], {}
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType, str, int, float)):
            continue
        seen[id(one)] = one
        todo += (
            [cell.cell_contents for cell in one.__closure__ or ()]
            if isinstance(one, FunctionType)
            else get_referents(one)
        )
    return list(seen.values())


def forbidden(view, needles):
    """What the coordinator's view must not reach: a share, a party, the truth, or bytes of an update or a key."""
    found = []
    for one in reach(view):
        if isinstance(one, (SecretShare, Truth, Party, Identity, Observation)):
            found.append(type(one).__name__)
        blob = one.tobytes() if isinstance(one, np.ndarray) else one if isinstance(one, (bytes, bytearray)) else b""
        found += ["bytes" for needle in needles if needle in blob]
    return found


def test_on_a_real_run_the_coordinators_view_reaches_no_plaintext_and_no_key():
    run_ = finished(SMALL.but(rounds=1), keep_keys=True)
    seen, share = run_.result().observations[1], run_.parties.clients[0].enrolment.share
    view = View.of_transcript(run_.transcript, "coordinator", Lab(Setting()).public)
    updates = [np.frombuffer(item.update) for item in seen]
    needles = [update[at : at + 4].tobytes() for update in updates for at in (np.argmax(np.abs(update[:-4])),)]
    needles += [update[: len(update)].astype(np.float32).tobytes()[-64:] for update in updates]
    needles.append(expose_secret(share)[100:140])
    assert len(reach(view)) > 30 and forbidden(view, needles) == []
    for planted in (
        replace(view, keys=(share,)),
        replace(view, held=(Held("innocent", 1, updates[0]),)),
        replace(view, messages=(*view.messages, Message("note", "x", 1, b"..." + needles[-1]))),
        replace(view, public=replace(view.public, auxiliary=lambda: seen)),
    ):
        assert forbidden(planted, needles)


def test_the_search_is_the_same_in_every_seat(monkeypatch):
    asked = []
    real = gradient_inversion.invert
    monkeypatch.setattr(gradient_inversion, "invert", lambda view, **how: asked.append(how) or real(view, **how))
    for seat in (PLAIN, COORDINATOR, CLIENT, COALITION):
        run("inversion", seat, trials=1)
    assert len(asked) == 4 and all(how == asked[0] for how in asked)


def test_attacks_are_handed_a_view_and_never_import_the_laboratory_or_the_scorer():
    import ast
    from pathlib import Path

    import hefl_core.attacks.methods as methods

    sources = [path for path in Path(methods.__file__).parent.glob("*.py") if path.stem != "__init__"]
    assert sources
    for path in sources:
        name, tree = path.stem, ast.parse(path.read_text(encoding="utf-8"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {m for m in imported if m and m.endswith((".lab", ".scoring", ".catalogue", "_lab"))}, name


def test_a_real_runs_transcript_is_a_view():
    run_ = finished(SMALL.but(rounds=1))
    lab = Lab(Setting())
    view = View.of_transcript(run_.transcript, "coordinator", lab.public)
    assert len(view.ciphertexts()) == 3 and len(view.ciphertexts("sum")) == 1 and not view.keys
    assert len(view.updates()) == 3 and all(np.isfinite(update).all() for update in view.updates())
    outsider = View.of_transcript(run_.transcript, "client-1", lab.public)
    assert len(outsider.ciphertexts()) == 1


# -- the mean and the model ------------------------------------------------------------------------------------------


def test_the_mean_leaks_less_with_more_clients():
    values = [run("record", CLIENT, clients=clients, trials=30).value for clients in (2, 4, 16)]
    assert values[0] > 60 and values[0] > values[1] > values[2]
    auc = [run("membership", CLIENT, clients=clients, trials=6).value for clients in (2, 4, 16)]
    assert auc[0] > auc[1] > auc[2] > 0.5


def test_noise_lowers_what_an_update_gives_away():
    results = [run("record", PLAIN, trials=30, clip=1.0, noise=noise) for noise in (0.0, 0.001, 0.01, 0.1)]
    assert all(more.high < less.low for less, more in pairwise(results))
    assert results[-1].value < 15


def test_noise_that_stops_an_attack_need_not_prove_anything():
    found = five_seats.over_noise("digits", (0.05, 0.3, 1.0), trials=20)
    assert found[0].result.value < 30 and found[0].epsilon > 100
    assert found[0].epsilon > found[1].epsilon > found[2].epsilon and found[2].epsilon < 10


def test_more_local_steps_hide_records():
    curve = five_seats.after_steps("digits", (1, 30), trials=20)
    assert curve.results[0].low > curve.results[1].high


def test_who_left_is_found_by_differencing():
    found = run("differencing", CLIENT, trials=20)
    assert found.value > 0.9 and found.prior == 0.05


def test_the_final_model_tells_members_and_shadows_tell_more():
    loss, lira = run("loss"), run("lira")
    assert 0.54 < loss.value < 0.75 and lira.value > loss.value + 0.05 and lira.low > 0.6
    view, candidates, inside, _ = finished_model(seed=3)
    assert inside.sum() == len(candidates) / 2 and len(membership.by_loss(view, candidates)) == len(candidates)


def test_a_seat_without_anything_to_attack_is_told_so():
    view, _ = Lab(Setting()).trial(0)
    with pytest.raises(ParameterError, match="final model"):
        membership.by_loss(view, Lab(Setting()).data.test)
    with pytest.raises(ParameterError, match="no update"):
        label_leak.label(replace(view, messages=()))
    with pytest.raises(ParameterError, match="seat"):
        run("differencing", COORDINATOR)

"""Attacks and scores against independent implementations and a published figure; docs/attacks.md names each of them."""

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import mannwhitneyu, norm
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.neural_network import MLPClassifier

from hefl_core.attacks import scoring
from hefl_core.attacks.catalogue import run
from hefl_core.attacks.lab import PLAIN, Lab, Setting, finished_model
from hefl_core.attacks.methods import membership, record_leak
from hefl_core.attacks.view import MODEL
from hefl_core.vectors import unflatten

PUBLISHED_IDLG = 1.0
"""Zhao, Mopuri and Bilen 2020 (arXiv 2001.02610), table 1: extracted labels right, 100.0 % on MNIST, CIFAR-100 and LFW."""
SHADOWS = 16


@pytest.fixture(scope="module")
def target():
    return finished_model(seed=5)


def logits_of(theta, view, rows):
    """An independent forward pass of the one hidden layer."""
    w1, b1, w2, b2 = unflatten(np.asarray(theta, np.float64), view.public.model.shapes)
    return np.maximum(rows @ w1 + b1, 0) @ w2 + b2


def own_log_probability(theta, view, rows):
    """log p of each row's own label. Source: the definition of cross-entropy."""
    return log_softmax(logits_of(theta, view, rows.features.astype(np.float64)), axis=1)[
        np.arange(len(rows)), rows.labels
    ]


def carlini(theta, view, candidates, models, halves):
    """LiRA, online, one variance for all, written from algorithm 1 of Carlini 2022 and nothing else."""

    def phi(parameters):
        log_p = own_log_probability(parameters, view, candidates)
        return log_p - np.log(-np.expm1(log_p))

    observed, confidences = phi(theta), np.array([phi(model) for model in models])
    scores, spread = np.empty((len(candidates), 2)), []
    for at in range(len(candidates)):
        sides = [
            [c[at] for c, half in zip(confidences, halves, strict=True) if half[at] == inside] for inside in (1, 0)
        ]
        scores[at] = [np.mean(side) for side in sides]
        spread += [value - np.mean(side) for side in sides for value in side]
    sigma = np.sqrt(np.mean(np.square(spread)))
    return norm.logpdf(observed, scores[:, 0], sigma) - norm.logpdf(observed, scores[:, 1], sigma)


def test_lira_is_the_papers_algorithm(target):
    view, candidates, inside, how = target
    models, halves = membership.shadow_models(view, candidates, how, SHADOWS, 11)
    ours = membership.by_shadows(view, candidates, models, halves)
    theirs = carlini(view.array(MODEL), view, candidates, models, halves)
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
    area = roc_auc_score(inside, theirs)
    assert scoring.auc(ours[inside == 1], ours[inside == 0]).value == pytest.approx(area, abs=1e-3) and area > 0.6
    swapped = carlini(view.array(MODEL), view, candidates, models, [~half for half in halves])
    assert not np.allclose(ours, swapped, rtol=1e-2), "the comparison sees which side is which"


def test_loss_orders_candidates_as_cross_entropy_does(target):
    view, candidates, inside, _ = target
    ours, theirs = membership.by_loss(view, candidates), own_log_probability(view.array(MODEL), view, candidates)
    assert np.array_equal(np.argsort(ours, kind="stable"), np.argsort(theirs, kind="stable"))
    assert scoring.auc(ours[inside == 1], ours[inside == 0]).value == pytest.approx(
        roc_auc_score(inside, theirs), abs=1e-12
    )


@pytest.mark.parametrize("ties", [False, True])
def test_auc_roc_and_p_value_are_those_of_scikit_learn_and_scipy(ties):
    rng = np.random.default_rng(2)
    inside, outside = rng.normal(0.3, size=90), rng.normal(size=70)
    if ties:
        inside, outside = np.round(inside), np.round(outside)
    truth, scores = np.repeat([1, 0], [90, 70]), np.concatenate([inside, outside])
    found = scoring.auc(inside, outside)
    assert found.value == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    curve, (fpr, tpr, _) = scoring.roc(inside, outside), roc_curve(truth, scores, drop_intermediate=False)
    assert curve == pytest.approx(np.column_stack([fpr, tpr]), abs=1e-12)
    if not ties:
        p_value = mannwhitneyu(inside, outside, alternative="greater", method="asymptotic", use_continuity=False).pvalue
        assert found.p_value == pytest.approx(p_value, rel=1e-9)


def test_labels_of_single_records_reach_the_published_figure():
    for dataset in ("digits", "breast_cancer"):
        found = run("label", PLAIN, dataset=dataset, seed=21)
        assert found.trials == 200 and found.value == PUBLISHED_IDLG


def test_a_record_is_read_from_another_librarys_training_step():
    """scikit-learn takes one step of SGD on one digit; the attack reads the digit from the change of its weights."""
    lab = Lab(Setting())
    view, _ = lab.trial(0)
    for number in range(5):
        row, label = lab.data.train.features[number : number + 1].astype(np.float64), lab.data.train.labels[number]
        network = MLPClassifier(
            (64,), solver="sgd", alpha=0.0, learning_rate_init=0.1, momentum=0.0, random_state=number
        )
        network.partial_fit(row * 0, [label], classes=np.arange(10))
        before = [
            part.copy()
            for part in (network.coefs_[0], network.intercepts_[0], network.coefs_[1], network.intercepts_[1])
        ]
        network.partial_fit(row, [label])
        after = network.coefs_[0], network.intercepts_[0], network.coefs_[1], network.intercepts_[1]
        update = np.concatenate([(new - old).reshape(-1) for new, old in zip(after, before, strict=True)])
        rows, _ = record_leak.quotients(view, update)
        assert scoring.psnr(rows[0], row[0]) > 60
        assert int(np.argmin(-(after[3] - before[3]))) == label, "the last bias names the label"

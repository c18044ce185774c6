"""Metrics of a rare class, held against scikit-learn, and against what a lazy model would get."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from hefl_core.errors import DataError, WireError
from hefl_core.evaluation import ClassMetrics
from hefl_core.learning.base import Examples
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.metrics import average_precision, class_metrics
from hefl_core.learning.models import model_for
from hefl_core.learning.numpy_trainer import NumpyTrainer, evaluate_in_parts
from hefl_core.learning.split import split_indices
from hefl_core.wire.canonical import decode, encode


def drawn(seed, rows, classes, ties=False):
    """Logits and labels; with ``ties`` the logits have few values."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (rows, classes))
    return (np.round(logits) if ties else logits), rng.integers(0, classes, rows)


def odds(logits, wanted):
    """Log-odds as the definition says, one row at a time; of two classes the difference, exactly."""
    if logits.shape[1] == 2:
        return logits[:, wanted] - logits[:, 1 - wanted]
    return np.array([row[wanted] - np.log(np.exp(np.delete(row, wanted)).sum()) for row in logits])


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 300), st.integers(2, 7), st.booleans())
def test_every_metric_is_that_of_scikit_learn(seed, rows, classes, ties):
    logits, labels = drawn(seed, rows, classes, ties)
    found, predicted, present = class_metrics(logits, labels), logits.argmax(axis=1), np.unique(labels)
    assert np.array_equal(found.confusion, oracle.confusion_matrix(labels, predicted, labels=np.arange(classes)))
    assert found.accuracy == oracle.accuracy_score(labels, predicted)
    recalls = oracle.recall_score(labels, predicted, labels=present, average=None, zero_division=0)
    assert found.balanced_accuracy == pytest.approx(recalls.mean(), abs=1e-12)
    assert found.majority_share == np.bincount(labels).max() / rows
    if len(present) < 2:
        assert found.average_precision is None
        return
    wanted = [found.rarest] if classes == 2 else present
    expected = [oracle.average_precision_score(labels == at, odds(logits, at)) for at in wanted]
    # Equal odds may differ in the last bit by the order of a sum: then scikit-learn's thresholds are others.
    assume(not ties or classes == 2)
    assert found.average_precision == pytest.approx(np.mean(expected), abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 60))
def test_average_precision_with_ties_is_that_of_scikit_learn_and_no_order_changes_it(seed, rows):
    rng = np.random.default_rng(seed)
    scores, positive = rng.integers(0, 4, rows).astype(float), rng.random(rows) < 0.3
    positive[0] = True
    found = average_precision(scores, positive)
    assert found == pytest.approx(oracle.average_precision_score(positive, scores), abs=1e-12)
    mixed = rng.permutation(rows)
    assert average_precision(scores[mixed], positive[mixed]) == pytest.approx(found, abs=1e-12)


def test_balanced_accuracy_is_scikit_learns_own():
    logits, labels = drawn(3, 200, 4)
    expected = oracle.balanced_accuracy_score(labels, logits.argmax(axis=1))
    assert class_metrics(logits, labels).balanced_accuracy == pytest.approx(expected, abs=1e-12)


def test_a_model_that_never_names_the_rare_class_is_seen():
    """Accuracy says 0.95 of it; the numbers beside it say that it found nothing."""
    labels = load_dataset("credit").test.labels
    lazy = class_metrics(np.tile([1.0, 0.0], (len(labels), 1)), labels)
    assert lazy.accuracy == lazy.majority_share == pytest.approx(0.95, abs=1e-3)
    assert lazy.balanced_accuracy == 0.5 and lazy.rarest == 1
    assert lazy.average_precision == pytest.approx(0.05, abs=1e-3)
    right = class_metrics(np.eye(2)[labels], labels)
    assert right.balanced_accuracy == right.average_precision == right.accuracy == 1


def test_a_sure_model_is_ranked_by_its_logits_not_by_probabilities_that_are_all_one():
    """The second fault: softmax gives 1.0 for both rows, and a ranking by it would be a tie."""
    logits = np.array([[0.0, 60.0], [0.0, 50.0], [0.0, 40.0]])
    labels = np.array([1, 0, 0])
    softmax = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    assert len(set(softmax)) == 1
    assert class_metrics(logits, labels).average_precision == 1


def test_an_absent_class_is_named_and_does_not_count():
    found = class_metrics(np.eye(3)[[0, 1, 2, 1]], np.array([0, 1, 1, 1]))
    assert found.absent == (2,) and found.present == (0, 1) and found.rarest == 0
    assert found.balanced_accuracy == pytest.approx((1 + 2 / 3) / 2)
    alone = class_metrics(np.eye(2)[[0, 1]], np.array([0, 0]))
    assert alone.average_precision is None and alone.absent == (1,) and alone.balanced_accuracy == 0.5


def test_a_model_that_diverged_is_counted_without_a_warning():
    found = class_metrics(np.array([[np.nan, np.inf], [np.inf, np.inf], [0, 1.0]]), np.array([0, 1, 1]))
    assert sum(found.counts) == 3 and 0 <= found.average_precision <= 1


def test_parts_of_a_large_hold_out_add_up():
    data = load_dataset("credit").train
    model = model_for("logistic", 12, 2)
    whole = NumpyTrainer(model).evaluate(model.init(b"seed"), data)
    assert sum(whole.metrics.counts) == len(data) == 4800 > 2 * 1024
    by_row = evaluate_in_parts(lambda rows: np.eye(2)[(rows[:, 0] > 0).astype(int)], data)
    predicted = (data.features[:, 0] > 0).astype(int)
    assert np.array_equal(by_row.metrics.confusion, oracle.confusion_matrix(data.labels, predicted))


TWO = ((8, 2), (1, 3))
WRONG = {
    "ragged": ((1, 2), (3,)),
    "empty": (),
    "negative": ((5, -1), (0, 1)),
    "no row": ((0, 0), (0, 0)),
}


@pytest.mark.parametrize("confusion", WRONG.values(), ids=WRONG)
def test_what_is_no_confusion_matrix_is_refused(confusion):
    with pytest.raises(DataError, match="confusion matrix: expected a square of counts"):
        ClassMetrics.of(confusion, 0.5)


def test_numbers_that_do_not_follow_from_the_matrix_cannot_exist_nor_arrive():
    good = ClassMetrics.of(TWO, 0.5)
    assert decode(encode(good), ClassMetrics) == good
    with pytest.raises(DataError, match="expected those of the confusion matrix"):
        ClassMetrics(TWO, 0.5, 1.0, good.majority_share, good.rarest)
    for precision in (None, 1.5, -0.1, float("nan")):
        with pytest.raises(DataError, match=r"average precision: expected 0\.\.1"):
            ClassMetrics.of(TWO, precision)
    with pytest.raises(DataError, match="expected none for a single class"):
        ClassMetrics.of(((4, 1), (0, 0)), 0.5)
    # The sender's bytes with another balanced accuracy: named before anything uses them.
    forged = encode(good).replace(encode(good.balanced_accuracy), encode(1.0))
    assert forged != encode(good)
    with pytest.raises(WireError, match="expected those of the confusion matrix"):
        decode(forged, ClassMetrics)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.floats(0.05, 0.5))
def test_each_class_of_two_rows_is_held_out_and_none_is_only_held_out(counts, share):
    labels = np.repeat(np.arange(len(counts)), counts)
    held_out = int(len(labels) * share)
    train, test = split_indices(labels, held_out)
    assert len(test) == held_out and np.array_equal(np.sort([*train, *test]), np.arange(len(labels)))
    kept, aside = (np.bincount(labels[at], minlength=len(counts)) for at in (train, test))
    several = np.array(counts) > 1
    assume(several.sum() <= held_out <= (np.array(counts) - 1).sum())
    assert (aside[several] >= 1).all() and (kept >= 1).all()


def test_a_rare_class_is_held_out_where_shares_alone_would_forget_it():
    labels = np.repeat([0, 1], [998, 2])
    train, test = split_indices(labels, 200)
    assert np.bincount(labels[test]).tolist() == [199, 1] and np.bincount(labels[train]).tolist() == [799, 1]
    share = np.array([998, 2]) * 200 / 1000
    assert np.rint(share)[1] == 0  # the control: by shares alone it would have none


def test_the_built_in_splits_have_every_class():
    for name in ("digits", "breast_cancer", "credit"):
        data = load_dataset(name)
        assert set(data.test.labels) == set(range(len(data.classes)))


def test_examples_still_need_one_row():
    with pytest.raises(DataError, match="expected at least 1"):
        NumpyTrainer(model_for("logistic", 2, 2)).evaluate(
            model_for("logistic", 2, 2).init(b""), Examples(np.zeros((0, 2), np.float32), np.zeros(0, np.int64))
        )

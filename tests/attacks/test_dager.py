"""DAGER: the words of letters from an attention layer's gradient; exact from the plain update, nothing from ciphertext."""

import numpy as np
import pytest
from scipy.linalg import lstsq

from hefl_core.attacks import scoring
from hefl_core.attacks.catalogue import run
from hefl_core.attacks.lab import CLIENT, COALITION, COORDINATOR, PLAIN, Lab, Setting
from hefl_core.attacks.methods import dager
from hefl_core.attacks.rates import measured
from hefl_core.attacks.result import FAMILY_ALPHA
from hefl_core.attacks.trials import read_words
from hefl_core.attacks.view import View, gradient
from hefl_core.errors import ParameterError
from hefl_core.learning.base import Examples
from hefl_core.learning.models import VOCABULARY
from hefl_core.learning.numpy_trainer import loss_and_gradient
from hefl_core.learning.text.attention import place_vectors, word_vectors
from hefl_core.vectors import unflatten

LETTERS = Setting(dataset="letters", network="attention")


def rate(case):
    return measured().rates[f"letters: {case}"]


def test_what_was_measured_over_a_hundred_letters():
    """Asked: 95 % of the words of single letters, batches to 8 shown, and chance from the encrypted seat."""
    for case in ("plain", *(f"B={size}" for size in (2, 4, 8)), *(f"E={steps}" for steps in (2, 4, 8))):
        assert rate(case).trials == 100 and min(rate(case).values) >= 0.95, case
        assert rate(case).p_value < FAMILY_ALPHA / 100, "the statistic that says chance elsewhere sees the leak"
    encrypted = rate("coordinator")
    assert encrypted.trials >= 400 and encrypted.p_value > FAMILY_ALPHA
    assert abs(encrypted.value - encrypted.prior) < 0.02


@pytest.mark.parametrize("batch", [1, 8])
def test_every_word_is_read_and_no_other(batch):
    lab = Lab(LETTERS.but(batch=batch))
    for number in range(10):
        view, truth = lab.trial(number)
        found = dager.words(view)
        assert scoring.words_named(found, truth) == scoring.words_right(found, truth) == 1
        if batch == 1:
            assert scoring.exactly(found, truth) and " ".join(read_words(lab.data, found)) == lab.data.text(
                truth.examples.features[0]
            )


def test_the_result_says_the_words_and_ciphertext_gives_none():
    plain = run("dager", PLAIN, trials=6)
    assert plain.value == 1 and plain.cpu_seconds > 0 and "6 of 6 updates read in full" in plain.note
    assert "aged" in plain.note and plain.array("whole").all() and plain.array("right").all()
    encrypted = run("dager", COORDINATOR, trials=40)
    assert encrypted.at_chance() and not encrypted.array("whole").any()
    assert encrypted.metric == plain.metric


def test_a_key_or_few_clients_give_the_words_and_a_mean_does_not_say_whose():
    assert run("dager", COALITION, trials=3, scheme="ckks-lean").value == 1
    assert run("dager", CLIENT, trials=3, clients=2).array("whole").all()
    mean = run("dager", CLIENT, trials=5, clients=5)
    assert mean.value == 1 and mean.array("right").max() < 1


def test_local_steps_do_not_change_the_span_and_too_many_words_fill_it():
    one, many = (Lab(LETTERS.but(batch=4, local_epochs=steps)).trial(2)[0] for steps in (1, 8))
    assert {*map(tuple, dager.words(one))} == {*map(tuple, dager.words(many))}
    full = Lab(LETTERS.but(batch=64)).trial(0)[0]
    assert len(dager.words(full)) == full.public.model.layers[0].words, (
        "without a gap: as many as a letter has, guessed"
    )


def test_another_model_is_refused():
    view, _ = Lab(Setting()).trial(0)
    with pytest.raises(ParameterError, match="dager: expected a layer of attention, found the model lab"):
        dager.words(view)
    with pytest.raises(ParameterError, match="expected text, found digits"):
        run("dager", PLAIN, dataset="digits", trials=1)


def test_scores_of_words():
    truth = scoring.Truth(Examples(np.array([[5, 6, 0]], np.float32), np.zeros(1, np.int64)), np.zeros(1))
    other = scoring.Truth(Examples(np.array([[7, 8, 0]], np.float32), np.zeros(1, np.int64)), np.zeros(1))
    exact, swapped = np.array([[5, 0], [6, 1]]), np.array([[6, 0], [5, 1]])
    everything = np.column_stack([np.arange(1, VOCABULARY), np.zeros(VOCABULARY - 1, int)])
    assert scoring.exactly(exact, truth) and not scoring.exactly(swapped, truth)
    assert scoring.words_named(swapped, truth) == scoring.words_right(swapped, truth) == 1
    assert scoring.words_named(everything, truth) == 1 and scoring.words_right(everything, truth) < 0.01
    table = scoring.words_alike([exact, everything], [truth, other])
    assert table[0] == pytest.approx([1, 0]) and table[1, 0] == table[1, 1] < 0.01, "naming every word fits nobody"


# -- cross-checks ------------------------------------------------------------------------------------------------------


def by_least_squares(slopes, width, places):
    """DAGER's span check written anew, from section 4 of the paper: which word is a combination of the gradient's columns?

    Another way to the rank (a fixed part of the largest singular value), and least squares in place of a projection.
    """
    rank = np.linalg.matrix_rank(slopes, tol=1e-4 * np.linalg.norm(slopes, 2))
    columns = slopes @ np.random.default_rng(3).normal(size=(slopes.shape[1], rank))
    found = set()
    for place in range(places):
        vectors = (word_vectors(width) + place_vectors(places, width)[place]).astype(np.float64).T
        fit = columns @ lstsq(columns, vectors)[0]
        left = np.linalg.norm(vectors - fit, axis=0) / np.linalg.norm(vectors, axis=0)
        found |= {(int(number), place) for number in np.flatnonzero(left < 0.02) if number}
    return found


def test_another_implementation_finds_the_same_words():
    for batch in (1, 2):
        lab = Lab(LETTERS.but(batch=batch))
        for number in range(5):
            view, _ = lab.trial(number)
            layer = lab.model.layers[0]
            theirs = by_least_squares(np.asarray(gradient(view)[0], np.float64), layer.width, layer.words)
            assert theirs == {*map(tuple, dager.words(view).tolist())}


@pytest.mark.keras
def test_words_are_read_from_the_gradient_of_keras_own_attention_layer():
    """Keras' MultiHeadAttention, differentiated by TensorFlow: code independent of ours computes the same layer and leaks alike."""
    from hefl_core.learning.keras_setup import keras, tf

    lab = Lab(LETTERS)
    layer, arrays = lab.model.layers[0], unflatten(lab.theta.astype(np.float64), lab.model.shapes)
    attention = keras.layers.MultiHeadAttention(1, layer.outputs, output_shape=layer.outputs, dtype="float64")
    for number in range(3):
        _, truth = lab.trial(number)
        row, label = truth.examples.features[0], truth.examples.labels
        there = row > 0
        words, places = word_vectors(layer.width)[row.astype(int)], place_vectors(layer.words, layer.width)
        vectors = tf.constant((words.astype(np.float64) + places)[None, there])
        attention(vectors, vectors)
        weights, bias = (np.split(array, 3, axis=-1) for array in arrays[:2])
        # Keras keeps query, key, value in this order, each (width, heads, units); then the projection, here the identity.
        parts = [part for w, b in zip(weights, bias, strict=True) for part in (w[:, None, :], b[None, :])]
        attention.set_weights([*parts, np.eye(layer.outputs)[None], np.zeros(layer.outputs)])
        with tf.GradientTape() as tape:
            pooled = tf.reduce_mean(tf.nn.relu(attention(vectors, vectors)), axis=1)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(label, pooled @ arrays[2] + arrays[3])
            loss = tf.reduce_mean(losses)
        kernels = [attention._query_dense.kernel, attention._key_dense.kernel, attention._value_dense.kernel]
        slopes = np.concatenate([slope.numpy()[:, 0, :] for slope in tape.gradient(loss, kernels)], axis=1)
        value, ours = loss_and_gradient(lab.model, arrays, row[None], label)
        assert float(loss) == pytest.approx(value, abs=1e-9) and slopes == pytest.approx(ours[0], abs=1e-9)
        update = np.concatenate(
            [-lab.setting.learning_rate * slopes.reshape(-1), np.zeros(lab.model.parameters - slopes.size)]
        )
        assert scoring.exactly(dager.words(View(PLAIN, lab.public), update), truth)

"""Inverting Gradients on a convolutional network: pictures from the plain update, nothing from ciphertext, by the same code."""

import numpy as np
import pytest

from hefl_core.attacks import scoring
from hefl_core.attacks.catalogue import run
from hefl_core.attacks.lab import COALITION, COORDINATOR, PLAIN, Lab, Setting
from hefl_core.attacks.methods import inverting_gradients
from hefl_core.attacks.rates import measured
from hefl_core.attacks.result import FAMILY_ALPHA
from hefl_core.errors import ParameterError, RuntimeUnavailable
from hefl_core.learning.inversion_job import Job, SearchProcess, read_frame
from hefl_core.schemes.base import expose_secret

PICTURES = Setting(dataset="mnist-5000", network="cnn")


def rates(case):
    return measured().rates[f"pictures: {case}"], measured().rates[f"pictures named: {case}"]


def test_what_was_measured_over_a_hundred_pictures():
    """Of a fresh model's plain update nearly every picture is named; from its ciphertext as many as by blind guessing."""
    near, named = rates("plain")
    assert np.median(near.values) >= 18 and named.value >= 0.9 and named.trials == 100
    near, named = rates("coordinator")
    assert named.trials >= 400 and named.p_value > FAMILY_ALPHA and near.p_value > FAMILY_ALPHA
    assert abs(near.value - near.prior) < 0.5
    assert rates("plain")[0].p_value < FAMILY_ALPHA / 100, "the same statistic sees the leak"


def test_similarity_of_structure():
    rng = np.random.default_rng(5)
    one, other = rng.random((2, 49))
    c1, c2, both = 0.01**2, 0.03**2, np.cov(one, other)
    expected = (2 * one.mean() * other.mean() + c1) * (2 * both[0, 1] + c2)
    expected /= (one.mean() ** 2 + other.mean() ** 2 + c1) * (both[0, 0] + both[1, 1] + c2)
    assert scoring.ssim(one, other, 7) == pytest.approx(expected), "one window: the formula itself"
    pictures = rng.random((2, 784))
    assert scoring.ssim(pictures[0], pictures[0], 28) == pytest.approx(1) and scoring.ssim(*pictures, 28) < 0.1


def test_labels_of_a_batch_are_read_off():
    lab = Lab(PICTURES.but(batch=4))
    for number in range(5):
        view, truth = lab.trial(number)
        bias = -view.update()[-10:] / lab.setting.learning_rate
        assert inverting_gradients.labels_of(bias, 4) == tuple(sorted(truth.examples.labels))


class Recorder:
    """In place of the process: keeps the job."""

    def search(self, job):
        self.job = job
        raise RuntimeUnavailable("kept")


def test_the_process_is_sent_the_gradient_and_no_key():
    lab = Lab(PICTURES.but(seat=COALITION, scheme="bfv-lean"))
    view, _ = lab.trial(0)
    kept = Recorder()
    with pytest.raises(RuntimeUnavailable):
        inverting_gradients.invert(view, kept)
    secrets = [expose_secret(share) for share in view.keys]
    needles = [secret[at : at + 16] for secret in secrets for at in range(100, 400, 16)]
    sent = kept.job.theta + kept.job.observed
    assert view.keys and needles and not any(needle in sent for needle in needles)
    assert any(needle in sent + secrets[0] for needle in needles), "what is planted is found"
    fields = {"model_name", "features", "classes", "activation", "theta", "observed", "labels"}
    assert set(Job.__struct_fields__) == fields | {"tv", "steps", "restarts", "seed"}


def test_tables_and_dense_models_are_refused():
    with pytest.raises(ParameterError, match="square gray pictures"):
        run("inverting-gradients", PLAIN, dataset="breast_cancer", trials=1)
    view, _ = Lab(Setting()).trial(0)
    with pytest.raises(ParameterError, match="expected a convolution"):
        inverting_gradients.invert(view, Recorder())


def test_a_frame_that_is_cut_off_or_too_long_is_refused(tmp_path):
    for body in (b"\x05\x00", (1 << 40).to_bytes(8, "little"), (5).to_bytes(8, "little") + b"abc"):
        file = tmp_path / "frame"
        file.write_bytes(body)
        with file.open("rb") as source, pytest.raises(ParameterError, match="frame: expected"):
            read_frame(source)


@pytest.mark.keras
def test_pictures_come_back_from_the_plain_update_and_not_from_ciphertext():
    plain = run("inverting-gradients", PLAIN, trials=8)
    assert np.median(plain.array("psnrs")) > 18 and np.sum(plain.array("ranks") == 1) >= 5 and plain.p_value < 1e-3
    assert plain.array("frames").shape[1:] == (1, 784) and plain.cpu_seconds > 0 and "named among 100" in plain.note
    encrypted = run("inverting-gradients", COORDINATOR, trials=8)
    assert encrypted.high < 15 and encrypted.at_chance() and encrypted.metric == plain.metric


@pytest.mark.keras
def test_a_process_that_ends_is_named():
    job = Job("cnn", 784, 10, "relu", b"", b"", (1,), 0.1, 1, 1, 0)
    with SearchProcess() as process, pytest.raises(RuntimeUnavailable, match="expected an answer, found its end"):
        process.search(job)


@pytest.mark.keras
def test_the_slopes_are_those_of_the_other_implementation():
    """Cosine and slopes in float32, beside keras_gradients.py in float64, which finite differences bear out."""
    from hefl_core.learning.keras_gradients import KerasGradients
    from hefl_core.learning.keras_inversion import Searcher, tf

    lab = Lab(PICTURES)
    view, truth = lab.trial(1)
    observed = -view.update() / lab.setting.learning_rate
    guess = np.random.default_rng(6).random((1, 784))
    logits = 200.0 * np.eye(10)[truth.examples.labels]
    value, slope, _ = KerasGradients(lab.model).mismatch(
        lab.theta.astype(np.float64), observed, guess, logits, "cosine"
    )
    searcher = Searcher(lab.model)
    searcher.write(lab.theta)
    rows, soft = tf.constant(guess, tf.float32), tf.constant(np.eye(10)[truth.examples.labels], tf.float32)
    ours, ours_slope = searcher.slope(rows, soft, tf.constant(observed, tf.float32), tf.constant(0.0))
    assert float(ours) == pytest.approx(value, abs=1e-5)
    assert np.corrcoef(ours_slope.numpy().ravel(), slope.ravel())[0, 1] > 0.9999

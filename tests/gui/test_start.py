import numpy as np
import pytest

from hefl_core.errors import DataError
from hefl_core.federation.experiment import Experiment
from hefl_core.figures.leak import leak
from hefl_core.learning.datasets import load_dataset
from tests.gui.conftest import run_on


@pytest.mark.parametrize("scheme", ["bfv-lean", "ckks-lean", "paillier-packed"])
def test_the_plain_update_gives_the_record_and_the_ciphertext_does_not(scheme):
    found = leak(Experiment(dataset="breast_cancer", scheme=scheme))
    assert found.error < 1e-4
    assert np.array_equal(found.record, load_dataset("breast_cancer").train.features[0].astype(float))
    assert found.likeness[0] > 0.999 and found.survives


def test_without_encryption_the_record_is_read_both_ways():
    assert not leak(Experiment(dataset="breast_cancer", scheme="plaintext")).survives


def test_a_record_that_is_not_there():
    with pytest.raises(DataError):
        leak(Experiment(dataset="breast_cancer"), 10_000)


def test_the_page(app):
    run_on(app, "start")
    assert not app.error
    app.segmented_control(key="patient").set_value(3).run()
    assert not app.exception
    app.button(key="go-round").click().run()
    assert not app.exception


def test_pictures_of_digits(app):
    run_on(app, "start", dataset="digits")
    assert not app.error

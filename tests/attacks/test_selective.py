"""Selective encryption: what it leaves open is enough for the record; the whole update encrypted leaves nothing."""

import numpy as np
import pytest

from hefl_core.attacks import scoring, selective
from hefl_core.attacks.lab import Lab, Setting
from hefl_core.errors import ParameterError

LAB = Lab(Setting(dataset="digits", seed=3))


@pytest.fixture(scope="module")
def leaks() -> dict[str, selective.Leak]:
    found = selective.compare(shares=(0.0, 0.1, 1.0), trials=12)
    return {leak.what: leak for leak in found}


def test_a_tenth_encrypted_hides_no_record_and_everything_encrypted_does(leaks) -> None:
    assert leaks["most sensitive 10%"].low > 60
    assert leaks["most sensitive 10%"].named == 1
    assert leaks["most sensitive 100%"].high < 20
    assert leaks["most sensitive 100%"].named < 0.2


def test_the_last_layer_alone_hides_nothing(leaks) -> None:
    assert leaks["last layer"].low > 60


def test_the_first_layer_alone_leaves_the_activations(leaks) -> None:
    assert leaks["first layer"].low > leaks["most sensitive 100%"].high
    assert leaks["first layer"].named > 0.5


def test_bytes_count_what_is_open_and_what_is_encrypted(leaks) -> None:
    assert leaks["most sensitive 0%"].nbytes == 4 * LAB.model.parameters
    assert leaks["most sensitive 10%"].nbytes > 4 * round(0.9 * LAB.model.parameters)


def test_sensitivity_is_the_gradients_change_with_the_label() -> None:
    """Against the closed form for the output biases: ∂(p_j - y_j)/∂y_c, claimed c instead of 0."""
    found = selective.sensitivity(LAB.model, LAB.theta, LAB.data.test.take(np.arange(2)))
    classes = LAB.model.classes
    np.testing.assert_allclose(found[-classes:], [classes - 1] + [1.0] * (classes - 1))


def test_an_attacker_reads_only_open_entries() -> None:
    """Whatever stands under the mask does not change the guess: the reader has no hidden way to it."""
    _, truth = LAB.trial(0)
    mask = selective.most_sensitive(np.random.default_rng(0).random(LAB.model.parameters), 0.3)
    usual = np.full(LAB.model.features, 0.3)
    other = np.where(mask, 99.0, truth.update)
    guesses = [selective.read_record(values, mask, LAB.model, LAB.theta, usual) for values in (truth.update, other)]
    np.testing.assert_array_equal(*guesses)
    assert scoring.psnr(guesses[0], truth.examples.features[0]) > 60


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ParameterError, match=r"expected 0\.\.1"):
        selective.most_sensitive(np.zeros(5), share)


def test_a_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(ParameterError, match="found 2"):
        selective.by_layer(LAB.model, 2)

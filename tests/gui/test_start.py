import numpy as np
import pytest

from hefl_core.errors import DataError
from hefl_core.figures.leak import leak
from hefl_core.learning.datasets import load_dataset
from hefl_core.terms.experiment import Experiment
from tests.gui.conftest import PATIENCE, run_on


@pytest.mark.parametrize("scheme", ["bfv-lean", "ckks-lean", "paillier-packed"])
def test_the_plain_update_gives_the_record_and_the_ciphertext_does_not(scheme):
    found = leak(Experiment(dataset="breast_cancer", scheme=scheme))
    assert found.error < 1e-4
    assert np.array_equal(found.record, load_dataset("breast_cancer").train.features[0].astype(float))
    assert found.likeness[0] > 0.999 and found.survives


@pytest.mark.parametrize("scheme", ["bfv-lean", "ckks-lean"])
def test_the_card_fills_with_the_records_own_values_and_from_ciphertext_with_others(scheme):
    found = leak(Experiment(dataset="breast_cancer", scheme=scheme))
    whole, lucky = found.recovered
    assert whole == 30 and lucky < 15 and found.others_agree < 2
    assert 6 <= len(found.card) <= 8 and all(row.unit for row in found.card)
    radius = found.card[0]
    assert radius.here == f"{found.raw[found.names.index('mean radius')]:.4g}" == radius.from_plain
    assert all(row.here == row.from_plain for row in found.card)
    assert any(row.here != row.from_cipher for row in found.card)


def test_the_card_of_a_table_without_known_names_and_of_a_picture():
    assert [row.name for row in leak(Experiment(dataset="credit")).card] == list(
        leak(Experiment(dataset="credit")).names[:7]
    )
    picture = leak(Experiment(dataset="digits"))
    assert picture.card == () and picture.recovered[0] == 64


def test_without_encryption_the_record_is_read_both_ways():
    found = leak(Experiment(dataset="breast_cancer", scheme="plaintext"))
    assert not found.survives and found.recovered == (30, 30)


def badges_in_the_end(app):
    """The opening claim with its badge, once the run is over: the page looks again by itself, AppTest on demand.

    AppTest sessions share one runner: after another test the run may be of another experiment, and the button starts one.
    """
    if any(button.key == "check-claim" for button in app.button):
        app.button(key="check-claim").click().run()
    for _ in range(PATIENCE):
        badges = [one.value for one in app.markdown if "the server got no hospital's update" in one.value]
        if not any("not checked here" in badge for badge in badges):
            break
        app.run()
    return badges


def test_a_record_that_is_not_there():
    with pytest.raises(DataError):
        leak(Experiment(dataset="breast_cancer"), 10_000)


def test_the_page(app):
    run_on(app, "start")
    assert not app.error
    app.segmented_control(key="patient").set_value(3).run()
    assert not app.exception
    assert any("computes **30 of 30** values" in one.value for one in app.markdown)
    assert any("executed" in badge for badge in badges_in_the_end(app))
    app.button(key="go-round").click().run()
    assert not app.exception


def test_a_claim_without_a_run_comes_with_the_button_that_checks_it(app):
    run_on(app, "start")
    badges_in_the_end(app)
    app.number_input(key="w:seed").set_value(9).run()
    assert any("not checked here" in one.value for one in app.markdown)
    app.button(key="check-claim").click().run()
    assert any("executed" in badge for badge in badges_in_the_end(app))


def test_pictures_of_digits(app):
    run_on(app, "start", dataset="digits")
    assert not app.error

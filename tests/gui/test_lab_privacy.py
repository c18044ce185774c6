"""The training lab's switch for differential privacy."""

from streamlit.testing.v1 import AppTest

from tests.gui.conftest import PATIENCE


def _lab():
    from pages import training as training_page

    training_page.page()


def test_the_switch_shows_epsilon_and_noise_lowers_it():
    page = AppTest.from_function(_lab, default_timeout=PATIENCE).run()
    assert not any("ε =" in one.value for one in page.caption)
    page.toggle(key="lab:dp").set_value(True).run()
    (weak,) = (one.value for one in page.caption if "ε =" in one.value)
    page.number_input(key="lab:noise").set_value(10.0).run()
    (strong,) = (one.value for one in page.caption if "ε =" in one.value)
    assert not page.exception
    assert float(strong.split()[2]) < float(weak.split()[2])

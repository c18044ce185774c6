"""What is said beside a choice, on every page where it is made, in both languages; and not where it does not belong."""

import pytest

from hefl_core.schemes.presets import PRESETS, USUAL, key_preset
from pages.parts.sidebar import SCHEMES, _scheme_label
from tests.gui.conftest import run_on

SMALL = {"scheme": "bfv-threshold-small", "custody": "2-of-5", "clients": 5, "rounds": 1}


def captions(at):
    return " ".join(caption.value for caption in at.caption)


@pytest.mark.parametrize("page", ["keys", "training"])
def test_a_small_preset_and_a_small_quorum_are_marked(app, page):
    at = run_on(app, page, **SMALL)
    in_the_sidebar = " ".join(caption.value for caption in at.sidebar.caption)
    for words in ("Demonstration flooding", "2^-26", "2 of 5 is no majority"):
        assert words in in_the_sidebar
    of_the_page = captions(at).replace(in_the_sidebar, "")
    if page == "keys":
        assert "Demonstration flooding" in of_the_page and "no majority" in of_the_page
    if page == "training":
        assert "not checked" in of_the_page


def test_the_costs_are_said_with_what_they_buy(app, monkeypatch):
    for slow in ("_schemes", "_selective"):  # they measure every preset on this machine
        monkeypatch.setattr(f"pages.costs.{slow}", lambda *_: None)
    at = run_on(app, "costs", **SMALL | {"scheme": "INSECURE_bfv-threshold-1024"})
    in_the_sidebar = " ".join(caption.value for caption in at.sidebar.caption)
    of_the_page = captions(at).replace(in_the_sidebar, "")
    assert "Flooding: when each holder" in of_the_page and "no majority" in of_the_page


def test_the_same_in_german(app, monkeypatch):
    monkeypatch.setenv(
        "HEFL_LANGUAGE", "de"
    )  # AppTest formats labels outside of the session that knows the URL's language
    at = run_on(app, "keys", **SMALL)
    assert "Flutung nur zur Vorführung" in captions(at) and "2 von 5 ist keine Mehrheit" in captions(at)
    assert "no majority" not in captions(at)


def test_a_majority_and_full_flooding_are_not_called_otherwise(app):
    at = run_on(app, "keys", scheme="bfv-threshold", custody="3-of-5", clients=5, rounds=1)
    assert "Flooding: when each holder" in captions(at) and "2^-40" in captions(at)
    assert "Demonstration" not in captions(at) and "no majority" not in captions(at)


def test_a_key_that_each_client_holds_is_not_marked(app):
    at = run_on(app, "keys", clients=3, rounds=1)
    assert "looding" not in captions(at) and "no majority" not in captions(at)


@pytest.mark.parametrize("name", SCHEMES)
def test_the_rings_bits_never_stand_alone_in_the_list_of_presets(name):
    label = _scheme_label(name)
    flooded = getattr(key_preset(PRESETS[name], USUAL), "flood_bits", 0)
    assert ("flooding 2^-" in label) == bool(flooded)
    assert ("demonstration flooding" in label) == getattr(PRESETS[name], "demonstration", False)


def test_more_clients_than_a_preset_carries_get_a_sentence_and_no_traceback(app):
    at = run_on(app, "start", scheme="bfv-threshold-small", custody="2-of-900", clients=900, min_cohort=3)
    assert not at.exception


def test_training_with_a_clip_says_that_the_mean_is_checked(app):
    at = run_on(app, "training", rounds=1)
    at.toggle(key="lab:dp").set_value(True).run()
    assert "no longer than the clip of 1, plus rounding and noise" in captions(at)

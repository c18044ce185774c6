import ast

import pytest
from msgspec import UNSET

from hefl_core.app.comparison import Choice, Comparison
from hefl_core.app.session import Session, Sessions
from hefl_core.errors import RuntimeUnavailable
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment
from pages.parts.run_progress import _has_sent
from tests.gui.conftest import ROOT, run_on


def test_the_sidebar_is_one_experiment_in_the_url(app):
    app.run()
    assert not app.exception
    assert app.session_state["experiment"].clients == 5
    app.slider(key="w:clients").set_value(4).run()
    assert not app.exception
    assert app.session_state["experiment"].clients == 4
    assert app.query_params["clients"] == "4"


def test_the_url_is_the_experiment(app):
    wanted = Experiment(dataset="digits", scheme="paillier-packed", clients=4, custody="3-of-4", rounds=2, seed=11)
    for name, value in [pair.split("=") for pair in wanted.to_query().split("&")] + [("dataset", "digits")]:
        app.query_params[name] = value
    app.run()
    assert not app.exception
    assert app.session_state["experiment"] == wanted
    assert app.slider(key="w:threshold").value == 3


@pytest.mark.parametrize(
    "bad",
    [{"clients": "many"}, {"scheme": "rot13"}, {"clients": "1"}, {"dataset": "csv:/etc/hostname"}, {"rounds": "-1"}],
)
def test_a_bad_url_brings_a_message_and_the_default(app, bad):
    app.query_params.update(bad)
    app.run()
    assert not app.exception
    assert app.error
    assert app.session_state["experiment"].dataset == "breast_cancer"


def test_presenter_mode_keeps_the_experiment(app):
    app.run()
    app.slider(key="w:clients").set_value(6).run()
    app.button(key="presenter-on").click().run()
    assert not app.exception and not len(app.sidebar)
    assert app.query_params["presenter"] == "1"
    app.button(key="presenter-off").click().run()
    assert app.slider(key="w:clients").value == 6


def test_settings_that_do_not_go_together_leave_the_last_good_ones(app):
    app.query_params.update({"dp_noise": "1", "clip_norm": "1"})
    app.run()
    app.selectbox(key="w:scheme").set_value("bfv-compact").run()
    assert not app.exception
    assert app.error and "dp_noise" in app.error[0].value
    assert app.session_state["experiment"].scheme == "bfv-lean"
    assert "belongs to the last that go together" in app.warning[0].value
    app.selectbox(key="w:scheme").set_value("paillier-packed").run()
    assert not app.error and not app.warning


def test_bits_are_chosen_where_the_scheme_packs_and_forgotten_where_it_does_not(app):
    app.run()
    app.selectbox(key="w:bits").set_value(3).run()
    assert not app.exception and not app.error
    assert app.query_params["bits"] == "3" and app.session_state["experiment"].rotated
    app.selectbox(key="w:scheme").set_value("ckks-lean").run()
    assert not app.exception and not app.error
    assert app.session_state["experiment"].bits is UNSET and "bits" not in app.query_params


def test_settings_that_are_always_refused_are_not_offered(app):
    app.query_params.update({"scheme": "bfv-threshold", "custody": "3-of-4", "clients": "4"})
    app.run()
    assert app.slider(key="w:clients").min == 3 and app.slider(key="w:threshold").max == 3
    app.slider(key="w:clients").set_value(3).run()
    assert not app.error and app.session_state["experiment"].quorum.threshold == 2
    assert app.selectbox(key="w:min_cohort").options == ["auto", "2", "3"]
    app.selectbox(key="w:min_cohort").select_index(1).run()
    assert not app.error and any("INSECURE" in item.value for item in app.sidebar.markdown)
    app.slider(key="w:clients").set_value(2).run()
    assert not app.error and app.session_state["experiment"].clients == 2


def test_an_insecure_experiment_says_so(app):
    app.query_params.update({"scheme": "plaintext"})
    app.run()
    assert any("INSECURE" in item.value for item in app.sidebar.markdown)


def test_a_session_drains_a_run():
    session = Session()
    session.start(Experiment(clients=3, rounds=1), "local")
    assert session.wait(30)
    assert session.error is None and session.result is not None
    assert session.result.transcript.sent == session.run.transcript.sent


def test_a_cancelled_run_has_no_result():
    session = Session()
    session.start(Experiment(clients=3, rounds=500), "local")
    session.cancel()
    assert session.wait(30)
    assert session.result is None and session.error is None and session.cancelled


def test_an_error_is_kept_for_the_screen():
    session = Session()
    session.start(Experiment(clients=3, rounds=1, bound=1e-9), "local")
    assert session.wait(30)
    assert session.error is not None and session.result is None


def test_sessions_past_the_limit_wait_in_the_order_of_their_arrival():
    sessions = Sessions(limit=2)
    first, second, third, fourth = (sessions.open() for _ in range(4))
    assert [sessions.number(one) for one in (first, second, third, fourth)] == [0, 0, 1, 2] and len(sessions) == 2
    sessions.close(first)
    assert [sessions.number(one) for one in (second, third, fourth)] == [0, 0, 1]
    fifth = sessions.open()
    sessions.leave_queue(fourth)
    assert sessions.number(fifth) == 1 and sessions.number(fourth) == 2
    sessions.leave_queue(second)
    assert sessions.number(second) == 0
    with pytest.raises(RuntimeUnavailable, match="closed"):
        first.start(Experiment(clients=3, rounds=1))
    assert sessions.number(first) == 0 and sessions.number(fourth) == 2


def test_a_stopped_run_has_something_to_show_once_it_sent_something():
    session = Session()
    session.start(Experiment(clients=3, rounds=500), "local")
    while not _has_sent(session.run):
        session.wait(0.05)
    session.cancel()
    assert session.wait(60) and session.cancelled and _has_sent(session.run)
    assert not _has_sent(Run(Experiment(clients=3, rounds=1), "local"))


def test_curves_of_older_settings_say_so(app):
    at = run_on(app, "training", clients=3, rounds=2)
    at.session_state["comparison"] = Comparison(at.session_state["experiment"], Choice((), False, False))
    at.run()
    assert not at.warning and not at.exception
    at.toggle(key="lab:dp").set_value(True).run()
    assert "belongs to older settings" in at.warning[0].value and "dp_noise" in at.warning[0].value


def test_numbers_to_play_with_are_there_after_a_look_at_another_page(app):
    at = run_on(app, "inside")
    at.number_input(key="hand:p").set_value(17).run()
    at.switch_page("pages/costs.py").run()
    at.switch_page("pages/inside.py").run()
    assert at.number_input(key="hand:p").value == 17


def test_a_language_is_a_file(app, tmp_path, monkeypatch):
    """A compiled catalogue changes the words on screen; nothing else does."""
    from gettext import GNUTranslations

    from pages.parts import i18n

    class Ticking(GNUTranslations):
        def __init__(self):
            self._catalog, self._fallback = {}, None

        def gettext(self, message):
            return message + " ✓"

    monkeypatch.setattr(i18n, "_translation", lambda language: Ticking())
    app.run()
    assert not app.exception
    assert app.slider(key="w:clients").label == "Clients ✓"


@pytest.mark.parametrize("page", ["attack", "costs", "one_round", "your_data"])
def test_what_explains_a_constant_in_a_page_is_not_on_the_screen(app, page):
    """Streamlit writes a string that stands alone in a script; pages, and app.py, have such strings after their constants."""
    sources = [(ROOT / name).read_text(encoding="utf-8") for name in ("app.py", f"pages/{page}.py")]
    strings = [node.value.value for source in sources for node in ast.parse(source).body if is_string(node)]
    assert len(strings) > 2
    drawn = {block.value for block in run_on(app, page, clients=3, rounds=1).markdown}
    assert not drawn & set(strings)


def is_string(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

"""Addresses: the open tab, the walks and their stops, each with the words that it promises."""

from dataclasses import replace

import pytest
from google.protobuf import text_format

from hefl_core.teaching import walks
from hefl_core.teaching.walks import CLASS, WALKS, find_walk
from hefl_core.terms.experiment import Experiment
from pages.parts import frame
from tests.gui.conftest import settled


def opened(app, page, **query):
    """A page as the browser opens it: with its query, in the first run."""
    for name, value in query.items():
        app.query_params[name] = str(value)
    app.switch_page(f"pages/{page}.py").run()
    return settled(app)


@pytest.mark.parametrize(
    ("page", "tab", "label"),
    [
        ("lessons", "glossary", "Glossary"),
        ("inside", "choose-parameters", "Choose parameters"),
        ("limits", "wrong-use", "Wrong use"),
        ("attack", "more-clients-larger-batches", "More clients, larger batches"),
    ],
)
def test_the_address_opens_a_tab(app, page, tab, label):
    at = opened(app, page, tab=tab)
    assert at.session_state[f"{page}:tab"] == label
    at.run()
    assert at.query_params["tab"] == tab


def test_an_unknown_tab_opens_the_first(app):
    at = opened(app, "lessons", tab="nowhere")
    at.run()
    assert at.query_params["tab"] == "course"


def test_the_tab_of_one_page_is_not_that_of_another(app):
    at = opened(app, "costs", tab="glossary")
    at.query_params.clear()  # as the browser does when a page is chosen
    at.switch_page("pages/lessons.py").run()
    at.run()
    assert at.query_params["tab"] == "course"
    at.session_state["lessons:tab"] = "Role play"
    at.run()
    at.query_params.clear()
    at.switch_page("pages/costs.py").run()
    at.run()
    assert "tab" not in at.query_params


def test_a_tab_has_one_name_in_every_language(app):
    at = opened(app, "lessons", tab="role-play", language="de")
    assert at.session_state["lessons:tab"] == "Rollenspiel"
    at.run()
    assert at.query_params["tab"] == "role-play"
    assert frame.tab_name("Who was in the data?") == "who-was-in-the-data"


# -- walks ---------------------------------------------------------------------------------------------------------

STOPS = [
    pytest.param(walk, number, id=f"{walk.name}-{number}") for walk in WALKS for number in range(1, len(walk.stops) + 1)
]


def on_screen(block):
    """Every text that is sent to the browser: widgets, pictures and components too."""
    told = text_format.MessageToString(block.proto, as_utf8=True).replace("\\'", "'") if block.proto is not None else ""
    return told + " ".join(on_screen(child) for child in getattr(block, "children", {}).values())


@pytest.mark.parametrize(("walk", "number"), STOPS)
def test_a_stop_opens_with_what_it_promises(app, walk, number):
    stop = walk.at(number)
    app.query_params.update({"walk": walk.name, "stop": str(number)})
    app.run()  # the bare address leads to the stop's page
    settled(app).run()
    assert not app.exception and not app.error
    assert app.session_state["page"] == stop.page
    assert app.session_state["experiment"] == walk.experiment
    assert frame_of(app) == (walk.audience, walk.presenter, walk.patient)
    assert app.query_params == {"walk": walk.name, "stop": str(number)}, "nothing differs from the stop"
    said = on_screen(app.main)
    assert [words for words in (*stop.promises, stop.ask) if words not in said] == []


def frame_of(app):
    return tuple(app.session_state[name] for name in ("audience", "presenter", "record"))


def test_a_promise_that_the_screen_does_not_keep_is_found(app, monkeypatch):
    """The control: one word more, and one tab that is closed."""
    bold = replace(CLASS, stops=(replace(CLASS.at(5), promises=("unbreakable",), tab="collusion"),))
    monkeypatch.setattr(walks, "WALKS", (bold,))
    app.query_params.update({"walk": "class", "stop": "1"})
    app.run()
    app.run()
    said = on_screen(app.main)
    assert "unbreakable" not in said and CLASS.at(5).promises[1] not in said


def test_next_and_back_walk_the_stops_in_one_session(app):
    app.query_params.update({"walk": "class", "stop": "3"})
    app.run()
    run = app.session_state["experiment"]
    app.button(key="stop-after").click().run()
    assert (app.session_state["stop"], app.session_state["seat"], app.session_state["cursor"]) == (4, "coordinator", 14)
    app.button(key="stop-after").click().run()
    assert app.session_state["page"] == "limits" and app.session_state["limits:tab"] == "The sum itself"
    app.button(key="stop-before").click().run()
    assert app.session_state["page"] == "one_round" and app.session_state["cursor"] == 14
    assert app.session_state["experiment"] == run and not app.exception
    app.button(key="stop-before").click().run()
    assert not app.button(key="stop-before").disabled and app.session_state["stop"] == 3


def test_what_differs_from_a_stop_is_in_the_address(app):
    at = opened(app, "one_round", walk="class", stop="4", cursor="0", seat="observer", presenter="0", clients="4")
    at.run()
    wanted = {"walk": "class", "stop": "4", "cursor": "0", "seat": "observer", "presenter": "0", "clients": "4"}
    assert at.query_params == wanted
    at.button(key="walk-off").click().run()
    assert "walk" not in at.query_params and at.query_params["clients"] == "4"


@pytest.mark.parametrize("query", [{"walk": "parade"}, {"walk": "class", "stop": "99"}, {"walk": "class", "stop": "x"}])
def test_a_walk_that_is_not_there_is_said_and_a_stop_that_is_not_is_the_nearest(app, query):
    app.query_params.update(query)
    app.run()
    assert not app.exception
    if find_walk(query["walk"]) is None:
        assert "walk: expected one of class, thesis, stakeholder, found 'parade'" in app.error[0].value
    else:
        assert app.session_state["stop"] in (1, len(CLASS.stops)) and not app.error


def test_a_walk_has_one_experiment_and_its_queries_are_experiments():
    for walk in WALKS:
        for number in range(1, len(walk.stops) + 1):
            query = walk.query(number)
            fields = {name: value for name, value in query.items() if name in frame._FIELDS}
            assert Experiment._from_fields(fields, strict=False) == walk.experiment


# -- predictions ---------------------------------------------------------------------------------------------------


def answers(at):
    return [button for button in at.button if str(button.key).startswith("predict:")]


def verdicts(at):
    return [block.value for block in at.markdown if "Right:" in block.value or "Not quite" in block.value]


def step_to(at, cursor):
    at.session_state["cursor"] = cursor
    at.session_state["jump"] += 1
    settled(at.run())


def test_a_prediction_is_kept_locked_revealed_by_the_step_and_counted(app):
    at = opened(app, "one_round", clients=3, rounds=1, cursor=13)
    at.run()
    asked = answers(at)
    assert [button.label for button in asked] == ["nothing", "the sum, no single update", "every update"]
    asked[0].click().run()
    assert not answers(at), "an answer is not taken back"
    assert any("You said: **nothing**" in block.value for block in at.markdown) and not verdicts(at)
    at.query_params.clear()
    at.switch_page("pages/limits.py").run()
    answers(at)[0].click().run()
    assert any("Not quite: **all of it**" in said for said in verdicts(at))
    at.query_params.clear()
    settled(at.switch_page("pages/one_round.py").run())
    step_to(at, 14)
    assert any("Right: **nothing**. From its messages it can read 0 of 3" in said for said in verdicts(at))
    step_to(at, 18)
    assert any("Predictions: 1 of 2 right" in block.value for block in at.markdown)


def test_a_step_without_an_answer_shows_it_and_counts_nothing(app):
    at = opened(app, "one_round", clients=3, rounds=1, cursor=14)
    at.run()
    assert any(":material/lightbulb: **nothing**" in block.value for block in at.markdown) and not answers(at)
    assert not at.session_state["predictions"]


def test_on_its_walk_a_class_predicts_before_it_sees_what_the_seats_compute(app):
    app.query_params.update({"walk": "class", "stop": "2"})
    app.run()
    app.run()
    shown = on_screen(app.main)
    assert "This is the record itself" in shown and "A blind guess names 1 in 100" not in shown
    answers(app)[2].click().run()
    shown = on_screen(app.main)
    assert "A blind guess names 1 in 100" in shown and "This is the record itself" not in shown


def test_who_comes_without_a_walk_sees_what_the_seats_compute_at_once(app):
    at = opened(app, "attack", dataset="breast_cancer")
    at.run()
    assert answers(at) and "A blind guess names 1 in 100" in on_screen(at.main)


def test_questions_of_a_page_come_one_after_the_other(app):
    at = opened(app, "limits")
    at.run()
    assert {button.key.split(":")[1] for button in answers(at)} == {"two-clients"}
    answers(at)[2].click().run()
    assert {button.key.split(":")[1] for button in answers(at)} == {"longer-key"}


def test_only_a_class_is_asked(app):
    at = opened(app, "one_round", clients=3, rounds=1, cursor=13, audience="thesis")
    at.run()
    assert not answers(at)

"""Addresses: the open tab, the walks and their stops, each with the words that it promises."""

import pytest

from pages.parts import frame


def opened(app, page, **query):
    """A page as the browser opens it: with its query, in the first run."""
    for name, value in query.items():
        app.query_params[name] = str(value)
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception, app.exception
    return app


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

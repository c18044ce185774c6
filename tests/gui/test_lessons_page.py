"""The Lessons page without a browser: right and wrong answers, hints, progress, running, links, glossary."""

import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from hefl_core.teaching import lessons
from hefl_core.teaching.glossary import TERMS, meaning
from tests.gui.conftest import run_on


def test_answers_hints_and_progress(app):
    at = run_on(app, "lessons")
    solved = lambda: at.get("progress")[0].proto.text  # noqa: E731
    assert "0 of" in solved()
    at.number_input(key="answer:01.1").set_value(10).run()
    assert any("too small" in error.value for error in at.error) and "0 of" in solved()
    at.number_input(key="answer:01.1").set_value(lessons.exercise("01.1").right).run()
    assert not at.error and at.success and "1 of" in solved()
    at.button(key="hint:01.2").click().run()
    assert any(lessons.exercise("01.2").hints[0] in caption.value for caption in at.caption)
    at.switch_page("pages/report.py").run()
    at.switch_page("pages/lessons.py").run()
    assert "1 of" in solved(), "progress is kept when one leaves the page"


def test_a_lesson_runs_in_the_page(app):
    at = run_on(app, "lessons")
    last = max(number for number, cell in enumerate(lessons.read("01").cells) if not (cell.markdown or cell.exercise))
    at.button(key=f"run:{lessons.names()[0]}:{last}").click().run()
    assert not at.exception and not at.error
    assert any("parameters: 2410" in block.value for block in at.code)
    assert at.get("plotly_chart")


def test_every_lesson_draws_and_its_links_stay_in_the_application(app):
    at = run_on(app, "lessons")
    for name in lessons.names():
        at.selectbox(key="course-choice").set_value(name).run()
        assert not at.exception and not at.error, name
        assert not any("localhost" in block.value for block in at.markdown)


LINKS = {
    name: re.findall(
        r"\]\(http://localhost:8501/([^)]+)\)", "".join(c.source for c in lessons.read(name).cells if c.markdown)
    )
    for name in lessons.names()
}


def test_every_lesson_has_a_link_into_the_application():
    assert all(LINKS.values())


@pytest.mark.parametrize("link", sorted({link for links in LINKS.values() for link in links}))
def test_the_link_of_a_lesson_opens_its_page_in_the_stated_state(app, link):
    """The page draws, and every parameter of the link is the screen's; the browser test clicks on one of them."""
    asked = urlsplit(link)
    at = run_on(app, asked.path or "start", **dict(parse_qsl(asked.query, strict_parsing=True)))
    assert at.session_state["url-error"] is None
    for name, value in parse_qsl(asked.query):
        found = getattr(at.session_state["experiment"], name, None)
        assert str(at.session_state[name] if found is None else found) == value, name


def test_glossary():
    names = [term.name.casefold() for term in TERMS]
    assert len(TERMS) >= 40 and names == sorted(set(names))
    for term in TERMS:
        assert term.sentence.endswith(".") and ". " not in term.sentence and term.link.startswith("https://")
        assert meaning(term.name) == term.sentence

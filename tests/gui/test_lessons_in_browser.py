"""One lesson in a real browser: answered wrongly, then rightly, run to its end, and its link followed."""

from urllib.parse import parse_qs, urlsplit

import pytest

from benchmarks.browser import ARGUMENTS, CHROMIUM, serving
from hefl_core.teaching import lessons
from hefl_core.teaching.exercise import Choice, Number
from tests.gui.conftest import PATIENCE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def page():
    playwright = pytest.importorskip("playwright.sync_api")
    with serving(HEFL_RUNTIME="local") as address, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(1000 * PATIENCE)
        opened = context.new_page()
        opened.goto(f"{address}/lessons")
        yield opened
        browser.close()


def answer(page, ask, value):
    box = page.locator(f".st-key-exercise-{ask.name.replace('.', '-')}")
    if isinstance(ask, Choice):
        box.get_by_text(ask.options[value], exact=True).click()
    else:
        field = box.locator("input")
        field.fill(f"{value:.10g}")
        field.press("Enter")
    return box


def test_a_lesson_from_its_first_question_to_its_link(page):
    lesson = lessons.read("01")
    asked = [ask for ask in lesson.exercises if isinstance(ask, Choice | Number)]
    progress = page.locator("[data-testid=stProgress]").first
    for done, ask in enumerate(asked):
        right = ask.right
        wrong = (right + 1) % len(ask.options) if isinstance(ask, Choice) else right + 1
        answer(page, ask, wrong).get_by_text("not this one" if isinstance(ask, Choice) else "too large").wait_for()
        assert f"{done} of {len(lesson.exercises)}" in progress.inner_text()
        answer(page, ask, right).get_by_text(ask.why).wait_for()
        progress.get_by_text(f"{done + 1} of {len(lesson.exercises)}").wait_for()
    page.get_by_role("button", name="Run to here").last.click()
    page.locator(".js-plotly-plot").nth(2).wait_for()
    assert not page.locator("[data-testid=stException], [data-testid=stAlertContentError]").count()
    with page.context.expect_page() as opening:
        page.get_by_role("link", name="the same story on one patient's record").click()
    opening.value.wait_for_selector("h1")
    opening.value.get_by_text("Radius of the cell nuclei").first.wait_for()
    assert not opening.value.get_by_text("Page not found").count()
    with page.context.expect_page() as opening:
        page.get_by_role("link", name="watch an encrypted round").click()
    followed = opening.value
    followed.wait_for_selector("h1")
    found = urlsplit(followed.url)
    assert found.path == "/one_round" and found.hostname == "127.0.0.1"
    assert parse_qs(found.query)["dataset"] == ["digits"]
    assert parse_qs(found.query)["scheme"] == ["bfv-lean"]
    chosen = "e => e.outerHTML + [...e.querySelectorAll('input')].map(i => i.value)"
    followed.locator(".st-key-w-dataset input").first.wait_for(state="attached")
    assert "digits" in followed.locator(".st-key-w-dataset").evaluate(chosen)

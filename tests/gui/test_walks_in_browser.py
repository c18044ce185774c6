"""The address in a real browser: one entry of its history per page, tabs in the address, and the walks above the fold."""

import pytest

from benchmarks.browser import ARGUMENTS, CHROMIUM, serving
from tests.gui.conftest import PATIENCE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def address():
    with serving(HEFL_RUNTIME="local", HEFL_MAX_SESSIONS="20") as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(1000 * PATIENCE)
    yield context.new_page()
    context.close()


def says(page, *parts):
    """Until the address has these parts."""
    for part in parts:
        page.wait_for_function("part => location.href.includes(part)", arg=part)


def test_back_leads_to_the_page_before_however_many_steps_were_taken(page, address):
    page.goto(f"{address}/one_round?clients=3&rounds=1")
    page.wait_for_selector("table.know")
    entries = page.evaluate("history.length")
    for number in range(1, 5):
        page.keyboard.press("ArrowRight")
        says(page, f"cursor={number}")
    assert page.evaluate("history.length") == entries
    page.get_by_role("link", name="Lessons").click()
    says(page, "/lessons", "tab=course")
    page.get_by_role("tab", name="Glossary").click()
    says(page, "tab=glossary")
    assert page.evaluate("history.length") == entries + 1
    page.go_back()
    says(page, "/one_round", "cursor=4")
    page.wait_for_selector(".stepper[data-position='4']")
    page.go_forward()
    says(page, "/lessons", "tab=glossary")
    page.wait_for_selector("[role=tab][aria-selected=true]:has-text('Glossary')")
    page.reload()
    page.wait_for_selector("[role=tab][aria-selected=true]:has-text('Glossary')")


def test_only_what_stays_on_the_page_replaces_its_entry(page, address):
    """The controls: another page gets an entry, and without ours the browser adds one for each change of the query."""
    page.goto(f"{address}/lessons")
    page.wait_for_function("Object.hasOwn(history, 'pushState')")
    pushed = "url => { const before = history.length; history.pushState({}, '', url); return history.length - before; }"
    assert page.evaluate(pushed, "?a=1") == 0
    assert page.evaluate(pushed, "/costs") == 1
    page.evaluate("delete history.pushState")
    assert page.evaluate(pushed, "?a=2") == 1

"""The address in a real browser: one entry of its history per page, tabs in the address, and the walks above the fold."""

import pytest

from benchmarks.browser import ARGUMENTS, CHROMIUM, serving
from hefl_core.teaching.walks import WALKS
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


WATCHED = """() => { window.heflSeen = new Set(); new MutationObserver(() => {
  const links = document.querySelectorAll('[data-testid=stSidebarNav] a');
  for (const link of links) window.heflSeen.add(link.innerText.split('\\n').at(-1));
}).observe(document, { childList: true, subtree: true, characterData: true }); }"""
"""Remembers every name that the navigation ever shows."""


@pytest.mark.parametrize("path", ["", "keys"])
def test_the_first_visitor_of_a_server_never_sees_file_names(browser, path):
    context = browser.new_context()
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.add_init_script(f"({WATCHED})()")
    with serving(HEFL_RUNTIME="local") as fresh:
        page.goto(f"{fresh}/{path}")
        page.wait_for_selector("h1")
        seen = set(page.evaluate("[...window.heflSeen]"))
    context.close()
    assert {"Keys", "Live class", "One round"} <= seen and not seen & {
        "app",
        "start",
        "live class",
        "one round",
        "keys",
    }


VISIBLE = """([words, height]) => {
  const texts = root => [...root.querySelectorAll('*')].flatMap(one => [
    ...(one.shadowRoot ? texts(one.shadowRoot) : []),
    ...([...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && one.checkVisibility() &&
        one.getBoundingClientRect().height && one.getBoundingClientRect().bottom <= height
        ? [(one.innerText ?? one.textContent).replace(/\\s+/g, ' ')] : [])]);
  const said = texts(document.body);
  return words.filter(word => !said.some(text => text.includes(word)));
}"""
"""The words that no element shows above ``height`` pixels."""


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1280, 720)])
def test_a_walk_shows_above_the_fold_what_it_promises(browser, address, walk, width, height):
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.goto(f"{address}/?walk={walk.name}&stop=1")
    for number, stop in enumerate(walk.stops, start=1):
        page.get_by_text(stop.ask).first.wait_for()
        words = [*stop.promises, stop.ask, f"{number} / {len(walk.stops)}"]
        page.wait_for_function(f"args => ({VISIBLE})(args).length === 0", arg=[words, height])
        assert page.evaluate(VISIBLE, [["unbreakable"], height]) == ["unbreakable"]
        assert not page.locator("[data-testid=stException], [data-testid=stAlertContentError]").count()
        if number < len(walk.stops):
            page.locator(".st-key-stop-after button").click()
    assert page.evaluate(VISIBLE, [[walk.at(1).ask], height]), "the first stop is not on the screen any more"
    context.close()


def test_left_and_right_step_while_a_seat_has_the_focus_and_both_sides_agree(page, address):
    page.goto(f"{address}/one_round?clients=3&rounds=1&cursor=13&language=de")
    page.wait_for_function("document.documentElement.lang === 'de'")
    page.goto(f"{address}/one_round?clients=3&rounds=1&cursor=13")
    page.locator("[class*='st-key-question-'] button", has_text="nothing").first.click()
    page.get_by_text("You said:").wait_for()
    seat = page.get_by_role("radio", name="Coordinator", exact=True)
    seat.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".stepper[data-position='14']")
    assert page.get_by_role("radio", name="Everything (observer)").get_attribute("aria-checked") == "true"
    page.wait_for_selector(".st-key-follows:not([data-behind]) [data-shown='14']", state="attached")
    page.get_by_text("Right: nothing").wait_for()
    page.evaluate("document.querySelector('.shown').dataset.shown = 3")
    page.wait_for_selector(".st-key-follows[data-behind]")  # a side that lags is dimmed

"""WCAG 2.2 AA, as axe sees it: every page, light and dark, English and German, wide and on a phone; and the keyboard alone.

docs/accessibility.md lists what Streamlit's own markup lacks and where it is mended; a test fails when that is no longer needed.
"""

from itertools import pairwise

import pytest

from benchmarks.browser import ARGUMENTS, CHROMIUM, serving
from tests.gui.conftest import PATIENCE, ROOT

axe = pytest.importorskip("axe_playwright_python.base", exc_type=ImportError)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SMALL = "clients=3&rounds=1"
MENDED = {"navigation": {"list", "listitem"}, "upload": {"presentation-role-conflict"}}
"""By repair of access.js, the rules that Streamlit breaks without it."""


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
    context = browser.new_context(viewport=WIDE, reduced_motion="reduce")
    context.set_default_timeout(1000 * PATIENCE)
    yield context.new_page()
    context.close()


def settled(page):
    """Until nothing runs and nothing has been drawn for a moment."""
    page.wait_for_function(
        """() => {
          const running = "[data-testid=stStatusWidget], [data-testid=stSpinner], .st-key-stop-run, .st-key-lab-stop";
          const busy = document.querySelector(`${running}, [data-stale=true]`);  // what waits to be redrawn is faded
          const now = document.querySelectorAll("*").length, before = window.heflCount;
          window.heflCount = busy ? 0 : now;
          return !busy && now === before;
        }""",
        polling=250,
    )


def shown_as(page, scheme, viewport):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size(viewport)
    settled(page)
    nav = "[data-testid=stSidebarNavItems]"  # mended a moment after it was drawn
    page.wait_for_function(
        "open => !document.querySelector(open)", arg=f"{nav}:not([data-mended]), {nav} li:not([data-mended])"
    )


def go(page, name):
    """To another page of the same session, by the navigation."""
    page.locator(
        f"[data-testid=stSidebarNav] a[href$='/{name}'], [data-testid=stSidebarNav] a[href*='/{name}?']"
    ).click()
    page.wait_for_function("name => location.pathname.includes(name)", arg=name)
    page.locator("h1").wait_for()
    settled(page)


def broken(page):
    """The rules that axe finds broken, each with its first elements."""
    page.evaluate("source => { if (!window.axe) (0, eval)(source); }", axe.AXE_SCRIPT)
    found = page.evaluate("tags => axe.run({runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})", RULES)
    return {
        one["id"]: [
            f"{node['target']}: {node['html'][:160]}: {node['failureSummary'][:200]}" for node in one["nodes"][:4]
        ]
        for one in found["violations"]
    }


def every_page():
    names = sorted(path.stem for path in (ROOT / "pages").glob("*.py") if path.stem != "__init__")
    return sorted(names, key=lambda name: name != "start")  # where a session begins


VIEWS = {"en": [("light", WIDE), ("dark", PHONE)], "de": [("dark", WIDE), ("light", PHONE)]}
"""Each theme with each width and with each language: what axe looks at differs by pair."""


@pytest.mark.parametrize("language", VIEWS)
def test_axe_finds_nothing_on_any_page(page, address, language):
    page.goto(f"{address}/?{SMALL}&language={language}")
    page.locator("h1").wait_for()
    settled(page)
    found = {}
    for name in every_page():
        if name != "start":
            go(page, name)
        for scheme, viewport in VIEWS[language]:
            shown_as(page, scheme, viewport)
            page.wait_for_function("language => document.documentElement.lang === language", arg=language)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name}: wider than the screen"
            if wrong := broken(page):
                found[f"{name}, {scheme}, {viewport['width']}"] = wrong
        page.set_viewport_size(WIDE)
    assert not found


def test_each_repair_is_still_needed_and_axe_sees_what_is_broken(page, address):
    """The control: without our repairs axe finds what Streamlit's markup lacks. What it no longer finds is to be removed."""
    page.goto(f"{address}/your_data?{SMALL}")
    page.get_by_test_id("stFileUploaderDropzone").wait_for()
    settled(page)
    page.wait_for_selector("[data-mended=upload]")
    assert not broken(page)
    page.evaluate(
        """() => {
          window[Symbol.for("hefl.access")].off = true;
          for (const one of document.querySelectorAll("[data-mended]")) {
            one.removeAttribute("role");
            if (one.dataset.mended === "upload") one.setAttribute("role", "presentation");
          }
        }"""
    )
    assert set(broken(page)) == set().union(*MENDED.values())


def focused(page, selector, presses=80):
    """Press Tab until the focus is in ``selector``."""
    for _ in range(presses):
        page.keyboard.press("Tab")
        if page.evaluate(
            """selector => {
              let at = document.activeElement;
              while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
              return Boolean(at?.closest(selector) ?? at?.getRootNode().host?.closest(selector));
            }""",
            selector,
        ):
            return
    raise AssertionError(f"{presses} presses of Tab do not reach {selector}")


def test_start_one_round_and_the_attack_lab_by_keyboard_alone(page, address):
    page.goto(f"{address}/?{SMALL}&dataset=breast_cancer")
    page.wait_for_selector(".board[data-scene='0']")
    settled(page)
    assert page.locator(".board .play").inner_text().startswith("▶"), "plays by itself in spite of reduced motion"
    for scene in range(1, 6):
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(f".board[data-scene='{scene}']")
    focused(page, "[class*=st-key-patient] [role=radio]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.wait_for_function("location.search.includes('patient=1')")
    settled(page)
    focused(page, ".st-key-go-round button")
    page.keyboard.press("Enter")
    page.wait_for_selector("table.know")
    settled(page)
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".stepper[data-position='1']")
    focused(page, ".stepper .head")
    page.keyboard.press("Enter")
    page.wait_for_function("location.search.includes('seat=')")
    settled(page)
    page.goto(f"{address}/attack?{SMALL}&scheme=bfv-lean&dataset=digits")
    page.get_by_text("plain FL (reads the update)").first.wait_for()
    settled(page)
    focused(page, "[role=tab]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_role("tabpanel").get_by_text("no better than guessing").first.wait_for()


def test_twice_the_size_loses_nothing(page, address):
    """200 % zoom halves the page's width in CSS pixels: nothing is cut off, no lane's name covers another's."""
    page.goto(f"{address}/one_round?{SMALL}&cursor=11")
    page.wait_for_selector(".stepper .caption")
    page.wait_for_selector("table.know")
    for width, height in ((720, 450), (640, 360)):
        page.set_viewport_size({"width": width, "height": height})
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        names = page.locator(".stepper .head .label").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect()).map(box => [box.left, box.right])"
        )
        assert all(before[1] <= after[0] + 1 for before, after in pairwise(names)), names
        columns = page.locator("table.know th").evaluate_all(
            "all => all.map(one => [one.innerText, one.scrollWidth - one.clientWidth])"
        )
        assert not [name for name, over in columns if over > 1], columns

"""The hostile texts in a real browser: what its own Markdown renderer makes of them."""

from urllib.parse import quote

import pytest

from benchmarks.browser import ARGUMENTS, CHROMIUM, serving
from hefl_core.federation.outside import MAX_TEXT
from hefl_core.federation.record.transcript_zip import pack
from tests.gui.hostile_texts import TEXTS, noted, table

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
MORE_THAN_TEXT = """() => [...document.querySelectorAll(
  '[data-testid=stAlert] a, [data-testid=stAlert] img, img[src*=evil], [href*=evil]:not([href^="#"]),'
  + ' [data-testid=stAlert] .katex, [data-testid=stAlert] h1, [data-testid=stAlert] li, [data-testid=stAlert] table,'
  + ' [data-testid=stAlert] pre, [class*=stMarkdownColored], [class*=stMarkdownBadge], [role=img]')]
  .filter(one => one.matches('[href*=evil]:not([href^="#"]), [src*=evil]') || /evil/.test(one.textContent + (one.ariaLabel ?? '')))
  .map(one => one.outerHTML)"""


@pytest.fixture(scope="module")
def address():
    with serving(HEFL_RUNTIME="local", HEFL_MAX_SESSIONS="40") as found:
        yield found


@pytest.fixture(scope="module")
def context():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        made = opened.new_context(viewport={"width": 1440, "height": 900})
        made.set_default_timeout(60_000)
        yield made
        opened.close()


@pytest.fixture
def page(context):
    opened = context.new_page()
    opened.asked = []
    opened.on("request", lambda request: opened.asked.append(request.url))
    yield opened
    opened.close()


def assert_only_text(page):
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')")
    assert page.evaluate(MORE_THAN_TEXT) == []
    assert not [url for url in page.asked if "evil.invalid" in url.split("?")[0]]


@pytest.mark.parametrize("text", ["  ".join(TEXTS[at : at + 4]) for at in range(0, 17, 4)], ids=range(5))
def test_a_url_is_quoted_in_the_red_box(page, address, text):
    page.goto(f"{address}/system?scheme={quote(text)}")
    page.locator("[data-testid=stAlert]", has_text="evil").first.wait_for()
    assert_only_text(page)


def test_the_look_at_the_page_sees_links_pictures_and_the_rest(page, address):
    """The control: the same look at what a page without the helper would show."""
    page.goto(f"{address}/system?custody=x")
    page.locator("[data-testid=stAlert]").first.wait_for()
    page.evaluate(
        """() => document.querySelector('[data-testid=stAlert] p').innerHTML =
        '<a href="http://x.invalid">evil</a><img alt="x" src="data:evil"><span class="katex">evil</span><h1>evil</h1>'"""
    )
    assert len(page.evaluate(MORE_THAN_TEXT)) == 4


def test_an_uploaded_record_and_table_are_quoted(page, address, small_run, tmp_path):
    record = tmp_path / "[evil](http:..evil.invalid).zip"
    record.write_bytes(
        pack(noted(small_run.transcript, [text for text in TEXTS if text.isprintable() and len(text) < MAX_TEXT]))
    )
    page.goto(f"{address}/one_round?clients=3&rounds=1")
    page.wait_for_selector(".stepper .caption")
    page.set_input_files("input[type=file]", record)
    page.wait_for_selector("text=its end is missing")
    page.keyboard.press("End")
    page.wait_for_selector(f"h2:has-text('{len(small_run.transcript.sent)}. ')")
    page.wait_for_selector("text=was left out")
    assert_only_text(page)
    for place, text in (("a", TEXTS[0]), (TEXTS[3][:80], "x"), (TEXTS[7][:80], TEXTS[0])):
        given = tmp_path / f"{TEXTS[0].replace('/', '.')}.csv"
        given.write_bytes(table(place, text))
        page.goto(f"{address}/your_data?clients=3&rounds=1")
        page.set_input_files("input[type=file]", given)
        page.get_by_text("rows to train on").wait_for()
        page.get_by_text("Who has which labels").click()
        page.locator(".legendtext").first.wait_for()
        assert_only_text(page)
        assert not page.locator(".js-plotly-plot a").count()

"""The wall in a real browser: the teacher asks in one window, the projector shows another and goes on by a key."""

import re

import pytest

from benchmarks.browser import CHROMIUM, serving
from tests.gui.test_browser import browser, new_context  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def address():
    with serving(HEFL_RUNTIME="local") as found:
        yield found


def test_the_projector_goes_on_by_the_arrow_key(browser, address):  # noqa: F811
    desk, wall = (new_context(browser).new_page() for _ in range(2))
    desk.goto(f"{address}/live_class")
    desk.get_by_role("combobox", name="Address of this computer").click()
    desk.get_by_role("option", name=re.compile(r"^127\.0\.0\.1")).click()
    desk.get_by_role("spinbutton", name="Port").fill("0")
    desk.get_by_role("spinbutton", name="Port").press("Enter")
    desk.get_by_text("no phone can join").wait_for()
    desk.get_by_role("button", name="Open the class").click()
    desk.get_by_text("Phones join").wait_for()
    desk.get_by_text("Seats, names, files").click()
    desk.get_by_role("button", name="Seat them").click()
    desk.get_by_text("Seats: 3.").wait_for()
    wall.goto(f"{address}/live_class?presenter=1")
    wall.get_by_text("Phones join").wait_for()
    desk.get_by_role("button", name="Ask", exact=True).click()
    wall.get_by_text("Ciphertexts here: 3 of 3").wait_for()
    for button, following in (("Add up", "The sum, still encrypted"), ("Have it opened", "The sum, opened")):
        wall.get_by_role("button", name=button).wait_for()
        wall.keyboard.press("ArrowRight")
        wall.get_by_text(following).wait_for()
    assert not wall.get_by_text("Close the class").count()
    desk.get_by_role("button", name="Close the class").click()
    desk.get_by_text("its port listens no more").wait_for()
    for page in (desk, wall):
        page.context.close()

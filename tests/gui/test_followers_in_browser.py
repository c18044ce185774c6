"""A leader and three followers in a real browser: each step of the leader is on the followers' screens."""

import pytest

from benchmarks.browser import CHROMIUM, serving
from tests.gui.test_browser import browser, new_context  # noqa: F401 - a fixture

RUN = "dataset=breast_cancer&scheme=bfv-lean&rounds=1&model=logistic&clients=3"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def test_followers_see_each_step_and_the_seat_of_the_leader(browser):  # noqa: F811
    with serving(HEFL_RUNTIME="local", HEFL_MAX_SESSIONS="1") as address:
        pages = [new_context(browser).new_page() for _ in range(4)]
        leader, *followers = pages
        for page in followers:
            page.goto(f"{address}/one_round?follow=1")
            page.get_by_text("Nobody shows a run").wait_for()
        leader.goto(f"{address}/one_round?{RUN}")
        leader.wait_for_selector(".stepper .caption")
        leader.get_by_text("Let others follow").click()
        for step in range(1, 4):
            leader.keyboard.press("ArrowRight")
            for page in followers:
                page.wait_for_selector(f".stepper.led[data-position='{step}']")
                page.locator("[data-led] h2", has_text=f"{step}. ").wait_for()
        leader.get_by_role("radio", name="Auditor", exact=True).click()
        for page in followers:
            page.locator(".stepper.led .head.mine", has_text="Auditor").wait_for()
        alone = followers[0]
        alone.get_by_text("At my own pace").click()
        alone.wait_for_selector(".stepper:not(.led)[data-position='3']")
        alone.keyboard.press("ArrowRight")
        alone.wait_for_selector(".stepper[data-position='4']")
        assert followers[1].locator(".stepper").get_attribute("data-position") == "3"
        leader.context.close()  # the server notices in its own time that a visitor has left
        followers[1].get_by_text("Nobody shows a run").wait_for()
        for page in followers:
            page.context.close()

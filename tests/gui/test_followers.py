"""Many look at one run: who leads, what followers get, who waits."""

import json
import threading
import urllib.request

import pytest
import uvicorn
from starlette.applications import Starlette

from hefl_core.app import led_routes
from hefl_core.app.led_routes import Following
from hefl_core.app.led_run import LED_RUN, LedRun, Screen
from hefl_core.app.session import SESSIONS, Session
from hefl_core.errors import RuntimeUnavailable
from hefl_core.terms.experiment import Experiment
from pages.parts.frame import _release
from tests.gui.conftest import PATIENCE, run_on
from tests.security.canary import hits, needles, secrets_of

FOLLOWERS = 30


@pytest.fixture(autouse=True)
def nobody_leads():
    yield
    if LED_RUN.session is not None:
        LED_RUN.end(LED_RUN.session)


def test_one_leads_and_what_others_show_goes_to_nobody():
    led, first, second = LedRun(), Session(), Session()
    told = []
    led.listen(lambda: told.append(led.screen))
    led.show(first, b"{}", 1, "early")
    assert led.screen == Screen() and not told
    led.lead(first)
    with pytest.raises(RuntimeUnavailable, match="another session"):
        led.lead(second)
    led.show(second, b"{}", 2, "foreign")
    led.show(first, b"{}", 3, "mine")
    led.show(first, b"{}", 4, "mine")
    led.show(first, b'{"other": 1}', 4, "mine")
    assert [(one.number, one.cursor) for one in told] == [(1, 3), (1, 4), (2, 4)]
    led.end(second)
    assert led.session is first
    led.end(first)
    assert led.screen == Screen() and led.session is None
    led.lead(second)
    led.show(second, b"{}", 0, "")
    assert led.screen.number == 3, "a follower that saw the run before must fetch this one"


def test_a_session_that_closes_leads_no_more():
    mine = SESSIONS.open()
    LED_RUN.lead(mine)
    _release(mine)
    assert LED_RUN.session is None and mine.closed


@pytest.fixture
def followed():
    """A led run behind the two routes, on loopback: (the run, its address)."""
    led = LedRun()
    config = uvicorn.Config(
        Starlette(routes=Following(led).routes()), port=0, log_level="error", timeout_graceful_shutdown=1
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield led, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(PATIENCE)


def heard(stream):
    """What the next event says."""
    while not (line := stream.readline()).startswith(b"data: "):
        assert line, "the stream ended"
    return json.loads(line[6:])


def test_thirty_followers_hear_every_step_and_fetch_the_run_once(followed, monkeypatch):
    led, address = followed
    monkeypatch.setattr(led_routes, "MOST_FOLLOWERS", FOLLOWERS)
    streams = [urllib.request.urlopen(f"{address}/follow/events", timeout=PATIENCE) for _ in range(FOLLOWERS)]
    assert [heard(one) for one in streams] == [{"scene": 0, "cursor": 0, "pane": ""}] * FOLLOWERS
    with pytest.raises(urllib.error.HTTPError, match="429"):
        urllib.request.urlopen(f"{address}/follow/events", timeout=PATIENCE)
    leader = Session()
    led.lead(leader)
    for step in range(1, 4):
        led.show(leader, b'{"messages": []}', step, f"<p>{step}")
        assert [heard(one) for one in streams] == [{"scene": 1, "cursor": step, "pane": f"<p>{step}"}] * FOLLOWERS
    assert urllib.request.urlopen(f"{address}/follow/scene").read() == b'{"messages": []}'
    led.end(leader)
    assert {heard(one)["scene"] for one in streams} == {0}
    for one in streams:
        one.close()


def test_only_a_leader_shows_its_screen_and_the_screen_has_no_key(app):
    run_on(
        app, "one_round", clients=3, rounds=1, scheme="bfv-lean", model="logistic", dataset="breast_cancer", cursor=4
    )
    assert LED_RUN.screen == Screen()
    app.toggle(key="lead").set_value(True).run()
    assert not app.exception
    screen = LED_RUN.screen
    assert screen.cursor == 4 and json.loads(screen.scene)["messages"] and "4. " in screen.pane
    wanted = needles(secrets_of(SESSIONS._open[0].run))
    assert not hits(screen.scene.decode() + screen.pane, wanted)
    app.toggle(key="lead").set_value(False).run()
    assert LED_RUN.screen == Screen()


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_follower_takes_no_place_and_walks_the_leaders_run_at_its_own_pace(app, monkeypatch, language):
    monkeypatch.setattr(SESSIONS, "limit", 0)
    leader = Session()
    run_on(app, "one_round", follow=1, language=language)
    waiting = list(SESSIONS._open)  # AppTest comes by the page that opens first
    SESSIONS.leave_queue(*waiting)
    assert not app.error
    leader.start(Experiment(clients=3, rounds=1, dataset="breast_cancer", scheme="bfv-lean"), "local")
    assert leader.wait(PATIENCE)
    LED_RUN.lead(leader)
    LED_RUN.show(leader, b"{}", 5, "")
    app.run()
    app.toggle(key="own-pace").set_value(True).run()
    assert not app.exception and app.session_state["cursor"] == 5 and not SESSIONS._open
    assert app.query_params["follow"] == "1"
    app.button(key="unfollow").click().run()
    assert not app.exception and SESSIONS.number(SESSIONS._open[0]) == 1
    leader.close()


def test_who_waits_may_follow_and_leaves_the_queue(app, monkeypatch):
    monkeypatch.setattr(SESSIONS, "limit", 0)
    run_on(app, "one_round")
    assert "number 1 in the queue" in app.info[0].value and len(SESSIONS._open) == 1
    assert not any(button.key == "follow-leader" for button in app.button)
    LED_RUN.lead(Session())
    app.run()
    app.button(key="follow-leader").click().run()
    assert not app.exception and not SESSIONS._open and app.query_params["follow"] == "1"

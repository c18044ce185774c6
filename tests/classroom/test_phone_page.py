"""Three phones in Chromium on a non-secure origin play a class: join, make a key, answer, open, train; then their screens."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from benchmarks.browser import ARGUMENTS, CHROMIUM
from hefl_core.classroom.custody import Held
from hefl_core.classroom.live_class import LiveClass, Settings
from hefl_core.classroom.page_files import page_files
from hefl_core.classroom.question import Question
from hefl_core.classroom.server import ClassServer
from hefl_core.classroom.teacher import Teacher
from hefl_core.schemes.quorum import Quorum

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
NAME = "class.test"
PATIENCE = 90_000
SHOTS = os.environ.get("HEFL_SHOTS")


class Class:
    """A class on loopback, reached under a name that browsers do not take for a secure origin."""

    def __init__(self, monkeypatch, held, cohort=3):
        self.live = LiveClass(Settings(held=held, seats=12, min_cohort=cohort))
        self.server = ClassServer(self.live, page_files(), "127.0.0.1")
        self.origin = f"http://{NAME}:{self.server.port}"
        monkeypatch.setattr(ClassServer, "host", property(lambda server: f"{NAME}:{server.port}"))
        self.teacher = Teacher(self.live)
        self.server.start()

    @property
    def url(self):
        return f"{self.origin}/#{self.live.seats.code}"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        rules = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, rules])
        yield opened
        opened.close()


@pytest.fixture
def opened(monkeypatch):
    made = []

    def open_class(held, **how):
        made.append(Class(monkeypatch, held, **how))
        return made[-1]

    yield open_class
    for one in made:
        one.server.stop()


class Phone:
    def __init__(self, browser, url, name, **context):
        self.context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, **context)
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.errors, self.loaded = [], {}
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda m: self.errors.append(m.text) if m.type == "error" and "favicon" not in m.location["url"] else None,
        )
        self.page.on("response", lambda r: self.loaded.setdefault(r.url.split("?")[0], r.headers.get("content-length")))
        self.page.goto(url)
        self.name = name
        self.german = context.get("locale", "en").startswith("de")

    def join(self):
        self.page.locator("#name").fill(self.name)
        self.press("Mitmachen" if self.german else "Join")
        return self

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).tap()

    def heading(self, text):
        self.page.get_by_role("heading", name=text, level=1).wait_for()

    def shot(self, name):
        if SHOTS:
            self.page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def until(holds):
    """Polls a state of the server; the limit is for a hang, not for speed."""
    end = time.monotonic() + PATIENCE / 1000
    while not holds():
        assert time.monotonic() < end, "the class did not get there"
        time.sleep(0.05)


def test_three_phones_play_a_class(browser, opened):
    room = opened(Held("dealer-free", Quorum(2, 3)))
    phones = [
        Phone(browser, room.url, "Anna"),
        Phone(browser, room.url, "Ben", color_scheme="dark"),
        Phone(browser, room.url, "Çağla", locale="de-DE", reduced_motion="reduce"),
    ]
    phones[0].shot("join")
    phones[1].shot("join_dark")
    assert phones[0].page.evaluate("[isSecureContext, typeof crypto.subtle]") == [False, "undefined"]
    for phone in phones:
        phone.join()
    phones[0].heading("You are in, Anna.")
    until(lambda: len(list(room.live.seats)) == 3)
    phones[0].shot("lobby")
    phones[2].shot("lobby_de")

    room.teacher.name_holders()
    aloud = []
    for phone in phones:
        phone.heading("Lies diese Zahl laut vor" if phone.german else "Read this number aloud")
        aloud.append(phone.page.locator(".aloud").inner_text())
    phones[0].shot("aloud")
    assert len(set(aloud)) == 1 and re.fullmatch(r"\d{4} \d{4}", aloud[0])
    for phone in phones:
        phone.press("Überall gleich" if phone.german else "The same everywhere")
    until(lambda: room.live.key.public is not None and room.live.phase == "lobby")
    phones[1].page.get_by_role("heading", name="Fingerprint of the key").first.wait_for()

    room.teacher.ask(
        [Question("Have you copied homework?", ("never", "once", "often")), Question("Hours of sleep?", (), 12)],
        predict=True,
    )
    phones[0].heading("What do you expect?")
    phones[0].page.get_by_text("once").tap()
    phones[0].page.get_by_label("Hours of sleep?").fill("8")
    phones[0].shot("predict")
    phones[0].press("Send my prediction")
    phones[0].heading("Prediction sent. Talk to your neighbour.")
    room.teacher.begin_answers()
    for phone, choice, hours in zip(phones, ("never", "once", "once"), (8, 7, 6), strict=True):
        phone.heading("Deine geheime Antwort" if phone.german else "Your secret answer")
        button = "Verschlüsseln und senden" if phone.german else "Encrypt and send"
        phone.press(button)  # nothing chosen: it says so and sends nothing
        phone.page.get_by_role("alert").filter(has_text="Wähle" if phone.german else "Choose").wait_for()
        phone.page.get_by_text(choice).tap()
        phone.page.get_by_label("Hours of sleep?").fill(str(hours))
        phone.shot(f"question_{phone.name[0]}")
        phone.press(button)
        phone.heading("Verschlüsselt gesendet" if phone.german else "Sent, encrypted")
        phone.shot(f"sent_{phone.name[0]}")
    until(lambda: room.live.state().arrived == 3)
    shown = phones[0].page.locator("#digest").inner_text().replace(" ", "")
    room.teacher.add_up()
    phones[0].heading("The answers are being added")
    room.teacher.open_sum()
    assert shown in {member.digest for member in room.live.state().opening.members}
    for phone in phones[:2]:
        phone.heading("Open the sum?")
        phone.page.get_by_text("Checked: your own answer is in it").wait_for()
        phone.shot(f"opening_{phone.name[0]}")
        phone.press("Yes, open")
    for phone in phones:
        phone.heading("Das Ergebnis" if phone.german else "The result")
        phone.shot(f"result_{phone.name[0]}")
    assert room.live.state().result.questions[0].counts == (1, 2, 0) and room.live.state().result.questions[1].mean == 7
    assert phones[0].page.get_by_text("never: 1 of 3 (my answer)").is_visible()
    assert phones[0].page.get_by_text("once: 2 of 3 (my prediction)").is_visible()

    room.teacher.train(2)
    for phone in phones:
        phone.press("Trainieren, verschlüsseln, senden" if phone.german else "Train, encrypt and send")
    phones[0].heading("Open the sum?")
    for phone in phones[:2]:
        phone.press("Yes, open")
    for phone in phones:
        phone.heading("Das Ergebnis" if phone.german else "The result")
    assert room.live.state().result.accuracy > 0.8
    phones[0].shot("trained")

    with phones[0].page.expect_download() as download:
        phones[0].page.get_by_text("My answers", exact=True).tap()
        phones[0].press("Save my page as a file")
    saved = Path(download.value.path()).read_text(encoding="utf-8")
    assert "Have you copied homework? never" in saved and shown in saved
    phones[0].shot("answers")

    phones[0].page.reload()
    phones[0].heading("The result")
    assert phones[0].page.locator("#where").inner_text() == "Seat 1"
    room.teacher.close()
    for phone in phones:
        phone.heading("Die Klasse ist zu Ende" if phone.german else "The class has ended")
        assert phone.errors == []
    assert json.loads(phones[2].page.evaluate("localStorage.getItem('hefl-class')"))["name"] == "Çağla"

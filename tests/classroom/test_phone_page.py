"""Three phones in Chromium on a non-secure origin play a class: join, make a key, answer, open, train; then their screens."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from benchmarks.browser import ARGUMENTS, CHROMIUM
from hefl_core.classroom import bridge
from hefl_core.classroom.bots import Player
from hefl_core.classroom.custody import Held
from hefl_core.classroom.live_class import CLOSED, LiveClass, Settings
from hefl_core.classroom.page_files import page_files
from hefl_core.classroom.phone_client import PhoneClient
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

    def __init__(self, monkeypatch, held, *, cohort=3, name=NAME):
        self.live = LiveClass(Settings(held=held, seats=12, min_cohort=cohort))
        self.server = ClassServer(self.live, page_files(), "127.0.0.1")
        self.origin = f"http://{name}:{self.server.port}"
        monkeypatch.setattr(ClassServer, "host", property(lambda server: f"{name}:{server.port}"))
        self.players = []
        self.teacher = Teacher(self.live)
        self.server.start()

    @property
    def url(self):
        return f"{self.origin}/#{self.live.seats.code}"

    def seat(self, count):
        """Phones that are Python clients; they say yes to every opening."""
        for _ in range(count):
            client = PhoneClient("127.0.0.1", self.server.port)
            client.join(self.live.seats.code, "")
            self.players.append(Player(client))
            self.players[-1].start()
        until(lambda: all(self.live.present(one.client.seat) for one in self.players))

    def end(self):
        for player in self.players:
            player.stop()
        if self.live.phase != CLOSED:
            self.teacher.close()
        self.server.stop()


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
        one.end()


class Phone:
    def __init__(self, browser, url, name, **context):
        self.context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, **context)
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.errors, self.loaded = [], {}
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda m: (
                self.errors.append(f"{m.text} {m.location['url']}")
                if m.type == "error" and "favicon" not in m.location["url"]
                else None
            ),
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

    def choose(self, text):
        self.page.locator(".choice").filter(has_text=re.compile(f"^{re.escape(text)}$")).tap()

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


def all_here(room, phones):
    """A seat is taken a moment before its phone is seen to be there."""
    until(lambda: sum(room.live.present(seat.number) for seat in room.live.seats) == phones)


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
    all_here(room, 3)
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
    phones[0].choose("once")
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
        phone.choose(choice)
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

    room.teacher.ask_volunteer(1)
    phones[2].heading("Ein Update ohne Verschlüsselung")
    phones[0].heading("Will you be the volunteer?")
    phones[0].shot("volunteer")
    assert not room.live.leak.read
    phones[0].press("Send it without encryption")
    until(lambda: room.live.leak.read)
    assert room.live.leak.same == 30 and room.live.leak.read_label == room.live.leak.label
    phones[0].page.get_by_text("what one division makes of your plain update").wait_for()

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


def test_a_dealt_share_is_handed_out_once_and_a_loaded_page_says_so(browser, opened):
    """A browser and two Python phones hold 2 of 3: both languages' answers open one sum. A reload keeps seat and answers,
    not the share; the two others still open.
    """
    room = opened(Held("dealt", Quorum(2, 3)), name="127.0.0.1")
    anna = Phone(browser, room.url, "Anna").join()
    anna.heading("You are in, Anna.")
    room.seat(2)
    for player in room.players[:1]:
        player._agrees = False  # so that the browser is one of the two that answer
    all_here(room, 3)
    room.teacher.name_holders()
    until(lambda: not room.live.key.undelivered)
    anna.page.get_by_role("heading", name="You hold share 1 of 3.").wait_for()
    anna.page.get_by_text("The teacher's computer dealt the key and says that it deleted it.").wait_for()
    anna.shot("lobby_holder")
    for yes in (True, False):
        room.teacher.ask([Question("Tea or coffee?", ("tea", "coffee"))])
        anna.heading("Your secret answer")
        anna.choose("coffee")
        anna.press("Encrypt and send")
        anna.heading("Sent, encrypted")
        until(lambda: room.live.state().arrived == 3)
        room.teacher.add_up()
        anna.heading("The answers are being added")
        room.teacher.open_sum()
        anna.heading("Open the sum?")
        if yes:
            anna.page.get_by_text("Checked: your own answer is in it").wait_for()
            anna.press("Yes, open")
        anna.heading("The result")
        assert sum(room.live.state().result.counts) == 3 and room.live.state().result.counts[1] >= 1
        if yes:
            anna.page.reload()
            anna.heading("The result")
            until(lambda: room.live.present(1))
            for player in room.players:
                player._agrees = True
    anna.page.get_by_text("My answers", exact=True).tap()
    assert anna.page.locator("#answers_head li").count() == 2 and anna.page.locator("#where").inner_text() == "Seat 1"
    room.teacher.ask([Question("Again?", ("yes", "no"))])
    anna.choose("no")
    anna.press("Encrypt and send")
    anna.page.get_by_text("your share was lost with the old one").wait_for()
    # Another class at this address: its first question is new to this phone, whatever the browser remembers.
    anna.page.evaluate(
        "const kept = JSON.parse(localStorage.getItem('hefl-class')); kept.token = 'gone'; "
        "localStorage.setItem('hefl-class', JSON.stringify(kept))"
    )
    anna.page.reload()
    anna.join()
    anna.heading("Your secret answer")
    assert anna.page.locator("#answers_head li").count() == 0
    assert anna.errors == [e for e in anna.errors if "409" in e or "401" in e]  # the share asked for twice, the token


MEASURED = """() => {
  const seen = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility());
  const texts = seen.filter((one) => [...one.childNodes].some((part) => part.nodeType === 3 && part.textContent.trim()));
  const targets = seen.filter((one) => one.matches("button, summary, .choice, input:not([type=radio])"));
  return {
    smallest: Math.min(...texts.map((one) => parseFloat(getComputedStyle(one).fontSize))),
    targets: targets.map((one) => { const box = one.getBoundingClientRect(); return [one.tagName, box.width, box.height]; }),
    nameless: seen.filter((one) => one.matches("input") && !one.labels.length).length,
    wide: document.documentElement.scrollWidth,
    headings: seen.filter((one) => one.tagName === "H1").length,
    submit: document.querySelector("button[type=submit]")?.getBoundingClientRect().bottom,
  };
}"""


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_the_page_fits_a_hand_and_little_is_loaded(browser, opened, locale):
    """Letters of 16 px, targets of 44, a name for every field, nothing wider than the phone, a heading per screen, and at
    most 600 kB before the key; the button to send is within reach.
    """
    room = opened(Held(), name="127.0.0.1")
    phone = Phone(browser, room.url, "Ben", locale=locale)
    screens = [phone.page.evaluate(MEASURED)]
    phone.join()
    phone.heading("Du bist dabei, Ben." if phone.german else "You are in, Ben.")
    screens.append(phone.page.evaluate(MEASURED))
    room.seat(2)
    room.teacher.ask([Question("Have you ever copied homework from a neighbour?", ("never", "once", "often"))])
    phone.heading("Deine geheime Antwort" if phone.german else "Your secret answer")
    screens.append(phone.page.evaluate(MEASURED))
    phone.choose("often")
    phone.press("Verschlüsseln und senden" if phone.german else "Encrypt and send")
    phone.heading("Verschlüsselt gesendet" if phone.german else "Sent, encrypted")
    screens.append(phone.page.evaluate(MEASURED))
    for found in screens:
        assert found["smallest"] >= 16 and found["wide"] <= 390 and found["headings"] == 1 and found["nameless"] == 0
        assert all(min(size) >= 44 for _, *size in found["targets"])
    assert screens[2]["submit"] <= 844
    sizes = {url: int(size or 0) for url, size in phone.loaded.items() if not url.endswith("/key")}
    assert f"{room.origin}/web/worker.js" in sizes and 50_000 < sum(sizes.values()) < 600_000
    assert all(url.startswith(room.origin) for url in phone.loaded)


def altering(change):
    return lambda route: route.fulfill(body=change(route.fetch().body()))


def test_a_phone_says_why_it_refuses_and_offers_no_yes(browser, opened):
    """The sum is said to hold one answer less, or another phone's instead of mine; the control of the next question passes."""
    room = opened(Held("dealt", Quorum(2, 3)), name="127.0.0.1")
    anna = Phone(browser, room.url, "Anna").join()
    anna.heading("You are in, Anna.")
    room.seat(3)
    room.players[0]._agrees = False  # one yes and one no: the browser's word decides
    room.teacher.name_holders()
    until(lambda: not room.live.key.undelivered)
    size = bridge.upload_nbytes(room.live.settings.held.scheme.preset) // 2
    faults = (
        (lambda found: found[size:], "expected at least 3 answers, found 3; it stays closed"),
        (lambda found: found[size:] + found[-size:], "my own answer is not in it|one answer is in it twice"),
        (lambda found: found, ""),
    )
    for change, words in faults:
        anna.page.route("**/addends/*", altering(change))
        room.teacher.ask([Question("Tea or coffee?", ("tea", "coffee"))])
        anna.choose("coffee")
        anna.press("Encrypt and send")
        anna.heading("Sent, encrypted")
        until(lambda: room.live.state().arrived == 4)
        room.teacher.add_up()
        room.teacher.open_sum()
        anna.heading("Open the sum?")
        said = "This phone refuses to open it" if words else "Checked: your own answer is in it"
        anna.page.get_by_text(said).wait_for()
        assert re.search(words, anna.page.locator("main").inner_text())
        assert anna.page.get_by_role("button", name="Yes, open").count() == (0 if words else 1)
        anna.shot(f"refused_{bool(words)}")
        anna.press("No")
        until(lambda: room.live.phase != "opening")
        assert room.live.state().result is None
        anna.page.unroute("**/addends/*")

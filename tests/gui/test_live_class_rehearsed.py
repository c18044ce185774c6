"""The forty minutes of docs/teaching.md, row by row: what stands there in italics is pressed, what is quoted is asked.

Three phones are browsers, four are Python clients; five of them come to hold the key.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.browser import CHROMIUM, serving
from hefl_core.classroom.bots import Player
from hefl_core.classroom.phone_client import PhoneClient
from hefl_core.classroom.verify import verify_class
from tests.classroom.test_phone_page import Phone
from tests.gui.conftest import ROOT
from tests.gui.test_browser import browser, new_context  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
PATIENCE_MS = 300_000
OTHERS = 4


def rows():
    """Minutes, and of what the teacher does the words in italics and in quotes, in their order."""
    text = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    section = text[text.index("## 40 minutes: a live class") :].split("\n## ")[0]
    found = {}
    for line in section.splitlines():
        if re.match(r"\| \d", line):
            minutes, you = (cell.strip() for cell in line.replace(r"\|", "¦").split("|")[1:3])
            found[minutes] = [a or b.replace("¦", "|") for a, b in re.findall(r"\*([^*]+)\*|`([^`]+)`", you)]
    return found


class Rehearsal:
    """The teacher's window and the phones of the class that is open."""

    def __init__(self, chromium, desk, folder):
        self.chromium, self.desk, self.folder = chromium, desk, folder
        self.phones, self.players, self.files = [], [], {}

    def do(self, word):
        """One of the words of a row."""
        if "|" in word:
            self.desk.get_by_role("textbox", name="Questions, one a line").fill(word)
        elif word == "Dealt":
            self.desk.get_by_text(re.compile("^Dealt:")).click()
            self.desk.get_by_text("no phone can join").wait_for()
        elif word == "Predict first":
            self.desk.get_by_text("Predict first", exact=True).click()
        elif word in ("Record of the class", "Counts as CSV"):
            with self.desk.expect_download() as download:
                self.desk.get_by_role("button", name=word).click()
            self.files[word] = self.folder / download.value.suggested_filename
            download.value.save_as(self.files[word])
        elif not word.startswith("hefl "):
            self.desk.get_by_role("button", name=re.compile(rf"^{word}\b")).click()

    def choose_address(self):
        self.desk.get_by_role("combobox", name="Address of this computer").click()
        self.desk.get_by_role("option", name=re.compile(r"^127\.0\.0\.1")).click()
        self.desk.get_by_role("spinbutton", name="Port").fill("0")
        self.desk.get_by_role("spinbutton", name="Port").press("Enter")
        self.desk.get_by_text("no phone can join").wait_for()

    def join(self):
        """All come by the address on the wall."""
        self.desk.get_by_text("Phones join").wait_for()
        said = self.desk.locator("[data-testid=stMain]").inner_text()
        port, self.code = re.search(r"127\.0\.0\.1:(\d+)\s+([A-Z0-9]{6})\b", said).groups()
        self.leave()
        self.port = int(port)
        url = f"http://127.0.0.1:{port}/#{self.code}"
        self.phones = [Phone(self.chromium, url, name).join() for name in ("Anna", "Ben", "Chris")]
        for phone in self.phones:
            phone.heading(f"You are in, {phone.name}.")
        self.players = [self.other() for _ in range(OTHERS)]
        self.desk.get_by_text(f"Seats: {3 + OTHERS}.").wait_for()

    def other(self):
        client = PhoneClient("127.0.0.1", self.port)
        client.join(self.code, "")
        player = Player(client)
        player.start()
        return player

    def leave(self):
        for phone in self.phones:
            phone.context.close()
        for player in self.players:
            player.stop()

    def answer(self, choice):
        for phone in self.phones:
            phone.heading("Your secret answer")
            phone.choose(choice)
            phone.press("Encrypt and send")
            phone.heading("Sent, encrypted")
        self.desk.get_by_text(f"Ciphertexts here: {3 + OTHERS} of {3 + OTHERS}").wait_for()
        digest = self.phones[0].page.locator("#digest").inner_text().replace(" ", "")
        return digest

    def open_sum(self):
        """Two Python clients hold shares too, and say yes at once: with the first phone they are three of five."""
        self._decide(self.phones[:1], "Yes, open")

    def refuse(self):
        """Three of five say no."""
        self._decide(self.phones, "No")

    def _decide(self, phones, word):
        for phone in phones:
            phone.heading("Open the sum?")
            phone.page.get_by_text("Checked: your own answer is in it").wait_for()
            phone.press(word)


def test_the_forty_minutes_of_the_guide(browser, tmp_path):  # noqa: F811
    guide = rows()
    assert list(guide) == ["0-5", "5-12", "12-15", "15-23", "23-26", "26-30", "30-38", "38-40"]
    with serving(HEFL_RUNTIME="local") as address:
        desk = new_context(browser, accept_downloads=True).new_page()
        desk.set_default_timeout(PATIENCE_MS)
        desk.goto(f"{address}/live_class")
        class_ = Rehearsal(browser, desk, tmp_path)
        try:
            played(class_, guide)
        finally:
            class_.leave()
    record, table = class_.files["Record of the class"], class_.files["Counts as CSV"]
    verdict = verify_class(record)
    assert (verdict.seats, verdict.bots, verdict.opened, verdict.dropped) == (4 + OTHERS, 0, 6, 1)
    assert "Have you ever copied homework?,no," in table.read_text()
    *_, command = guide["38-40"]
    done = subprocess.run(
        [sys.executable, "-m", "hefl_core", *command.split()[1:]], cwd=tmp_path, capture_output=True, text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"},
    )  # fmt: skip
    assert done.returncode == 0 and "6 opened again from the holders' parts" in done.stdout, done
    assert Path(command.split()[-1]).name == record.name


def played(class_, guide):
    """Row by row; between the teacher's words the phones do what the row says of them."""
    desk = class_.desk
    class_.choose_address()
    (begin,) = guide["0-5"]
    class_.do(begin)
    class_.join()
    desk.get_by_text("It could read every single answer").wait_for()

    question, ask, add, opened = guide["5-12"]
    class_.do(question)
    class_.do(ask)
    digest = class_.answer("coffee")
    desk.get_by_text(digest).wait_for()
    class_.do(add)
    desk.get_by_text("The sum, still encrypted").wait_for()
    class_.do(opened)
    for phone in class_.phones:
        phone.heading("The result")

    close, dealt, begin, hand = guide["12-15"]
    class_.do(close)
    desk.get_by_text("its port listens no more").wait_for()
    class_.choose_address()
    class_.do(dealt)
    class_.do(begin)
    class_.join()
    class_.do(hand)
    for index, phone in enumerate(class_.phones, 1):
        phone.page.get_by_role("heading", name=f"You hold share {index} of 5.").wait_for()
    desk.get_by_text("Shares that are still on this computer").wait_for(state="detached")

    question, predict, ask, begin, add, opened = guide["15-23"]
    for word in (question, predict, ask):
        class_.do(word)
    for phone in class_.phones:
        phone.heading("What do you expect?")
        phone.choose("yes")
        phone.press("Send my prediction")
        phone.heading("Prediction sent. Talk to your neighbour.")
    for word, following in ((begin, "Answer, encrypted"), (add, "The sum, still encrypted"), (opened, "Open the sum?")):
        class_.do(word)
        desk.get_by_text(following).wait_for()
        if word == begin:
            class_.answer("no")
    class_.open_sum()
    for phone in class_.phones:
        phone.heading("The result")
        phone.page.get_by_text("(my answer)").wait_for()
    desk.get_by_text("Predicted, in this order").wait_for()

    assert guide["23-26"] == []
    desk.get_by_text("(+2, −1)").wait_for()

    ask, begin, add, opened = guide["26-30"]
    class_.do(ask)
    desk.get_by_text("Predict first: what will the sum say?").wait_for()
    class_.do(begin)
    class_.answer("yes")
    class_.do(add)
    desk.get_by_text("The sum, still encrypted").wait_for()
    class_.do(opened)
    class_.refuse()
    desk.get_by_text("3 of 5 holders said no").wait_for()

    volunteer, train = guide["30-38"]
    class_.do(volunteer)
    class_.phones[0].heading("Will you be the volunteer?")
    class_.phones[0].press("Send it without encryption")
    desk.get_by_text("30 of 30 values of the patient").wait_for()
    if folder := os.environ.get("HEFL_SHOTS"):
        desk.screenshot(path=Path(folder) / "leak_wall.png", full_page=True)
    class_.do(train)
    for phone in class_.phones[:2]:
        phone.press("Train, encrypt and send")
    class_.phones.pop().context.close()
    class_.players.append(class_.other())
    class_.open_sum()
    desk.get_by_text("Round 5 of 5: accuracy of the model").wait_for()
    for phone in class_.phones:
        phone.heading("The result")
        phone.page.get_by_text("of unknown patients right").wait_for()

    close, record, table, _command = guide["38-40"]
    class_.do(close)
    for phone in class_.phones:
        phone.heading("The class has ended")
        # A sum that three others opened is over for a holder that still asks for it: 409.
        assert [error for error in phone.errors if not re.search(r"409 .*/(sum|addends)\b", error)] == []
    class_.do(record)
    class_.do(table)

"""The application in a real browser: keyboard, seats, reload, two sessions; the screen compared with the transcript."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.browser import ARGUMENTS, CHROMIUM, serving
from hefl_core.federation.record.transcript_zip import unpack
from hefl_core.figures.knowledge import knowledge, seats_of
from hefl_core.learning.pictures import packed
from tests.gui.conftest import PATIENCE
from tests.tables.kinds import KINDS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
SMALL = "clients=3&rounds=1"


@pytest.fixture(scope="module")
def address():
    with serving(HEFL_RUNTIME="local", HEFL_MAX_SESSIONS="12") as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


def new_context(browser, **options):
    """A visitor, as patient as the machine is busy."""
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    context.set_default_timeout(1000 * PATIENCE)
    return context


@pytest.fixture
def page(browser):
    context = new_context(browser, accept_downloads=True)
    yield context.new_page()
    context.close()


def settled(page):
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget], .st-key-stop-run')")
    assert not page.locator("[data-testid=stException]").count()


def walk(page, address, query=SMALL):
    page.goto(f"{address}/one_round?{query}")
    page.wait_for_selector(".stepper .caption")
    page.wait_for_selector("table.know")
    settled(page)


def position(page):
    return int(page.locator(".stepper").get_attribute("data-position"))


def count(page):
    return int(page.locator(".stepper .count").inner_text().split("/")[1])


def followed(page, number):
    """Until the views show this step."""
    page.wait_for_function(
        f"document.querySelector('[data-testid=stMain] .st-key-follows h2')?.innerText.startsWith('{number}. ')"
    )


def press(page, key, number):
    """Press and wait until the views have followed."""
    page.keyboard.press(key)
    followed(page, number)


def downloaded(page):
    page.get_by_text("Transcript: download").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download this transcript").click()
    return unpack(Path(waiting.value.path()).read_bytes())


def test_a_whole_round_by_keyboard_says_what_the_transcript_says(page, address):
    walk(page, address)
    page.keyboard.press("Home")
    said, cells = [], []
    for number in range(1, count(page) + 1):
        press(page, "ArrowRight", number)
        assert position(page) == number
        said.append(page.locator(".stepper .caption").inner_text())
        page.wait_for_function(f"document.querySelector('table.know')?.dataset.sent == '{number}'")
        cells.append(
            [
                cell.split("|")
                for cell in page.eval_on_selector_all("table.know td", "all => all.map(c => c.dataset.cell)")
            ]
        )
    transcript = downloaded(page)
    assert len(said) == len(transcript.sent)
    for text, sent in zip(said, transcript.sent, strict=True):
        assert f"{sent.nbytes:,} bytes" in text
    for number, shown in enumerate(cells, start=1):
        matrix = knowledge(transcript, number, seats_of(transcript))
        for seat, secret, state in shown:
            assert matrix.cell(seat, secret).state.value == state, (number, seat, secret)


def test_back_and_space(page, address):
    walk(page, address, SMALL + "&cursor=5")
    press(page, "ArrowLeft", 4)
    press(page, "PageDown", 5)
    page.keyboard.press("End")
    followed(page, count(page))
    page.keyboard.press("Home")
    page.wait_for_function("!document.querySelector('[data-testid=stMain] .st-key-follows h2')")
    page.keyboard.press("Space")
    page.wait_for_function("+new URLSearchParams(location.search).get('cursor') >= 2")
    page.keyboard.press("Space")


def test_switching_the_seat_redraws(page, address):
    walk(page, address, SMALL + "&cursor=11")
    page.wait_for_selector(".row.now [data-lock=ciphertext]", state="attached")
    page.get_by_role("radio", name="Client 2", exact=True).click()
    page.wait_for_selector("text=This seat never gets this message")
    page.wait_for_selector(".hx", state="detached")
    page.get_by_role("radio", name="Coordinator + client 2").click()
    page.wait_for_selector(".row.now [data-lock=opened]", state="attached")
    page.locator(".head", has_text="KMS").click()
    page.wait_for_function("location.search.includes('seat=kms')")
    settled(page)


def test_a_reload_finds_experiment_page_seat_and_cursor(page, address):
    walk(page, address, "dataset=digits&scheme=ckks-lean&clients=4&rounds=2")
    page.get_by_role("radio", name="Auditor").click()
    page.wait_for_function("location.search.includes('seat=auditor')")
    page.wait_for_selector(".head.mine")
    for number in range(1, 4):
        press(page, "ArrowRight", number)
    page.wait_for_function("location.search.includes('cursor=3') && location.search.includes('seat=auditor')")
    key = page.locator("table.know").count()
    page.reload()
    page.wait_for_selector(".stepper .caption")
    followed(page, 3)
    assert key and position(page) == 3
    assert "/one_round" in page.url
    assert page.get_by_role("radio", name="Auditor").get_attribute("aria-checked") == "true"
    page.wait_for_selector("text=keys and ciphertexts are new")
    for part in ("dataset=digits", "scheme=ckks-lean", "clients=4", "rounds=2"):
        assert part in page.url


def test_a_saved_transcript_is_walked(page, address, tmp_path):
    from hefl_core.federation.record.transcript_zip import pack

    walk(page, address)
    saved = downloaded(page)
    good, bad = tmp_path / "saved.zip", tmp_path / "bad.jsonl"
    good.write_bytes(pack(saved))
    bad.write_text("no transcript\n")
    page.set_input_files("input[type=file]", bad)
    page.wait_for_selector("text=not of this format")
    page.set_input_files("input[type=file]", good)
    page.wait_for_selector("text=You are walking a saved transcript")
    page.keyboard.press("ArrowRight")
    followed(page, 1)
    page.get_by_role("button", name="Back to the live run").click()
    page.wait_for_selector("text=You are walking a saved transcript", state="detached")


def test_rotate_and_steal(page, address):
    page.goto(f"{address}/keys?{SMALL}")
    page.wait_for_selector(".epoch")
    page.get_by_role("button", name="Rotate the key").click()
    page.wait_for_selector("[data-epoch='4']")
    page.get_by_role("button", name="Run a round").click()
    page.wait_for_selector("[data-epoch='1'] [data-round='1'][data-open='1']")
    page.wait_for_selector("[data-epoch='1'] [data-round='5'][data-open='0']", state="attached")
    page.wait_for_selector("[data-epoch='4'] [data-round='5'][data-open='1']", state="attached")
    page.get_by_role("radio", name="epoch 1").click()
    page.get_by_role("button", name="Client 1", exact=True).click()
    page.wait_for_selector("text=rounds 1, 2.")
    settled(page)


def test_two_sessions_share_nothing_and_a_third_one_waits_and_starts(browser):
    with serving(HEFL_RUNTIME="local", HEFL_MAX_SESSIONS="2") as address:
        contexts = [new_context(browser) for _ in range(3)]
        pages = [context.new_page() for context in contexts]
        transcripts = []
        for page, clients in zip(pages[:2], (3, 4), strict=True):
            walk(page, address, f"clients={clients}&rounds=1")
            transcripts.append(downloaded(page))
        first, second = transcripts
        assert (first.manifest.experiment.clients, second.manifest.experiment.clients) == (3, 4)
        assert not set(first.blobs) & set(second.blobs)
        pages[2].goto(f"{address}/one_round")
        pages[2].wait_for_selector("text=You are number 1 in the queue")
        contexts[0].close()  # the server notices in its own time that a visitor has left
        pages[2].wait_for_selector(".stepper .caption")
        for context in contexts[1:]:
            context.close()


@pytest.mark.parametrize("size", [(1440, 900), (1920, 1080)])
@pytest.mark.parametrize("look", ["light", "dark", "presenter"])
def test_pages_draw_without_an_exception(browser, address, size, look):
    viewport = {"width": size[0], "height": size[1]}
    context = new_context(browser, viewport=viewport, color_scheme="dark" if look == "dark" else "light")
    page = context.new_page()
    broken = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    for name, sign in (("start", ".board"), ("keys", ".epoch"), ("one_round", ".stepper .caption")):
        page.goto(f"{address}/{name}?{SMALL}&cursor=11" + ("&presenter=1" if look == "presenter" else ""))
        page.wait_for_selector(sign)
        settled(page)
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
        if look == "presenter":
            page.wait_for_function(
                "parseFloat(getComputedStyle(document.querySelector('[data-testid=stMain] p')).fontSize) >= 18"
            )
    assert not broken
    context.close()


def test_the_story_plays(page, address):
    page.goto(f"{address}/")
    page.wait_for_selector(".board[data-scene='0']")
    for scene in range(1, 6):
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(f".board[data-scene='{scene}']")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(".board[data-scene='4']")
    agree = re.search(r"(\d+) of 30 values agree", page.locator(".coordinator .under").inner_text())
    assert agree and int(agree[1]) < 15


def test_a_table_of_ones_own_is_uploaded_and_the_report_downloaded(page, address, tmp_path):
    table = tmp_path / "table.csv"
    rows = "".join(f"{i % 7},{i % 5},{'x' if i % 7 > 3 else 'y'}\n" for i in range(120))
    table.write_text(f"a,b,label\n{rows}")
    page.goto(f"{address}/your_data?{SMALL}")
    page.set_input_files("input[type=file]", str(table))
    page.get_by_text("96 rows to train on").wait_for()
    page.get_by_role("button", name="Train on it under encryption").click()
    page.get_by_text("coordinator-blind").first.wait_for()
    page.goto(f"{address}/report?{SMALL}")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Report (HTML)").click()
    html = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert "What was promised, and what the checks found" in html and "FAILS" not in html
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Evidence file (HTML)").click()
    kept = tmp_path / "evidence.html"
    shutil.copy(waiting.value.path(), kept)
    page.goto(kept.as_uri())
    page.wait_for_selector("#verdict[data-state=unpinned]")


def six_files(folder):
    """Six of the kinds that hospitals have, and what the page must say of each."""
    np.savez(folder / "ward.npz", X=np.arange(240.0).reshape(60, 4) % 7, y=np.arange(60) % 2)
    for at in range(40):
        place = folder / "scans" / ("dark", "light")[at % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 100 * (at % 2) + at).save(place / f"{at}.png")
    (folder / "scans.zip").write_bytes(packed(folder / "scans"))
    said = {
        "ward.npz": "48 rows to train on, 12 held out, 4 columns",
        "scans.zip": "64 columns, classes: dark, light",
    }
    for name, words in (
        ("semicolons and decimal commas", "39 rows to train on"),
        ("patient number", "different in each row"),
        ("label missing in rows", "2 missing ('NA') in line 5, 10"),
        ("missing as -999, undeclared", "far from all others"),
    ):
        (folder / f"{name}.csv").write_bytes(KINDS[name].content)
        said[f"{name}.csv"] = words
    return said


@pytest.mark.parametrize("width", [1440, 390])
def test_six_kinds_of_files_are_read_or_refused_on_your_data(browser, address, tmp_path, width):
    context = new_context(browser, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(f"{address}/your_data?{SMALL}")
    for name, words in six_files(tmp_path).items():
        page.set_input_files("input[type=file]", str(tmp_path / name))
        page.get_by_text(words).first.wait_for()
        settled(page)
        wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= width + 1, f"{name}: the page is {wide} px wide"
        if folder := os.environ.get("HEFL_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/your-data-{width}-{Path(name).stem.replace(' ', '-')}.png", full_page=True)
    context.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_three_hospitals_agree_on_where_a_measured_label_is_cut(browser, address, tmp_path, width):
    files = [tmp_path / f"ward {at}.csv" for at in range(3)]
    for at, path in enumerate(files):
        lines = (f"{20 + n % 17 + at};{n % 5},5;{'ja' if n % 3 else 'nein'};{100 + n}" for n in range(60))
        path.write_text("\n".join(["age;dose;smoker;systolic", *lines]))
    context = new_context(browser, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(f"{address}/your_data?{SMALL}")
    page.get_by_role("tab", name="One file for each hospital").click()
    page.get_by_text("0 of at least 3 files.").wait_for()
    page.get_by_role("tabpanel").locator("input[type=file]").set_input_files(list(map(str, files)))
    page.get_by_text("--label-above X").first.wait_for()
    page.get_by_text("How the files are read").click()
    page.get_by_label("Cut above").fill("120")
    page.get_by_label("Cut above").press("Enter")
    page.get_by_text("3 hospitals agreed on 3 features from 180 rows").first.wait_for()
    settled(page)
    page.get_by_text("The claims, checked on round zero").click()
    page.get_by_text("sums-confirmed").first.wait_for()
    wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    assert wide <= width + 1, f"the page is {wide} px wide"
    if folder := os.environ.get("HEFL_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/hospitals-{width}.png", full_page=True)
    context.close()


def exactly(found, number):
    """So many, once the last of them is there."""
    found.nth(number - 1).wait_for()
    assert found.count() == number


def open_tab(page, tab, said):
    """Click a tab and wait for what only its content says."""
    page.get_by_role("tab", name=tab, exact=True).click()
    page.get_by_role("tabpanel").get_by_text(said).first.wait_for()


def test_every_tab_of_the_attack_lab_is_clicked_through(page, address):
    page.goto(f"{address}/attack?{SMALL}&scheme=bfv-lean&dataset=digits")
    page.get_by_text("plain FL (reads the update)").first.wait_for()
    exactly(page.get_by_role("tab"), 7)
    for tab, said in (
        ("Your run", "no better than guessing"),
        ("A letter", "The whole letter"),
        ("A patient", "mean radius"),
        ("Search", "frames of the search"),
        ("Who was in the data?", "A coin has 0.50"),
        ("More clients, larger batches", "K = 32"),
    ):
        open_tab(page, tab, said)
    open_tab(page, "Search", "frames of the search")
    page.get_by_text("coordinator, ciphertext").click()
    page.get_by_text(re.compile(r"\b\d dB at the end")).wait_for()  # one digit: noise
    open_tab(page, "Your run", "no better than guessing")
    page.get_by_role("combobox", name="You are").click()
    page.get_by_role("option", name="Coordinator + client 1").click()
    page.get_by_text("their shares of the key").wait_for()
    page.get_by_role("tabpanel").get_by_text(re.compile("reads it|a hint")).nth(1).wait_for()
    assert not page.locator("[data-testid=stException]").count()


def test_every_tab_of_what_encryption_does_not_stop_is_clicked_through(page, address):
    page.goto(f"{address}/limits")
    page.get_by_text("have no remedy here").wait_for()
    exactly(page.get_by_role("tab"), 8)
    open_tab(page, "Collusion", "1 client and the coordinator open another's update")
    open_tab(page, "The sum itself", "found among 20")
    open_tab(page, "Key heist", "100% of the updates opened")
    page.get_by_text("Rotate the key after the answer").click()
    page.get_by_text("No update opened").wait_for()
    open_tab(page, "Tampering desk", "caught by")
    exactly(page.get_by_text("caught by"), 6)
    page.get_by_text("re-adding by the auditor", exact=True).click()
    page.get_by_text("tag", exact=True).click()
    page.get_by_text("nobody notices").first.wait_for()
    open_tab(page, "Wrong use", "Pixels told ink or no ink")
    open_tab(page, "A lying client", "refused by 0, applied in 2 rounds")
    open_tab(page, "Matrix", "Each cell holds the number")
    page.locator("[class*='limits-run-label-coordinator'] button").first.click()
    page.get_by_text("smallest corrected p-value").wait_for()
    assert not page.locator("[data-testid=stException]").count()


@pytest.mark.ray
def test_the_server_is_looked_into_while_the_visitor_watches(page):
    """On Ray: a run of separate processes, a look, what was planted found, a claim that speaks now."""
    with serving(HEFL_RUNTIME="ray") as address:
        page.goto(f"{address}/guarantees?clients=3&rounds=1")
        page.locator(".st-key-blind-look button").click()
        page.wait_for_selector(".st-key-blind-stop")
        page.wait_for_selector(".st-key-blind-test [data-testid=stMetric]")
        section = page.locator(".st-key-blind-test")
        assert "nothing found, by a test that finds" in section.inner_text()
        assert (
            "7 of 7" in section.inner_text()
            and "7 of 7" in page.locator(".st-key-claim-coordinator-memory").inner_text()
        )
        assert not page.locator("[data-testid=stException]").count()

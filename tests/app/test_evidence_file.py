"""One HTML file: small, with nothing from elsewhere, opened from a file in a browser, where it finds what ``hefl verify`` finds."""

import re
from urllib.parse import urlsplit

import pytest

from benchmarks.browser import ARGUMENTS, CHROMIUM
from hefl_core.app.evidence import file as evidence
from hefl_core.app.evidence.said import RUNNING, SAID
from hefl_core.errors import KeyUseError, ParameterError
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.transcript import Transcript, newest_roster
from hefl_core.federation.record.verify import pin_of
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment
from tests.app.evidence_runs import FORGERIES, RUNS, Checkers, finished, needs_node, parts, place, trusted

HOLDS, OPEN, BROKEN = "holds", "unpinned", "broken"
END = "#verdict:is([data-state=holds], [data-state=unpinned], [data-state=broken])"


@pytest.fixture(scope="module")
def default_run():
    run = Run(Experiment())
    for _ in run.steps():
        pass
    run.end_keys()
    return run.transcript


def test_the_default_run_fits_whole_and_needs_nothing_from_elsewhere(default_run):
    made = evidence.to_html(default_run)
    assert made.rounds is None and len(made.html.encode()) <= evidence.MOST_BYTES
    text = re.sub(r"(?s)<script type=\"text/plain\" id=\"record\">.*?</script>", "", made.html)
    assert not re.findall(r"https?:|//[a-z0-9.]+\.[a-z]{2,}/|<link|\bsrc=|\bhref=|@import|url\(", text)


def test_every_sentence_of_the_page_is_used():
    code = evidence.modules()["page.js"]
    assert all(re.search(rf'texts\.{name}\b|fill\("{name}"|m\.role', code) for name in RUNNING)
    assert len(set(SAID)) == len(SAID)


def test_the_modules_are_small_legible_and_import_earlier_ones_only():
    seen = []
    for name, text in evidence.modules().items():
        assert set(re.findall(r'from "\./(\w+)\.js"', text)) <= set(seen), name
        assert "</script" not in text and "innerHTML" not in text and "eval(" not in text
        assert len(text.encode()) < 40_000 and max(map(len, text.splitlines())) <= 170, name
        seen.append(name.removesuffix(".js"))


def test_a_run_whose_keys_live_gives_no_file():
    run = Run(RUNS["individual"], keep_keys=True)
    for _ in run.steps():
        pass
    with pytest.raises(KeyUseError):
        evidence.to_html(run.transcript)
    run.end_keys()
    with pytest.raises(ParameterError, match="expected some of 1 to 2, found 1, 3"):
        evidence.to_html(run.transcript, (1, 3))


def test_a_large_run_comes_with_the_rounds_that_fit(monkeypatch):
    transcript = finished("3-of-5").transcript
    whole = evidence.to_html(transcript)
    monkeypatch.setattr(evidence, "MOST_BYTES", len(whole.html.encode()) - 1)
    made = evidence.to_html(transcript)
    assert whole.rounds is None and made.rounds == (1, 2) and len(made.html) < len(whole.html)
    monkeypatch.setattr(evidence, "MOST_BYTES", len(evidence.to_html(transcript, (2,)).html.encode()) + 1000)
    assert evidence.to_html(transcript).rounds == (2,)


@needs_node
@pytest.mark.parametrize("name", ["individual", "3-of-5", "dealer-free"])
def test_a_sample_of_rounds_checks_all_but_what_it_left_out(name, tmp_path):
    """The sums of the sample are added again, the other one's members and followers are checked by headers."""
    checkers = Checkers(tmp_path)
    lines, blobs, transcript = parts(name)
    kept = evidence.kept_bodies(transcript, (2,))
    assert sum(map(len, kept.values())) < 0.7 * sum(map(len, blobs.values()))
    update, dropped = (
        next(s for s in transcript.sent if s.step == "update" and s.position.round == number) for number in (2, 1)
    )
    assert update.head.header.content_digest in kept and dropped.head.header.content_digest not in kept
    gone = {k: v for k, v in kept.items() if k != update.head.header.content_digest}
    records = [(name, lines, kept, transcript), (name, lines, gone, transcript)]
    records += [
        (name, *FORGERIES[kind](name), transcript) for kind in ("signed by another client", "ends early, signed by all")
    ]
    whole, without, *forged = checkers.javascript(records, sample=(2,))
    assert whole["broken"] is None and whole["added"] == [2] and whole["left"] > 0
    assert "is missing" in without["broken"]
    for verdict, record in zip(forged, records[2:], strict=True):
        assert place(verdict["broken"]) == place(checkers.python(record[1], record[2], *trusted(transcript)))


def test_what_a_seat_reads_is_the_knowledge_of_the_record():
    individual, plain = (evidence.to_html(t).html for t in (finished("individual").transcript, _plain()))
    assert "coordinator + client-2" in individual
    row = re.search(r"(?s)<th>update of client-1</th>(.*?)</tr>", individual)[1]
    assert row.startswith("<td>ciphertext only</td><td>reads it</td>") and '<td class="leak">can read it</td>' in row
    row = re.search(r"(?s)<th>update of client-1</th>(.*?)</tr>", plain)[1]
    assert row.startswith('<td class="leak">reads it</td>') and "INSECURE: plaintext" in plain


def _plain():
    run = Run(RUNS["individual"].but(scheme="plaintext"))
    for _ in run.steps():
        pass
    run.end_keys()
    return run.transcript


@pytest.fixture(scope="module")
def opened():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
class TestBrowser:
    """From a file: no server, and every request is watched."""

    @pytest.fixture
    def look(self, opened, tmp_path):
        context = opened.new_context()
        context.set_default_timeout(120_000)
        asked = set()
        context.on("request", lambda request: asked.add(request.url))

        def show(html):
            path = tmp_path / "run.html"
            path.write_text(html, encoding="utf-8")
            page = context.new_page()
            page.goto(path.as_uri())
            page.wait_for_selector(END)
            return page

        yield show
        assert {urlsplit(url).scheme for url in asked} == {"file", "blob"}
        assert len([url for url in asked if url.startswith("file")]) == 1
        context.close()

    @staticmethod
    def give(page, pin="", heads=""):
        page.fill("#pin", pin)
        page.fill("#heads", heads)
        page.click("#again button")
        page.wait_for_selector(END)
        return page.get_attribute("#verdict", "data-state"), page.inner_text("#verdict")

    @pytest.mark.parametrize("name", RUNS)
    def test_a_run_is_verified_in_the_readers_browser(self, look, name, tmp_path):
        transcript = finished(name).transcript
        page = look(evidence.to_html(transcript).html)
        assert page.get_attribute("#verdict", "data-state") == OPEN, page.inner_text("#verdict")
        roster = newest_roster(transcript)
        fingerprint = page.inner_text("#fingerprint")
        assert fingerprint.replace(" ", "") == roster.fingerprint
        ClientHeads.of(transcript).save(tmp_path / "heads")
        for pin in (pin_of(transcript).to_json(), fingerprint, roster.digest.hex()):
            assert self.give(page, pin, (tmp_path / "heads").read_text())[0] == HOLDS
        assert self.give(page, "0" * 64)[0] == BROKEN
        assert "2 of 2" in page.inner_text("#checked")
        assert page.locator("#parties tbody tr").count() == len(roster.members)
        assert page.locator("#rounds details").count() == 3

    @pytest.mark.parametrize("kind", FORGERIES)
    def test_a_forgery_is_red_at_the_first_break(self, look, tmp_path, kind):
        raw, blobs = FORGERIES[kind]("individual")
        transcript = finished("individual").transcript
        ClientHeads.of(transcript).save(tmp_path / "heads")
        html = evidence.to_html(transcript).html
        honest = evidence._packed(transcript, None)
        assert html.count(honest) == 1
        forged = evidence.base64.b64encode(evidence.container(raw, blobs)).decode()
        page = look(html.replace(honest, forged))
        state, said = self.give(page, pin_of(transcript).to_json(), (tmp_path / "heads").read_text())
        python = Checkers(tmp_path).python(raw, blobs, *trusted(transcript))
        assert state == BROKEN and place(said.splitlines()[-1]) == place(python)

    def test_it_prints(self, look, default_run):
        page = look(evidence.to_html(default_run).html)
        assert len(page.pdf()) > 20_000
        page.emulate_media(media="print")
        assert not page.is_visible("#again") and page.is_visible("#verdict")


def test_a_transcript_from_disk_makes_the_same_file(tmp_path):
    transcript = finished("individual").transcript
    transcript.save(tmp_path / "t.jsonl")
    again = Transcript.load(tmp_path / "t.jsonl")
    assert evidence._packed(again, (1,)) == evidence._packed(transcript, (1,))

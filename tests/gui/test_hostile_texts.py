"""What a URL, an uploaded record and an uploaded table bring along is shown as text: not as links, pictures, formulas, icons."""

import re

import pytest
from markdown_it import MarkdownIt

from hefl_core.federation.outside import MAX_REASON
from hefl_core.federation.record.transcript_zip import pack
from hefl_core.figures import own_run, training
from hefl_core.learning.partition import LabelTable
from hefl_core.terms.experiment import Experiment
from pages.parts import quoting
from tests.gui.conftest import run_on
from tests.gui.hostile_texts import TEXTS, forged, noted, table

PARSER = MarkdownIt("commonmark").enable("table")
BARE = re.compile(r"(?<![^\s])[A-Za-z0-9-]*·[A-Za-z0-9·-]*(?![^\s,.:)])")
"""A name off a record, its letters left: harmless, and nothing but letters."""
WRITTEN = ("error", "warning", "info", "success", "markdown", "caption", "title", "header", "subheader")


def outside_code(text):
    """What a Markdown parser makes of a text, code spans left out: the words, and the kinds of its elements."""
    words, kinds = [], set()
    for block in PARSER.parse(text):
        for token in [block, *(block.children or ())]:
            if token.type == "text" or token.type.startswith("html"):
                words.append(token.content)
            if token.type in ("code_block", "fence", "image", "link_open", "html_inline", "html_block"):
                kinds.add(token.type)
    return " ".join(words), kinds


def shown(at):
    """Every Markdown text on the screen, help texts too."""
    for kind in WRITTEN:
        for one in (*at.get(kind),):
            yield one.value
    for one in (*at.button, *at.caption, *at.markdown):
        yield getattr(one, "help", "") or getattr(one.proto, "help", "") or ""


def assert_only_text(at):
    for text in shown(at):
        words, kinds = outside_code(text)
        assert "evil" not in BARE.sub("", words).lower(), text
        assert "image" not in kinds and "html_block" not in kinds, text
    for one in at.get("html"):
        assert not re.search(r"<(a|img|script)\b", one.proto.body), one.proto.body[:300]


def raw(text, most=0):
    """The switch off: as it was before there was a helper."""
    return str(text)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("field", ["scheme", "custody"])
def test_a_url_brings_text_only(app, field, text):
    at = run_on(app, "system", **{field: text})
    assert at.error and "evil" in at.error[0].value
    assert_only_text(at)


@pytest.mark.parametrize(
    "field", [*Experiment.__dataclass_fields__, "audience", "presenter", "language", "seat", "cursor"]
)
def test_every_field_of_a_url_brings_text_only(app, field):
    assert_only_text(run_on(app, "one_round", **{field: TEXTS[0] + TEXTS[1] + TEXTS[8]}))


def test_without_the_helper_the_link_and_the_picture_are_there(app, monkeypatch):
    """The control: the application's own red box carries them."""
    monkeypatch.setattr("pages.parts.frame.quoted", raw)
    at = run_on(app, "system", scheme=TEXTS[0] + TEXTS[1])
    _, kinds = outside_code(at.error[0].value)
    assert {"link_open", "image"} <= kinds


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_forged_record_is_refused_in_text_only(app, small_run, text):
    at = run_on(app, "one_round", clients=3, rounds=1)
    record = forged(small_run.transcript, [text])
    at.file_uploader(key="upload").set_value(("record.zip", pack(record), "application/zip")).run()
    assert not at.exception and at.error
    assert_only_text(at)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_an_uploaded_record_brings_text_only(app, small_run, text):
    at = run_on(app, "one_round", clients=3, rounds=1)
    record = noted(small_run.transcript, [text])
    at.file_uploader(key="upload").set_value(("record.zip", pack(record), "application/zip")).run()
    if not text.isprintable() or len(text) > MAX_REASON:  # a note is one short printable line: such a record is refused
        assert not at.exception and "one printable line" in at.error[0].value
        assert_only_text(at)
        return
    assert not at.exception and "its end is missing" in at.info[0].value
    assert_only_text(at)
    last = len(record.sent)
    at.session_state["cursor"], at.session_state["seat"] = last, "observer"
    at.session_state["jump"] += 1  # the stepper begins anew, where the cursor is
    at.run()
    assert not at.exception and f"## {last}. " in " ".join(one.value for one in at.markdown)
    assert any("was left out" in one.value for one in at.caption)
    assert_only_text(at)


def test_without_the_helper_a_records_reason_is_a_link(app, small_run, monkeypatch):
    monkeypatch.setattr("pages.parts.quoting.quoted", raw)
    at = run_on(app, "one_round", clients=3, rounds=1)
    at.file_uploader(key="upload").set_value(("r.zip", pack(noted(small_run.transcript, TEXTS[:2])), "application/zip"))
    at.run()
    at.session_state["cursor"] = len(small_run.transcript.sent)
    at.session_state["jump"] += 1
    at.run()
    kinds = set().union(*(outside_code(one.value)[1] for one in at.caption))
    assert {"link_open", "image"} <= kinds


IN_CELLS = [text for text in TEXTS if len(text) <= 80 and text.isprintable()]


@pytest.mark.parametrize("text", [*IN_CELLS, *(t for t in TEXTS if t not in IN_CELLS)], ids=range(len(TEXTS)))
@pytest.mark.parametrize("place", ["header", "label", "cell"])
def test_an_uploaded_table_brings_text_only(app, place, text):
    at = run_on(app, "your_data", clients=3, rounds=1)
    given = (
        table(text, "x")
        if place == "header"
        else table("a", text)
        if place == "label"
        else b"a,label\n" + text.encode()
    )
    at.file_uploader(key="own:file").set_value((f"{text[:60]}.csv", given, "text/csv")).run()
    assert not at.exception and (at.error or at.success)
    assert_only_text(at)


def test_classes_and_columns_are_text_in_a_figure():
    """plotly reads tags in names, links too; it draws escaped ones as text."""
    hostile = TEXTS[3][:80]
    picture = training.labels(LabelTable((hostile, "b"), ((1, 2), (3, 4)))).to_json()
    assert "evil" in picture and not re.search(r"<a|<img|\\u003ca", picture)
    assert own_run.label(hostile).startswith("&lt;img")


def test_the_helper_is_the_page_style():
    assert "em code" in quoting.STYLE

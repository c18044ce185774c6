"""The second language: how much of the interface it has, that it keeps names and marks, and a page in it."""

import re
import runpy

import pytest
from babel.messages.pofile import read_po

from hefl_core.teaching import lessons
from pages.parts import i18n
from tests.gui.conftest import ROOT, run_on

EXTRACT = runpy.run_path(str(ROOT / "locale" / "extract.py"))
FRAME = ("app.py", "pages/parts/frame.py")
FOLDER = ROOT / "locale" / "de" / "LC_MESSAGES"


def test_every_string_of_the_frame_is_german_and_nearly_all_others():
    every, lacking = EXTRACT["places"](), EXTRACT["missing"]("de")
    of_the_frame = [text for text, places in lacking.items() if any(place.startswith(FRAME) for place in places)]
    assert not of_the_frame, "translate these in locale/de/LC_MESSAGES/hefl.po"
    share = 1 - len(lacking) / len(every)
    assert share > 0.9, f"{share:.0%} of {len(every)} strings; python locale/extract.py --missing de prints the rest"


def test_a_string_without_a_translation_is_missed(monkeypatch):
    monkeypatch.setitem(EXTRACT["missing"].__globals__, "places", lambda: {"Not in any catalogue": ["app.py:1"]})
    assert EXTRACT["missing"]("de") == {"Not in any catalogue": ["app.py:1"]}


def test_the_application_speaks_the_translators_file_and_keeps_names_and_marks():
    used = i18n._translation("de")
    with (FOLDER / "hefl.po").open("rb") as text:
        written = read_po(text)
    for message in filter(lambda one: one.id, written):
        assert message.string and used.gettext(message.id) == message.string
        for mark in (r"{[^}]*}", r"\*\*", r":material/\w+:", r"`[^`]*`"):
            assert sorted(re.findall(mark, message.id)) == sorted(re.findall(mark, message.string)), message.id


def test_the_lessons_in_german(app):
    at = run_on(app, "lessons", language="de")
    assert at.title[0].value == "Lektionen" and at.slider(key="w:clients").label == "Clients"
    assert "Aufgaben gelöst" in at.get("progress")[0].proto.text
    assert any("Wie viele Bytes" in block.value for block in at.markdown)
    at.session_state["lessons:tab"] = "Glossar"
    at.run()
    assert at.query_params["tab"] == "glossary", "the address names a tab in English"
    assert any("**Verwahrung** Wer den geheimen Schlüssel hält" in block.value for block in at.markdown)


@pytest.mark.parametrize(
    ("page", "said"), [("one_round", "für die erste Nachricht"), ("guarantees", "Nicht versprochen")]
)
def test_another_page_in_german(app, page, said):
    at = run_on(app, page, language="de")
    assert said in " ".join(block.value for block in (*at.markdown, *at.caption, *at.header, *at.info)), page


def test_the_german_lesson_states_the_same_numbers():
    """Digits only: what each number rests on is checked on the English text."""
    number = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*")
    for one, other in zip(lessons.read("01").cells, lessons.read("01", "de").cells, strict=True):
        if one.markdown:
            english, german = (sorted(re.sub(r"\D", "", n) for n in number.findall(c.source)) for c in (one, other))
            assert english == german

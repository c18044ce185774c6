"""The second language: how much of the interface it has, that it keeps names and marks, its numbers, and pages in it."""

import re
import runpy

import numpy as np
import plotly.graph_objects as go
import pytest
from babel.messages.pofile import read_po

from hefl_core import Experiment, run_experiment
from hefl_core.app.report import Cover, to_html
from hefl_core.figures.words import in_words
from hefl_core.teaching import lessons
from pages.parts import i18n
from tests.gui.conftest import ROOT, run_on

EXTRACT = runpy.run_path(str(ROOT / "locale" / "extract.py"))
FRAME = ("app.py", "pages/parts/frame.py", "pages/parts/sidebar.py")
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


# -- numbers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def german(monkeypatch):
    monkeypatch.setenv("HEFL_LANGUAGE", "de")


@pytest.mark.parametrize(
    ("value", "spec", "written"),
    [
        (1234.5, ",.1f", "1.234,5"),
        (np.float64(0.05), "g", "0,05"),
        (7, "", "7"),
        ("68.9 kB", "", "68,9 kB"),
        ("92.1%", "", "92,1%"),
        ("< 0.0001", "", "< 0,0001"),
        ("bfv-lean", "", "bfv-lean"),
        ("3.11.7", "", "3.11.7"),  # a version, not a number
        ("01.3", "", "01.3"),  # an exercise
        ("breast, 0.5 of it", "", "breast, 0.5 of it"),  # a text is filled in as it is
    ],
)
def test_a_number_in_a_sentence_is_written_as_its_language_writes_it(german, value, spec, written):
    assert i18n._(f"{{x:{spec}}}").format(x=value) == written


def test_english_numbers_stay(monkeypatch):
    monkeypatch.setenv("HEFL_LANGUAGE", "en")
    assert i18n._("{x:,.1f}").format(x=1234.5) == "1,234.5" and i18n.numeral("1,058.5 B") == "1,058.5 B"
    assert i18n.separators() == ".,"


def test_a_picture_speaks_german(german):
    picture = go.Figure(go.Bar(x=["encrypt"], y=[9.33], text=["9.33 ms"], name="forecast"))
    drawn = in_words(picture.update_xaxes(title="round"), lambda text: i18n.numeral(i18n._(text)), i18n.separators())
    bar = drawn.data[0]
    assert (*bar.x, *bar.text, bar.name, drawn.layout.xaxis.title.text) == (
        "verschlüsseln",
        "9,33 ms",
        "Vorhersage",
        "Runde",
    )
    assert drawn.layout.separators == ",."


ENGLISH_NUMBER = re.compile(r"(?<![\w.,/-])(?:[1-9]\d{0,2}(?:,\d{3})+(?!\d)|0\.\d+|[1-9]\d*\.(?!\d{3}(?!\d))\d+)")


@pytest.mark.parametrize("page", ["start", "keys", "one_round", "training", "attack", "costs"])
def test_a_page_mixes_no_english_numbers_into_german(app, page):
    at = run_on(app, page, language="de", clients=3, rounds=1, cursor=14)
    shown = [block.value for block in (*at.markdown, *at.caption, *at.metric)]
    assert shown and [text for text in shown if ENGLISH_NUMBER.search(text.replace("CC BY 4.0", ""))] == []


def test_the_german_report_has_german_numbers_remarks_and_pictures(german):
    result = run_experiment(Experiment(clients=3, rounds=1, seed=7), runtime="local")
    cover = Cover(language="de", translate=i18n._, separators=i18n.separators())
    text = to_html(result, cover)
    assert "Länge des Mittelwerts: nicht geprüft" in text and "teilen sich einen Prozess" in text
    assert (
        f"{result.parameters:,}".replace(",", ".") in text
        and f"{result.rounds[0].accuracy:.4f}".replace(".", ",") in text
    )
    assert '"separators":",."' in text and "Runde" in text and "Length of the mean" not in text

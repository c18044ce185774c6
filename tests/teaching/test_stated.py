"""Every number that a lesson states is a definition, comes from a source, or is true of the executed lesson."""

import re
from dataclasses import replace

import pytest

from hefl_core.teaching import lessons
from tests.teaching import prose
from tests.teaching.running import ran
from tests.teaching.stated import STATED

LESSONS = lessons.names()
ROLES = sorted(path.stem for path in lessons.FOLDER.glob("roles/*.py"))
CLAIMS = [(name, phrase) for name in LESSONS for phrase, holds in STATED[name[:2]].items() if callable(holds)]


def unstated(texts, phrases):
    return [f"{text.place}: {words}" for text in texts for words in text.unstated(phrases)]


@pytest.mark.parametrize("name", LESSONS)
def test_every_number_of_a_lesson_is_accounted_for(name):
    texts, phrases = [*prose.of_lesson(lessons.read(name))], STATED[name[:2]]
    assert not unstated(texts, phrases), "say in tests/teaching/stated.py where the number comes from"
    assert not [phrase for phrase in phrases if not any(phrase in text.words for text in texts)], "no longer said"


@pytest.mark.parametrize(("name", "phrase"), CLAIMS)
def test_what_is_stated_is_true_of_the_executed_lesson(name, phrase):
    assert STATED[name[:2]][phrase](ran(name)), f"lesson {name[:2]} says {phrase!r}"


def test_every_number_of_the_role_play_is_accounted_for():
    texts, phrases = [text for name in ROLES for text in prose.of_role(name)], STATED["roles"]
    assert len(ROLES) == 4 and not unstated(texts, phrases)
    assert all(any(phrase in text.words for text in texts) and holds(None) for phrase, holds in phrases.items())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("about sixteen", "about twelve"), ("so 255 is", "so 511 is"), ("in three places", "in 5 places")],
)
def test_a_wrong_number_in_the_prose_is_found(right, wrong):
    lesson = lessons.read("03")
    assert any(right in cell.source for cell in lesson.cells)
    planted = replace(lesson, cells=tuple(replace(c, source=c.source.replace(right, wrong)) for c in lesson.cells))
    found = unstated(prose.of_lesson(planted), STATED["03"])
    assert len(found) >= 1 and all(re.search(r"twelve|511|in 5", place) or "Four more" in place for place in found)


@pytest.mark.parametrize(
    ("phrase", "right", "wrong"),
    [
        (
            "Four more bits divide the error by about sixteen",
            "12 bits: largest error 2.4e-04",
            "12 bits: largest error 9.4e-04",
        ),
        ("400 is 256 + 144", "[144  13 120]", "[145  13 120]"),
    ],
)
def test_an_output_that_no_longer_bears_the_prose_out_is_found(phrase, right, wrong):
    executed = ran(next(name for name in LESSONS if name.startswith("03")))
    assert right in executed.printed
    assert not STATED["03"][phrase](replace(executed, printed=executed.printed.replace(right, wrong)))

"""Text and notebook agree; solutions are accepted, untouched stubs are not; a lesson runs from top to bottom."""

import re

import nbformat
import numpy as np
import pytest

from hefl_core.errors import ParameterError
from hefl_core.teaching import check, hint, lessons
from hefl_core.teaching.exercise import AnswerVerdict, Choice, Number, Task
from lessons.tools import build
from lessons.tools.bench import Bench
from tests.teaching.running import ran

NAMES = lessons.names()


@pytest.mark.parametrize("path", build.texts([]), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_notebook_is_built_from_its_text(path):
    assert path.with_suffix(".ipynb").read_text(encoding="utf-8") == build.built(path), (
        "run python -m lessons.tools.build"
    )


@pytest.mark.parametrize("name", NAMES)
def test_page_and_notebook_have_the_same_cells(name):
    notebook = nbformat.reads((lessons.FOLDER / name / "lesson.ipynb").read_text(encoding="utf-8"), as_version=4)
    assert [(c.cell_type == "markdown", c.source) for c in notebook.cells] == [
        (c.markdown, c.source) for c in lessons.read(name).cells
    ]


@pytest.mark.parametrize("name", NAMES)
def test_solutions_are_accepted(name):
    lesson = lessons.read(name)
    found = ran(name).verdicts
    assert list(found) == [e.name for e in lesson.exercises], "every exercise has its cell, in order"
    assert not {ask: verdict.message for ask, verdict in found.items() if not verdict.ok}


@pytest.mark.parametrize("name", NAMES)
def test_untouched_stubs_are_refused(name):
    """Only what comes before the first exercise's cells is run twice; each stub is judged in the solved lesson's place."""
    lesson, solved, bench = lessons.read(name), lessons.read(name).solved(), Bench()
    for stub, solution in zip(lesson.cells, solved.cells, strict=True):
        if stub.exercise:
            assert not bench.run(stub)[-1].ok, f"{stub.exercise} accepts its untouched stub"
            assert stub.source != solution.source
        if not stub.markdown:
            bench.run(solution)


@pytest.mark.parametrize("name", NAMES)
def test_shape(name):
    lesson = lessons.read(name)
    assert 3 <= len(lesson.exercises) <= 6
    assert all(e.hints for e in lesson.exercises)
    assert sum(c.parameters for c in lesson.cells) == 1
    assert "localhost:8501/" in "".join(c.source for c in lesson.cells if c.markdown), "no link into the application"
    assert max(c.source.count("\n") for c in lesson.cells) < 45, "a cell is longer than a screen"
    minutes = re.search(r"\*\*(?:Minutes:|Time)\*\* (\d+)", lesson.cells[0].source)
    assert minutes and 30 <= int(minutes[1]) <= 45, "a lesson says how long it takes, at most 45 minutes"


@pytest.mark.parametrize(
    "path", sorted(lessons.FOLDER.glob("[0-9][0-9]_*/lesson_??.py")), ids=lambda p: p.stem[-2:] + p.parent.name[:2]
)
def test_a_translation_is_prose_around_the_same_code(path):
    english, translated = lessons.read(path.parent.name), lessons.read(path.parent.name, path.stem[-2:])
    assert all(cell.markdown for cell in lessons.cells_of(path))
    assert translated.title != english.title and len(translated.cells) == len(english.cells)
    for one, other in zip(english.cells, translated.cells, strict=True):
        assert one.markdown == other.markdown and (one != other if one.markdown else one == other)


@pytest.mark.parametrize("change", ["a cell of code", "a cell too few"])
def test_a_translation_that_does_not_fit_is_refused(tmp_path, monkeypatch, change):
    monkeypatch.setattr(lessons, "FOLDER", tmp_path)
    (tmp_path / "01_x").mkdir()
    (tmp_path / "01_x" / "lesson.py").write_text(
        "# %% [markdown]\n# # 01 · One\n\n# %%\nx = 1\n\n# %% [markdown]\n# End\n"
    )
    first, last = "# %% [markdown]\n# # 01 · Eins\n\n", "# %% [markdown]\n# Ende\n"
    translated = tmp_path / "01_x" / "lesson_de.py"
    translated.write_text(first + last)
    assert [cell.source for cell in lessons.read("01", "de").cells] == ["# 01 · Eins", "x = 1", "Ende"]
    translated.write_text(first + ("# %%\nx = 2\n" if change == "a cell of code" else ""))
    with pytest.raises(ParameterError, match="2 cells of Markdown and no code"):
        lessons.read("01", "de")


CHOICE = Choice("00.1", "?", options=("a", "b"), right=1, why="because", hints=("first", "second"))
NUMBER = Number("00.2", "?", value=lambda: 10.0, tolerance=0.5, unit="m", why="because")


def test_choice():
    assert CHOICE.verdict(1) == AnswerVerdict(True, "because")
    for wrong in (0, 2, -1, 0.5, True, "b", None, float("nan"), ...):
        assert not CHOICE.verdict(wrong).ok


def test_number():
    assert NUMBER.verdict(10).ok and NUMBER.verdict(10.5).ok
    assert "too small" in NUMBER.verdict(9.4).message and "too large" in NUMBER.verdict(10.6).message
    for wrong in (True, "10", None, float("nan"), float("inf"), ...):
        assert not NUMBER.verdict(wrong).ok


def test_task_turns_what_the_student_raises_into_feedback():
    task = Task("00.3", "?", judge=lambda answer: "" if answer() == 3 else "not 3", why="because")
    assert task.verdict(lambda: 3).ok
    assert task.verdict(lambda: 4).message == "not 3"
    assert "ZeroDivisionError" in task.verdict(lambda: 1 / 0).message


def test_a_forgotten_return_is_asked_about():
    told = lessons.exercise("09.2").verdict(lambda before, after, clients: None)
    assert "does your function return one?" in told.message and "raised" not in told.message


def test_a_wrong_reconstruction_is_told_a_pixel_and_not_the_solution():
    told = lessons.exercise("01.3").verdict(lambda update: np.zeros(64))
    assert (
        re.match(r"pixel \d+ of record 3: expected [01]\.\d+, found 0\.0000$", told.message)
        and "W1" not in told.message
    )


def test_unknown_names():
    for name in ("99.1", f"{NAMES[0][:2]}.99"):
        with pytest.raises(ParameterError):
            check(name, 1)
    with pytest.raises(ParameterError, match="expected one of"):
        lessons.read("../app")


def test_hints_go_on(capsys):
    name = lessons.exercises(NAMES[0][:2])[0].name
    hint(name)
    hint(name)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Hint 1 of") and first != second

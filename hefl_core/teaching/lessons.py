"""The lessons as text: one percent file each, from which notebook, page and tests read the same cells.

A cell begins with a line ``# %%``, then ``[markdown]`` or nothing, then ``exercise="NN.k"`` and ``tags=["…"]``.
A translation, ``lesson_de.py``, holds the Markdown cells only, in the same order; its code is that of ``lesson.py``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from hefl_core.errors import ParameterError
from hefl_core.places import APPLICATION
from hefl_core.teaching.exercise import AnswerVerdict, Exercise

FOLDER = APPLICATION / "lessons"
_MARK = re.compile(r"^# %%(?P<markdown> \[markdown\])?(?P<rest>.*)$")
_EXERCISE = re.compile(r'exercise="(\d\d\.\d+)"')
_TITLE = re.compile(r"^# (\d\d) · (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class LessonCell:
    """One cell: Markdown, or code that may be the place of an exercise or of the parameters."""

    source: str
    markdown: bool = False
    exercise: str = ""
    parameters: bool = False


@dataclass(frozen=True)
class Lesson:
    """A lesson: its number "NN", the name of its file, its title and its cells in order."""

    number: str
    name: str
    title: str
    cells: tuple[LessonCell, ...]

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        """Its exercises, in order."""
        return exercises(self.number)

    def solved(self) -> Lesson:
        """With each exercise's cell replaced by that of solutions.py."""
        answers = {c.exercise: c for c in cells_of(FOLDER / self.name / "solutions.py") if c.exercise}
        return replace(self, cells=tuple(answers.get(cell.exercise, cell) for cell in self.cells))

    def full(self) -> Lesson:
        """At full size: ``FULL = True`` in the parameter cell."""
        return replace(
            self,
            cells=tuple(
                replace(c, source=c.source.replace("FULL = False", "FULL = True")) if c.parameters else c
                for c in self.cells
            ),
        )


def names() -> tuple[str, ...]:
    """The lessons' folders, in order."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob("[0-9][0-9]_*/lesson.py")))


def read(name: str, language: str = "en") -> Lesson:
    """The lesson of this name ("01_what_an_update_gives_away") or number ("01"), translated where it is.

    Raises: ParameterError for a lesson that does not exist or whose text has no title.
    """
    found = next((known for known in names() if name in (known, known[:2])), None)
    if found is None:
        raise ParameterError(f"lesson: expected one of {', '.join(n[:2] for n in names())}, found {name[:40]!r}")
    cells, translated = cells_of(FOLDER / found / "lesson.py"), FOLDER / found / f"lesson_{language[:2]}.py"
    if language[:2].isalpha() and translated.exists():
        cells = _told(cells, cells_of(translated), translated.name)
    title = _TITLE.search(cells[0].source) if cells else None
    if title is None or title[1] != found[:2]:
        raise ParameterError(f"{found}: expected a first cell with the title '# {found[:2]} · …', found none")
    return Lesson(title[1], found, title[2], cells)


def _told(cells: Sequence[LessonCell], prose: Sequence[LessonCell], path: str) -> tuple[LessonCell, ...]:
    """A lesson's cells with its prose in another language. Raises: ParameterError unless cell stands for cell."""
    places = [number for number, cell in enumerate(cells) if cell.markdown]
    if len(prose) != len(places) or not all(cell.markdown for cell in prose):
        raise ParameterError(
            f"{path}: expected {len(places)} cells of Markdown and no code, found {len(prose)} cells; "
            "code is that of lesson.py"
        )
    told = dict(zip(places, prose, strict=True))
    return tuple(told.get(number, cell) for number, cell in enumerate(cells))


def exercises(number: str) -> tuple[Exercise, ...]:
    """The exercises of lesson "NN", declared in its exercises.py. Raises: ParameterError for a lesson that has none."""
    declared: tuple[Exercise, ...] = exercise_module(number).EXERCISES
    return declared


@lru_cache(maxsize=64)
def exercise_module(number: str) -> ModuleType:
    """The exercises.py of lesson "NN", loaded by path: a folder name that begins with a digit cannot be imported.

    Raises: ParameterError for a lesson that has none.
    """
    path = next((FOLDER / name / "exercises.py" for name in names() if name[:2] == number), None)
    spec = None if path is None or not path.exists() else spec_from_file_location(f"lesson_{number}_exercises", path)
    if spec is None or spec.loader is None:
        raise ParameterError(f"expected the exercises of a lesson, found none of {number[:40]!r}", "check the number")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # before executing: dataclasses look up their own module
    spec.loader.exec_module(module)
    return module


def exercise(name: str) -> Exercise:
    """The exercise "NN.k". Raises: ParameterError for one that does not exist."""
    known = exercises(name[:2])
    for one in known:
        if one.name == name:
            return one
    raise ParameterError(f"exercise: expected one of {', '.join(e.name for e in known)}, found {name!r}")


def cells_of(path: Path) -> tuple[LessonCell, ...]:
    """The cells of one percent file."""
    cells: list[LessonCell] = []
    for chunk in re.split(r"(?m)^(?=# %%)", path.read_text(encoding="utf-8")):
        first, _, body = chunk.partition("\n")
        mark = _MARK.match(first)
        if mark is None:
            continue  # comments before the first cell
        found = _EXERCISE.search(mark["rest"])
        body = body.strip("\n")
        if mark["markdown"]:
            body = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.split("\n"))
        cells.append(
            LessonCell(body, bool(mark["markdown"]), found[1] if found else "", '"parameters"' in mark["rest"])
        )
    return tuple(cells)


_GIVEN: dict[str, int] = {}


def check(name: str, answer: object) -> AnswerVerdict:
    """Check an answer to exercise "NN.k" and print the reply. A wrong answer is no error; a wrong name is (ParameterError)."""
    verdict = exercise(name).verdict(answer)
    print(f"{'✓' if verdict.ok else '✗'} {name}: {verdict.message}")
    return verdict


def hint(name: str) -> None:
    """Print the next hint of exercise "NN.k"; after the last one it is repeated. Raises: ParameterError."""
    hints = exercise(name).hints
    given = _GIVEN.get(name, 0)
    _GIVEN[name] = given + 1
    if not hints:
        print(f"{name} has no hints")
        return
    number = min(given, len(hints) - 1)
    print(f"Hint {number + 1} of {len(hints)}: {hints[number]}")

"""Lessons: the course's text with exercises that check themselves, and the glossary.

The same cells as the notebooks, run on a click; the session remembers answers and hints.
"""

from __future__ import annotations

import re

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from hefl_core.figures.style import on_ground
from hefl_core.teaching import lessons
from hefl_core.teaching.exercise import AnswerVerdict, Choice, Exercise, Number
from hefl_core.teaching.glossary import TERMS
from hefl_core.teaching.lessons import Lesson, LessonCell
from lessons.tools.bench import Bench
from pages.parts import frame
from pages.parts.i18n import _, language
from pages.parts.quoting import quoted

_HEADING = re.compile(r"^(?=#+ )", re.MULTILINE)
_APPLICATION = re.compile(r"\]\(http://localhost:8501(/[^)]*)\)")
_KEEP = ("lesson", "tried", "hinted", "benches", "shown")


def page() -> None:
    """One lesson or the glossary."""
    if not frame.presenter():
        st.title(_("Lessons"), anchor=False)
    st.markdown(
        _(
            "How does it work, step by step? Twelve lessons with exercises that check themselves; start with 01. The role play "
            "needs four people; the glossary explains every word of these pages."
        )
    )
    for name in _KEEP:
        st.session_state.setdefault(f"course:{name}", lessons.names()[0] if name == "lesson" else {})
    frame.tabs(
        {_("Course"): _lesson, _("Role play"): _role_play, _("Glossary"): _glossary},
        key="lessons:tab",
    )


def _role_play() -> None:
    st.markdown((lessons.FOLDER / "roles" / "README.md").read_text(encoding="utf-8").replace("# ", "## ", 1))


def _lesson() -> None:
    names = lessons.names()
    texts = {name: lessons.read(name, language()) for name in names}
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    chosen = left.selectbox(
        _("Lesson"),
        names,
        names.index(st.session_state["course:lesson"]),
        format_func=lambda name: f"{texts[name].number} · {texts[name].title}",
        key="course-choice",
    )
    st.session_state["course:lesson"] = chosen
    lesson = texts[chosen]
    progress = right.empty()
    solutions = lesson.solved().cells
    for number, cell in enumerate(lesson.cells):
        if cell.markdown:
            st.markdown(_HEADING.sub("#", _APPLICATION.sub(r"](\1)", cell.source)))  # below the page's own title
        elif cell.exercise:
            _exercise(lessons.exercise(cell.exercise), cell)
        else:
            _code(lesson, number, solutions)
    done, every = sum(map(_solved, lesson.exercises)), len(lesson.exercises)
    progress.progress(done / every, _("{done} of {every} exercises solved").format(done=done, every=every))


# -- exercises ---------------------------------------------------------------------------------------------------


def _solved(ask: Exercise) -> bool:
    verdict: AnswerVerdict | None = st.session_state["course:tried"].get(ask.name)
    return verdict is not None and verdict.ok


def _exercise(ask: Exercise, cell: LessonCell) -> None:
    """An exercise's question with a widget; a task needs an editor, so it shows its stub and belongs to the notebook."""
    with st.container(border=True, key=f"exercise-{ask.name.replace('.', '-')}"):
        st.markdown(f"**{_('Exercise')} {ask.name}** · {_(ask.question)}")
        tried = st.session_state["course:tried"]
        if isinstance(ask, Choice):
            answer = st.radio(
                _("Your answer"),
                range(len(ask.options)),
                index=None,
                format_func=lambda number: _(ask.options[number]),
                key=f"answer:{ask.name}",
                label_visibility="collapsed",
            )
        elif isinstance(ask, Number):
            answer = st.number_input(
                _("Your answer"),
                value=None,
                format="%.10g",
                placeholder=_(ask.unit) if ask.unit else None,
                key=f"answer:{ask.name}",
                label_visibility="collapsed",
            )
        else:
            answer = None
            st.code(cell.source, wrap_lines=True)
            st.caption(_("Write this one in the notebook: `make lessons` opens it."))
        if answer is not None:
            tried[ask.name] = ask.verdict(answer)
        if ask.name in tried:
            verdict = tried[ask.name]
            say, icon = (st.success, "check_circle") if verdict.ok else (st.error, "cancel")
            say(verdict.worded(_), icon=f":material/{icon}:")
        _hints(ask)


def _hints(ask: Exercise) -> None:
    hinted = st.session_state["course:hinted"]
    if hinted.get(ask.name, 0) < len(ask.hints):
        if st.button(_("Hint"), icon=":material/lightbulb:", type="tertiary", key=f"hint:{ask.name}"):
            hinted[ask.name] = hinted.get(ask.name, 0) + 1
            st.rerun()
    for text in ask.hints[: hinted.get(ask.name, 0)]:
        st.caption(f":material/lightbulb: {_(text)}")


# -- code --------------------------------------------------------------------------------------------------------


def _code(lesson: Lesson, number: int, solutions: tuple[LessonCell, ...]) -> None:
    """The cell, a button that runs the lesson up to it, and its output."""
    st.code(lesson.cells[number].source, wrap_lines=True)
    shown = st.session_state["course:shown"].setdefault(lesson.name, {})
    if number not in shown:
        if not st.button(_("Run to here"), icon=":material/play_arrow:", key=f"run:{lesson.name}:{number}"):
            return
        with st.spinner(_("Running …")):
            _run(lesson, number, solutions)
        st.rerun()
    for place, thing in enumerate(shown[number]):
        if isinstance(thing, go.Figure):
            st.plotly_chart(on_ground(thing, dark=frame.dark()), key=f"figure:{lesson.name}:{number}:{place}")
        elif isinstance(thing, pd.DataFrame):
            st.dataframe(thing)
        elif isinstance(thing, Exception):
            st.error(quoted(f"{type(thing).__name__}: {thing}"), icon=":material/error:")
        else:
            st.code(thing if isinstance(thing, str) else repr(thing), language=None, wrap_lines=True)


def _run(lesson: Lesson, last: int, solutions: tuple[LessonCell, ...]) -> None:
    """Run all code up to this cell that has not run; for an exercise its solution, since later cells may build on it."""
    bench = st.session_state["course:benches"].setdefault(lesson.name, Bench())
    shown = st.session_state["course:shown"][lesson.name]
    for number, cell in enumerate(solutions[: last + 1]):
        if cell.markdown or number in shown:
            continue
        try:
            shown[number] = bench.run(cell)
        except Exception as error:  # a lesson may provoke a refusal, or need what this machine lacks
            shown[number] = (error,)


# -- glossary ----------------------------------------------------------------------------------------------------


def _glossary() -> None:
    wanted = st.text_input(_("Find a term"), key="glossary-find").casefold()
    for term in TERMS:
        if wanted in f"{term.name} {term.sentence}".casefold():
            st.markdown(f"**{_(term.name)}** {_(term.sentence)} [{_('More')}]({term.link})")


if __name__ == "__main__":  # Streamlit runs a page under this name; other pages import from it
    page()

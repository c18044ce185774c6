"""Predictions: asked before a step, locked by the answer, revealed by the step, kept over the pages and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from hefl_core.teaching.predictions import asked_on
from pages.parts import frame
from pages.parts.i18n import _

STYLE = '<style>[class*="st-key-question-"] { padding: .55rem .9rem !important; }</style>'


@dataclass(frozen=True)
class Prediction:
    """An answer that was given before it was shown; ``place`` tells a repeated question from the first."""

    chosen: int
    right: int
    place: int = 0


def _given() -> dict[str, Prediction]:
    kept: dict[str, Prediction] = st.session_state.setdefault("predictions", {})
    return kept


def ask(
    name: str, text: str, options: Sequence[str], right: int, why: str, *, revealed: bool = False, place: int = 0
) -> None:
    """A question and its answers as buttons; after the step that answers it (``revealed``) the verdict.

    Buttons, not a radio: the arrow keys stay the stepper's, and what was answered cannot be changed.
    """
    given = _given().get(name)
    if given is not None and given.place != place:
        return
    with st.container(border=True, key=f"question-{name.replace(':', '-')}-{place}", gap="small"):
        if given is None and not revealed:
            st.markdown(f":material/help: **{text}**")
            with st.container(horizontal=True, gap="small"):
                for number, option in enumerate(options):
                    prediction = Prediction(number, right, place)
                    st.button(option, on_click=_keep, args=(name, prediction), key=f"predict:{name}:{place}:{number}")
        elif given is not None and not revealed:
            st.markdown(
                _(":material/lock: {question} You said: **{answer}**. The next step shows it.").format(
                    question=text, answer=options[given.chosen]
                )
            )
        else:
            _verdict(given, options[right], why)


def _verdict(given: Prediction | None, answer: str, why: str) -> None:
    if given is None:
        st.markdown(_(":material/lightbulb: **{answer}**. {why}").format(answer=answer, why=why))
    elif given.chosen == given.right:
        st.markdown(_(":material/check_circle: Right: **{answer}**. {why}").format(answer=answer, why=why))
    else:
        st.markdown(_(":material/lightbulb: Not quite: **{answer}**. {why}").format(answer=answer, why=why))


def _keep(name: str, prediction: Prediction) -> None:
    """The first answer stays."""
    _given().setdefault(name, prediction)


def section(page: str) -> None:
    """A page's own questions, for a class, one after the other; the answer is shown as soon as one is given."""
    if frame.audience() != "class":
        return
    st.html(STYLE)
    for one in asked_on(page):
        options, answered = [_(option) for option in one.options], one.name in _given()
        ask(one.name, _(one.question), options, one.right, _(one.why), revealed=answered)
        if not answered:
            return


def awaited(page: str) -> bool:
    """Whether this page has to wait with its answer: on a class's walk, until its questions are answered."""
    walk = frame.walking()
    return walk is not None and walk.audience == "class" and any(one.name not in _given() for one in asked_on(page))


def score() -> str:
    """How many predictions were right; empty before the first."""
    given = tuple(_given().values())
    if not given:
        return ""
    return _("Predictions: {right} of {all} right").format(
        right=sum(one.chosen == one.right for one in given), all=len(given)
    )

"""The page Live class without a browser: a class with bots, from opening to its files."""

import pytest

from hefl_core.classroom import live_class as c
from hefl_core.classroom.addresses import LOOPBACK
from hefl_core.classroom.open_class import CLASSROOM
from hefl_core.classroom.verify import verify_class
from tests.classroom.playing import until
from tests.gui.conftest import run_on


@pytest.fixture(autouse=True)
def closed_at_the_end():
    yield
    if CLASSROOM.now is not None:
        CLASSROOM.now.close()
    CLASSROOM.now = None


def opened(app, **query):
    at = run_on(app, "live_class", **query)
    choice = at.selectbox(key="class:address")
    choice.select(next(option for option in choice.options if option.startswith(LOOPBACK)))
    at.number_input(key="class:port").set_value(0)
    at.button(key="class:open").click().run()
    assert not at.exception and not at.error
    return at, CLASSROOM.now


def said(at):
    return " ".join(block.value for block in (*at.markdown, *at.caption, *at.subheader))


def test_a_class_of_bots_from_the_wall(app, tmp_path):
    at, made = opened(app)
    assert (
        made.server.host in said(at)
        and made.live.seats.code in said(at)
        and "could read every single answer" in said(at)
    )
    at.number_input(key="class:bots").set_value(4)
    at.button(key="class:seat-bots").click().run()
    until(lambda: sum(made.live.present(seat.number) for seat in made.live.seats) == 4, "bots")
    at.text_area(key="class:questions").set_value("Tea? | yes | no\nCups? # 9")
    next(button for button in at.button if button.label == "Ask").click().run()
    assert made.live.phase == c.ASKING
    until(lambda: len(made.live.summing.addends) == 4, "answers")
    at.run()
    assert "Ciphertexts here: 4 of 4" in said(at) and made.live.summing.addends[0].digest in said(at)
    at.button(key="class:next").click().run()
    assert made.live.phase == c.SUM
    at.button(key="class:next").click().run()
    assert made.live.phase == c.RESULT and "(+2, −1)" in said(at)
    at.button(key="class:volunteer").click().run()
    until(lambda: made.live.leak is not None and made.live.leak.read, "the volunteer's update")
    at.run()
    assert not at.exception and "30 of 30 values of the patient of *`bot 1`*" in said(at)
    at.button(key="class:anonymise").click().run()
    at.button(key="class:close").click().run()
    assert not at.exception and any("its keys are gone" in one.value for one in at.success)
    path = tmp_path / "hefl.class"
    path.write_bytes(made.content)
    assert verify_class(path).bots == 4


def test_a_verb_that_does_not_fit_is_explained_and_german_and_presenter_draw(app):
    at, made = opened(app, language="de")
    at.button(key="class:train").click().run()
    assert at.error and not at.exception and made.live.phase == c.LOBBY
    at.session_state["presenter"] = True
    at.run()
    assert not at.exception and made.live.seats.code in said(at)
    assert not any(button.key == "class:close" for button in at.button)

"""A lesson's solution version, run once per test session: its verdicts, what it printed, the names it left behind."""

from dataclasses import dataclass
from functools import cache

from hefl_core.teaching import lessons
from hefl_core.teaching.exercise import AnswerVerdict
from lessons.tools.bench import Bench


@dataclass(frozen=True)
class Ran:
    """``printed``: all text that its cells showed, in order. ``names``: the notebook's variables at the end."""

    verdicts: dict[str, AnswerVerdict]
    printed: str
    names: dict[str, object]


@cache
def ran(name):
    """The lesson with its solutions, at reduced size."""
    bench, verdicts, printed = Bench(), {}, []
    for cell in lessons.read(name).solved().cells:
        if cell.markdown:
            continue
        shown = bench.run(cell)
        printed += [thing for thing in shown if isinstance(thing, str)]
        if cell.exercise:
            assert isinstance(shown[-1], AnswerVerdict), f"{cell.exercise}: the cell must end with check(…)"
            verdicts[cell.exercise] = shown[-1]
    return Ran(verdicts, "".join(printed), bench.names)

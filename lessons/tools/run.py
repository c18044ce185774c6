"""Run the solution version of the lessons from top to bottom: `python -m lessons.tools.run [--full] [--kernel] [01 02 …]`.

With --kernel the notebooks themselves, each in a Jupyter kernel; with --stubs as they are handed out, unsolved.
"""

from __future__ import annotations

import sys
import time

import plotly.graph_objects as go

from hefl_core.teaching import lessons
from hefl_core.teaching.exercise import AnswerVerdict
from hefl_core.teaching.lessons import Lesson
from lessons.tools.bench import Bench


def main(arguments: list[str]) -> int:
    """One line per lesson; the number of exercises whose solution was refused."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    refused = 0
    for name in lessons.names():
        wanted = [a for a in arguments if not a.startswith("-")]
        if wanted and name[:2] not in wanted:
            continue
        lesson, begin = lessons.read(name), time.perf_counter()
        lesson = lesson if "--stubs" in arguments else lesson.solved()
        lesson = lesson.full() if "--full" in arguments else lesson
        wrong, drawn = _in_kernel(lesson) if "--kernel" in arguments else _in_process(lesson)
        refused += wrong
        print(f"{name}: {time.perf_counter() - begin:.1f} s, {drawn} figures, {wrong} refused", flush=True)
    return refused


def _in_kernel(lesson: Lesson) -> tuple[int, int]:
    from lessons.tools import kernel  # nbclient belongs to the extras; running without a kernel needs it not

    notebook = kernel.executed(lesson)
    return kernel.refused(notebook), kernel.figures(notebook)


def _in_process(lesson: Lesson) -> tuple[int, int]:
    bench = Bench()
    shown = [thing for cell in lesson.cells if not cell.markdown for thing in bench.run(cell)]
    refused = sum(isinstance(thing, AnswerVerdict) and not thing.ok for thing in shown)
    return refused, sum(isinstance(thing, go.Figure) for thing in shown)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

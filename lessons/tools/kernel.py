"""A lesson's notebook in a real Jupyter kernel, as somebody runs it who opens it: for `lessons-full` and one test.

Like bench.py, but the built .ipynb itself is executed, in a process of its own, with what a notebook shows.
"""

from __future__ import annotations

import nbformat
from nbclient import NotebookClient

from hefl_core.teaching import lessons
from hefl_core.teaching.lessons import Lesson

SECONDS_PER_CELL = 180
FIGURE = "application/vnd.plotly.v1+json"


def executed(lesson: Lesson) -> nbformat.NotebookNode:
    """The lesson's notebook with its outputs; its cells may have been solved or put to full size.

    Raises: nbclient.exceptions.CellExecutionError with the cell's traceback.
    """
    path = lessons.FOLDER / lesson.name / "lesson.ipynb"
    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    for cell, wanted in zip(notebook.cells, lesson.cells, strict=True):
        cell.source = wanted.source
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=SECONDS_PER_CELL, kernel_name="python3", resources=where).execute()
    return notebook


def figures(notebook: nbformat.NotebookNode) -> int:
    """How many figures it shows."""
    return sum(FIGURE in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))


def refused(notebook: nbformat.NotebookNode) -> int:
    """How many answers its checks refused. Raises: AssertionError when an exercise's cell shows no verdict."""
    wrong = 0
    for cell in notebook.cells:
        if "exercise" in cell.metadata:
            printed = "".join(output.get("text", "") for output in cell.outputs)
            verdicts = [line for line in printed.splitlines() if line[2:].startswith(f"{cell.metadata.exercise}:")]
            assert len(verdicts) == 1, f"{cell.metadata.exercise}: expected one verdict, found {printed!r}"
            wrong += not verdicts[0].startswith("✓")
    return wrong

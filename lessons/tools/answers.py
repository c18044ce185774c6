"""The answer key, made from the exercises so that it cannot drift: `python -m lessons.tools.answers` writes build/answers.md."""

from __future__ import annotations

import sys
from pathlib import Path

from hefl_core.teaching import lessons
from hefl_core.teaching.exercise import Choice, Exercise, Number
from hefl_core.teaching.lessons import Lesson

FILE = Path(__file__).parents[2] / "build" / "answers.md"


def key() -> str:
    """The whole key as Markdown."""
    parts = [
        "# Answer key",
        "",
        "Made by `python -m lessons.tools.answers` from the exercises. For teachers; students have `check` and `hint`.",
    ]
    for name in lessons.names():
        lesson = lessons.read(name)
        parts += ["", f"## {lesson.number} · {lesson.title}"]
        for one in lesson.exercises:
            parts += ["", f"**{one.name}** {one.question}", "", _answer(one, lesson), "", f"*{one.why}*"]
    return "\n".join(parts) + "\n"


def _answer(one: Exercise, lesson: Lesson) -> str:
    if isinstance(one, Choice):
        return f"→ {one.right}: {one.options[one.right]}"
    if isinstance(one, Number):
        within = f" (± {one.tolerance:g})" if one.tolerance else ""
        return f"→ {one.right:.6g}{within} {one.unit}".rstrip()
    cell = next(cell for cell in lesson.solved().cells if cell.exercise == one.name)
    return f"```python\n{cell.source}\n```"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(key(), encoding="utf-8")
    print(f"{FILE.name} written", file=sys.stderr)

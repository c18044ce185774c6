"""Build the notebooks from their text: `python -m lessons.tools.build` all, `… 01` one, `… --check` none.

The text is the source: edit it, build, commit both.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext
import nbformat

from hefl_core.teaching import lessons

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def built(path: Path) -> str:
    """The notebook of a text file, without outputs; the same text gives the same bytes."""
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
    return nbformat.writes(notebook, version=4) + "\n"


def texts(numbers: list[str]) -> list[Path]:
    """The text files of these lessons, or of all: the lessons and the role play."""
    every = [*lessons.FOLDER.glob("[0-9][0-9]_*/lesson.py"), *lessons.FOLDER.glob("roles/*.py")]
    return sorted(
        p for p in every if not numbers or any(n in (p.parent.name[: len(n)], p.stem[: len(n)]) for n in numbers)
    )


def main(arguments: list[str]) -> int:
    """Build, or with --check say which notebooks differ from their text."""
    differ = 0
    for path in texts([a for a in arguments if not a.startswith("-")]):
        notebook, fresh = path.with_suffix(".ipynb"), built(path)
        if notebook.exists() and notebook.read_text(encoding="utf-8") == fresh:
            continue
        differ += 1
        if "--check" not in arguments:
            notebook.write_text(fresh, encoding="utf-8")
        print(
            f"{notebook.relative_to(lessons.FOLDER)} {'differs from its text' if '--check' in arguments else 'built'}"
        )
    return differ if "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

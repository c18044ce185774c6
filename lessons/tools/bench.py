"""Running a lesson's cells without a kernel: for the tests and for the Lessons page; kernel.py has one.

It stands outside the library, where nothing is ever evaluated; it runs the repository's own lessons and no other text.
"""

from __future__ import annotations

import ast

from hefl_core.teaching.lessons import LessonCell


class Bench:
    """Runs cells one after another in one namespace, ``names``, as a notebook does, without a kernel."""

    def __init__(self) -> None:
        self.names: dict[str, object] = {"__name__": "__lesson__", "print": self._print, "display": self._display}
        self._out: list[object] = []

    def run(self, cell: LessonCell) -> tuple[object, ...]:
        """What the cell shows: printed text (str) and displayed objects, last the value of its last line if any.

        Raises: whatever the cell raises.
        """
        self._out = []
        tree = ast.parse(cell.source)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<cell>", "exec"), self.names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), self.names)
            if value is not None:
                self._out.append(value)
        return tuple(self._out)

    def _print(self, *values: object, sep: str = " ", end: str = "\n", **_: object) -> None:
        text = sep.join(map(str, values)) + end
        if self._out and isinstance(self._out[-1], str):
            text = f"{self._out.pop()}{text}"
        self._out.append(text)

    def _display(self, *values: object) -> None:
        self._out.extend(values)

"""Foreign text on a page: error texts, file and column names, contents of an uploaded record.

All such text passes through here (tests/gui/test_quoting.py reads the pages' sources). In Markdown it becomes a code span,
the one place where Markdown, HTML, formulas, icons, colours and links have no meaning. The emphasis around it tells the style
sheet to set it in the page's own type.
"""

from __future__ import annotations

import re
from html import escape

from hefl_core.shown import LONGEST, visible

_TICKS = re.compile("`+")
STYLE = """<style>
em code { font: inherit !important; font-style: italic !important; color: inherit !important; background: none !important;
  padding: 0 !important; white-space: normal !important; overflow-wrap: anywhere; unicode-bidi: isolate; }
</style>"""


def quoted(text: object, most: int = LONGEST) -> str:
    """Markdown that shows this text as it is. Set a space before and after it."""
    said = visible(text, most).strip() or "–"
    # only a run of as many backticks ends a code span: one more than the text's longest cannot be closed from inside
    fence = "`" * (1 + max((len(run) for run in _TICKS.findall(said)), default=0))
    pad = " " if "`" in (said[0], said[-1]) else ""
    return f"*{fence}{pad}{said}{pad}{fence}*"


def in_html(text: object, most: int = LONGEST) -> str:
    """HTML, also for an attribute, that shows this text as it is."""
    return escape(visible(text, most))

"""Decisions of the table reader as sentences of a screen, in its language."""

from __future__ import annotations

from typing import Final

from hefl_core.shown import visible
from hefl_core.tables.decision import Decision
from pages.parts.i18n import _

_WORDS: Final = ("how", "mark", "kind", "order", "fill", "name")
"""Fields whose texts are the reader's own words; all others are text of the table, and stay as they are."""


def sentence(decision: Decision) -> str:
    """One decision. It may hold text of the table: quote it where Markdown is read."""
    words = {name: _(text) if name in _WORDS and text else text for name, text in decision.fields}
    return visible(_(decision.template).format(**words))

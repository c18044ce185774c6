"""Decisions of the table reader as sentences of a screen, in its language, and a table of all columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from hefl_core.app.own_table import ColumnRow
from hefl_core.shown import visible
from hefl_core.tables.decision import Decision
from pages.parts.i18n import _
from pages.parts.quoting import in_html

_WORDS: Final = ("how", "mark", "kind", "order", "fill", "name")
"""Fields whose texts are the reader's own words; all others are text of the table, and stay as they are."""


STYLE = """<style>
.decided { max-height: 28rem; overflow: auto; }
.decided table { border-collapse: collapse; width: 100%; font-size: .9rem; border: 0; }
.decided th { text-align: left; font-weight: 600; position: sticky; top: 0; background: var(--background-color, Canvas); }
.decided th, .decided td { padding: .25rem .6rem; border: 0; vertical-align: top;
  border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
.decided td { overflow-wrap: anywhere; }
.decided td:first-child { font-weight: 600; min-width: 7rem; max-width: 16rem; }
.decided td:nth-child(2) { white-space: nowrap; }
.decided tr.out td:not(:last-child) { opacity: .6; }
</style>"""


def columns_table(rows: Sequence[ColumnRow]) -> str:
    """All columns: name, what it is read as, why, and how to change it. Every text of the table is escaped."""
    head = "".join(f"<th>{in_html(text)}</th>" for text in (_("Column"), _("Read as"), _("Why, and how to change it")))
    return f'{STYLE}<div class="decided"><table><tr>{head}</tr>{"".join(_row(row) for row in rows)}</table></div>'


def _row(row: ColumnRow) -> str:
    read_as = _(row.read_as) if row.learnt else _("left out: {why}").format(why=_(row.read_as))
    why = "<br>".join(in_html(sentence(decision)) for decision in row.decisions)
    return f'<tr class="{"in" if row.learnt else "out"}"><td>{in_html(row.name)}</td><td>{in_html(read_as)}</td><td>{why}</td></tr>'


def cut_box(key: str) -> str:
    """A box for the number at which a measured label is cut in two; what was typed."""
    return st.text_input(_("Cut above: two classes of a measured label, up to this number and above it"), key=key)


def sentence(decision: Decision) -> str:
    """One decision. It may hold text of the table: quote it where Markdown is read."""
    words = {name: _(text) if name in _WORDS and text else text for name, text in decision.fields}
    return visible(_(decision.template).format(**words))

"""The browser's history: one entry per page, so that *Back* leads to the page before.

Streamlit adds an entry for each change of the address. Here a change that stays on the page replaces the entry.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_COMPONENT = st.components.v2.component(
    "hefl_history", js=(Path(__file__).parent / "history.js").read_text(encoding="utf-8")
)


def history(query: str) -> None:
    """Replace the address's query by ``query`` where one is given."""
    _COMPONENT(key="history", data={"query": query})

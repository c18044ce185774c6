"""What Streamlit's own markup lacks, mended in the browser: the document's language, roles, names, focus.

docs/accessibility.md lists each repair; a test takes them away and fails when one is no longer needed.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_COMPONENT = st.components.v2.component(
    "hefl_access", js=(Path(__file__).parent / "access.js").read_text(encoding="utf-8")
)


def access(language: str) -> None:
    """Say the document's language, and mend what is drawn from now on."""
    _COMPONENT(key="access", data={"language": language})

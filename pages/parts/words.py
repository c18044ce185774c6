"""Every string of the interface passes through here, so that a translation is a file and not a change."""

from __future__ import annotations

import gettext
import os
from functools import lru_cache
from pathlib import Path

import streamlit as st

_FOLDER = Path(__file__).parents[2] / "locale"


@lru_cache(maxsize=8)
def _translation(language: str) -> gettext.NullTranslations:
    return gettext.translation("hefl", _FOLDER, languages=[language], fallback=True)


def language() -> str:
    """The language of this screen: the URL's, the machine's, or English."""
    return str(st.session_state.get("language") or os.environ.get("HEFL_LANGUAGE", "en"))


def _(text: str) -> str:
    """The text in the language of this screen."""
    return _translation(language()).gettext(text)

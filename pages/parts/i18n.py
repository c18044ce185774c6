"""Translation: every string of the interface passes through here, so that a language is a file and no change of code."""

from __future__ import annotations

import gettext
import io
import os
from functools import lru_cache
from pathlib import Path

import streamlit as st
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

_FOLDER = Path(__file__).parents[2] / "locale"


@lru_cache(maxsize=8)
def _translation(language: str) -> gettext.NullTranslations:
    """Compile the translators' file on demand: no compiled copy can be out of date."""
    source = _FOLDER / Path(language).name / "LC_MESSAGES" / "hefl.po"
    if not source.is_file():
        return gettext.NullTranslations()
    with source.open("rb") as text:
        catalogue = read_po(text, locale=Path(language).name)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@lru_cache(maxsize=8)
def _sources(language: str) -> dict[str, str]:
    """Of every translation its English text."""
    path = _FOLDER / Path(language).name / "LC_MESSAGES" / "hefl.po"
    if not path.is_file():
        return {}
    with path.open("rb") as text:
        return {str(message.string): str(message.id) for message in read_po(text) if message.id and message.string}


def language() -> str:
    """The language of the interface: the URL's, the machine's, or English."""
    return str(st.session_state.get("language") or os.environ.get("HEFL_LANGUAGE", "en"))


def _(text: str) -> str:
    """Translate a text into the language of the interface."""
    return _translation(language()).gettext(text)


def source(text: str) -> str:
    """The English text of what :func:`_` returned: a name that no translation changes."""
    return _sources(language()).get(text, text)

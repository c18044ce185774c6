"""Translation: every string of the interface passes through here, so that a language is a file and no change of code."""

from __future__ import annotations

import gettext
import io
import os
import re
import string
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st
from babel import Locale, UnknownLocaleError
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

_FOLDER = Path(__file__).parents[2] / "locale"
_NUMBER = re.compile(r"(?<![\w.,])(?:0|[1-9]\d*)(?:,\d{3})*(?:\.\d+)?(?![\w,]*\.?\d)")
_QUANTITY = re.compile(rf"[<≈+−-]? ?{_NUMBER.pattern} ?(?:B|[kMG]B|[mµ]?s|%|×|dB)?")


class _Filled(string.Formatter):
    """Fills the fields of a text. Numbers, and quantities that come as text ("68.9 kB"), are written as ``marks`` says."""

    def __init__(self, marks: dict[int, str]) -> None:
        self._marks = marks

    def format_field(self, value: Any, spec: str) -> Any:
        text = format(value, spec)
        number = not isinstance(value, str) or _QUANTITY.fullmatch(value)
        return _NUMBER.sub(lambda found: found[0].translate(self._marks), text) if number else text


class _Text(str):
    """A translated text: the numbers that are filled in are written as its language writes them."""

    __slots__ = ("language",)
    language: str

    def format(self, *args: object, **fields: object) -> str:
        return _Filled(_marks(self.language)).vformat(self, args, fields)


@lru_cache(maxsize=8)
def _marks(language: str) -> dict[int, str]:
    """What this language writes for the decimal point and for the comma between thousands; empty where it is the same."""
    try:
        signs = Locale.parse(language.replace("-", "_")).number_symbols["latn"]
    except (UnknownLocaleError, ValueError):
        return {}
    return {ord(mark): sign for mark, sign in ((".", signs["decimal"]), (",", signs["group"])) if mark != sign}


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
    """Translate a text into the language of the interface. Its ``format`` writes numbers as that language does."""
    spoken = language()
    said = _translation(spoken).gettext(text)
    if not _marks(spoken):
        return said
    translated = _Text(said)
    translated.language = spoken
    return translated


def numeral(text: str) -> str:
    """A number that was written in English, as the language of the interface writes it: "1,058.5 B" is "1.058,5 B"."""
    marks = _marks(language())
    return _NUMBER.sub(lambda found: found[0].translate(marks), text) if marks else text


def separators() -> str:
    """Decimal mark and mark between thousands, as plotly takes them."""
    return "".join(_marks(language()).get(ord(mark), mark) for mark in ".,")


def source(text: str) -> str:
    """The English text of what :func:`_` returned: a name that no translation changes."""
    return _sources(language()).get(text, text)

"""A picture on the screen: its words and numbers in the screen's language, legible from the back row on a projector."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from hefl_core.figures.words import in_words
from pages.parts import frame
from pages.parts.i18n import _, numeral, separators

PROJECTED = 1.3
"""How much larger its type is in presenter mode."""


def chart(picture: go.Figure, *, key: str, on: DeltaGenerator | None = None, **options: Any) -> None:
    """Draw a picture, on ``on`` where that is given. Its name for those who do not see it is made of its words (access.js)."""
    drawn = in_words(picture, lambda text: numeral(_(text)), separators())
    if frame.presenter():
        _enlarge(drawn)
    (st.plotly_chart if on is None else on.plotly_chart)(drawn, key=key, **options)


def _enlarge(picture: go.Figure) -> None:
    axes = (*picture.select_xaxes(), *picture.select_yaxes())
    marks = (mark.font for mark in picture.select_annotations())
    for font in (picture.layout.font, *marks, *(axis.tickfont for axis in axes)):
        if font.size is not None:
            font.size = round(PROJECTED * font.size)

"""A picture on the screen: its words and numbers in the screen's language, legible from the back row on a projector."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.parts import frame
from pages.parts.i18n import _, numeral, separators

PROJECTED = 1.3
"""How much larger its type is in presenter mode."""


def chart(picture: go.Figure, *, key: str, on: DeltaGenerator | None = None, **options: Any) -> None:
    """Draw a picture, on ``on`` where that is given. Its name for those who do not see it is made of its words (access.js)."""
    drawn = in_words(picture)
    if frame.presenter():
        _enlarge(drawn)
    (st.plotly_chart if on is None else on.plotly_chart)(drawn, key=key, **options)


def in_words(picture: go.Figure) -> go.Figure:
    """The picture with titles, legends, marks and categories translated; what no catalogue knows stays."""
    picture.update_layout(separators=separators())
    for axis in (*picture.select_xaxes(), *picture.select_yaxes()):
        axis.title.text = _said(axis.title.text)
        if axis.ticktext is not None:
            axis.ticktext = _several(axis.ticktext)
    for mark in picture.layout.annotations:
        mark.text = _said(mark.text)
    for trace in picture.data:
        trace.name = _said(trace.name)
        if trace.type == "bar":
            trace.x, trace.y = _several(trace.x), _several(trace.y)
            if trace.text is not None:
                trace.text = [numeral(text) for text in trace.text]
    return picture


def _enlarge(picture: go.Figure) -> None:
    axes = (*picture.select_xaxes(), *picture.select_yaxes())
    marks = (mark.font for mark in picture.select_annotations())
    for font in (picture.layout.font, *marks, *(axis.tickfont for axis in axes)):
        if font.size is not None:
            font.size = round(PROJECTED * font.size)


def _said(text: str | None) -> str | None:
    return numeral(_(text)) if text else text


def _several(values: Any) -> Any:
    """Categories are words; numbers stay as they are."""
    if values is None or not all(isinstance(value, str) for value in values):
        return values
    return [_said(value) for value in values]

"""A picture on the screen, its words in the screen's language."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from pages.parts.i18n import _


def chart(picture: go.Figure, *, key: str, **options: Any) -> None:
    """Draw a picture. Its name for those who do not see it is made of these words (access.js)."""
    st.plotly_chart(in_words(picture), key=key, **options)


def in_words(picture: go.Figure) -> go.Figure:
    """The picture with titles, legends, marks and categories translated; what no catalogue knows stays."""
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
    return picture


def _said(text: str | None) -> str | None:
    return _(text) if text else text


def _several(values: Any) -> Any:
    """Categories are words; numbers stay as they are."""
    if values is None or not all(isinstance(value, str) for value in values):
        return values
    return [_said(value) for value in values]

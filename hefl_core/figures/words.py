"""The words of a picture in the language of the screen or the report that shows it."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from hefl_core.figures.style import Say


def in_words(picture: go.Figure, say: Say, separators: str) -> go.Figure:
    """The picture with titles, legends, marks, categories and the texts of bars as ``say`` has them; the rest stays.

    ``separators``: the decimal mark and the mark between thousands, as plotly takes them.
    """
    picture.update_layout(separators=separators)
    for axis in (*picture.select_xaxes(), *picture.select_yaxes()):
        axis.title.text = _said(axis.title.text, say)
        if axis.ticktext is not None:
            axis.ticktext = _several(axis.ticktext, say)
    for mark in picture.layout.annotations:
        mark.text = _said(mark.text, say)
    for trace in picture.data:
        trace.name = _said(trace.name, say)
        if trace.type == "bar":
            trace.x, trace.y, trace.text = (_several(values, say) for values in (trace.x, trace.y, trace.text))
    return picture


def _said(text: str | None, say: Say) -> str | None:
    return say(text) if text else text


def _several(values: Any, say: Say) -> Any:
    """Categories are words; numbers stay as they are."""
    if values is None or isinstance(values, str) or not all(isinstance(value, str) for value in values):
        return values
    return [say(value) if value else value for value in values]

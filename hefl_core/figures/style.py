"""The style of every picture: Okabe–Ito colours with a dash and a marker each, light and dark, few lines, large type."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import plotly.graph_objects as go

from hefl_core.shown import visible

Say = Callable[[str], str]
"""Translates a sentence's template (figures/said.py lists them); ``str`` leaves it English."""
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999", "#F0E442")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid", "dash")
MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star", "triangle-down")
MOST_LINES = 8
_LABEL_LENGTH = 40
_INK_AND_GRID = {False: ("#1b2733", "#dde3e8"), True: ("#e6edf3", "#33404d")}
"""By whether the page is dark."""
FONT = "Source Sans, Source Sans Pro, sans-serif"
"""The pages' own typeface. No name with a digit: unquoted it is invalid, the browser drops the whole list, and legends are
measured in one typeface and drawn, cut off, in another."""


def line(place: int) -> dict[str, Any]:
    """Colour, dash and marker of the line at this place."""
    at = place % MOST_LINES
    return {
        "line": {"color": COLOURS[at], "dash": DASHES[at], "width": 2.5},
        "marker": {"symbol": MARKERS[at], "size": 8, "color": COLOURS[at]},
    }


def figure(*, dark: bool, height: int = 380, x: str = "", y: str = "") -> go.Figure:
    """An empty figure in the common style; transparent, so that the page's background shows."""
    ink, grid = _INK_AND_GRID[dark]
    axis = {"gridcolor": grid, "zerolinecolor": grid, "linecolor": grid, "title_standoff": 14, "automargin": True}
    return go.Figure(
        layout={
            "height": height,
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": ink, "size": 14, "family": FONT},
            "margin": {"l": 60, "r": 15, "t": 15, "b": 50},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "hovermode": "x unified",
            "xaxis": axis | {"title": {"text": x}},
            "yaxis": axis | {"title": {"text": y}},
        }
    )


def label(text: str) -> str:
    """Escape an outside name (a column, a class) for axis, legend and hover: plotly interprets tags, links too.

    >>> label("<a href='http://a.b'>x</a>")
    "&lt;a href='http://a.b'&gt;x&lt;/a&gt;"
    """
    return escape(visible(text, _LABEL_LENGTH), quote=False)


def on_ground(picture: go.Figure, *, dark: bool) -> go.Figure:
    """A picture drawn without a page, recoloured in the page's own ink and grid.

    >>> on_ground(figure(dark=False), dark=True).layout.font.color
    '#e6edf3'
    """
    ink, grid = _INK_AND_GRID[dark]
    again = go.Figure(picture)
    again.update_layout(font_color=ink)
    again.update_xaxes(gridcolor=grid, zerolinecolor=grid, linecolor=grid)
    again.update_yaxes(gridcolor=grid, zerolinecolor=grid, linecolor=grid)
    return again


def embed(picture: go.Figure, *, with_library: bool) -> str:
    """The picture as HTML; the first one of a page includes plotly.js, so the page needs no network."""
    return str(picture.to_html(full_html=False, include_plotlyjs=with_library, config={"displaylogo": False}))

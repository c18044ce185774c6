"""Attacks on a run's own messages, drawn: the same attack on the run and on its plaintext twin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hefl_core.attacks.result import AttackResult
from hefl_core.figures.attacks import GREY, as_pictures, square
from hefl_core.figures.style import Say, figure, label, line

MOST_FEATURES = 30


def label_shares(results: Sequence[AttackResult], names: Sequence[str], *, dark: bool = False) -> go.Figure:
    """Every label's share at every victim: what is true against what was read. On the diagonal: read exactly."""
    picture = figure(dark=dark, height=300, x="true share of a label", y="share read")
    picture.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": "grey", "dash": "dot"}, name="exact", hoverinfo="skip"
    )
    for place, (result, name) in enumerate(zip(results, names, strict=True)):
        marker = line(place * 5)["marker"] | {"size": 9, "opacity": 0.8}
        picture.add_scatter(
            x=result.array("true").ravel(), y=result.array("read").ravel(), mode="markers", name=name, marker=marker
        )
    picture.update_xaxes(range=[-0.03, 1.03])
    picture.update_yaxes(range=[-0.03, 1.03])
    picture.update_layout(hovermode="closest")
    return picture


def nearest_picture(
    results: Sequence[AttackResult], names: Sequence[str], side: int, *, dark: bool = False
) -> go.Figure:
    """The best guess at a record of the smallest victim, and the record nearest to it."""
    titles = [title for name in names for title in (f"{name}: the guess", "nearest record")]
    picture = make_subplots(1, len(titles), horizontal_spacing=0.03, subplot_titles=titles)
    shown = [result.array(what) for result in results for what in ("guess", "record")]
    for column, values in enumerate(shown, 1):
        picture.add_heatmap(
            z=square(values, side), colorscale=GREY, zmin=0, zmax=1, showscale=False, row=1, col=column, hoverinfo="z"
        )
    as_pictures(picture, dark=dark, height=230)
    return picture


def nearest_row(
    results: Sequence[AttackResult], names: Sequence[str], columns: Sequence[str], *, dark: bool = False
) -> go.Figure:
    """The same for a table: standard deviations from the mean, feature by feature."""
    picture = figure(dark=dark, height=360, y="standard deviations")
    labels = [label(name) for name in columns[:MOST_FEATURES]]
    for place, (result, name) in enumerate(zip(results, names, strict=True)):
        marker = line(place * 5)["marker"]
        ring = marker | {"symbol": "circle-open", "size": 14, "line": {"width": 2}}
        for what, said, drawn in (("record", "nearest record", ring), ("guess", "the guess", marker)):
            values = np.clip(result.array(what)[:MOST_FEATURES], -6, 6)
            picture.add_scatter(x=labels, y=values, mode="markers", name=f"{name}: {said}", marker=drawn)
    picture.update_xaxes(tickangle=-45, tickfont={"size": 11})
    picture.update_layout(margin_b=120, hovermode="closest")
    return picture


def nearest_caption(results: Sequence[AttackResult], names: Sequence[str], say: Say = str) -> str:
    """The picture in a sentence."""
    said = []
    for result, name in zip(results, names, strict=True):
        records, quality = int(result.array("recovered")[:, 0].min()), float(result.array("psnr")[0])
        said.append(
            say("{name}: {quality:.0f} dB at best, from an update taken for {records} records").format(
                name=name, quality=quality, records=records
            )
        )
    return "; ".join(said) + say(". Above 30 dB it is the record.")

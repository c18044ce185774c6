"""Accuracy and loss over a training, against rounds, bytes or seconds, and the difference to plain FedAvg."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

from hefl_core.figures.style import COLOURS, MOST_LINES, figure, label, line
from hefl_core.learning.partition import LabelTable

Against = Literal["round", "megabytes", "seconds"]
Measure = Literal["accuracy", "loss"]
AXES = {"round": "round", "megabytes": "MB sent by one client", "seconds": "seconds since the start"}


@dataclass(frozen=True, slots=True)
class Point:
    """One training after one round. ``megabytes``: sent by one client so far; ``seconds``: since the start."""

    round: int
    accuracy: float
    loss: float
    megabytes: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Curve:
    """One training. ``control`` marks plain FedAvg, which the others are compared with."""

    name: str
    points: tuple[Point, ...]
    control: bool = False


def curves(lines: Sequence[Curve], measure: Measure, against: Against, *, dark: bool = False) -> go.Figure:
    """One line per training. Trainings that send nothing have no place against bytes and are left out there."""
    picture = figure(dark=dark, x=AXES[against], y=f"{measure} on the hold-out set")
    _whole_rounds(picture, lines, against)
    if measure == "accuracy":
        picture.update_yaxes(range=[0, 1.02])
    for place, one in enumerate(lines[:MOST_LINES]):
        if against == "megabytes" and not any(point.megabytes for point in one.points):
            continue
        picture.add_scatter(
            x=[getattr(point, against) for point in one.points],
            y=[getattr(point, measure) for point in one.points],
            name=one.name,
            mode="lines+markers",
            **line(place),
        )
    return picture


def _whole_rounds(picture: go.Figure, lines: Sequence[Curve], against: Against = "round") -> None:
    """Rounds are whole numbers: no tick between two of them."""
    if against == "round" and max((len(one.points) for one in lines), default=0) <= 12:
        picture.update_xaxes(dtick=1)


def differences(lines: Sequence[Curve], measure: Measure, *, dark: bool = False) -> go.Figure:
    """Each training minus plain FedAvg, round by round: what encryption changes."""
    picture = figure(dark=dark, height=240, x="round", y=f"{measure} − plain")
    _whole_rounds(picture, lines)
    plain = next((one for one in lines if one.control), None)
    reference = {point.round: getattr(point, measure) for point in plain.points} if plain else {}
    for place, one in enumerate(lines[:MOST_LINES]):
        shared = [point for point in one.points if point.round in reference]
        if one is plain or not shared:
            continue
        picture.add_scatter(
            x=[point.round for point in shared],
            y=[getattr(point, measure) - reference[point.round] for point in shared],
            name=one.name,
            mode="lines+markers",
            **line(place),
        )
    return picture


def caption(lines: Sequence[Curve], measure: Measure) -> str:
    """The picture in one sentence: the last value of each line."""
    said = [f"{one.name} {getattr(one.points[-1], measure):.3f}" for one in lines if one.points]
    return f"{measure} after the last round: {', '.join(said)}." if said else "Nothing is trained yet."


def labels(table: LabelTable, *, dark: bool = False) -> go.Figure:
    """How many examples of each class each client has: stacked bars."""
    picture = figure(dark=dark, height=260, x="client", y="examples")
    picture.update_layout(barmode="stack", hovermode="closest")
    for place, name in enumerate(table.classes):
        picture.add_bar(
            x=[f"{client}" for client in range(1, len(table.counts) + 1)],
            y=[row[place] for row in table.counts],
            name=label(name),
            marker={"color": COLOURS[place % len(COLOURS)], "pattern": {"shape": ["", "/", ".", "x"][place // 8 % 4]}},
        )
    return picture

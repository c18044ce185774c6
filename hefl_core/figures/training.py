"""Accuracy, its companions for a rare class, and loss over a training, and the difference to plain FedAvg."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import plotly.graph_objects as go

from hefl_core.evaluation import ClassMetrics
from hefl_core.figures.style import COLOURS, MOST_LINES, Say, figure, label, line
from hefl_core.learning.partition import LabelTable

Against = Literal["round", "megabytes", "seconds"]
Measure = Literal["accuracy", "balanced_accuracy", "average_precision", "loss"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
AXES = {"round": "round", "megabytes": "MB sent by one client", "seconds": "seconds since the start"}


@dataclass(frozen=True, slots=True)
class Point:
    """One training after one round. ``megabytes``: sent by one client so far; ``seconds``: since the start.

    ``metrics``: by class; None where nobody observed.
    """

    round: int
    accuracy: float
    loss: float
    megabytes: float = 0.0
    seconds: float = 0.0
    metrics: ClassMetrics | None = None

    @property
    def balanced_accuracy(self) -> float:
        """0..1, or NaN, which a line leaves out."""
        return math.nan if self.metrics is None else self.metrics.balanced_accuracy

    @property
    def average_precision(self) -> float:
        """0..1, or NaN where it is not defined, which a line leaves out."""
        found = None if self.metrics is None else self.metrics.average_precision
        return math.nan if found is None else found


@dataclass(frozen=True, slots=True)
class Curve:
    """One training. ``control`` marks plain FedAvg, which the others are compared with."""

    name: str
    points: tuple[Point, ...]
    control: bool = False


def curves(lines: Sequence[Curve], measure: Measure, against: Against, *, dark: bool = False) -> go.Figure:
    """One line per training. Trainings that send nothing have no place against bytes and are left out there.

    Under accuracy a dotted line marks what always naming the most frequent class would get.
    """
    picture = figure(dark=dark, x=AXES[against], y=f"{_words(measure)} on the hold-out set")
    _whole_rounds(picture, lines, against)
    if measure != "loss":
        picture.update_yaxes(range=[0, 1.02])
    last = last_metrics(lines)
    if measure == "accuracy" and last is not None:
        picture.add_hline(y=last.majority_share, line_dash="dot", annotation_text="the most frequent class")
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


@dataclass(frozen=True, slots=True)
class Beside:
    """A finished training beside the control: accuracy after the last round they share, and the largest gap of any round."""

    name: str
    accuracy: float
    control: float
    gap: float


def beside_control(lines: Sequence[Curve], names: Sequence[str]) -> tuple[Beside, ...]:
    """Each of the named trainings beside the control; none where there is no control or nothing is finished."""
    control = next((one for one in lines if one.control), None)
    if control is None:
        return ()
    found = []
    for one in lines:
        pairs = list(zip(one.points, control.points, strict=False))
        if one.name in names and pairs:
            gap = max(abs(mine.accuracy - its.accuracy) for mine, its in pairs)
            found.append(Beside(one.name, pairs[-1][0].accuracy, pairs[-1][1].accuracy, gap))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Alone:
    """Accuracies after the last round: the best and the worst client alone, and all clients together in plain."""

    best: float
    worst: float
    together: float


def alone_beats_together(lines: Sequence[Curve]) -> Alone | None:
    """The accuracies where the best client alone ends above training together; None where it does not, or is not known."""
    done = max((len(one.points) for one in lines), default=0)
    ended = [one for one in lines if done and len(one.points) == done]
    last = {"together" if one.control else one.name: one.points[-1].accuracy for one in ended}
    best, worst, together = (last.get(name) for name in ("best client alone", "worst client alone", "together"))
    if best is None or worst is None or together is None or best <= together:
        return None
    return Alone(best, worst, together)


def last_metrics(lines: Sequence[Curve]) -> ClassMetrics | None:
    """The metrics by class of the last point that has some."""
    found = [point.metrics for one in lines for point in one.points if point.metrics is not None]
    return found[-1] if found else None


def confusion(metrics: ClassMetrics, classes: Sequence[str], *, dark: bool = False) -> go.Figure:
    """Hold-out rows by true and predicted class; the colour is the share of the true class, so that a rare one shows."""
    names = [f"{at} {label(name)}" if name != str(at) else name for at, name in enumerate(classes)]
    picture = figure(dark=dark, height=120 + 32 * max(4, len(names)), x="predicted", y="true")
    shares = [[count / max(1, sum(row)) for count in row] for row in metrics.confusion]
    picture.add_heatmap(
        x=names,
        y=names,
        z=shares,
        zmin=0,
        zmax=1,
        text=metrics.confusion,
        texttemplate="%{text}",
        colorscale="Blues",
        showscale=False,
        hovertemplate="true %{y}, predicted %{x}: %{text}<extra></extra>",
    )
    picture.update_layout(hovermode="closest")
    picture.update_xaxes(type="category")
    picture.update_yaxes(type="category", autorange="reversed")
    return picture


def _words(measure: Measure) -> str:
    return measure.replace("_", " ")


def _whole_rounds(picture: go.Figure, lines: Sequence[Curve], against: Against = "round") -> None:
    """Rounds are whole numbers: no tick between two of them."""
    if against == "round" and max((len(one.points) for one in lines), default=0) <= 12:
        picture.update_xaxes(dtick=1)


def differences(lines: Sequence[Curve], measure: Measure, *, dark: bool = False) -> go.Figure:
    """Each training minus plain FedAvg, round by round: what encryption changes."""
    picture = figure(dark=dark, height=240, x="round", y=f"{_words(measure)} − plain")
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


def caption(lines: Sequence[Curve], measure: Measure, say: Say = str) -> str:
    """The picture in one sentence: the last value of each line."""
    said = [
        say("{name} {value:.3f}").format(name=say(one.name), value=getattr(one.points[-1], measure))
        for one in lines
        if one.points
    ]
    if not said:
        return say("Nothing is trained yet.")
    return say("{measure} after the last round: {values}.").format(measure=say(_words(measure)), values="; ".join(said))


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

"""One run as one HTML file: experiment, course, checks, and what is not promised. Prints to PDF."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from hefl_core.checks.claims.ledger import LEDGER, NOT_PROMISED
from hefl_core.figures.style import embed
from hefl_core.figures.training import Curve, Point, curves
from hefl_core.runtime.result import RunResult
from hefl_core.wire.canonical import encode


def curve_of(result: RunResult) -> Curve:
    """A finished run as a curve for figures/training.py."""
    sent, points, seconds = 0.0, [], 0.0
    for item in result.rounds:
        sent += item.bytes.upload_per_client / 1e6
        seconds += item.seconds.total
        points.append(Point(item.round, item.accuracy or 0.0, item.loss or 0.0, sent, seconds, item.metrics))
    return Curve(result.experiment.scheme, tuple(points), control=result.experiment.scheme == "plaintext")


def to_html(result: RunResult, more: Sequence[Curve] = ()) -> str:
    """Render the report. plotly.js is embedded once, so that the file needs no network.

    Leaks: accuracies, sizes, times and digests; neither keys nor updates.
    """
    count, head = result.transcript.tail
    environment = Environment(
        loader=PackageLoader("hefl_core", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    lines = (curve_of(result), *more)
    pictures = [curves(lines, "accuracy", "round"), curves(lines, "loss", "round")]
    return environment.get_template("report.html").render(
        result=result,
        experiment_json=result.experiment.to_json(),
        manifest=encode(result.transcript.manifest).hex()[:32],
        run=result.transcript.manifest.id,
        lines=count,
        head=head.hex(),
        messages=len(result.transcript.sent),
        pictures=[embed(picture, with_library=number == 0) for number, picture in enumerate(pictures)],
        claims=[(claim, next((f for f in result.claims if f.id == claim.id), None)) for claim in LEDGER],
        not_promised=NOT_PROMISED,
    )

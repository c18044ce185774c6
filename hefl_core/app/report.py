"""One run as a document of one HTML file: summary, course, attack beside its control, checks, limits. Prints to PDF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

from jinja2 import Environment, PackageLoader, StrictUndefined

from hefl_core.app.attacked import Attacked
from hefl_core.attacks.on_run import Reading
from hefl_core.checks.claims.count import count as counts
from hefl_core.checks.claims.ledger import LEDGER, NOT_PROMISED
from hefl_core.figures.style import embed
from hefl_core.figures.training import Curve, Point, curves
from hefl_core.figures.words import in_words
from hefl_core.runtime.result import RunResult
from hefl_core.wire.canonical import encode

MAX_NAME = 120
"""Characters of a title or an author that a report prints."""


@dataclass(frozen=True)
class Cover:
    """What stands above a report, and for whom it is written.

    ``audience``: a stakeholder gets words, the attack and the limits; a class the rounds too; a thesis sources and digests.
    ``translate``: from English into ``language``, an ISO 639 code. ``separators``: its decimal mark and the one between
    thousands.
    """

    title: str = ""
    author: str = ""
    day: date = field(default_factory=date.today)
    audience: str = "thesis"
    language: str = "en"
    translate: Callable[[str], str] = str
    separators: str = ".,"


def curve_of(result: RunResult) -> Curve:
    """A finished run as a curve for figures/training.py."""
    sent, points, seconds = 0.0, [], 0.0
    for item in result.rounds:
        sent += item.bytes.upload_per_client / 1e6
        seconds += item.seconds.total
        points.append(Point(item.round, item.accuracy or 0.0, item.loss or 0.0, sent, seconds, item.metrics))
    return Curve(result.experiment.scheme, tuple(points), control=result.experiment.scheme == "plaintext")


def to_html(
    result: RunResult, cover: Cover | None = None, attacked: Sequence[Attacked] = (), more: Sequence[Curve] = ()
) -> str:
    """Render the report. plotly.js is embedded once, so that the file needs no network.

    ``attacked``: attacks on this run beside their control; ``more``: other trainings, drawn beside this one.
    Leaks: accuracies, sizes, times and digests; neither keys nor updates.
    """
    cover = cover or Cover()
    count, head = result.transcript.tail
    environment = Environment(
        loader=PackageLoader("hefl_core", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    lines = (curve_of(result), *more)
    drawn = (curves(lines, "accuracy", "round"), curves(lines, "loss", "round"))
    pictures = [in_words(picture, cover.translate, cover.separators) for picture in drawn]
    return environment.get_template("report.html").render(
        _=cover.translate,
        cover=cover,
        data=result.data_name,
        summary=_summary(result, attacked, cover.translate),
        attacked=attacked,
        Reading=Reading,
        result=result,
        shared=sharing(result, cover.translate),
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


def sharing(result: RunResult, _: Callable[[str], str]) -> tuple[str, ...]:
    """The parties that share a process, in words."""
    said = _("{parties} share a process")
    return tuple(said.format(parties=one.removesuffix(" share a process")) for one in result.shared_processes)


def _summary(result: RunResult, attacked: Sequence[Attacked], _: Callable[[str], str]) -> tuple[str, ...]:
    """The run in three sentences: what was trained, what the checks found, what the coordinator's seat could read."""
    last = result.rounds[-1]
    accuracy = _("an accuracy that nobody observed") if last.accuracy is None else f"{last.accuracy:.3f}"
    trained = _(
        "{clients} clients trained {model} ({parameters} parameters) on {data} under {scheme} and reached "
        "accuracy {accuracy}; rounds: {rounds}."
    ).format(
        clients=result.experiment.clients,
        model=result.experiment.model,
        parameters=f"{result.parameters:,}",
        data=result.data_name,
        rounds=len(result.rounds),
        scheme=result.experiment.scheme,
        accuracy=accuracy,
    )
    found = counts(LEDGER, result.claims)
    checks = _(
        "Of {all} promises that were checked on this run, {holds} hold and {fails} fail; {open} were not "
        "checked or had nothing to check in it, {argued} are argued."
    )
    checked = checks.format(
        all=found.holds + found.fails, holds=found.holds, fails=found.fails, open=found.silent, argued=found.argued
    )
    return (trained, checked, *([_read(attacked, _)] if attacked else []))


def _read(attacked: Sequence[Attacked], _: Callable[[str], str]) -> str:
    """How many attacks learned something from the coordinator's seat, and how many could not tell, with and without encryption."""
    own, control = zip(*(one.readings for one in attacked), strict=True)
    return _(
        "From the coordinator's seat {own} of {all} attacks learned more than guessing and {own_open} could not tell (too few "
        "victims, or refused); on the same run without encryption {control} did and {control_open} could not tell. They attack "
        "a client's whole update of many records and steps; of one record and one step a plain update gives the record away."
    ).format(
        own=_learned(own),
        own_open=_open(own),
        control=_learned(control),
        control_open=_open(control),
        all=len(attacked),
    )


def _learned(side: Sequence[Reading | None]) -> int:
    return sum(found in (Reading.READ, Reading.HINT) for found in side)


def _open(side: Sequence[Reading | None]) -> int:
    return sum(found in (Reading.TOO_FEW, None) for found in side)

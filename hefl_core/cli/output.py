"""Results to stdout, progress to stderr."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.markup import escape
from rich.table import Table

from hefl_core.cli.ends.streams import STDERR
from hefl_core.evaluation import ClassMetrics
from hefl_core.learning.own_sets import OwnSet
from hefl_core.runtime.events import EventBus, Progress
from hefl_core.runtime.result import ClaimVerdict, RoundResult, RunResult
from hefl_core.shown import visible
from hefl_core.tables.decision import Decision, listed
from hefl_core.tables.table import Table as OwnTable

_WIDEST, _NAME = 12, 24
"""A confusion matrix is printed up to this many classes, their names up to this many characters."""


@contextmanager
def progress(bus: EventBus, rounds: int) -> Iterator[None]:
    """Show a run's events on stderr while it runs."""
    done = threading.Event()

    def follow() -> None:
        cursor = 0
        with STDERR.status("starting") as status:
            while not done.is_set():
                events, cursor = bus.since(cursor, wait_seconds=0.2)
                for event in events:
                    if isinstance(event, Progress):
                        status.update(event.text)
                    elif isinstance(event, RoundResult):
                        accuracy = "" if event.accuracy is None else f", accuracy {event.accuracy:.4f}"
                        status.update(f"round {event.round} of {rounds}{accuracy}")

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    try:
        yield
    finally:
        done.set()
        reader.join(timeout=2)


def rounds_table(result: RunResult, plain: RunResult | None = None) -> Table:
    """One line per round; beside it plain FedAvg with the same seed, when given."""
    table = Table(
        title=f"{result.experiment.scheme}, {result.data_name}, {result.experiment.clients} clients",
        caption="plain: accuracy of plain FedAvg; error: largest, against the mean of what the clients sent, with its bound "
        f"(of one entry; the error's length is at most {_length_of(result):.3g} times that); "
        "fedavg: largest, against plain FedAvg of the same updates before any clip or noise; clipped: clients (and entries "
        "beyond an adaptive bound); upload: bytes per client; x f32: times the float32 update",
    )
    columns = ["round", "acc.", "loss", "error", "bound", "fedavg", "clipped", "upload", "x f32", "s"]
    if plain is not None:
        columns.insert(2, "plain")
    for column in columns:
        table.add_column(column, justify="right")
    for number, item in enumerate(result.rounds):
        cells = [
            str(item.round),
            _number(item.accuracy, ".4f"),
            _number(item.loss, ".4f"),
            _number(item.max_abs_error, ".1e"),
            _number(item.error_bound, ".1e"),
            _number(item.fedavg_error, ".1e"),
            clipped_text(item),
            f"{item.bytes.upload_per_client:,}",
            f"{item.bytes.upload_per_client / item.bytes.plaintext_update:.2f}",
            f"{item.seconds.total:.2f}",
        ]
        if plain is not None:
            cells.insert(2, _number(plain.rounds[number].accuracy, ".4f"))
        table.add_row(*cells)
    return table


def _length_of(result: RunResult) -> float:
    """√d, less √h under a rotation of blocks of h: it spreads one entry's error over √h others and lengthens nothing."""
    return math.sqrt(result.parameters) / result.transcript.manifest.error_factor


def metrics_tables(result: RunResult) -> tuple[Table, ...]:
    """What accuracy hides of a rare class, round by round, and the last round's confusion matrix; none unobserved."""
    last = result.last_metrics
    if last is None:
        return ()
    names = [visible(name, _NAME) for name in result.classes]
    most, rarest = names[last.most], names[last.rarest]
    precision = f"{rarest!r} against the rest" if len(names) == 2 else "the mean over the classes"
    table = Table(
        title="beside accuracy, on the hold-out set",
        caption=escape(
            f"always naming {most!r} is right in {last.majority_share:.4f}; balanced: mean recall of the classes; "
            f"average precision: {precision}"
        ),
    )
    for column in ("round", "accuracy", "majority", "balanced", "average precision"):
        table.add_column(column, justify="right")
    for item in result.rounds:
        if (found := item.metrics) is not None:
            values = (item.accuracy, found.majority_share, found.balanced_accuracy, found.average_precision)
            table.add_row(str(item.round), *("none" if value is None else f"{value:.4f}" for value in values))
    return (table, _confusion_table(last, names)) if len(names) <= _WIDEST else (table,)


def _confusion_table(metrics: ClassMetrics, names: list[str]) -> Table:
    table = Table(title="confusion matrix, last round", caption="lines: true class; columns: predicted class")
    for column in ("", *names):
        table.add_column(escape(column), justify="right")
    for name, row in zip(names, metrics.confusion, strict=True):
        table.add_row(escape(name), *(str(count) for count in row))
    return table


def forecast_table(result: RunResult) -> Table:
    """Forecast and measured cost of a round; empty without a forecast."""
    table = Table(title="forecast, before the run", caption="per round; CPU of all parties together, training left out")
    for column in ("", "forecast", "measured", "off"):
        table.add_column(column, justify="right")
    if (found := result.forecast) is not None:
        said, came, off = found.forecast, found.measured, found.error
        down = said.bytes_down + (said.first_extra if came.first else 0)
        table.add_row("bytes up", f"{said.bytes_up:,}", f"{came.bytes_up:,}", f"{off.bytes_up:.1%}")
        table.add_row("bytes down", f"{down:,}", f"{came.bytes_down:,}", f"{off.bytes_down:.1%}")
        for name in ("encrypt", "aggregate", "decrypt") if came.cpu is not None else ():
            ms = (f"{1000 * getattr(cpu, name):.1f} ms" for cpu in (said.cpu, came.cpu))
            table.add_row(f"CPU {name}", *ms, f"{getattr(off, name):.0%}")
    return table


_VERDICTS = {
    ClaimVerdict.HOLDS: "[green]holds[/]",
    ClaimVerdict.FAILS: "[red]FAILS[/]",
    ClaimVerdict.NOT_CHECKED: "[dim]not checked[/]",
}


def findings_table(result: RunResult, what: str = "this run") -> Table:
    """The claims ledger's findings on this run, or on its round zero."""
    table = Table(title=f"claims, checked on {what}")
    for column in ("", "claim", "evidence"):
        table.add_column(column)
    for finding in result.claims:
        table.add_row(_VERDICTS[finding.verdict], finding.id, escape(visible(finding.evidence)))
    return table


def warn_insecure(result: RunResult) -> None:
    """Print in red why a run is insecure, if it is."""
    for reason in result.insecure:
        STDERR.print(f"[bold red]INSECURE[/] {reason}")


def say_table(table: OwnTable, warnings: Iterable[Decision]) -> None:
    """Print what a user's own table was read as: its rows, its label, the columns that are left out, the warnings."""
    said = [*(column.decisions[-1] for column in table.columns if column.left_out), *warnings]
    lines = [f"{table.name}: {len(table):,} rows, {len(table.learnt)} of {len(table.columns)} columns are learnt from"]
    gaps = [(column.name, len(table) - int(column.missing.sum())) for column in table.learnt if column.missing.any()]
    if gaps:
        lines.append("filled: " + listed(f"{name} in {count:,} of {len(table):,} rows" for name, count in gaps))
    for line in (*lines, str(table.label.decision), *map(str, said)):
        STDERR.print(f"[yellow]TABLE[/] {escape(visible(line))}", highlight=False)


def say_set(given: OwnSet) -> None:
    """Print what a user's own arrays or pictures were read as."""
    data = given.dataset
    rows, features = len(data.train) + len(data.test), len(data.feature_names)
    classes = ", ".join(data.classes)
    lines = [f"{data.source}: {rows:,} rows of {features:,} numbers, classes {classes}", *map(str, given.warnings)]
    for line in lines:
        STDERR.print(f"[yellow]DATA[/] {escape(visible(line))}", highlight=False)


def say_remarks(remarks: Iterable[object]) -> None:
    """Print the remarks on a run."""
    for remark in remarks:
        STDERR.print(f"[yellow]NOTE[/] {remark}")


def say_signs(result: RunResult) -> None:
    """Print in red why the training is not to be trusted, if it diverged."""
    for sign in result.diverged:
        STDERR.print(f"[bold red]{escape(sign)}[/]")


def clipped_text(item: RoundResult) -> str:
    """Clients whose update was clipped, by norm or by the adaptive bound, and how many entries the bound cut."""
    if item.clipped is None:
        return "not observed"
    entries = f" ({item.clipped.entries:,})" if item.clipped.entries else ""
    return f"{max(item.clipped.shortened, item.clipped.cut)} of {len(item.contributors)}{entries}"


def _number(value: float | None, form: str) -> str:
    return "not observed" if value is None else format(value, form)

"""``run``: one experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hefl_core.checks.claims.ledger import check_claims
from hefl_core.cli.ends.files import (
    kept,
    output,
    refused,
    require_different,
    require_folder,
    require_writable,
    write_json,
)
from hefl_core.cli.ends.streams import STDERR
from hefl_core.cli.output import (
    findings_table,
    forecast_table,
    metrics_tables,
    progress,
    rounds_table,
    say_remarks,
    say_set,
    say_signs,
    say_table,
    warn_insecure,
)
from hefl_core.cli.tables import LabelAbove, cut_above
from hefl_core.errors import DataError
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.transcript import Transcript, blob_folder, newest_roster
from hefl_core.federation.record.verify import pin_of, verify
from hefl_core.learning import own_sets, shelf
from hefl_core.runtime.events import EventBus
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.result import RunResult, with_forecast
from hefl_core.runtime.services.one_machine import NOTE
from hefl_core.runtime.stage import whereabouts
from hefl_core.shown import visible
from hefl_core.tables.declared import Declared
from hefl_core.tables.hospitals import TABLES
from hefl_core.tables.said import declarations, said
from hefl_core.tables.schema import TableSchema
from hefl_core.terms.experiment import Experiment, read_bound

_DEFAULT = Experiment()

WITHHELD = (
    "the record was written without bodies: a key of its epochs could not be destroyed everywhere, and whoever has both "
    "reads the updates; verify says 'sums: not checked'"
)


HEADS, ROSTER = ".heads", ".roster"
ROUND_ZERO = ".round-zero"
"""Ending of the record of round zero, which `verify` reads like any other, with its own roster and heads."""


def record_output(target: str | None) -> str | None:
    """Option callback: the transcript, its folder of bodies, its pin and its heads can be written. Raises: ParameterError."""
    if target is not None:
        for path in (Path(target), Path(f"{target}{ROUND_ZERO}")):
            for one in _files_of(path):
                require_writable(one)
            if path.exists() and not path.is_file():
                raise refused(path, "no regular file; a transcript's bodies lie beside it")
            require_folder(blob_folder(path))
    return target


def _files_of(record: Path) -> tuple[Path, ...]:
    return (record, Path(f"{record}{ROSTER}"), Path(f"{record}{HEADS}"))


def run(
    dataset: Annotated[
        str,
        typer.Option(
            help="digits, breast_cancer, credit, letters, mnist-5000, mnist, csv:PATH[:LABEL], "
            "csv-dir:FOLDER with a file for each client, "
            "npz:FILE[#LABEL], npy:FILE (last column) or pictures:FOLDER[#SIDE] with a folder for each class"
        ),
    ] = _DEFAULT.dataset,
    label: Annotated[
        str | None, typer.Option(help="with csv or npz: the column or array to learn; omitted: guessed, and said")
    ] = None,
    label_above: LabelAbove = None,
    schema: Annotated[
        Path | None, typer.Option(help="with csv: columns, kinds and classes as `table check --schema` wrote them")
    ] = None,
    declare: Annotated[
        list[str] | None,
        typer.Option(help="with csv: an option of `table check` and its value, such as missing=-999 or kind=ward=code"),
    ] = None,
    mark_missing: Annotated[
        bool,
        typer.Option("--mark-missing", help="with csv: a further column for each one with gaps says where they are"),
    ] = False,
    model: Annotated[
        str, typer.Option(help="logistic, mlp, mlp-large, cnn or attention (of letters)")
    ] = _DEFAULT.model,
    trainer: Annotated[str, typer.Option(help="numpy or keras")] = _DEFAULT.trainer,
    scheme: Annotated[str, typer.Option(help="a preset; `schemes` lists them")] = _DEFAULT.scheme,
    custody: Annotated[str, typer.Option(help="individual, T-of-N or dealer-free:T-of-N")] = _DEFAULT.custody,
    clients: Annotated[int, typer.Option(help="number of clients K")] = _DEFAULT.clients,
    rounds: Annotated[int, typer.Option(help="number of rounds R")] = _DEFAULT.rounds,
    local_epochs: Annotated[int, typer.Option(help="passes over the own data per round")] = _DEFAULT.local_epochs,
    batch: Annotated[int, typer.Option(help="mini-batch size")] = _DEFAULT.batch,
    lr: Annotated[float, typer.Option(help="learning rate")] = _DEFAULT.learning_rate,
    alpha: Annotated[
        float | None, typer.Option(help="Dirichlet concentration, by class unless --partition says by client")
    ] = None,
    partition: Annotated[
        str, typer.Option(help="iid, hospital, shards, dirichlet-by-class or -by-client")
    ] = _DEFAULT.partition,
    min_cohort: Annotated[int | None, typer.Option(help="fewest contributors; omitted: max(3, t+1)")] = None,
    seed: Annotated[int, typer.Option(help="seed of the learning (never of the cryptography)")] = _DEFAULT.seed,
    bound: Annotated[
        str | None, typer.Option(help="largest weighted update entry, or adaptive; omitted: as the preset needs")
    ] = None,
    bits: Annotated[
        int | None, typer.Option(help="bits of a value, 2 to 16 (bfv, paillier-packed); omitted: the preset's fields")
    ] = None,
    rotate: Annotated[
        bool | None, typer.Option(help="spread large entries over their block first; omitted: with --bits")
    ] = None,
    clip_norm: Annotated[float | None, typer.Option(help="clip each update to this L2 norm")] = None,
    dp_noise: Annotated[
        float | None, typer.Option(help="noise on the sum over clip-norm (differential privacy); omitted: none")
    ] = None,
    epoch_rounds: Annotated[
        int | None, typer.Option(help="rounds per key epoch; omitted: one where a dealt key is held together, else all")
    ] = None,
    runtime: Annotated[
        str,
        typer.Option(help="local (one process), ray (processes of their own) or strict (services under mutual TLS)"),
    ] = "local",
    clients_per_host: Annotated[int | None, typer.Option(help="Ray: clients that share a process")] = None,
    deadline: Annotated[
        float | None, typer.Option(min=0.1, help="Ray: seconds a party may take over one step; omitted: 120")
    ] = None,
    observed: Annotated[
        bool, typer.Option(help="let the audience see the clients' side (sealed to the observer)")
    ] = True,
    json: Annotated[str | None, typer.Option(callback=output, help="write the result as JSON; - is stdout")] = None,
    transcript: Annotated[
        str | None, typer.Option(callback=record_output, help="write the transcript (JSON Lines, blobs beside it)")
    ] = None,
) -> None:
    """Run an experiment and report accuracy, error, bytes, seconds and the claims checked on it."""
    experiment = Experiment(
        dataset=_dataset(dataset, label, label_above, schema, declare, mark_missing),
        model=model,
        trainer=trainer,
        scheme=scheme,
        custody=custody,
        clients=clients,
        rounds=rounds,
        local_epochs=local_epochs,
        batch=batch,
        learning_rate=lr,
        alpha=alpha,
        partition=partition,
        min_cohort=min_cohort,
        seed=seed,
        bound=read_bound(bound),
        bits=bits,
        rotate=rotate,
        clip_norm=clip_norm,
        dp_noise=dp_noise,
        epoch_rounds=epoch_rounds,
        observed=observed and runtime != "strict",  # services never observe
    )
    records = (transcript, f"{transcript}{ROUND_ZERO}") if transcript else ()
    require_different((*(one for record in records for one in _files_of(Path(record))), json))
    if (own := shelf.known(experiment.dataset)) is not None:
        say_table(own.table, own.warnings)
    if (given := own_sets.known(experiment.dataset)) is not None:
        say_set(given)
    if experiment.dataset.startswith(TABLES):
        for source in shelf.tables(experiment.dataset).sources:
            if source is not None:
                own_table = source.read()
                say_table(own_table, own_table.warnings)
    bus = EventBus()
    with progress(bus, rounds):
        result = run_experiment(
            experiment, runtime, bus=bus, clients_per_host=clients_per_host, deadline_seconds=deadline
        )
    checked = with_forecast(check_claims(result))
    if transcript:
        kept(Path(transcript), lambda path: _save_record(checked.transcript, path))
        _save_round_zero(checked.round_zero_run, Path(f"{transcript}{ROUND_ZERO}"))
        if not checked.transcript.released:
            STDERR.print(WITHHELD)
    if json:
        write_json(json, checked.to_json())
    if checked.round_zero is not None:
        STDERR.print(str(checked.round_zero), markup=False)
        for warning in checked.round_zero.warnings:
            STDERR.print(visible(f"round zero: {warning}"), markup=False)
    if checked.round_zero_run is not None:
        record = checked.round_zero_run.transcript
        STDERR.print(f"round zero's record: {verify(record, pin_of(record))}", markup=False)
    warn_insecure(checked)
    say_remarks(checked.remarks)
    say_signs(checked)
    if runtime == "strict":
        STDERR.print(NOTE)
    if runtime == "ray":
        STDERR.print(whereabouts(checked.hosts))
    if (roster := newest_roster(checked.transcript)) is not None:
        STDERR.print(
            f"roster fingerprint {roster.fingerprint}: parties compare it by another way, to know who takes part"
        )
    if json != "-":
        STDERR.print(rounds_table(checked))
        for table in metrics_tables(checked):
            STDERR.print(table)
        STDERR.print(forecast_table(checked))
        if checked.round_zero_run is not None:
            STDERR.print(findings_table(checked.round_zero_run, "round zero"))
        STDERR.print(findings_table(checked))
        if checked.privacy is not None:
            STDERR.print(checked.privacy.sentence)
    if experiment.insecure == () and checked.failed:
        raise typer.Exit(1)


def _dataset(
    dataset: str,
    label: str | None,
    above: float | None,
    schema: Path | None,
    declare: list[str] | None,
    mark_missing: bool,
) -> str:
    """The data set's name; a file is read now, and its path goes no further. Raises: DataError, ParameterError."""
    declared = cut_above(declarations(said(declare or ())), above)
    return shelf.resolve(
        dataset,
        label=label,
        declared=declared if declared != Declared() else None,
        schema=TableSchema.from_json(_content(schema)) if schema is not None else None,
        mark_missing=mark_missing,
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"schema: expected a readable file, found {error.strerror} ({path}); check the path") from error


def _save_record(transcript: Transcript, path: Path) -> None:
    """The record, the pin that authenticates it, and what the clients remember of its end. Raises: OSError."""
    transcript.save(path, bodies=transcript.released)
    pin_of(transcript).save(f"{path}{ROSTER}")
    ClientHeads.of(transcript).save(f"{path}{HEADS}")


def _save_round_zero(zero: RunResult | None, path: Path) -> None:
    """Round zero's record; without one the record goes that an earlier run left under this name: it is of other data."""
    if zero is not None:
        kept(path, lambda place: _save_record(zero.transcript, place))
        return
    try:
        Transcript.remove(path)
        for beside in _files_of(path)[1:]:
            beside.unlink(missing_ok=True)
    except OSError as error:
        STDERR.print(f"{path} is of an EARLIER run and could not be removed: {error.strerror}", markup=False)

"""``attack``: list the attacks, or run one from a seat and print its result."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hefl_core.app.captured_run import of_transcript
from hefl_core.attacks.catalogue import ATTACKS
from hefl_core.attacks.catalogue import run as run_attack
from hefl_core.attacks.on_run import attack_run
from hefl_core.attacks.result import AttackResult
from hefl_core.cli.ends.files import output, write_json
from hefl_core.cli.ends.streams import STDOUT
from hefl_core.errors import DataError, ParameterError
from hefl_core.federation.record.transcript import Transcript
from hefl_core.ids import COORDINATOR
from hefl_core.learning import shelf


def attack(
    name: Annotated[str | None, typer.Argument(help="an attack's name; see --list")] = None,
    seat: Annotated[
        str | None,
        typer.Option(
            help="from where; without it from every seat it has. On a transcript a party: coordinator, client-1"
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="names, seats, sources")] = False,
    scheme: Annotated[str, typer.Option(help="what the coordinator's ciphertexts are made with")] = "bfv-lean",
    dataset: Annotated[
        str | None,
        typer.Option(
            help="digits or breast_cancer; without it the attack's own; with --transcript its table, csv:PATH"
        ),
    ] = None,
    clients: Annotated[int, typer.Option(help="clients in the cohort")] = 5,
    batch: Annotated[int | None, typer.Option(help="records per client and step")] = None,
    local_epochs: Annotated[int, typer.Option(help="local steps before the update is sent")] = 1,
    threshold: Annotated[int, typer.Option(help="holders needed to decrypt; 1: individual custody")] = 1,
    epoch_rounds: Annotated[int, typer.Option(help="of related and delta: rounds under one key; 1 is the remedy")] = 2,
    deviation: Annotated[str, typer.Option(help="of delta: none (the control), loud, or silent")] = "loud",
    search: Annotated[str, typer.Option(help="of inversion: dlg, or cosine-tv (pictures only)")] = "dlg",
    trained: Annotated[
        int, typer.Option(help="of inverting-gradients and dager: passes that the model was trained before")
    ] = 0,
    trials: Annotated[int | None, typer.Option(help="without it the attack's own number")] = None,
    seed: Annotated[int, typer.Option(help="of data and models; keys are always fresh")] = 7,
    transcript: Annotated[
        Path | None, typer.Option(help="attack this run's own messages (of `run --transcript`), not a laboratory's")
    ] = None,
    round_: Annotated[int, typer.Option("--round", help="of the transcript")] = 1,
    json: Annotated[str | None, typer.Option(callback=output, help="write the results as JSON; - is stdout")] = None,
) -> None:
    """Attack messages from one seat: the same code whether the seat sees updates or ciphertext.

    Victims are dealt in a laboratory, as many as an interval needs, or they are the clients of a run on record.
    """
    if list_:
        _list(json)
        return
    if name is None:
        raise ParameterError("attack: expected a name, found none", "see attack --list")
    chosen = next((one for one in ATTACKS if one.name == name), None)
    if chosen is None:
        raise ParameterError(f"attack: no attack is called {name!r}", "see attack --list")
    results = (
        [_on_record(transcript, name, seat, round_, seed, dataset)]
        if transcript
        else [
            run_attack(
                name,
                where,
                scheme=scheme,
                dataset=dataset,
                clients=clients,
                batch=batch,
                local_epochs=local_epochs,
                threshold=threshold,
                epoch_rounds=epoch_rounds,
                search=search,
                trained=trained,
                deviation=deviation,
                trials=trials,
                seed=seed,
            )
            for where in ([seat] if seat else chosen.seats)
        ]
    )
    if json:
        parts = [result.to_json(evidence=seat is not None or transcript is not None) for result in results]
        write_json(json, parts[0] if seat or transcript else f"[{','.join(parts)}]")
    if json != "-":
        STDOUT.print(_table(results))


def _on_record(path: Path, name: str, seat: str | None, round_: int, seed: int, dataset: str | None) -> AttackResult:
    """One attack on a run's own messages. ``dataset``: the table that the record names, which holds no data.

    Raises: WireError; OSError; ParameterError; DataError for another table than the record's.
    """
    transcript = Transcript.load(path)
    if dataset is not None and (given := shelf.resolve(dataset)) != transcript.manifest.experiment.dataset:
        named = transcript.manifest.experiment.dataset
        raise DataError(f"dataset: expected the record's {named[:80]}, found {given}; give the same file and label")
    return attack_run(of_transcript(transcript), name, seat or COORDINATOR, round_, seed)


def _list(json: str | None) -> None:
    if json:
        rows = [
            {
                "name": a.name,
                "title": a.title,
                "family": a.family,
                "seats": a.seats,
                "source": a.source,
                "remedy": a.remedy,
            }
            for a in ATTACKS
        ]
        write_json(json, json_module.dumps(rows, ensure_ascii=False, indent=1))
        if json == "-":
            return
    table = Table(title="attacks", show_lines=True)
    for column in ("name", "on", "what", "seats", "source", "what stops it"):
        table.add_column(column)
    for one in ATTACKS:
        table.add_row(one.name, one.family, one.title, ", ".join(one.seats), one.source, one.remedy)
    STDOUT.print(table)


def _table(results: list[AttackResult]) -> Table:
    notes = [f"{one.seat}: {one.note}" for one in results if one.note]
    table = Table(title=f"{results[0].attack}: {results[0].metric}", caption="\n".join([*notes, results[0].source]))
    for column in (
        "seat",
        "scheme",
        results[0].metric,
        "95 % interval",
        "guessing",
        "trials",
        "CPU s",
        "at chance",
        "",
    ):
        table.add_column(column)
    for one in results:
        chance = "" if one.p_value is None else f"{'yes' if one.at_chance() else 'no'} (p = {one.p_value:.2g})"
        table.add_row(
            one.seat,
            one.scheme,
            f"{one.value:.4g}",
            f"{one.low:.4g} to {one.high:.4g}",
            f"{one.prior:.4g}",
            str(one.trials),
            f"{one.cpu_seconds:.2f}",
            chance,
        )
    return table

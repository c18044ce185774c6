"""``provision``: keys, certificates and terms for services of different organisations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hefl_core.cli.ends.streams import STDERR
from hefl_core.cli.output import say_remarks
from hefl_core.errors import DataError, ParameterError
from hefl_core.federation.remarks import remarks_on
from hefl_core.ids import COORDINATOR
from hefl_core.ops.settings import LISTEN
from hefl_core.runtime.client_home import OWN
from hefl_core.runtime.services.kit import Kit, read_json
from hefl_core.runtime.services.provision import (
    DAYS,
    KITS,
    check_kit,
    issue,
    make_request,
    provision_all,
    read_requests,
    renew,
    renew_request,
    terms,
)
from hefl_core.terms.experiment import Experiment, Manifest, Schema

provision = typer.Typer(
    name="provision",
    help="Each party makes its own keys and a public request; the organiser answers each with a kit.",
    no_args_is_help=True,
    add_completion=False,
)
Terms = Annotated[
    str,
    typer.Option(
        "--experiment",
        help="the agreed experiment: a JSON file, or fields as in a URL (clients=4&rounds=3&scheme=bfv-lean)",
    ),
]
Days = Annotated[int, typer.Option(help="how long certificates are valid")]
Requests = Annotated[Path, typer.Option(help="folder with one *request.json of each party")]
Out = Annotated[
    Path, typer.Option(help="the organiser's own folder: its encrypted store, and kits/PARTY for each party")
]


@provision.command()
def request(
    party: Annotated[str, typer.Option(help="coordinator, auditor, kms, client-1, …")],
    home: Annotated[Path, typer.Option(help="the party's own folder")],
    again: Annotated[bool, typer.Option("--again", help="only a new TLS key, for the next certificate")] = False,
) -> None:
    """Where the party lives: make its keys in its own encrypted store, and a public request for the organiser."""
    path = (renew_request if again else make_request)(home, party)
    typer.echo(f"{path}: public; send it to the organiser. The keys stay in {home}")


@provision.command("issue")
def issue_kits(
    requests: Requests,
    out: Out,
    experiment: Terms = "",
    schema: Annotated[
        Path | None, typer.Option(help="JSON with columns and classes, where clients bring tables of their own")
    ] = None,
    examples_max: Annotated[
        int | None, typer.Option(help="with --schema: most training rows a client may have")
    ] = None,
    days: Days = DAYS,
) -> None:
    """At the organiser: check the requests, fix the terms, write a kit of public files for each party."""
    agreed = read_experiment(experiment)
    columns = None if schema is None else read_json(schema, Schema)
    if schema is not None:
        agreed = agreed.but(dataset=f"{OWN}{schema.stem}")
    manifest = terms(agreed, columns, examples_max)
    kits = issue(out, manifest, read_requests(requests, agreed.clients), days)
    _say(manifest, kits, out)


@provision.command("renew")
def renew_certificates(requests: Requests, out: Out, days: Days = DAYS) -> None:
    """At the organiser: new certificates, the same terms and members."""
    kits = renew(out, requests, days)
    _say(kits[COORDINATOR].manifest, kits, out)


@provision.command()
def check(
    party: Annotated[str, typer.Option(help="coordinator, auditor, kms, client-1, …")],
    home: Annotated[Path, typer.Option(help="the party's own folder, with the organiser's kit in it")],
) -> None:
    """Where the party lives: whether the kit is for its keys, and the fingerprint to compare, before anything connects."""
    kit, ends = check_kit(home, party)
    typer.echo(f"experiment {kit.manifest.id[:16]}, certificate until {ends:%Y-%m-%d %H:%M} UTC")
    typer.echo(f"fingerprint {kit.fingerprint}: compare it with the other parties by another way")


@provision.command("all")
def all_of_it(
    folder: Annotated[Path, typer.Argument(help="new folder; one directory per party in it")],
    clients: Annotated[int | None, typer.Option(help="number of clients; else as the experiment says")] = None,
    rounds: Annotated[int | None, typer.Option(help="number of rounds; else as the experiment says")] = None,
    experiment: Terms = "",
    coordinator: Annotated[str, typer.Option(help="where the coordinator is called")] = LISTEN[COORDINATOR],
    days: Days = DAYS,
) -> None:
    """On one machine, to try it out: all requests, all kits, and demonstration data dealt to the clients' directories."""
    agreed = read_experiment(experiment)
    changes = {name: value for name, value in (("clients", clients), ("rounds", rounds)) if value is not None}
    manifest = provision_all(folder, agreed.but(**changes), coordinator=coordinator, days=days)
    kit = Kit.load(folder / COORDINATOR)
    _say(manifest, {}, folder)
    typer.echo(f"experiment {manifest.id[:16]}, kit {kit.fingerprint}")
    typer.echo(f"start each:  python -m hefl_core serve ROLE --config {folder}/PARTY/service.toml")


def read_experiment(text: str) -> Experiment:
    """An experiment from a JSON file or from query fields. Raises: DataError, ParameterError."""
    path = Path(text)
    if text and path.suffix == ".json":
        try:
            return Experiment.from_json(path.read_bytes())
        except OSError as error:
            raise DataError(f"experiment: expected a readable file, found {error.strerror} ({text})") from error
    if text and "=" not in text:
        raise ParameterError(f"experiment: expected FILE.json or fields such as clients=4, found {text[:80]!r}")
    return Experiment.from_query(text)


def _say(manifest: Manifest, kits: dict[str, Kit], out: Path) -> None:
    experiment = manifest.experiment
    if experiment.observed:
        STDERR.print("observation is off: services show nobody's private side; each client writes its own results")
    for reason in experiment.insecure:
        STDERR.print(f"[bold red]INSECURE[/] {reason}")
    say_remarks(remarks_on(experiment, manifest.parameters))
    if kits:
        typer.echo(f"{len(kits)} kits in {out / KITS}; each goes to HOME/kit of its party")
        typer.echo(f"fingerprint {kits[COORDINATOR].fingerprint}: let the parties compare it by another way")

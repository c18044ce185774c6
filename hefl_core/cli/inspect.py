"""``verify``, ``schemes``, ``claims``: inspect records, presets and the ledger."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from hefl_core.checks.claims.claim import Claim
from hefl_core.checks.claims.ledger import LEDGER, to_markdown
from hefl_core.classroom.claims import CLASS_LEDGER
from hefl_core.classroom.record import is_class_record
from hefl_core.classroom.verify import ClassVerdict, verify_class
from hefl_core.cli.ends.files import output, require_different, write_json, write_text
from hefl_core.cli.ends.streams import STDOUT
from hefl_core.errors import IntegrityError, ParameterError
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.verify import TranscriptVerdict, verify_file
from hefl_core.keys.custody import Custody
from hefl_core.keys.roster import RosterPin
from hefl_core.schemes.flooding import Flooding, at_ceiling, flooding, wanted_answers
from hefl_core.schemes.presets import Preset
from hefl_core.schemes.registry import load_presets, opened_count
from hefl_core.shown import visible


def verify(
    transcript: Annotated[Path, typer.Argument(help="a transcript written by run --transcript or class --transcript")],
    roster: Annotated[Path | None, typer.Option(help="the pinned roster; without it nothing is authenticated")] = None,
    heads: Annotated[
        list[Path] | None,
        typer.Option(help="what the clients remember, one file or one for each; without it a cut tail may pass"),
    ] = None,
    json: Annotated[str | None, typer.Option(callback=output, help="write the verdict as JSON; - is stdout")] = None,
) -> None:
    """Check a record's chain, signatures, conversation and sums, offline and without secrets. Exit 1 names the first break."""
    if (roster or heads) and is_class_record(transcript):
        raise ParameterError(
            "verify: a class's record has no roster and no heads", "phones sign nothing; leave them out"
        )
    pin = RosterPin.load(roster) if roster else None
    remembered = ClientHeads.together([ClientHeads.load(path) for path in heads]) if heads else None
    try:
        verdict: ClassVerdict | TranscriptVerdict = (
            verify_class(transcript) if is_class_record(transcript) else verify_file(transcript, pin, remembered)
        )
    except IntegrityError as error:
        if json:
            write_json(json, json_module.dumps({"verified": False, "first_break": str(error)}))
        typer.echo(f"first break: {visible(error)}", err=True)
        raise typer.Exit(1) from None
    if json:
        write_json(json, msgspec.json.encode({"verified": True, "verdict": verdict}).decode())
    if json != "-":
        typer.echo(f"verified: {verdict}")


def schemes(
    custody: Annotated[str, typer.Option(help="whose flooding is stated: T-of-N or dealer-free:T-of-N")] = "3-of-10",
    parameters: Annotated[
        int | None, typer.Option(help="of the model; omitted: as much as a key may ever open")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="rounds per key epoch, with --parameters")] = 1,
    json: Annotated[str | None, typer.Option(callback=output, help="every number as JSON; - is stdout")] = None,
) -> None:
    """List the presets with every number and its source; and what a key held together gives away at its cap."""
    presets = load_presets()
    clients = custody.rpartition("-of-")[2]
    held = Custody.parse(custody, int(clients) if clients.isdecimal() else 2)
    stated = {preset.name: _flooding(preset, held, parameters, rounds) for preset in presets}
    if json:
        lines = [
            msgspec.to_builtins(one) | {"flooding": stated[one.name], "security": _security(one, stated[one.name])}
            for one in presets
        ]
        write_json(json, msgspec.json.encode(lines).decode())
        if json == "-":
            return
    table = Table(title="presets", show_lines=True, caption=_CAPTION.format(custody=held))
    for column in ("name", "family", "security", "numbers", "source"):
        table.add_column(column)
    common = {"name", "family", "security_bits", "security_standard", "source"}
    for preset in presets:
        fields = msgspec.to_builtins(preset)
        numbers = ", ".join(f"{key} {value}" for key, value in fields.items() if key not in common)
        name = f"[red]{preset.name}[/]" if preset.insecure else preset.name
        table.add_row(name, preset.family, _security(preset, stated[preset.name]), numbers, preset.source)
    STDOUT.print(table)


_CAPTION = (
    "flooding: held {custody}, the statistical distance between holders' answers and answers made without the key, at the cap on "
    "ciphertexts; over 2^-40 it is a demonstration"
)


def _flooding(preset: Preset, held: Custody, parameters: int | None, rounds: int) -> Flooding | str | None:
    """The flooding, the reason why there is none, or None when nothing is flooded."""
    free, quorum = held.dealer_free, held.quorum
    try:
        if parameters is None:
            return at_ceiling(preset, quorum, dealer_free=free)
        blocks = opened_count(preset, parameters)
        wanted = wanted_answers(blocks, rounds, dealer_free=free)
        return flooding(preset, quorum, quorum.holders, wanted, blocks=blocks, dealer_free=free)
    except ParameterError as error:
        return f"refused: {error}"


def _security(preset: Preset, stated: Flooding | str | None) -> str:
    """The security as text: never the ring's bits alone when a key can be shared."""
    bits = f"{preset.security_bits} bits"
    return bits if stated is None else f"{bits}; held together: {stated}"


def claims(
    markdown: Annotated[Path | None, typer.Option(callback=output, help="write the ledger as Markdown")] = None,
    json: Annotated[str | None, typer.Option(callback=output, help="write the ledger as JSON; - is stdout")] = None,
) -> None:
    """Show the ledger: every promised sentence, its check or its source, and what is not promised."""
    require_different((markdown, json))
    if markdown:
        write_text(markdown, to_markdown(CLASS_LEDGER))
    if json:
        listed: tuple[Claim[Any], ...] = (*LEDGER, *CLASS_LEDGER)
        rows = [
            {"id": c.id, "sentence": c.sentence, "seat": c.seat, "kind": c.kind, "source": c.source} for c in listed
        ]
        write_json(json, json_module.dumps(rows, ensure_ascii=False, indent=1))
    if not markdown and not json:
        typer.echo(to_markdown(CLASS_LEDGER))

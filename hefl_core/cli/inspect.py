"""``verify``, ``schemes``, ``claims``: look at what is there."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from hefl_core.claims import LEDGER, to_markdown
from hefl_core.cli.output import STDOUT, write_json
from hefl_core.errors import IntegrityError
from hefl_core.federation.heads import Heads
from hefl_core.federation.verify import verify_file
from hefl_core.keys.roster import RosterPin
from hefl_core.schemes.registry import load_presets


def verify(
    transcript: Annotated[Path, typer.Argument(help="a transcript written by run --transcript")],
    roster: Annotated[Path | None, typer.Option(help="the pinned roster; without it nothing is authenticated")] = None,
    heads: Annotated[
        list[Path] | None,
        typer.Option(help="what the clients remember, one file or one for each; without it a cut tail may pass"),
    ] = None,
    json: Annotated[str | None, typer.Option(help="write the verdict as JSON; - is stdout")] = None,
) -> None:
    """Check a record's chain, signatures, conversation and sums, offline and without secrets. Exit 1 names the first break."""
    pin = RosterPin.load(roster) if roster else None
    remembered = Heads.together([Heads.load(path) for path in heads]) if heads else None
    try:
        verdict = verify_file(transcript, pin, remembered)
    except IntegrityError as error:
        if json:
            write_json(json, json_module.dumps({"verified": False, "first_break": str(error)}))
        typer.echo(f"first break: {error}", err=True)
        raise typer.Exit(1) from None
    if json:
        write_json(json, msgspec.json.encode({"verified": True, "verdict": verdict}).decode())
    if json != "-":
        typer.echo(f"verified: {verdict}")


def schemes(json: Annotated[str | None, typer.Option(help="every number as JSON; - is stdout")] = None) -> None:
    """List the presets with every number and its source."""
    presets = load_presets()
    if json:
        write_json(json, msgspec.json.encode(presets).decode())
        if json == "-":
            return
    table = Table(title="presets", show_lines=True)
    for column in ("name", "family", "security", "numbers", "source"):
        table.add_column(column)
    common = {"name", "family", "security_bits", "security_standard", "source"}
    for preset in presets:
        fields = msgspec.to_builtins(preset)
        numbers = ", ".join(f"{key} {value}" for key, value in fields.items() if key not in common)
        name = f"[red]{preset.name}[/]" if preset.insecure else preset.name
        table.add_row(name, preset.family, f"{preset.security_bits} bits", numbers, preset.source)
    STDOUT.print(table)


def claims(
    markdown: Annotated[Path | None, typer.Option(help="write the ledger as Markdown")] = None,
    json: Annotated[str | None, typer.Option(help="write the ledger as JSON; - is stdout")] = None,
) -> None:
    """Show the ledger: every promised sentence, its check or its source, and what is not promised."""
    if markdown:
        markdown.write_text(to_markdown(), encoding="utf-8")
    elif json:
        rows = [
            {"id": c.id, "sentence": c.sentence, "seat": c.seat, "kind": c.kind, "source": c.source} for c in LEDGER
        ]
        write_json(json, json_module.dumps(rows, ensure_ascii=False, indent=1))
    else:
        typer.echo(to_markdown())

"""``keys``: the key management service of one machine, over an encrypted store."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from hefl_core.cli.ends.files import output, write_json
from hefl_core.cli.ends.streams import STDOUT
from hefl_core.errors import ParameterError
from hefl_core.keys.kms.key_office import EpochLine, KeyService
from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.unlock import KeyEncryptionKey, KeyFile, Passphrase

PASSPHRASE = "HEFL_PASSPHRASE"
PIN = "HEFL_TOKEN_PIN"

keys = typer.Typer(
    name="keys",
    help="Make, list, rotate, revoke and audit the keys of an experiment kept on this machine.",
    no_args_is_help=True,
    add_completion=False,
)
Store = Annotated[Path, typer.Option(help="the encrypted key store (SQLite, 0600)")]
KeyFileOption = Annotated[
    Path | None, typer.Option(help=f"32-byte key file that unlocks the store; else ${PASSPHRASE}, else a prompt")
]
Token = Annotated[
    str | None, typer.Option(help=f"PKCS#11 token that unlocks the store, as MODULE:LABEL; its PIN comes from ${PIN}")
]
Json = Annotated[str | None, typer.Option(callback=output, help="write the result as JSON; - is stdout")]
DEFAULT_STORE = Path("keys.sqlite")


@contextmanager
def _opened(store: Path, key_file: Path | None, token: str | None, *, new: bool = False) -> Iterator[KeyStore]:
    """Open a store with its token, key file or passphrase. Raises: ParameterError, KeyUseError."""
    if not new and not store.exists():
        raise ParameterError(f"key store: expected a file, found none at {store}", "run `keys ceremony` first")
    with KeyStore(store, _unlock(key_file, token, new=new)) as opened:
        yield opened


def _unlock(key_file: Path | None, token: str | None, *, new: bool) -> KeyEncryptionKey:
    if token is not None:
        from hefl_core.keys.vault.token import Token as HardwareToken

        module, _, label = token.rpartition(":")
        return (HardwareToken.create if new else HardwareToken)(module, label, os.environ.get(PIN, ""))
    if key_file is not None:
        return KeyFile.create(key_file) if new and not key_file.exists() else KeyFile(key_file)
    return Passphrase(os.environ.get(PASSPHRASE) or _asked(new=new))


def _asked(*, new: bool) -> str:
    """The passphrase as typed. Raises: ParameterError when there is nobody to ask."""
    try:
        text: str = typer.prompt("passphrase", hide_input=True, confirmation_prompt=new, err=True)
    except typer.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise ParameterError("passphrase: expected one, found the end of the input", f"set {PASSPHRASE}") from error
    return text


@keys.command()
def ceremony(
    store: Store = DEFAULT_STORE,
    scheme: Annotated[str, typer.Option(help="preset")] = "bfv-lean",
    custody: Annotated[str, typer.Option(help="individual, T-of-N or dealer-free:T-of-N")] = "individual",
    clients: Annotated[int, typer.Option(help="number of clients")] = 5,
    rounds: Annotated[int, typer.Option(help="rounds the first epoch is for")] = 10,
    key_file: KeyFileOption = None,
    token: Token = None,
    json: Json = None,
) -> None:
    """Make identities for all parties, enrol them, and open the first key epoch."""
    with _opened(store, key_file, token, new=True) as opened:
        service = KeyService.ceremony(
            opened, secrets.token_hex(32), scheme, custody, clients=clients, last_round=rounds
        )
        service.pin().save(f"{store}.roster")
        _show(service.lines(), json)


@keys.command("list")
def list_epochs(
    store: Store = DEFAULT_STORE, key_file: KeyFileOption = None, token: Token = None, json: Json = None
) -> None:
    """List the epochs: state, key, custody, dealer, who holds shares."""
    with _opened(store, key_file, token) as opened:
        _show(KeyService(opened).lines(), json)


@keys.command()
def rotate(
    first_round: Annotated[int, typer.Option(help="first round under the new key")],
    store: Store = DEFAULT_STORE,
    destroy_old: Annotated[bool, typer.Option(help="destroy every decrypt-only epoch as well")] = False,
    key_file: KeyFileOption = None,
    token: Token = None,
    json: Json = None,
) -> None:
    """Move to a new key: joiners come in, the revoked stay out, the old key only decrypts."""
    with _opened(store, key_file, token) as opened:
        service = KeyService(opened)
        service.rotate(first_round, destroy_old=destroy_old)
        _show(service.lines(), json)


@keys.command()
def revoke(
    client: Annotated[str, typer.Argument(help="for example client-3")],
    store: Store = DEFAULT_STORE,
    key_file: KeyFileOption = None,
    token: Token = None,
) -> None:
    """Leave a client out from the next epoch on; rotate to make it so."""
    with _opened(store, key_file, token) as opened:
        KeyService(opened).revoke(client)
    typer.echo(f"{client} is revoked from the next epoch on; run `keys rotate`")


@keys.command()
def audit(store: Store = DEFAULT_STORE, key_file: KeyFileOption = None, token: Token = None, json: Json = None) -> None:
    """Verify and show the signed, chained log of everything the service did with keys."""
    with _opened(store, key_file, token) as opened:
        log = KeyService(opened).audit()
    if json:
        write_json(json, msgspec.json.encode(log.entries).decode())
    if json != "-":
        table = Table(title=f"audit log, head {log.head.hex()[:16]}")
        for column in ("#", "time (UTC)", "action", "subject", "details"):
            table.add_column(column)
        for entry in log.entries:
            when = datetime.fromtimestamp(entry.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
            details = ", ".join(f"{name} {value[:24]}" for name, value in entry.details)
            table.add_row(str(entry.sequence), when, entry.action, entry.subject, details)
        STDOUT.print(table)


def _show(lines: tuple[EpochLine, ...], json: str | None) -> None:
    if json:
        write_json(json, msgspec.json.encode(lines).decode())
    if json == "-":
        return
    table = Table(title="key epochs")
    for column in ("epoch", "state", "key", "custody", "dealer", "rounds", "clients"):
        table.add_column(column)
    for line in lines:
        key = line.key_id[: line.key_id.rfind("/") + 9]
        rounds = f"{line.first_round}-{line.last_round}"
        table.add_row(str(line.epoch), line.state, key, line.custody, line.dealer, rounds, ", ".join(line.clients))
    STDOUT.print(table)

"""The commands, and what their failures mean to a shell.

Exit codes: 0 done, 1 a check failed, 2 bad arguments or input, 3 the run broke.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from hefl_core.cli.app import app as application
from hefl_core.cli.attack import attack
from hefl_core.cli.blindness import blindness
from hefl_core.cli.corrupt import corrupt
from hefl_core.cli.demo import demo
from hefl_core.cli.faults import faults
from hefl_core.cli.inspect import claims, schemes, verify
from hefl_core.cli.keys import keys
from hefl_core.cli.provision import provision
from hefl_core.cli.room import room
from hefl_core.cli.run import run
from hefl_core.cli.serve import serve
from hefl_core.errors import DataError, EncodingError, HeflError, IntegrityError, KeyUseError, ParameterError

app = typer.Typer(
    name="hefl_core",
    help="Federated learning under homomorphic encryption that one can see, step through and check.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (run, demo, verify, schemes, claims, attack, blindness, corrupt, faults, serve, room):
    app.command()(command)
app.command("app")(application)
app.add_typer(keys, name="keys")
app.add_typer(provision, name="provision")

BAD_INPUT: tuple[type[Exception], ...] = (ParameterError, DataError, EncodingError, OSError)


def main() -> None:
    """Run a command; a failure is one line on stderr, never a traceback."""
    try:
        app()
    except (HeflError, OSError) as error:
        bad_input = isinstance(error, BAD_INPUT) or type(error) is KeyUseError  # its kinds are a run's own failures
        code = 2 if bad_input else 1 if isinstance(error, IntegrityError) else 3
        Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(f"{type(error).__name__}: {error}")
        sys.exit(code)

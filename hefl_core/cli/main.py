"""The commands and their exit codes."""

from __future__ import annotations

import errno
import signal
import sys
from typing import Final

import typer

from hefl_core.cli.ends.files import exit_code
from hefl_core.cli.ends.streams import STDERR, taken_over
from hefl_core.cli.lazy import CODES, LazyCommand, lazy_group
from hefl_core.ending import ENDING, finish_undisturbed
from hefl_core.errors import (
    DataError,
    EncodingError,
    HeflError,
    IntegrityError,
    KeyUseError,
    OutputLost,
    ParameterError,
)
from hefl_core.shown import visible

COMMANDS: Final = (
    LazyCommand(
        "run",
        "hefl_core.cli.run",
        "Run an experiment and report accuracy, error, bytes, seconds and the claims checked on it.",
    ),
    LazyCommand(
        "demo",
        "hefl_core.cli.demo",
        "Five hospitals train a tumour classifier without showing their data: every step, every byte, and a verdict.",
    ),
    LazyCommand(
        "sweep",
        "hefl_core.cli.sweep",
        "Run every setting under every seed; write one table, intervals, paired tests, LaTeX and vector figures.",
    ),
    LazyCommand("table", "hefl_core.cli.tables", "Check a table: what is read, what is left out, and why."),
    LazyCommand(
        "verify",
        "hefl_core.cli.inspect",
        "Check a record's chain, signatures, conversation and sums, offline and without secrets. Exit 1 names the first break.",
    ),
    LazyCommand(
        "report",
        "hefl_core.cli.report",
        "Write a run's record as one HTML file that checks itself in its reader's browser. Exit 1: it does not hold.",
    ),
    LazyCommand(
        "schemes",
        "hefl_core.cli.inspect",
        "List the presets with every number and its source; and what a key held together gives away at its cap.",
    ),
    LazyCommand(
        "claims",
        "hefl_core.cli.inspect",
        "Show the ledger: every promised sentence, its check or its source, and what is not promised.",
    ),
    LazyCommand(
        "attack",
        "hefl_core.cli.attack",
        "Attack messages from one seat: the same code whether the seat sees updates or ciphertext.",
    ),
    LazyCommand(
        "blindness",
        "hefl_core.cli.blindness",
        "Search the keyless processes for everything private, on Ray, every party alone. Exit code 1 if anything is found.",
    ),
    LazyCommand(
        "corrupt",
        "hefl_core.cli.corrupt",
        "Damage every kind of input, each batch in a process of its own. Exit 1 when one is accepted wrongly or kills it.",
    ),
    LazyCommand(
        "faults",
        "hefl_core.cli.faults",
        "Kill, stop, cut off, lie to and corrupt parties at every point of the protocol; fails when a round is lost or wrong.",
    ),
    LazyCommand(
        "serve",
        "hefl_core.cli.serve",
        "Run one party as a service until SIGTERM: health and metrics over HTTP, one JSON object per line on stderr.",
    ),
    LazyCommand(
        "room",
        "hefl_core.cli.room",
        "Open a room for the role play in lessons/roles, on this machine only, until Ctrl-C.",
    ),
    LazyCommand(
        "class",
        "hefl_core.cli.live_class",
        "Open a live class in this network: phones join by a QR code, encrypt their answers, and open only the sum.",
    ),
    LazyCommand("app", "hefl_core.cli.app", "Start the application and serve it until Ctrl-C."),
    LazyCommand(
        "keys",
        "hefl_core.cli.keys",
        "Make, list, rotate, revoke and audit the keys of an experiment kept on this machine.",
    ),
    LazyCommand(
        "provision",
        "hefl_core.cli.provision",
        "Each party makes its own keys and a public request; the organiser answers each with a kit.",
    ),
)

app = typer.Typer(
    name="hefl_core",
    cls=lazy_group(COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

MOST_SAID: Final = 4000
"""Most characters of an error that are shown: it may quote a foreign file, with a terminal's control codes in it."""
BAD_INPUT: Final[tuple[type[Exception], ...]] = (ParameterError, DataError, EncodingError, OSError)


DONE, CHECK_FAILED, BAD_ARGUMENTS, BROKE, NOT_WRITTEN, BY_SIGNAL = 0, 1, 2, 3, 4, 128


@app.callback(epilog=CODES)
def hefl() -> None:
    """Federated learning under homomorphic encryption that one can see, step through and check."""


def main() -> None:
    """Run a command; a failure is one line on stderr, never a traceback."""
    with taken_over():
        with ENDING.raised():
            code = _ended(_code())
        finish_undisturbed()
        sys.exit(code)


def _code() -> int:
    """Run the command; its exit code."""
    try:
        app()
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else DONE if done.code is None else CHECK_FAILED
    except KeyboardInterrupt:
        return BY_SIGNAL + signal.SIGINT
    except (HeflError, OSError) as error:
        return _said(error)
    return DONE


def _said(error: HeflError | OSError) -> int:
    """Print an error; its exit code."""
    if isinstance(error, OutputLost) and error.errno == errno.EPIPE:
        return BY_SIGNAL + getattr(signal, "SIGPIPE", 13)  # as any command whose reader went away
    STDERR.print(f"{type(error).__name__}: {visible(error, MOST_SAID)}", soft_wrap=True, markup=False, highlight=False)
    if isinstance(error, OutputLost):
        return NOT_WRITTEN
    bad_input = isinstance(error, BAD_INPUT) or type(error) is KeyUseError  # its subclasses are failures of a run
    return BAD_ARGUMENTS if bad_input else CHECK_FAILED if isinstance(error, IntegrityError) else BROKE


def _ended(code: int) -> int:
    """The code once everything is printed, or is found not to be printable."""
    try:
        sys.stdout.flush()
    except OutputLost as error:
        code = code or _said(error)
    if ENDING.number is not None:
        STDERR.print(ENDING.said)
        return BY_SIGNAL + ENDING.number
    return exit_code(code)

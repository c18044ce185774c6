"""``room``: the shared table of the role play."""

from __future__ import annotations

import signal
import threading

import typer

from hefl_core.app.role_play import address_file, keep_room
from hefl_core.ending import SIGNALS


def room() -> None:
    """Open a room for the role play in lessons/roles, on this machine only, until Ctrl-C."""
    done = threading.Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: done.set())

    def until_told() -> None:
        typer.echo(
            f"the room is open ({address_file()}); open the four notebooks in lessons/roles, Ctrl-C closes it", err=True
        )
        done.wait()

    keep_room(until_told)

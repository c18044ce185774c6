"""``app``: the application on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Annotated

import typer

from hefl_core.ending import ENDING, SIGNALS
from hefl_core.errors import RuntimeUnavailable


def app(
    port: Annotated[int, typer.Option(min=1, max=65535, help="of http://ADDRESS:PORT")] = 8501,
    address: Annotated[str, typer.Option(help="127.0.0.1: this machine only")] = "127.0.0.1",
    host: Annotated[
        list[str] | None, typer.Option(help="a name under which browsers call it, beside localhost; repeat it for more")
    ] = None,
) -> None:
    """Start the application and serve it until Ctrl-C."""
    from hefl_core.ops.host_names import VARIABLE, parse_names
    from hefl_core.runtime.services.screen import streamlit_command

    names = parse_names(",".join((*(host or ()), os.environ.get(VARIABLE, ""))))
    environment = os.environ | {VARIABLE: ",".join(names)}
    # in a session of its own it sees no signal of the terminal: each comes through here, as the one it cleans up after
    with ENDING.held():
        child = subprocess.Popen(streamlit_command(address, port), env=environment, start_new_session=True)
        for number in SIGNALS:
            signal.signal(number, lambda *_: child.terminate())
    code = child.wait()
    if code > 0:
        raise RuntimeUnavailable(f"application: expected Streamlit to serve {address}:{port}, it ended with {code}")

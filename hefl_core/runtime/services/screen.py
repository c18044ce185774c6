"""The GUI as a service: Streamlit in its own process, behind the same checks as every party."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from typing import IO, TYPE_CHECKING, Final

from hefl_core.errors import ParameterError, RuntimeUnavailable
from hefl_core.ops.host_names import VARIABLE
from hefl_core.ops.settings import Address
from hefl_core.places import APPLICATION

if TYPE_CHECKING:
    from hefl_core.runtime.services.context import Service

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
APP: Final = APPLICATION / "app.py"


def run_gui(service: Service) -> None:
    """Start Streamlit, report when it is ready, and end it with the service.

    Raises: ParameterError without app.py; RuntimeUnavailable when Streamlit does not come up, or ends by itself.
    """
    address = service.settings.listen
    command = streamlit_command(address.host, address.port)
    environment = os.environ | {VARIABLE: ",".join(service.settings.hosts)}
    child = subprocess.Popen(
        command, cwd=APP.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    reader = threading.Thread(target=_relay, args=(child.stdout, service), daemon=True)
    reader.start()
    try:
        _wait_until_it_answers(child, service, address)
        while not service.stop.wait(0.5):
            if child.poll() is not None:
                raise RuntimeUnavailable(f"gui: Streamlit ended with {child.returncode}; its lines in the log say why")
    finally:
        _end(child)
        reader.join(STOP_SECONDS)


def streamlit_command(host: str, port: int) -> list[str]:
    """The command that starts the application on this address. Raises: ParameterError without app.py."""
    if not APP.is_file():
        raise ParameterError(
            f"application: expected app.py at {APP}, found none", "install the built wheel, or start it from a clone"
        )
    address = ["--server.address", host, "--server.port", str(port)]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *address]


def _wait_until_it_answers(child: subprocess.Popen[str], service: Service, address: Address) -> None:
    host = "127.0.0.1" if address.host == "0.0.0.0" else address.host
    waited = 0.0
    while not service.stop.wait(0.5):
        waited += 0.5
        if child.poll() is not None or waited > START_SECONDS:
            raise RuntimeUnavailable(
                f"gui: expected Streamlit on {address} within {START_SECONDS:.0f} s; is the address free?"
            )
        try:
            with urllib.request.urlopen(f"http://{host}:{address.port}/_stcore/health", timeout=2):
                service.ready()
                return
        except (urllib.error.URLError, OSError):
            continue


def _relay(lines: IO[str] | None, service: Service) -> None:
    for line in lines or ():
        if line.strip():
            service.log.info("streamlit", text=line.strip()[:500])


def _end(child: subprocess.Popen[str]) -> None:
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()

"""Memory of a Ray node before a party does anything: its service, Ray's own processes, and a process without a party.

A head and a node of the KMS are started on loopback by the commands of compose.yaml. Resident memory counts shared pages in
every process, proportional memory (PSS) divides them among the processes of this machine that share them.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from common import TargetVerdict, parser, report, table

READY_SECONDS = 180.0
NAMES = {
    "hefl_core serve": "the service",
    "ray.scripts.scripts": "`ray start --block`",
    "DashboardAgent": "Ray's dashboard agent",
    "RuntimeEnvAgent": "Ray's runtime environment agent",
    "raylet/raylet": "raylet",
    "ray::Bare": "a process without a party",
}
BARE = """
import os, ray, sys, time
ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False, logging_level="error")
class Bare:
    def here(self): return os.getpid()
bare = ray.remote(num_cpus=0, resources={"kms": 0.01})(Bare).remote()
print(ray.get(bare.here.remote()), flush=True)
sys.stdin.readline()
"""


@contextmanager
def service(role: str, folder: Path, environment: dict[str, str]) -> Iterator[psutil.Process]:
    """One service, ready, until the block ends."""
    home = folder / role
    told = environment | {"HEFL_HOME": str(home)}
    child = subprocess.Popen([sys.executable, "-m", "hefl_core", "serve", role], env=told, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + READY_SECONDS
        while not (home / "ready").exists():
            if child.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{role} did not come up; start it by hand to see why")
            time.sleep(0.2)
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait()


def sizes(service: psutil.Process) -> list[dict[str, Any]]:
    """Every process of a node, largest first."""
    rows = []
    for process in (service, *service.children(recursive=True)):
        command = " ".join(process.cmdline())
        name = next((what for mark, what in NAMES.items() if mark in command), command[:40])
        memory = process.memory_full_info()
        rows.append({"process": name, "rss": memory.rss, "pss": memory.pss})
    return sorted(rows, key=lambda row: -row["pss"])


def measure() -> list[dict[str, Any]]:
    """Of the KMS's node, with one bare process on it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HEFL_", "RAY_"))}
    environment |= {"HEFL_TRANSPORT": "ray", "HEFL_METRICS": "", "RAY_ADDRESS": f"127.0.0.1:{port}"}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with tempfile.TemporaryDirectory(prefix="hefl-node-") as name:
        folder = Path(name)
        with service("ray-head", folder, environment), service("kms", folder, environment) as kms:
            pipe = subprocess.PIPE
            driver = subprocess.Popen([sys.executable, "-c", BARE], env=environment, stdin=pipe, stdout=pipe, text=True)
            with driver:
                driver.stdout and driver.stdout.readline()
                rows = sizes(kms)
                driver.communicate("\n")
    return rows


def main() -> None:
    """Measure and report."""
    chosen = parser(__doc__).parse_args()
    rows = measure()
    cells = [(row["process"], *(f"{row[kind] / 1e6:.0f} MB" for kind in ("rss", "pss"))) for row in rows]
    cells.append(("together", *(f"{sum(row[kind] for row in rows) / 1e6:.0f} MB" for kind in ("rss", "pss"))))
    report(
        chosen,
        "A Ray node at rest",
        rows,
        list[TargetVerdict](),
        [table(("process", "resident", "proportional"), cells)],
    )


if __name__ == "__main__":
    main()

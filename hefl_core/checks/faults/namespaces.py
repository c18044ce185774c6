"""A network on one machine: a namespace for each name, joined by an isolated bridge. Linux, as root.

In it a plug can be pulled and a line slowed down, unknown to the processes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from hefl_core.errors import RuntimeUnavailable

TOOLS: Final = ("ip", "unshare", "tc")
BRIDGE: Final = "hefl0"
SUBNET: Final = "10.203.7"
SLOW_LINE: Final = "rate 256kbit burst 16kb latency 2s".split()
"""A token bucket: about 32 kB a second, a queue of two seconds before packets are dropped."""


def why_not() -> str:
    """Why namespaces are impossible here; empty if they are possible."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this kernel or container gives no network namespaces"


def why_not_slow() -> str:
    """Why a line cannot be slowed down here; empty if it can."""
    command = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "tbf", *SLOW_LINE]
    tried = subprocess.run(command, capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this kernel has no token bucket filter (tbf)"


class Network:
    """Context in which the namespaces exist. ``addresses``: by name. Raises: RuntimeUnavailable when it is impossible here."""

    def __init__(self, names: Sequence[str]) -> None:
        if reason := why_not():
            raise RuntimeUnavailable(f"network: {reason}")
        self.tag = f"hefl{os.getpid()}"
        self.switch = f"{self.tag}-switch"
        self.addresses = {name: f"{SUBNET}.{number}" for number, name in enumerate(names, start=2)}

    def __enter__(self) -> Network:
        _ip("netns", "add", self.switch)
        _ip("link", "add", BRIDGE, "type", "bridge", within=self.switch)
        _ip("link", "set", BRIDGE, "up", within=self.switch)
        for name in self.addresses:
            self._plug(name)
        return self

    def _plug(self, name: str) -> None:
        inside, leg = self.namespace(name), self._leg(name)
        _ip("netns", "add", inside)
        _ip("link", "add", leg, "type", "veth", "peer", "name", "eth0", "netns", inside, within=self.switch)
        _ip("link", "set", leg, "master", BRIDGE, within=self.switch)
        _ip("link", "set", leg, "up", within=self.switch)
        _ip("address", "add", f"{self.addresses[name]}/24", "dev", "eth0", within=inside)
        _ip("link", "set", "eth0", "up", within=inside)
        _ip("link", "set", "lo", "up", within=inside)

    def namespace(self, name: str) -> str:
        """The namespace's name for the operating system."""
        return f"{self.tag}-{name}"

    def _leg(self, name: str) -> str:
        return f"leg{list(self.addresses).index(name)}"

    def enter(self, name: str) -> list[str]:
        """Command prefix that runs a command in this namespace."""
        return ["ip", "netns", "exec", self.namespace(name)]

    def cut(self, name: str) -> None:
        """Pull the plug."""
        _ip("link", "set", self._leg(name), "down", within=self.switch)

    def slow(self, name: str) -> None:
        """Slow the line down, both ways."""
        for place, device in self._ends(name):
            command = ["tc", "-n", place, "qdisc", "replace", "dev", device, "root", "tbf", *SLOW_LINE]
            subprocess.run(command, check=True, capture_output=True)

    def heal(self, name: str) -> None:
        """Restore the line."""
        _ip("link", "set", self._leg(name), "up", within=self.switch)
        for place, device in self._ends(name):
            command = ["tc", "-n", place, "qdisc", "del", "dev", device, "root"]
            subprocess.run(command, capture_output=True, check=False)  # fails if the line was not slow

    def _ends(self, name: str) -> tuple[tuple[str, str], ...]:
        """Both ends of the line: namespace and device."""
        return (self.namespace(name), "eth0"), (self.switch, self._leg(name))

    def __exit__(self, *_: object) -> None:
        for name in (*map(self.namespace, self.addresses), self.switch):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _ip(*words: str, within: str | None = None) -> None:
    place = ["-n", within] if within else []
    try:
        subprocess.run(["ip", *place, *words], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise RuntimeUnavailable(f"network: ip {' '.join(words)}: {error.stderr.strip()}") from error

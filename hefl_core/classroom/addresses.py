"""Addresses of this computer at which the phones of a room may reach it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import psutil

from hefl_core.errors import ParameterError

NOBODY: Final = ("192.0.2.1", 9)
"""A documentation address (RFC 5737): connecting a UDP socket to it sends no packet, and fixes the route."""
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Address:
    """An address, and the interface that has it."""

    address: str
    interface: str


def addresses() -> tuple[Address, ...]:
    """Private IPv4 addresses of the interfaces that are up, the one of the usual route first; loopback last."""
    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    found = [
        Address(one.address, name)
        for name, ones in psutil.net_if_addrs().items()
        for one in ones
        if name in up and one.family == socket.AF_INET and reachable(one.address)
    ]
    usual = _usual_route()
    found.sort(key=lambda one: (one.address != usual, one.interface))
    return (*found, Address(LOOPBACK, "this computer only"))


def reachable(address: str) -> bool:
    """Whether phones of a room may reach it: private, and not loopback.

    >>> [reachable(one) for one in ("192.168.43.1", "127.0.0.1", "8.8.8.8")]
    [True, False, False]
    """
    found = ip_address(address)
    return found.is_private and not found.is_loopback and not found.is_unspecified


def check_address(address: str) -> str:
    """An address that a class may listen on: private or loopback, never all of them. Raises: ParameterError."""
    try:
        found = ip_address(address)
    except ValueError:
        raise ParameterError(f"address: expected one such as 192.168.1.5, found {address[:80]!r}") from None
    if found.is_unspecified or not (found.is_private or found.is_loopback):
        raise ParameterError(
            f"address: expected a private one of this computer, found {address}",
            "a class is for one room, not the internet",
        )
    return address


def _usual_route() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(NOBODY)
        except OSError:  # no network at all
            return ""
        return str(probe.getsockname()[0])

"""A service's settings: defaults, then a TOML file, then the environment; checked before anything starts."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from hefl_core.errors import ParameterError
from hefl_core.ids import AUDITOR, COORDINATOR, KMS
from hefl_core.ops.host_names import parse_names

CLIENT: Final = "client"
GUI: Final = "gui"
RAY_HEAD: Final = "ray-head"
ROLES: Final = (KMS, COORDINATOR, AUDITOR, CLIENT, GUI, RAY_HEAD)
LEVELS: Final = ("debug", "info", "warning", "error")
PREFIX: Final = "HEFL_"
LISTEN: Final = {COORDINATOR: "127.0.0.1:7443", GUI: "127.0.0.1:8501"}
"""The roles that listen; all others only connect."""
CLIENT_NAME: Final = re.compile(r"client-[1-9][0-9]{0,3}")
_HOST: Final = re.compile(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True, slots=True)
class Address:
    """``host:port``. Port 0: any free port."""

    host: str
    port: int

    @classmethod
    def parse(cls, field: str, text: str) -> Address:
        """Read ``host:port``. Raises: ParameterError.

        >>> Address.parse("listen", "127.0.0.1:7443")
        Address(host='127.0.0.1', port=7443)
        """
        host, _, port = text.rpartition(":")
        if not _HOST.fullmatch(host) or not port.isdecimal() or int(port) > 65535:
            raise _wrong(field, "host:port, such as 127.0.0.1:7443", text)
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one service. Nothing in it is secret.

    ``party``: its name in the roster. ``home``: the party's own folder (kit, store, key file, data, results).
    ``coordinator``: the coordinator's address; ``listen``: the address on which coordinator and GUI listen.
    ``metrics``: the address of health and metrics, None for none. ``hosts``: host names that metrics and GUI accept
    (runtime/host_names.py), beside this machine's own.
    Raises: ParameterError naming the field, what was expected and what was found.
    """

    role: str
    party: str
    home: Path
    transport: str
    coordinator: Address
    listen: Address
    metrics: Address | None
    hosts: tuple[str, ...]
    log_level: str

    @classmethod
    def load(cls, role: str, config: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
        """Defaults < TOML file < environment. A relative ``home`` in a file is relative to the file's folder."""
        if role not in ROLES:
            raise _wrong("role", f"one of {', '.join(ROLES)}", role)
        values = {} if config is None else _read(config)
        values |= _from_environment(os.environ if environment is None else environment)
        return cls._checked(role, values)

    @classmethod
    def _checked(cls, role: str, values: Mapping[str, str]) -> Settings:
        party = _party(role, values.get("party", ""))
        metrics = values.get("metrics", "127.0.0.1:9464")
        transports = (RAY,) if role == RAY_HEAD else TRANSPORTS
        return cls(
            role=role,
            party=party,
            home=Path(values.get("home") or party),
            transport=_one_of("transport", values.get("transport", transports[0]), transports),
            coordinator=Address.parse("coordinator", values.get("coordinator", LISTEN[COORDINATOR])),
            listen=Address.parse("listen", values.get("listen", LISTEN.get(role, LISTEN[COORDINATOR]))),
            metrics=Address.parse("metrics", metrics) if metrics else None,
            hosts=parse_names(values.get("hosts", "")),
            log_level=_one_of("log_level", values.get("log_level", "info"), LEVELS),
        )


TLS: Final = "tls"
RAY: Final = "ray"
TRANSPORTS: Final = (TLS, RAY)
"""How parties reach each other; runtime/services/service.py has a function for each."""
NAMES: Final = tuple(field.name for field in fields(Settings) if field.name != "role")


def _read(config: Path) -> dict[str, str]:
    try:
        found = tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(f"config: expected a readable file, found {error.strerror} ({config})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"config {config.name}: expected TOML, found {error}", "correct the file") from error
    for name, value in found.items():
        if name not in NAMES:
            raise _wrong(f"config {config.name}", f"settings among {', '.join(NAMES)}", name)
        if not isinstance(value, str):
            raise _wrong(f"{name} in {config.name}", "text in quotes", str(value))
    if "home" in found:
        found["home"] = str(config.parent / found["home"])
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: environment[key] for name in NAMES if (key := PREFIX + name.upper()) in environment}


def _party(role: str, party: str) -> str:
    if role != CLIENT:
        return _one_of("party", party or role, (role,))
    if not CLIENT_NAME.fullmatch(party):
        raise _wrong("party", "client-1, client-2, …", party or "nothing")
    return party


def _one_of(field: str, found: str, known: tuple[str, ...]) -> str:
    if found not in known:
        raise _wrong(field, " or ".join(known), found)
    return found


def _wrong(field: str, expected: str, found: str) -> ParameterError:
    name = field.upper()
    hint = f"set {PREFIX}{name}, or {field} in the file" if field in NAMES else "correct it"
    return ParameterError(f"{field}: expected {expected}, found {found[:80]!r}", hint)

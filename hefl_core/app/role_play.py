"""The role play: players at one machine, each in a notebook, exchange real envelopes over one table.

The table is a Ray actor that relays letters and keeps their headers; it can read what any relay can. Ray is one trust
domain: this separates players for learning, not attackers. Only its owner can read the file with the table's address.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from hefl_core.errors import RuntimeUnavailable
from hefl_core.keys.prekeys import Prekey
from hefl_core.keys.roster import CLIENT, Member
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.letter import Letter
from hefl_core.wire.envelope import Envelope, SignedHeader

T = TypeVar("T")
TABLE: Final = "hefl-table"
NAMESPACE: Final = "hefl-room"
PATIENCE_SECONDS: Final = 600.0
LOOK_SECONDS: Final = 0.3


class Address(msgspec.Struct, frozen=True):
    """The address of the role play's Ray, and its token."""

    ray: str
    token: str


def address_file() -> Path:
    """The file that holds the address: $HEFL_ROOM, or a file in the home folder."""
    return Path(os.environ.get("HEFL_ROOM") or Path.home() / ".hefl-room")


class Table:
    """Relays letters between the players. The KMS's player opens it with the terms."""

    def __init__(self) -> None:
        self._terms: tuple[Manifest, Member] | None = None
        self._members: dict[str, Member] = {}
        self._sealing_keys: dict[str, tuple[Prekey, ...]] = {}
        self._boxes: dict[str, list[Envelope]] = defaultdict(list)
        self._headers: list[SignedHeader] = []

    def open(self, manifest: Manifest, kms: Member) -> None:
        """Set the terms (the KMS's player does so); clears the table of an earlier play."""
        self.__init__()  # type: ignore[misc]
        self._terms = (manifest, kms)

    def terms(self) -> tuple[Manifest, Member] | None:
        """The public terms and the KMS's member line; None before the KMS's player opened the table."""
        return self._terms

    def sit(self, member: Member, sealing_keys: tuple[Prekey, ...]) -> None:
        """Take a seat: the KMS enrols the public member line and seals shares to a client's public sealing keys."""
        self._members[member.name] = member
        self._sealing_keys[member.name] = sealing_keys

    def members(self) -> tuple[Member, ...]:
        """The seated players, in the order of sitting down."""
        return tuple(self._members.values())

    def sealing_keys(self, name: str) -> tuple[Prekey, ...]:
        """The sealing keys that a client brought."""
        return self._sealing_keys[name]

    def put(self, envelope: Envelope) -> None:
        """Put a letter into each recipient's box."""
        self._headers.append(envelope.signed_header)
        for name in envelope.header.recipients:
            self._boxes[name].append(envelope)

    def take(self, name: str) -> list[Envelope]:
        """Return and empty a box."""
        return self._boxes.pop(name, [])

    def headers(self) -> tuple[SignedHeader, ...]:
        """Every header that passed, in order."""
        return tuple(self._headers)


class Seat:
    """A player's seat: sends letters, passes arriving ones to a party, and waits for the other players.

    Raises: RuntimeUnavailable, naming what it waited for, after ``patience_seconds``.
    """

    def __init__(self, table: Any, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._table = table
        self._patience = patience_seconds
        self._arrived: dict[str, deque[Envelope]] = defaultdict(deque)

    def _ask(self, method: str, *args: object) -> Any:
        from hefl_core.runtime.ray.cluster import ray

        return ray.get(getattr(self._table, method).remote(*args), timeout=60)

    def open(self, manifest: Manifest, kms: Member) -> None:
        """Open the table for a new play (the KMS's player)."""
        self._ask("open", manifest, kms)

    def terms(self) -> tuple[Manifest, Member]:
        """Wait for the KMS's player to open the table. Returns: manifest, the KMS's public line."""
        found: tuple[Manifest, Member] = self._wait("the KMS to open the table", lambda: self._ask("terms"))
        return found

    def sit(self, party: Any) -> None:
        """Take this party's seat; a client brings its public sealing keys."""
        keys = party.sealing_keys(1) if party.member.role == CLIENT else ()
        self._ask("sit", party.member, keys)

    def sealing_keys(self, name: str) -> tuple[Prekey, ...]:
        """The keys to which a seated client wants its share sealed, each signed by it."""
        found: tuple[Prekey, ...] = self._ask("sealing_keys", name)
        return found

    def players(self, names: Sequence[str]) -> tuple[Member, ...]:
        """Wait until all these players are seated."""

        def all_there() -> tuple[Member, ...] | None:
            there = {member.name: member for member in self._ask("members")}
            return tuple(there[name] for name in names) if set(names) <= set(there) else None

        return self._wait(f"{', '.join(names)} to sit down", all_there)

    def send(self, letter: Letter | Envelope) -> None:
        """Send a letter over the table."""
        envelope = letter.envelope if isinstance(letter, Letter) else letter
        self._ask("put", envelope)
        header = envelope.header
        print(f"sent {header.kind:12s} {envelope.nbytes:9,} bytes to {', '.join(header.recipients)}")

    def receive(self, party: Any, kind: str, count: int = 1) -> None:
        """Pass letters to the party, in order, until it accepted ``count`` of this kind. Raises: the party's refusal."""
        got = 0
        while got < count:
            waiting = f"{kind} for {party.name} ({got} of {count} there)"
            envelope = self._wait(waiting, lambda: self._next(party.name))
            party.receive(envelope)
            header = envelope.header
            print(f"{party.name} accepted {header.kind:12s} {envelope.nbytes:9,} bytes from {header.sender}")
            got += header.kind == kind

    def _next(self, name: str) -> Envelope | None:
        box = self._arrived[name]
        if not box:
            box.extend(self._ask("take", name))
        return box.popleft() if box else None

    def headers(self) -> tuple[SignedHeader, ...]:
        """What every player can see of all letters."""
        found: tuple[SignedHeader, ...] = self._ask("headers")
        return found

    def _wait(self, what: str, look: Callable[[], T | None]) -> T:
        end = time.monotonic() + self._patience
        while (found := look()) is None:
            if time.monotonic() > end:
                raise RuntimeUnavailable(
                    f"waited {self._patience:.0f} s for {what}; is that notebook running? Run this cell again"
                )
            time.sleep(LOOK_SECONDS)
        return found


def take_seat(patience_seconds: float = PATIENCE_SECONDS) -> Seat:
    """Take a seat at this machine's table. Raises: RuntimeUnavailable when there is none."""
    try:
        room = msgspec.json.decode(address_file().read_bytes(), type=Address)
    except (OSError, msgspec.MsgspecError) as error:
        raise RuntimeUnavailable("role play: expected an open room; run `python -m hefl_core room` first") from error
    os.environ.update(RAY_ADDRESS=room.ray, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=room.token)
    from hefl_core.runtime.ray.cluster import CLUSTER, ray  # reads the environment at import time: set it first

    CLUSTER.wait()
    return Seat(ray.get_actor(TABLE, namespace=NAMESPACE), patience_seconds)


def keep_room(stop: Callable[[], object]) -> None:
    """Start Ray with a table, write the address file, and keep both until ``stop`` returns."""
    from hefl_core.runtime.ray.cluster import CLUSTER, ray

    CLUSTER.wait()
    table = ray.remote(num_cpus=0)(Table).options(name=TABLE, namespace=NAMESPACE).remote()
    ray.get(table.members.remote(), timeout=60)
    room = Address(ray.get_runtime_context().gcs_address, os.environ["RAY_AUTH_TOKEN"])
    path = address_file()
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(room))
    try:
        stop()
    finally:
        path.unlink(missing_ok=True)

"""Injected faults: at a named point of the protocol a party is lost, cut off or lied to, or its disk fails.

A point is a call of a party, named by the method (``commit``) or by the arriving message (``receive plan``). Here the
parties are objects over real stores: losing one means that its object and the answer under way are gone. Faults that only
processes suffer (SIGKILL, SIGSTOP) are in processes.py, faults of a network in networks.py.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from hefl_core.errors import HeflError, RuntimeUnavailable
from hefl_core.federation.party import ENROLMENT_KINDS
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name
from hefl_core.keys.ceremony import STEPS
from hefl_core.keys.ceremony_result import APPROVAL_KIND, PREFIX
from hefl_core.keys.custody import Custody
from hefl_core.keys.identity import Identity
from hefl_core.keys.vault.store import KeyStore
from hefl_core.runtime.restart import MAX_RESTARTS, Restartable
from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import Envelope
from hefl_core.wire.limits import MAX_BODY_BYTES

LONG: Final = MAX_RESTARTS + 1
"""This many calls in a row fail before a party counts as unreachable."""
SLOW_SECONDS: Final = 0.05

ANYWHERE: Final = (
    "kill before",
    "kill after",
    "twice",
    "disk full",
    "disk full for long",
    "store",
    "partition",
    "slow",
)
ON_ARRIVAL: Final = ("corrupt", "late", "replay", "unsigned", "forged", "oversized", "equivocation")
LIES: Final = ("unsigned", "forged", "oversized", "equivocation")
"""Letters that must be rejected."""
KINDS: Final = (*ANYWHERE, *ON_ARRIVAL)

_ROUND: Final = ("receive plan", "receive commitments", "receive sum")
_KEY: Final = ("receive roster", "receive epoch")
POINTS: Final[dict[str, tuple[str, ...]]] = {
    KMS: (
        "clients_to_ask",
        "deposit",
        "open_epoch",
        "rotate",
        "roster_envelope",
        "epoch_envelope",
        "share_envelope",
        "destroy",
        "end",
    ),
    COORDINATOR: (
        *_KEY,
        *("plan", "receive commitment", "commitments", "receive update", "aggregate", "receive confirmation"),
        *("receive receipt", "close"),
    ),
    AUDITOR: (*_KEY, *_ROUND, "receive update", "objection", "confirm", "receive receipt", "close", "evidence"),
    "client": (
        *_KEY,
        "sealing_keys",
        "receive share",
        *_ROUND,
        *("commit", "upload", "receive confirmation", "apply", "observe", "destroy_epoch", "sign_closing"),
    ),
}
HOLDER_POINTS: Final[dict[str, tuple[str, ...]]] = {
    COORDINATOR: ("receive ready", "request_decryption"),
    AUDITOR: ("acknowledge",),
    "client": ("receive acknowledgement", "ready", "receive request", "partial_decryption", "receive partial"),
}
"""Points that collective custody adds."""
CEREMONY_POINTS: Final[dict[str, tuple[str, ...]]] = {
    KMS: ("begin_ceremony", "register", "receive " + APPROVAL_KIND),
    "client": ("ceremony", *(f"receive {PREFIX}{step}" for step in STEPS)),
}
"""Points that a dealer-free key adds."""
SIGNED_ONCE: Final = {KMS: (APPROVAL_KIND,)}
"""Excluded from equivocation: the KMS signs each enrolment in its own process and accepts one approval per client."""
DEALER_POINTS: Final = ("open_epoch", "rotate", "roster_envelope", "share_envelope", "receive share")
ONCE: Final = (
    "begin_ceremony",
    "register",
    "open_epoch",
    "rotate",
    "destroy",
    "end",
    "destroy_epoch",
    "sign_closing",
    "deposit",
    "sealing_keys",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """``kind`` happens to ``party`` when it passes ``point`` for the ``occurrence``-th time."""

    party: str
    point: str
    kind: str
    occurrence: int


def points_of(role: str, custody: Custody) -> tuple[str, ...]:
    """The points at which a party of this role can fail under this custody."""
    points = POINTS[role] + (HOLDER_POINTS.get(role, ()) if custody.quorum.collective else ())
    if custody.dealer_free:
        points = tuple(point for point in points if point not in DEALER_POINTS) + CEREMONY_POINTS.get(role, ())
    return points


def all_faults(clients: int, rng: random.Random, custody: Custody) -> list[Fault]:
    """Every kind at every point of every role; client and occurrence are random."""
    found = []
    for role in POINTS:
        for point in points_of(role, custody):
            for kind in KINDS:
                if kind in ON_ARRIVAL and not point.startswith("receive"):
                    continue
                if kind == "equivocation" and point.removeprefix("receive ") in SIGNED_ONCE.get(role, ENROLMENT_KINDS):
                    continue
                name = client_name(rng.randint(1, clients)) if role == "client" else role
                found.append(Fault(name, point, kind, 1 if point in ONCE else rng.randint(1, 2)))
    rng.shuffle(found)
    return found


@dataclass
class Injector:
    """Waits for its fault's point and injects it. ``fired``: the time, if it did; ``refused``: the resulting refusals."""

    fault: Fault
    rng: random.Random
    passed: int = 0
    left: int = 0
    fired: float | None = None
    refused: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    signer: Callable[[str], Identity] | None = None
    earlier: dict[str, Envelope] = field(default_factory=dict)
    waiting: list[Callable[[], Any]] = field(default_factory=list)

    def at(self, victim: Victim, point: str, args: tuple[Any, ...], work: Callable[[], Any]) -> Any:
        """Let a party's call pass, or inject the fault."""
        if victim.name != self.fault.party:
            return work()
        while self.waiting:
            self._try(self.waiting.pop())
        if self.left and point == self.fault.point:
            self.left -= 1
            return self._fail(victim, work)
        if point == self.fault.point and self.fired is None:
            self.passed += 1
            if self.passed == self.fault.occurrence:
                self.fired = time.monotonic()
                return self._happen(victim, args, work)
        if args and isinstance(args[0], Envelope):
            self.earlier[args[0].header.kind] = args[0]
        return work()

    def _happen(self, victim: Victim, args: tuple[Any, ...], work: Callable[[], Any]) -> Any:
        kind = self.fault.kind
        if kind == "kill before":
            victim.lose()
        elif kind == "kill after":
            work()
            victim.lose()
        elif kind == "store":
            victim.damage(self.rng)
        elif kind in ("disk full", "disk full for long", "partition"):
            self.left = 0 if kind == "disk full" else LONG - 1
            return self._fail(victim, work)
        elif kind == "slow":
            time.sleep(SLOW_SECONDS)
        elif kind == "twice":
            work()
        elif kind == "late":
            self.left = LONG - 1
            self.waiting.append(work)
            raise RuntimeUnavailable(f"{victim.name}: no answer in time")
        elif kind != "equivocation":
            self._lie(victim, args[0])
        if kind == "corrupt":
            changed = bytearray(args[0].body)
            changed[self.rng.randrange(len(changed))] ^= 1 << self.rng.randrange(8)
            return victim.plainly("receive", (replace(args[0], body=bytes(changed)),))
        answer = work()
        if kind == "equivocation":
            self._lie(victim, args[0])
        return answer

    def _fail(self, victim: Victim, work: Callable[[], Any]) -> Any:
        if self.fault.kind.startswith("disk full"):
            victim.fill_disk()
            return work()
        raise RuntimeUnavailable(f"{victim.name}: no answer in time")

    def _lie(self, victim: Victim, true: Envelope) -> None:
        """Insert a false letter; it must be refused, or change nothing."""
        false = {
            "replay": lambda: self.earlier.get(true.header.kind, true),
            "unsigned": lambda: replace(true, signature=b""),
            "forged": lambda: replace(true, signature=Identity("mallory", "client").sign(encode(true.header))),
            "oversized": lambda: replace(true, body=bytes(MAX_BODY_BYTES + 1)),
            "equivocation": lambda: self._another(true),
        }.get(self.fault.kind)
        if false is not None:
            letter = false()
            self._try(lambda: victim.plainly("receive", (letter,)), same=self.fault.kind == "replay")

    def _another(self, true: Envelope) -> Envelope:
        """A second, different message at the same place, signed by the same sender."""
        if self.signer is None:
            raise RuntimeUnavailable("faults: expected a signer to equivocate with, found none")
        header = replace(true.header, sequence=true.header.sequence + 1)
        return replace(true, header=header, signature=self.signer(header.sender).sign(encode(header)))

    def _try(self, work: Callable[[], Any], *, same: bool = True) -> None:
        try:
            work()
        except HeflError as error:
            self.refused.append(f"{type(error).__name__}: {error}")
        else:
            if not same:
                self.accepted.append(self.fault.kind)


class Victim(Restartable):
    """A restartable party whose calls pass through an injector."""

    def __init__(
        self,
        name: str,
        path: Path,
        open_store: Callable[[], KeyStore],
        make: Callable[[KeyStore], Any],
        injector: Injector,
    ) -> None:
        self._path = path
        self._injector = injector
        super().__init__(name, open_store, make)

    def call(self, method: str, args: tuple[Any, ...]) -> Any:
        """As :class:`Restartable`, except at the fault's point."""
        point = f"receive {args[0].header.kind}" if method == "receive" else method
        return self._injector.at(self, point, args, lambda: Restartable.call(self, method, args))

    def plainly(self, method: str, args: tuple[Any, ...]) -> Any:
        """A call that bypasses the injector."""
        return Restartable.call(self, method, args)

    def lose(self) -> None:
        """Drop the object and with it everything outside its store. Raises: RuntimeUnavailable, always."""
        self._store.close()
        self._party = _Lost()
        raise RuntimeUnavailable(f"{self.name}: lost")

    def fill_disk(self) -> None:
        """Make the open store unwritable."""
        self._store.full = True  # type: ignore[attr-defined]

    def damage(self, rng: random.Random) -> None:
        """Change bytes all over the store's file, then lose the object. Raises: RuntimeUnavailable, always."""
        self._store.close()
        if not self._path.exists():
            self.lose()
        whole = bytearray(self._path.read_bytes())
        for _ in range(64):
            whole[rng.randrange(100, len(whole))] ^= rng.randrange(1, 256)
        self._path.write_bytes(whole)
        self.lose()


class _Lost:
    """Stands in a lost party's place."""

    def __getattr__(self, method: str) -> Any:
        raise RuntimeUnavailable("lost: it is not there")


class Disk(KeyStore):
    """A key store whose disk may be full, so that a commit does not fit. The error is the operating system's own."""

    full = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """As :class:`KeyStore`."""
        with ExitStack() as room, super().transaction():
            yield
            if self.full:
                room.enter_context(_no_room())  # left after the transaction: its commit meets the limit


@contextmanager
def _no_room() -> Iterator[None]:
    """Let no file of this process grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))  # Python ignores SIGXFSZ, so a write past it fails with EFBIG
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

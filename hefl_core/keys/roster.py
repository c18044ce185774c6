"""Who takes part: names, roles and public keys, signed by the KMS so that nobody can put in keys of their own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hefl_core.errors import DataError, IntegrityError, ParameterError, RoundError
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, OBSERVER, digest
from hefl_core.wire.canonical import encode
from hefl_core.wire.files import read_regular

CLIENT = "client"
ROLES = (CLIENT, COORDINATOR, AUDITOR, KMS, OBSERVER)
KEY_BYTES = 32
MAX_NAME = 64
PIN_FORMAT = "hefl/roster-pin/1"
MAX_PIN_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Member:
    """One party: its Ed25519 verification key ``signing`` and its X25519 encryption key ``sealing`` (32 bytes each).

    Raises: ParameterError for an unknown role, an unusable name or keys of another length.
    """

    name: str
    role: str
    signing: bytes
    sealing: bytes

    def __post_init__(self) -> None:
        if not (0 < len(self.name) <= MAX_NAME and self.name.isprintable() and "/" not in self.name):
            raise ParameterError(
                f"member: expected a name of 1 to {MAX_NAME} printable characters, no '/', found {self.name[:80]!r}",
                "choose another name",
            )
        if self.role not in ROLES:
            raise ParameterError(f"{self.name}: expected one of {', '.join(ROLES)}, found role {self.role[:40]!r}")
        if len(self.signing) != KEY_BYTES or len(self.sealing) != KEY_BYTES:
            raise ParameterError(
                f"{self.name}: expected keys of {KEY_BYTES} bytes, found {len(self.signing)} and {len(self.sealing)}"
            )


@dataclass(frozen=True, slots=True)
class Roster:
    """The parties of one key epoch, the KMS among them, in the order of their enrolment.

    Raises: ParameterError when two members share a name or a key.
    Leaks: it is public; the relaying coordinator reads it, and cannot change it without the KMS's signature.
    """

    experiment: str
    epoch: int
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        for what, values in (
            ("name", [m.name for m in self.members]),
            ("signing key", [m.signing for m in self.members]),
            ("sealing key", [m.sealing for m in self.members]),
        ):
            if len(set(values)) != len(values):
                raise ParameterError(f"roster: expected {len(values)} different {what}s, found {len(set(values))}")

    def member(self, name: str) -> Member:
        """The member of this name. Raises: RoundError when nobody has it."""
        for found in self.members:
            if found.name == name:
                return found
        names = ", ".join(m.name for m in self.members)
        raise RoundError(f"roster of epoch {self.epoch}: expected one of {names}, found {name[:80]!r}; enrol it first")

    def __contains__(self, name: object) -> bool:
        return any(m.name == name for m in self.members)

    def names(self, role: str) -> tuple[str, ...]:
        """Names of the members with this role, in order."""
        return tuple(m.name for m in self.members if m.role == role)

    @property
    def clients(self) -> tuple[str, ...]:
        """Names of the clients, in order: client number i (from 1) holds share i."""
        return self.names(CLIENT)

    def index(self, client: str) -> int:
        """The client's share number, 1..n. Raises: RoundError when it is not a client of this roster."""
        if client not in self.clients:
            raise RoundError(
                f"roster of epoch {self.epoch}: expected one of the clients {', '.join(self.clients)}, "
                f"found {client[:80]!r}"
            )
        return self.clients.index(client) + 1

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical roster."""
        return digest(b"hefl/roster", encode(self))


@dataclass(frozen=True, slots=True)
class RosterPin:
    """The root of trust, carried by another way than the messages: the KMS's signing key and one roster's digest."""

    experiment: str
    signing_key: bytes
    epoch: int
    roster_digest: bytes

    @classmethod
    def of(cls, roster: Roster, signing_key: bytes) -> RosterPin:
        """Pin this roster under the KMS's Ed25519 key."""
        return cls(roster.experiment, signing_key, roster.epoch, roster.digest)

    def check(self, roster: Roster) -> None:
        """Compare a roster with the pin; a later epoch's roster only by its experiment and its KMS.

        Raises: IntegrityError when it is another roster.
        """
        if roster.experiment != self.experiment:
            raise IntegrityError(
                f"roster: expected experiment {self.experiment[:16]}, found {roster.experiment[:16]}; pin the right one"
            )
        roots = [m.signing for m in roster.members if m.role == KMS]
        if roots != [self.signing_key]:
            found = ", ".join(r.hex()[:16] for r in roots) or "none"
            raise IntegrityError(f"roster: expected the pinned KMS key {self.signing_key.hex()[:16]}, found {found}")
        if roster.epoch == self.epoch and roster.digest != self.roster_digest:
            raise IntegrityError(
                f"roster of epoch {self.epoch}: expected digest {self.roster_digest.hex()[:16]}, "
                f"found {roster.digest.hex()[:16]}; somebody substituted a member"
            )

    def to_json(self) -> str:
        """The pin as text. Leaks: nothing; it is public, but must not be replaced."""
        fields = {
            "format": PIN_FORMAT,
            "experiment": self.experiment,
            "kms_signing_key": self.signing_key.hex(),
            "epoch": self.epoch,
            "roster_digest": self.roster_digest.hex(),
        }
        return json.dumps(fields, indent=2) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the pin as a small JSON file."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> RosterPin:
        """Read a pin. Raises: DataError when the file is missing or of another form."""
        try:
            fields = json.loads(read_regular(Path(path), MAX_PIN_BYTES, "roster pin"))
            pin = cls(
                str(fields["experiment"]),
                bytes.fromhex(fields["kms_signing_key"]),
                int(fields["epoch"]),
                bytes.fromhex(fields["roster_digest"]),
            )
            usable = fields["format"] == PIN_FORMAT and len(pin.signing_key) == KEY_BYTES == len(pin.roster_digest)
        except (OSError, UnicodeError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise DataError(
                f"roster pin: expected a {PIN_FORMAT} file, found {type(error).__name__}: {error}"
            ) from error
        if not usable:
            raise DataError(f"roster pin: expected format {PIN_FORMAT} with 32-byte keys, found {str(fields)[:80]}")
        return pin

"""The roster: names, roles and public keys of the parties, signed by the KMS so that no other party can add keys.

A client has one lasting key, its signing key. Messages to it are sealed to a key of one epoch, which the client vouches for
with a signature; the roster names both (keys/prekeys.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hefl_core.errors import DataError, IntegrityError, ParameterError, RoundError
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, OBSERVER, digest
from hefl_core.wire.canonical import encode
from hefl_core.wire.files import from_hex, read_object, read_regular, replace_file, text, whole

CLIENT = "client"
ROLES = (CLIENT, COORDINATOR, AUDITOR, KMS, OBSERVER)
KEY_BYTES = 32
SEALING_BYTES = 1184 + KEY_BYTES
"""A sealing key: ML-KEM-768's 1,184 bytes, then X25519's 32."""
SIGNATURE_BYTES: Final = 64
MAX_NAME = 64
PIN_FORMAT = "hefl/roster-pin/1"
MAX_PIN_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Member:
    """One party: its Ed25519 verification key ``signing`` (32 bytes) and its encryption key ``sealing`` (1,216 bytes).

    A record made before ML-KEM was added has sealing keys of 32 bytes: its roster can be read, nothing is sealed to them.

    A client's line has a ``sealing`` key in the roster of an epoch only, with its signature under it (``voucher``);
    elsewhere both are empty.
    Raises: ParameterError for an unknown role, an unusable name or keys of another length.
    """

    name: str
    role: str
    signing: bytes
    sealing: bytes
    voucher: bytes = b""

    def __post_init__(self) -> None:
        # No '/': it separates the parts of a row's name in the key stores.
        if not (0 < len(self.name) <= MAX_NAME and self.name.isprintable() and "/" not in self.name):
            raise ParameterError(
                f"member: expected a name of 1 to {MAX_NAME} printable characters, no '/', found {self.name[:80]!r}",
                "choose another name",
            )
        if self.role not in ROLES:
            raise ParameterError(f"{self.name}: expected one of {', '.join(ROLES)}, found role {self.role[:40]!r}")
        sealings = (SEALING_BYTES, KEY_BYTES)
        forms = {(KEY_BYTES, sealing, 0) for sealing in sealings}
        if self.role == CLIENT:
            forms = {(KEY_BYTES, 0, 0), *((KEY_BYTES, sealing, SIGNATURE_BYTES) for sealing in sealings)}
        found = (len(self.signing), len(self.sealing), len(self.voucher))
        if found not in forms:
            raise ParameterError(
                f"{self.name}: expected a signing key, a sealing key and a voucher of "
                f"{' or '.join(map(str, sorted(forms)))} bytes, found {found}"
            )

    @property
    def lasting(self) -> Member:
        """This line without its keys of one epoch."""
        return Member(self.name, self.role, self.signing, b"") if self.role == CLIENT else self


def sealing_statement(experiment: str, epoch: int, client: str, sealing: bytes) -> bytes:
    """The statement that a client signs for its sealing key of one epoch."""
    return encode(("hefl/sealing-key", experiment, epoch, client, sealing))


def check_voucher(experiment: str, epoch: int, member: Member) -> None:
    """Check that a client vouches for the sealing key in its line. Raises: IntegrityError when its signature does not fit."""
    statement = sealing_statement(experiment, epoch, member.name, member.sealing)
    try:
        Ed25519PublicKey.from_public_bytes(member.signing).verify(member.voucher, statement)
    except (InvalidSignature, ValueError) as error:
        raise IntegrityError(
            f"{member.name}: expected its own signature under its sealing key of epoch {epoch}, found another; "
            "somebody substituted the key: seal nothing to it"
        ) from error


def fingerprint(experiment: str, members: Sequence[Member]) -> str:
    """64 hex digits over an experiment and its members' names, roles and lasting keys, in whatever order they come.

    Parties with the same fingerprint see the same members. Compared out of band, it shows a member that was added, left out
    or given other keys.
    """
    lines = sorted((m.name, m.role, m.lasting.signing, m.lasting.sealing) for m in members)
    return digest(b"hefl/members", experiment.encode(), encode(lines)).hex()


@dataclass(frozen=True, slots=True)
class Roster:
    """The parties of one key epoch, the KMS among them, in the order of their enrolment.

    Raises: ParameterError when two members share a name or a key, or one has no sealing key.
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
        if without := [m.name for m in self.members if not m.sealing]:
            raise ParameterError(f"roster: expected a sealing key of each member, found none of {', '.join(without)}")

    def member(self, name: str) -> Member:
        """The member of this name. Raises: RoundError when there is none."""
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

    @property
    def fingerprint(self) -> str:
        """As :func:`fingerprint`: the same in every epoch with the same parties."""
        return fingerprint(self.experiment, self.members)

    def check_vouchers(self) -> None:
        """Check each client's signature under its sealing key. Raises: IntegrityError naming the client."""
        for client in self.clients:
            check_voucher(self.experiment, self.epoch, self.member(client))

    def check_members(self, agreed: Sequence[Member]) -> None:
        """Compare with the members agreed on beforehand: clients may be missing (revoked), no member may be new.

        Raises: IntegrityError naming the members that were not agreed on, or the required ones that are missing.
        """
        lasting = {member.lasting for member in agreed}
        strangers = [member.name for member in self.members if member.lasting not in lasting]
        missing = [m.name for m in agreed if m.role != CLIENT and m not in self.members]
        if strangers:
            raise IntegrityError(
                f"roster of epoch {self.epoch}: expected only the kit's members, with their keys, found others as "
                f"{', '.join(strangers)}; somebody put them in, or they need a new kit, whose fingerprint all compare: refuse"
            )
        if missing:
            raise IntegrityError(
                f"roster of epoch {self.epoch}: expected the kit's {', '.join(missing)}, found it left out: refuse"
            )


@dataclass(frozen=True, slots=True)
class RosterPin:
    """The root of trust, carried out of band: the KMS's signing key and one roster's digest."""

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
        """Write the pin as a small JSON file, mode 0600: who changes it decides whom its owner trusts."""
        replace_file(Path(path), self.to_json().encode("utf-8"), owner_only=True)

    @classmethod
    def load(cls, path: str | Path) -> RosterPin:
        """Read a pin. Raises: DataError when the file is missing or of another form."""
        try:
            fields = read_object(read_regular(Path(path), MAX_PIN_BYTES, "roster pin"))
            pin = cls(
                text(fields["experiment"]),
                from_hex(fields["kms_signing_key"]),
                whole(fields["epoch"]),
                from_hex(fields["roster_digest"]),
            )
            usable = fields["format"] == PIN_FORMAT and len(pin.signing_key) == KEY_BYTES == len(pin.roster_digest)
        except (OSError, UnicodeError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise DataError(
                f"roster pin: expected a {PIN_FORMAT} file, found {type(error).__name__}: {error}"
            ) from error
        if not usable:
            raise DataError(f"roster pin: expected format {PIN_FORMAT} with 32-byte keys, found {str(fields)[:80]}")
        return pin

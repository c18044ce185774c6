"""A party's kit: the organiser's files, all public, and the store with the secrets that the party made itself.

HOME/kit/manifest.json      the agreed terms            HOME/PARTY.db, HOME/PARTY.key    its encrypted store
HOME/kit/members.json       who takes part              HOME/data/                       a client's own files
HOME/kit/authority.pem      whom to trust               HOME/results/                    what it found out
HOME/kit/certificate.pem    its own name, proven        HOME/service.toml                its settings
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from hefl_core.errors import DataError, ParameterError
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name
from hefl_core.keys.kms.records import recall_identity
from hefl_core.keys.roster import Member, fingerprint
from hefl_core.keys.vault.store import KeyStore
from hefl_core.runtime.services.certificates import TLSKey, check_certificate
from hefl_core.runtime.services.coordinator_server import Credentials
from hefl_core.runtime.stage import open_store
from hefl_core.terms.experiment import Manifest

FOLDER: Final = "kit"
MANIFEST, MEMBERS = "manifest.json", "members.json"
AUTHORITY, CERTIFICATE = "authority.pem", "certificate.pem"
TLS_TABLE: Final = "tls"
T = TypeVar("T")


@dataclass(frozen=True)
class Kit:
    """The terms, the members, and the two certificates (PEM)."""

    manifest: Manifest
    members: tuple[Member, ...]
    authority: bytes
    certificate: bytes

    def save(self, home: Path) -> None:
        """Write the kit's files."""
        folder = home / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(self.manifest)) + b"\n")
        (folder / MEMBERS).write_bytes(msgspec.json.format(msgspec.json.encode(self.members)) + b"\n")
        (folder / AUTHORITY).write_bytes(self.authority)
        (folder / CERTIFICATE).write_bytes(self.certificate)

    @classmethod
    def load(cls, home: Path) -> Kit:
        """Read a kit. Raises: DataError naming the file, ParameterError for impossible terms."""
        folder = home / FOLDER
        manifest = read_json(folder / MANIFEST, Manifest)
        members = read_json(folder / MEMBERS, tuple[Member, ...])
        return cls(manifest, members, _read(folder / AUTHORITY), _read(folder / CERTIFICATE))

    @property
    def fingerprint(self) -> str:
        """64 hex digits over the terms and all members' lasting keys: equal fingerprints mean equal kits.

        Parties compare it over a channel that the organiser does not control: this exposes an organiser that put in keys of
        its own. A party accepts no roster with other members, so a roster of all of them has the same fingerprint.
        """
        return fingerprint(self.manifest.id, self.members)

    def member(self, name: str) -> Member:
        """One member's line. Raises: DataError."""
        for found in self.members:
            if found.name == name:
                return found
        raise DataError(f"kit: expected {name[:40]} among its members, found {', '.join(m.name for m in self.members)}")

    @property
    def roles(self) -> dict[str, str]:
        """Name to role of every party that connects to the coordinator."""
        return {member.name: member.role for member in self.members if member.name != COORDINATOR}

    def check(self, party: str, store: KeyStore) -> datetime:
        """Check that this kit is complete and fits this party and its keys. Returns the certificate's end.

        Raises: DataError, ParameterError, KeyUseError.
        """
        experiment = self.manifest.experiment
        expected = [COORDINATOR, AUDITOR, *(client_name(i + 1) for i in range(experiment.clients)), KMS]
        found = [member.name for member in self.members]
        if sorted(found) != sorted(expected):
            raise DataError(f"kit: expected members {', '.join(expected)}, found {', '.join(found)}; ask the organiser")
        if experiment.observed:
            raise ParameterError(
                "kit: expected terms without observation, found observed", "services are never observed"
            )
        if self.member(party) != recall_identity(store, party).member:
            raise DataError(
                f"kit: the keys listed for {party} are not those in its store; somebody substituted them, or it is the kit "
                "of another request: refuse to take part"
            )
        if not tls_key(store).has(self.certificate):
            raise DataError(f"kit: expected a certificate for {party}'s own TLS key, found another; ask the organiser")
        return check_certificate(self.certificate, self.authority, party)

    def credentials(self, store: KeyStore) -> Credentials:
        """The credentials of this party's connections."""
        return Credentials(self.authority, self.certificate, tls_key(store).expose())


def own_store(home: Path, party: str) -> KeyStore:
    """The store that a party made in its home. Raises: ParameterError when it has none; as :class:`KeyStore`."""
    if not (home / f"{party}.db").exists():
        raise ParameterError(f"store: expected {party}.db in {home}, found none", "make it with `provision request`")
    return open_store(home, party)


def tls_key(store: KeyStore) -> TLSKey:
    """The party's TLS key. Raises: KeyUseError when it never made one."""
    return TLSKey(store.get(TLS_TABLE, "key"))


def read_json(path: Path, kind: type[T]) -> T:
    """Read a JSON file as ``kind``. Raises: DataError; the ParameterError of a value in it."""
    try:
        return msgspec.json.decode(_read(path), type=kind)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, ParameterError):
            raise error.__cause__ from error
        raise DataError(f"{path.name}: expected {kind.__name__}, found {error}; ask the organiser again") from error
    except msgspec.DecodeError as error:
        raise DataError(f"{path.name}: expected JSON, found {error}; ask the organiser again") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"kit: expected {path}, found {error.strerror}; put the organiser's kit there") from error

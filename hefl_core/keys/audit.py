"""The KMS's audit log: each entry is signed and chained to the one before. It contains no secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hefl_core.errors import IntegrityError
from hefl_core.ids import digest
from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import NO_DIGEST, Signer

DOMAIN = "hefl/audit"

Details = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One action of the KMS. ``previous`` is the digest of the entry before it, empty in the first.

    Units: ``time`` in whole seconds since 1970 (UTC).
    """

    sequence: int
    time: int
    action: str
    subject: str
    details: Details
    previous: bytes
    signature: bytes = b""

    @property
    def signed(self) -> bytes:
        """The bytes under the signature."""
        return encode((DOMAIN, replace(self, signature=b"")))

    @property
    def digest(self) -> bytes:
        """SHA-256 of the signed entry."""
        return digest(self.signed, self.signature)

    def __str__(self) -> str:
        details = " ".join(f"{name}={value}" for name, value in self.details)
        return f"{self.sequence} {self.action} {self.subject} {details}".rstrip()


def next_entry(
    last: AuditEntry | None, signer: Signer, time: int, action: str, subject: str, details: Details = ()
) -> AuditEntry:
    """Sign the entry that follows ``last`` (None: the first). Leaks: it is public; never pass a secret."""
    number, previous = (0, NO_DIGEST) if last is None else (last.sequence + 1, last.digest)
    entry = AuditEntry(number, time, action, subject, details, previous)
    return replace(entry, signature=signer.sign(entry.signed))


class AuditLog:
    """The entries, oldest first. A party that keeps ``head`` detects a rewritten or truncated log."""

    def __init__(self, entries: Sequence[AuditEntry] = ()) -> None:
        self.entries = tuple(entries)

    @property
    def head(self) -> bytes:
        """Digest of the newest entry, empty when there is none."""
        return self.entries[-1].digest if self.entries else NO_DIGEST

    def __len__(self) -> int:
        return len(self.entries)

    def append(self, signer: Signer, time: int, action: str, subject: str, details: Details = ()) -> AuditEntry:
        """Sign and add one entry. Leaks: it is public; never pass a secret."""
        last = self.entries[-1] if self.entries else None
        entry = next_entry(last, signer, time, action, subject, details)
        self.entries += (entry,)
        return entry

    def verify(self, signing_key: bytes, *, newest_only: bool = False) -> None:
        """Check numbers, chain and signatures; with ``newest_only`` the last signature, which covers all before it.

        Raises: IntegrityError naming the first entry that breaks.
        """
        previous = NO_DIGEST
        for number, entry in enumerate(self.entries):
            if entry.sequence != number or entry.previous != previous:
                raise IntegrityError(
                    f"audit log: expected entry {number} after {previous.hex()[:16] or 'nothing'}, "
                    f"found entry {entry.sequence} after {entry.previous.hex()[:16] or 'nothing'}"
                )
            previous = entry.digest  # covers the signature too, so the newest entry binds every earlier one
            if newest_only and number + 1 < len(self.entries):
                continue
            try:
                Ed25519PublicKey.from_public_bytes(signing_key).verify(entry.signature, entry.signed)
            except (InvalidSignature, ValueError) as error:
                raise IntegrityError(f"audit log: entry {number} ({entry.action}) is not signed by the KMS") from error

    def check_extends(self, length: int, head: bytes) -> None:
        """Check that this log extends one seen earlier.

        Raises: IntegrityError when it was cut or rewritten.
        """
        if len(self.entries) < length:
            raise IntegrityError(
                f"audit log: expected at least {length} entries, found {len(self.entries)}; it was cut"
            )
        found = AuditLog(self.entries[:length]).head
        if found != head:
            raise IntegrityError(
                f"audit log: expected entry {length - 1} to be {head.hex()[:16]}, found {found.hex()[:16]}; "
                "the KMS rewrote its past"
            )

"""The result that the clients of a dealer-free ceremony sign, and how every other party checks it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hefl_core.errors import IntegrityError
from hefl_core.keys.roster import Roster
from hefl_core.schemes.quorum import Quorum
from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import Position, SignedHeader

PREFIX: Final = "ceremony "
"""Prefix of a ceremony's kinds; the step follows."""
APPROVAL_KIND: Final = PREFIX + "approval"


@dataclass(frozen=True, slots=True)
class CeremonyResult:
    """The joint key, the digest of every message that went to all, and that of the tag key made along with it. Public."""

    experiment: str
    epoch: int
    preset: str
    quorum: Quorum
    public_key_digest: bytes
    transcript: bytes
    tag_key_digest: bytes


@dataclass(frozen=True, slots=True)
class Approvals:
    """A result and the signed header of each client's approval of it, in the roster's order."""

    result: CeremonyResult
    headers: tuple[SignedHeader, ...]

    def check(self, roster: Roster) -> None:
        """Check that every client of the roster signed exactly this result.

        Raises: IntegrityError when one did not; WireError for a signature that is not the client's.
        """
        signers = tuple(signed.header.sender for signed in self.headers)
        if signers != roster.clients:
            raise IntegrityError(
                f"ceremony: expected the approval of {', '.join(roster.clients)}, found {', '.join(signers) or 'none'}"
            )
        if (self.result.experiment, self.result.epoch) != (roster.experiment, roster.epoch):
            raise IntegrityError(f"ceremony: expected epoch {roster.epoch}, found approvals for {self.result.epoch}")
        content = hashlib.sha256(encode(self.result)).digest()
        for signed in self.headers:
            header = signed.header
            signed.verify(roster.member(header.sender).signing)
            place = (header.kind, header.experiment, header.position, header.content_digest)
            if place != (APPROVAL_KIND, roster.experiment, Position(roster.epoch, 0), content):
                raise IntegrityError(f"ceremony: {header.sender} approved another result; do not use this key")


def approvals(result: CeremonyResult, headers: Sequence[SignedHeader], roster: Roster) -> Approvals:
    """Approvals in the roster's order, checked. Raises: as :meth:`Approvals.check`."""
    by_name = {signed.header.sender: signed for signed in headers}
    gathered = Approvals(result, tuple(by_name[name] for name in roster.clients if name in by_name))
    gathered.check(roster)
    return gathered

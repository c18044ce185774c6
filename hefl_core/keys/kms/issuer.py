"""The KMS's writer: it signs messages in one chain and log entries in another. Shares leave sealed only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hefl_core.ids import KMS
from hefl_core.keys.audit import Details, next_entry
from hefl_core.keys.identity import Identity
from hefl_core.keys.kms.records import Archive
from hefl_core.keys.roster import Member, Roster
from hefl_core.keys.sealing import only_clients, pack_share, sealer, share_info
from hefl_core.keys.secret import Hidden
from hefl_core.keys.sum_tag import TagKey
from hefl_core.schemes.base import SecretShare
from hefl_core.wire.envelope import Envelope, Position
from hefl_core.wire.outbox import Outbox

ROSTER: Final = "roster"
EPOCH: Final = "epoch"
SHARE: Final = "share"
"""Kinds of the KMS's messages, and the names under which they are kept."""


class Issuer(Hidden):
    """Signs for the KMS. Each call writes the message and its place in the chain together; call it in a transaction."""

    def __init__(self, archive: Archive, identity: Identity, experiment: str, clock: Callable[[], float]) -> None:
        self._archive = archive
        self._identity = identity
        self._experiment = experiment
        self._clock = clock

    def to_all(self, roster: Roster, kind: str, content: bytes, *, key_id: str = "") -> None:
        """A message in the open to every member. Leaks: all of it."""
        everybody = tuple(m.name for m in roster.members if m.name != KMS)
        outbox = self._outbox()
        envelope = outbox.compose(kind, Position(roster.epoch, 0), everybody, content, key_id=key_id)
        self._keep(roster.epoch, kind, envelope)

    def share(self, roster: Roster, client: Member, share: SecretShare, tag_key: TagKey) -> None:
        """A share and the tag key, sealed to the client that holds them.

        Leaks: to the relay: which client holds a share of which key.
        Raises: SecretKeyEscape when the member is not a client.
        """
        info = share_info(self._experiment, share.id, share.quorum, share.index, KMS)
        outbox = self._outbox()
        envelope = outbox.compose(
            SHARE,
            Position(roster.epoch, 0),
            (only_clients(client).name,),
            pack_share(share, tag_key),
            key_id=str(share.id),
            seal=sealer([client], info),
        )
        self._keep(roster.epoch, f"{SHARE}/{client.name}", envelope)

    def note(self, action: str, subject: str, details: Details = ()) -> None:
        """Add a signed entry to the audit log. Leaks: it is public."""
        last, now = self._archive.last_audit(), int(self._clock())
        self._archive.add_audit(next_entry(last, self._identity, now, action, subject, details))

    def _outbox(self) -> Outbox:
        sequence, previous = self._archive.outbox()
        return Outbox(KMS, self._identity, self._experiment, sequence=sequence, previous=previous)

    def _keep(self, epoch: int, name: str, envelope: Envelope) -> None:
        self._archive.set_outbox(envelope.header.sequence + 1, envelope.header.digest)
        self._archive.put_message(epoch, name, envelope)

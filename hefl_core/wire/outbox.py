"""A party's outgoing messages: header and signature, each chained to the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import NO_DIGEST, Envelope, Header, Position, SignedHeader, Signer

Seal = Callable[[bytes, bytes], bytes]
"""(content, header digest) -> sealed body; the header digest is bound in as associated data."""


class Outbox:
    """Signs one party's messages in sequence: each header names the digest of the party's previous header.

    ``sequence``, ``previous`` and ``unrecorded`` resume a chain after a restart. ``unrecorded``: the signed headers of the
    last messages, as far back as the party does not know them on record.
    """

    def __init__(
        self,
        name: str,
        signer: Signer,
        experiment: str,
        *,
        sequence: int = 0,
        previous: bytes = NO_DIGEST,
        unrecorded: Sequence[SignedHeader] = (),
    ) -> None:
        self.name = name
        self.unrecorded = tuple(unrecorded)
        self._signer = signer
        self._experiment = experiment
        self._sequence = sequence
        self._previous = previous

    @property
    def place(self) -> tuple[int, bytes]:
        """``sequence`` and ``previous`` of the next message: what a restart needs."""
        return self._sequence, self._previous

    def recorded(self, header: Header) -> None:
        """Drop the messages up to this one: a recipient has answered it, and the record has it before any recipient."""
        self.unrecorded = tuple(one for one in self.unrecorded if one.header.sequence > header.sequence)

    def compose(
        self,
        kind: str,
        position: Position,
        recipients: Sequence[str],
        content: bytes,
        *,
        key_id: str = "",
        plan: bytes = NO_DIGEST,
        state: bytes = NO_DIGEST,
        commitments: bytes = NO_DIGEST,
        length: int = 0,
        blocks: int = 0,
        content_digest: bytes | None = None,
        seal: Seal | None = None,
    ) -> Envelope:
        """Write, sign and (where ``seal`` is given) seal the next message of this party.

        ``content_digest``: SHA-256 of the content, where the party computed it before.

        Leaks: the header, to every party that relays it; a sealed body to its readers only.
        """
        header = Header(
            kind=kind,
            experiment=self._experiment,
            position=position,
            key_id=key_id,
            sender=self.name,
            recipients=tuple(recipients),
            sequence=self._sequence,
            previous=self._previous,
            plan=plan,
            state=state,
            commitments=commitments,
            length=length,
            blocks=blocks,
            content_nbytes=len(content),
            content_digest=content_digest or hashlib.sha256(content).digest(),
            sealed=seal is not None,
        )
        # Advanced before sealing and signing: a failure leaves a gap, never two messages with one number.
        self._sequence += 1
        self._previous = header.digest
        body = content if seal is None else seal(content, header.digest)
        envelope = Envelope(header, self._signer.sign(encode(header)), body)
        self.unrecorded += (envelope.signed_header,)
        return envelope

"""The auditor: adds the same ciphertexts again, without a key, and confirms or rejects the sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hefl_core.errors import IntegrityError, RoundError
from hefl_core.federation.round_log import RoundLog
from hefl_core.federation.witness import Witness
from hefl_core.ids import COORDINATOR
from hefl_core.keys.roster import Member
from hefl_core.schemes.base import CiphertextVector
from hefl_core.terms import messages as m
from hefl_core.terms.admission import check_agreed, check_lasting, check_receipt, check_upload, read_ciphertext
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.letter import Letter
from hefl_core.terms.messages import Acknowledgement, Confirmation, Objection, Receipt
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position
from hefl_core.wire.spool import Spool


class Auditor(Witness):
    """Keyless. Keeps the uploads of the current round only, long enough to add them again."""

    role = "auditor"

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        kms: Member,
        log: RoundLog | None = None,
        members: Sequence[Member] = (),
    ) -> None:
        super().__init__(name, manifest, kms, log, members)
        self._contents = Spool[tuple[Position, str]]()
        self.resume()

    @property
    def steps(self) -> Mapping[str, Callable[[Position], Letter | None]]:
        """The confirmation of the sum, or an objection; under collective custody the acknowledgement of the list too."""
        return {
            m.ACKNOWLEDGEMENT: self.acknowledge,
            m.OBJECTION: self.objection,
            m.CONFIRMATION: self.confirm,
        }

    def catch_up(self, position: Position) -> None:
        """Close the round if enough receipts came, also after a restart that missed the call to close."""
        if self.over(position):
            self.finish(position)

    def admit_other(self, envelope: Envelope) -> None:
        """Uploads, with the coordinator's own checks; receipts close the round."""
        header = envelope.header
        if header.kind == m.UPDATE:
            check_upload(header, self.current_list(header.position))
            with self.working("admit"):
                content = self.open_content(envelope)
                vector = read_ciphertext(content, header, self.scheme, self.public_key)
                plan = self.current_plan(header.position)
                check_agreed(vector, plan, self.scheme.preset.tagged, f"update of {header.sender}")
            self._forget_earlier_rounds(header.position)
            for place, sender in self._contents:
                if sender == header.sender:
                    check_lasting(vector, self._contents[place, sender], self.scheme, sender)
            self._contents[header.position, header.sender] = content
        elif header.kind == m.RECEIPT:
            self._admit_receipt(envelope)
        else:
            super().admit_other(envelope)

    def _admit_receipt(self, envelope: Envelope) -> None:
        """Accept a receipt for the confirmed sum and the state after it. Raises: RoundError, IntegrityError."""
        header = envelope.header
        if (header.position, m.CONFIRMATION) not in self._answers:
            raise RoundError(f"receipt of {header.sender}: for a sum that could not be opened yet; it closes no round")
        total = self._inbox.get((header.position, m.SUM, COORDINATOR))
        digest = None if total is None else total.header.digest
        receipt = decode(envelope.body, Receipt)
        check_receipt(receipt, header.sender, digest, lambda: self.next_state(header.position))

    def _forget_earlier_rounds(self, position: Position) -> None:
        """Earlier attempts stay: their uploads may be carried over."""
        self._contents.keep(lambda place: place[0].round == position.round)

    def kept(self, envelope: Envelope) -> Envelope:
        """Uploads lie in the spool, so that memory does not grow with the number of clients."""
        return replace(envelope, body=b"") if envelope.header.kind == m.UPDATE else envelope

    def acknowledge(self, position: Position) -> Letter:
        """Acknowledge the list: clients upload for this one only, and the auditor takes no other in this attempt.

        Leaks: nothing; all clients have the list.
        Raises: RoundError before a list has come.
        """
        return self.answer(position, m.ACKNOWLEDGEMENT, lambda: self._make_acknowledgement(position))

    def _make_acknowledgement(self, position: Position) -> Envelope:
        listed = self.envelope(position, m.COMMITMENTS, COORDINATOR).header.digest
        return self._compose(
            m.ACKNOWLEDGEMENT, position, self.enrolment.roster.clients, encode(Acknowledgement(listed))
        )

    def objection(self, position: Position) -> Letter | None:
        """Name the listed clients whose update is not here, before a sum fixes the round's members; None if all are here.

        Leaks: nothing but participation.
        Raises: RoundError before a list has come.
        """
        listed = self.current_list(position)
        lacking = tuple(
            one.header.sender for one in listed.listed if (one.header.position, one.header.sender) not in self._contents
        )
        if not lacking and (position, m.OBJECTION) not in self._answers:
            return None
        return self.answer(position, m.OBJECTION, lambda: self._make_objection(position, lacking))

    def _make_objection(self, position: Position, lacking: tuple[str, ...]) -> Envelope:
        listed = self.envelope(position, m.COMMITMENTS, COORDINATOR).header.digest
        return self._compose(m.OBJECTION, position, (COORDINATOR,), encode(Objection(listed, lacking)))

    def confirm(self, position: Position) -> Letter:
        """Re-add the listed updates and sign what was added.

        Leaks: nothing beyond digests of ciphertexts.
        Raises: IntegrityError when the coordinator's sum has other bytes; RoundError after an objection in this attempt.
        """
        return self.answer(position, m.CONFIRMATION, lambda: self._make_confirmation(position))

    def _make_confirmation(self, position: Position) -> Envelope:
        if (position, m.OBJECTION) in self._answers:
            raise RoundError("sum: I objected to this attempt, and perhaps nobody heard it; try another attempt")
        message = self.sum_at(position)
        with self.working("confirm"):
            running = self.scheme.accumulator(self.public_key)
            for signed in message.updates:
                place = (signed.header.position, signed.header.sender)
                if place not in self._contents:
                    raise IntegrityError(f"sum: the auditor never received the update of {signed.header.sender}")
                running.add(decode(self._contents[place], CiphertextVector))
            found = running.total()
            if found != message.total:
                different = sum(a != b for a, b in zip(found.blocks, message.total.blocks, strict=False))
                raise IntegrityError(
                    f"sum: adding the {len(message.updates)} signed updates again gives other bytes "
                    f"({different} of {len(found.blocks)} blocks differ); the coordinator's sum is not theirs"
                )
        confirmation = Confirmation(
            plan=self._plan,
            updates=tuple(item.header.digest for item in message.updates),
            blocks=m.block_digests(self.envelope(position, m.SUM, COORDINATOR).body),
        )
        recipients = (COORDINATOR, *self.enrolment.roster.clients)
        return self._compose(m.CONFIRMATION, position, recipients, encode(confirmation), blocks=len(found.blocks))

    def _compose(
        self, kind: str, position: Position, recipients: tuple[str, ...], content: bytes, *, blocks: int = 0
    ) -> Envelope:
        return self._outbox.compose(
            kind,
            position,
            recipients,
            content,
            key_id=str(self.public_key.id),
            plan=self._plan,
            state=self.state,
            length=self.manifest.parameters,
            blocks=blocks,
        )

    def finish(self, position: Position) -> None:
        """As every witness. A receipt shows that the confirmation was delivered, so it is on record."""
        super().finish(position)
        if (position, m.CONFIRMATION) in self._answers:
            self._outbox.recorded(self.said(position, m.CONFIRMATION).header)

    def evidence(self, position: Position, sender: str) -> bytes:
        """The upload of one client as it was added, for the transcript: ciphertext, readable to no keyless party.

        Raises: RoundError when it is not kept (any more).
        """
        try:
            return self._contents[position, sender]
        except KeyError:
            raise RoundError(f"auditor: no update of {sender} is kept for round {position.round}") from None

    def close(self, position: Position) -> None:
        """Advance the public state. Raises: RoundError when too few clients applied the sum."""
        if position.round <= self._rounds_done:
            return
        self.check_over(position)
        self.finish(position)

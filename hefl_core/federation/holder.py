"""The holder's half of a client: its checks before a sum is opened, alone or together with t - 1 others.

Like witness.py, but with a share. The rules for its answers are in keys/decryption_policy.py.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, cast

import numpy as np

from hefl_core.errors import IntegrityError, KeyNotActive, RoundError, RuntimeUnavailable, WireError
from hefl_core.federation.round_log import RoundLog
from hefl_core.federation.witness import Witness
from hefl_core.ids import AUDITOR, COORDINATOR
from hefl_core.keys.ceremony import APPROVAL, DealerFreeScheme, Participant
from hefl_core.keys.ceremony_result import PREFIX, CeremonyResult
from hefl_core.keys.custody import Custody
from hefl_core.keys.decryption_policy import Contribution, Question
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.keys.prekeys import Prekey
from hefl_core.keys.roster import Member, Roster
from hefl_core.keys.sealing import sealer
from hefl_core.schemes.base import CiphertextVector, Opened, PartialDecryption, PublicKey, Vector
from hefl_core.schemes.flooding import flooded
from hefl_core.schemes.onetime.scheme import OneTimeScheme
from hefl_core.schemes.ring import seal, threshold
from hefl_core.terms import messages as m
from hefl_core.terms.admission import read_part
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.letter import Letter
from hefl_core.terms.messages import Acknowledgement, Confirmation, DecryptionRequest, EncryptedSum, Ready
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position

MOST_NOISE_BLOCKS: Final = 16
"""Of each sum, shown to the observer: thousands of numbers each. Of more, so many that the holders cannot foresee."""


class Holder(Witness):
    """Opens nothing that the auditor did not confirm, and nothing without its own update in it."""

    role = "client"

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        kms: Member,
        log: RoundLog | None = None,
        members: Sequence[Member] = (),
    ) -> None:
        super().__init__(name, manifest, kms, log, members)
        self._participant: Participant | None = None
        self._parts: dict[tuple[Position, str], PartialDecryption] = {}

    def sealing_keys(self, first: int) -> tuple[Prekey, ...]:
        """This client's public sealing keys for the epochs from ``first`` on, for the KMS. Leaks: nothing.

        Raises: as :meth:`Enrolment.sealing_keys`.
        """
        return self.enrolment.sealing_keys(first)

    # -- making a key without a dealer -------------------------------------------------------------------------

    def receive(self, envelope: Envelope) -> None:
        """Ceremony messages go to this client's participant, until the KMS announces the key."""
        kind, epoch = envelope.header.kind, envelope.header.position.epoch
        if kind.startswith(PREFIX):
            if self._participant is not None:
                self._participant.receive(envelope)
            elif not self.enrolment.has_made(epoch):  # else it approved and restarted since: the record has the rest
                raise RoundError(f"{self.name}: no ceremony of epoch {epoch} is under way here; begin another")
            return
        newest = self.enrolment.newest_roster
        super().receive(envelope)
        if kind == "epoch":
            self._forget_ceremony(decode(envelope.body, EpochAnnouncement))
        custody = Custody.parse(self.manifest.experiment.custody, self.manifest.experiment.clients)
        if kind == "roster" and custody.dealer_free and self.enrolment.newest_roster > newest:
            roster = decode(envelope.body, Roster)
            self.enrolment.abandon(roster.epoch)
            quorum = custody.for_clients(len(roster.clients)).quorum
            scheme = cast(DealerFreeScheme, self.scheme)
            reader = self.enrolment.reader(roster.epoch)
            self._participant = Participant(self.identity, roster, scheme, quorum, reader, outbox=self._outbox)

    def _forget_ceremony(self, announcement: EpochAnnouncement) -> None:
        """End the ceremony: the KMS shows every approval, so all messages before them are on record."""
        self._participant = None
        for signed in announcement.approvals.headers if announcement.approvals else ():
            if signed.header.sender == self.name:
                self._outbox.recorded(signed.header)

    def _taking_part(self) -> Participant:
        if self._participant is None and self.enrolment.awaits_key:
            raise RuntimeUnavailable(f"{self.name}: what it made in this ceremony went with its process; begin another")
        if self._participant is None:
            raise RoundError(f"{self.name}: no ceremony is under way; wait for the KMS's roster")
        return self._participant

    def ceremony(self, step: str) -> tuple[Letter, ...]:
        """This client's messages of one step of the ceremony; the share is kept before it is approved.

        Raises: as :meth:`Participant.say`.
        """
        participant = self._taking_part()
        said = participant.say(step)
        # Adopted before the approval leaves: a key whose share is lost in a crash must not be approved.
        if step == APPROVAL:
            self.enrolment.adopt(participant.share(), participant.tag_key(), self_tests=participant.self_tests)
        self.end_round()  # between two rounds, so this only saves the place in its own message chain
        return tuple(Letter.of(envelope) for envelope in said)

    def ceremony_key(self) -> PublicKey:
        """The joint public key. Raises: RoundError before it is made."""
        return self._taking_part().joint_key

    def ceremony_result(self) -> CeremonyResult:
        """The result that this client approved. Raises: RoundError before the partials are in."""
        return self._taking_part().result()

    # -- checks before opening ---------------------------------------------------------------------------------

    def admit_other(self, envelope: Envelope) -> None:
        """The auditor's confirmation; under collective custody the request and the holders' partial decryptions."""
        header = envelope.header
        if header.kind == m.CONFIRMATION and header.sender == AUDITOR:
            decode(envelope.body, Confirmation)
        elif header.kind == m.ACKNOWLEDGEMENT and header.sender == AUDITOR:
            decode(envelope.body, Acknowledgement)
        elif header.kind == m.REQUEST:
            decode(envelope.body, DecryptionRequest)
        elif header.kind == m.PARTIAL:
            self._admit_part(envelope)
        else:
            super().admit_other(envelope)

    def _admit_part(self, envelope: Envelope) -> None:
        """Open a part on arrival: once somebody applied the sum it is too late for another active set."""
        header = envelope.header
        request = self.message(header.position, m.REQUEST, COORDINATOR, DecryptionRequest)
        if header.sender not in request.active or not header.sealed:
            raise RoundError(f"partial of {header.sender}: expected sealed, from one of {', '.join(request.active)}")
        total = self.envelope(header.position, m.SUM, COORDINATOR).body
        self._parts = {place: part for place, part in self._parts.items() if place[0].round == header.position.round}
        with suppress(KeyNotActive), self.working("decrypt"):  # a restart reads its log also after the key's end
            content = self._open_part(envelope)
            self._parts[header.position, header.sender] = read_part(
                content, header, request, self.enrolment.roster, total
            )

    def _open_part(self, envelope: Envelope) -> bytes:
        try:
            return self.open_content(envelope)
        except WireError as error:
            raise WireError(f"partial of {envelope.header.sender}: {error}") from error

    def kept(self, envelope: Envelope) -> Envelope:
        """A part is kept as it was opened."""
        return replace(envelope, body=b"") if envelope.header.kind == m.PARTIAL else envelope

    def complete(self, position: Position) -> bool:
        """Whether all messages for applying this sum have arrived."""
        if position.round <= self._rounds_done or not self.received(position, m.CONFIRMATION):
            return False
        need = self.enrolment.record.quorum.threshold if self.enrolment.record.quorum.collective else 0
        return len(self.received(position, m.PARTIAL)) >= need

    def check_acknowledged(self, position: Position) -> None:
        """Under collective custody, refuse to upload for a list that the auditor does not have.

        Raises: RoundError before its acknowledgement came; IntegrityError when it has another list.
        """
        if not self._collective:
            return
        told = self.message(position, m.ACKNOWLEDGEMENT, AUDITOR, Acknowledgement)
        mine = self.envelope(position, m.COMMITMENTS, COORDINATOR).header.digest
        if told.listed != mine:
            raise IntegrityError(
                f"list: expected {mine.hex()[:12]} as received, found that the auditor has {told.listed.hex()[:12]}; "
                "the coordinator equivocates: upload nothing"
            )

    def check_confirmed(self, position: Position, message: EncryptedSum) -> None:
        """Check that my update is in the sum and the auditor confirmed these bytes. Raises: IntegrityError, RoundError."""
        mine = self._answers.get((position, m.UPDATE))
        if mine is not None and mine.envelope.signed_header not in message.updates:
            raise IntegrityError(f"sum: the update that {self.name} sent is not in it; do not decrypt")
        confirmation = self.message(position, m.CONFIRMATION, AUDITOR, Confirmation)
        expected = Confirmation(
            plan=self._plan,
            updates=tuple(item.header.digest for item in message.updates),
            blocks=m.block_digests(self.envelope(position, m.SUM, COORDINATOR).body),
        )
        if confirmation != expected:
            raise IntegrityError("sum: the auditor confirmed another sum than the one received; do not decrypt")

    def decrypt(self, position: Position, bound: float, message: EncryptedSum) -> Opened:
        """Decrypt with this client's own copy of the key, or combine the active set's partial decryptions."""
        partials = self.partials(position, message.total)
        return self.scheme_in(position).open(self.public_key, message.total, partials, bound=bound)

    def partials(self, position: Position, total: CiphertextVector) -> list[PartialDecryption]:
        """The active set's answers as received, or this client's own under individual custody."""
        if self.enrolment.record.quorum.collective:
            return self._partials(position)
        share = self.enrolment.share
        return [self.scheme.partial_decrypt(share, total, (share.index,))]

    def opened_noise(self, position: Position) -> Vector:
        """The noise of an applied sum, which every holder sees (schemes/ring/threshold.py); empty where nothing was flooded."""
        preset = flooded(self.scheme.preset, self.enrolment.record.quorum)
        if preset is None:
            return np.zeros(0)
        message = self.sum_at(position)
        if isinstance(self.scheme, OneTimeScheme):
            return self.scheme.opened_noise(message.total, self._partials(position))
        ring = seal.open_ring(preset)
        blocks = range(len(message.total.blocks))
        # Drawn when all have answered: a holder that floods only what is looked at would have to guess.
        drawn = sorted(random.SystemRandom().sample(blocks, min(len(blocks), MOST_NOISE_BLOCKS)))
        return threshold.opened_noise(preset, ring, message.total, self._partials(position), drawn)

    # -- decrypting together -----------------------------------------------------------------------------------

    def ready(self, position: Position) -> Letter | None:
        """Say that this client has a confirmed sum with its update in it and would answer; None if it has no part in it.

        A holder restarted in the middle of the round does not answer in it (keys/custody.py).
        Raises: RoundError, IntegrityError when the sum is not the confirmed sum of the listed updates.
        """
        if not self._contributed(position) or not self.enrolment.holder.answers_in(position):
            return None
        return self.say_ready(position)

    def say_ready(self, position: Position) -> Letter:
        """The ready message itself. Raises: as :meth:`ready`."""
        return self.answer(position, m.READY, lambda: self._make_ready(position))

    def _contributed(self, position: Position) -> bool:
        return (position, m.UPDATE) in self._answers

    def _make_ready(self, position: Position) -> Envelope:
        message = self.sum_at(position)
        self.check_confirmed(position, message)
        total = self.envelope(position, m.SUM, COORDINATOR).header.digest
        confirmation = self.envelope(position, m.CONFIRMATION, AUDITOR).header.digest
        return self.compose(m.READY, position, (COORDINATOR,), encode(Ready(total, confirmation)))

    def partial_decryption(self, position: Position) -> Letter | None:
        """This holder's flooded part, sealed to the clients; None when it is not in the active set.

        Leaks: to the clients, the sum (once t holders answered) and nothing else up to the flooding distance, as long as
            every upload is well formed: what a client added to c1 comes back times the key (attacks/methods/deviating_client.py).
        Raises: DecryptionRefused naming the rule (keys/decryption_policy.py).
        """
        request = self.message(position, m.REQUEST, COORDINATOR, DecryptionRequest)
        if self.name not in request.active:
            return None
        return self.answer(position, m.PARTIAL, lambda: self._make_partial(position, request))

    def _make_partial(self, position: Position, request: DecryptionRequest) -> Envelope:
        enrolment = self.enrolment
        question = self._question(position, request)
        with self.working("partial"):
            partial = enrolment.holder.answer(
                question, record=enrolment.record, roster=enrolment.roster, scheme=self.scheme
            )
        clients = enrolment.roster.clients
        readers = [enrolment.roster.member(name) for name in clients]
        info = self.sealing_info(m.PARTIAL, position, self.name)
        with self.working("seal"):
            return self.compose(m.PARTIAL, position, clients, partial.to_bytes(), seal=sealer(readers, info))

    def _question(self, position: Position, request: DecryptionRequest) -> Question:
        """The request with everything that a holder checks. Raises: RoundError, IntegrityError."""
        message = self.sum_at(position)
        self.check_confirmed(position, message)
        confirmation = self.message(position, m.CONFIRMATION, AUDITOR, Confirmation)
        named = (request.sum, request.confirmation)
        mine = (
            self.envelope(position, m.SUM, COORDINATOR).header.digest,
            self.envelope(position, m.CONFIRMATION, AUDITOR).header.digest,
        )
        if named != mine:
            raise IntegrityError("request: it names another sum or confirmation than the ones received; do not answer")
        return Question(
            experiment=self.manifest.id,
            position=position,
            contributions=tuple(
                Contribution(item.header.sender, item.header.digest, item.header.content_digest)
                for item in message.updates
            ),
            confirmed_headers=confirmation.updates,
            confirmed_blocks=confirmation.blocks,
            active=request.active,
            total=message.total,
            min_cohort=self.manifest.experiment.cohort_floor,
        )

    def _partials(self, position: Position) -> list[PartialDecryption]:
        request = self.message(position, m.REQUEST, COORDINATOR, DecryptionRequest)
        for name in request.active:
            self.envelope(position, m.PARTIAL, name)  # names the one that has not arrived
            if (position, name) not in self._parts:
                raise KeyNotActive(f"{self.name}: the key that opens the partial of {name} is destroyed")
        return [self._parts[position, name] for name in request.active]

    def compose(
        self, kind: str, position: Position, recipients: tuple[str, ...], content: bytes, **more: object
    ) -> Envelope:
        """A message of this round, labelled with key, plan and state."""
        return self._outbox.compose(
            kind,
            position,
            recipients,
            content,
            key_id=str(self.public_key.id),
            plan=self._plan,
            state=self.state,
            length=self.manifest.parameters,
            **more,  # type: ignore[arg-type]
        )

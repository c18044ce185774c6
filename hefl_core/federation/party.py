"""The base of coordinator, auditor and clients: a mailbox that checks, and answers that are made once.

Every answer is kept under (position, step): a repeated request gets the same bytes, so an interrupted round is resumed by
requesting all of it again. With a log (round_log.py) a restarted party resumes, in the middle of a round too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from hefl_core.errors import HeflError, IntegrityError, RoundError, RuntimeUnavailable
from hefl_core.federation.record.protocol_table import row_of
from hefl_core.federation.round_log import Checkpoint, RoundLog
from hefl_core.ids import digest
from hefl_core.keys.custody import Custody
from hefl_core.keys.enrolment import Enrolment
from hefl_core.keys.identity import Identity
from hefl_core.keys.roster import Member
from hefl_core.keys.sealing import SealingInfo, open_envelope
from hefl_core.schemes.base import Keep, PublicKey, RoundContext, Scheme
from hefl_core.schemes.registry import open_scheme
from hefl_core.terms.admission import Links, check_receipts
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.letter import Letter, Work
from hefl_core.terms.messages import RECEIPT
from hefl_core.wire.canonical import decode
from hefl_core.wire.envelope import NO_DIGEST, Envelope, Position, SignedHeader
from hefl_core.wire.limits import MAX_BODY_BYTES, MAX_MESSAGE_BYTES
from hefl_core.wire.outbox import Outbox

T = TypeVar("T")
ENROLMENT_KINDS = ("roster", "epoch", "share")
SEALED_KINDS = ("update", "partial")
DUPLICATE = "duplicate"
"""A repeated message: it changes nothing and is counted with the refusals."""


class Party:
    """A named participant with an identity, an enrolment and a mailbox; with a ``log`` it survives a restart.

    ``members``: the parties that a roster may list, where agreed on beforehand (a kit); empty: any that the KMS lists.
    """

    role = ""

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        kms: Member,
        log: RoundLog | None = None,
        members: Sequence[Member] = (),
    ) -> None:
        self.name = name
        self.manifest = manifest
        self.identity = log.identity(name, self.role) if log else Identity(name, self.role)
        custody = Custody.parse(manifest.experiment.custody, manifest.experiment.clients)
        store = log.store if log else None
        self.enrolment = Enrolment(
            self.identity, manifest.id, kms.signing, custody=custody, members=members, store=store
        )
        self.scheme: Scheme = open_scheme(manifest.experiment.preset.name)
        self.state = digest(b"start", manifest.id.encode())
        self._kms = kms
        self._outbox = Outbox(name, self.identity, manifest.id)
        self._inbox: dict[tuple[Position, str, str], Envelope] = {}
        self._answers: dict[tuple[Position, str], Letter] = {}
        self.refusals: Counter[str] = Counter()
        self._made: dict[str, bytes] = {}
        self._work: list[Work] = []
        self._position: Position | None = None
        self._plan = NO_DIGEST
        self._links = Links()
        self._custody = custody
        self._rounds_done = 0
        self._log = log

    @property
    def member(self) -> Member:
        """This party's line in the roster."""
        return self.identity.member

    @property
    def rounds_done(self) -> int:
        """The last round that this party saw end."""
        return self._rounds_done

    @property
    def position(self) -> Position | None:
        """The position of the last plan that this party made or followed; None before the first."""
        return self._position

    @property
    def public_key(self) -> PublicKey:
        """The key of the enrolled epoch."""
        return self.enrolment.public_key

    def scheme_in(self, position: Position, keep: Keep | None = None) -> Scheme:
        """The scheme in this round of the enrolled epoch; ``keep`` where this party makes something once there."""
        context = RoundContext(self.manifest.id, self.enrolment.record.digest, position.round)
        return self.scheme.in_round(context, keep)

    def receive(self, envelope: Envelope) -> None:
        """Check a message and keep it; an accepted message is on disk before the call returns.

        Raises: WireError, RoundError, KeyUseError: whatever the first failing check names. Nothing is kept then, and
        the refusal is counted.
        """
        try:
            self._take(envelope)
        except HeflError as error:
            if not isinstance(error, RuntimeUnavailable):
                self.refusals[type(error).__name__] += 1
            raise

    def _take(self, envelope: Envelope) -> None:
        header = envelope.header
        if header.kind in ENROLMENT_KINDS:
            self.enrolment.receive(envelope)
            return
        # Size and signature come first: no body is parsed for a sender outside the roster.
        sender = self.enrolment.roster.member(header.sender)
        limit = MAX_BODY_BYTES if header.kind in (*SEALED_KINDS, "sum") else MAX_MESSAGE_BYTES
        envelope.check(sender.signing, experiment=self.manifest.id, recipient=self.name, limit=limit)
        row_of(header.kind).check(header, sender.role, self._custody, self.manifest)
        slot = (header.position, header.kind, header.sender)
        known = self._inbox.get(slot)
        if known is not None:
            if known.header == header:
                self.refusals[DUPLICATE] += 1
                # The first write may have failed after the message was kept: a repeat retries it.
                self._write_down(envelope)
                return
            raise RoundError(
                f"{header.kind} of {header.sender}: a second, different one for round {header.position.round}, "
                f"attempt {header.position.attempt}; one is accepted per attempt"
            )
        self._links.check(header)
        self.admit(envelope)
        self._links.keep(header)
        self._inbox[slot] = self.kept(envelope)
        self._write_down(envelope)

    def admit(self, envelope: Envelope) -> None:
        """Role-specific checks before a message is kept. Raises: WireError, RoundError, KeyMismatch."""
        raise NotImplementedError

    def kept(self, envelope: Envelope) -> Envelope:
        """The part that stays in the mailbox: all of it, unless a role stores the content elsewhere."""
        return envelope

    def destroy_epoch(self, epoch: int) -> None:
        """Destroy an epoch's secrets; with the last epoch also the data kept to make the round's messages again."""
        self.enrolment.destroy(epoch)
        place = self._position
        if place is not None and place.epoch <= epoch and self._rounds_done >= place.round:
            self.end_round()

    def message(self, position: Position, kind: str, sender: str, type_: type[T]) -> T:
        """The content of a message received in the open. Raises: RoundError when it has not arrived."""
        return decode(self.envelope(position, kind, sender).body, type_)

    def envelope(self, position: Position, kind: str, sender: str) -> Envelope:
        """A received message. Raises: RoundError when it has not arrived."""
        try:
            return self._inbox[position, kind, sender]
        except KeyError:
            raise RoundError(
                f"{self.name}: expected the {kind} of {sender} for round {position.round}, attempt {position.attempt}; "
                "it has not arrived"
            ) from None

    def received(self, position: Position, kind: str) -> dict[str, Envelope]:
        """All received messages of one kind, by sender."""
        return {sender: env for (where, what, sender), env in self._inbox.items() if (where, what) == (position, kind)}

    def check_over(self, position: Position) -> None:
        """Check that enough clients gave a receipt for the sum. Raises: RoundError (:func:`check_receipts`)."""
        need = self.manifest.experiment.cohort_floor
        check_receipts(len(self.received(position, RECEIPT)), need, position.round)

    def over(self, position: Position) -> bool:
        """As :meth:`check_over`."""
        return len(self.received(position, RECEIPT)) >= self.manifest.experiment.cohort_floor

    def open_content(self, envelope: Envelope) -> bytes:
        """Open a sealed body and compare it with the signed digest. Raises: WireError."""
        header = envelope.header
        reader = self.enrolment.reader(header.position.epoch)
        return open_envelope(reader, envelope, self.sealing_info(header.kind, header.position, header.sender))

    def sealing_info(self, purpose: str, position: Position, sender: str) -> SealingInfo:
        """The context that a sealed message is bound to; each reader's name is filled in when sealing and opening."""
        quorum = self.enrolment.record.quorum
        return SealingInfo(
            purpose=purpose,
            experiment=self.manifest.id,
            epoch=position.epoch,
            key_id=str(self.public_key.id),
            round=position.round,
            sender=sender,
            threshold=quorum.threshold,
            holders=quorum.holders,
        )

    def said(self, position: Position, step: str) -> Envelope:
        """This party's own message of a step. Raises: RoundError when it was not sent (yet)."""
        if (position, step) not in self._answers:
            raise RoundError(
                f"{self.name}: expected to have sent its {step} of round {position.round}, attempt {position.attempt}; "
                "it has not: begin the round again"
            )
        return self._answers[position, step].envelope

    def answer(self, position: Position, step: str, make: Callable[[], Envelope]) -> Letter:
        """The stored answer of this step, or ``make()`` once; it is on disk before it is sent."""
        key = (position, step)
        if key not in self._answers:
            envelope = make()
            self._answers[key] = Letter.of(envelope, self.reported(position, step), own=True)
        self._write_down(self._answers[key].envelope)
        return self._answers[key]

    def reported(self, position: Position, step: str) -> tuple[Work, ...]:
        """The work since the last message, reported with the letter."""
        work, self._work = tuple(self._work), []
        return work

    def unrecorded(self, after: int) -> tuple[SignedHeader, ...]:
        """The signed headers of this party's messages past number ``after``, as far as it keeps them.

        An answer may be lost on its way to the record; the next message would leave a gap there. Leaks: nothing beyond the
        open headers of the messages themselves.
        """
        return tuple(one for one in self._outbox.unrecorded if one.header.sequence > after)

    # -- state over a restart ----------------------------------------------------------------------------------

    @property
    def steps(self) -> Mapping[str, Callable[[Position], Letter | None]]:
        """This party's messages in a round, by kind: the function that makes each again."""
        raise NotImplementedError

    def remembered(self) -> bytes:
        """This role's own state between two rounds; :meth:`recall` reads it back."""
        return b""

    def recall(self, own: bytes) -> None:
        """Restore the state from :meth:`remembered`."""

    def once(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Make a value once that a second call would make differently; it is kept until the round is over."""
        if self._log:
            return self._log.once(name, make)
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def made(self, name: str) -> bytes | None:
        """A value of :meth:`once`; None before it is made, and after it was dropped."""
        return self._log.made(name) if self._log else self._made.get(name)

    def forget_made(self, name: str) -> None:
        """Drop a value of :meth:`once` before the round is over: nobody needs it any more."""
        self._made.pop(name, None)
        if self._log:
            self._log.forget_made(name)

    def end_round(self) -> None:
        """Replace the round's events by a checkpoint."""
        self._made = {}
        if self._log:
            place = (*self._outbox.place, self._outbox.unrecorded)
            left = (self._position, self._rounds_done, self.state, self._plan, *place, self.remembered())
            self._log.end_round(Checkpoint(*left))

    def _write_down(self, envelope: Envelope) -> None:
        if self._log:
            self._log.append(envelope)

    def resume(self) -> None:
        """Replay the open round from the log. Raises: IntegrityError when it does not lead to the messages sent."""
        if self._log is None:
            return
        if left := self._log.checkpoint:
            self._position, self._rounds_done, self.state, self._plan = (
                left.position,
                left.rounds_done,
                left.state,
                left.plan,
            )
            self._outbox = Outbox(
                *(self.name, self.identity, self.manifest.id),
                sequence=left.sequence,
                previous=left.previous,
                unrecorded=left.unrecorded,
            )
            self.recall(left.own)
        for event in self._log.replay():
            try:
                self._relive(event)
            except RuntimeUnavailable:
                raise
            except HeflError as error:
                raise IntegrityError(f"round log: it leads nowhere ({error}); do not go on with this log") from error
        # Replaying is no new work and no new refusal.
        self._work = []
        self.refusals.clear()

    def _relive(self, event: Envelope) -> None:
        header = event.header
        if header.sender != self.name:
            self.receive(event)
            return
        said = self.steps[header.kind](header.position)
        if said is None or said.envelope.header != header:
            raise IntegrityError(
                f"replayed, the {header.kind} of round {header.position.round} differs from the one that was sent"
            )
        self._answers[header.position, header.kind] = Letter.of(event)  # sealing it again would give other bytes
        if self.name in header.recipients:
            self.receive(event)  # a partial decryption goes to its own sender too, but is logged once

    @contextmanager
    def working(self, step: str) -> Iterator[None]:
        """Measure a step; it is reported with the next answer. Units: wall seconds, this process's CPU seconds."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._work.append(Work(step, time.perf_counter() - wall, time.process_time() - cpu))

    def forget(self, before: Position) -> None:
        """Drop messages and answers of earlier rounds, so that memory does not grow with the number of rounds."""
        self._links.forget(before.round - 1)
        old = [slot for slot in self._inbox if slot[0].round < before.round - 1]
        for slot in old:
            del self._inbox[slot]
        for key in [key for key in self._answers if key[0].round < before.round - 1]:
            del self._answers[key]

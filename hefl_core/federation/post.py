"""The post: delivers letters and records them. It reads headers, never contents.

It is outside the threat model: its operator is the observer of the experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Protocol

from msgspec import structs

from hefl_core.errors import HeflError, IntegrityError, RoundError, RuntimeUnavailable, WireError, as_value
from hefl_core.federation.answers import wrong_answer
from hefl_core.federation.outside import AT_HOME, Whereabouts, reason
from hefl_core.federation.party import ENROLMENT_KINDS
from hefl_core.federation.record.proceedings import Proceedings, Ruling
from hefl_core.federation.record.protocol_table import KINDS, OTHER_KIND, UNKEPT_KINDS
from hefl_core.federation.record.transcript import Entry, LeftOut, Sent, Transcript, Unsent
from hefl_core.federation.standing import Standing
from hefl_core.ids import COORDINATOR, is_client
from hefl_core.keys.custody import Custody
from hefl_core.terms.admission import check_receipts
from hefl_core.terms.letter import Letter
from hefl_core.terms.messages import CONFIRMATION, MAX_ATTEMPTS, PARTIAL, RECEIPT, DecryptionRequest, lacking
from hefl_core.wire.canonical import decode
from hefl_core.wire.envelope import Envelope, Header, Position, SignedHeader

UNRECORDED: Final = "unrecorded"
"""The step that asks for headers of lost answers."""

TRAINING_STEP = "commit"
HOLDING_STEP: Final = "partial_decryption"
"""The step in which a holder named for a sum answers, or fails to."""


class Correspondent(Protocol):
    """A party, or the stand-in of a party elsewhere. Receivers also have ``receive(envelope)``."""

    name: str


class Carrier(Protocol):
    """How letters physically travel: by call (here) or between processes (runtime/ray/actors.py)."""

    def deliver(self, letter: Letter, to: Sequence[Any]) -> Iterator[tuple[Any, HeflError | None]]:
        """Hand the letter to each receiver; yields each receiver's error or None."""

    def gather(self, parties: Sequence[Any], step: str, argument: object) -> Iterator[tuple[Any, Any]]:
        """Ask each party for its answer to a step; yields answers (or the error that stands for one) as they come."""

    def body(self, letter: Letter) -> bytes:
        """The body's bytes, for the record."""


class ByCall:
    """Parties are objects in this process: a delivery is a call, in order and one at a time."""

    def deliver(self, letter: Letter, to: Sequence[Any]) -> Iterator[tuple[Any, HeflError | None]]:
        """Call ``receive`` on each."""
        for receiver in to:
            yield receiver, as_value(partial(receiver.receive, letter.envelope))

    def gather(self, parties: Sequence[Any], step: str, argument: object) -> Iterator[tuple[Any, Any]]:
        """Call the step's method on each."""
        for party in parties:
            yield party, as_value(partial(getattr(party, step), argument))

    def body(self, letter: Letter) -> bytes:
        """The envelope holds it."""
        return letter.envelope.body


class Post:
    """Delivers and records. ``absent``: the parties that failed in this attempt, with the first reason.

    A client's message that has no place in the protocol is neither recorded nor delivered: a note says so, and the client
    is left out. Messages of coordinator, auditor and KMS are recorded as they are: without them there is no round, and the
    verifier finds their faults. After a message of theirs that breaks the record, the post checks no further.
    """

    def __init__(
        self,
        transcript: Transcript,
        carrier: Carrier | None = None,
        notify: Callable[[Sent | LeftOut], None] | None = None,
    ) -> None:
        self.transcript = transcript
        self.absent: dict[str, HeflError] = {}
        self._carrier = carrier or ByCall()
        self._notify = notify or (lambda _: None)
        self._undelivered: dict[str, list[Letter | Sent]] = {}
        self._dealer: Any = None
        self._known: dict[bytes, Sent] = {}
        self._standing = Standing()
        self._accused: set[str] = set()
        self._numbers = {head.header.sender: head.header.sequence for head in transcript.headers}
        self._hand: tuple[bytes, bytes] | None = None
        opening = transcript.opening
        self._proceedings: Proceedings | None = Proceedings(opening.manifest, opening.kms, self._find, adding=False)
        self._judged: tuple[Sent, bytes, Ruling | None] | None = None
        self._said: dict[tuple[str, Position], set[str]] = {}
        for line in transcript.lines[1:]:
            self._follow(line.entry)

    def _find(self, digest: bytes, what: str, limit: int) -> bytes | None:
        """A body: of the letter at hand, or one that is on record."""
        return self._hand[1] if self._hand and self._hand[0] == digest else self.transcript.blobs.get(digest)

    def _follow(self, entry: Entry) -> None:
        """Follow an entry of an earlier process, or one that is recorded whether it fits or not."""
        try:
            self._take(self._judge(entry))
        except HeflError:  # the verifier will name it: no later entry can repair the record
            self._proceedings = None

    def _judge(self, entry: Entry) -> Ruling | None:
        """Check an entry against the protocol; a message is noted only by :meth:`_take`. Raises: HeflError without a place."""
        if self._proceedings is not None and isinstance(entry, Sent):
            return self._proceedings.rule(entry)
        if self._proceedings is not None and isinstance(entry, Unsent):
            self._proceedings.unsent(entry)
        return None

    def _take(self, ruling: Ruling | None) -> None:
        """Note a message that goes on record now."""
        if self._proceedings is not None and ruling is not None:
            self._proceedings.take(ruling)

    def receipts(self, position: Position) -> int:
        """How many clients have a receipt for this attempt on record."""
        return len(self._said.get((RECEIPT, position), ()))

    def _count(self, sent: Sent) -> None:
        self._known[sent.head.header.digest] = sent
        if sent.step in (RECEIPT, PARTIAL):
            self._said.setdefault((sent.step, sent.position), set()).add(sent.sender)

    def resume(self, here: str, kms: Any) -> None:
        """Continue a record that an earlier process wrote.

        Recorded letters are not recorded again. Each receiver first gets every letter that it may have missed: all since its
        last message that shows it had everything. A repeated letter changes nothing there. ``here``: the party of this
        process, which missed nothing. ``kms`` is asked for shares again: their bodies are not on record.
        """
        self._dealer = kms
        sent = self.transcript.sent
        for entry in sent:
            self._count(entry)
        had = {entry.sender: entry.position for entry in sent if entry.step in (RECEIPT, CONFIRMATION)}
        for entry in sent:
            missed = [name for name in entry.receivers if name != here and _missed(entry, had.get(name))]
            for name in missed:
                missing = entry if entry.step in UNKEPT_KINDS else _again(entry, self.transcript.body(entry))
                self._undelivered.setdefault(name, []).append(missing)

    def begin(self, first: Correspondent) -> None:
        """Clear the absent parties: a new attempt asks all again. ``first``, its first sender, gets what it missed now."""
        self.absent, self._accused = {}, set()
        self._ready(first)

    def close(self, parties: Sequence[Correspondent], position: Position) -> None:
        """Tell parties that the round is over. An unreachable one infers it from its messages at the next plan.

        Raises: RoundError when fewer than min_cohort clients gave a receipt.
        """
        need = self.transcript.manifest.experiment.cohort_floor
        check_receipts(self.receipts(position), need, position.round)
        for party in parties:
            self.absent.pop(party.name, None)
            self._ready(party)
        for party, answer in self._carrier.gather(parties, "close", position):
            if isinstance(answer, RuntimeUnavailable):
                self._leave_out(party.name, "close", position, answer)
            elif isinstance(answer, HeflError):
                raise answer

    def hand_over(self, parties: Sequence[Correspondent]) -> None:
        """Deliver missed letters to those of these parties that can be reached."""
        for party in parties:
            self._ready(party)

    def send(self, letter: Letter, sender: Correspondent, to: Sequence[Correspondent]) -> Sent:
        """Record a letter and deliver it. A receiver that refuses it, or cannot be reached, is recorded as left out.

        A receiver that refuses the bytes gets them once more: they may have been changed on the way.
        Raises: RoundError when sender or receivers are not those that the signed header names.
        """
        header = letter.envelope.header
        names = tuple(receiver.name for receiver in to)
        if header.sender != sender.name or header.recipients != names:
            raise RoundError(
                f"post: the header says {header.sender} to {', '.join(header.recipients)}; "
                f"asked to carry it from {sender.name} to {', '.join(names)}"
            )
        sent = self._record(letter, sender)
        for receiver, error in self._carrier.deliver(letter, [receiver for receiver in to if self._ready(receiver)]):
            step = f"receive {header.kind}"
            still = self._once_more(letter, receiver, step, error) if isinstance(error, WireError) else error
            if still is not None:
                self._leave_out(receiver.name, step, header.position, still)
                self._hear(receiver.name, header, still)
        for name in self._unreachable() & set(names):
            self._undelivered.setdefault(name, []).append(letter)
        return sent

    def _record(self, letter: Letter, sender: Correspondent) -> Sent:
        """Record a letter once: a repeated key epoch and a resumed round send the same letters again.

        Raises: HeflError for a client's message that has no place in the protocol.
        """
        header = letter.envelope.header
        if (known := self._known.get(header.digest)) is not None:
            return known
        judged, self._judged = self._judged, None
        if judged is not None and judged[0].head.header.digest != header.digest:
            judged = None  # of an answer whose attempt ended before it was sent
        entry, body, ruling = judged or (*self._weighed(letter, sender), None)
        if is_client(header.sender):
            self._take(ruling if judged else self._judge(entry))
        else:
            self._follow(entry)
        sent = self.transcript.record(entry, body)
        self._count(sent)
        self._numbers[header.sender] = header.sequence
        self._notify(sent)
        return sent

    def _weighed(self, letter: Letter, sender: Correspondent) -> tuple[Sent, bytes]:
        """A letter as it would be recorded, and its body; lost earlier headers of its sender are recorded first."""
        self._close_gap(letter, sender)
        body = self._carrier.body(letter)
        entry = self.transcript.entry(letter, letter.envelope.header.recipients, body)
        self._hand = (entry.body, body)
        return entry, body

    def _fits(self, letter: Letter, sender: Correspondent, position: Position) -> bool:
        """Whether a client's answer has a place in the protocol; if not, a note says so and the client is left out.

        The ruling leaves no trace until the letter is sent: an attempt may end before, and the client's next letter follows
        the last one on record.
        """
        header = letter.envelope.header
        if not is_client(sender.name) or header.digest in self._known:
            return True
        try:
            if header.sender != sender.name:
                raise RoundError(f"post: expected a message of {sender.name}, found another's")
            weighed = self._weighed(letter, sender)
            ruling = self._judge(weighed[0])
        except RuntimeUnavailable as error:
            self._leave_out(sender.name, UNRECORDED, position, error)
            return False
        except HeflError as error:
            self._refuse(sender.name, header.kind, position, error)
            return False
        self._judged = (*weighed, ruling)
        return True

    def _refuse(self, sender: str, kind: str, position: Position, error: HeflError) -> None:
        """Refuse a client's message in the name of the coordinator, which runs the post."""
        # The sender writes the kind: what it invents is not repeated.
        named = kind if kind in KINDS or kind == UNRECORDED else OTHER_KIND
        self.absent.setdefault(sender, RoundError(f"{sender}: its {named} is refused ({error})"))
        self.note(COORDINATOR, f"receive {named} of {sender}", position, error)

    def _close_gap(self, letter: Letter, sender: Correspondent) -> None:
        """Record headers of this sender's lost answers before its next message, so that no number is missing.

        Raises: RuntimeUnavailable when the sender is gone again.
        """
        header = letter.envelope.header
        last = self._numbers.get(header.sender, -1)
        if header.sequence > last + 1:
            self.record_unsent(header.sender, getattr(sender, UNRECORDED)(last), before=header.sequence)

    def record_unsent(self, party: str, heads: Sequence[SignedHeader], *, before: int | None = None) -> None:
        """Record headers of this party's undelivered messages, where they are next in its numbers.

        A header under another name is refused by a note: no party speaks for another.
        """
        for head in heads:
            if not isinstance(head, SignedHeader) or head.header.sender != party:
                found = RoundError(f"post: expected headers of {party}, found another's; refuse the answer")
                self._refuse(party, UNRECORDED, self._place, found)
                return
            number, self._judged = head.header.sequence, None
            if number == self._numbers.get(party, -1) + 1 and (before is None or number < before):
                entry = Unsent(head)
                if is_client(party):
                    try:
                        self._judge(entry)
                    except HeflError as error:
                        self._refuse(party, head.header.kind, self._place, error)
                        return
                else:
                    self._follow(entry)
                self.transcript.record_unsent(head)
                self._numbers[party] = number

    @property
    def _place(self) -> Position:
        """The position of the last recorded message."""
        last = next(reversed(self._known.values()), None)
        return Position(0, 0) if last is None else last.position

    def _once_more(self, letter: Letter, receiver: Any, step: str, error: WireError) -> HeflError | None:
        for _, still in self._carrier.deliver(letter, [receiver]):
            if still is None:
                self.note(receiver.name, step, letter.envelope.header.position, error)
            return still
        return error

    def each(
        self,
        parties: Sequence[Correspondent],
        step: str,
        position: Position,
        argument: object = None,
        *,
        of: Sequence[Correspondent] = (),
    ) -> Iterator[tuple[Any, Any]]:
        """Each party's answer to a step (of ``position`` unless another argument is given), as it comes.

        A party that gives none, or a wrong one, is recorded as left out. ``of``: all clients, where only some are asked.
        """
        question = position if argument is None else argument
        clients = tuple(party.name for party in of or parties)
        reachable = [party for party in parties if party.name not in self._unreachable()]
        for party, answer in self._carrier.gather(reachable, step, question):
            wrong = (
                answer if isinstance(answer, HeflError) else wrong_answer(party.name, step, question, answer, clients)
            )
            if wrong is not None:
                self._leave_out(party.name, step, position, wrong)
            elif answer is None:  # this party has no part in the step
                continue
            elif not isinstance(answer, Letter) or self._fits(answer, party, position):
                yield party, answer

    def end_attempt(self, objection: Letter) -> None:
        """End an attempt that the auditor objects to. A note names each client that the signed objection names, and no other.

        Raises: RoundError, always: another attempt may follow.
        """
        position = objection.envelope.header.position
        named = self._objected(position)
        for name in [name for name in named if name not in self.absent]:
            self._leave_out(name, "upload", position, lacking(name))
        raise RoundError(
            f"round {position.round}: expected an upload from each listed client, the auditor lacks "
            f"{', '.join(named) or 'one, and its objection has no place in the protocol'}; try another attempt"
        )

    def _objected(self, position: Position) -> tuple[str, ...]:
        """The clients that the objection on record names; nobody where it breaks the record."""
        if self._proceedings is None:
            return ()
        return self._proceedings.conversation.place_of(position).lacking or ()

    def named(self, request: Letter, clients: Sequence[Correspondent]) -> Sequence[Correspondent]:
        """The holders that a request names: each of them owes a part. Raises: WireError."""
        active = decode(self._carrier.body(request), DecryptionRequest).active
        return [one for one in clients if one.name in active]

    def _hear(self, reader: str, header: Header, error: HeflError) -> None:
        """Note a part that a reader cannot open, under the name of its sender."""
        if header.kind != PARTIAL or not isinstance(error, WireError):
            return
        if self._standing.accuse(header.sender, reader, header.position):
            self._accused.add(header.sender)
            said = RoundError(f"partial of {header.sender}: {reader} cannot open it; one of the two deviates")
            self.note(header.sender, HOLDING_STEP, header.position, said)

    def check_parts(self, named: Sequence[Correspondent], holders: Sequence[Correspondent], position: Position) -> None:
        """End an attempt with a part missing, or one that a reader cannot open while another active set is possible.

        Nobody has applied the sum yet: after the first receipt there is no other attempt.
        Raises: RoundError.
        """
        if self.receipts(position):  # of an earlier process
            return
        given = self._said.get((PARTIAL, position), set())
        if missing := [one.name for one in named if one.name not in given]:
            for name in missing:
                self._standing.fail(name, position)
            raise RoundError(
                f"round {position.round}: expected a part from each named holder, missing {', '.join(missing)}; "
                "try another attempt"
            )
        spared = self._accused - {one.name for one in self.reliable(holders, position)}
        if spared and position.attempt < MAX_ATTEMPTS:
            raise RoundError(
                f"round {position.round}: a reader cannot open the part of {', '.join(sorted(spared))}; "
                "try another attempt, with other holders"
            )

    def reliable(self, holders: Sequence[Correspondent], position: Position) -> Sequence[Correspondent]:
        """The holders without those that failed in this round, as long as t others remain."""
        names = [one.name for one in holders]
        others = self._standing.others(names, self._threshold(holders), position)
        return [one for one in holders if one.name in others]

    def can_spare(self, holders: Sequence[Correspondent], position: Position) -> bool:
        """Whether the next attempt asks fewer holders than there are."""
        return len(self.reliable(holders, position)) < len(holders)

    def _threshold(self, holders: Sequence[Correspondent]) -> int:
        experiment = self.transcript.manifest.experiment
        custody = Custody.parse(experiment.custody, experiment.clients).for_clients(len(holders))
        return custody.quorum.threshold

    def _ready(self, receiver: Correspondent) -> bool:
        """Whether a receiver can take a letter now; letters that it missed are delivered first, in order."""
        if receiver.name in self._unreachable():
            return False
        missed = self._undelivered.get(receiver.name, [])
        while missed:
            for error in self._deliver_again(missed[0], receiver):
                if isinstance(error, RuntimeUnavailable):
                    self.absent[receiver.name] = error
                    return False
            del missed[0]
        return True

    def _deliver_again(self, missed: Letter | Sent, receiver: Any) -> Iterator[HeflError | None]:
        """Deliver a missed letter; yields its error or None. A share of a destroyed epoch cannot be had: that is noted."""
        try:
            letter = missed if isinstance(missed, Letter) else self._dealt_again(missed, receiver.name)
        except HeflError as error:
            if not isinstance(missed, Letter) and not isinstance(error, RuntimeUnavailable):
                self.note(receiver.name, f"receive {missed.step}", missed.position, error)
            yield error
            return
        yield from (answer for _, answer in self._carrier.deliver(letter, [receiver]))

    def _dealt_again(self, share: Sent, client: str) -> Letter:
        """The same bytes from the KMS, until the epoch is destroyed. Raises: the KMS's refusal."""
        return Letter.of(self._dealer.share_envelope(client, share.position.epoch))

    def _unreachable(self) -> set[str]:
        return {name for name, error in self.absent.items() if isinstance(error, RuntimeUnavailable)}

    def _leave_out(self, party: str, step: str, position: Position, error: HeflError) -> None:
        if party not in self.absent or isinstance(error, RuntimeUnavailable):
            self.absent[party] = error
        self.note(party, step, position, error)

    def note(self, party: str, step: str, position: Position, error: HeflError) -> None:
        """Put a refusal or an absence on record, without the numbers in its text.

        A text that speaks for the auditor without its objection stays away: else one client would break the record of all.
        """
        where = Whereabouts(party, step, position, self.transcript.manifest.experiment.clients)
        entry = LeftOut(party=party, step=step, position=position, reason=reason(error, where))
        try:
            if self._proceedings is not None:
                self._proceedings.check_objected(entry)
        except IntegrityError:
            entry = structs.replace(entry, reason=f"{type(error).__name__}: {AT_HOME}")
        self.transcript.note(entry)
        self._notify(entry)


def untimed(
    step: str, parties: Sequence[Correspondent], answers: Iterator[tuple[Any, Any]]
) -> Iterator[tuple[Any, Any]]:
    """The answers as they come; answers of the training step together at the end, in the parties' order.

    A client with more examples trains longer: neither order nor time of a commitment goes into a record or a log.
    """
    if step != TRAINING_STEP:
        yield from answers
        return
    place = {party.name: number for number, party in enumerate(parties)}
    yield from sorted(answers, key=lambda found: place[found[0].name])


def _missed(entry: Sent, had: Position | None) -> bool:
    """Whether a receiver may lack this. ``had``: its last receipt, or the auditor's last confirmation.

    A client that applied a sum had all of that round; the auditor's receipts come after its confirmation.
    """
    position = entry.position
    if not position.round:
        return entry.step in ENROLMENT_KINDS and (had is None or position.epoch >= had.epoch)
    return had is None or position.round > had.round or (position.round == had.round and entry.step == RECEIPT)


def _again(entry: Sent, body: bytes) -> Letter:
    """A letter as it was sent, from the record."""
    return Letter(Envelope(entry.head.header, entry.head.signature, body), entry.work, entry.nbytes, entry.body)

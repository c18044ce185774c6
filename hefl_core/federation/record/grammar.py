"""The conversation as a grammar: the protocol's table decides whether each signed header may stand where it stands.

Only headers are read here, so it holds for a record without bodies too; statements.py checks the bodies.
An undelivered message (``sent`` False) has to fit like any other, and no later one may depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from hefl_core.errors import IntegrityError
from hefl_core.federation.record.protocol_table import KEY, LIST, PLAN, STATE, ProtocolRow, When, row_of
from hefl_core.ids import KMS, digest
from hefl_core.keys.custody import Custody
from hefl_core.keys.kms.issuer import EPOCH, ROSTER, SHARE
from hefl_core.keys.roster import CLIENT, Member, Roster
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Manifest
from hefl_core.wire.envelope import NO_DIGEST, Header, Position, SignedHeader

KEYLESS_ROLES: Final = ("coordinator", "auditor")


@dataclass
class Place:
    """The messages of one place: an epoch's opening, or one attempt of a round.

    ``said``: kind to sender (or "sender to receiver") to header; None once the round is over. ``slots``: everything that was
    made, also what nobody got. ``plan``, ``state``, ``listed``: what headers here must name. ``due``: kinds to the names that
    have to say them. ``contents``: kinds to the one content that they may have. ``complete``: kinds that lack nobody's.
    ``lacking``: whose updates the auditor's objection names, None where no body says it.
    """

    said: dict[str, dict[str, SignedHeader | None]] = field(default_factory=dict)
    slots: set[tuple[str, str]] = field(default_factory=set)
    plan: bytes = NO_DIGEST
    state: bytes = NO_DIGEST
    listed: bytes = NO_DIGEST
    after: bytes | None = None
    due: dict[str, tuple[str, ...]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    lacking: tuple[str, ...] | None = None

    def header(self, kind: str, sender: str) -> SignedHeader | None:
        """A message of the round under way, if it is on record."""
        return self.said.get(kind, {}).get(sender)

    def close(self) -> None:
        """Keep kinds and senders, drop headers."""
        self.said = {kind: dict.fromkeys(slots) for kind, slots in self.said.items()}


class Conversation:
    """Follows a record message by message. Raises: IntegrityError, WireError or RoundError at the first that does not fit."""

    def __init__(self, manifest: Manifest, kms: Member) -> None:
        self.manifest = manifest
        self.custody = Custody.parse(manifest.experiment.custody, manifest.experiment.clients)
        self.rosters: dict[int, Roster] = {}
        self.places: dict[Position, Place] = {}
        self.chains: dict[str, tuple[int, bytes]] = {}
        self.active = self.newest = 0
        self.current: Position | None = None
        self.applied: dict[int, Position] = {}
        self.receipts: dict[int, set[str]] = {}
        self.need = manifest.experiment.cohort_floor
        self._kms = kms
        self._members: dict[int, dict[str, Member]] = {}
        self._signing: dict[str, bytes] = {}
        self._clients: dict[int, tuple[str, ...]] = {}
        self._keys: dict[int, str] = {}
        self._open: list[Place] = []
        self._state: bytes | None = digest(b"start", manifest.id.encode())

    # -- one message -------------------------------------------------------------------------------------------

    def enter(self, roster: Roster) -> None:
        """Learn the members of an epoch, before the roster's own line is taken."""
        for member in roster.members:
            if self._signing.setdefault(member.name, member.signing) != member.signing:
                raise IntegrityError(
                    f"roster of epoch {roster.epoch}: {member.name} signs with another key than before"
                )
        one_each = all(roster.names(role) == (role,) for role in (KMS, *KEYLESS_ROLES))
        if not one_each or roster.member(KMS) != self._kms or len(roster.members) != 3 + len(roster.clients):
            raise IntegrityError(
                f"roster of epoch {roster.epoch}: expected the KMS of the opening line, one coordinator, one auditor and clients"
            )
        if roster.epoch <= self.newest:
            raise IntegrityError(f"roster of epoch {roster.epoch}: expected one after {self.newest}; a replay")
        self.newest = roster.epoch
        self.rosters[roster.epoch] = roster
        self._members[roster.epoch] = {member.name: member for member in roster.members}
        self._clients[roster.epoch] = roster.clients

    def clients(self, epoch: int) -> tuple[str, ...]:
        """The clients of an epoch, in order."""
        return self._clients.get(epoch, ())

    def take(self, head: SignedHeader, *, sent: bool) -> None:
        """Check one message by its header alone, and note it."""
        self.note(head, *self.judge(head, sent=sent), sent=sent)

    def judge(self, head: SignedHeader, *, sent: bool) -> tuple[ProtocolRow, Place]:
        """Check one message; returns its row in the table and its place. A refused message leaves no trace."""
        header = head.header
        row = row_of(header.kind)
        self._check_origin(head, row, sent)
        self._check_number(header)
        self._check_receivers(header, row, sent)
        place = self._place(header, row, sent)
        self._check_slot(header, row, place)
        self._check_order(header, place, sent)
        self._check_objection(header, place, sent)
        self._check_before(header, row, place)
        self._check_labels(header, row, place)
        return row, place

    def note(self, head: SignedHeader, row: ProtocolRow, place: Place, *, sent: bool) -> None:
        """Note a message that :meth:`judge` accepted."""
        header = head.header
        self.chains[header.sender] = header.sequence, header.digest
        place.slots.add((row.kind, _slot(header, row)))
        if sent:
            self._note(head, row, place)

    def place_of(self, position: Position) -> Place:
        """The messages of a place. Raises: IntegrityError when there is none."""
        if position not in self.places:
            raise IntegrityError(f"expected something planned for {_spell(position)}, found nothing")
        return self.places[position]

    # -- checks ------------------------------------------------------------------------------------------------

    def _check_origin(self, head: SignedHeader, row: ProtocolRow, sent: bool) -> None:
        """Check that a party of the epoch that may send this kind signed it."""
        header = head.header
        member = self._kms if header.sender == KMS else self._members.get(header.position.epoch, {}).get(header.sender)
        if member is None or (sent and header.position.epoch not in self.rosters):
            raise IntegrityError(
                f"{_what(header)}: expected a party of the roster of epoch {header.position.epoch}, found none such"
            )
        head.verify(member.signing)
        if header.experiment != self.manifest.id:
            raise IntegrityError(f"{_what(header)}: belongs to another experiment")
        row.check(header, member.role, self.custody, self.manifest)

    def _check_number(self, header: Header) -> None:
        """Each party numbers its messages from 0 and chains them, so none may be missing or repeated."""
        number, previous = self.chains.get(header.sender, (-1, NO_DIGEST))
        if header.sequence <= number:
            raise IntegrityError(f"{_what(header)}: number {header.sequence} again, a replay")
        if header.sequence != number + 1:
            raise IntegrityError(
                f"{_what(header)}: expected number {number + 1} of {header.sender}, found {header.sequence}; what it said before "
                "was taken out"
            )
        if header.previous != previous:
            raise IntegrityError(f"{_what(header)}: does not follow its sender's previous message")

    def _check_receivers(self, header: Header, row: ProtocolRow, sent: bool) -> None:
        clients = self.clients(header.position.epoch)
        known = sent or header.position.epoch in self.rosters
        if known and not row.addressed(header.sender, clients, header.recipients):
            raise IntegrityError(f"{_what(header)}: expected it to {', '.join(row.receivers)}, found others")

    def _place(self, header: Header, row: ProtocolRow, sent: bool) -> Place:
        """Its place. A sent message belongs to the open round; an undelivered one may be recorded later."""
        position = header.position
        if row.when is not When.ROUND:
            return self._opening(header, row, sent)
        if row.kind == m.PLAN:
            return self._planned(header)
        if sent and position != self.current:
            raise IntegrityError(
                f"{_what(header)}: expected {_spell(self.current)}, found {_spell(position)}; out of order or replayed"
            )
        return self.place_of(position)

    def _opening(self, header: Header, row: ProtocolRow, sent: bool) -> Place:
        position = header.position
        if (position.round, position.attempt) != (0, 1):
            raise IntegrityError(f"{_what(header)}: expected round 0, found {_spell(position)}")
        if sent and position.epoch != self.newest:
            raise IntegrityError(f"{_what(header)}: expected epoch {self.newest}, found {position.epoch}; it is over")
        if sent and row.kind in (ROSTER, EPOCH) and self.current and self.current.round not in self.applied:
            raise IntegrityError(
                f"{_what(header)}: in the middle of round {self.current.round}; a key is changed between two"
            )
        if sent and row.kind != SHARE and position.epoch == self.active:
            raise IntegrityError(f"{_what(header)}: the key of epoch {position.epoch} was announced before")
        if position not in self.places:
            self.places[position] = Place()
            self._open.append(self.places[position])
        return self.places[position]

    def _planned(self, header: Header) -> Place:
        """A plan opens its place: the round after the last one that was applied, or a further attempt of it."""
        position, number = header.position, len(self.applied) + 1
        self._check_ended(header)
        if position.epoch != self.active:
            raise IntegrityError(f"{_what(header)}: expected epoch {self.active}, found {position.epoch}")
        if position.round != number:
            raise IntegrityError(f"{_what(header)}: expected round {number}, found {position.round}")
        if number > self.manifest.experiment.rounds:
            raise IntegrityError(f"{_what(header)}: expected {number - 1} rounds as agreed, found one more")
        last = self.current.attempt if self.current and self.current.round == number else 0
        if not last < position.attempt <= m.MAX_ATTEMPTS:
            raise IntegrityError(
                f"{_what(header)}: expected an attempt after {last}, at most {m.MAX_ATTEMPTS}, found {position.attempt}; a replay"
            )
        place = Place(plan=header.digest, state=header.state)
        opened = row_of(m.PLAN).before(self.custody)
        place.said[opened] = self.places[Position(position.epoch, 0)].said.get(opened, {})
        if opened == SHARE:
            place.due[SHARE] = tuple(f"{KMS} to {name}" for name in self.clients(position.epoch))
        return place

    def _check_ended(self, header: Header) -> None:
        """Once one client applied a sum, it is final: no further plan before enough other clients applied it too."""
        count, number = len(self.receipts.get(len(self.applied) + 1, ())), len(self.applied) + 1
        if count:
            raise IntegrityError(
                f"{_what(header)}: expected receipts of at least {self.need} clients (min_cohort) of round {number} before "
                f"another plan, found {count}"
            )

    def _move_on(self, position: Position) -> None:
        """Drop headers of earlier rounds when a new one begins."""
        if self.current and self.current.round < position.round:
            for place in self._open:
                place.close()
            self._open = []

    def _check_slot(self, header: Header, row: ProtocolRow, place: Place) -> None:
        slot = (row.kind, _slot(header, row))
        if slot in place.slots:
            raise IntegrityError(f"{_what(header)}: a second one for {_spell(header.position)}; one is said")
        if slot[1] not in place.due.get(row.kind, (slot[1],)):
            asked = ", ".join(place.due[row.kind])
            raise IntegrityError(f"{_what(header)}: expected it from {asked} only; it was not asked")

    def _check_order(self, header: Header, place: Place, sent: bool) -> None:
        """Commitments stand in the roster's order: whoever has more examples trains longer, so theirs of arrival would tell."""
        if sent and header.kind == m.COMMITMENT:
            clients, said = self.clients(header.position.epoch), place.said.get(m.COMMITMENT, {})
            later = [name for name in clients[clients.index(header.sender) :] if name in said]
            if later:
                raise IntegrityError(
                    f"{_what(header)}: expected commitments in the roster's order, found it after {later[0]}'s; times of training "
                    "would show"
                )

    def _check_before(self, header: Header, row: ProtocolRow, place: Place) -> None:
        """Check that the message it answers is on record, from all senders where the table says so."""
        before = row.before(self.custody)
        if not before or before in place.complete or header.position.epoch not in self.rosters:
            return
        missing = self.missing(before, place, header.position.epoch)
        if (missing and row.after_all) or not (place.said.get(before) or before in place.due):
            who = f" of {', '.join(missing[:5])}" if missing else ""
            raise IntegrityError(f"{_what(header)}: expected the {before}{who} before it, found none on record")
        place.complete.add(before)

    def _check_objection(self, header: Header, place: Place, sent: bool) -> None:
        """An objection comes before the sum and ends the attempt; one that nobody got keeps the auditor from confirming."""
        objected = any(kind == m.OBJECTION for kind, _ in place.slots)
        if (header.kind == m.SUM and place.said.get(m.OBJECTION)) or (header.kind == m.CONFIRMATION and objected):
            raise IntegrityError(f"{_what(header)}: the auditor lacks updates of this list; the attempt was over")
        late = place.said.get(m.CONFIRMATION) or (sent and place.said.get(m.SUM))
        if header.kind == m.OBJECTION and late:
            raise IntegrityError(f"{_what(header)}: expected it before the sum, found it after; the members were fixed")

    def missing(self, kind: str, place: Place, epoch: int) -> tuple[str, ...]:
        """The senders that have to say this here and have not."""
        row, clients = row_of(kind), self.clients(epoch)
        if kind in place.due:
            due: Iterable[str] = place.due[kind]
        elif row.when is When.CEREMONY and row.to_each:
            due = (f"{one} to {other}" for one in clients for other in clients if one != other)
        elif row.when is When.CEREMONY:
            due = clients
        else:
            due = () if row.sender == CLIENT else (row.sender,)
        said = place.said.get(kind, {})
        return tuple(name for name in due if name not in said)

    def _check_labels(self, header: Header, row: ProtocolRow, place: Place) -> None:
        """Key, plan, state and list are those of the place."""
        if row.kind == m.PLAN and self._state not in (None, header.state):
            raise IntegrityError(
                f"{_what(header)}: expected the state after the round before, found another; history forks"
            )
        key = header.key_id if row.kind == EPOCH else self._keys.get(header.position.epoch, header.key_id)
        listed = header.commitments if row.kind == m.COMMITMENTS else place.listed
        expected = {KEY: key, PLAN: place.plan, STATE: place.state, LIST: listed}
        found = {KEY: header.key_id, PLAN: header.plan, STATE: header.state, LIST: header.commitments}
        for what, value in found.items():
            if value != (expected[what] if what in row.names else type(value)()):
                raise IntegrityError(f"{_what(header)}: it names another {what} than this place has")
        content = place.contents.get(row.kind)
        if content is not None and header.content_digest != content:
            raise IntegrityError(
                f"{_what(header)}: it says something else than what was sent here; {_MEANING[row.kind]}"
            )

    # -- what follows ------------------------------------------------------------------------------------------

    def _note(self, head: SignedHeader, row: ProtocolRow, place: Place) -> None:
        header, position = head.header, head.header.position
        place.said.setdefault(row.kind, {})[_slot(header, row)] = head
        if row.kind == EPOCH:
            self.active = position.epoch
            self._keys[position.epoch] = header.key_id
        elif row.kind == m.PLAN:
            self._move_on(position)
            self.places[position] = place
            self._open.append(place)
            self.current = position
            self._state = header.state
        elif row.kind == m.COMMITMENTS:
            place.listed = header.commitments
        elif row.kind == m.RECEIPT:
            self._apply(header, place)

    def _apply(self, header: Header, place: Place) -> None:
        """All receipts name the same sum and state; with those of min_cohort clients the round is over."""
        said = self.receipts.setdefault(header.position.round, set())
        said.add(header.sender)
        if len(said) >= self.need:
            self.applied.setdefault(header.position.round, header.position)
        place.contents.setdefault(m.RECEIPT, header.content_digest)
        self._state = place.after

    def finish(self) -> None:
        """Check that every agreed round was applied."""
        rounds = self.manifest.experiment.rounds
        done = len(self.applied)
        if count := len(self.receipts.get(done + 1, ())):
            raise IntegrityError(
                f"expected receipts of at least {self.need} clients (min_cohort) of round {done + 1}, found {count}"
            )
        if done != rounds:
            raise IntegrityError(f"expected {rounds} rounds as agreed, found {done} that were applied")


_MEANING: Final = {
    m.ACKNOWLEDGEMENT: "the auditor has another list",
    m.CONFIRMATION: "the auditor confirmed another sum",
    m.READY: "it is ready for another sum",
    m.RECEIPT: "another sum or another state was applied",
}


def _slot(header: Header, row: ProtocolRow) -> str:
    return f"{header.sender} to {header.recipients[0]}" if row.to_each else header.sender


def _what(header: Header) -> str:
    return f"{header.kind[:40]} of {header.sender[:40]}"


def _spell(position: Position | None) -> str:
    if position is None:
        return "no round yet"
    return f"epoch {position.epoch}, round {position.round}, attempt {position.attempt}"

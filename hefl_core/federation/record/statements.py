"""The bodies of a record, compared with each other: records of epochs, plans, lists, sums, requests.

Like grammar.py, but it reads contents. Every check is one that an honest party makes when the message arrives; here an
outsider makes all of them. Two things stay with the parties: θ_0 (it takes the model to make it) and the content of sealed
messages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from hefl_core.errors import IntegrityError
from hefl_core.federation.record.grammar import Conversation, Place
from hefl_core.federation.record.protocol_table import row_of
from hefl_core.ids import COORDINATOR, KMS, digest
from hefl_core.keys.audit import AuditLog
from hefl_core.keys.ceremony import DEAL, STEPS
from hefl_core.keys.ceremony_result import APPROVAL_KIND, PREFIX, CeremonyResult
from hefl_core.keys.custody import Custody
from hefl_core.keys.enrolment import check_key
from hefl_core.keys.epochs import DEALER_FREE, EpochAnnouncement, EpochLedger, EpochRecord
from hefl_core.keys.kms.issuer import EPOCH
from hefl_core.schemes.base import CiphertextVector, PublicKey, Scheme
from hefl_core.schemes.registry import open_scheme
from hefl_core.terms import messages as m
from hefl_core.terms.admission import (
    check_agreed,
    check_committed,
    check_contributors,
    check_foreseen,
    check_listed,
    check_objection,
    check_spares,
    check_upload,
    read_ciphertext,
)
from hefl_core.terms.messages import Commitment, CommitmentList, DecryptionRequest, EncryptedSum, RoundPlan
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Header, Position, SignedHeader

Blob = Callable[[bytes, str, int], bytes]
"""(digest, of what, largest size) -> the bytes that the record keeps under this digest."""


@dataclass
class Attempt:
    """The contents of one attempt of a round so far."""

    plan: RoundPlan
    listed: CommitmentList | None = None
    uploads: dict[str, tuple[Header, Commitment]] = field(default_factory=dict)
    sum: Header | None = None
    confirmation: Header | None = None


class Statements:
    """Reads bodies in the order of the record, after the grammar accepted their headers. ``sums``: how many were added again.

    ``adding`` False: none is; the auditor of the run does it.
    """

    def __init__(self, conversation: Conversation, blob: Blob, *, adding: bool = True) -> None:
        self.sums = 0
        self._adding = adding
        self._conversation = conversation
        self._manifest = conversation.manifest
        self._blob = blob
        self._scheme: Scheme = open_scheme(self._manifest.experiment.preset.name)
        self._ledger = EpochLedger(self._manifest.id)
        self._audit = AuditLog()
        self._keys: dict[int, PublicKey] = {}
        self._attempts: dict[Position, Attempt] = {}
        self._plan = b""
        self._members: tuple[str, ...] | None = None
        self._first: CommitmentList | None = None
        self._read: dict[str, Callable[[SignedHeader, bytes], None]] = {
            EPOCH: self._epoch,
            m.PLAN: self._planned,
            m.COMMITMENT: self._committed,
            m.COMMITMENTS: self._list,
            m.UPDATE: self._update,
            m.OBJECTION: self._objection,
            m.SUM: self._sum,
            m.CONFIRMATION: self._confirmation,
            m.READY: self._ready,
            m.REQUEST: self._request,
        }

    def read(self, head: SignedHeader, body: bytes) -> None:
        """One body. Raises: WireError, IntegrityError, RoundError, KeyUseError: the first thing that is not as it must be."""
        row = row_of(head.header.kind)
        if not row.sealed and row.body is not None:
            decode(body, row.body)
        if head.header.kind in self._read:
            self._read[head.header.kind](head, body)

    # -- keys --------------------------------------------------------------------------------------------------

    def _epoch(self, head: SignedHeader, body: bytes) -> None:
        header, announcement = head.header, decode(body, EpochAnnouncement)
        record, key = announcement.record, announcement.public_key
        self._check_record(record, header)
        check_key(record, key)
        if header.key_id != str(key.id):
            raise IntegrityError(f"epoch {record.epoch}: header and key name different keys")
        if announcement.history != self._ledger.records:
            raise IntegrityError(f"epoch {record.epoch}: its history is not that of the epochs on record")
        self._ledger.accept(record)
        self._check_approved(announcement)
        log = AuditLog(announcement.audit)
        log.verify(self._conversation.rosters[record.epoch].member(KMS).signing, newest_only=True)
        log.check_extends(len(self._audit), self._audit.head)
        self._audit = log
        self._keys[record.epoch] = key

    def _check_record(self, record: EpochRecord, header: Header) -> None:
        experiment, epoch = self._manifest.experiment, header.position.epoch
        roster = self._conversation.rosters[epoch]
        custody = self._conversation.custody.for_clients(len(roster.clients))
        expected = (epoch, self._manifest.id, experiment.preset.name, roster.digest, custody)
        found_custody = Custody(record.quorum, record.dealer == DEALER_FREE)
        found = (record.epoch, record.experiment, record.preset, record.roster_digest, found_custody)
        if found != expected:
            raise IntegrityError(
                f"epoch {epoch}: the record is of another epoch, roster, preset or custody than this run's"
            )
        number = len(self._conversation.applied) + 1
        last = experiment.last_round_of(number)
        if not record.first_round == number <= record.last_round <= last:
            raise IntegrityError(
                f"epoch {epoch}: expected rounds {number} to at most {last}, found {record.first_round} to "
                f"{record.last_round}"
            )

    def _check_approved(self, announcement: EpochAnnouncement) -> None:
        """A key without a dealer: every client approved it, and the ceremony that is on record."""
        record, approved = announcement.record, announcement.approvals
        if (approved is not None) != (record.dealer == DEALER_FREE):
            raise IntegrityError(
                f"epoch {record.epoch}: dealer {record.dealer!r} and its approvals contradict each other"
            )
        if approved is None:
            return
        roster, place = self._conversation.rosters[record.epoch], self._conversation.places[Position(record.epoch, 0)]
        approved.check(roster)
        if any(place.header(APPROVAL_KIND, signed.header.sender) != signed for signed in approved.headers):
            raise IntegrityError(f"epoch {record.epoch}: it shows other approvals than those on record")
        said = [PREFIX + step for step in STEPS[: STEPS.index(APPROVAL_KIND.removeprefix(PREFIX))] if step != DEAL]
        headers = [_digest(place, kind, name) for kind in said for name in roster.clients]
        expected = CeremonyResult(
            *(self._manifest.id, record.epoch, record.preset, record.quorum, record.public_key_digest),
            digest(b"hefl/ceremony/transcript", *headers),
            approved.result.tag_key_digest,
        )
        if approved.result != expected:
            raise IntegrityError(
                f"epoch {record.epoch}: the clients approved another key, or another ceremony than this one"
            )

    # -- a round -----------------------------------------------------------------------------------------------

    def _planned(self, head: SignedHeader, body: bytes) -> None:
        header, plan, manifest = head.header, decode(body, RoundPlan), self._manifest
        position, clients = header.position, self._conversation.clients(header.position.epoch)
        record = self._ledger.require_encrypt(position.epoch, position.round)
        expected = (
            record.digest,
            self._plan,
            manifest.experiment.declared_bound,
            manifest.examples_max,
            manifest.parameters,
        )
        if (plan.epoch_record, plan.previous, plan.bound, plan.examples_max, plan.length) != expected:
            raise IntegrityError("plan: it is not after the plan before it, under this key and on the agreed terms")
        if not set(plan.cohort) <= set(clients) or len(set(plan.cohort)) != len(plan.cohort):
            raise IntegrityError("plan: expected a cohort of clients of the roster, found another")
        if plan.max_terms < len(plan.cohort) or plan.min_cohort < manifest.experiment.cohort_floor:
            raise IntegrityError("plan: its max_terms or its min_cohort is below what was agreed")
        if (plan.theta_0 is not None) != (position.round == 1):
            raise IntegrityError("plan: expected θ_0 in round 1 and in no other")
        if all(earlier.round != position.round for earlier in self._attempts):
            self._attempts, self._members, self._first = {}, None, None
        self._attempts[position] = Attempt(plan)
        self._plan = header.digest

    def _committed(self, head: SignedHeader, body: bytes) -> None:
        check_committed(head.header, decode(body, Commitment), self._manifest)

    def _list(self, head: SignedHeader, body: bytes) -> None:
        header, listed = head.header, decode(body, CommitmentList)
        attempt, place = self._attempts[header.position], self._conversation.places[header.position]
        check_listed(listed, attempt.plan.cohort, attempt.plan.min_cohort)
        if header.commitments != listed.digest:
            raise IntegrityError("commitments: the header names another list than the body holds")
        if listed.senders != tuple(name for name in attempt.plan.cohort if name in listed.senders):
            raise IntegrityError("commitments: expected them in the cohort's order, found another order")
        if self._members not in (None, listed.senders):
            raise IntegrityError(
                f"commitments: expected the members of this round's earlier sum ({', '.join(self._members or ())}), found "
                f"{', '.join(listed.senders)}"
            )
        for signed, commitment in zip(listed.listed, listed.commitments, strict=True):
            self._check_listed(signed, commitment, header.position)
        attempt.listed = listed
        if self._conversation.custody.quorum.collective:
            self._first = self._first or listed
        place.contents[m.ACKNOWLEDGEMENT] = _content(m.Acknowledgement(header.digest))
        place.due[m.UPDATE] = tuple(
            one.header.sender for one in listed.listed if one.header.position == header.position
        )

    def _check_listed(self, signed: SignedHeader, commitment: Commitment, position: Position) -> None:
        """A commitment of this attempt, or one whose upload was made in an earlier attempt of this round."""
        item = signed.header
        place = self._conversation.place_of(item.position)
        if (item.position.epoch, item.position.round) != (position.epoch, position.round):
            raise IntegrityError(f"commitments: {item.sender}'s is of another round")
        if place.header(m.COMMITMENT, item.sender) != signed:
            raise IntegrityError(f"commitments: {item.sender}'s is not on record")
        if item.content_digest != hashlib.sha256(encode(commitment)).digest():
            raise IntegrityError(f"commitments: what is listed for {item.sender} is not what it signed")
        check_spares(signed, commitment, self._conversation.custody.quorum.collective)
        if self._first is not None:
            check_foreseen(signed, commitment, self._first)
        if item.position != position and place.header(m.UPDATE, item.sender) is None:
            raise IntegrityError(f"commitments: {item.sender}'s is carried over without an upload in that attempt")

    def _update(self, head: SignedHeader, body: bytes) -> None:
        header = head.header
        attempt = self._attempts[header.position]
        if attempt.listed is not None:  # the grammar has it after the list
            check_upload(header, attempt.listed)

    def _objection(self, head: SignedHeader, body: bytes) -> None:
        header, objection = head.header, decode(body, m.Objection)
        place = self._conversation.places[header.position]
        published = place.header(m.COMMITMENTS, COORDINATOR)
        listed = self._attempts[header.position].listed
        if published is not None and listed is not None:  # the grammar has it after the list
            check_objection(objection, published.header.digest, listed)
        place.lacking = objection.lacking

    def _sum(self, head: SignedHeader, body: bytes) -> None:
        header, message = head.header, m.read_sum(body)
        attempt, place = self._attempts[header.position], self._conversation.places[header.position]
        listed = attempt.listed
        if listed is None:
            raise IntegrityError("sum: no list before it")
        check_contributors(message.updates, listed)
        for signed, committed, commitment in zip(message.updates, listed.listed, listed.commitments, strict=True):
            self._check_added(signed, committed, commitment)
        total, tagged = message.total, self._scheme.preset.tagged
        if (str(total.key_id), total.terms, len(total.blocks)) != (header.key_id, len(message.updates), header.blocks):
            raise IntegrityError("sum: its label is not that of the updates in it")
        check_agreed(total, attempt.plan, tagged, "sum")
        if self._adding:
            self._add_again(message, attempt, header)
        self._follow(header, body, place)
        attempt.sum, self._members = header, listed.senders

    def _check_added(self, signed: SignedHeader, committed: SignedHeader, commitment: Commitment) -> None:
        item = signed.header
        if item.position != committed.header.position or item.kind != m.UPDATE:
            raise IntegrityError(f"sum: the update of {item.sender} is of another attempt than its commitment")
        if self._conversation.place_of(item.position).header(m.UPDATE, item.sender) != signed:
            raise IntegrityError(f"sum: contains an update of {item.sender} that is not on record")
        if item.content_digest != commitment.ciphertext_digest:
            raise IntegrityError(f"sum: the update of {item.sender} is not the one that it committed to")

    def _add_again(self, message: EncryptedSum, attempt: Attempt, header: Header) -> None:
        """The scheme checks every ciphertext before the library parses it, as coordinator and auditor do."""
        key, tagged = self._keys[header.position.epoch], self._scheme.preset.tagged
        self._scheme.check(key, message.total)
        running = self._scheme.accumulator(key)
        for signed in message.updates:
            what = f"update of {signed.header.sender}"
            content = self._blob(signed.header.content_digest, what, row_of(m.UPDATE).most_bytes)
            vector: CiphertextVector = read_ciphertext(content, signed.header, self._scheme, key)
            check_agreed(vector, attempt.plan, tagged, what)
            running.add(vector)
        if running.total() != message.total:
            raise IntegrityError("sum: adding the recorded updates again gives other bytes")
        self.sums += 1

    def _follow(self, header: Header, body: bytes, place: Place) -> None:
        """Fix the only confirmation, receipt and state that may follow this sum."""
        updates, blocks = tuple(signed.header.digest for signed in m.read_sum(body).updates), m.block_digests(body)
        place.after = m.next_state(place.state, place.plan, updates, header.digest)
        place.contents[m.CONFIRMATION] = _content(m.Confirmation(place.plan, updates, blocks))
        place.contents[m.RECEIPT] = _content(m.Receipt(header.digest, place.after))

    def _confirmation(self, head: SignedHeader, body: bytes) -> None:
        header = head.header
        attempt, place = self._attempts[header.position], self._conversation.places[header.position]
        attempt.confirmation = header
        if attempt.sum is not None:  # the grammar has it after the sum
            place.contents[m.READY] = _content(m.Ready(attempt.sum.digest, header.digest))

    def _ready(self, head: SignedHeader, body: bytes) -> None:
        header = head.header
        if (m.UPDATE, header.sender) not in self._conversation.places[header.position].slots:
            raise IntegrityError(f"ready of {header.sender}: it has no update in this attempt")

    def _request(self, head: SignedHeader, body: bytes) -> None:
        header, request = head.header, decode(body, DecryptionRequest)
        attempt, place = self._attempts[header.position], self._conversation.places[header.position]
        threshold = self._ledger.record(header.position.epoch).quorum.threshold
        if len(set(request.active)) != len(request.active) or len(request.active) != threshold:
            raise IntegrityError(
                f"request: expected {threshold} different holders, found {', '.join(request.active)[:200]}"
            )
        if not set(request.active) <= set(place.said.get(m.READY, {})):
            raise IntegrityError("request: it names a holder that did not say that it is ready")
        sum_, confirmation = attempt.sum, attempt.confirmation
        if (
            sum_ is None
            or confirmation is None
            or (request.sum, request.confirmation) != (sum_.digest, confirmation.digest)
        ):
            raise IntegrityError(f"request: it names another sum or confirmation than {COORDINATOR} and auditor sent")
        place.due[m.PARTIAL] = request.active


def _content(message: object) -> bytes:
    return hashlib.sha256(encode(message)).digest()


def _digest(place: Place, kind: str, name: str) -> bytes:
    head = place.header(kind, name)
    if head is None:
        raise IntegrityError(f"{kind} of {name}: it is not on record")
    return head.header.digest

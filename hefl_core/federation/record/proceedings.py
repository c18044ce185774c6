"""The check of each entry of a record, by header and body: used by the post before it records, by the verifier on each line.

A refused entry leaves no trace here, so the post can leave a message out of the record and continue.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hefl_core.errors import IntegrityError
from hefl_core.federation.outside import MAX_REASON, Whereabouts, reason
from hefl_core.federation.record.grammar import Conversation, Place
from hefl_core.federation.record.protocol_table import ProtocolRow
from hefl_core.federation.record.statements import Statements
from hefl_core.federation.record.transcript import LeftOut, Sent, Unsent
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name, is_client
from hefl_core.keys.kms.issuer import ROSTER
from hefl_core.keys.roster import Member, Roster
from hefl_core.keys.sealing import readers_of, sealed_nbytes, wrapped_nbytes
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.messages import LACKED, MAX_ATTEMPTS, OBJECTION, lacking
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.limits import MAX_MESSAGE_BYTES

MAX_BLOBS_BYTES: Final = 1 << 40
"""All bodies together: the most that a record can make the verifier read."""
SMALL_BODY_BYTES: Final = 64 << 10
"""Larger bodies are named once: many lines could have one large blob read again and again."""
MAX_WORK: Final = 64
"""Steps that one message may have cost, and characters of a step's name."""

Find = Callable[[bytes, str, int], bytes | None]
"""(digest, of what, largest size) -> the blob, None where the record has none under this digest."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A message that has a place in the protocol: its row in the table, and that place."""

    sent: Sent
    row: ProtocolRow
    place: Place


class Proceedings:
    """Follows a record entry by entry. ``find``: its bodies, None for a record without; ``adding``: each sum is added again.

    Raises: whatever HeflError names the first thing that does not fit.
    """

    def __init__(self, manifest: Manifest, kms: Member, find: Find | None, *, adding: bool = True) -> None:
        self.conversation = Conversation(manifest, kms)
        self.statements: Statements | None = None
        self._wrapped = wrapped_nbytes(kms)
        self._blobs = None if find is None else _Blobs(find)
        if self._blobs is not None:
            self.statements = Statements(self.conversation, self._blobs.need, adding=adding)

    def message(self, sent: Sent) -> None:
        """A message that was sent."""
        self.take(self.rule(sent))

    def rule(self, sent: Sent) -> Ruling:
        """Check a message. A client's leaves no trace before :meth:`take`; what others say is followed as it is read."""
        header, conversation = sent.head.header, self.conversation
        what = f"{header.kind[:40]} of {header.sender[:40]}"
        if header.kind == ROSTER:
            conversation.enter(_roster(sent))
        elif sent.inline is not None:
            raise IntegrityError(f"{what}: only rosters stand in the line itself")
        row, place = conversation.judge(sent.head, sent=True)
        if (sent.step, sent.receivers) != (header.kind, header.recipients):
            raise IntegrityError(f"{what}: the record names another step or other receivers")
        if not header.sealed and sent.body != header.content_digest:
            raise IntegrityError(f"{what}: recorded body and signed digest differ")
        _check_size(sent, what, self._wrapped)
        _check_work(sent, what)
        if self._blobs is not None:
            self._body(sent, row, what, self._blobs)
        return Ruling(sent, row, place)

    def take(self, ruling: Ruling) -> None:
        """Note a message that :meth:`rule` accepted, before another one is taken."""
        self.conversation.note(ruling.sent.head, ruling.row, ruling.place, sent=True)
        if self._blobs is not None:
            self._blobs.name(ruling.sent.body)

    def unsent(self, entry: Unsent) -> None:
        """A message that was not delivered."""
        self.conversation.take(entry.head, sent=False)

    def noted(self, entry: LeftOut) -> None:
        """A refusal or an absence: unsigned, but of a party of this run, at a place that the record reached."""
        where, agreed = entry.position, self.conversation.manifest.experiment.rounds
        for what, said in (("step", entry.step), ("text", entry.reason)):
            if len(said) > MAX_REASON or not said.isprintable():
                raise IntegrityError(
                    f"note: expected a {what} of one printable line of at most {MAX_REASON} characters"
                )
        if not self._known(entry.party):
            raise IntegrityError(f"note: expected a party of this run, found {entry.party[:40]!r}")
        reached = min(len(self.conversation.applied) + 1, agreed)
        newest = (
            self.conversation.newest + MAX_ATTEMPTS + 1
        )  # an epoch may be begun, noted and given up before its roster
        inside = 0 <= where.round <= reached and 0 <= where.epoch <= newest and 1 <= where.attempt <= MAX_ATTEMPTS
        if not inside:
            raise IntegrityError(
                f"note: expected a place up to round {reached}, found epoch {where.epoch}, round {where.round}, "
                f"attempt {where.attempt}"
            )
        self.check_objected(entry)

    def check_objected(self, entry: LeftOut) -> None:
        """The signed objection decides whose update the auditor lacks: a note that says so names one of these clients.

        Without bodies it is not known whom the objection names. Raises: IntegrityError.
        """
        if LACKED not in " ".join(entry.reason.casefold().split()):
            return
        place = self.conversation.places.get(entry.position)
        if place is None or not place.said.get(OBJECTION):
            raise IntegrityError(
                f"note: expected an objection of the auditor before it, found none; it names {entry.party}"
            )
        named = (entry.party,) if place.lacking is None else place.lacking
        where = Whereabouts(entry.party, entry.step, entry.position, self.conversation.manifest.experiment.clients)
        if entry.party not in named or entry.reason != reason(lacking(entry.party), where):
            raise IntegrityError(
                f"note: the auditor's objection names {', '.join(named)}; the note about {entry.party} names another client"
            )

    def _known(self, name: str) -> bool:
        clients = self.conversation.manifest.experiment.clients
        number = name.removeprefix("client-")
        agreed = is_client(name) and number.isascii() and number.isdecimal() and len(number) <= len(str(clients))
        if name in (KMS, COORDINATOR, AUDITOR) or any(
            name in one.clients for one in self.conversation.rosters.values()
        ):
            return True
        return agreed and 1 <= int(number) <= clients and name == client_name(int(number))

    def _body(self, sent: Sent, row: ProtocolRow, what: str, blobs: _Blobs) -> None:
        body = blobs.body(sent.body, what, row)
        if body is None:
            return
        expected = _body_nbytes(sent, self._wrapped)
        if len(body) != expected:
            raise IntegrityError(f"{what}: expected a body of {expected} bytes as its header says, found {len(body)}")
        if row.sealed and readers_of(body) != sent.head.header.recipients:
            raise IntegrityError(f"{what}: expected it sealed to the receivers that its header names, found others")
        if self.statements is not None:
            self.statements.read(sent.head, body)


class _Blobs:
    """The bodies of a record. Raises: IntegrityError for one that is missing, replaced, too large or named too often."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._left = MAX_BLOBS_BYTES
        self._named: set[bytes] = set()

    def get(self, digest: bytes, what: str, limit: int) -> bytes | None:
        """A blob with its digest checked; None when it is not there."""
        blob = self._find(digest, what, limit)
        if blob is None:
            return None
        self._left -= len(blob)
        if len(blob) > limit or self._left < 0:
            raise IntegrityError(
                f"{what}: its body is larger than {limit} bytes, or all of them than {MAX_BLOBS_BYTES}"
            )
        if hashlib.sha256(blob).digest() != digest:
            raise IntegrityError(f"{what}: its blob {digest.hex()[:16]} was replaced")
        return blob

    def need(self, digest: bytes, what: str, limit: int) -> bytes:
        """A blob that has to be there."""
        blob = self.get(digest, what, limit)
        if blob is None:
            raise IntegrityError(f"{what}: its blob {digest.hex()[:16]} is missing")
        return blob

    def body(self, digest: bytes, what: str, row: ProtocolRow) -> bytes | None:
        """The body of a line; of a kind that is not kept it may be missing."""
        blob = (self.need if row.kept else self.get)(digest, what, row.most_bytes + MAX_MESSAGE_BYTES)
        if blob is not None and len(blob) > SMALL_BODY_BYTES and digest in self._named:
            raise IntegrityError(f"{what}: its body is that of an earlier message; a replay")
        return blob

    def name(self, digest: bytes) -> None:
        """A message on record has this body."""
        self._named.add(digest)


def _roster(sent: Sent) -> Roster:
    """The one body that every later check needs. Raises: IntegrityError when the KMS did not sign it."""
    header = sent.head.header
    if header.sender != KMS or sent.inline is None:
        raise IntegrityError("roster: expected the KMS's roster in the line itself")
    if hashlib.sha256(sent.inline).digest() != header.content_digest:
        raise IntegrityError("roster: its bytes are not those that the KMS signed")
    roster = decode(sent.inline, Roster)
    roster.check_vouchers()
    if (roster.epoch, roster.experiment) != (header.position.epoch, header.experiment):
        raise IntegrityError("roster: the header and the roster name different epochs or experiments")
    return roster


def _body_nbytes(sent: Sent, wrapped: int) -> int:
    """Bytes of a body, from what the header says of the content and who may read it."""
    header = sent.head.header
    return sealed_nbytes(header, wrapped) if header.sealed else header.content_nbytes


def _check_size(sent: Sent, what: str, wrapped: int) -> None:
    """The recorded size is that of the message, also where its body is not on record."""
    expected = len(encode(sent.head.header)) + len(sent.head.signature) + _body_nbytes(sent, wrapped)
    if sent.nbytes != expected:
        raise IntegrityError(
            f"{what}: the recorded size {sent.nbytes} is not the size of the message; its header says {expected}"
        )


def _check_work(sent: Sent, what: str) -> None:
    """A client's costs are told to nobody (they grow with n_k); a keyless party's are seconds."""
    if is_client(sent.sender) and sent.work:
        raise IntegrityError(f"{what}: expected no cost of a client on record, found {len(sent.work)}")
    costs = [seconds for work in sent.work for seconds in (work.seconds, work.cpu_seconds)]
    named = len(sent.work) <= MAX_WORK and all(len(work.step) <= MAX_WORK for work in sent.work)
    if not named or not all(math.isfinite(cost) and cost >= 0 for cost in costs):
        raise IntegrityError(f"{what}: expected costs in seconds from 0 on, found others")

"""The protocol in one table: sender, receivers and predecessor of each kind of message. One row is one kind.

The verifier (grammar.py), the allow-list of what keyless parties may read (probes/inputs.py) and the table in
docs/protocol.md all read it. A new kind of message is a new row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from hefl_core.errors import IntegrityError, RoundError
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, looks_like_a_digest
from hefl_core.keys.ceremony import DEAL, STEPS
from hefl_core.keys.ceremony import PARTIAL as TEST_PARTIAL
from hefl_core.keys.ceremony_result import APPROVAL_KIND, PREFIX, CeremonyResult
from hefl_core.keys.custody import Custody
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.keys.kms.issuer import EPOCH, ROSTER, SHARE
from hefl_core.keys.roster import CLIENT, Roster
from hefl_core.schemes.base import CiphertextVector
from hefl_core.terms import messages as m
from hefl_core.terms.agreed_sizes import blocks_of, content_nbytes
from hefl_core.terms.experiment import Manifest
from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import Header
from hefl_core.wire.limits import MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_MESSAGE_BYTES

CLIENTS, OTHERS = "all clients", "all other clients"
ONE, ONE_OTHER = "one client", "one other client"
"""Groups of receivers; other receivers are named by their role."""
KEY, PLAN, STATE, LIST = "key", "plan", "state", "list"
"""What a header may name beside its place."""


class When(Enum):
    """The part of the protocol that a message belongs to."""

    OPENING = "opening of a key epoch"
    CEREMONY = "key ceremony"
    ROUND = "round"


class Under(Enum):
    """The custody under which a kind exists."""

    ANY = "any"
    COLLECTIVE = "collective"
    DEALT = "dealt"
    DEALER_FREE = "dealer-free"

    def admits(self, custody: Custody) -> bool:
        """Whether a run of this custody has the kind."""
        if self is Under.COLLECTIVE:
            return custody.quorum.collective
        return self is Under.ANY or custody.dealer_free == (self is Under.DEALER_FREE)


@dataclass(frozen=True, slots=True)
class ProtocolRow:
    """One kind. A sender says it once at each place (epoch, round, attempt); ``to_each``: once to each receiver.

    ``after``: what must be on the record before it, at the same place (for a plan: in the same epoch); of several kinds the last
    that the run's custody has. ``after_all``: from every required sender, else from one.
    ``names``: what the header names beside its place. ``body``: the type of the content, where a keyless party or the
    verifier reads it. ``kept``: whether a record with bodies must have this one.
    """

    kind: str
    sender: str
    receivers: tuple[str, ...]
    when: When
    after: tuple[str, ...] = ()
    after_all: bool = True
    to_each: bool = False
    sealed: bool = False
    names: tuple[str, ...] = ()
    body: Any = None
    under: Under = Under.ANY
    kept: bool = True

    @property
    def keyless(self) -> bool:
        """Whether coordinator or auditor send or receive it."""
        return bool({COORDINATOR, AUDITOR} & {self.sender, *self.receivers})

    @property
    def most_bytes(self) -> int:
        """How large a body may be."""
        return MAX_BODY_BYTES if self.sealed or self.kind == m.SUM else MAX_MESSAGE_BYTES

    def before(self, custody: Custody) -> str:
        """The kind that this one comes after; empty for a roster."""
        return next((kind for kind in reversed(self.after) if row_of(kind).under.admits(custody)), "")

    def check(self, header: Header, role: str, custody: Custody, manifest: Manifest) -> None:
        """Whether a party of this ``role`` may say this in this form: custody, seal, d, blocks, sizes, and which labels it bears.

        The post asks it before recording, a party on arrival, the verifier of each line, the ledger of a message that nobody
        got. No field is left in which a client could write what it likes. Raises: IntegrityError.
        """
        what = f"{header.kind[:40]} of {header.sender[:40]}"
        if role != self.sender:
            raise IntegrityError(f"{what}: expected it from {a_role(self.sender)}, found it signed by {a_role(role)}")
        if not self.under.admits(custody):
            raise IntegrityError(f"{what}: there is none under custody {custody}")
        if header.sealed != self.sealed:
            raise IntegrityError(f"{what}: expected it {'sealed' if self.sealed else 'in the open'}")
        experiment, parameters = manifest.experiment, manifest.parameters
        expected = (parameters, blocks_of(self.kind, experiment, parameters)) if self.when is When.ROUND else (0, 0)
        if (header.length, header.blocks) != expected:
            raise IntegrityError(
                f"{what}: expected d = {expected[0]} in {expected[1]} ciphertexts, found d = {header.length} in "
                f"{header.blocks}; preset and model fix both"
            )
        room = content_nbytes(self.kind, experiment, parameters, header.position) if self.sender == CLIENT else None
        least, most = room or (0, self.most_bytes)
        if not least <= header.content_nbytes <= most:
            raise IntegrityError(f"{what}: expected {least} to {most} bytes of content, found {header.content_nbytes}")
        if not looks_like_a_digest(header.content_digest):
            raise IntegrityError(f"{what}: expected the SHA-256 of its content, found bytes that are none")
        if header.sender != COORDINATOR and len(encode(header)) > MAX_HEADER_BYTES:
            raise IntegrityError(f"{what}: expected a header of at most {MAX_HEADER_BYTES} bytes")
        labels = {KEY: header.key_id, PLAN: header.plan, STATE: header.state, LIST: header.commitments}
        if more := [name for name, value in labels.items() if value and name not in self.names]:
            raise IntegrityError(f"{what}: it names a {more[0]}, which a {self.kind} does not; it is refused")

    def addressed(self, sender: str, clients: tuple[str, ...], found: tuple[str, ...]) -> bool:
        """Whether these are the receivers that the row prescribes, in order."""
        others = tuple(name for name in clients if name != sender)
        if self.receivers in ((ONE,), (ONE_OTHER,)):
            return len(found) == 1 and found[0] in (clients if self.receivers == (ONE,) else others)
        groups = {CLIENTS: clients, OTHERS: others}
        return found == tuple(name for to in self.receivers for name in groups.get(to, (to,)))


_MEMBERS: Final = (COORDINATOR, AUDITOR, CLIENTS)
_KEYLESS: Final = (COORDINATOR, AUDITOR)
_WITNESSES: Final = (AUDITOR, CLIENTS)
_LABELS: Final = (KEY, PLAN, STATE)


def _ceremony() -> tuple[ProtocolRow, ...]:
    """Every client speaks in each step; a step begins when the one before is complete (keys/ceremony.py)."""
    rows, before = [], ROSTER
    for step in STEPS:
        kind, deal = PREFIX + step, step == DEAL
        last = kind == APPROVAL_KIND
        to = (ONE_OTHER,) if deal else (KMS, OTHERS) if last else (OTHERS,)
        sealed, body = step in (DEAL, TEST_PARTIAL), CeremonyResult if last else None
        rows.append(
            ProtocolRow(
                *(kind, CLIENT, to, When.CEREMONY, (before,)),
                to_each=deal,
                sealed=sealed,
                body=body,
                under=Under.DEALER_FREE,
                kept=not deal,
            )
        )
        before = kind
    return tuple(rows)


def _round() -> tuple[ProtocolRow, ...]:
    """One attempt of a round, in the order of federation/round.py."""
    during, together, some = When.ROUND, Under.COLLECTIVE, False
    labels, listed = _LABELS, (*_LABELS, LIST)
    published, decrypted = (m.COMMITMENTS, m.ACKNOWLEDGEMENT), (m.CONFIRMATION, m.PARTIAL)
    return (
        ProtocolRow(m.PLAN, COORDINATOR, _WITNESSES, during, (EPOCH, SHARE), names=(KEY, STATE), body=m.RoundPlan),
        ProtocolRow(m.COMMITMENT, CLIENT, (COORDINATOR,), during, (m.PLAN,), names=labels, body=m.Commitment),
        ProtocolRow(
            m.COMMITMENTS, COORDINATOR, _WITNESSES, during, (m.COMMITMENT,), some, names=listed, body=m.CommitmentList
        ),
        ProtocolRow(
            *(m.ACKNOWLEDGEMENT, AUDITOR, (CLIENTS,), during, (m.COMMITMENTS,)),
            names=labels,
            body=m.Acknowledgement,
            under=together,
        ),
        ProtocolRow(m.UPDATE, CLIENT, _KEYLESS, during, published, sealed=True, names=listed, body=CiphertextVector),
        ProtocolRow(m.OBJECTION, AUDITOR, (COORDINATOR,), during, published, names=labels, body=m.Objection),
        ProtocolRow(m.SUM, COORDINATOR, _WITNESSES, during, (m.UPDATE,), names=listed, body=m.EncryptedSum),
        ProtocolRow(
            m.CONFIRMATION, AUDITOR, (COORDINATOR, CLIENTS), during, (m.SUM,), names=labels, body=m.Confirmation
        ),
        ProtocolRow(
            m.READY, CLIENT, (COORDINATOR,), during, (m.CONFIRMATION,), names=labels, body=m.Ready, under=together
        ),
        ProtocolRow(
            *(m.REQUEST, COORDINATOR, (CLIENTS,), during, (m.READY,), some),
            names=listed,
            body=m.DecryptionRequest,
            under=together,
        ),
        ProtocolRow(m.PARTIAL, CLIENT, (CLIENTS,), during, (m.REQUEST,), sealed=True, names=labels, under=together),
        ProtocolRow(m.RECEIPT, CLIENT, _KEYLESS, during, decrypted, names=labels, body=m.Receipt),
    )


TABLE: Final[tuple[ProtocolRow, ...]] = (
    ProtocolRow(ROSTER, KMS, _MEMBERS, When.OPENING, body=Roster),
    *_ceremony(),
    ProtocolRow(EPOCH, KMS, _MEMBERS, When.OPENING, (ROSTER, APPROVAL_KIND), names=(KEY,), body=EpochAnnouncement),
    ProtocolRow(
        *(SHARE, KMS, (ONE,), When.OPENING, (EPOCH,)),
        to_each=True,
        sealed=True,
        names=(KEY,),
        under=Under.DEALT,
        kept=False,
    ),
    *_round(),
)
"""Every kind, in the order in which a run says them."""
_ROWS: Final = {row.kind: row for row in TABLE}
KINDS: Final = frozenset(_ROWS)
OTHER_KIND: Final = "message"
"""What a note calls a message of a kind that the protocol does not have."""
UNKEPT_KINDS: Final = tuple(row.kind for row in TABLE if not row.kept)
"""Kinds whose bodies a record need not have."""
READABLE: Final[dict[str, Any]] = {row.kind: row.body for row in TABLE if row.keyless and row.body is not None}
"""All that a keyless party can decode, and as what."""


def row_of(kind: str) -> ProtocolRow:
    """The row of a kind. Raises: RoundError when the protocol has none."""
    if kind not in _ROWS:
        raise RoundError(f"expected a kind of message that the protocol has, such as {m.PLAN}; found another")
    return _ROWS[kind]


def to_markdown() -> str:
    """The table as docs/protocol.md shows it; a test compares them."""
    lines = ["| kind | from | to | when | after | custody | body |", "|-|-|-|-|-|-|-|"]
    for row in TABLE:
        sender = "each client" if row.sender == CLIENT else _spell(row.sender)
        to = ", ".join(_spell(name) for name in row.receivers) + ("; one for each" if row.to_each else "")
        after = " or ".join(row.after)
        body = ("sealed" if row.sealed else "open") + ("" if row.kept else ", not kept")
        lines.append(f"| {row.kind} | {sender} | {to} | {row.when.value} | {after} | {row.under.value} | {body} |")
    return "\n".join(lines) + "\n"


def a_role(role: str) -> str:
    """A role in a sentence."""
    return f"a {CLIENT}" if role == CLIENT else f"the {role}"


def _spell(name: str) -> str:
    return "KMS" if name == KMS else name

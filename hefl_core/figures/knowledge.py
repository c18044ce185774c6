"""Knowledge of each seat now: a matrix seat × secret, computed from the transcript and the holders of shares.

No entry is written by hand. A seat is one party, or several that pool what they have (``coordinator+client-2``). What a
seat could compute counts as known: a ciphertext with enough shares, or the last term of a known sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache

from hefl_core.federation.record.transcript import EAVESDROPPER, Sent, Transcript
from hefl_core.ids import AUDITOR, COORDINATOR, KMS
from hefl_core.keys import ceremony
from hefl_core.keys.ceremony_result import PREFIX
from hefl_core.keys.epochs import EpochAnnouncement, EpochRecord
from hefl_core.terms import messages as m
from hefl_core.wire.canonical import decode

ROSTER, EPOCH, SHARE, DEAL = "roster", "epoch", "share", f"{PREFIX}{ceremony.DEAL}"
KEY, UPDATE, SUM, MODEL, RECORDS = "key", "update", "sum", "model", "records"


class State(Enum):
    """What a seat has of a secret, from nothing to all of it."""

    NOT_YET = "not yet"
    NOTHING = "nothing"
    SEALED = "sealed"
    CIPHERTEXT = "ciphertext"
    SHARE = "share"
    DEALT = "dealt"
    CAN_OPEN = "can open"
    KNOWS = "knows"

    @property
    def readable(self) -> bool:
        """Whether the secret is no secret to this seat."""
        return self in (State.CAN_OPEN, State.KNOWS)


@dataclass(frozen=True, slots=True)
class Secret:
    """Something that not every party should know. ``owner``: the client, where it belongs to one."""

    kind: str
    owner: str = ""

    @property
    def name(self) -> str:
        """Short and unique: ``sum``, ``update/client-2``."""
        return f"{self.kind}/{self.owner}" if self.owner else self.kind


@dataclass(frozen=True, slots=True)
class KnowledgeCell:
    """``evidence``: numbers of the messages it follows from (1 is the first). ``have`` of ``need`` shares, for keys."""

    state: State
    evidence: tuple[int, ...] = ()
    have: int = 0
    need: int = 0


@dataclass(frozen=True)
class Matrix:
    """After ``sent`` messages, in round ``round``."""

    sent: int
    round: int
    seats: tuple[str, ...]
    secrets: tuple[Secret, ...]
    cells: dict[tuple[str, str], KnowledgeCell]

    def cell(self, seat: str, secret: str) -> KnowledgeCell:
        """The cell of these names, for example ``cell("coordinator", "update/client-2")``."""
        return self.cells[seat, secret]

    def leaks(self, seat: str, secret: Secret) -> bool:
        """Whether this seat reads what the protocol does not mean it to read: another's update, or (without a client
        among its parties) key, sum or model.
        """
        if not self.cell(seat, secret.name).state.readable:
            return False
        parties = parties_in(seat)
        if secret.owner:
            return secret.owner not in parties
        return not any(name.startswith("client-") for name in parties)


def seats_of(transcript: Transcript) -> tuple[str, ...]:
    """Every single seat, and the collusion that individual custody does not survive."""
    clients = clients_of(transcript)
    pair = (f"{COORDINATOR}+{clients[min(1, len(clients) - 1)]}",) if clients else ()
    return (COORDINATOR, *clients, KMS, AUDITOR, EAVESDROPPER, *pair)


def clients_of(transcript: Transcript) -> tuple[str, ...]:
    """Names of the clients, from the experiment."""
    return tuple(f"client-{number}" for number in range(1, transcript.manifest.experiment.clients + 1))


def parties_in(seat: str) -> frozenset[str]:
    """``coordinator+client-2`` is two parties."""
    return frozenset(seat.split("+"))


def knowledge(transcript: Transcript, sent: int, seats: Sequence[str] | None = None) -> Matrix:
    """The matrix after the first ``sent`` messages."""
    return _Ledger(transcript, sent).matrix(tuple(seats or seats_of(transcript)))


class _Ledger:
    """The messages so far, indexed once."""

    def __init__(self, transcript: Transcript, sent: int) -> None:
        self.transcript = transcript
        self.clients = clients_of(transcript)
        self.plain = transcript.manifest.experiment.preset.family == "plaintext"
        self.messages = list(enumerate(transcript.sent[:sent], start=1))
        self.sent = len(self.messages)
        rounds = [entry.position.round for _, entry in self.messages if entry.position.round]
        self.round = rounds[-1] if rounds else 1
        self._index: dict[tuple[str, int], list[tuple[int, Sent]]] = {}
        for number, entry in self.messages:
            self._index.setdefault((entry.step, entry.position.round), []).append((number, entry))

    def matrix(self, seats: tuple[str, ...]) -> Matrix:
        secrets = (
            Secret(KEY),
            *(Secret(UPDATE, client) for client in self.clients),
            Secret(SUM),
            Secret(MODEL),
            *(Secret(RECORDS, client) for client in self.clients),
        )
        cells = {}
        for seat in seats:
            view = _View(self, parties_in(seat))
            for secret in secrets:
                cells[seat, secret.name] = view.cell(secret)
        return Matrix(self.sent, self.round, seats, secrets, cells)

    def of(self, step: str, round_: int | None = None) -> list[tuple[int, Sent]]:
        """The messages of a step in a round (the current one), of its last attempt."""
        wanted = self.round if round_ is None else round_
        found = self._index.get((step, wanted), [])
        last = max((s.position.attempt for _, s in found), default=1)
        return [(n, s) for n, s in found if s.position.attempt == last]

    def once(self, step: str, epoch: int) -> list[tuple[int, Sent]]:
        """The messages of a step that opens a key epoch."""
        return [(n, s) for n, s in self._index.get((step, 0), []) if s.position.epoch == epoch]

    @cached_property
    def records(self) -> dict[int, EpochRecord]:
        """The epoch records on record, by epoch."""
        contents = [self.transcript.content(entry) for _, entry in self._index.get((EPOCH, 0), [])]
        records = [_record(content) for content in contents if content is not None]
        return {record.epoch: record for record in records}

    @property
    def epoch(self) -> int:
        """The key epoch of the last message."""
        return self.messages[-1][1].position.epoch if self.messages else 1


@lru_cache(maxsize=64)
def _record(content: bytes) -> EpochRecord:
    return decode(content, EpochAnnouncement).record


class _View:
    """Everything that the parties of one seat have together."""

    def __init__(self, ledger: _Ledger, parties: frozenset[str]) -> None:
        self.ledger = ledger
        self.parties = parties
        self._keys: dict[int, KnowledgeCell] = {}

    def cell(self, secret: Secret) -> KnowledgeCell:
        if secret.kind == KEY:
            return self._key(self.ledger.epoch)
        if secret.kind == UPDATE:
            return self._update(secret.owner)
        if secret.kind == SUM:
            return self._sum(self.ledger.round)
        if secret.kind == MODEL:
            return self._model(self.ledger.round)
        return KnowledgeCell(State.KNOWS if secret.owner in self.parties else State.NOTHING)

    def _key(self, epoch: int) -> KnowledgeCell:
        """Shares that reached these parties."""
        if epoch not in self._keys:
            self._keys[epoch] = self._find_key(epoch)
        return self._keys[epoch]

    def _find_key(self, epoch: int) -> KnowledgeCell:
        shares = self.ledger.once(SHARE, epoch) or self.ledger.once(DEAL, epoch)
        record = self.ledger.records.get(epoch)
        need = record.quorum.threshold if record else self.ledger.transcript.manifest.experiment.quorum.threshold
        mine = [(n, s) for n, s in shares if self.parties & set(s.receivers)]
        holders = {name for _, s in mine for name in s.receivers if name in self.parties}
        evidence = tuple(n for n, _ in mine)
        if len(holders) >= need:
            return KnowledgeCell(State.KNOWS, evidence, len(holders), need)
        if KMS in self.parties and record is not None and record.dealer == KMS:
            dealt = tuple(n for n, _ in self.ledger.once(EPOCH, epoch))
            return KnowledgeCell(State.DEALT, dealt, len(holders), need)
        if holders:
            return KnowledgeCell(State.SHARE, evidence, len(holders), need)
        made = record is not None
        return KnowledgeCell(State.NOTHING if made else State.NOT_YET, (), 0, need)

    def _opens(self, epoch: int) -> KnowledgeCell | None:
        """Why these parties can open ciphertexts of an epoch; None when they cannot.

        A KMS that dealt the key and promised to delete it is trusted alone, but not when it colludes.
        """
        key = self._key(epoch)
        colluding = key.state is State.DEALT and len(self.parties) > 1
        return key if key.state is State.KNOWS or colluding else None

    def _holds(self, number: int, sent: Sent) -> KnowledgeCell:
        """What these parties have of a message that carries a ciphertext."""
        inside = bool(self.parties & {sent.sender, *sent.receivers})
        if not inside and EAVESDROPPER not in self.parties:
            return KnowledgeCell(State.NOTHING)
        if not inside and sent.head.header.sealed:
            return KnowledgeCell(State.SEALED, (number,))
        if self.ledger.plain:
            return KnowledgeCell(State.KNOWS, (number,))
        key = self._opens(sent.position.epoch)
        return (
            KnowledgeCell(State.CAN_OPEN, (number, *key.evidence))
            if key
            else KnowledgeCell(State.CIPHERTEXT, (number,))
        )

    def _update(self, client: str) -> KnowledgeCell:
        direct = self._direct_update(client)
        return direct if direct.state.readable else self._by_subtraction(client) or direct

    def _direct_update(self, client: str) -> KnowledgeCell:
        committed = [n for n, s in self.ledger.of(m.COMMITMENT) if s.sender == client]
        if not committed:
            return KnowledgeCell(State.NOT_YET)
        if client in self.parties:
            return KnowledgeCell(State.KNOWS, tuple(committed))
        found = [self._holds(n, s) for n, s in self.ledger.of(m.UPDATE) if s.sender == client]
        return found[0] if found else KnowledgeCell(State.NOTHING)

    def _by_subtraction(self, client: str) -> KnowledgeCell | None:
        """The sum minus all its other terms."""
        contributors = [s.sender for _, s in self.ledger.of(m.UPDATE)]
        others = [self._direct_update(name) for name in contributors if name != client]
        total = self._direct_sum(self.ledger.round)
        if client not in contributors or not total.state.readable or not all(o.state.readable for o in others):
            return None
        return KnowledgeCell(State.CAN_OPEN, (*total.evidence, *(n for other in others for n in other.evidence)))

    def _sum(self, round_: int) -> KnowledgeCell:
        direct = self._direct_sum(round_)
        if direct.state.readable or direct.state is State.NOT_YET or round_ != self.ledger.round:
            return direct
        terms = [self._direct_update(s.sender) for _, s in self.ledger.of(m.UPDATE)]
        if terms and all(term.state.readable for term in terms):
            return KnowledgeCell(State.CAN_OPEN, tuple(n for term in terms for n in term.evidence))
        return direct

    def _direct_sum(self, round_: int) -> KnowledgeCell:
        sums = self.ledger.of(m.SUM, round_)
        if not sums:
            return KnowledgeCell(State.NOT_YET)
        receipts = [n for n, s in self.ledger.of(m.RECEIPT, round_) if s.sender in self.parties]
        if receipts:
            return KnowledgeCell(State.KNOWS, tuple(receipts))
        held = self._holds(*sums[0])
        if held.state is not State.CIPHERTEXT:
            return held
        partials = [(n, s) for n, s in self.ledger.of(m.PARTIAL, round_) if self.parties & {s.sender, *s.receivers}]
        need = self._key(sums[0][1].position.epoch).need
        if len({s.sender for _, s in partials}) >= need > 1:
            return KnowledgeCell(State.CAN_OPEN, (*held.evidence, *(n for n, _ in partials)))
        return held

    def _model(self, round_: int) -> KnowledgeCell:
        """θ after a round: θ_0 and every sum until then."""
        total = self._sum(round_)
        if total.state is State.NOT_YET:
            return total
        before = [self._start(), *(self._sum(number) for number in range(1, round_))]
        if not total.state.readable or not all(cell.state.readable for cell in before):
            return KnowledgeCell(State.NOTHING)
        return KnowledgeCell(total.state, (*before[0].evidence, *total.evidence))

    def _start(self) -> KnowledgeCell:
        """θ_0: every reader of the first plan has it."""
        for number, sent in self.ledger.of(m.PLAN, 1):
            if self.parties & {sent.sender, *sent.receivers} or EAVESDROPPER in self.parties:
                return KnowledgeCell(State.KNOWS, (number,))
        return KnowledgeCell(State.NOTHING)

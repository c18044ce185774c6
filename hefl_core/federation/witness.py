"""The base of clients and auditor: both check the coordinator's plan, list and sum.

Like party.py, but with the rules for an honest coordinator's messages.
"""

from __future__ import annotations

import hashlib

from hefl_core.errors import IntegrityError, RoundError
from hefl_core.federation.party import Party
from hefl_core.ids import COORDINATOR
from hefl_core.terms import messages as m
from hefl_core.terms.admission import (
    check_agreed,
    check_contributors,
    check_foreseen,
    check_listed,
    check_members,
    check_place,
    check_spares,
)
from hefl_core.terms.messages import CommitmentList, EncryptedSum, RoundPlan
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import NO_DIGEST, Envelope, Header, Position


class Witness(Party):
    """Accepts one plan per attempt, one list per plan and one sum per list, and only honest-looking ones."""

    _after: tuple[bytes, bytes] | None = None
    """Digest of a sum's header (it names plan and state), and the state after it."""

    def receive(self, envelope: Envelope) -> None:
        """As every party; the roster of a new key ends the round before it."""
        super().receive(envelope)
        if envelope.header.kind == "roster" and envelope.header.position.epoch > self.enrolment.ledger.highest:
            # Before the checkpoint, which drops the round's messages: a sum not applied by then could never be.
            self._catch_up()
            self.end_round()

    def _catch_up(self) -> None:
        if self._position is not None and self._position.round > self._rounds_done:
            self.catch_up(self._position)

    def catch_up(self, position: Position) -> None:
        """End a round whose end this witness missed, if it has all messages for it."""
        raise NotImplementedError

    def admit(self, envelope: Envelope) -> None:
        """Dispatch on the kind; the coordinator's messages only from the coordinator.

        A new round's plan is admitted only after the sum before it was applied; a witness that missed it catches up here.
        """
        header = envelope.header
        if header.kind in (m.PLAN, m.COMMITMENTS, m.SUM, m.REQUEST) and header.sender != COORDINATOR:
            raise RoundError(f"{header.kind}: expected from {COORDINATOR}, found from {header.sender}")
        if header.kind == m.PLAN:
            if self._position is None or header.position.round > self._position.round:
                self._catch_up()
            self._admit_plan(envelope)
            return
        if self._position is None:
            raise RoundError(f"{self.name}: a {header.kind} before any plan; wait for a plan")
        check_place(header, position=self._position, key_id=self.public_key.id, state=self.state, plan=self._plan)
        if header.kind == m.COMMITMENTS:
            self._admit_list(envelope)
        elif header.kind == m.SUM:
            self._admit_sum(envelope)
        else:
            self.admit_other(envelope)

    def admit_other(self, envelope: Envelope) -> None:
        """Admit kinds that only clients or only the auditor receive. Raises: RoundError for anything else."""
        raise RoundError(f"{self.name}: a {envelope.header.kind} is not expected from {envelope.header.sender}")

    def current_plan(self, position: Position) -> RoundPlan:
        """The accepted plan of this attempt. Raises: RoundError when there is none."""
        return self.message(position, m.PLAN, COORDINATOR, RoundPlan)

    def current_list(self, position: Position) -> CommitmentList:
        """The accepted list of this attempt. Raises: RoundError when there is none."""
        return self.message(position, m.COMMITMENTS, COORDINATOR, CommitmentList)

    def sum_at(self, position: Position) -> EncryptedSum:
        """The accepted sum of this attempt. Raises: RoundError when there is none."""
        return m.read_sum(self.envelope(position, m.SUM, COORDINATOR).body)

    def _admit_plan(self, envelope: Envelope) -> None:
        header, manifest = envelope.header, self.manifest
        plan = decode(envelope.body, RoundPlan)
        if self._position is not None and _key(header.position) <= _key(self._position):
            raise RoundError(
                f"plan: round {header.position.round}, attempt {header.position.attempt} is over; a replay"
            )
        if header.position.attempt > m.MAX_ATTEMPTS:
            raise RoundError(f"plan: expected attempt 1..{m.MAX_ATTEMPTS}, found {header.position.attempt}; give up")
        if header.position.round != self._rounds_done + 1:
            raise RoundError(f"plan: expected round {self._rounds_done + 1}, found {header.position.round}")
        check_place(
            header,
            position=Position(self.enrolment.record.epoch, header.position.round, header.position.attempt),
            key_id=self.public_key.id,
            state=self.state,
            plan=NO_DIGEST,
        )
        clients = self.enrolment.roster.clients
        expected = {
            "epoch record": (self.enrolment.record.digest, plan.epoch_record),
            "d": (manifest.parameters, plan.length),
            "n_max": (manifest.examples_max, plan.examples_max),
            "bound": (manifest.experiment.declared_bound, plan.bound),
            "θ_0": (header.position.round == 1, plan.theta_0 is not None),
            "previous plan": (self._plan, plan.previous),
        }
        for what, (agreed, found) in expected.items():
            if agreed != found:
                raise RoundError(
                    f"plan: expected {what} {_spell(agreed)} as agreed, found {_spell(found)}; refuse the plan"
                )
        if not set(plan.cohort) <= set(clients) or plan.max_terms < len(plan.cohort):
            raise RoundError(
                f"plan: cohort of {len(plan.cohort)} does not fit the roster or max_terms {plan.max_terms}"
            )
        if plan.min_cohort < manifest.experiment.cohort_floor:
            raise RoundError(f"plan: expected min_cohort ≥ {manifest.experiment.cohort_floor}, found {plan.min_cohort}")
        self._check_same_key(header.position)
        self._check_key_serves(header.position)
        self.check_start(plan)
        if self._position is None or header.position.round > self._position.round:
            self.end_round()
        self._position, self._plan = header.position, header.digest
        self.forget(header.position)

    def _check_same_key(self, position: Position) -> None:
        """A round ends under its first key, so that a witness does not lose what it knows of the round's members.

        Raises: RoundError once a roster for another key has come.
        """
        begun, newest = self._position, self.enrolment.newest_roster
        if begun is not None and begun.round == position.round and begun.epoch != newest:
            raise RoundError(
                f"plan: round {position.round} began under the key of epoch {begun.epoch}, and epoch {newest} was "
                "announced since; a key is changed between two rounds: refuse every further attempt of this one"
            )

    def _check_key_serves(self, position: Position) -> None:
        """No key serves more rounds than its record and the terms say. Raises: RoundError."""
        record, terms = self.enrolment.record, self.manifest.experiment
        last = min(record.last_round, terms.last_round_of(record.first_round))
        if not record.first_round <= position.round <= last:
            raise RoundError(
                f"plan: expected a round from {record.first_round} to {last} under the key of epoch {record.epoch}, "
                f"found {position.round}; the key is to be changed"
            )

    def check_start(self, plan: RoundPlan) -> None:
        """Additional checks of a plan by a role."""

    def _admit_list(self, envelope: Envelope) -> None:
        header = envelope.header
        listed = decode(envelope.body, CommitmentList)
        plan = self.current_plan(header.position)
        check_listed(listed, plan.cohort, plan.min_cohort)
        check_members(listed.senders, self._summed(header.position.round))
        first = self._first_list(header.position)
        if header.commitments != listed.digest:
            raise RoundError("commitments: the header names another list than the body holds")
        for signed, commitment in zip(listed.listed, listed.commitments, strict=True):
            item = signed.header
            signed.verify(self.enrolment.roster.member(item.sender).signing)
            self._check_origin(item, header.position)
            if item.sender == self.name:
                self._outbox.recorded(item)
            if item.kind != m.COMMITMENT or item.content_digest != hashlib.sha256(encode(commitment)).digest():
                raise RoundError(f"commitments: what is listed for {item.sender} is not what {item.sender} signed")
            if item.position != header.position and signed not in self.current_list(item.position).listed:
                raise RoundError(
                    f"commitments: expected what {item.sender} had on the list of attempt {item.position.attempt}, found "
                    "another commitment with that date; refuse the list"
                )
            check_spares(signed, commitment, self._collective)
            if first is not None:
                check_foreseen(signed, commitment, first)

    @property
    def _collective(self) -> bool:
        return self.enrolment.record.quorum.collective

    def _first_list(self, position: Position) -> CommitmentList | None:
        """Under collective custody, the first list of this round that was admitted here in an earlier attempt, if any."""
        if not self._collective:
            return None
        lists = [where for where, kind, _ in self._inbox if kind == m.COMMITMENTS and where.round == position.round]
        first = min((where for where in lists if where.attempt < position.attempt), key=_key, default=None)
        return None if first is None else self.current_list(first)

    def _summed(self, number: int) -> tuple[str, ...] | None:
        """The members of the first sum of this round that was admitted here, in whichever attempt; None before one."""
        for (position, kind, _), envelope in self._inbox.items():
            if kind == m.SUM and position.round == number:
                return m.read_sum(envelope.body).members
        return None

    def _admit_sum(self, envelope: Envelope) -> None:
        header = envelope.header
        message = m.read_sum(envelope.body)
        listed = self.current_list(header.position)
        check_contributors(message.updates, listed)
        places = {signed.header.position for signed in message.updates}
        lists = {place: self.current_list(place).digest for place in places}  # once: it reads the whole list
        for signed, commitment in zip(message.updates, listed.commitments, strict=True):
            item = signed.header
            signed.verify(self.enrolment.roster.member(item.sender).signing)
            self._check_origin(item, header.position)
            if item.sender == self.name:
                self._outbox.recorded(item)
            if item.kind != m.UPDATE or item.commitments != lists[item.position]:
                raise IntegrityError(f"sum: the update of {item.sender} was made for another list; do not decrypt")
            if item.content_digest != commitment.ciphertext_digest:
                raise IntegrityError(f"sum: the update of {item.sender} is not the one it committed to; do not decrypt")
        total = message.total
        if total.key_id != self.public_key.id or total.terms != len(message.updates):
            raise IntegrityError(
                f"sum: expected {len(message.updates)} terms under {self.public_key.id.short}, "
                f"found {total.terms} under {total.key_id.short}; do not decrypt"
            )
        check_agreed(total, self.current_plan(header.position), self.scheme.preset.tagged, "sum")

    def _check_origin(self, item: Header, position: Position) -> None:
        """A listed message belongs to this attempt, or is carried over from an earlier attempt of this very round.

        The ciphertext of a client that died after uploading is carried over, so that a retry keeps its members.
        """
        earlier = (item.position.epoch, item.position.round) == (position.epoch, position.round)
        if earlier and 1 <= item.position.attempt < position.attempt:
            plan = self.envelope(item.position, m.PLAN, COORDINATOR).header.digest
            check_place(item, position=item.position, key_id=self.public_key.id, state=self.state, plan=plan)
        else:
            check_place(item, position=position, key_id=self.public_key.id, state=self.state, plan=self._plan)

    def finish(self, position: Position) -> None:
        """Advance the public state: the round is over for this witness."""
        self.state = self.next_state(position)
        self._rounds_done = position.round

    def next_state(self, position: Position) -> bytes:
        """The public state after the sum of this attempt. Raises: RoundError when it has not arrived."""
        envelope = self.envelope(position, m.SUM, COORDINATOR)
        total = envelope.header.digest
        if self._after is None or self._after[0] != total:  # once a sum: it reads all of it
            updates = tuple(item.header.digest for item in m.read_sum(envelope.body).updates)
            self._after = total, m.next_state(self.state, self._plan, updates, total)
        return self._after[1]


def _key(position: Position) -> tuple[int, int]:
    return position.round, position.attempt


def _spell(value: object) -> str:
    return value.hex()[:12] if isinstance(value, bytes) else str(value)

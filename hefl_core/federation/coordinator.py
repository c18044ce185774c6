"""The coordinator: plans, collects, adds. It holds the public key and no key that decrypts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hefl_core.errors import QuorumError, RoundError
from hefl_core.federation.party import Party
from hefl_core.federation.round_log import RoundLog
from hefl_core.ids import AUDITOR
from hefl_core.keys.decryption_policy import mask_digests
from hefl_core.keys.roster import Member
from hefl_core.schemes.base import CiphertextVector
from hefl_core.terms import messages as m
from hefl_core.terms.admission import (
    check_agreed,
    check_committed,
    check_foreseen,
    check_lasting,
    check_objection,
    check_place,
    check_receipt,
    check_spares,
    check_upload,
    read_ciphertext,
)
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.letter import Letter
from hefl_core.terms.messages import (
    Commitment,
    CommitmentList,
    Confirmation,
    DecryptionRequest,
    EncryptedSum,
    Objection,
    Ready,
    Receipt,
    RoundPlan,
)
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import NO_DIGEST, Envelope, Position, SignedHeader
from hefl_core.wire.spool import Spool


@dataclass(frozen=True)
class Upload:
    """A client's upload of this round: its commitment and its signed header. The ciphertext is in the spool, under its digest."""

    committed: SignedHeader
    commitment: Commitment
    header: SignedHeader


class Coordinator(Party):
    """Runs rounds over ciphertexts. Its constructor takes public values only; its enrolment refuses shares."""

    role = "coordinator"

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        kms: Member,
        theta_0: bytes,
        log: RoundLog | None = None,
        members: Sequence[Member] = (),
    ) -> None:
        super().__init__(name, manifest, kms, log, members)
        self._theta_0 = theta_0
        self._uploads: dict[str, tuple[Upload, ...]] = {}  # of this round, the newest last
        self._ciphertexts = Spool[bytes]()
        self._seen: set[bytes] = set()
        self.resume()

    # -- state over a restart ----------------------------------------------------------------------------------

    @property
    def steps(self) -> Mapping[str, Callable[[Position], Letter | None]]:
        """Plan, list, sum and request: functions of the received messages."""
        return {
            m.PLAN: self.plan,
            m.COMMITMENTS: self.commitments,
            m.SUM: self.aggregate,
            m.REQUEST: self.request_decryption,
        }

    def remembered(self) -> bytes:
        """Digests of ciphertexts and seeds that must not be reused."""
        return encode(tuple(sorted(self._seen)))

    def recall(self, own: bytes) -> None:
        """Restore the digests to refuse."""
        self._seen = set(decode(own, tuple[bytes, ...]))

    # -- a round -----------------------------------------------------------------------------------------------

    def plan(self, position: Position) -> Letter:
        """Open a round (or a further attempt): cohort, key, bound; θ_0 with the first.

        Leaks: nothing; the plan is made of public terms.
        """
        return self.answer(position, m.PLAN, lambda: self._make_plan(position))

    def _make_plan(self, position: Position) -> Envelope:
        experiment, record = self.manifest.experiment, self.enrolment.record
        if self._position is not None and self._position.round < position.round:
            self._catch_up(self._position)
        self.forget(position)
        cohort = self.enrolment.roster.clients
        plan = RoundPlan(
            epoch_record=record.digest,
            previous=self._plan,
            cohort=cohort,
            min_cohort=experiment.cohort_floor,
            bound=experiment.declared_bound,
            max_terms=len(cohort),
            examples_max=self.manifest.examples_max,
            length=self.manifest.parameters,
            theta_0=self._theta_0 if position.round == 1 else None,
        )
        envelope = self._outbox.compose(
            m.PLAN,
            position,
            (AUDITOR, *cohort),
            encode(plan),
            key_id=str(self.public_key.id),
            state=self.state,
            length=plan.length,
        )
        if self._position is None or self._position.round != position.round:
            self._forget_uploads()
        self._position = position
        self._plan = envelope.header.digest
        return envelope

    def _catch_up(self, position: Position) -> None:
        """Close the previous round when it is over and a restart missed the call. Raises: RoundError when it is not over."""
        if position.round > self._rounds_done:
            self.close(position)

    def admit(self, envelope: Envelope) -> None:
        """Compare a message with the current plan; an upload also with its commitment."""
        header = envelope.header
        if self._position is None or self._position.round <= self._rounds_done:
            raise RoundError(f"{header.kind} of {header.sender}: no round is open; wait for a plan")
        check_place(header, position=self._position, key_id=self.public_key.id, state=self.state, plan=self._plan)
        if header.kind == m.UPDATE:
            self._admit_update(envelope)
        elif header.kind == m.RECEIPT:
            self._admit_receipt(envelope)
        elif header.kind == m.COMMITMENT:
            self._admit_commitment(envelope)
        elif header.kind == m.OBJECTION:
            self._admit_objection(envelope)
        elif header.kind == m.CONFIRMATION:
            decode(envelope.body, Confirmation)
        elif header.kind == m.READY:
            decode(envelope.body, Ready)
        else:
            raise RoundError(f"coordinator: a {header.kind} is not expected from {header.sender}")

    def _admit_commitment(self, envelope: Envelope) -> None:
        header, commitment = envelope.header, decode(envelope.body, Commitment)
        if (header.position, m.COMMITMENTS) in self._answers:
            raise RoundError(f"commitment of {header.sender}: too late, the list is published; wait for the next round")
        check_committed(header, commitment, self.manifest)
        check_spares(envelope.signed_header, commitment, self._collective)
        if (first := self._first_list(header.position)) is not None:
            check_foreseen(envelope.signed_header, commitment, first)

    @property
    def _collective(self) -> bool:
        return self.enrolment.record.quorum.collective

    def _first_list(self, position: Position) -> CommitmentList | None:
        """Under collective custody, the first list that was published in this round, if any."""
        lists = [
            answer.envelope
            for (where, kind), answer in self._answers.items()
            if kind == m.COMMITMENTS and where.round == position.round and self._collective
        ]
        first = min(lists, key=lambda listed: listed.header.position.attempt, default=None)
        return None if first is None else decode(first.body, CommitmentList)

    def _admit_update(self, envelope: Envelope) -> None:
        header = envelope.header
        with_list = self._answers.get((header.position, m.COMMITMENTS))
        if with_list is None:
            raise RoundError(f"update of {header.sender}: the commitments are not published yet")
        listed = decode(with_list.envelope.body, CommitmentList)
        commitment = check_upload(header, listed)
        if header.content_digest in self._seen:
            raise RoundError(f"update of {header.sender}: this ciphertext was sent before; a replay")
        with self.working("admit"):
            content = self.open_content(envelope)
            vector = read_ciphertext(content, header, self.scheme, self.public_key)
            plan = decode(self._answers[header.position, m.PLAN].envelope.body, RoundPlan)
            check_agreed(vector, plan, self.scheme.preset.tagged, f"update of {header.sender}")
        for earlier in self._uploads.get(header.sender, ()):
            check_lasting(vector, self._ciphertexts[earlier.header.header.content_digest], self.scheme, header.sender)
        randomness = self._randomness(vector)
        if randomness & self._seen:
            raise RoundError(f"update of {header.sender}: its encryption's randomness was used before; encrypt again")
        self._seen |= {header.content_digest} | randomness
        committed = self.envelope(header.position, m.COMMITMENT, header.sender).signed_header
        upload = Upload(committed, commitment, envelope.signed_header)
        self._uploads[header.sender] = (*self._uploads.get(header.sender, ()), upload)
        self._ciphertexts[header.content_digest] = content

    def _admit_objection(self, envelope: Envelope) -> None:
        """Drop the uploads that the auditor lacks, before they are in a sum: it would confirm none that has them."""
        position = envelope.header.position
        if (position, m.SUM) in self._answers:
            raise RoundError("objection of auditor: too late, the sum is made; the auditor rejects it instead")
        published, objection = self.said(position, m.COMMITMENTS), decode(envelope.body, Objection)
        listed = decode(published.body, CommitmentList)
        check_objection(objection, published.header.digest, listed)
        committed = dict(zip(listed.senders, listed.listed, strict=True))
        for name in objection.lacking:
            left = tuple(one for one in self._uploads.get(name, ()) if one.committed != committed[name])
            self._uploads[name] = left

    def kept(self, envelope: Envelope) -> Envelope:
        """Uploads lie in the spool, so that memory does not grow with the number of clients."""
        return replace(envelope, body=b"") if envelope.header.kind == m.UPDATE else envelope

    def _randomness(self, vector: CiphertextVector) -> set[bytes]:
        """Digests of a seeded upload's seeds: two uploads under one seed would give their difference away."""
        return set(mask_digests(self.scheme, vector)) if getattr(self.scheme.preset, "seeded", False) else set()

    def _admit_receipt(self, envelope: Envelope) -> None:
        """The receipts of min_cohort clients close the round, which advances the public state."""
        header = envelope.header
        self._check_decrypted(header.position, header.sender)
        answer = self._answers.get((header.position, m.SUM))
        total = None if answer is None else answer.envelope.header.digest
        check_receipt(decode(envelope.body, Receipt), header.sender, total, lambda: self._next_state(header.position))

    def _check_decrypted(self, position: Position, sender: str) -> None:
        """Refuse a receipt for a sum that could not be opened yet. Raises: RoundError."""
        asked = not self._collective or (position, m.REQUEST) in self._answers
        if not asked or (position, m.CONFIRMATION, AUDITOR) not in self._inbox:
            raise RoundError(f"receipt of {sender}: for a sum that could not be opened yet; it closes no round")

    def close(self, position: Position) -> None:
        """Advance the public state after the receipts of a round. Raises: RoundError when too few applied the sum."""
        if self._position != position:
            return
        if self._rounds_done < position.round:
            self.check_over(position)
            self.state, self._rounds_done = self._next_state(position), position.round
            self._forget_uploads()
            self._outbox.recorded(self.said(position, m.SUM).header)
        self.end_round()

    def _forget_uploads(self) -> None:
        self._uploads = {}
        self._ciphertexts.keep(lambda _: False)

    def _next_state(self, position: Position) -> bytes:
        envelope = self.said(position, m.SUM)
        message = m.read_sum(envelope.body)
        updates = tuple(item.header.digest for item in message.updates)
        return m.next_state(self.state, self._plan, updates, envelope.header.digest)

    def commitments(self, position: Position) -> Letter:
        """Publish the commitments that arrived in time, in the cohort's order.

        In a retry the uploads of clients that died since are carried over. Once there was a sum, every later one has the same
        members: the difference of two sums would be a client's update. A client that returns in between waits for the next
        round. A client that was listed in an earlier attempt without an accepted upload is not trusted with another: its last
        one is carried over, as long as t others commit anew; without any it is not listed again, as long as min_cohort others are.

        Raises: RoundError when they are fewer than min_cohort.
        """
        return self.answer(position, m.COMMITMENTS, lambda: self._make_list(position))

    def _make_list(self, position: Position) -> Envelope:
        arrived = self.received(position, m.COMMITMENT)
        cohort = self.enrolment.roster.clients
        floor = self.manifest.experiment.cohort_floor
        listed = {name: (env.signed_header, decode(env.body, Commitment)) for name, env in arrived.items()}
        stored = {name: uploads[-1] for name, uploads in self._uploads.items() if uploads}
        for name, upload in stored.items():
            listed.setdefault(name, (upload.committed, upload.commitment))
        if (members := self._summed(position.round)) is not None:
            listed, floor = {name: listed[name] for name in members if name in listed}, len(members)
        else:
            for name in self._spared(position, tuple(name for name in cohort if name in listed)):
                del listed[name]
        for name in self._carried(position, tuple(name for name in cohort if name in listed and name in arrived)):
            listed[name] = stored[name].committed, stored[name].commitment
        if len(listed) < floor:
            missing = ", ".join(name for name in cohort if name not in listed)
            raise RoundError(
                f"round {position.round}: expected at least {floor} commitments "
                f"({'min_cohort' if members is None else 'all members of its first sum'}), found {len(listed)}; "
                f"missing: {missing}"
            )
        in_order = [listed[name] for name in cohort if name in listed]
        message = CommitmentList(tuple(header for header, _ in in_order), tuple(found for _, found in in_order))
        return self._compose(m.COMMITMENTS, position, (AUDITOR, *cohort), encode(message), commitments=message.digest)

    def _spared(self, position: Position, names: Sequence[str]) -> tuple[str, ...]:
        """Those of ``names`` that committed before without an upload, worst first; min_cohort others remain."""
        failed = self._failures(position)
        room = max(0, len(names) - self.manifest.experiment.cohort_floor)
        return worst([name for name in names if not self._uploads.get(name)], failed, room)

    def _carried(self, position: Position, names: Sequence[str]) -> tuple[str, ...]:
        """Those of ``names``, who committed anew, whose earlier upload is taken instead: they failed since, and t others remain.

        Fewer than t could not decrypt: a holder answers only for a sum with an upload of this attempt.
        """
        failed = self._failures(position)
        room = max(0, len(names) - self.enrolment.record.quorum.threshold)
        return worst([name for name in names if self._uploads.get(name)], failed, room)

    def _failures(self, position: Position) -> Counter[str]:
        """How often each client was listed in earlier attempts of this round without an upload that was accepted."""
        failed = Counter[str]()
        for (place, kind), answer in self._answers.items():
            if kind == m.COMMITMENTS and place.round == position.round and place.attempt < position.attempt:
                listed = decode(answer.envelope.body, CommitmentList)
                for name, committed in zip(listed.senders, listed.listed, strict=True):
                    failed[name] += committed not in (one.committed for one in self._uploads.get(name, ()))
        return failed

    def without(self, position: Position) -> tuple[str, ...]:
        """The clients whose upload the next attempt does not wait for, if all commit again: left out, or carried over."""
        answer = self._answers.get((position, m.COMMITMENTS))
        if answer is None:
            return ()
        after = replace(position, attempt=position.attempt + 1)
        names = decode(answer.envelope.body, CommitmentList).senders
        spared = () if self._summed(position.round) is not None else self._spared(after, names)
        return (*spared, *self._carried(after, tuple(name for name in names if name not in spared)))

    def _summed(self, number: int) -> tuple[str, ...] | None:
        """The members of this round's first sum; None before it is made."""
        for (position, kind), answer in self._answers.items():
            if kind == m.SUM and position.round == number:
                return m.read_sum(answer.envelope.body).members
        return None

    def aggregate(self, position: Position) -> Letter:
        """⊞ over the listed uploads, with the public key alone.

        Raises: RoundError when a listed client did not upload: the attempt is over, another one may follow.
        """
        return self.answer(position, m.SUM, lambda: self._make_sum(position))

    def _make_sum(self, position: Position) -> Envelope:
        listed = decode(self.said(position, m.COMMITMENTS).body, CommitmentList)
        expected = dict(zip(listed.senders, listed.listed, strict=True))
        uploads = {name: self._upload(name, committed) for name, committed in expected.items()}
        missing = [name for name, upload in uploads.items() if upload is None]
        if missing:
            raise RoundError(
                f"round {position.round}: expected an upload from each listed client, missing {', '.join(missing)}; "
                "try another attempt"
            )
        found = [upload for upload in uploads.values() if upload is not None]
        with self.working("aggregate"):
            running = self.scheme.accumulator(self.public_key)
            for upload in found:
                running.add(self._ciphertext(upload))
            total = running.total()
        message = EncryptedSum(total, tuple(upload.header for upload in found))
        cohort = self.enrolment.roster.clients
        return self._compose(
            m.SUM, position, (AUDITOR, *cohort), encode(message), commitments=listed.digest, blocks=len(total.blocks)
        )

    def _ciphertext(self, upload: Upload) -> CiphertextVector:
        return decode(self._ciphertexts[upload.header.header.content_digest], CiphertextVector)

    def _upload(self, name: str, committed: SignedHeader) -> Upload | None:
        """This client's upload for this commitment; None when there is none."""
        return next((one for one in self._uploads.get(name, ()) if one.committed == committed), None)

    def request_decryption(self, position: Position) -> Letter:
        """Name the active set for this sum, once: the first t contributors that are ready.

        Raises: RoundError without the auditor's confirmation; QuorumError when fewer than t are ready.
        """
        return self.answer(position, m.REQUEST, lambda: self._make_request(position))

    def _make_request(self, position: Position) -> Envelope:
        confirmation = self.envelope(position, m.CONFIRMATION, AUDITOR)
        listed = decode(self.said(position, m.COMMITMENTS).body, CommitmentList)
        ready, need = self.received(position, m.READY), self.enrolment.record.quorum.threshold
        active = tuple(name for name in listed.senders if name in ready)[:need]
        if len(active) < need:
            raise QuorumError(
                f"round {position.round}: expected {need} holders ready to decrypt, found {len(active)}; try another attempt",
                have=len(active),
                need=need,
            )
        total = self.said(position, m.SUM)
        message = DecryptionRequest(active, total.header.digest, confirmation.header.digest)
        return self._compose(
            m.REQUEST, position, self.enrolment.roster.clients, encode(message), commitments=listed.digest
        )

    def _compose(
        self,
        kind: str,
        position: Position,
        recipients: tuple[str, ...],
        content: bytes,
        *,
        commitments: bytes = NO_DIGEST,
        blocks: int = 0,
    ) -> Envelope:
        return self._outbox.compose(
            kind,
            position,
            recipients,
            content,
            key_id=str(self.public_key.id),
            plan=self._plan,
            state=self.state,
            commitments=commitments,
            length=self.manifest.parameters,
            blocks=blocks,
        )


def worst(names: Sequence[str], failed: Mapping[str, int], most: int) -> tuple[str, ...]:
    """Those that failed, the most often first, at most so many.

    >>> worst(("a", "b", "c"), {"b": 1, "c": 2}, 1)
    ('c',)
    """
    found = sorted((name for name in names if failed.get(name)), key=lambda name: -failed.get(name, 0))
    return tuple(found[:most])

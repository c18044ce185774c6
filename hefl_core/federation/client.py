"""A client: trains at home, sends ciphertext, decrypts only what it has checked.

The way out is clip → weight → encode → encrypt; the way back mirrors it: decrypt → decode → unweight → apply.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.errors import IntegrityError, RoundError
from hefl_core.federation import messages as m
from hefl_core.federation.experiment import Manifest
from hefl_core.federation.messages import (
    Commitment,
    Confirmation,
    DecryptionRequest,
    EncryptedSum,
    Ready,
    Receipt,
    RoundPlan,
)
from hefl_core.federation.party import Letter
from hefl_core.federation.transcript import closing_statement
from hefl_core.federation.witness import Witness
from hefl_core.ids import AUDITOR, COORDINATOR, OBSERVER
from hefl_core.keys.question import Contribution, Question
from hefl_core.keys.roster import Member
from hefl_core.keys.sealing import seal, sealer
from hefl_core.schemes.base import CiphertextVector, Opened, PartialDecryption, Vector
from hefl_core.vectors import clip_norm
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position

Parameters: TypeAlias = npt.NDArray[np.float32]
"""A flattened model: float32 (d,)."""
LocalUpdate: TypeAlias = Callable[[Parameters, int], Parameters]
"""(θ float32 (d,), round) -> θ_k float32 (d,): whatever trains. The federation knows nothing of frameworks."""
Evaluate: TypeAlias = Callable[[Parameters], tuple[float, float]]
"""θ -> (accuracy 0..1, loss in nats) on the common hold-out set."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the audience sees of a client's private side, when the experiment is observed. Arrays as raw bytes.

    ``update``: Δ_k after clipping, float64; ``theta_digest``: SHA-256 of the model this client now has. The first
    contributor adds the decrypted mean ``applied`` (float64), ``theta`` (float32), accuracy and loss on the hold-out set.
    Leaks: everything, to the observer alone (sealed).
    """

    client: str
    position: Position
    examples: int
    update: bytes
    theta_digest: bytes
    applied: bytes = b""
    theta: bytes = b""
    accuracy: float | None = None
    loss: float | None = None


@dataclass(frozen=True)
class Home:
    """What stays with the client: its number of examples, its training, the common hold-out evaluation."""

    examples: int
    train: LocalUpdate
    evaluate: Evaluate


class Client(Witness):
    """Holds its data, its update and its share. ``observer`` is None unless the experiment is observed."""

    role = "client"

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        kms: Member,
        home: Home,
        initialise: Callable[[bytes], Parameters],
        observer: Member | None = None,
    ) -> None:
        super().__init__(name, manifest, kms)
        self._home = home
        self._initialise = initialise
        self._observer = observer if manifest.experiment.observed else None
        self._theta: Parameters | None = None
        self._update: tuple[int, Vector] | None = None
        self._mean: Vector | None = None

    # -- what arrives ------------------------------------------------------------------------------------------

    def admit(self, envelope: Envelope) -> None:
        """A plan is admitted only after the sum before it was applied: whoever missed a round catches up here."""
        if envelope.header.kind == m.PLAN and self._position is not None and self._complete(self._position):
            self.apply(self._position)
        super().admit(envelope)

    def _complete(self, position: Position) -> bool:
        """Whether everything is there that applying this sum needs."""
        if position.round <= self._rounds_done or not self.received(position, m.CONFIRMATION):
            return False
        need = self.enrolment.record.quorum.threshold if self.enrolment.record.quorum.collective else 0
        return len(self.received(position, m.PARTIAL)) >= need

    def check_start(self, plan: RoundPlan) -> None:
        """θ_0 must be the one that everybody can compute from the manifest: nobody trains on a poisoned start."""
        if self.name not in plan.cohort:
            raise RoundError(f"plan: {self.name} is not in the cohort; wait for the next round")
        if plan.theta_0 is None:
            return
        expected = self._initialise(self.manifest.initialisation)
        if plan.theta_0 != expected.astype("<f4").tobytes():
            raise RoundError("plan: θ_0 is not the one that the manifest's digest gives; refuse to train on it")
        self._theta = expected

    def admit_other(self, envelope: Envelope) -> None:
        """The auditor's confirmation; under collective custody the request and the holders' partial decryptions."""
        header = envelope.header
        if header.kind == m.CONFIRMATION and header.sender == AUDITOR:
            decode(envelope.body, Confirmation)
        elif header.kind == m.REQUEST:
            decode(envelope.body, DecryptionRequest)
        elif header.kind == m.PARTIAL:
            request = self.message(header.position, m.REQUEST, COORDINATOR, DecryptionRequest)
            if header.sender not in request.active or not header.sealed:
                raise RoundError(
                    f"partial of {header.sender}: expected sealed, from one of {', '.join(request.active)}"
                )
        else:
            super().admit_other(envelope)

    # -- what leaves -------------------------------------------------------------------------------------------

    def commit(self, position: Position) -> Letter:
        """Train, encrypt, and tell only the digest of the ciphertext.

        Leaks: participation, time (training time grows with n_k) and size.
        Raises: RoundError without a plan; EncodingError when the weighted update exceeds the bound.
        """
        return self.answer(position, m.COMMITMENT, lambda: self._make_commitment(position))

    def _make_commitment(self, position: Position) -> Envelope:
        plan = self.current_plan(position)
        if self._update is None or self._update[0] != position.round:
            with self.working("train"):
                self._update = (position.round, self._train(position.round))
        with self.working("encrypt"):
            vector = self._encrypt(self._update[1], plan, position)
            self._ciphertext = vector.to_bytes()
        self.enrolment.holder.commit(position, hashlib.sha256(self._ciphertext).digest())
        commitment = Commitment(hashlib.sha256(self._ciphertext).digest(), len(self._ciphertext))
        return self._compose(m.COMMITMENT, position, (COORDINATOR,), encode(commitment))

    def _train(self, round_: int) -> Vector:
        """Δ_k = θ_k - θ after local training, clipped by norm where the experiment says so."""
        theta = self.theta
        update = self._home.train(theta, round_).astype(np.float64) - theta.astype(np.float64)
        limit = self.manifest.experiment.clip_norm
        return update if limit is None else np.asarray(clip_norm(update, limit), dtype=np.float64)

    def _encrypt(self, update: Vector, plan: RoundPlan, position: Position) -> CiphertextVector:
        """Enc([n_k, 1, tag, n_k/n_max · Δ_k]): the count of examples is hidden too."""
        symmetric = self.scheme.preset.symmetric
        return self.scheme.encrypt(
            self.enrolment.share if symmetric else self.public_key,
            update * (self._home.examples / plan.examples_max),
            bound=plan.bound,
            max_terms=plan.max_terms,
            integers=(self._home.examples, 1),
            tag=self._tag(position, self.name) if self.scheme.preset.tagged else None,
        )

    def _tag(self, position: Position, client: str) -> Callable[..., int]:
        return self.enrolment.tag_key.for_message(
            self.manifest.id, position.epoch, position.round, position.attempt, client
        )

    def upload(self, position: Position) -> Letter:
        """Hand over the committed ciphertext, sealed to coordinator and auditor.

        Raises: RoundError when this client's commitment is not on the published list.
        """
        return self.answer(position, m.UPDATE, lambda: self._make_upload(position))

    def _make_upload(self, position: Position) -> Envelope:
        listed = self.current_list(position)
        mine = self._answers[position, m.COMMITMENT].envelope.signed_header
        if mine not in listed.listed:
            raise RoundError(f"{self.name}: my commitment is not on the published list; I send nothing")
        vector = decode(self._ciphertext, CiphertextVector)
        readers = [self.enrolment.roster.member(name) for name in (COORDINATOR, AUDITOR)]
        info = self.sealing_info(m.UPDATE, position, self.name)
        with self.working("seal"):
            return self._compose(
                m.UPDATE,
                position,
                (COORDINATOR, AUDITOR),
                self._ciphertext,
                commitments=listed.digest,
                blocks=len(vector.blocks),
                seal=sealer(readers, info),
            )

    # -- decrypting together -----------------------------------------------------------------------------------

    def ready(self, position: Position) -> Letter | None:
        """Say that this client has a confirmed sum with its update in it and would answer; None if it has no part in it.

        Raises: RoundError, IntegrityError when the sum is not the confirmed sum of the listed updates.
        """
        if not self._contributed(position):
            return None
        return self.answer(position, m.READY, lambda: self._make_ready(position))

    def _contributed(self, position: Position) -> bool:
        return (position, m.UPDATE) in self._answers

    def _make_ready(self, position: Position) -> Envelope:
        message = self.message(position, m.SUM, COORDINATOR, EncryptedSum)
        self._check_confirmed(position, message)
        total = self.envelope(position, m.SUM, COORDINATOR).header.digest
        confirmation = self.envelope(position, m.CONFIRMATION, AUDITOR).header.digest
        return self._compose(m.READY, position, (COORDINATOR,), encode(Ready(total, confirmation)))

    def partial_decryption(self, position: Position) -> Letter | None:
        """This holder's flooded part, sealed to the clients; None when it is not in the active set.

        Leaks: to the clients, the sum (once t holders answered) and nothing else up to the flooding distance.
        Raises: DecryptionRefused naming the rule (keys/question.py).
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
            return self._compose(m.PARTIAL, position, clients, partial.to_bytes(), seal=sealer(readers, info))

    def _question(self, position: Position, request: DecryptionRequest) -> Question:
        """The request with everything a holder needs to judge it. Raises: RoundError, IntegrityError."""
        message = self.message(position, m.SUM, COORDINATOR, EncryptedSum)
        self._check_confirmed(position, message)
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
        envelopes = [self.envelope(position, m.PARTIAL, name) for name in request.active]
        return [PartialDecryption.from_bytes(self.open_content(envelope)) for envelope in envelopes]

    # -- what comes back ---------------------------------------------------------------------------------------

    def apply(self, position: Position) -> Letter:
        """Check the sum, decrypt it, and move the model: θ ← θ + Σ w_k Δ_k / Σ w_k.

        Raises: RoundError or IntegrityError before anything is decrypted when the sum is not the confirmed sum of the
        listed updates, mine among them; IntegrityError afterwards when count or tag disagree (θ stays as it was).
        """
        return self.answer(position, m.RECEIPT, lambda: self._make_receipt(position))

    def _make_receipt(self, position: Position) -> Envelope:
        plan = self.current_plan(position)
        message = self.message(position, m.SUM, COORDINATOR, EncryptedSum)
        self._check_confirmed(position, message)
        with self.working("decrypt"):
            opened = self._decrypt(position, plan, message)
            self._check_opened(opened, message, position)
            mean = opened.values * (plan.examples_max / opened.integers[0])
        self._theta = (self.theta.astype(np.float64) + mean).astype(np.float32)
        self._mean = mean
        total = self.envelope(position, m.SUM, COORDINATOR).header.digest
        plan_digest, state = self._plan, self.state
        self.finish(position)
        return self._outbox.compose(
            m.RECEIPT,
            position,
            (COORDINATOR, AUDITOR),
            encode(Receipt(total, self.state)),
            key_id=str(self.public_key.id),
            plan=plan_digest,
            state=state,
            length=self.manifest.parameters,
        )

    def _check_confirmed(self, position: Position, message: EncryptedSum) -> None:
        mine = self._answers.get((position, m.UPDATE))
        if mine is not None and mine.envelope.signed_header not in message.updates:
            raise IntegrityError(f"sum: the update that {self.name} sent is not in it; do not decrypt")
        confirmation = self.message(position, m.CONFIRMATION, AUDITOR, Confirmation)
        expected = Confirmation(
            plan=self._plan,
            updates=tuple(item.header.digest for item in message.updates),
            blocks=tuple(hashlib.sha256(block).digest() for block in message.total.blocks),
        )
        if confirmation != expected:
            raise IntegrityError("sum: the auditor confirmed another sum than the one received; do not decrypt")

    def _decrypt(self, position: Position, plan: RoundPlan, message: EncryptedSum) -> Opened:
        """Individually with the own copy of the key, collectively from the active set's partial decryptions."""
        if self.enrolment.record.quorum.collective:
            partials = self._partials(position)
        else:
            share = self.enrolment.share
            partials = [self.scheme.partial_decrypt(share, message.total, (share.index,))]
        return self.scheme.open(self.public_key, message.total, partials, bound=plan.bound)

    def _check_opened(self, opened: Opened, message: EncryptedSum, position: Position) -> None:
        examples, count = opened.integers
        contributors = [item.header.sender for item in message.updates]
        if count != len(contributors):
            raise IntegrityError(f"count: expected {len(contributors)} contributors in the sum, found {count}")
        if not count <= examples <= count * self.manifest.examples_max:
            raise IntegrityError(f"examples: a sum of {count} counts cannot be {examples}")
        if self.scheme.preset.tagged:
            self.enrolment.tag_key.check(opened, contributors, self.manifest.id, position)

    # -- the private side --------------------------------------------------------------------------------------

    @property
    def theta(self) -> Parameters:
        """The model at this client: float32 (d,). Raises: RoundError before the first plan."""
        if self._theta is None:
            raise RoundError(f"{self.name}: no model yet; the first plan brings θ_0")
        return self._theta

    def observe(self, position: Position) -> bytes:
        """This round's private side, sealed to the observer. Raises: RoundError unless the experiment is observed."""
        if self._observer is None:
            raise RoundError(f"{self.name}: this experiment is not observed; nothing private leaves")
        if self._update is None or self._mean is None:
            raise RoundError(f"{self.name}: nothing to observe before the first round is applied")
        theta = self.theta.tobytes()
        seen = Observation(
            client=self.name,
            position=position,
            examples=self._home.examples,
            update=self._update[1].tobytes(),
            theta_digest=hashlib.sha256(theta).digest(),
        )
        if self.current_list(position).senders[0] == self.name:
            accuracy, loss = self._home.evaluate(self.theta)
            seen = replace(seen, applied=self._mean.tobytes(), theta=theta, accuracy=accuracy, loss=loss)
        info = self.sealing_info(OBSERVER, position, self.name)
        return seal(encode(seen), self._observer, info)

    def sign_closing(self, tail: tuple[int, bytes]) -> bytes:
        """Sign the end of a transcript: so many lines, the last with this digest."""
        return self.identity.sign(closing_statement(self.manifest.id, *tail))

    def _compose(
        self, kind: str, position: Position, recipients: tuple[str, ...], content: bytes, **more: object
    ) -> Envelope:
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

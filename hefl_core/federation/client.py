"""A client: trains locally, sends ciphertext, decrypts only sums that it has checked.

The way out is clip → weight → encode → encrypt; the way back mirrors it: decrypt → decode → unweight → apply.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from hefl_core.errors import IntegrityError, KeyNotActive, RoundError, RuntimeUnavailable
from hefl_core.evaluation import ClassMetrics, Evaluation
from hefl_core.federation.holder import Holder
from hefl_core.federation.record.transcript import End, closing_statement
from hefl_core.federation.round_log import RoundLog
from hefl_core.ids import AUDITOR, COORDINATOR, OBSERVER, digest
from hefl_core.keys.epochs import EpochState
from hefl_core.keys.roster import Member
from hefl_core.keys.sealing import seal, sealer
from hefl_core.schemes.base import CiphertextVector, Keep, Opened, Vector
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.schemes.imprint import imprint
from hefl_core.schemes.onetime.gaussian import Small
from hefl_core.schemes.onetime.scheme import ONE_TIME, Made, OneTimeScheme
from hefl_core.schemes.presets import OneTimePreset
from hefl_core.schemes.registry import block_count
from hefl_core.schemes.rotated import Rotation
from hefl_core.terms import messages as m
from hefl_core.terms.adaptive_bound import FieldScheme, Fitted, Precision, noise_step
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.letter import Letter, Spent, Work
from hefl_core.terms.mean import Sending, allowance, check_examples, check_length
from hefl_core.terms.messages import Commitment, EncryptedSum, Receipt, RoundPlan
from hefl_core.vectors import clip_norm, norm_of
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position

SHORTER: Final = 1 - 2.0**-40
"""A rotated update is made so much shorter: float64 must not rotate it past its clip, which the noise is sized for."""
Parameters: TypeAlias = npt.NDArray[np.float32]
"""A flattened model: float32 (d,)."""
LocalUpdate: TypeAlias = Callable[[Parameters, int], Parameters]
"""(θ float32 (d,), round) -> θ_k float32 (d,): any local training. The federation imports no framework."""
Evaluate: TypeAlias = Callable[[Parameters], Evaluation]
"""θ -> accuracy, loss and metrics by class on the common hold-out set."""


@dataclass(frozen=True, slots=True)
class OwnClip:
    """What a client cut off its own update. ``shortened``: to the norm's clip; ``entries``: beyond an adaptive bound."""

    shortened: bool
    entries: int


@dataclass(frozen=True, slots=True)
class Observation:
    """A client's private side as the observer sees it, when the experiment is observed. Arrays as raw bytes.

    ``update``: Δ_k after clipping, float64; with its noise under differential privacy, where ``examples`` is 1 and
    ``before_noise`` is what it was without. ``spent``: what this round's messages cost. ``imprint``: this client's part
    of its key's, by which epochs over one secret are recognised (schemes/imprint.py).
    Under an adaptive ``bound``, with what earlier rounds left out, as it was sent;
    ``clipped`` of its entries were cut to the bound. ``trained``: Δ_k as the training left it, before any clip; empty where
    ``update`` is the same. ``shortened``: whether the norm's clip changed it. ``theta_digest``: SHA-256 of the model this
    client now has. The first contributor that is asked and answers adds the decrypted mean ``applied`` (float64), ``theta``
    (float32), accuracy, loss and ``metrics`` on the hold-out set, and of a BFV sum that was opened together its noise
    (``opened_noise``, float32 in units of 2^f).
    Leaks: everything, to the observer alone (sealed).
    """

    client: str
    position: Position
    examples: int
    update: bytes = field(repr=False)
    theta_digest: bytes
    applied: bytes = field(default=b"", repr=False)
    theta: bytes = field(default=b"", repr=False)
    accuracy: float | None = None
    loss: float | None = None
    bound: float | None = None
    clipped: int = 0
    shortened: bool = False
    trained: bytes = field(default=b"", repr=False)
    before_noise: bytes = field(default=b"", repr=False)
    spent: tuple[Spent, ...] = ()
    imprint: tuple[bytes, ...] = field(default=(), repr=False)
    opened_noise: bytes = field(default=b"", repr=False)
    metrics: ClassMetrics | None = None


@dataclass(frozen=True)
class Private:
    """A client's plaintext values after training in ``round``; probes search for them elsewhere (probes/private_forms.py).

    ``weighted``: n_k/n_max · Δ_k as it goes into the encryption, for fields of ``max_terms`` within ``bound``. ``trained``:
    Δ_k before its clip, ``before_noise`` after it, where the experiment has these; ``share``: n_k/n_max.
    ``mean`` and ``theta``: of the last sum that was applied, None and θ_0 before.
    """

    round: int
    update: Vector
    weighted: Vector
    bound: float
    max_terms: int
    mean: Vector | None
    theta: Parameters
    trained: Vector | None
    before_noise: Vector | None
    share: float


@dataclass(frozen=True)
class Home:
    """The local side of a client: its number of examples, its training, the common hold-out evaluation."""

    examples: int
    train: LocalUpdate
    evaluate: Evaluate


class Client(Holder):
    """Holds its data, its update and its share. ``observer`` is None unless the experiment is observed."""

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        kms: Member,
        home: Home,
        initialise: Callable[[bytes], Parameters],
        observer: Member | None = None,
        log: RoundLog | None = None,
        members: Sequence[Member] = (),
    ) -> None:
        super().__init__(name, manifest, kms, log, members)
        self._home = home
        self._mechanism = manifest.experiment.mechanism
        self._weight = home.examples if self._mechanism is None else 1
        self._initialise = initialise
        self._observer = observer if manifest.experiment.observed else None
        self._theta: Parameters | None = None
        self._update: tuple[int, Vector] | None = None
        self._precision = (
            Precision(manifest.bounds, feedback=manifest.experiment.clip_norm is None)
            if manifest.experiment.adaptive
            else None
        )
        self._fitted: tuple[int, float, Fitted] | None = None
        self._turned: tuple[int, Rotation | None] | None = None
        self._mean: Vector | None = None
        self._before_noise: Vector | None = None
        self._on_grid: Vector | None = None
        self._raw: Vector | None = None
        self._spent: dict[int, tuple[Spent, ...]] = {}
        self._imprints: dict[int, tuple[bytes, ...]] = {}
        self.resume()

    # -- state over a restart ----------------------------------------------------------------------------------

    @property
    def steps(self) -> Mapping[str, Callable[[Position], Letter | None]]:
        """A client's messages in a round; ready and partial under collective custody only."""
        return {
            m.COMMITMENT: self.commit,
            m.UPDATE: self.upload,
            m.READY: self.say_ready,
            m.PARTIAL: self.partial_decryption,
            m.RECEIPT: self.apply,
        }

    def remembered(self) -> bytes:
        """The model and the state of the adaptive bound."""
        theta = None if self._theta is None else self._theta.tobytes()
        return encode((theta, None if self._precision is None else self._precision.remembered()))

    def recall(self, own: bytes) -> None:
        """Restore model and bound."""
        theta, precision = decode(own, tuple[bytes | None, bytes | None])
        if theta is not None:
            self._theta = np.frombuffer(theta, dtype=np.float32).copy()
        if precision is not None and self._precision is not None:
            self._precision.recall(precision)

    # -- incoming messages -------------------------------------------------------------------------------------

    def catch_up(self, position: Position) -> None:
        """Apply the sum, if all messages for it have arrived."""
        if self.complete(position):
            self.apply(position)

    def check_start(self, plan: RoundPlan) -> None:
        """θ_0 must be the one computed from the manifest, so that no client trains on a poisoned start."""
        if self.name not in plan.cohort:
            raise RoundError(f"plan: {self.name} is not in the cohort; wait for the next round")
        if plan.theta_0 is None:
            return
        expected = self._initialise(self.manifest.initialisation)
        if plan.theta_0 != expected.astype("<f4").tobytes():
            raise RoundError("plan: θ_0 is not the one that the manifest's digest gives; refuse to train on it")
        self._theta = expected

    # -- outgoing messages -------------------------------------------------------------------------------------

    def commit(self, position: Position) -> Letter:
        """Train, encrypt, and send only the digest of the ciphertext.

        Under collective custody the ciphertexts of all later attempts are made now, and their digests sent.

        Leaks: participation, time (training time grows with n_k) and size.
        Raises: RoundError without a plan, or where this round's members are fixed without this client; EncodingError when
            the weighted update exceeds the bound.
        """
        return self.answer(position, m.COMMITMENT, lambda: self._make_commitment(position))

    def _make_commitment(self, position: Position) -> Envelope:
        plan = self.current_plan(position)
        self._check_open(position)
        if self._update is None or self._update[0] != position.round:
            with self.working("train"):
                self._update = (position.round, self._trained(plan, position.round))
        weighted = self._weighted(self._update[1], plan, position)
        last = m.MAX_ATTEMPTS if self._collective else position.attempt
        attempts = [replace(position, attempt=number) for number in range(position.attempt, last + 1)]
        with self.working("encrypt"):
            made = [self._encrypted(weighted, plan, place) for place in attempts]
        self._ciphertext, digests = made[0], [hashlib.sha256(one).digest() for one in made]
        # On disk before the digest leaves: after a crash this client must not commit to another ciphertext here.
        self.enrolment.holder.commit(position, digests[0])
        commitment = Commitment(digests[0], len(self._ciphertext), tuple(digests[1:]))
        return self.compose(m.COMMITMENT, position, (COORDINATOR,), encode(commitment))

    def _check_open(self, position: Position) -> None:
        """Refuse to commit when the round's members are fixed without this client. Raises: RoundError."""
        first, summed = self._first_list(position), self._summed(position.round)
        fixed = summed if summed is not None else first.senders if first is not None else None
        if fixed is not None and self.name not in fixed:
            raise RoundError(
                f"{self.name}: the members of round {position.round} are fixed ({', '.join(fixed)}); wait for the next"
            )

    def _encrypted(self, weighted: Vector, plan: RoundPlan, position: Position) -> bytes:
        """This update's ciphertext for an attempt; it is made once."""
        return self.once(f"ciphertext/{position.attempt}", lambda: self._encrypt(weighted, plan, position).to_bytes())

    def _trained(self, plan: RoundPlan, round_: int) -> Vector:
        """Δ_k, noised where the experiment says so.

        The noise is drawn once per round: another attempt that drew again would let two sums be averaged.
        """
        clipped = np.frombuffer(self.once("update", lambda: self._train(plan, round_).tobytes()), dtype=np.float64)
        self._raw = None if self.manifest.experiment.clip_norm is None else self._learnt(round_)
        if self._mechanism is None:
            return clipped
        self._before_noise = clipped
        mechanism, rotation = self._mechanism, self._rotation(round_)

        def make() -> bytes:
            turned = clipped if rotation is None else rotation.apply(clipped) * SHORTER
            return mechanism.noised(turned, self._step(plan)).tobytes()

        self._on_grid = np.frombuffer(self.once("noised", make), dtype=np.float64)
        return self._on_grid if rotation is None else rotation.undo(self._on_grid.copy())

    def _rotation(self, round_: int) -> Rotation | None:
        """The round's rotation, worked out once."""
        if self._turned is None or self._turned[0] != round_:
            self._turned = (round_, self.manifest.rotation(round_))
        return self._turned[1]

    def _train(self, plan: RoundPlan, round_: int) -> Vector:
        """Δ_k = θ_k - θ after local training, clipped by norm where the experiment says so."""
        limit = self.manifest.experiment.clip_norm
        if limit is None:
            return self._moved(round_)
        return np.asarray(clip_norm(self._learnt(round_), limit), dtype=np.float64)

    def _learnt(self, round_: int) -> Vector:
        """Δ_k before its clip, trained once: the observer compares with it, after a restart too."""
        return np.frombuffer(self.once("learnt", lambda: self._moved(round_).tobytes()), dtype=np.float64)

    def _moved(self, round_: int) -> Vector:
        theta = self.theta
        return np.asarray(self._home.train(theta, round_).astype(np.float64) - theta.astype(np.float64))

    def _step(self, plan: RoundPlan) -> float:
        return noise_step(self.scheme, self._bound(plan), plan.max_terms)

    def _weighted(self, update: Vector, plan: RoundPlan, position: Position) -> Vector:
        """n_k/n_max · Δ_k as it is encrypted: rotated where the experiment says so, and made to fit an adaptive bound."""
        weighted = update * (self._weight / plan.examples_max)
        if self._precision is not None:
            return self._fit(weighted, plan, position).rounded
        if self._on_grid is not None:  # all weigh 1, and numbers on the noise's grid go out as they are
            return self._on_grid
        rotation = self._rotation(position.round)
        return weighted if rotation is None else rotation.apply(weighted)

    def _encrypt(self, weighted: Vector, plan: RoundPlan, position: Position) -> CiphertextVector:
        """Enc([n_k, 1, tag, n_k/n_max · Δ_k]): the count of examples is hidden too."""
        symmetric = self.scheme.preset.symmetric
        return self.scheme_in(position, self._keeping(position)).encrypt(
            self.enrolment.share if symmetric else self.public_key,
            weighted,
            bound=self._bound(plan),
            declare_bound=plan.bound is not None,
            max_terms=plan.max_terms,
            integers=(self._weight, 1),
            tag=self._tag(self._tag_place(position), self.name) if self.scheme.preset.tagged else None,
        )

    def _keeping(self, position: Position) -> Keep:
        """How a one-time key is made: once in this round, and not again by a client that committed and lost it."""

        def keep(name: str, make: Callable[[], bytes]) -> bytes:
            return self.once(name, lambda: first(make))

        def first(make: Callable[[], bytes]) -> bytes:
            if not self.enrolment.holder.answers_in(position):
                raise RoundError(
                    f"{self.name}: its one-time key of round {position.round} is lost, and a second one in the round is refused; "
                    "it counts as away until the next round"
                )
            return make()

        return keep

    def _tag_place(self, position: Position) -> Position:
        """The place that a tag's pad names. A one-time update is made once in a round, whatever the attempt."""
        return replace(position, attempt=1) if self._one_time else position

    @property
    def _one_time(self) -> bool:
        return isinstance(self.scheme.preset, OneTimePreset)

    def _bound(self, plan: RoundPlan) -> float:
        """The plan's bound, or the adaptive one that only clients know."""
        if plan.bound is not None:
            return plan.bound
        if self._precision is None:
            raise RoundError("plan: it leaves the bound to the clients, the manifest does not; refuse the plan")
        return self._precision.bound

    def _fit(self, weighted: Vector, plan: RoundPlan, position: Position) -> Fitted:
        """Clip and round once per round: a retry sends the same numbers, or raises the same error."""
        if self._precision is None:
            raise RoundError("bound: the manifest fixes it, there is nothing to fit to")
        if self._fitted is None or self._fitted[0] != position.round:
            seed = digest(b"hefl/rounding", self.manifest.initialisation, encode((self.name, position.round)))
            rng = np.random.default_rng(int.from_bytes(seed[:8], "big"))
            fitted = self._precision.fit(
                weighted,
                self._fields(plan),
                rng,
                self._rotation(position.round),
                lambda make: self.once("fields", make),
            )
            self._fitted = (position.round, self._precision.bound, fitted)
        return self._fitted[2]

    def _fields(self, plan: RoundPlan) -> FixedPoint:
        return cast(FieldScheme, self.scheme).fields(plan.max_terms)

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
        mine = self.said(position, m.COMMITMENT).signed_header
        if mine not in listed.listed:
            raise RoundError(f"{self.name}: my commitment is not on the published list; I send nothing")
        self.check_acknowledged(position)
        readers = [self.enrolment.roster.member(name) for name in (COORDINATOR, AUDITOR)]
        info = self.sealing_info(m.UPDATE, position, self.name)
        with self.working("seal"):
            return self.compose(
                m.UPDATE,
                position,
                (COORDINATOR, AUDITOR),
                self._ciphertext,
                commitments=listed.digest,
                content_digest=decode(self.said(position, m.COMMITMENT).body, Commitment).ciphertext_digest,
                blocks=block_count(self.scheme.preset, self.manifest.parameters),
                seal=sealer(readers, info),
            )

    # -- the decrypted sum -------------------------------------------------------------------------------------

    def apply(self, position: Position) -> Letter:
        """Check the sum, decrypt it, and move the model: θ ← θ + Σ w_k Δ_k / Σ w_k.

        Raises: RoundError or IntegrityError before anything is decrypted when the sum is not the confirmed sum of the
        listed updates, mine among them; IntegrityError afterwards when count or tag disagree, when Σ n_k cannot be, or,
        under a clip, when the mean is longer than the clip (θ stays as it was).
        """
        return self.answer(position, m.RECEIPT, lambda: self._make_receipt(position))

    def _make_receipt(self, position: Position) -> Envelope:
        plan = self.current_plan(position)
        message = self.sum_at(position)
        self.check_confirmed(position, message)
        with self.working("decrypt"):
            opened = self.decrypt(position, self._bound(plan), message)
            self._check_opened(opened, message, position)
            self._check_mean(opened, message, plan)
            mean = self._turned_back(opened.values, plan, position) * (plan.examples_max / opened.integers[0])
        # In float64, then one rounding to float32: every client must come to the same bytes.
        self._theta = (self.theta.astype(np.float64) + mean).astype(np.float32)
        self._mean = mean
        if self._precision is not None:
            mine = self._fitted[2] if self._fitted is not None and self._is_in(message) else None
            rotated = self.manifest.experiment.rotated
            self._precision.follow(opened.values, message.total.terms, self._fields(plan), mine, rotated=rotated)
        total = self.envelope(position, m.SUM, COORDINATOR).header.digest
        # Read before finish() advances the state: the receipt's header belongs to this round.
        plan_digest, state = self._plan, self.state
        self.finish(position)
        if self._one_time:  # the round is over for this client: no retry needs its key again
            self.forget_made(ONE_TIME)
        self._destroy_before(position.epoch)
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

    def _turned_back(self, values: Vector, plan: RoundPlan, position: Position) -> Vector:
        """A decrypted sum without the rotation: from its whole numbers, so that every client gets the same bits."""
        rotation, fields, bound = self._rotation(position.round), self._fields, self._bound(plan)
        if rotation is None:
            return values
        return rotation.undo_whole(fields(plan).whole(values, bound)) * fields(plan).step(bound)

    def _destroy_before(self, epoch: int) -> None:
        """Destroy older keys once a round under a newer one was applied; no message has to ask for it."""
        ledger = self.enrolment.ledger
        for record in ledger.records:
            if record.epoch < epoch and ledger.state(record.epoch) is not EpochState.DESTROYED:
                with suppress(RuntimeUnavailable):  # a busy store: the next round, or the end of the run, retries
                    self.destroy_epoch(record.epoch)

    def _is_in(self, message: EncryptedSum) -> bool:
        return self.name in (item.header.sender for item in message.updates)

    def _check_opened(self, opened: Opened, message: EncryptedSum, position: Position) -> None:
        examples, count = opened.integers
        contributors = [item.header.sender for item in message.updates]
        if count != len(contributors):
            raise IntegrityError(f"count: expected {len(contributors)} contributors in the sum, found {count}")
        mine = self._weight if self._is_in(message) else None
        check_examples(examples, count, self.manifest.examples_max, mine)
        if self.scheme.preset.tagged:
            places = {item.header.sender: self._tag_place(item.header.position) for item in message.updates}
            carried = {name: place.attempt for name, place in places.items()}
            self.enrolment.tag_key.check(opened, contributors, self.manifest.id, position, carried=carried)

    def _check_mean(self, opened: Opened, message: EncryptedSum, plan: RoundPlan) -> None:
        """Under a clip, refuse a mean longer than the clip. Without one nothing is checked, and the screen says so."""
        clip = self.manifest.experiment.clip_norm
        if clip is None:
            return
        at_random = self._precision is not None  # under a clip there is no error feedback (see __init__)
        step = 0.0 if self._mechanism is None else self._step(plan)
        sending = Sending(self._bound(plan), plan.max_terms, at_random, step)
        terms, length = len(message.updates), self.manifest.parameters
        room = allowance(self.scheme, sending, clip, terms, length, self._mechanism)
        check_length(opened.values, opened.integers[0] / plan.examples_max, clip, room)

    # -- the private side --------------------------------------------------------------------------------------

    @property
    def theta(self) -> Parameters:
        """The model at this client: float32 (d,). Raises: RoundError before the first plan."""
        if self._theta is None:
            raise RoundError(f"{self.name}: no model yet; the first plan brings θ_0")
        return self._theta

    def one_time_keys(self) -> tuple[tuple[str, Small], ...]:
        """This round's one-time key and the last opened sum of keys, where they exist; for this process only."""
        scheme, found = self.scheme, list[tuple[str, Small]]()
        if not isinstance(scheme, OneTimeScheme):
            return ()
        if (kept := self.made(ONE_TIME)) is not None:
            found.append(("one-time key", Made.of(kept).secret))
        with suppress(RoundError, KeyNotActive):  # no sum of this round was opened yet, or its key is gone
            if self._position is not None and self._position.round <= self._rounds_done:
                total = self.sum_at(self._position).total
                opened = scheme.key_sum(self.public_key, total, self.partials(self._position, total))
                found.append(("sum of one-time keys", opened))
        return tuple(found)

    def private_side(self) -> Private:
        """The private values, for this process only. Raises: RoundError before the first training."""
        if self._update is None or self._position is None:
            raise RoundError(f"{self.name}: nothing private yet; train first")
        plan, (round_, update) = self.current_plan(self._position), self._update
        share = self._weight / plan.examples_max
        weighted = self._weighted(update, plan, self._position) if self._fitted is None else self._fitted[2].rounded
        bound = self._bound(plan) if self._fitted is None else self._fitted[1]
        more = (self._raw, self._before_noise, share)
        return Private(round_, update, weighted, bound, plan.max_terms, self._mean, self.theta, *more)

    def reported(self, position: Position, step: str) -> tuple[Work, ...]:
        """Report nothing: training time grows with n_k. The message's cost is kept for the observer and the owner."""
        spent = Spent(step, super().reported(position, step))
        self._spent = {position.round: (*self.spent(position.round), spent)}
        return ()

    def spent(self, round_: int) -> tuple[Spent, ...]:
        """What this client's messages of a round cost, in all attempts; of the newest round only.

        Leaks: training time grows with n_k; for the owner, and sealed to the observer.
        """
        return self._spent.get(round_, ())

    def observe_sum(self, position: Position) -> bytes:
        """As :meth:`observe`, with what every client sees alike: mean, model, and the opened sum's noise. One is asked."""
        return self.observe(position, whole=True)

    def observe(self, position: Position, *, whole: bool = False) -> bytes:
        """This round's private side, sealed to the observer. Raises: RoundError unless the experiment is observed."""
        if self._observer is None:
            raise RoundError(f"{self.name}: this experiment is not observed; nothing private leaves")
        if self._update is None or self._mean is None:
            raise RoundError(f"{self.name}: nothing to observe before the first round is applied")
        theta = self.theta.tobytes()
        seen = Observation(
            client=self.name,
            position=position,
            examples=self._weight,
            update=self._update[1].tobytes(),
            theta_digest=hashlib.sha256(theta).digest(),
            before_noise=b"" if self._before_noise is None else self._before_noise.tobytes(),
            spent=self.spent(position.round),
            imprint=self._imprint(position.epoch),
        )
        if self._fitted is not None:
            _, bound, fitted = self._fitted
            rotation = self._rotation(position.round)
            sent = fitted.sent if rotation is None else rotation.undo(fitted.sent.copy())
            sent = sent * (self.manifest.examples_max / self._weight)
            seen = replace(seen, update=sent.tobytes(), bound=bound, clipped=fitted.clipped)
        raw, shortened = self._before_clip(self._update[1])
        if (trained := raw.tobytes()) != seen.update:
            seen = replace(seen, trained=trained, shortened=shortened)
        if whole:
            found = self._home.evaluate(self.theta)
            seen = replace(
                seen,
                applied=self._mean.tobytes(),
                theta=theta,
                accuracy=found.accuracy,
                loss=found.loss,
                metrics=found.metrics,
                opened_noise=self.opened_noise(position).astype("<f4").tobytes(),
            )
        info = self.sealing_info(OBSERVER, position, self.name)
        return seal(encode(seen), self._observer, info)

    def _imprint(self, epoch: int) -> tuple[bytes, ...]:
        """The imprint of this epoch's share, made once; one label for the whole run, so that epochs can be compared."""
        if epoch not in self._imprints:
            self._imprints = {epoch: imprint(self.enrolment.share, self.manifest.id.encode())}
        return self._imprints[epoch]

    def sign_closing(self, end: End) -> bytes:
        """Sign the end of a transcript: so many lines, the last with this digest, my own last message among them.

        Raises: IntegrityError when the record ends before that message, or is not chained from there.
        """
        return self.identity.sign(closing_statement(self.manifest.id, *end.check(self.name, self.head[1])))

    @property
    def own_clip(self) -> OwnClip | None:
        """How this client's newest update was made to fit; None before the first, and after a restart within the round.

        Leaks: for the owner only; it goes into no message but the observer's.
        """
        if self._update is None or self._update[0] != self.rounds_done:
            return None
        entries = 0 if self._fitted is None else self._fitted[2].clipped
        return OwnClip(self._before_clip(self._update[1])[1], entries)

    def _before_clip(self, update: Vector) -> tuple[Vector, bool]:
        """The update as the training left it, and whether the norm's clip shortened it."""
        limit, raw = self.manifest.experiment.clip_norm, update if self._raw is None else self._raw
        return raw, limit is not None and norm_of(raw) > limit

    @property
    def head(self) -> tuple[int, bytes]:
        """Number and digest of this client's last message, kept to detect a truncated record."""
        sequence, last = self._outbox.place
        return sequence - 1, last

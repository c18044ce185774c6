"""Lying clients in a real run, one lie each: which lies a party refuses, and which pass every check.

Like attacks/methods/poisoning.py, but through the whole protocol: commitment, signature, admission, decryption, count and tag.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np

from hefl_core.errors import HeflError
from hefl_core.federation.client import Client
from hefl_core.ids import COORDINATOR, client_name
from hefl_core.keys.identity import Identity
from hefl_core.keys.roster import Member
from hefl_core.runtime.client_home import home_of, model_of
from hefl_core.runtime.run import Run
from hefl_core.runtime.stage import Stage, local_stage_of, make_auditor, make_client, make_coordinator, make_kms
from hefl_core.schemes.base import CiphertextVector, Opened, Vector
from hefl_core.schemes.ring.ckks import INTEGER_UNIT
from hefl_core.terms.adaptive_bound import FieldScheme
from hefl_core.terms.experiment import Experiment, Manifest
from hefl_core.terms.messages import EncryptedSum, RoundPlan
from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import Envelope, Position

FACTOR = -4.0
"""Factor of a lying client's update: within the bound, in the wrong direction."""
BOOST = 10.0
"""Factor of another lying client's update: past any useful clip."""
CLIP = 0.25
"""The norm that the lab clips to, if it clips: honest updates of its runs are longer."""
INTEGER_FIELD = 1 << 64
"""Paillier's example counts wrap around modulo this (schemes/paillier/big_words.py)."""


class LyingClient(Client):
    """A client that deviates from the protocol in one way, named by ``title``."""

    title = ""

    def _otherwise(self, values: Vector, plan: RoundPlan, position: Position, **changed: Any) -> CiphertextVector:
        """Encrypt with other arguments than an honest client; still tagged, and labelled as the plan demands."""
        scheme, bound = self.scheme, self._bound(plan)
        how: dict[str, Any] = {
            "key": self.enrolment.share if scheme.preset.symmetric else self.public_key,
            "bound": bound,
            "max_terms": plan.max_terms,
            "integers": (self._weight, 1),
            "tag": self._tag(position, self.name) if scheme.preset.tagged else None,
        }
        how |= changed
        made = scheme.encrypt(how.pop("key"), values, declare_bound=plan.bound is not None, **how)
        return replace(made, key_id=self.public_key.id, bound=plan.bound, max_terms=plan.max_terms)


class Honest(LyingClient):
    """The control: through the same machinery, without a lie, no party refuses anything."""

    title = "no lie"


class SignedByAStranger(LyingClient):
    """It signs its upload with a key that is not in the roster."""

    title = "an upload signed with a key that is not in the roster"

    def _make_upload(self, position: Position) -> Envelope:
        envelope = super()._make_upload(position)
        return replace(envelope, signature=Identity("stranger", "client").sign(encode(envelope.header)))


class SentBefore(LyingClient):
    """From the second round on it sends the first round's ciphertext."""

    title = "last round's ciphertext again (replay)"
    _first: CiphertextVector | None = None

    def _encrypt(self, weighted: Vector, plan: RoundPlan, position: Position) -> CiphertextVector:
        self._first = self._first or super()._encrypt(weighted, plan, position)
        return self._first


class OtherThanCommitted(LyingClient):
    """It commits to one ciphertext and uploads another."""

    title = "another ciphertext than it committed to"

    def _make_upload(self, position: Position) -> Envelope:
        plan = self.current_plan(position)
        self._ciphertext = self._encrypt(np.zeros(plan.length), plan, position).to_bytes()
        return super()._make_upload(position)


class Malformed(LyingClient):
    """It ends a block of its ciphertext in numbers that no residue can be. The size is as it must be."""

    title = "a ciphertext with numbers that no residue can be"

    def _encrypt(self, weighted: Vector, plan: RoundPlan, position: Position) -> CiphertextVector:
        vector = super()._encrypt(weighted, plan, position)
        return replace(vector, blocks=(vector.blocks[0][:-16] + bytes([255] * 16), *vector.blocks[1:]))


class UnderAnotherKey(LyingClient):
    """It encrypts under its own key and labels the ciphertext with the round's."""

    title = "a ciphertext under another key, labelled with the round's"

    def _encrypt(self, weighted: Vector, plan: RoundPlan, position: Position) -> CiphertextVector:
        key, shares = self.scheme.keygen(self.public_key.quorum)
        return self._otherwise(weighted, plan, position, key=shares[0] if self.scheme.preset.symmetric else key)


class CountedTwice(LyingClient):
    """It counts itself as two contributors."""

    title = "a hidden count of two contributors"

    def _encrypt(self, weighted: Vector, plan: RoundPlan, position: Position) -> CiphertextVector:
        return self._otherwise(weighted, plan, position, integers=(self._weight, 2))


class TooManyExamples(LyingClient):
    """It claims more examples than all clients together may have."""

    title = "more examples than the manifest allows all clients together"

    def _encrypt(self, weighted: Vector, plan: RoundPlan, position: Position) -> CiphertextVector:
        return self._otherwise(weighted, plan, position, integers=(plan.max_terms * plan.examples_max + 1, 1))


class FewerExamples(LyingClient):
    """From the second round on it subtracts the others' examples: its count is negative, modulo the words' range.

    It knows Σ n_k from the first round and aims at one example each, so that the mean is Σ n_k / K times too large.
    """

    title = "a negative count of examples, so that all together seem to have one each"
    _total = 0

    def _check_opened(self, opened: Opened, message: EncryptedSum, position: Position) -> None:
        self._total = self._total or opened.integers[0]
        super()._check_opened(opened, message, position)

    def _aim(self, plan: RoundPlan) -> int:
        """The total that it wants all clients to see."""
        return len(plan.cohort)

    def _encrypt(self, weighted: Vector, plan: RoundPlan, position: Position) -> CiphertextVector:
        if not self._total:
            return super()._encrypt(weighted, plan, position)
        claimed = self._aim(plan) - (self._total - self._weight)
        if not hasattr(self.scheme, "fields"):
            return self._as_slots(claimed, weighted, plan)
        # encoded for one term there is no headroom, so the wrapped count passes the encoder's own check
        alone, agreed, bound = cast(FieldScheme, self.scheme).fields(1), self._fields(plan), self._bound(plan)
        steps = np.rint(weighted / agreed.step(bound)) + (
            agreed.offset - alone.offset
        )  # the same fields, encoded for one
        ring = getattr(self.scheme, "ring", None)
        # Paillier: in the sum the wrapped count carries 1 into the next field, the contributors: so it claims 0 there
        wrapped, count = (claimed % ring.plain_modulus, 1) if ring else (claimed % INTEGER_FIELD, int(claimed >= 0))
        values = steps * alone.step(bound)
        return self._otherwise(values, plan, position, max_terms=1, integers=(wrapped, count))

    def _as_slots(self, claimed: int, weighted: Vector, plan: RoundPlan) -> CiphertextVector:
        """Without fields (CKKS) the count is an ordinary slot; the label is set afterwards."""
        slots = np.concatenate([np.array([claimed, 1]) * INTEGER_UNIT, weighted])
        share = self.enrolment.share if self.scheme.preset.symmetric else self.public_key
        made = self.scheme.encrypt(share, slots, bound=self._bound(plan), max_terms=plan.max_terms)
        return replace(made, length=len(weighted), integers=2)


class PastTheBound(LyingClient):
    """It encodes for two terms and claims to have encoded for all: schemes with fields then read each number as larger.

    Without fields (CKKS) the clients only check that the sum's numbers stay within K times the bound.
    """

    title = "numbers past the agreed bound, in the room left for the sum"

    def _encrypt(self, weighted: Vector, plan: RoundPlan, position: Position) -> CiphertextVector:
        bound = self._bound(plan)
        if getattr(self.scheme.preset, "field_bits", 0):
            return self._otherwise(np.full(len(weighted), -bound), plan, position, max_terms=2)
        past = (plan.max_terms - 1) * bound  # the sum of all may be max_terms times the bound
        return self._otherwise(np.full(len(weighted), -past), plan, position, bound=past)


class MoreExamples(LyingClient):
    """It claims the most examples that one client may have, and weights its update accordingly."""

    title = "as many examples as one client may have, to weigh more"

    def _make_commitment(self, position: Position) -> Envelope:
        self._weight = self.manifest.examples_max
        return super()._make_commitment(position)


class PastTheClip(LyingClient):
    """It skips the clip and sends ten times its update, within the bound of an entry."""

    title = f"{BOOST:g} times its update, past the clip where there is one"

    def _train(self, plan: RoundPlan, round_: int) -> Vector:
        update = self._home.train(self.theta, round_).astype(np.float64) - self.theta.astype(np.float64)
        bound = self._bound(plan) * plan.examples_max / self._weight
        return np.clip(BOOST * update, -bound, bound)


class WellFormed(LyingClient):
    """It sends a multiple of its update, properly encrypted, committed, tagged and signed."""

    title = f"{FACTOR:g} times its update, well formed and within the bound"

    def _train(self, plan: RoundPlan, round_: int) -> Vector:
        bound = self._bound(plan) * plan.examples_max / self._weight
        return np.clip(FACTOR * super()._train(plan, round_), -bound, bound)


LIES: tuple[type[LyingClient], ...] = (
    SignedByAStranger,
    SentBefore,
    OtherThanCommitted,
    Malformed,
    UnderAnotherKey,
    CountedTwice,
    TooManyExamples,
    FewerExamples,
    PastTheBound,
    PastTheClip,
    MoreExamples,
    WellFormed,
)
"""The lies, from crude ones to the one that nothing stops."""


@dataclass(frozen=True)
class LieOutcome:
    """Outcome of a lie. ``refused_by``: the refusing parties, ``reason``: the first one's reason; empty if none refused.

    ``applied``: rounds that the clients applied all the same; ``accuracy`` after the last, by the observer (0 before any).
    """

    title: str
    refused_by: tuple[str, ...]
    reason: str
    applied: int
    accuracy: float

    @property
    def decrypted(self) -> bool:
        """Whether only the decryption revealed the lie: then clients refused it."""
        return any(name.startswith("client-") for name in self.refused_by)


def tell(lie: type[LyingClient], experiment: Experiment) -> LieOutcome:
    """Run with a lying client 1; the other clients, coordinator and auditor are honest.

    A lie refused before the sum excludes the lying client from the round, as long as min_cohort others remain. A lie refused
    after decryption ends the run. Raises: HeflError when the run ends without a refusal.
    """
    run = Run(experiment, stage=partial(_stage, lie))
    ended: HeflError | None = None
    try:
        for _ in run.steps():
            pass
    except HeflError as error:
        ended = error
    said = run.transcript.left_out
    if ended is not None and not said:
        raise ended
    accuracy = run.rounds[-1].accuracy if run.rounds else None
    # A note under the lying client's own name is the post's, for the coordinator; its own check of a sum is honest.
    by = tuple(
        dict.fromkeys(
            COORDINATOR if entry.party == client_name(1) and entry.step != "apply" else entry.party
            for entry in said
            if entry.position == said[0].position
        )
    )
    return LieOutcome(lie.title, by, said[0].reason if said else "", len(run.rounds), accuracy or 0.0)


@dataclass(frozen=True)
class Lies:
    """The outcomes of the honest run and of every lie."""

    honest: LieOutcome
    told: tuple[LieOutcome, ...]

    @property
    def caught(self) -> tuple[LieOutcome, ...]:
        """The refused lies."""
        return tuple(one for one in self.told if one.refused_by)

    @property
    def missed(self) -> tuple[LieOutcome, ...]:
        """The lies that no party refused."""
        return tuple(one for one in self.told if not one.refused_by)


def tell_all(experiment: Experiment) -> Lies:
    """Tell each lie in its own run, in this process. Raises: HeflError."""
    return Lies(tell(Honest, experiment), tuple(tell(lie, experiment) for lie in LIES))


def _stage(lie: type[LyingClient], manifest: Manifest, observer: Member | None) -> Stage:
    """The local stage with a lying client in client 1's place."""
    kms = make_kms(manifest)
    root, experiment = kms.member, manifest.experiment
    lying = lie(client_name(1), manifest, root, home_of(experiment, 1), model_of(manifest).init, observer)
    others = (make_client(manifest, root, index, observer) for index in range(2, experiment.clients + 1))
    coordinator, auditor = make_coordinator(manifest, root), make_auditor(manifest, root)
    return local_stage_of(kms, coordinator, auditor, (lying, *others), manifest)

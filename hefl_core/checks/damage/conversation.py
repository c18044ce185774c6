"""Benches for messages: a whole round in which one letter is damaged between sender and receiver.

*On the way*: bytes change after the signature, as on a bad line or at a relay. *Signed*: the sender itself damages its
content and signs that, as a malicious party does. Either way the round must end with the right model at every client that
reports one, or with a typed refusal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random
from typing import Any

import numpy as np

from hefl_core.checks.damage.mutation import Mutant, mutate
from hefl_core.checks.damage.outcomes import AcceptedWrong, Bench
from hefl_core.errors import HeflError, RoundError
from hefl_core.federation.client import Parameters
from hefl_core.federation.post import ByCall
from hefl_core.ids import KMS, client_name
from hefl_core.keys.ceremony_result import PREFIX
from hefl_core.keys.roster import Member
from hefl_core.keys.sealing import SealingInfo, open_envelope, sealer, share_info
from hefl_core.runtime.run import Run
from hefl_core.runtime.stage import Stage, local_stage
from hefl_core.schemes.registry import load_preset
from hefl_core.terms.experiment import Experiment, Manifest
from hefl_core.terms.letter import Letter
from hefl_core.terms.messages import RECEIPT
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope


@dataclass(frozen=True)
class Fault:
    """The delivery to damage: the letter's number in the run and the receiver's number among its receivers."""

    letter: int
    receiver: int
    signed: bool
    seed: int


NO_FAULT = Fault(-1, -1, False, 0)
NOISE = 1e-6
"""CKKS sums carry noise of about 1e-9; the smallest damage that still decodes is far above."""


@dataclass(frozen=True)
class Delivery:
    """One letter to one receiver, in the undisturbed run."""

    letter: int
    receiver: int
    kind: str
    envelope: Envelope


class Tamperer(ByCall):
    """Carries letters by call, and damages one delivery. ``seen``: every delivery, in order."""

    def __init__(self, fault: Fault | None, lenders: Sequence[bytes] = ()) -> None:
        self.seen: list[Delivery] = []
        self.stage: Stage | None = None
        self._fault, self._lenders = fault, lenders
        self._letters = 0

    def deliver(self, letter: Letter, to: Sequence[Any]) -> Iterator[tuple[Any, HeflError | None]]:
        """Deliver by call; the chosen receiver gets a damaged letter."""
        number, self._letters = self._letters, self._letters + 1
        for place, receiver in enumerate(to):
            envelope, fault = letter.envelope, self._fault
            self.seen.append(Delivery(number, place, envelope.header.kind, envelope))
            try:
                if fault is not None and (fault.letter, fault.receiver) == (number, place):
                    envelope = self._signed(envelope, fault) if fault.signed else self._on_the_way(envelope, fault)
                receiver.receive(envelope)
            except HeflError as error:
                yield receiver, error
            else:
                yield receiver, None

    def _on_the_way(self, envelope: Envelope, fault: Fault) -> Envelope:
        return Envelope.from_bytes(self._damage(envelope.to_bytes(), fault))

    def _damage(self, data: bytes, fault: Fault) -> bytes:
        return mutate(Random(fault.seed), (data, *self._lenders), 0).data

    def _signed(self, envelope: Envelope, fault: Fault) -> Envelope:
        """Damaged content with the sender's own signature, sealed to the same readers."""
        header, sender = envelope.header, self.party(envelope.header.sender)
        info = self._info(envelope) if header.sealed else None
        content = envelope.body if info is None else self.open(envelope)
        damaged = self._damage(content, fault)
        header = replace(header, content_digest=sha256(damaged).digest(), content_nbytes=len(damaged))
        identity = sender._identity if header.sender == KMS else sender.identity  # a malicious party has its own key
        body = damaged
        if info is not None:
            roster = self.party(header.recipients[0]).enrolment.roster_of(header.position.epoch)
            readers = [roster.member(name) for name in header.recipients]
            body = sealer(readers, info)(damaged, header.digest)
        return Envelope(header, identity.sign(encode(header)), body)

    def party(self, name: str) -> Any:
        """The party of this name. Raises: RoundError before there is a stage."""
        if self.stage is None:
            raise RoundError("tamperer: expected a stage; set one up first")
        parties = self.stage.parties
        everybody: tuple[Any, ...] = (parties.kms, parties.coordinator, parties.auditor, *parties.clients)
        return next(party for party in everybody if party.name == name)

    def open(self, envelope: Envelope) -> bytes:
        """Open a sealed share, update or partial, as its first reader. Raises: WireError."""
        reader = self.party(envelope.header.recipients[0])
        opener = reader.enrolment.reader(envelope.header.position.epoch)
        return open_envelope(opener, envelope, self._info(envelope))

    def _info(self, envelope: Envelope) -> SealingInfo:
        header = envelope.header
        reader = self.party(header.recipients[0])
        if header.kind == "share":
            record = reader.enrolment.record
            index = reader.enrolment.roster.index(reader.name)
            return share_info(header.experiment, reader.public_key.id, record.quorum, index, KMS)
        info: SealingInfo = reader.sealing_info(header.kind, header.position, header.sender)
        return info


class _Runtime:
    """A local stage whose letters the tamperer carries."""

    def __init__(self, tamperer: Tamperer) -> None:
        self._tamperer = tamperer

    def __call__(self, manifest: Manifest, observer: Member | None) -> Stage:
        self._tamperer.stage = replace(local_stage(manifest, observer), carrier=self._tamperer)
        return self._tamperer.stage


def undisturbed(experiment: Experiment) -> Tamperer:
    """A run without a fault: its deliveries and its parties."""
    tamperer = Tamperer(None)
    _models(experiment, tamperer)
    return tamperer


def conversation(scheme: str, custody: str = "individual") -> Bench:
    """A round of three clients on a small table; any delivery of it may be damaged."""
    experiment = Experiment(
        dataset="breast_cancer", model="logistic", scheme=scheme, custody=custody, clients=3, rounds=1
    )
    plain = Tamperer(None)
    models = _models(experiment, plain)
    right = models[client_name(1)]
    exact = load_preset(scheme).family != "ckks"

    def check(found: dict[str, Parameters]) -> None:
        for client, theta in found.items():
            if not (np.array_equal(theta, right) if exact else np.allclose(theta, right, rtol=0, atol=NOISE)):
                raise AcceptedWrong(f"{client} applied another sum: {np.max(np.abs(theta - right))} off")

    check(models)
    deliveries = plain.seen
    lenders = {kind: _of_kind(deliveries, kind) for kind in {delivery.kind for delivery in deliveries}}
    kinds = sorted(lenders)

    def damage(rng: Random, _: Sequence[bytes], __: int) -> Mutant:
        kind = rng.choice(kinds)
        chosen = rng.choice([delivery for delivery in deliveries if delivery.kind == kind])
        sealed_ceremony = kind.startswith(PREFIX) and chosen.envelope.header.sealed
        signed = rng.random() < 0.5 and not sealed_ceremony
        fault = Fault(chosen.letter, chosen.receiver, signed, rng.getrandbits(48))
        return Mutant(f"{kind}, {'signed' if signed else 'on the way'}", encode((kind, fault)))

    def door(data: bytes) -> None:
        kind, fault = decode(data, tuple[str, Fault])
        try:
            check(_models(experiment, Tamperer(fault, lenders.get(kind, ()))))
        except Refused as refused:
            check(refused.models)
            raise

    return Bench((encode(("", NO_FAULT)),), door, (None,), damage=damage)


def _of_kind(deliveries: Sequence[Delivery], kind: str) -> tuple[bytes, ...]:
    """A few valid messages of a kind from an earlier run: material for a replay or a splice."""
    return tuple(one.envelope.to_bytes() for one in deliveries if one.kind == kind)[:3]


def _models(experiment: Experiment, tamperer: Tamperer) -> dict[str, Parameters]:
    """The model of every client that reports an applied sum. Raises: Refused when a party refused something."""
    run = Run(experiment, stage=_Runtime(tamperer), keep_keys=True)  # the bench opens sealed bodies after the run
    refusal: HeflError | None = None
    try:
        for _ in run.steps():
            pass
        if run.transcript.left_out:
            refusal = RoundError(run.transcript.left_out[0].reason)
    except HeflError as error:
        refusal = error
    applied = {sent.sender for sent in run.transcript.sent if sent.step == RECEIPT}
    models = {client.name: client.theta for client in run.parties.clients if client.name in applied}
    if refusal is not None:
        raise Refused(refusal, models)
    return models


class Refused(HeflError):
    """A party refused something. ``models``: those of the clients that continued."""

    def __init__(self, reason: HeflError, models: dict[str, Parameters]) -> None:
        super().__init__(f"{type(reason).__name__}: {reason}")
        self.models = models

"""From the KMS to a decrypted sum with real schemes: holders answer through their rules, the tag is checked."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hefl_core.errors import (
    DecryptionRefused,
    HeflError,
    IntegrityError,
    KeyMismatch,
    KeyNotActive,
    ParameterError,
    QuorumError,
)
from hefl_core.ids import client_name
from hefl_core.keys.ceremony import APPROVAL, Participant, conduct
from hefl_core.keys.custody import Custody
from hefl_core.keys.decryption_policy import Contribution, Question
from hefl_core.keys.enrolment import Enrolment
from hefl_core.keys.identity import Identity
from hefl_core.keys.kms.service import KMS
from hefl_core.schemes.base import CiphertextVector
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.wire.envelope import Position

from .world import EXPERIMENT, roster_of

CLIENTS = tuple(client_name(i) for i in (1, 2, 3))


def enrolled(preset: str, custody: str) -> tuple[KMS, list[Enrolment]]:
    agreed = Custody.parse(custody, 3)
    kms = KMS(EXPERIMENT, preset, agreed)
    people = [Identity(name, "client") for name in CLIENTS]
    for person in people:
        kms.enrol(person.member)
    enrolments = [Enrolment(p, EXPERIMENT, kms.member.signing, custody=agreed) for p in people]
    for one in enrolments:
        kms.deposit(one.sealing_keys(1))
    if agreed.dealer_free:
        make_together(kms, enrolments)
    else:
        kms.open_epoch(1, 10)
    for one in enrolments:
        follow(kms, one)
    return kms, enrolments


def make_together(kms: KMS, clients: list[Enrolment]) -> None:
    roster = kms.begin_ceremony(1, 10)
    scheme: Any = open_scheme(kms.settings.preset)
    participants = []
    for one in clients:
        one.receive(roster)
        quorum = kms.settings.custody.quorum
        participants.append(Participant(one.identity, one.roster_of(1), scheme, quorum, one.reader(1)))
    list(conduct(participants))
    approvals = [p.say(APPROVAL)[0].signed_header for p in participants]
    kms.register(participants[0].joint_key, participants[0].result(), approvals)
    for one, participant in zip(clients, participants, strict=True):
        one.adopt(participant.share(), participant.tag_key(), self_tests=participant.self_tests)


def follow(kms: KMS, one: Enrolment) -> None:
    one.receive(kms.roster_envelope())
    one.receive(kms.epoch_envelope())
    if not kms.settings.custody.dealer_free:
        one.receive(kms.share_envelope(one.identity.name))


def committed_sum(scheme: Any, clients: list[Enrolment], x: list[Any], position: Position) -> tuple[Question, Any]:
    """Everybody encrypts and commits; the question that the coordinator would then ask."""
    parts = []
    for one, vector in zip(clients, x, strict=True):
        place = (position.epoch, position.round, position.attempt)
        tag = one.tag_key.for_message(EXPERIMENT, *place, one.identity.name)
        part = scheme.encrypt(one.public_key, vector, integers=(100, 1), tag=tag if scheme.preset.tagged else None)
        one.holder.commit(position, hashlib.sha256(part.to_bytes()).digest())
        parts.append(part)
    total: CiphertextVector = parts[0]
    for part in parts[1:]:
        total = scheme.add(clients[0].public_key, total, part)
    contributions = tuple(
        Contribution(one.identity.name, name_digest(one), hashlib.sha256(part.to_bytes()).digest())
        for one, part in zip(clients, parts, strict=True)
    )
    question = Question(
        experiment=EXPERIMENT,
        position=position,
        contributions=contributions,
        confirmed_headers=tuple(c.header for c in contributions),
        confirmed_blocks=tuple(hashlib.sha256(b).digest() for b in total.blocks),
        active=("client-1", "client-3"),
        total=total,
        min_cohort=3,
    )
    return question, parts


def name_digest(one: Enrolment) -> bytes:
    return hashlib.sha256(one.identity.name.encode()).digest()


COLLECTIVE = ["INSECURE_paillier-512", "INSECURE_bfv-threshold-1024", "INSECURE_ckks-threshold-1024", "bfv-threshold"]


@pytest.mark.parametrize("dealer", ["", "dealer-free:"])
@pytest.mark.parametrize("preset", COLLECTIVE)
def test_two_of_three_decrypt_by_the_rules(preset: str, dealer: str) -> None:
    scheme = open_scheme(preset)
    if dealer and scheme.preset.family == "paillier":
        with pytest.raises(ParameterError, match="without a dealer"):
            enrolled(preset, f"{dealer}2-of-3")
        return
    _, clients = enrolled(preset, f"{dealer}2-of-3")
    bound = scheme.preset.default_bound
    x = [np.linspace(-bound, bound, 40) * scale for scale in (1.0, 0.5, -0.25)]
    position = Position(1, 1)
    question, parts = committed_sum(scheme, clients, x, position)
    partials = [clients[i].answer(question, scheme) for i in (0, 2)]
    assert [clients[i].answer(question, scheme) for i in (0, 2)] == partials
    opened = scheme.open(clients[1].public_key, question.total, partials)
    np.testing.assert_allclose(opened.values, sum(x), atol=scheme.sum_error(bound, 3, 16))
    assert opened.integers == (300, 3)
    if scheme.preset.tagged:
        clients[1].tag_key.check(opened, CLIENTS, EXPERIMENT, position)
        with pytest.raises(IntegrityError):
            clients[1].tag_key.check(opened, CLIENTS[:2], EXPERIMENT, position)
    with pytest.raises(DecryptionRefused):
        clients[1].answer(question, scheme)
    alone = replace(question, total=parts[0], position=Position(1, 2))
    for one in clients:
        with pytest.raises(DecryptionRefused):
            one.answer(alone, scheme)


@pytest.mark.parametrize("preset", ["INSECURE_paillier-512", "bfv-lean"])
def test_a_stolen_key_opens_its_own_epoch_only(preset: str) -> None:
    """Individual custody: the key of epoch 1 does not open a sum of epoch 2, and the other way round."""
    scheme = open_scheme(preset)
    kms, clients = enrolled(preset, "individual")
    sums = []
    for epoch in (1, 2):
        position = Position(epoch, epoch)
        question, _ = committed_sum(scheme, clients, [np.zeros(5)] * 3, position)
        one = clients[0]
        partial = scheme.partial_decrypt(one.share, question.total, (one.share.index,))
        assert scheme.open(one.public_key, question.total, [partial]).integers == (300, 3)
        with pytest.raises(DecryptionRefused, match="custody"):
            one.answer(question, scheme)
        sums.append((one.share, one.public_key, question.total))
        if epoch == 1:
            kms.rotate(2)
            for client in clients:
                follow(kms, client)
    (old, _, first), (new, _, second) = sums
    for share, total in ((old, second), (new, first)):
        relabelled = replace(total, key_id=share.id)  # a false label: it parses, and then opens to nothing
        with pytest.raises(HeflError):
            part = scheme.partial_decrypt(share, relabelled, (share.index,))
            key = clients[0].public_key_of(share.id.epoch)
            opened = scheme.open(key, relabelled, [part])
            clients[0].tag_key_of(share.id.epoch).check(opened, CLIENTS, EXPERIMENT, Position(share.id.epoch, 1))
        with pytest.raises(KeyMismatch):
            scheme.partial_decrypt(share, total, (share.index,))
    clients[0].destroy(1)
    with pytest.raises(KeyNotActive):
        clients[0].holder.share(1)


@pytest.mark.parametrize("preset", ["bfv-threshold", "ckks-threshold"])
def test_every_three_of_five_open_a_key_that_nobody_holds(preset: str) -> None:
    """All ten active sets give the same vector; each on a fresh encryption, for a mask is answered once."""
    scheme: Any = open_scheme(preset)
    people = [Identity(client_name(i), "client") for i in range(1, 6)]
    roster, keys = roster_of(EXPERIMENT, 1, *people)
    participants = [Participant(p, roster, scheme, Quorum(3, 5), keys[p.name].key(1)) for p in people]
    list(conduct(participants))
    key, bound = participants[0].joint_key, scheme.preset.default_bound
    x = np.linspace(-bound, bound, 30)
    for active in itertools.combinations(range(1, 6), 3):
        total = scheme.add(key, scheme.encrypt(key, x), scheme.encrypt(key, -x / 2))
        partials = [scheme.partial_decrypt(participants[i - 1].share(), total, active) for i in active]
        opened = scheme.combine(key, total, partials)
        np.testing.assert_allclose(opened, x / 2, atol=scheme.sum_error(bound, 2, 16))
        with pytest.raises(QuorumError):
            scheme.combine(key, total, partials[:2])

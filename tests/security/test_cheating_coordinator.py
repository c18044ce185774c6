"""A coordinator that departs from the protocol is caught before anything is decrypted."""

from dataclasses import replace

import numpy as np
import pytest

from hefl_core.errors import HeflError, IntegrityError, RoundError
from hefl_core.federation.coordinator import Coordinator
from hefl_core.federation.post import ByCall
from hefl_core.runtime import stage
from hefl_core.runtime.run import Run
from hefl_core.schemes.ring.bfv import BFVScheme
from hefl_core.terms import messages as m
from hefl_core.terms.letter import Letter
from hefl_core.terms.messages import EncryptedSum, RoundPlan
from hefl_core.wire.canonical import decode, encode
from tests.conftest import SMALL


class Honest(Coordinator):
    """Positive control: through the same harness, an honest coordinator's sum is decrypted."""


class TamperedSum(Coordinator):
    """Base of the cheats that exchange the sum's content and sign it."""

    def _make_sum(self, position):
        vectors = {name: self._ciphertext(self._uploads[name][-1]) for name in self.enrolment.roster.clients}
        honest = super()._make_sum(position)
        message = self.tamper(decode(honest.body, EncryptedSum), vectors)
        return self._compose(
            m.SUM,
            position,
            honest.header.recipients,
            encode(message),
            commitments=honest.header.commitments,
            blocks=len(message.total.blocks),
        )

    def plus(self, *vectors):
        running = self.scheme.accumulator(self.public_key)
        for vector in vectors:
            running.add(vector)
        return running.total()


class DropsAClient(TamperedSum):
    def tamper(self, message, vectors):
        kept = list(vectors.values())[:-1]
        return EncryptedSum(self.plus(*kept), message.updates[:-1])


class DropsAClientAndHidesIt(TamperedSum):
    def tamper(self, message, vectors):
        kept = list(vectors.values())[:-1]
        return replace(message, total=replace(self.plus(*kept), terms=3))


class PassesOneClientOffAsTheSum(TamperedSum):
    def tamper(self, message, vectors):
        return replace(message, total=replace(vectors["client-1"], terms=3))


class PassesOneClientOffAndSaysSo(TamperedSum):
    def tamper(self, message, vectors):
        return EncryptedSum(vectors["client-1"], message.updates[:1])


class DoublesAClient(TamperedSum):
    def tamper(self, message, vectors):
        return replace(message, total=self.plus(vectors["client-1"], vectors["client-1"], vectors["client-3"]))


class SwapsACiphertext(TamperedSum):
    def tamper(self, message, vectors):
        own = self.scheme.encrypt(
            self.public_key,
            np.zeros(self.manifest.parameters),
            bound=vectors["client-1"].bound,
            max_terms=3,
            integers=(100, 1),
            tag=lambda words, modulus: 0,
        )
        return replace(message, total=self.plus(own, vectors["client-2"], vectors["client-3"]))


class FlipsABit(TamperedSum):
    def tamper(self, message, vectors):
        block = bytearray(message.total.blocks[0])
        block[len(block) // 2] ^= 1
        return replace(message, total=replace(message.total, blocks=(bytes(block),)))


@pytest.fixture
def decryptions(monkeypatch):
    calls = []
    original = BFVScheme.partial_decrypt

    def counting(self, share, total, active):
        calls.append(share.index)
        return original(self, share, total, active)

    monkeypatch.setattr(BFVScheme, "partial_decrypt", counting)
    return calls


def play(monkeypatch, kind, carrier=None):
    monkeypatch.setattr(stage, "Coordinator", kind)
    if carrier is not None:
        monkeypatch.setattr(stage, "ByCall", carrier)
    run = Run(SMALL.but(rounds=1))
    for _ in run.steps():
        pass
    return run


def test_the_harness_decrypts_an_honest_sum(monkeypatch, decryptions):
    play(monkeypatch, Honest)
    assert decryptions == [1, 2, 3]


@pytest.mark.parametrize(
    "kind",
    [
        DropsAClient,
        DropsAClientAndHidesIt,
        PassesOneClientOffAsTheSum,
        PassesOneClientOffAndSaysSo,
        DoublesAClient,
        SwapsACiphertext,
        FlipsABit,
    ],
)
def test_a_wrong_sum_is_caught_before_anything_is_decrypted(monkeypatch, decryptions, kind):
    with pytest.raises((IntegrityError, RoundError)) as caught:
        play(monkeypatch, kind)
    assert decryptions == [], caught.value


class Replays(Coordinator):
    """In round 2, the sum of round 1 again."""

    def _make_sum(self, position):
        envelope = super()._make_sum(position)
        if position.round == 1:
            self._old = envelope
            return envelope
        old = decode(self._old.body, EncryptedSum)
        return self._compose(m.SUM, position, envelope.header.recipients, encode(old), blocks=1)


def test_a_replayed_sum_is_refused(monkeypatch, decryptions):
    monkeypatch.setattr(stage, "Coordinator", Replays)
    with pytest.raises(HeflError):
        list(Run(SMALL.but(rounds=2)).steps())
    assert decryptions == [1, 2, 3]


def equivocating(change):
    """A carrier through which the coordinator sends client-3 a plan of its own."""

    class Equivocating(ByCall):
        def deliver(self, letter, to):
            for receiver in to:
                other = letter
                if letter.envelope.header.kind == m.PLAN and receiver.name == "client-3":
                    other = Letter.of(change(letter.envelope))
                yield from super().deliver(other, [receiver])

    return Equivocating


def signed_again(change):
    """The coordinator signs a second plan for the same round with other content."""
    signer = {}

    class Signing(Coordinator):
        def _make_plan(self, position):
            signer["me"] = self
            return super()._make_plan(position)

    def other(envelope):
        me, header = signer["me"], envelope.header
        plan = change(decode(envelope.body, RoundPlan))
        return me._outbox.compose(
            m.PLAN,
            header.position,
            header.recipients,
            encode(plan),
            key_id=header.key_id,
            state=header.state,
            length=header.length,
        )

    return Signing, equivocating(other)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plan: replace(plan, theta_0=bytes(len(plan.theta_0))), "θ_0"),
        (lambda plan: replace(plan, bound=plan.bound * 2), "bound"),
        (lambda plan: replace(plan, max_terms=plan.max_terms + 1), "plan"),
        (lambda plan: replace(plan, cohort=plan.cohort[::-1]), "plan"),
        (lambda plan: replace(plan, min_cohort=1), "min_cohort"),
    ],
)
def test_another_plan_per_client_is_caught(monkeypatch, decryptions, change, words):
    kind, carrier = signed_again(change)
    with pytest.raises(HeflError, match=words):
        play(monkeypatch, kind, carrier)
    assert decryptions == []


def test_a_client_left_off_the_list_sends_nothing(monkeypatch):
    class Forgets(Coordinator):
        def received(self, position, kind):
            arrived = super().received(position, kind)
            return {k: v for k, v in arrived.items() if k != "client-4"} if kind == m.COMMITMENT else arrived

    monkeypatch.setattr(stage, "Coordinator", Forgets)
    run = Run(SMALL.but(clients=4, rounds=1))
    sent = list(run.steps())
    assert "client-4" not in {s.sender for s in sent if s.step == m.UPDATE}
    assert any(
        entry.party == "client-4" and "not on the published list" in entry.reason for entry in run.transcript.left_out
    )


def test_the_tag_catches_what_the_auditor_would_not(monkeypatch):
    """With the auditor's confirmation forged, the tag still stops a shifted sum after decryption."""
    from hefl_core.federation.auditor import Auditor

    class Colluding(Auditor):
        def _make_confirmation(self, position):
            message = self.message(position, m.SUM, "coordinator", EncryptedSum)
            return _confirm(self, position, message)

    def _confirm(auditor, position, message):
        import hashlib

        from hefl_core.terms.messages import Confirmation

        confirmation = Confirmation(
            auditor._plan,
            tuple(item.header.digest for item in message.updates),
            tuple(hashlib.sha256(block).digest() for block in message.total.blocks),
        )
        return auditor._outbox.compose(
            m.CONFIRMATION,
            position,
            ("coordinator", *auditor.enrolment.roster.clients),
            encode(confirmation),
            key_id=str(auditor.public_key.id),
            plan=auditor._plan,
            state=auditor.state,
            length=auditor.manifest.parameters,
            blocks=1,
        )

    monkeypatch.setattr(stage, "Auditor", Colluding)
    for kind in (SwapsACiphertext, DoublesAClient):
        with pytest.raises(IntegrityError, match="tag|count|examples"):
            play(monkeypatch, kind)

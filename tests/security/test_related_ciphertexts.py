"""A ciphertext that is chosen after others were seen: with the upload of one attempt, an accomplice reads it in the next.

Collective custody, one deviating client and the coordinator; all others are the shipped classes and keep every rule.
"""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from hefl_core.attacks.methods.related_ciphertexts import mix, read, word_count
from hefl_core.errors import IntegrityError, RoundError
from hefl_core.federation import witness
from hefl_core.federation.client import Client
from hefl_core.federation.holder import Holder
from hefl_core.ids import AUDITOR, COORDINATOR
from hefl_core.schemes.base import CiphertextVector, PartialDecryption
from hefl_core.terms import messages as m
from hefl_core.terms.admission import check_spares
from hefl_core.terms.experiment import Experiment
from hefl_core.terms.messages import Commitment, CommitmentList
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Position
from tests.security.hostile import World, names

TOGETHER = Experiment(
    dataset="breast_cancer",
    model="logistic",
    scheme="INSECURE_bfv-threshold-1024",
    custody="3-of-5",
    clients=5,
    rounds=2,
    epoch_rounds=2,
)
SPARE = hashlib.sha256(b"a spare").digest()
FIRST, SECOND = Position(1, 1, 1), Position(1, 1, 2)
EVERYBODY = names(1, 2, 3, 4, 5)


class Mixing(Client):
    """Commits to its own update plus what it is given of a victim."""

    old: CiphertextVector | None = None

    def _encrypted(self, weighted, plan, position):
        if self.old is None:
            return super()._encrypted(weighted, plan, position)
        fresh = self._encrypt(weighted, plan, position)
        return mix(fresh, self.old, word_count(self.old)).to_bytes()


def upload_of(world, name):
    return world.coordinator._ciphertext(world.coordinator._uploads[name][-1])


def words_of(world, vector, holders=EVERYBODY[:3]):
    """The truth: what a ciphertext holds, by t shares that nobody of the attackers has."""
    shares = [world.clients[name].enrolment.share for name in holders]
    active = tuple(share.index for share in shares)
    scheme, key = world.clients[holders[0]].scheme, world.coordinator.public_key
    return scheme.words(key, vector, [scheme.partial_decrypt(share, vector, active) for share in shares])


def opened(world, position, holders, reader="client-2"):
    """The sum's words, at a client to whom honest holders have sent their parts."""
    world.coordinator.active = holders
    world.deliver(world.coordinator.request_decryption(position).envelope, reader, *holders)
    told = [world.said(name, "partial_decryption", position) for name in holders]
    me = world.clients[reader]
    partials = [PartialDecryption.from_bytes(me.open_content(envelope)) for envelope in told]
    total = decode(world.coordinator.said(position, m.SUM).body, m.EncryptedSum).total
    return me.scheme.words(me.public_key, total, partials)


def after_the_first_attempt():
    """All have uploaded; the coordinator ends the attempt, and client 2 has client 1's upload."""
    world = World(TOGETHER, {2: Mixing})
    world.deliver(world.list_of(FIRST, EVERYBODY), AUDITOR, *EVERYBODY)
    world.acknowledge(FIRST, EVERYBODY)
    world.uploads(FIRST, EVERYBODY)
    old = world.clients["client-2"].old = upload_of(world, "client-1")
    return world, old, words_of(world, old)[: word_count(old)]


def without_spares(monkeypatch):
    monkeypatch.setattr(witness, "check_foreseen", lambda signed, commitment, first: None)


def test_without_the_rule_a_retry_gives_an_update_away_word_for_word(monkeypatch):
    without_spares(monkeypatch)
    world, old, truth = after_the_first_attempt()
    world.sum_of(SECOND, EVERYBODY)
    found = read(opened(world, SECOND, names(1, 3, 4)), old, word_count(old))
    assert np.array_equal(found, truth) and np.any(truth[3:])


def test_with_it_every_witness_refuses_the_list():
    world, _, _ = after_the_first_attempt()
    listed = world.list_of(SECOND, EVERYBODY)
    for name in (AUDITOR, "client-1", "client-3"):
        with pytest.raises(RoundError, match="commitment of client-2: expected its spare for attempt 2"):
            world.deliver(listed, name)


def test_an_honest_coordinator_refuses_the_commitment():
    world, _, _ = after_the_first_attempt()
    world.coordinator.__class__ = type(world.coordinator).__mro__[1]
    world.deliver(world.coordinator.plan(SECOND).envelope, *EVERYBODY)
    world.deliver(world.said("client-1", "commit", SECOND), COORDINATOR)
    with pytest.raises(RoundError, match="a ciphertext chosen after uploads were seen is refused"):
        world.deliver(world.said("client-2", "commit", SECOND), COORDINATOR)


def test_nor_may_a_newcomer_bring_the_mixture():
    """The second fault: client 2 was on no list and has no spare that it would be held to."""
    world = World(TOGETHER, {2: Mixing})
    members = names(1, 3, 4, 5)
    world.deliver(world.list_of(FIRST, members), AUDITOR, *EVERYBODY)
    world.acknowledge(FIRST, members)
    world.uploads(FIRST, members)
    accomplice = world.clients["client-2"]
    accomplice.old, accomplice._check_open = upload_of(world, "client-1"), lambda position: None
    listed = world.list_of(SECOND, EVERYBODY)
    for name in (AUDITOR, "client-1"):
        with pytest.raises(RoundError, match="commitment of client-2: expected one of client-1, client-3"):
            world.deliver(listed, name)


def backdated(world):
    """A list of the second attempt with a commitment of client 2 that is dated from the first, and was made after it."""
    accomplice = world.clients["client-2"]
    vector = mix(upload_of(world, "client-3"), upload_of(world, "client-1"), 100).to_bytes()
    late = Commitment(hashlib.sha256(vector).digest(), len(vector), (SPARE,) * 2)
    head = accomplice._outbox.compose(
        m.COMMITMENT,
        FIRST,
        (COORDINATOR,),
        encode(late),
        key_id=str(accomplice.public_key.id),
        plan=world.coordinator.said(FIRST, m.PLAN).header.digest,
        state=accomplice.state,
        length=accomplice.manifest.parameters,
    ).signed_header
    honest = decode(world.list_of(SECOND, EVERYBODY).body, CommitmentList)
    place = honest.senders.index("client-2")
    listed = [*honest.listed[:place], head, *honest.listed[place + 1 :]]
    commitments = [*honest.commitments[:place], late, *honest.commitments[place + 1 :]]
    return CommitmentList(tuple(listed), tuple(commitments))


def test_nor_may_it_be_dated_back():
    """The third: carried over is what stood on an earlier list, not what bears an earlier date."""
    world, _, _ = after_the_first_attempt()
    message = backdated(world)
    honest = world.coordinator.said(SECOND, m.COMMITMENTS)
    forged = world.coordinator._compose(
        m.COMMITMENTS, SECOND, honest.header.recipients, encode(message), commitments=message.digest
    )
    for name in (AUDITOR, "client-1"):
        with pytest.raises(RoundError, match="client-2 had on the list of attempt 1"):
            world.deliver(forged, name)


@pytest.mark.parametrize("spares", [(), (SPARE,), (SPARE,) * 3])
def test_a_commitment_without_a_spare_for_each_attempt_is_refused(spares):
    world = World(TOGETHER)
    client = world.clients["client-1"]
    world.deliver(world.coordinator.plan(FIRST).envelope, AUDITOR, *EVERYBODY)
    letter = client.commit(FIRST).envelope
    body = encode(replace(decode(letter.body, Commitment), spares=spares))
    false = client.compose(m.COMMITMENT, FIRST, (COORDINATOR,), body)
    world.coordinator.__class__ = type(world.coordinator).__mro__[1]
    with pytest.raises(IntegrityError, match="bytes of content"):  # the header tells how many there are
        world.deliver(false, COORDINATOR)
    with pytest.raises(RoundError, match=rf"expected 2 spares, found {len(spares)}"):
        check_spares(false.signed_header, decode(body, Commitment), collective=True)


# -- a list for one client ---------------------------------------------------------------------------------------------


def sham(world):
    """Client 1 alone is shown a list; once it has uploaded, client 2 commits, and all others get another list."""
    listed = world.list_of(FIRST, names(1, 3, 4, 5))
    world.deliver(listed, "client-1")
    world.deliver(world.said("client-1", "upload", FIRST), COORDINATOR)


def with_a_second_list(world):
    """The rest of the attack: the members are the others, and client 2's commitment is new."""
    accomplice, coordinator = world.clients["client-2"], world.coordinator
    accomplice.old = old = upload_of(world, "client-1")
    members = names(2, 3, 4, 5)
    del coordinator._answers[FIRST, m.COMMITMENTS]
    coordinator.members, coordinator._uploads = members, {}
    world.deliver(world.said("client-2", "commit", FIRST), COORDINATOR)
    world.deliver(coordinator.commitments(FIRST).envelope, AUDITOR, *members)
    world.acknowledge(FIRST, members)
    world.uploads(FIRST, members)
    total = coordinator.aggregate(FIRST).envelope
    world.deliver(total, AUDITOR, *members)
    world.deliver(world.auditor.confirm(FIRST).envelope, COORDINATOR, *members)
    return old, opened(world, FIRST, names(3, 4, 5))


def test_without_the_auditors_word_a_second_list_gives_an_update_away(monkeypatch):
    monkeypatch.setattr(Holder, "check_acknowledged", lambda self, position: None)
    world = World(TOGETHER, {2: Mixing})
    sham(world)
    truth = words_of(world, upload_of(world, "client-1"))
    old, words = with_a_second_list(world)
    assert np.array_equal(read(words, old, word_count(old)), truth[: word_count(old)])


def test_with_it_nobody_uploads_for_a_list_that_the_auditor_does_not_have():
    world = World(TOGETHER, {2: Mixing})
    with pytest.raises(RoundError, match="expected the acknowledgement of auditor"):
        sham(world)


def test_the_auditors_word_on_another_list_is_no_word_on_this_one():
    """The second fault: the coordinator shows the auditor its own list, and client 1 the auditor's word."""
    world = World(TOGETHER, {2: Mixing})
    listed = world.list_of(FIRST, EVERYBODY)
    world.deliver(listed, "client-1")
    message = decode(listed.body, CommitmentList)
    other = CommitmentList(message.listed[1:], message.commitments[1:])
    shown = world.coordinator._compose(
        m.COMMITMENTS, FIRST, listed.header.recipients, encode(other), commitments=other.digest
    )
    world.deliver(shown, AUDITOR)
    world.deliver(world.auditor.acknowledge(FIRST).envelope, "client-1")
    with pytest.raises(IntegrityError, match="found that the auditor has"):
        world.said("client-1", "upload", FIRST)


def test_individual_custody_has_neither_spares_nor_the_auditors_word():
    """They would buy nothing there: one client's key opens every upload."""
    world = World(TOGETHER.but(scheme="bfv-lean", custody="individual"))
    world.sum_of(FIRST, EVERYBODY)
    listed = decode(world.coordinator.said(FIRST, m.COMMITMENTS).body, CommitmentList)
    assert all(commitment.spares == () for commitment in listed.commitments)


# -- from round to round -----------------------------------------------------------------------------------------------


def after_the_first_round(terms):
    """A whole round, applied by all; client 2 has client 1's upload of it."""
    world = World(terms, {2: Mixing})
    world.sum_of(FIRST, EVERYBODY)
    old = upload_of(world, "client-1")
    world.coordinator.active = names(1, 3, 4)
    world.deliver(world.coordinator.request_decryption(FIRST).envelope, *EVERYBODY)
    for name in names(1, 3, 4):
        world.deliver(world.said(name, "partial_decryption", FIRST), *EVERYBODY)
    truth = words_of(world, old)[: word_count(old)]
    world.applied(FIRST, *EVERYBODY)
    world.coordinator.close(FIRST)
    world.auditor.close(FIRST)
    world.clients["client-2"].old = old
    return world, old, truth


def test_under_one_key_for_two_rounds_the_old_upload_is_read_from_the_next_sum():
    """What several rounds per key epoch cost, as the threat model says: nothing refuses it."""
    world, old, truth = after_the_first_round(TOGETHER)
    position = Position(1, 2, 1)
    world.sum_of(position, EVERYBODY)
    found = read(opened(world, position, names(1, 3, 4)), old, word_count(old))
    assert np.array_equal(found, truth) and np.any(truth[3:])


def test_with_a_key_for_each_round_the_mixture_opens_to_nothing():
    world, _, _ = after_the_first_round(TOGETHER.but(epoch_rounds=None))
    world.new_key(2)
    position = Position(2, 2, 1)
    world.sum_of(position, EVERYBODY)
    with pytest.raises(IntegrityError, match="noise of block 1"):
        opened(world, position, names(1, 3, 4))


def test_a_coordinator_that_keeps_the_key_is_refused():
    """The second fault: it asks the KMS for no new key."""
    world, _, _ = after_the_first_round(TOGETHER.but(epoch_rounds=None))
    plan = world.coordinator.plan(Position(1, 2, 1)).envelope
    for name in (AUDITOR, "client-1"):
        with pytest.raises(RoundError, match="expected a round from 1 to 1 under the key of epoch 1, found 2"):
            world.deliver(plan, name)


def test_nor_does_a_key_for_more_rounds_than_the_terms_say_serve_them():
    """The third: a key whose record says that it is for all rounds."""
    world = World(TOGETHER.but(epoch_rounds=None, rounds=3), {2: Mixing})
    world.parties.kms.rotate(1, 3)
    world.announce(1, 3)
    assert world.clients["client-1"].enrolment.record.last_round == 3
    world.sum_of(Position(2, 1, 1), EVERYBODY)
    plan = world.coordinator.plan
    for client in world.clients.values():
        client._rounds_done = 1
    world.coordinator._position = None
    with pytest.raises(RoundError, match="expected a round from 1 to 1 under the key of epoch 2, found 2"):
        world.deliver(plan(Position(2, 2, 1)).envelope, "client-1")


@pytest.mark.parametrize(
    ("custody", "chosen", "expected"),
    [("3-of-5", None, 1), ("dealer-free:3-of-5", None, 4), ("individual", None, 4), ("3-of-5", 3, 3), ("3-of-5", 9, 4)],
)
def test_how_many_rounds_a_key_serves(custody, chosen, expected):
    terms = TOGETHER.but(custody=custody, epoch_rounds=chosen, rounds=4)
    assert terms.rounds_per_epoch == expected
    assert [terms.last_round_of(number) for number in (1, 4)] == [min(4, expected), 4]

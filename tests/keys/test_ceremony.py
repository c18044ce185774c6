"""A key that nobody ever holds: the ceremony works, every deviation stops it, and the KMS only registers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hefl_core.errors import (
    HeflError,
    IntegrityError,
    KeyMismatch,
    KeyNotActive,
    ParameterError,
    QuorumError,
    RoundError,
    SecretKeyEscape,
    WireError,
)
from hefl_core.keys.ceremony import STEPS, Dealt, Participant, Reveal, commitment, conduct
from hefl_core.keys.custody import Custody
from hefl_core.keys.enrolment import Enrolment
from hefl_core.keys.epochs import EpochAnnouncement, fingerprint, public_key_digest
from hefl_core.keys.identity import Identity
from hefl_core.keys.kms.service import KMS
from hefl_core.keys.roster import Roster
from hefl_core.keys.sealing import sealer
from hefl_core.keys.sum_tag import TagKey, expose_tag_key, joint_tag_key
from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.unlock import KeyFile
from hefl_core.schemes.base import SecretShare, expose_secret
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position
from hefl_core.wire.outbox import Outbox

from .toy import PRESET, Q, Toy
from .world import make_world, roster_of

EXPERIMENT = "experiment-1"
IDENTITIES = [Identity(f"client-{i}", "client") for i in range(1, 6)]
COORDINATOR = Identity("coordinator", "coordinator")
ROSTER, KEYS = roster_of(EXPERIMENT, 1, COORDINATOR, *IDENTITIES)
QUORUM = Quorum(3, 5)


def participants(roster: Roster = ROSTER, scheme: Any = None, quorum: Quorum = QUORUM) -> list[Participant]:
    return [participant(i, roster, scheme or Toy(), quorum) for i in IDENTITIES]


def participant(
    identity: Identity, roster: Roster = ROSTER, scheme: Any = None, quorum: Quorum = QUORUM
) -> Participant:
    return Participant(identity, roster, scheme or Toy(), quorum, KEYS[identity.name].key(roster.epoch))


def up_to(people: list[Participant], last: str) -> None:
    """Everybody has said and heard everything before ``last``."""
    for step in STEPS[: STEPS.index(last)]:
        for envelope in [e for p in people for e in p.say(step)]:
            deliver(envelope, people)


def deliver(envelope: Envelope, people: list[Participant]) -> None:
    for person in people:
        if person.name in envelope.header.recipients:
            person.receive(envelope)


@pytest.mark.parametrize(("t", "n"), [(2, 2), (2, 3), (3, 5), (5, 5), (4, 5)])
def test_any_t_decrypt_and_fewer_do_not(t: int, n: int) -> None:
    roster = replace(ROSTER, members=ROSTER.members[: 2 + n])
    scheme, quorum = Toy(), Quorum(t, n)
    people = [participant(i, roster, scheme, quorum) for i in IDENTITIES[:n]]
    sent = list(conduct(people))
    assert len(sent) == 8 * n + n * (n - 1)
    keys = {p.result().public_key_digest for p in people}
    assert len(keys) == 1 and len({p.result() for p in people}) == 1
    key = people[0].joint_key
    assert key is not None
    x = np.array([0.5, -0.25, 0.0, 1.0])
    total = scheme.encrypt(key, x)
    for active in itertools.combinations(range(1, n + 1), t):
        parts = [scheme.partial_decrypt(people[i - 1].share(), total, active) for i in active]
        np.testing.assert_allclose(scheme.combine(key, total, parts), x)
        with pytest.raises(QuorumError):
            scheme.combine(key, total, parts[:-1])


def test_nobody_holds_the_key_and_nothing_secret_is_sent() -> None:
    scheme = Toy()
    people = participants(scheme=scheme)
    wire = b"".join(e.to_bytes() for e in conduct(people))
    for secret in (*scheme.seen, *(expose_secret(p.share()) for p in people)):
        assert secret not in wire
    for person in people:
        assert person._secret is None and not person._dealt  # s_i and the points are forgotten
        assert "hidden" in repr(person)
        with pytest.raises(SecretKeyEscape):
            person.__reduce_ex__(2)
    assert len({expose_secret(p.share()) for p in people}) == 5


def test_nothing_secret_is_in_sight_on_the_way() -> None:
    scheme = Toy()
    people = participants(scheme=scheme)
    up_to(people, "test commitment")
    assert len(people[0]._dealt) == 5
    dealt = [decode(one.expose(), Dealt) for p in people for one in p._dealt.values()]
    points = [secret for one in dealt for secret in (one.point, one.tag_part)]
    seen = "".join(repr(vars(p)) for p in people)
    for secret in (*scheme.seen, *points):
        assert repr(secret)[2:-1] not in seen and secret.hex() not in seen


def test_asking_again_brings_the_same_bytes() -> None:
    people = participants()
    list(conduct(people))
    for step in STEPS:
        assert people[0].say(step) is people[0].say(step)


def test_nobody_speaks_or_hears_out_of_order() -> None:
    people = participants()
    first, second = people[:2]
    for step in STEPS[1:]:
        with pytest.raises(RoundError):
            first.say(step)
    with pytest.raises(RoundError):
        first.share()
    with pytest.raises(RoundError):
        first.result()
    up_to(people, "nonce reveal")
    (reveal,) = first.say("nonce reveal")
    fresh = participant(IDENTITIES[1])
    with pytest.raises(RoundError):  # a reveal before everybody committed
        fresh.receive(reveal)
    second.receive(reveal)
    second.receive(reveal)


def message(step: str, content: bytes, sender: Identity = IDENTITIES[1], **changes: Any) -> Envelope:
    """What client-2 could sign instead of the honest message."""
    arguments = {"position": Position(1, 0), "recipients": ("client-1",), **changes}
    return Outbox(sender.name, sender, changes.pop("experiment", EXPERIMENT)).compose(
        f"ceremony {step}", content=content, **{k: v for k, v in arguments.items() if k != "experiment"}
    )


def test_a_reveal_must_be_what_was_committed_to() -> None:
    """Otherwise the last to speak chooses the joint key."""
    for what in ("nonce", "key", "test"):
        people = participants()
        up_to(people, f"{what} reveal")
        honest = decode(people[1].say(f"{what} reveal")[0].body, Reveal)
        for other in (replace(honest, content=b"x" * 32), replace(honest, salt=b"x" * 32)):
            with pytest.raises(WireError, match="committed"):
                people[0].receive(message(f"{what} reveal", encode(other)))
        with pytest.raises(WireError):
            people[0].receive(message(f"{what} reveal", b"nonsense"))
        copied = decode(people[2].say(f"{what} reveal")[0].body, Reveal)
        with pytest.raises(WireError):  # another client's commitment does not open as mine
            people[0].receive(message(f"{what} reveal", encode(copied)))


def test_a_commitment_names_its_step_and_its_maker() -> None:
    reveal = Reveal(b"s" * 32, b"c")
    made = {commitment(step, name, reveal) for step in ("nonce", "key") for name in ("client-1", "client-2")}
    assert len(made) == 4


def test_second_messages_strangers_and_other_ceremonies_are_refused() -> None:
    people = participants()
    step = "nonce commitment"
    deliver(people[1].say(step)[0], people)
    stranger = Identity("client-2", "client")
    cases: list[tuple[Envelope, type[HeflError]]] = [
        (message(step, b"y" * 32), RoundError),
        (message(step, b"short", IDENTITIES[2]), WireError),
        (message(step, b"y" * 32, stranger), WireError),
        (message(step, b"y" * 32, COORDINATOR), RoundError),
        (message(step, b"y" * 32, IDENTITIES[2], position=Position(2, 0)), RoundError),
        (message(step, b"y" * 32, IDENTITIES[2], position=Position(1, 0, 2)), RoundError),
        (message(step, b"y" * 32, IDENTITIES[2], experiment="experiment-2"), WireError),
        (message(step, b"y" * 32, IDENTITIES[2], recipients=("client-3",)), WireError),
        (message("dance", b"y" * 32, IDENTITIES[2]), RoundError),
        (Outbox("client-3", IDENTITIES[2], EXPERIMENT).compose(step, Position(1, 0), ("client-1",), b""), RoundError),
    ]
    for envelope, error in cases:
        with pytest.raises(error):
            people[0].receive(envelope)


def test_deals_and_partials_travel_sealed_only() -> None:
    for step in ("deal", "partial"):
        people = participants()
        up_to(people, step)
        with pytest.raises(WireError, match="sealed"):
            people[0].receive(message(step, b"x" * 11))
        honest = next(e for e in people[1].say(step) if "client-3" in e.header.recipients)
        assert honest.header.sealed
        if step == "deal":
            with pytest.raises(WireError):
                people[0].receive(honest)  # addressed to client-3


Wrong = Callable[[Toy], None]


def deals_wrong(toy: Toy) -> None:
    honest = toy.joint_deal
    toy.joint_deal = lambda secret, quorum, index: honest(b"\0" * 10 + b"\7", quorum, index)  # type: ignore[method-assign]


def deals_a_higher_degree(toy: Toy) -> None:
    toy.joint_deal = lambda secret, quorum, index: Toy.joint_deal(toy, secret, Quorum(5, 5), index)  # type: ignore[method-assign]


def keeps_another_share(toy: Toy) -> None:
    honest = toy.joint_share

    def wrong(key: Any, index: int, dealt: Any) -> SecretShare:
        return honest(key, index, [dealt[0], *dealt[:-1]])

    toy.joint_share = wrong  # type: ignore[method-assign]


@pytest.mark.parametrize("wrong", [deals_wrong, deals_a_higher_degree, keeps_another_share])
@pytest.mark.parametrize("who", [0, 4])
def test_the_self_test_sees_wrong_shares(wrong: Wrong, who: int) -> None:
    people = participants()
    bad = Toy()
    wrong(bad)
    people[who] = participant(IDENTITIES[who], scheme=bad)
    with pytest.raises(IntegrityError):
        list(conduct(people))
    assert not any(p._heard["approval"] and p.name for p in people if p.name != people[who].name)


def test_an_approval_of_another_result_stops_it() -> None:
    people = participants()
    up_to(people, "approval")
    other = replace(people[0].result(), transcript=b"x" * 32)
    with pytest.raises(IntegrityError, match="another result"):
        people[0].receive(message("approval", encode(other)))


def test_equivocation_shows_in_the_transcript() -> None:
    """client-2 shows client-1 another (well formed) ciphertext than the others: no two approve the same result."""
    people = participants()
    up_to(people, "nonce commitment")
    other = Reveal(b"s" * 32, b"n" * 32)
    for person in people:
        for envelope in person.say("nonce commitment"):
            for receiver in people:
                if receiver.name in envelope.header.recipients:
                    lie = receiver is people[0] and person is people[1]
                    content = commitment("nonce", "client-2", other)
                    receiver.receive(message("nonce commitment", content) if lie else envelope)
    for person in people:
        for envelope in person.say("nonce reveal"):
            for receiver in people:
                if receiver.name in envelope.header.recipients:
                    lie = receiver is people[0] and person is people[1]
                    receiver.receive(message("nonce reveal", encode(other)) if lie else envelope)
    with pytest.raises(HeflError):
        for step in STEPS[2:]:
            for envelope in [e for p in people for e in p.say(step)]:
                deliver(envelope, people)


def test_it_is_for_collective_custody_of_all_clients() -> None:
    for quorum in (Quorum(1, 5), Quorum(2, 4)):
        with pytest.raises(ParameterError):
            participant(IDENTITIES[0], quorum=quorum)
    with pytest.raises(RoundError):
        Participant(COORDINATOR, ROSTER, Toy(), QUORUM, COORDINATOR)


# -- with the KMS -------------------------------------------------------------------------------------------------------


class Hall:
    """A KMS that deals nothing, five clients, one coordinator."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, store: KeyStore | None = None) -> None:
        self.scheme = Toy()
        monkeypatch.setattr("hefl_core.keys.kms.service.open_scheme", lambda name: self.scheme)
        self.custody = Custody.parse("dealer-free:3-of-5", 5)
        self.kms = KMS(EXPERIMENT, PRESET, self.custody)
        for identity in (COORDINATOR, *IDENTITIES):
            self.kms.enrol(identity.member)
        root = self.kms.member.signing
        self.coordinator = Enrolment(COORDINATOR, EXPERIMENT, root)
        self.clients = [
            Enrolment(i, EXPERIMENT, root, store=store if k == 0 else None) for k, i in enumerate(IDENTITIES)
        ]

    def ceremony(self, first: int = 1, last: int = 10) -> list[Participant]:
        for client in self.clients:
            self.kms.deposit(client.sealing_keys(len(self.kms.epochs) + 1))
        roster = self.kms.begin_ceremony(first, last)
        for enrolment in (self.coordinator, *self.clients):
            enrolment.receive(roster)
        epoch = roster.header.position.epoch
        people = [
            Participant(c.identity, c.roster_of(epoch), self.scheme, QUORUM, c.reader(epoch)) for c in self.clients
        ]
        list(conduct(people))
        return people

    def register(self, people: list[Participant]) -> None:
        headers = [p.say("approval")[0].signed_header for p in people]
        self.kms.register(people[0].joint_key, people[0].result(), headers)

    def enrol(self, people: list[Participant]) -> None:
        for client, person in zip(self.clients, people, strict=True):
            client.adopt(person.share(), person.tag_key(), self_tests=person.self_tests)
            client.receive(self.kms.epoch_envelope())
        self.coordinator.receive(self.kms.epoch_envelope())


@pytest.fixture
def hall(monkeypatch: pytest.MonkeyPatch) -> Hall:
    return Hall(monkeypatch)


def test_a_share_is_kept_before_it_is_approved_and_used_by_nobody_before_the_record(hall: Hall) -> None:
    people = hall.ceremony()
    client, person = hall.clients[0], people[0]
    client.adopt(person.share(), person.tag_key(), self_tests=person.self_tests)
    epoch = person.roster.epoch
    assert client.has_made(epoch)
    with pytest.raises(KeyNotActive):
        client.ledger.require_decrypt(epoch, 1)
    client.abandon(epoch)  # the same ceremony goes on
    assert client.has_made(epoch)
    client.abandon(epoch + 1)  # another one begins
    assert not client.has_made(epoch) and client.holder.is_destroyed(epoch)


def test_the_kms_only_registers(hall: Hall) -> None:
    people = hall.ceremony()
    with pytest.raises(KeyNotActive):
        _ = hall.kms.active
    hall.register(people)
    hall.enrol(people)
    assert hall.coordinator.record.dealer == "dealer-free"
    for client, person in zip(hall.clients, people, strict=True):
        assert client.share is person.share()
        assert client.public_key == hall.coordinator.public_key == person.joint_key
    tags = {c.tag_key.for_message("e", 1, 1, 1, "c")([1], 2**61 - 1) for c in hall.clients}
    assert len(tags) == 1
    kept = b"".join(
        hall.kms._archive.store.get(t, n) for t in ("kms", "kms/messages") for n in hall.kms._archive.store.list(t)
    )
    for secret in (*hall.scheme.seen, *(expose_secret(p.share()) for p in people)):
        assert secret not in kept
    assert [e.action for e in hall.kms.audit_log.entries][-3:] == ["begin ceremony", "prepare", "activate"]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Tag keys that a KMS of this process draws."""
    drawn: list[bytes] = []

    def draw() -> TagKey:
        key = TagKey()
        drawn.append(expose_tag_key(key))
        return key

    monkeypatch.setattr("hefl_core.keys.kms.service.TagKey", draw)
    return drawn


def test_the_kms_knows_the_tag_key_of_a_dealt_key_and_not_of_this_one(
    hall: Hall, made: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who knows it makes the tag of a changed sum fit: KMS and coordinator could with a dealt key, and cannot here."""
    people = hall.ceremony()
    hall.register(people)
    hall.enrol(people)
    keys = {expose_tag_key(client.tag_key) for client in hall.clients}
    assert len(keys) == 1 and not made
    kept = b"".join(hall.kms._archive.store.get(t, n) for t in TABLES for n in hall.kms._archive.store.list(t))
    assert not any(key[:32] in kept or key[32:] in kept for key in keys)
    with pytest.raises(RoundError, match="holds no share"):
        hall.kms.share_envelope("client-1")
    monkeypatch.setattr("hefl_core.keys.kms.service.open_scheme", open_scheme)
    dealt = make_world()
    dealt.kms.open_epoch(1, 10)
    assert made == [expose_tag_key(dealt.enrolled(dealt.clients[0]).tag_key)]


TABLES = ("kms", "kms/audit", "kms/epochs", "kms/messages", "kms/prekeys")


def test_every_client_has_its_part_in_the_tag_key() -> None:
    parts = [bytes([number]) * 32 for number in range(5)]
    keys = {expose_tag_key(joint_tag_key(parts))}
    for number in range(5):
        keys.add(expose_tag_key(joint_tag_key([*parts[:number], b"x" * 32, *parts[number + 1 :]])))
    assert len(keys) == 6 and all(key[:32] != key[32:] for key in keys)
    for wrong in ([], [b"short"], [*parts, b""]):
        with pytest.raises(WireError, match="tag key"):
            joint_tag_key(wrong)


@pytest.mark.parametrize("step", STEPS[:-1])
def test_what_a_client_withholds_from_one_is_missed_by_name_and_late_is_not_lost(step: str) -> None:
    """The others have it; this one goes on only when it comes. Control: then the ceremony ends as always."""
    people = participants()
    up_to(people, step)
    late: list[Envelope] = []
    for envelope in [e for p in people for e in p.say(step)]:
        withheld = envelope.header.sender == "client-2" and "client-1" in envelope.header.recipients
        deliver(envelope, people[1:] if withheld else people)
        late += [envelope] * withheld
    rest = STEPS[STEPS.index(step) + 1 :]
    with pytest.raises(RoundError, match=f"the {step} of client-2 is missing"):
        people[0].say(rest[0])
    for envelope in late:
        people[0].receive(envelope)
    for after in rest:
        for envelope in [e for p in people for e in p.say(after)]:
            deliver(envelope, people)
    assert people[0].share().index == 1


def deals_with(*shifts: int) -> Toy:
    """A toy whose dealt points are off by so much, each holder's by its own number."""
    toy = Toy()
    honest = toy.joint_deal

    def wrong(secret: bytes, quorum: Quorum, index: int) -> tuple[bytes, ...]:
        points = [int.from_bytes(point, "big") for point in honest(secret, quorum, index)]
        return tuple(((point + shift) % Q).to_bytes(11, "big") for point, shift in zip(points, shifts, strict=True))

    toy.joint_deal = wrong  # type: ignore[method-assign]
    return toy


@pytest.mark.parametrize("holder", range(5))
def test_a_wrong_point_for_one_holder_is_seen(holder: int) -> None:
    people = participants()
    people[4] = participant(IDENTITIES[4], scheme=deals_with(*(int(place == holder) for place in range(5))))
    with pytest.raises(IntegrityError):
        list(conduct(people))


def test_wrong_points_that_cancel_in_the_tested_sets_are_not_seen() -> None:
    """The limit that docs/sharp_edges.md states: with λ_2 = -3 and λ_3 = 1 in {1, 2, 3}, shifts of 1 and 3 cancel there."""
    people = participants()
    people[4] = participant(IDENTITIES[4], scheme=deals_with(0, 1, 3, 0, 0))
    assert people[0]._sets() == [(1, 2, 3), (1, 4, 5)]
    list(conduct(people))
    key, toy, known = people[0].joint_key, Toy(), np.array([0.5, -0.25, 0.0, 1.0])
    assert key is not None
    total = toy.encrypt(key, known)

    def opens(active: tuple[int, ...]) -> bool:
        parts = [toy.partial_decrypt(people[index - 1].share(), total, active) for index in active]
        try:
            return bool(np.allclose(toy.combine(key, total, parts), known))
        except (IntegrityError, ValueError, OverflowError):
            return False

    assert [active for active in ((1, 2, 3), (1, 4, 5), (2, 4, 5)) if opens(active)] == [(1, 2, 3), (1, 4, 5)]


@pytest.mark.parametrize("part", [b"x" * 32, b"short"])
def test_a_client_that_deals_another_part_to_one_is_noticed(part: bytes) -> None:
    """Their tags would never fit; the results that they approve differ before any key is used."""
    people, toy, dealt = participants(), Toy(), []
    honest = toy.joint_deal
    toy.joint_deal = lambda *of: dealt.append(honest(*of)) or dealt[-1]  # type: ignore[method-assign,func-returns-value]
    people[1] = participant(IDENTITIES[1], scheme=toy)
    up_to(people, "deal")
    for envelope in [e for p in people for e in p.say("deal")]:
        if (envelope.header.sender, envelope.header.recipients) == ("client-2", ("client-1",)):
            seal = sealer([ROSTER.member("client-1")], people[1]._info("deal", "client-2", 1))
            lie = encode(Dealt(dealt[0][0], part))
            envelope = people[1]._outbox.compose("ceremony deal", Position(1, 0), ("client-1",), lie, seal=seal)
            if part == b"short":
                with pytest.raises(WireError, match="tag key"):
                    people[0].receive(envelope)
                return
        deliver(envelope, people)
    with pytest.raises(IntegrityError, match="another result"):
        for step in STEPS[STEPS.index("deal") + 1 :]:
            for envelope in [e for p in people for e in p.say(step)]:
                deliver(envelope, people)


def test_it_rotates_by_another_ceremony(hall: Hall) -> None:
    first = hall.ceremony()
    hall.register(first)
    hall.enrol(first)
    second = hall.ceremony(4, 10)
    assert hall.clients[0].record.epoch == 1 and hall.kms.active.epoch == 1
    hall.register(second)
    hall.enrol(second)
    assert [e.state.value for e in hall.kms.epochs] == ["decrypt-only", "active"]
    assert hall.clients[0].share.id.epoch == 2


def test_an_interrupted_ceremony_is_abandoned(hall: Hall) -> None:
    hall.ceremony()
    people = hall.ceremony()
    assert [e.state.value for e in hall.kms.epochs] == ["destroyed", "pending"]
    hall.register(people)
    hall.enrol(people)
    assert hall.clients[2].record.epoch == 2


@pytest.mark.parametrize("point", ["preparing", "prepared", "activating", "activated"])
def test_a_restart_while_registering(hall: Hall, point: str) -> None:
    class PowerCut(Exception):
        pass

    first = hall.ceremony()
    hall.register(first)
    hall.enrol(first)
    people = hall.ceremony(3, 10)
    for refused in (lambda: hall.kms.rotate(3), lambda: hall.kms.open_epoch(3, 10)):
        with pytest.raises(RoundError):
            refused()

    def stop_at(name: str) -> None:
        if name == point:
            raise PowerCut

    hall.kms._point = stop_at  # type: ignore[method-assign]
    with pytest.raises(PowerCut):
        hall.register(people)
    hall.kms = KMS.reopen(hall.kms._archive.store)
    moved = point == "activated"
    assert hall.kms.active.epoch == (2 if moved else 1)
    hall.register(people)
    assert [e.state.value for e in hall.kms.epochs] == ["decrypt-only", "active"]
    hall.enrol(people)


def test_what_the_kms_does_not_register(hall: Hall) -> None:
    people = hall.ceremony()
    key, result = people[0].joint_key, people[0].result()
    assert key is not None
    headers = [p.say("approval")[0].signed_header for p in people]
    forged = message("approval", encode(result), Identity("client-5", "client"), recipients=("kms",)).signed_header
    other_step = people[4].say("nonce commitment")[0].signed_header
    other_key = replace(key, material=b"x")
    for wrong in (
        (key, result, headers[:4]),
        (key, result, [*headers[:4], forged]),
        (key, result, [*headers[:4], other_step]),
        (key, result, [*headers[:4], headers[0]]),
        (other_key, result, headers),
        (key, replace(result, public_key_digest=b"x" * 32), headers),
        (key, replace(result, epoch=2), headers),
        (key, replace(result, quorum=Quorum(2, 5)), headers),
    ):
        with pytest.raises((IntegrityError, WireError)):
            hall.kms.register(*wrong)
    hall.kms.register(key, result, headers)
    once = hall.kms.audit_log.head
    hall.kms.register(key, result, headers)  # its answer was lost
    assert hall.kms.audit_log.head == once
    for refused in (lambda: hall.kms.open_epoch(11, 20), lambda: hall.kms.begin_ceremony(1, 10)):
        with pytest.raises(RoundError):
            refused()


def test_a_kms_that_registers_another_key_is_noticed(hall: Hall) -> None:
    """The KMS swaps in a key it knows: the clients' approvals are missing, and their shares belong to another key."""
    people = hall.ceremony()
    hall.register(people)
    honest = hall.kms.epoch_envelope()
    announcement = decode(honest.body, EpochAnnouncement)
    swapped = replace(announcement.public_key, material=encode((b"\1" * 11, b"\2" * 11)))
    swapped = replace(swapped, id=replace(swapped.id, fingerprint=fingerprint(swapped)))
    record = replace(announcement.record, public_key_digest=public_key_digest(swapped))
    for change in (
        replace(announcement, approvals=None),
        replace(announcement, record=replace(announcement.record, dealer="kms")),
        replace(announcement, public_key=swapped, record=record),
        replace(announcement, public_key=swapped, record=replace(record, dealer="kms"), approvals=None),
    ):
        outbox = Outbox("kms", hall.kms._identity, EXPERIMENT)
        everybody = honest.header.recipients
        key_id = str(change.public_key.id)
        envelope = outbox.compose("epoch", Position(1, 0), everybody, encode(change), key_id=key_id)
        adopted = hall.clients[0]
        adopted.holder.take(people[0].share())
        if change.record.dealer == "kms" and change.approvals is None:  # a dealer that says so, against the agreement
            hall.coordinator = Enrolment(COORDINATOR, EXPERIMENT, hall.kms.member.signing, custody=hall.custody)
            hall.coordinator.receive(hall.kms.roster_envelope())
            with pytest.raises((IntegrityError, KeyMismatch)):
                hall.coordinator.receive(envelope)
            with pytest.raises(KeyMismatch):
                adopted.receive(envelope)
            continue
        with pytest.raises(IntegrityError):
            hall.coordinator.receive(envelope)
        with pytest.raises(IntegrityError):
            adopted.receive(envelope)
    other = people[0].share()
    stranger = SecretShare(replace(other.id, fingerprint="0" * 64), other.quorum, 1, b"x" * 11)
    hall.clients[1].receive(honest)
    with pytest.raises(KeyMismatch):
        hall.clients[1].adopt(stranger, TagKey())
    hall.clients[2].adopt(stranger, TagKey())
    with pytest.raises(KeyMismatch):
        hall.clients[2].receive(honest)
    with pytest.raises(SecretKeyEscape):
        hall.coordinator.adopt(other, TagKey())


def test_a_share_from_a_ceremony_survives_a_restart(
    tmp_path: Path, key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "client.db"
    with KeyStore(path, key_file) as store:
        hall = Hall(monkeypatch, store)
        people = hall.ceremony()
        hall.register(people)
        hall.enrol(people)
        secret = expose_secret(people[0].share())
    disk = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.name.startswith("client.db"))
    assert secret not in disk
    with KeyStore(path, key_file) as store:
        again = Enrolment(IDENTITIES[0], EXPERIMENT, hall.kms.member.signing, store=store)
        assert expose_secret(again.share) == secret
        assert again.tag_key is not None
        again.destroy(1)
    with KeyStore(path, key_file) as store:
        again = Enrolment(IDENTITIES[0], EXPERIMENT, hall.kms.member.signing, store=store)
        with pytest.raises(KeyNotActive):
            _ = again.share

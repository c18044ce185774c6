"""Life cycle of keys at the KMS, and what it gives to whom."""

from __future__ import annotations

import gc
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from hefl_core.errors import KeyNotActive, KeyUseError, ParameterError, RoundError, SecretKeyEscape
from hefl_core.ids import client_name
from hefl_core.keys.custody import Custody
from hefl_core.keys.epochs import EpochAnnouncement, EpochState
from hefl_core.keys.identity import Identity
from hefl_core.keys.kms.service import KMS
from hefl_core.keys.roster import Roster
from hefl_core.keys.sum_tag import expose_tag_key
from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.unlock import KeyFile
from hefl_core.schemes.base import expose_secret
from hefl_core.wire.canonical import decode, encode

from ..world import EXPERIMENT, PRESET, Dealer, World, make_world


def states(kms: KMS) -> list[str]:
    return [epoch.state.value for epoch in kms.epochs]


def test_the_first_epoch(world: World) -> None:
    kms = world.kms
    assert states(kms) == ["active"] and kms.active.epoch == 1
    roster = decode(kms.roster_envelope().body, Roster)
    assert roster.members[0] == kms.member
    assert [m.name for m in roster.members] == ["kms", "coordinator", "auditor", "client-1", "client-2", "client-3"]
    announcement = decode(kms.epoch_envelope().body, EpochAnnouncement)
    assert announcement.record.roster_digest == roster.digest
    assert (announcement.record.epoch, announcement.record.previous, announcement.record.dealer) == (1, b"", "kms")
    assert (announcement.record.first_round, announcement.record.last_round) == (1, 10)
    sequences = [kms.roster_envelope(), kms.epoch_envelope(), *(kms.share_envelope(c) for c in roster.clients)]
    assert [e.header.sequence for e in sequences] == list(range(5))
    assert [e.header.previous for e in sequences[1:]] == [e.header.digest for e in sequences[:-1]]
    assert kms.roster_envelope().header.recipients == ("coordinator", "auditor", "client-1", "client-2", "client-3")


def test_asking_again_brings_the_same_bytes(world: World) -> None:
    asks: list[Callable[[], bytes]] = [
        lambda: world.kms.roster_envelope().to_bytes(),
        lambda: world.kms.epoch_envelope().to_bytes(),
        lambda: world.kms.share_envelope("client-2").to_bytes(),
    ]
    for ask in asks:
        assert ask() == ask()


def test_recipients_do_not_depend_on_the_order_of_enrolment() -> None:
    world = make_world()
    kms = KMS(EXPERIMENT, PRESET, Custody.parse("individual", 3))
    for identity in reversed(world.identities):
        kms.enrol(identity.member)
    world.kms = kms
    world.deposit()
    kms.open_epoch(1, 2)
    assert kms.roster_envelope().header.recipients == ("coordinator", "auditor", "client-3", "client-2", "client-1")


ROUTES = ["coordinator", "auditor", "kms", "client-1", "client-9", ""]


@pytest.mark.parametrize("asked_for", ROUTES)
def test_routes_by_roles(world: World, asked_for: str) -> None:
    """Roster and record go to everybody; a share goes to the client it is for, and to nobody else."""
    if asked_for == "client-1":
        assert world.kms.share_envelope(asked_for).header.recipients == ("client-1",)
        return
    with pytest.raises(SecretKeyEscape if asked_for in ("coordinator", "auditor", "kms") else RoundError):
        world.kms.share_envelope(asked_for)


@pytest.fixture
def dealer(monkeypatch: pytest.MonkeyPatch) -> Dealer:
    made = Dealer()
    monkeypatch.setattr("hefl_core.keys.kms.service.open_scheme", lambda name: made)
    return made


def test_no_message_holds_a_secret_in_the_open(dealer: Dealer) -> None:
    world = make_world()
    world.kms.open_epoch(1, 10)
    sealed = b"".join(world.kms.share_envelope(c.name).to_bytes() for c in world.clients)
    open_ = world.kms.roster_envelope().to_bytes() + world.kms.epoch_envelope().to_bytes()
    log = b"".join(encode(entry) for entry in world.kms.audit_log.entries)
    enrolments = [world.enrolled(client) for client in world.clients]
    assert [expose_secret(e.share) for e in enrolments] == dealer.dealt
    secrets = [*dealer.dealt, expose_tag_key(enrolments[0].tag_key)]
    for secret in secrets:
        for place in (sealed, open_, log):
            assert secret not in place and secret[:32] not in place and secret.hex().encode() not in place


def test_the_kms_keeps_no_key(
    tmp_path: Path, key_file: KeyFile, dealer: Dealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on disk nor, encrypted, in the store: only what is sealed to the clients. Its own keys are encrypted."""
    kept: list[bytes] = []
    honest = KeyStore.put

    def watched(self: KeyStore, table: str, name: str, value: bytes) -> None:
        kept.append(value)
        honest(self, table, name, value)

    monkeypatch.setattr(KeyStore, "put", watched)
    with KeyStore(tmp_path / "keys.db", key_file) as store:
        world = make_world(store=store)
        world.kms.open_epoch(1, 10)
        disk = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.name.startswith("keys.db"))
        own = decode(store.get("identities", "kms"), tuple[str, str, bytes, bytes])
    assert own[2] in b"".join(kept)  # the watch works
    for secret in (*dealer.dealt, *own[2:]):
        assert secret not in disk
    for secret in dealer.dealt:
        assert not any(secret in value for value in kept)
    assert not any(secret in gc_bytes(world.kms) for secret in dealer.dealt)
    world.kms.planted = {"key": [dealer.dealt[0]]}  # type: ignore[attr-defined]
    assert dealer.dealt[0] in gc_bytes(world.kms)  # the search works


def gc_bytes(root: object) -> bytes:
    """Every byte string reachable from an object."""
    seen, queue, found = set(), [root], []
    while queue:
        one = queue.pop()
        if id(one) in seen or isinstance(one, type | types.ModuleType | types.FunctionType | Dealer):
            continue
        seen.add(id(one))
        if isinstance(one, bytes):
            found.append(one)
        queue += gc.get_referents(one)
    return b" ".join(found)


def test_who_may_enrol() -> None:
    world = make_world(clients=2)
    kms, taken = world.kms, world.clients[0].member
    joiner = Identity("client-3", "client")
    fresh = joiner.member
    for refused in (
        Identity("client-1", "client").member,
        type(fresh)("client-3", "client", taken.signing, b""),
        type(fresh)("client-3", "client", kms.member.signing, b""),
        Identity("coordinator-2", "coordinator").member,
        Identity("auditor-2", "auditor").member,
        Identity("observer", "observer").member,
        Identity("kms", "client").member,
        Identity("kms-2", "kms").member,
    ):
        with pytest.raises(RoundError):
            kms.enrol(refused)
    kms.open_epoch(1, 10)
    with pytest.raises(RoundError):
        kms.enrol(Identity("auditor-3", "auditor").member)
    kms.enrol(fresh)
    with pytest.raises(RoundError):
        kms.share_envelope("client-3")
    world.deposit(joiner)
    kms.rotate(5)
    assert kms.share_envelope("client-3").header.recipients == ("client-3",)


def test_opening_needs_the_custody_s_clients() -> None:
    with pytest.raises(RoundError):
        KMS(EXPERIMENT, PRESET, Custody.parse("individual", 3)).open_epoch(1, 10)
    world = make_world(clients=3)
    world.kms.enrol(Identity("client-4", "client").member)
    with pytest.raises(ParameterError):
        world.kms.open_epoch(1, 10)
    for first, last in ((0, 1), (2, 1)):
        with pytest.raises(ParameterError):
            make_world().kms.open_epoch(first, last)
    world = make_world()
    with pytest.raises(KeyNotActive):
        world.kms.roster_envelope()
    with pytest.raises(KeyNotActive):
        world.kms.rotate(2)
    world.kms.open_epoch(1, 10)
    with pytest.raises(RoundError):
        world.kms.open_epoch(11, 20)


def test_rotation_revocation_and_destruction(world: World) -> None:
    kms = world.kms
    first = decode(kms.epoch_envelope().body, EpochAnnouncement)
    kms.revoke("client-2")
    assert kms.share_envelope("client-2").header.position.epoch == 1  # until the next epoch
    for name in ("client-9", "coordinator"):
        with pytest.raises(RoundError):
            kms.revoke(name)
    kms.rotate(6)
    second = decode(kms.epoch_envelope().body, EpochAnnouncement)
    assert states(kms) == ["decrypt-only", "active"]
    assert second.record.previous == first.record.digest and second.history == (first.record,)
    assert (second.record.first_round, second.record.last_round) == (6, 10)
    assert second.record.quorum.holders == 2
    assert second.public_key.id != first.public_key.id
    assert kms.share_envelope("client-3").header.position.epoch == 2
    with pytest.raises(KeyUseError):
        kms.share_envelope("client-2")
    assert kms.share_envelope("client-2", 1).header.position.epoch == 1
    with pytest.raises(RoundError):
        kms.enrol(Identity("client-2", "client").member)
    kms.destroy(1)
    assert states(kms) == ["destroyed", "active"]
    for refused in (
        lambda: kms.share_envelope("client-3", 1),
        lambda: kms.destroy(2),
        lambda: kms.share_envelope("client-3", 7),
    ):
        with pytest.raises(KeyNotActive):
            refused()
    with pytest.raises(RoundError):
        kms.rotate(5)


def test_a_repeated_change_changes_nothing(world: World) -> None:
    """The answer to a change may be lost; its repetition is answered alike, and the log shows it once."""
    kms = world.kms
    for change in (
        lambda: kms.enrol(world.clients[0].member),
        lambda: kms.open_epoch(1, 10),
        lambda: kms.rotate(6, 10),
        lambda: kms.revoke("client-2"),
        lambda: kms.rotate(7, 10),
        lambda: kms.destroy(1),
        lambda: kms.end(3),
    ):
        change()
        once = (kms.audit_log.head, kms.epochs, kms._archive.outbox(), kms._archive.members())
        change()
        assert (kms.audit_log.head, kms.epochs, kms._archive.outbox(), kms._archive.members()) == once
    assert states(kms) == ["destroyed", "decrypt-only", "destroyed"]


def test_what_only_looks_like_a_repetition_is_none(world: World) -> None:
    """The second fault: the same rounds, but a client was revoked since; other rounds; a revoked client enrolled again."""
    kms = world.kms
    kms.rotate(6, 10)
    kms.revoke("client-2")
    kms.rotate(6, 10)
    assert kms.active.epoch == 3 and kms.active.roster.clients == ("client-1", "client-3")
    kms.rotate(6, 9)
    assert kms.active.epoch == 4 and kms.active.last_round == 9
    with pytest.raises(RoundError):
        kms.enrol(world.clients[1].member)
    with pytest.raises(KeyNotActive, match="is active"):
        kms.destroy(4)


def test_too_few_left_for_the_threshold(dealer: Dealer) -> None:
    world = make_world(custody="3-of-3")
    world.kms.open_epoch(1, 10)
    world.kms.revoke("client-1")
    with pytest.raises(ParameterError):
        world.kms.rotate(2)
    assert states(world.kms) == ["active"]


def test_the_audit_log_tells_it_all(world: World) -> None:
    world.kms.revoke("client-1")
    world.kms.rotate(2)
    world.kms.destroy(1)
    log = world.kms.audit_log
    log.verify(world.kms.member.signing)
    assert [(e.action, e.subject) for e in log.entries[5:]] == [
        ("prepare", "epoch-1"),
        ("activate", "epoch-1"),
        ("revoke", "client-1"),
        ("prepare", "epoch-2"),
        ("retire", "epoch-1"),
        ("activate", "epoch-2"),
        ("destroy", "epoch-1"),
    ]


class PowerCut(Exception):
    """Not a HeflError: nothing may catch it."""


POINTS = ["cleared", "key made", "preparing", "prepared", "activating", "activated"]


@pytest.mark.parametrize("point", POINTS)
def test_a_restart_at_any_point_leaves_one_active_epoch(tmp_path: Path, point: str, key_file: KeyFile) -> None:
    path = tmp_path / "keys.db"
    with KeyStore(path, key_file) as store:
        world = make_world(store=store)
        world.kms.open_epoch(1, 10)
        world.kms.revoke("client-3")
        before = world.kms.epoch_envelope().to_bytes()

        def stop_at(name: str) -> None:
            if name == point:
                raise PowerCut

        world.kms._point = stop_at  # type: ignore[method-assign]
        with pytest.raises(PowerCut):
            world.kms.rotate(4)
    with KeyStore(path, KeyFile(tmp_path / "store.key")) as store:
        kms = KMS.reopen(store)
        assert kms.member == world.kms.member
        moved = point == "activated"
        assert [e.state for e in kms.epochs].count(EpochState.ACTIVE) == 1
        assert kms.active.epoch == (2 if moved else 1)
        assert (kms.epoch_envelope(1).to_bytes(), kms.epoch_envelope(1).header.position.epoch) == (before, 1)
        kms.audit_log.verify(kms.member.signing)
        world.kms = kms
        enrolment = world.enrolled(world.clients[0])
        if not moved:
            kms.rotate(4)
            for envelope in (kms.roster_envelope(), kms.epoch_envelope(), kms.share_envelope("client-1")):
                enrolment.receive(envelope)
        assert [e.state for e in kms.epochs].count(EpochState.ACTIVE) == 1
        assert enrolment.roster.clients == ("client-1", "client-2")
        assert enrolment.share.id == enrolment.public_key.id
        kms.audit_log.verify(kms.member.signing)
        sequence, _ = kms._archive.outbox()
        assert kms.share_envelope("client-2").header.sequence == sequence - 1


def test_a_store_belongs_to_one_kms(store: KeyStore) -> None:
    with pytest.raises(KeyUseError):
        KMS.reopen(store)
    make_world(store=store)
    for experiment, preset, custody in (
        ("experiment-2", PRESET, "individual"),
        (EXPERIMENT, PRESET, "2-of-3"),
    ):
        with pytest.raises(ParameterError):
            KMS(experiment, preset, Custody.parse(custody, 3), store=store)


def test_dealer_free_keys_are_not_dealt() -> None:
    world = make_world(custody="dealer-free:2-of-3")
    with pytest.raises(RoundError):
        world.kms.open_epoch(1, 10)


def test_many_clients_are_numbered_in_order() -> None:
    world = make_world(clients=12)
    world.kms.open_epoch(1, 1)
    assert world.enrolled(world.clients[10]).share.index == 11
    assert world.clients[10].name == client_name(11)


def test_a_rotation_that_came_between_stops_the_other(world: World) -> None:
    """Two processes over one store: the first one's pending epoch is abandoned; it must not end the active one."""
    kms = world.kms

    def interrupt(name: str) -> None:
        if name == "prepared":
            kms._point = lambda name: None  # type: ignore[method-assign]
            kms.rotate(3)

    kms._point = interrupt  # type: ignore[method-assign]
    with pytest.raises(RoundError, match="came between"):
        kms.rotate(3)
    assert states(kms) == ["decrypt-only", "destroyed", "active"]
    world.enrolled(world.clients[0])

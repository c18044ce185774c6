"""A sealing key for one epoch: made ahead, signed by its client, used once, destroyed for good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hefl_core.errors import (
    IntegrityError,
    KeyNotActive,
    KeyUseError,
    ParameterError,
    QuorumError,
    RoundError,
    SecretKeyEscape,
)
from hefl_core.keys.enrolment import Enrolment
from hefl_core.keys.identity import Identity
from hefl_core.keys.kms.service import KMS
from hefl_core.keys.prekeys import AHEAD, MOST, Prekey, Prekeys
from hefl_core.keys.roster import Roster, check_voucher
from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.unlock import KeyFile
from hefl_core.wire.canonical import decode

from .world import EXPERIMENT, World, make_world

CLIENT = Identity("client-1", "client")


def test_it_offers_the_same_keys_again_and_signs_each_for_its_epoch() -> None:
    keys = Prekeys(CLIENT, EXPERIMENT)
    offered = keys.offer(3)
    assert [one.epoch for one in offered] == list(range(3, 3 + AHEAD)) and keys.offer(3) == offered
    assert len({one.sealing for one in offered}) == AHEAD
    assert keys.offer(4)[: AHEAD - 1] == offered[1:]
    for one in offered:
        check_voucher(EXPERIMENT, one.epoch, one.line(CLIENT.member))
        for experiment, epoch in (("experiment-2", one.epoch), (EXPERIMENT, one.epoch + 1)):
            with pytest.raises(IntegrityError, match="its own signature"):
                check_voucher(experiment, epoch, one.line(CLIENT.member))
    with pytest.raises(IntegrityError):
        check_voucher(EXPERIMENT, 3, replace(offered[0].line(CLIENT.member), name="client-2"))


def test_it_is_in_the_store_before_anybody_hears_of_it_and_gone_for_good(tmp_path: Path, key_file: KeyFile) -> None:
    path = tmp_path / "client.db"
    with KeyStore(path, key_file) as store:
        offered = Prekeys(CLIENT, EXPERIMENT, store).offer(1)
    with KeyStore(path, key_file) as store:
        keys = Prekeys(CLIENT, EXPERIMENT, store)
        assert keys.offer(1) == offered
        private = keys.key(2)._export()
        keys.destroy(2)
        assert private not in [store.get("sealing/client-1", name) for name in store.list("sealing/client-1")]
    with KeyStore(path, key_file) as store:
        keys = Prekeys(CLIENT, EXPERIMENT, store)
        for epoch in (1, 2):
            with pytest.raises(KeyNotActive, match="was destroyed"):
                keys.key(epoch)
            with pytest.raises(KeyNotActive, match="is destroyed"):
                keys.offer(epoch)  # a second key for one epoch would be a way back into it
        assert keys.offer(3)[0] == offered[2]


def rows(store: KeyStore) -> int:
    return len(store.list("sealing/client-1"))


@pytest.mark.parametrize("guarded", [True, False])
def test_a_far_question_makes_no_key_and_spoils_no_honest_one(
    guarded: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key_file: KeyFile
) -> None:
    """Without the guard four far questions fill the store, and the next honest offer finds no room."""
    if not guarded:
        monkeypatch.setattr("hefl_core.keys.enrolment.AHEAD", 10**9)
    world = make_world()
    with KeyStore(tmp_path / "client.db", key_file) as store:
        enrolment = Enrolment(CLIENT, EXPERIMENT, world.kms.member.signing, store=store)
        assert len(enrolment.sealing_keys(AHEAD)) == AHEAD and rows(store) == AHEAD
        if not guarded:
            for first in (1000, 2000, 3000):
                enrolment.sealing_keys(first)
            assert rows(store) == MOST
            with pytest.raises(KeyUseError, match="at most"):
                enrolment.sealing_keys(1)
            return
        for first in (AHEAD + 1, 1000, 2000, 3000):
            with pytest.raises(KeyUseError, match="it is far ahead"):
                enrolment.sealing_keys(first)
        assert rows(store) == AHEAD
        assert [one.epoch for one in enrolment.sealing_keys(1)] == list(range(1, 1 + AHEAD))


def test_keys_of_later_epochs_alone_leave_a_client_to_be_asked() -> None:
    """A relay that holds the first keys back, or one in the middle, hides nothing by the later ones."""
    world = make_world()
    store = world.kms._archive.store
    for name, epochs in (("client-1", range(1, 9)), ("client-2", (4,))):
        for epoch in epochs:
            store.delete("kms/prekeys", f"{epoch:08d}/{name}")
    assert world.kms.clients_to_ask() == ("client-1", "client-2")
    world.deposit()
    assert world.kms.clients_to_ask() == ()


def test_nobody_fills_a_client_s_store_and_only_clients_have_such_keys() -> None:
    keys = Prekeys(CLIENT, EXPERIMENT)
    for number in range(MOST // AHEAD):
        keys.offer(1 + AHEAD * number)
    with pytest.raises(KeyUseError, match="at most"):
        keys.offer(10_000)
    keys.destroy(AHEAD)
    keys.offer(10_000)
    with pytest.raises(KeyUseError):
        Prekeys(Identity("auditor", "auditor"), EXPERIMENT)
    world = make_world()
    with pytest.raises(SecretKeyEscape):
        world.enrolment(world.auditor).sealing_keys(1)


def bad(world: World, change: str) -> Prekey:
    """A deposit that is to be refused."""
    honest = Prekeys(world.clients[0], EXPERIMENT).offer(1)[0]
    other = Prekeys(world.clients[0], "experiment-2").offer(1)[0]
    return {
        "a second key for one epoch": honest,
        "a past epoch": replace(world.prekeys["client-1"].offer(1)[0], epoch=0),
        "an epoch far away": Prekeys(world.clients[0], EXPERIMENT).offer(MOST + 2)[0],
        "a stranger": Prekeys(Identity("client-9", "client"), EXPERIMENT).offer(1)[0],
        "the coordinator": replace(honest, client="coordinator"),
        "another's signature": Prekeys(Identity("client-1", "client"), EXPERIMENT).offer(20)[0],
        "another experiment's": replace(other, epoch=20),
        "a key in use": replace(world.prekeys["client-2"].offer(1)[0], client="client-1", epoch=20),
        "the coordinator's key": replace(honest, sealing=world.coordinator.member.sealing, epoch=20),
    }[change]


CHANGES = (
    "a second key for one epoch",
    "a past epoch",
    "an epoch far away",
    "a stranger",
    "the coordinator",
    "another's signature",
    "another experiment's",
    "a key in use",
    "the coordinator's key",
)


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_kms_does_not_take(change: str) -> None:
    world = make_world()
    before = world.kms._archive.prekeys()
    with pytest.raises((RoundError, IntegrityError)):
        world.kms.deposit((*world.prekeys["client-1"].offer(2), bad(world, change)))
    assert world.kms._archive.prekeys() == before  # all of a deposit, or nothing
    world.deposit()  # the same ones again change nothing
    assert world.kms._archive.prekeys() == before


def rosters(kms: KMS) -> Roster:
    return decode(kms.roster_envelope().body, Roster)


def test_each_epoch_has_its_own_keys_and_each_is_used_once() -> None:
    world = make_world()
    world.kms.open_epoch(1, 10)
    first = rosters(world.kms)
    world.kms.rotate(3)
    second = rosters(world.kms)
    keys = [roster.member(name).sealing for roster in (first, second) for name in first.clients]
    assert len(set(keys)) == 6
    assert not [epoch for epoch, _ in world.kms._archive.prekeys() if epoch <= 2]


def test_clients_are_asked_when_half_of_their_keys_are_used() -> None:
    world = make_world()
    world.kms.open_epoch(1, 100)
    assert world.kms.clients_to_ask() == ()
    for number in range(2, AHEAD // 2 + 2):
        world.kms.rotate(number)
    assert world.kms.clients_to_ask() == ("client-1", "client-2", "client-3")
    world.deposit(world.clients[1])
    assert world.kms.clients_to_ask() == ("client-1", "client-3")
    world.kms.revoke("client-3")
    assert world.kms.clients_to_ask() == ("client-1",)


def out_of_keys(world: World, name: str) -> None:
    """The KMS has none of this client's any more."""
    store = world.kms._archive.store
    for row in store.list("kms/prekeys"):
        if row.endswith(f"/{name}"):
            store.delete("kms/prekeys", row)


def test_who_has_deposited_none_is_left_out_of_the_epoch_and_comes_back_with_the_next() -> None:
    world = make_world(custody="individual")
    world.kms.open_epoch(1, 10)
    out_of_keys(world, "client-2")
    world.kms.rotate(3)
    assert rosters(world.kms).clients == ("client-1", "client-3")
    left_out = [entry for entry in world.kms.audit_log.entries if entry.action == "leave out"]
    assert [(one.subject, dict(one.details)["reason"]) for one in left_out] == [("client-2", "no sealing key")]
    world.deposit(world.clients[1])
    world.kms.rotate(4)
    assert rosters(world.kms).clients == ("client-1", "client-2", "client-3")
    late = world.enrolled(world.clients[1])
    assert late.record.epoch == 3 and late.share.index == 2


def test_also_the_first_epoch_begins_without_who_never_came() -> None:
    world = make_world()
    out_of_keys(world, "client-3")
    world.kms.open_epoch(1, 10)
    assert rosters(world.kms).clients == ("client-1", "client-2")
    other = make_world()
    other.kms.enrol(Identity("client-4", "client").member)
    with pytest.raises(ParameterError):  # one more than the custody says is another matter
        other.kms.open_epoch(1, 10)


@pytest.mark.parametrize("opened", [True, False])
def test_a_quorum_that_cannot_be_kept_is_said(opened: bool) -> None:
    world = make_world()
    if opened:
        world.kms.open_epoch(1, 10)
    for name in ("client-1", "client-2", "client-3"):
        out_of_keys(world, name)
    with pytest.raises(QuorumError, match="none of client-1, client-2, client-3") as refused:
        world.kms.rotate(2) if opened else world.kms.open_epoch(1, 10)
    assert (refused.value.have, refused.value.need) == (0, 1)

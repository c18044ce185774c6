"""What a party refuses to take from whoever relays the KMS's messages, and from the KMS itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hefl_core.errors import (
    HeflError,
    IntegrityError,
    KeyMismatch,
    KeyNotActive,
    KeyUseError,
    RoundError,
    SecretKeyEscape,
    WireError,
)
from hefl_core.keys.custody import Custody
from hefl_core.keys.enrolment import Enrolment
from hefl_core.keys.epochs import EpochAnnouncement, EpochState, fingerprint, public_key_digest
from hefl_core.keys.identity import Identity
from hefl_core.keys.kms.records import Archive, Settings, keep_identity, recall_identity
from hefl_core.keys.kms.service import KMS
from hefl_core.keys.roster import Member, Roster, RosterPin
from hefl_core.keys.sealing import pack_share, sealer, share_info
from hefl_core.keys.sum_tag import TagKey
from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.unlock import KeyFile
from hefl_core.schemes.base import PublicKey, SecretShare
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position
from hefl_core.wire.outbox import Outbox, Seal

from .world import EXPERIMENT, PRESET, World, roster_of


def signed(
    world: World,
    kind: str,
    content: bytes,
    *,
    epoch: int = 1,
    to: str = "client-1",
    key_id: str = "",
    seal: Seal | None = None,
    by: Identity | None = None,
) -> Envelope:
    """A message that the KMS (or somebody else) really signed."""
    signer = by or world.kms._identity
    return Outbox("kms", signer, EXPERIMENT).compose(kind, Position(epoch, 0), (to,), content, key_id=key_id, seal=seal)


def announcement(world: World) -> EpochAnnouncement:
    return decode(world.kms.epoch_envelope().body, EpochAnnouncement)


def test_everybody_enrols(world: World) -> None:
    for identity in world.identities:
        enrolled = world.enrolled(identity)
        assert enrolled.roster.clients == ("client-1", "client-2", "client-3")
        assert enrolled.record.epoch == 1
        assert enrolled.public_key.id == announcement(world).public_key.id
        assert enrolled.audit_head != b""
    tag_keys = [world.enrolled(c).tag_key.for_message("e", 1, 1, 1, "c")([1], 2**61 - 1) for c in world.clients]
    assert len(set(tag_keys)) == 1
    assert [world.enrolled(c).share.index for c in world.clients] == [1, 2, 3]


def test_the_same_again_changes_nothing(world: World) -> None:
    enrolled = world.enrolled(world.clients[0])
    share, tag_key = enrolled.share, enrolled.tag_key
    for envelope in (world.kms.roster_envelope(), world.kms.epoch_envelope(), world.kms.share_envelope("client-1")):
        enrolled.receive(envelope)
    assert enrolled.share is share and enrolled.tag_key is tag_key


def test_order(world: World) -> None:
    fresh = world.enrolment(world.clients[0])
    for missing in (lambda: fresh.roster, lambda: fresh.record, lambda: fresh.public_key, lambda: fresh.share):
        with pytest.raises((RoundError, KeyNotActive)):
            missing()
    with pytest.raises(KeyNotActive):
        fresh.receive(world.kms.share_envelope("client-1"))
    with pytest.raises(RoundError):
        fresh.receive(world.kms.epoch_envelope())
    fresh.receive(world.kms.roster_envelope())
    with pytest.raises(KeyNotActive):
        fresh.receive(world.kms.share_envelope("client-1"))
    fresh.receive(world.kms.epoch_envelope())
    with pytest.raises(KeyNotActive):
        _ = fresh.share
    with pytest.raises(KeyNotActive):
        _ = fresh.tag_key
    fresh.receive(world.kms.share_envelope("client-1"))
    assert fresh.share.index == 1


def test_coordinator_and_auditor_refuse_a_share(world: World) -> None:
    for identity in (world.coordinator, world.auditor):
        enrolled = world.enrolled(identity)
        stray = signed(world, "share", b"", to=identity.name)
        for envelope in (stray, world.kms.share_envelope("client-1")):
            with pytest.raises(SecretKeyEscape):
                enrolled.receive(envelope)


def test_another_client_s_share_is_refused(world: World) -> None:
    enrolled = world.enrolled(world.clients[0])
    with pytest.raises(WireError):
        enrolled.receive(world.kms.share_envelope("client-2"))


def test_signatures_addressees_experiments_and_kinds(world: World) -> None:
    fresh = world.enrolment(world.clients[0])
    honest = world.kms.roster_envelope()
    mallory = Identity("kms", "kms")
    stranger = Enrolment(world.clients[0], "experiment-2", world.kms.member.signing)
    with pytest.raises(WireError):
        stranger.receive(honest)
    for refused in (
        signed(world, "roster", honest.body, by=mallory),
        replace(honest, body=honest.body[:-1] + b"x"),
        replace(honest, header=replace(honest.header, position=Position(2, 0))),
        signed(world, "roster", honest.body, to="client-2"),
    ):
        with pytest.raises(WireError):
            fresh.receive(refused)
    for kind in ("plan", "update", ""):
        with pytest.raises(RoundError):
            fresh.receive(signed(world, kind, b""))


def line(name: str) -> Member:
    """Somebody else's line under this name, whole and vouched for."""
    return roster_of(EXPERIMENT, 1, Identity(name, "client"))[0].member(name)


Change = Callable[[Roster], Any]
SUBSTITUTIONS: dict[str, Change] = {
    "my keys": lambda r: replace(r, members=(*r.members[:3], line("client-1"), *r.members[4:])),
    "my sealing key": lambda r: replace(
        r, members=(*r.members[:3], replace(r.members[3], sealing=line("client-1").sealing), *r.members[4:])
    ),
    "another's sealing key": lambda r: replace(
        r, members=(*r.members[:4], replace(r.members[4], sealing=line("client-2").sealing), *r.members[5:])
    ),
    "a sealing key of another epoch": lambda r: replace(
        r, members=(*r.members[:4], replace(r.members[4], voucher=line("client-2").voucher), *r.members[5:])
    ),
    "another KMS": lambda r: replace(r, members=(Identity("kms", "kms").member, *r.members[1:])),
    "no KMS": lambda r: replace(r, members=r.members[1:]),
    "another experiment": lambda r: replace(r, experiment="experiment-2"),
    "another epoch": lambda r: replace(r, epoch=2),
    "without me": lambda r: replace(r, members=(*r.members[:3], *r.members[4:])),
    "doubled": lambda r: (r.experiment, r.epoch, (*r.members, r.members[1])),
    "nothing": lambda r: None,
}


@pytest.mark.parametrize("change", SUBSTITUTIONS.values(), ids=SUBSTITUTIONS.keys())
def test_roster_substitution_is_refused_even_when_the_kms_signs_it(world: World, change: Change) -> None:
    fresh = world.enrolment(world.clients[0])
    roster = decode(world.kms.roster_envelope().body, Roster)
    with pytest.raises((IntegrityError, WireError, RoundError)):
        fresh.receive(signed(world, "roster", encode(change(roster))))
    with pytest.raises(RoundError):
        _ = fresh.roster


def test_a_pinned_roster_is_compared_whole(world: World) -> None:
    roster = decode(world.kms.roster_envelope().body, Roster)
    pin = RosterPin.of(roster, world.kms.member.signing)
    Enrolment(world.clients[0], EXPERIMENT, pin.signing_key, pin=pin).receive(world.kms.roster_envelope())
    other = replace(roster, members=(*roster.members[:-1], line("client-3")))
    with pytest.raises(IntegrityError):
        Enrolment(world.clients[0], EXPERIMENT, pin.signing_key, pin=pin).receive(
            signed(world, "roster", encode(other))
        )


def test_two_rosters_for_one_epoch_are_refused(world: World) -> None:
    enrolled = world.enrolled(world.clients[0])
    roster = decode(world.kms.roster_envelope().body, Roster)
    other = replace(roster, members=(*roster.members[:-1], line("client-3")))
    with pytest.raises(RoundError):
        enrolled.receive(signed(world, "roster", encode(other)))
    assert enrolled.roster == roster


Announce = Callable[[EpochAnnouncement], EpochAnnouncement]


def with_record(**changes: Any) -> Announce:
    return lambda a: replace(a, record=replace(a.record, **changes))


def with_key(a: EpochAnnouncement, key: PublicKey) -> EpochAnnouncement:
    """Another key, and a record that names it."""
    return replace(a, public_key=key, record=replace(a.record, public_key_digest=public_key_digest(key)))


CONTRADICTIONS: dict[str, tuple[Announce, type[HeflError]]] = {
    "roster digest": (with_record(roster_digest=b"x" * 32), IntegrityError),
    "key digest": (with_record(public_key_digest=b"x" * 32), KeyMismatch),
    "preset digest": (with_record(preset_digest=b"x" * 32), IntegrityError),
    "preset": (with_record(preset="bfv-lean"), KeyMismatch),
    "quorum": (with_record(quorum=Quorum(2, 3)), KeyMismatch),
    "holders": (with_record(quorum=Quorum(1, 4)), IntegrityError),
    "experiment": (with_record(experiment="experiment-2"), RoundError),
    "epoch": (with_record(epoch=2), IntegrityError),
    "previous": (with_record(previous=b"x" * 32), RoundError),
    "key": (lambda a: replace(a, public_key=replace(a.public_key, material=b"x")), KeyMismatch),
    "fingerprint": (
        lambda a: with_key(a, replace(a.public_key, id=replace(a.public_key.id, fingerprint="0" * 64))),
        KeyMismatch,
    ),
    "material": (lambda a: with_key(a, replace(a.public_key, material=b"x" * 16)), KeyMismatch),
    "audit cut": (lambda a: replace(a, audit=a.audit[1:]), IntegrityError),
    "audit rewritten": (lambda a: replace(a, audit=(replace(a.audit[0], subject="x"), *a.audit[1:])), IntegrityError),
}


@pytest.mark.parametrize(("change", "error"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_contradicting_announcements_are_refused(world: World, change: Announce, error: type[HeflError]) -> None:
    fresh = world.enrolment(world.clients[0])
    fresh.receive(world.kms.roster_envelope())
    honest = announcement(world)
    with pytest.raises(error):
        fresh.receive(signed(world, "epoch", encode(change(honest)), key_id=str(honest.public_key.id)))
    with pytest.raises(KeyNotActive):
        _ = fresh.record
    with pytest.raises(KeyMismatch):
        fresh.receive(signed(world, "epoch", encode(honest), key_id="another"))
    fresh.receive(world.kms.epoch_envelope())
    assert fresh.record == honest.record


@pytest.mark.parametrize("preset", ["plaintext", "bfv-lean", "ckks-lean"])
def test_every_scheme_binds_its_key_into_the_fingerprint(preset: str) -> None:
    key, _ = open_scheme(preset).keygen(Quorum(1, 3), epoch=4)
    assert fingerprint(key) == key.id.fingerprint
    assert fingerprint(replace(key, quorum=Quorum(1, 2))) != key.id.fingerprint


def test_more_decryptions_than_the_flooding_allows_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The KMS writes the cap into the record; a KMS that helps the coordinator would write a large one."""
    fresh, honest = world.enrolment(world.clients[0]), announcement(world).record
    fresh.receive(world.kms.roster_envelope())
    caps = {honest.max_decryptions - 1: False, honest.max_decryptions: True}
    for cap, accepted in caps.items():
        monkeypatch.setattr(
            "hefl_core.keys.enrolment.load_preset", lambda _, cap=cap: SimpleNamespace(max_decryptions=cap)
        )
        if accepted:
            fresh.receive(world.kms.epoch_envelope())
        else:
            with pytest.raises(IntegrityError, match="flooding"):
                fresh.receive(world.kms.epoch_envelope())


def test_another_custody_than_agreed_is_refused(world: World) -> None:
    for agreed in ("2-of-3", "dealer-free:2-of-3"):
        custody = Custody.parse(agreed, 3)
        fresh = world.enrolment(world.clients[0], custody=custody)
        fresh.receive(world.kms.roster_envelope())
        with pytest.raises(IntegrityError, match="as agreed"):
            fresh.receive(world.kms.epoch_envelope())
    fresh = world.enrolment(world.clients[0], custody=Custody.parse("individual", 3))
    follow(fresh, world)


def test_shares_that_contradict_the_record_are_refused(world: World) -> None:
    fresh = world.enrolment(world.clients[0])
    fresh.receive(world.kms.roster_envelope())
    fresh.receive(world.kms.epoch_envelope())
    key = announcement(world).public_key
    info = share_info(EXPERIMENT, key.id, key.quorum, 1, "kms")
    other_id = replace(key.id, fingerprint="0" * 64)
    client, another = (fresh.roster.member(name) for name in ("client-1", "client-2"))

    def share(id_: Any = key.id, quorum: Quorum = key.quorum, index: int = 1) -> bytes:
        return pack_share(SecretShare(id_, quorum, index, b"material"), TagKey())

    wrong = replace(info, share_index=2)
    for content, key_id, seal, error in (
        (share(other_id), str(key.id), sealer([client], info), KeyMismatch),
        (share(index=2), str(key.id), sealer([client], info), IntegrityError),
        (share(quorum=Quorum(2, 3)), str(key.id), sealer([client], info), IntegrityError),
        (share(index=4), str(key.id), sealer([client], info), WireError),
        (share(), str(other_id), sealer([client], info), KeyMismatch),
        (share(), str(key.id), sealer([client], wrong), WireError),
        (share(), str(key.id), sealer([another], info), WireError),
        (share(), str(key.id), None, WireError),
        (b"no share", str(key.id), sealer([client], info), WireError),
    ):
        with pytest.raises(error):
            fresh.receive(signed(world, "share", content, key_id=key_id, seal=seal))
    with pytest.raises(KeyNotActive):
        _ = fresh.share
    fresh.receive(world.kms.share_envelope("client-1"))


def test_sealed_bytes_of_another_header_do_not_open(world: World) -> None:
    fresh = world.enrolment(world.clients[0])
    fresh.receive(world.kms.roster_envelope())
    fresh.receive(world.kms.epoch_envelope())
    honest = world.kms.share_envelope("client-1")
    again = signed(
        world, "share", b"x" * honest.header.content_nbytes, key_id=honest.header.key_id, seal=lambda *_: b""
    )
    with pytest.raises(WireError):
        fresh.receive(replace(again, body=honest.body))


def follow(enrolment: Enrolment, world: World) -> None:
    enrolment.receive(world.kms.roster_envelope())
    enrolment.receive(world.kms.epoch_envelope())
    enrolment.receive(world.kms.share_envelope(enrolment.identity.name))


def test_following_a_rotation(world: World) -> None:
    enrolled = world.enrolled(world.clients[0])
    old = enrolled.share
    world.kms.rotate(4)
    enrolled.receive(world.kms.roster_envelope())
    assert enrolled.roster.epoch == 1  # until the new record is here
    follow(enrolled, world)
    assert (enrolled.record.epoch, enrolled.roster.epoch, enrolled.share.id.epoch) == (2, 2, 2)
    assert enrolled.holder.share(1) is old
    assert enrolled.tag_key_of(1) is not enrolled.tag_key
    assert enrolled.public_key_of(1).id == old.id
    assert enrolled.ledger.state(1) is EpochState.DECRYPT_ONLY
    enrolled.destroy(1)
    for refused in (lambda: enrolled.holder.share(1), lambda: enrolled.tag_key_of(1)):
        with pytest.raises(KeyNotActive):
            refused()
    with pytest.raises(KeyNotActive):
        enrolled.receive(world.kms.share_envelope("client-1", 1))


def test_who_missed_epochs_catches_up_and_joiners_start_late(world: World) -> None:
    enrolled = world.enrolled(world.clients[0])
    world.kms.rotate(3)
    joiner = Identity("client-4", "client")
    world.kms.enrol(joiner.member)
    world.deposit(joiner)
    world.kms.rotate(5)
    follow(enrolled, world)
    assert [record.epoch for record in enrolled.ledger.records] == [1, 2, 3]
    assert enrolled.audit_head in [e.digest for e in world.kms.audit_log.entries]
    late = world.enrolment(joiner)
    follow(late, world)
    assert late.share.index == 4


def test_rollback_is_refused(world: World) -> None:
    old = [world.kms.roster_envelope(), world.kms.epoch_envelope(), world.kms.share_envelope("client-1")]
    world.kms.rotate(3)
    late = world.enrolment(world.clients[0])
    follow(late, world)
    for envelope in old:
        with pytest.raises(KeyNotActive):
            late.receive(envelope)
    assert late.record.epoch == 2


def test_a_forked_history_is_refused(world: World) -> None:
    """A KMS that was put back to an older state and went on differently is noticed by whoever saw more."""
    enrolled = world.enrolled(world.clients[0])
    store = KeyStore()
    Archive(store).create(Settings(EXPERIMENT, PRESET, Custody.parse("individual", 3)))
    store.put("identities", "kms", world.kms._identity._export())
    kms = KMS.reopen(store)
    for identity in world.identities:
        kms.enrol(identity.member)
    for prekeys in world.prekeys.values():
        kms.deposit(prekeys.offer(1))
    kms.open_epoch(1, 10)
    kms.rotate(3)
    enrolled.receive(kms.roster_envelope())
    with pytest.raises((IntegrityError, RoundError)):
        enrolled.receive(kms.epoch_envelope())
    assert enrolled.record.epoch == 1


def test_a_revoked_client_is_left_behind(world: World) -> None:
    enrolled = world.enrolled(world.clients[1])
    world.kms.revoke("client-2")
    world.kms.rotate(3)
    for envelope in (world.kms.roster_envelope(), world.kms.epoch_envelope(), world.kms.share_envelope("client-1")):
        with pytest.raises(WireError):
            enrolled.receive(envelope)
    assert enrolled.record.epoch == 1


def keep_sealing_keys(store: KeyStore, world: World) -> None:
    """Client 1's, that the KMS was given."""
    for epoch in (1, 2):
        store.put("sealing/client-1", f"{epoch:08d}", world.prekeys["client-1"].key(epoch)._export())


def test_a_party_is_where_it_was_after_a_restart(world: World, tmp_path: Path, key_file: KeyFile) -> None:
    path, client, root = tmp_path / "client.db", world.clients[0], world.kms.member.signing
    with KeyStore(path, key_file) as store:
        keep_identity(store, client)
        keep_sealing_keys(store, world)
        follow(Enrolment(client, EXPERIMENT, root, store=store), world)
        first = world.kms.epoch_envelope()
        world.kms.rotate(3)
    with KeyStore(path, key_file) as store:
        again = Enrolment(recall_identity(store, "client-1"), EXPERIMENT, root, store=store)
        assert (again.record.epoch, again.share.index) == (1, 1)
        follow(again, world)
        again.destroy(1)
        head = again.audit_head
    with KeyStore(path, key_file) as store:
        again = Enrolment(recall_identity(store, "client-1"), EXPERIMENT, root, store=store)
        assert (again.record.epoch, again.audit_head, again.share.id.epoch) == (2, head, 2)
        assert again.ledger.state(1) is EpochState.DESTROYED
        again.receive(first)
        assert again.record.epoch == 2
        with pytest.raises(KeyNotActive):
            again.receive(world.kms.share_envelope("client-1", 1))
        with pytest.raises(KeyUseError):
            recall_identity(store, "client-2")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_bytes_come_in(world: World, data: st.DataObject) -> None:
    """Flipped, cut, doubled or spliced messages: refused with one of this package's errors, and nothing is kept."""
    honest = [world.kms.roster_envelope(), world.kms.epoch_envelope(), world.kms.share_envelope("client-1")]
    step = data.draw(st.integers(0, 2))
    fresh = world.enrolment(world.clients[0])
    for envelope in honest[:step]:
        fresh.receive(envelope)
    raw = bytearray(honest[step].to_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "double", "splice"]))
    if kind == "flip":
        raw[place] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del raw[place:]
    elif kind == "double":
        raw[place:place] = raw[place : place + 20]
        raw += b"" if len(raw) > len(honest[step].to_bytes()) else b"\0"
    else:
        raw[place:] = honest[(step + 1) % 3].to_bytes()[place:]
        raw += b"\0" if bytes(raw) in [one.to_bytes() for one in honest] else b""
    with pytest.raises(HeflError):
        fresh.receive(Envelope.from_bytes(bytes(raw)))
    for envelope in honest[step:]:
        fresh.receive(envelope)
    assert fresh.share.index == 1

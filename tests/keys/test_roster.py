from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hefl_core.errors import DataError, IntegrityError, ParameterError, RoundError
from hefl_core.keys.identity import Identity
from hefl_core.keys.roster import Member, Roster, RosterPin

from .world import roster_of

KMS = Identity("kms", "kms")
PEOPLE = [Identity("coordinator", "coordinator"), *(Identity(f"client-{i}", "client") for i in (1, 2))]
ROSTER, KEYS = roster_of("experiment-1", 1, KMS, *PEOPLE)


def line(name: str) -> Member:
    """A client's line in the roster of epoch 1."""
    return roster_of("experiment-1", 1, Identity(name, "client"))[0].member(name)


def test_it_knows_its_members() -> None:
    assert ROSTER.clients == ("client-1", "client-2")
    assert ROSTER.member("coordinator") == PEOPLE[0].member
    assert ROSTER.member("client-1").lasting == PEOPLE[1].member
    assert (ROSTER.index("client-1"), ROSTER.index("client-2")) == (1, 2)
    assert "client-1" in ROSTER and "client-3" not in ROSTER
    assert ROSTER.names("kms") == ("kms",)
    for stranger in ("client-3", "", "x" * 500):
        with pytest.raises(RoundError):
            ROSTER.member(stranger)
    with pytest.raises(RoundError):
        ROSTER.index("coordinator")


def test_duplicates_are_refused() -> None:
    mallory = line("client-3")
    for double in (
        replace(mallory, name="client-1"),
        replace(mallory, signing=PEOPLE[1].member.signing),
        replace(mallory, sealing=ROSTER.member("client-1").sealing),
        PEOPLE[1].member,
        Identity("client-3", "client").member,
    ):
        with pytest.raises(ParameterError):
            Roster("experiment-1", 1, (*ROSTER.members, double))


@pytest.mark.parametrize(
    ("name", "role", "signing"),
    [
        ("", "client", b"k" * 32),
        ("a/b", "client", b"k" * 32),
        ("a\n", "client", b"k" * 32),
        ("x" * 65, "client", b"k" * 32),
        ("x", "king", b"k" * 32),
        ("x", "client", b"short"),
    ],
)
def test_unusable_members_are_refused(name: str, role: str, signing: bytes) -> None:
    with pytest.raises(ParameterError):
        Member(name, role, signing, b"s" * 32, b"v" * 64)
    Member("x", "client", b"k" * 32, b"s" * 32, b"v" * 64)


@pytest.mark.parametrize(
    ("role", "sealing", "voucher"),
    [
        ("client", b"s" * 32, b""),
        ("client", b"", b"v" * 64),
        ("client", b"s" * 31, b"v" * 64),
        ("auditor", b"", b""),
        ("auditor", b"s" * 32, b"v" * 64),
    ],
)
def test_only_a_client_s_sealing_key_is_vouched_for(role: str, sealing: bytes, voucher: bytes) -> None:
    with pytest.raises(ParameterError, match="voucher"):
        Member("x", role, b"k" * 32, sealing, voucher)


def test_every_change_changes_the_digest() -> None:
    swapped = replace(ROSTER, members=(*ROSTER.members[:-1], line("client-2")))
    digests = {r.digest for r in (ROSTER, replace(ROSTER, epoch=2), replace(ROSTER, experiment="e"), swapped)}
    assert len(digests) == 4


def test_a_pin_recognises_its_roster(tmp_path: Path) -> None:
    pin = RosterPin.of(ROSTER, KMS.member.signing)
    pin.save(tmp_path / "pin.json")
    assert RosterPin.load(tmp_path / "pin.json") == pin
    pin.check(ROSTER)
    pin.check(replace(ROSTER, epoch=2, members=ROSTER.members[:2]))  # a later epoch: signed by the same root
    impostor = Identity("kms", "kms").member
    for other in (
        replace(ROSTER, members=ROSTER.members[:3]),
        replace(ROSTER, experiment="experiment-2"),
        replace(ROSTER, members=(impostor, *ROSTER.members[1:])),
        replace(ROSTER, epoch=2, members=ROSTER.members[1:]),
    ):
        with pytest.raises(IntegrityError):
            pin.check(other)


NO_NUMBERS = ("1e999", "NaN", "1.9", "1.0", "true", "-5", '"7"', '"\\u0667"', "9" * 5000)
"""What ``int`` would take for a number, or break at."""


def test_unreadable_pins_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pin.json"
    RosterPin.of(ROSTER, KMS.member.signing).save(path)
    good = json.loads(path.read_text())
    broken = [
        "", "[]", "{}", "null", "\xff", json.dumps({**good, "format": "other/1"}), json.dumps({**good, "epoch": "x"}),
        *(json.dumps({**good, "epoch": 1}).replace('"epoch": 1', f'"epoch": {n}') for n in NO_NUMBERS),
        json.dumps(good)[:-1] + ', "epoch": 7}', json.dumps({**good, "experiment": 5}),
        json.dumps({**good, "roster_digest": " ".join(["00"] * 32)}),
        json.dumps({**good, "kms_signing_key": "zz"}), json.dumps({**good, "roster_digest": "00"}), "[" * 100_000,
    ]  # fmt: skip
    with pytest.raises(DataError):
        RosterPin.load(tmp_path / "missing.json")
    for text in broken:
        path.write_text(text, encoding="latin-1")
        with pytest.raises(DataError):
            RosterPin.load(path)

"""In strict mode the kit binds: KMS and coordinator together put nobody into a roster whom the kit does not name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hefl_core.errors import HeflError, IntegrityError
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name
from hefl_core.keys.collusion import KMS_AND_COORDINATOR
from hefl_core.keys.enrolment import Enrolment
from hefl_core.keys.identity import Identity
from hefl_core.keys.roster import Member, Roster
from hefl_core.runtime import stage
from hefl_core.runtime.run import Run
from hefl_core.runtime.services import provision
from hefl_core.runtime.services.kit import Kit
from hefl_core.schemes.base import CiphertextVector
from hefl_core.schemes.registry import open_scheme
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Position
from hefl_core.wire.outbox import Outbox
from tests.keys.world import roster_of

ROOT = Path(__file__).parents[3]
TOGETHER = Experiment(
    dataset="breast_cancer",
    model="logistic",
    scheme="INSECURE_bfv-threshold-1024",
    custody="2-of-3",
    clients=3,
    rounds=1,
    observed=False,
)
CUSTODIES = {"dealt": TOGETHER, "dealer-free": TOGETHER.but(custody="dealer-free:2-of-3")}


@pytest.fixture
def invented(tmp_path):
    """A run by the KMS and the coordinator of a kit, with an auditor and clients of their own, and one client of the kit."""

    def make(experiment, *, bound):
        folder = tmp_path / str(bound)
        manifest = provision.provision_all(folder, experiment, metrics=False)
        stores = {name: stage.open_store(folder / name, name) for name in (KMS, COORDINATOR, "client-1")}
        opened.extend(stores.values())
        kit = Kit.load(folder / "client-1")
        kms = stage.make_kms(manifest, stores[KMS])
        root = kms.member
        coordinator = stage.make_coordinator(manifest, root, stores[COORDINATOR])
        honest = stage.make_client(manifest, root, 1, None, stores["client-1"], members=kit.members if bound else ())
        own = [stage.make_client(manifest, root, index, None) for index in (2, 3)]
        auditor = stage.make_auditor(manifest, root)
        made = stage.local_stage_of(kms, coordinator, auditor, (honest, *own), manifest)
        return Run(experiment, stage=lambda *_: made, manifest=manifest, keep_keys=True), honest, own

    opened = []
    yield make
    for store in opened:
        store.close()


def opened_with(shares, key, run):
    """client-1's upload, decrypted with these shares alone."""
    upload = next(sent for sent in run.transcript.sent if (sent.step, sent.sender) == (m.UPDATE, "client-1"))
    scheme, active = open_scheme(key.id.preset), tuple(share.index for share in shares)
    vector = decode(run.transcript.content(upload), CiphertextVector)
    return scheme.open(key, vector, [scheme.partial_decrypt(share, vector, active) for share in shares]).values


@pytest.mark.parametrize("experiment", CUSTODIES.values(), ids=CUSTODIES.keys())
def test_control_without_a_kit_they_invent_everybody_else_and_open_the_single_update(invented, experiment):
    run, honest, own = invented(experiment, bound=False)
    for _ in run.steps():
        pass
    read = opened_with([client.enrolment.share for client in own], own[0].enrolment.public_key, run)
    truth = honest.private_side().weighted
    assert np.max(np.abs(read - truth)) < 1e-3 < np.max(np.abs(truth))


@pytest.mark.parametrize("experiment", CUSTODIES.values(), ids=CUSTODIES.keys())
def test_with_its_kit_the_client_refuses_them_by_name_and_sends_nothing(invented, experiment):
    run, honest, _ = invented(experiment, bound=True)
    with pytest.raises(HeflError):
        for _ in run.steps():
            pass
    refusals = [
        one.reason for one in run.transcript.left_out if one.party == "client-1" and one.step == "receive roster"
    ]
    # A note names one other client at most; the full text stays with the client.
    assert refusals and all(
        "IntegrityError" in reason and "auditor, client-2, client-#" in reason for reason in refusals
    )
    assert not [sent for sent in run.transcript.sent if sent.sender == "client-1"]
    assert honest.enrolment.newest_roster == 0


PEOPLE = [
    Identity(KMS, KMS),
    Identity(COORDINATOR, COORDINATOR),
    Identity(AUDITOR, AUDITOR),
    *(Identity(client_name(index), "client") for index in (1, 2, 3, 4)),
]
AGREED = tuple(person.member for person in PEOPLE)
EXPERIMENT = "experiment-1"


def given(roster, to):
    """What a party with this kit makes of a roster that its KMS signed."""
    party = Enrolment(to, EXPERIMENT, PEOPLE[0].member.signing, members=AGREED)
    recipients = tuple(member.name for member in roster.members if member.name != KMS)
    party.receive(
        Outbox(KMS, PEOPLE[0], EXPERIMENT).compose("roster", Position(roster.epoch, 0), recipients, encode(roster))
    )
    return party.roster


def lines(*people):
    return roster_of(EXPERIMENT, 1, *people)[0]


OTHERS = {
    "an invented auditor": lines(*PEOPLE[:2], Identity(AUDITOR, AUDITOR), *PEOPLE[3:]),
    "an invented coordinator": lines(PEOPLE[0], Identity(COORDINATOR, COORDINATOR), *PEOPLE[2:]),
    "an invented client": lines(*PEOPLE[:5], Identity("client-3", "client"), PEOPLE[6]),
    "one more client": lines(*PEOPLE, Identity("client-5", "client")),
    "one more auditor": lines(*PEOPLE, Identity("auditor-2", AUDITOR)),
    "no auditor": lines(*PEOPLE[:2], *PEOPLE[3:]),
    "no coordinator": lines(PEOPLE[0], *PEOPLE[2:]),
}
HONEST = lines(*PEOPLE)


def changed(index, **fields):
    members = list(HONEST.members)
    members[index] = replace(members[index], **fields)
    return Roster(EXPERIMENT, 1, tuple(members))


OTHERS |= {
    "the auditor's name with another sealing key": changed(2, sealing=b"s" * 32),
    "a client's key under another name": changed(4, name="client-9"),
    "a client as a second auditor": Roster(
        EXPERIMENT,
        1,
        (*HONEST.members[:4], Member("client-2", AUDITOR, AGREED[4].signing, b"s" * 32), *HONEST.members[5:]),
    ),
}


@pytest.mark.parametrize("party", [1, 2, 3], ids=[COORDINATOR, AUDITOR, "client"])
@pytest.mark.parametrize("roster", OTHERS.values(), ids=OTHERS.keys())
def test_every_party_with_a_kit_refuses_other_members(roster, party):
    with pytest.raises((IntegrityError, HeflError), match="kit|addressed|expected one of|not mine"):
        given(roster, PEOPLE[party])


@pytest.mark.parametrize("party", [1, 2, 3], ids=[COORDINATOR, AUDITOR, "client"])
def test_the_kit_s_members_are_accepted_also_without_the_revoked(party):
    assert given(HONEST, PEOPLE[party]) == HONEST
    fewer = lines(*PEOPLE[:5])
    assert given(fewer, PEOPLE[party]) == fewer


def test_one_fingerprint_for_kit_and_roster_whatever_the_epoch(tmp_path):
    """It covers what binds, the lasting keys, and not the sealing keys of an epoch."""
    later, _ = roster_of(EXPERIMENT, 2, *PEOPLE)
    assert HONEST.digest != later.digest and HONEST.fingerprint == later.fingerprint
    for other in (lines(*PEOPLE[:6]), OTHERS["an invented client"], OTHERS["an invented auditor"]):
        assert other.fingerprint != HONEST.fingerprint
    assert replace(HONEST, experiment="experiment-2").fingerprint != HONEST.fingerprint
    manifest = provision.provision_all(tmp_path / "all", TOGETHER, metrics=False)
    kit = Kit.load(tmp_path / "all" / "client-1")
    stranger = replace(kit.members[0], signing=b"k" * 32)
    assert kit.manifest == manifest
    assert replace(kit, members=(stranger, *kit.members[1:])).fingerprint != kit.fingerprint


def test_one_list_of_what_the_two_can_do_together():
    """On the page Keys, in the threat model, and here: the same sentences, each once."""
    page = (ROOT / "docs" / "threat_model.md").read_text(encoding="utf-8")
    part = page.split("## What the KMS and the coordinator can do together\n")[1].split("\n## ")[0]
    assert tuple(line[2:] for line in part.splitlines() if line.startswith("- ")) == KMS_AND_COORDINATOR
    assert "KMS_AND_COORDINATOR" in (ROOT / "pages" / "keys.py").read_text(encoding="utf-8")

"""A destroyed epoch never comes back: everything that is left is stolen, and epoch 1 stays shut.

Each rule's worth is shown by leaving it out: the same theft then opens a client's upload, entry for entry.
"""

from contextlib import contextmanager

import numpy as np
import pytest

from hefl_core.errors import KeyNotActive
from hefl_core.federation.record import transcript as record
from hefl_core.federation.record.verify import verify
from hefl_core.keys.epochs import EpochState
from hefl_core.keys.prekeys import Prekeys
from hefl_core.keys.vault.store import KeyStore
from hefl_core.runtime import restart, stage
from hefl_core.runtime.client_home import dealt_data
from hefl_core.runtime.journal import Journal
from hefl_core.runtime.restart import durable_local_stage
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment
from tests.security.thief import DEAL, Thief, every_row

DEALT = Experiment(
    dataset="breast_cancer",
    model="logistic",
    scheme="INSECURE_bfv-threshold-1024",
    custody="2-of-3",
    clients=3,
    rounds=2,
    epoch_rounds=1,
    observed=False,
)
CUSTODIES = {
    "dealt": DEALT,
    "dealer-free": DEALT.but(custody="dealer-free:2-of-3"),
    "individual": DEALT.but(scheme="bfv-lean", custody="individual"),
}


class Scene:
    """A run with real stores and a record on disk, and what client-1 encrypted in round 1."""

    def __init__(self, experiment, folder, monkeypatch):
        self.folder, self.homes = folder, []
        honest = stage.open_store
        monkeypatch.setattr(restart.stage, "open_store", lambda home, name: self._noted(home) or honest(home, name))
        manifest = dealt_data(experiment).manifest(experiment)
        self.stage = durable_local_stage(manifest, None)
        journal = Journal(folder / "results", manifest, self.stage.parties.kms.member)
        self.run = Run(experiment, stage=lambda *_: self.stage, manifest=manifest, journal=journal, keep_keys=True)
        self.truth = None

    def _noted(self, home):
        self.homes.append(home)

    def steps(self):
        for sent in self.run.steps():
            if (sent.step, sent.position.round) == ("confirmation", 1):
                self.truth = self.client(0).private_side().weighted
            yield sent

    def to_the_end(self):
        for _ in self.steps():
            pass
        assert verify(self.run.transcript).sums == 2
        assert self.stage.parties.kms.epochs[0].state is EpochState.DESTROYED
        return self

    def client(self, index):
        return self.stage.parties.clients[index]._party

    def stolen(self):
        """What the thief opens of client-1's upload in epoch 1; None where nothing opens it."""
        minds = [party._party.enrolment for party in (self.stage.parties.coordinator, *self.stage.parties.clients)]
        self.thief = Thief(self.homes[0], self.folder / "results", minds, self.folder / "loot")
        return self.thief.open_upload(1, "client-1")

    def read(self, values):
        """Whether this is what client-1 encrypted, to the quantum of the encoding."""
        return values is not None and float(np.max(np.abs(values - self.truth))) < 1e-3 < float(np.max(np.abs(values)))


@contextmanager
def scene(experiment, folder, monkeypatch):
    made = Scene(experiment, folder, monkeypatch)
    try:
        yield made
    finally:
        made.stage.close()


def keep_bodies(monkeypatch):
    monkeypatch.setattr(record, "UNKEPT_KINDS", ())


def keep_sealing_keys(monkeypatch):
    monkeypatch.setattr(Prekeys, "destroy", lambda self, epoch: None)


def keep_the_log(monkeypatch):
    monkeypatch.setattr(KeyStore, "_scrub", lambda self: None)


@pytest.mark.parametrize("experiment", CUSTODIES.values(), ids=CUSTODIES.keys())
def test_nothing_that_is_left_opens_a_destroyed_epoch(experiment, tmp_path, monkeypatch):
    with scene(experiment, tmp_path, monkeypatch) as here:
        assert here.to_the_end().stolen() is None
        assert here.thief.shares(1) == {} and here.thief.shares(2)
        assert not here.thief.answers(1)
        assert bool(here.thief.answers(2)) == experiment.quorum.collective  # the search finds those that are kept
        for client in here.stage.parties.clients:
            with pytest.raises(KeyNotActive, match="was destroyed"):
                client._party.enrolment.reader(1)


@pytest.mark.parametrize("experiment", CUSTODIES.values(), ids=CUSTODIES.keys())
def test_control_before_the_epoch_is_destroyed_the_thief_reads_it(experiment, tmp_path, monkeypatch):
    with scene(experiment, tmp_path, monkeypatch) as here:
        for sent in here.steps():
            if (sent.step, sent.position.round) == ("plan", 2):
                break
        assert here.read(here.stolen())


WITHOUT = {
    "bodies on record and a key that lasts": (keep_bodies, keep_sealing_keys),
    "a log that is not scrubbed": (keep_the_log,),
}


@pytest.mark.parametrize("rules", WITHOUT.values(), ids=WITHOUT.keys())
@pytest.mark.parametrize("experiment", [CUSTODIES["dealt"], CUSTODIES["dealer-free"]], ids=["dealt", "dealer-free"])
def test_control_without_a_rule_the_destroyed_epoch_comes_back(experiment, rules, tmp_path, monkeypatch):
    """As it was: the share (the deals) stood on the record for a key that lasts, and in the log of each store."""
    with scene(experiment, tmp_path, monkeypatch) as here:
        for leave_out in rules:
            leave_out(monkeypatch)
        assert here.read(here.to_the_end().stolen())


@pytest.mark.parametrize("rule", [keep_bodies, keep_sealing_keys])
def test_either_rule_about_the_record_is_enough(rule, tmp_path, monkeypatch):
    with scene(CUSTODIES["dealer-free"], tmp_path, monkeypatch) as here:
        rule(monkeypatch)
        assert here.to_the_end().stolen() is None


@pytest.mark.parametrize("experiment", [CUSTODIES["dealt"], CUSTODIES["dealer-free"]], ids=["dealt", "dealer-free"])
def test_bodies_of_shares_and_deals_are_not_on_record(experiment, tmp_path, monkeypatch):
    with scene(experiment, tmp_path, monkeypatch) as here:
        here.to_the_end()
        kinds = {sent.step for sent in here.run.transcript.sent if sent.body not in here.run.transcript.blobs}
        assert kinds == {DEAL if experiment.custody.startswith("dealer-free") else "share"}


def test_clients_destroy_old_keys_though_nobody_tells_them(tmp_path, monkeypatch):
    """A coordinator that withholds the word keeps no key alive but the one in use."""
    monkeypatch.setattr(Run, "_destroy", lambda *_: None)
    with scene(CUSTODIES["dealt"], tmp_path, monkeypatch) as here:
        for _ in here.steps():
            pass
        newest = here.client(0).enrolment.ledger.highest
        assert newest > 1
        for index in range(3):
            assert here.client(index).enrolment.holder.epochs == (newest,)


@pytest.mark.parametrize("private", [False, True], ids=["plain", "with noise"])
def test_the_last_update_goes_with_the_last_key(private, tmp_path, monkeypatch):
    experiment = CUSTODIES["individual"]
    if private:
        experiment = experiment.but(clip_norm=0.5, dp_noise=1.0, scheme="bfv-lean")
    with scene(experiment, tmp_path, monkeypatch) as here:
        for _ in here.steps():
            pass
        client, kept = here.client(0), rows_named(here, "update")
        assert kept, "the control: while the key lives, the round's update is kept to make its messages again"
        assert here.run.end_keys() == ()
        assert not rows_named(here, "update") and not rows_named(here, "noised")
        assert client.rounds_done == experiment.rounds


def rows_named(here, name):
    """What client-1's store keeps to make a message again, under this name, logs included."""
    stores = here.homes[0].rglob("client-1.db")
    return [
        value for path in stores for table, row, value in every_row(path) if (table, row) == ("round-log/made", name)
    ]

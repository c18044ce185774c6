"""Clients that cannot be reached when a key begins: their sealing keys were deposited before, or they are left out."""

from dataclasses import replace

import pytest

from hefl_core.errors import KeyNotActive, RuntimeUnavailable
from hefl_core.federation.record.verify import verify
from hefl_core.keys.kms.service import KMS
from hefl_core.runtime import stage
from hefl_core.runtime.run import Run
from hefl_core.wire.envelope import Position
from tests.conftest import SMALL


class Away:
    """A client that cannot be reached while ``away``, as a process behind a cut line."""

    def __init__(self, client):
        self._client, self.away = client, False

    def __getattr__(self, name):
        def lost(*_):
            raise RuntimeUnavailable(f"{self._client.name}: no answer in time")

        return lost if self.away and name not in ("name", "member") else getattr(self._client, name)


def with_away(experiment, index):
    """A run whose client of this index can be cut off, and that client."""
    cut = []

    def made(manifest, observer):
        staged = stage.local_stage(manifest, observer)
        cut.append(Away(staged.parties.clients[index]))
        clients = (*staged.parties.clients[:index], cut[0], *staged.parties.clients[index + 1 :])
        return replace(staged, parties=replace(staged.parties, clients=clients))

    run = Run(experiment, stage=made)
    return run, run.steps(), lambda: cut[0]


def rostered(run):
    return {sent.position.epoch: len(sent.receivers) - 2 for sent in run.transcript.sent if sent.step == "roster"}


@pytest.mark.parametrize("custody", [{}, {"custody": "2-of-4", "scheme": "bfv-threshold"}])
def test_who_is_away_for_several_keys_is_in_their_rosters_and_catches_up(custody):
    """Its sealing keys were deposited before; what was sealed to it meanwhile it opens when it is back."""
    run, steps, third = with_away(SMALL.but(clients=4, rounds=5, epoch_rounds=1, **custody), 2)
    for sent in steps:
        if sent.step == "plan":
            third().away = sent.position.round in (2, 3)
    assert rostered(run) == {epoch: 4 for epoch in range(1, 6)}
    assert [len(item.contributors) for item in run.rounds] == [4, 3, 3, 3, 4]  # it comes back in the middle of round 4
    assert len({client.theta.tobytes() for client in run.parties.clients}) == 1
    assert verify(run.transcript).sums == 5
    with pytest.raises(KeyNotActive, match="was destroyed"):
        third().enrolment.reader(2)


def test_who_comes_back_at_the_very_end_forgets_also_the_keys_that_it_never_used():
    """It has not caught up and cannot any more; its sealing keys of the epochs that it missed would open their shares."""
    _run, steps, third = with_away(SMALL.but(clients=4, rounds=3, epoch_rounds=1), 2)
    for sent in steps:
        if sent.step in ("plan", "receipt"):
            third().away = sent.position.round > 1 and (sent.position.round, sent.sender) != (3, "client-4")
    assert third().enrolment.ledger.highest == 2 and not third().away
    for epoch in (1, 2, 3):
        with pytest.raises(KeyNotActive, match="was destroyed"):
            third().enrolment.reader(epoch)
    assert third().enrolment.reader(4)


def test_who_never_gave_a_sealing_key_is_left_out_on_record_and_asked_again_at_the_next_key():
    run, steps, fourth = with_away(SMALL.but(clients=4, rounds=3, epoch_rounds=1), 3)
    run._begin = lambda begin=run._begin: (begin(), setattr(fourth(), "away", True))[0]
    for sent in steps:
        fourth().away = sent.position.epoch < 2
    left_out = [(one.party, one.step, one.position) for one in run.transcript.left_out]
    assert left_out[0] == ("client-4", "sealing_keys", Position(1, 0))
    assert rostered(run)[1] == 3 and 4 in rostered(run).values()
    assert [len(item.contributors) for item in run.rounds] == [3, 3, 3]  # it has no model to go on from
    assert verify(run.transcript).sums == 3


def test_a_client_that_gives_others_keys_harms_nobody_but_itself():
    """What it gives does not carry its own signature: the KMS refuses it, and the key is made without it."""
    run, steps, fourth = with_away(SMALL.but(clients=4, rounds=1), 3)
    begin = run._begin

    def begun():
        found = begin()
        third = run.parties.clients[2]
        fourth().sealing_keys = lambda first: tuple(
            replace(one, client="client-4") for one in third.sealing_keys(first)
        )
        return found

    run._begin = begun
    for _ in steps:
        pass
    (refused,) = [one.reason for one in run.transcript.left_out if one.step == "sealing_keys"]
    assert "found another" in refused and rostered(run) == {1: 3}
    assert [len(item.contributors) for item in run.rounds] == [3]


def relayed(lets_through):
    """A run whose coordinator hands on of client 2's sealing keys what it likes; each epoch serves one round."""

    def made(manifest, observer):
        staged = stage.local_stage(manifest, observer)
        client = staged.parties.clients[1]
        honest = client.sealing_keys
        client.sealing_keys = lambda first: lets_through(honest(first))
        return staged

    run = Run(SMALL.but(clients=4, rounds=3, epoch_rounds=1), stage=made)
    for _ in run.steps():
        pass
    return run


def left_out(run):
    return [(note.position.epoch, note.party) for note in run.transcript.left_out if note.step == "sealing_keys"]


HELD_BACK = {
    "all": lambda keys: (),
    "the first eight": lambda keys: keys[8:],
    "the next one": lambda keys: keys[1:],
    "no keys at all": lambda keys: b"",
    "letters": lambda keys: ("key",),
}


@pytest.mark.parametrize("name", HELD_BACK)
def test_whose_sealing_keys_are_held_back_is_noted_in_every_epoch_that_goes_without(name):
    run = relayed(HELD_BACK[name])
    without = [epoch for epoch, count in rostered(run).items() if count == 3]
    assert without and left_out(run) == [(epoch, "client-2") for epoch in without]
    assert verify(run.transcript).sums == 3


def test_the_control_is_in_every_roster_and_in_no_note():
    run = relayed(lambda keys: keys)
    assert rostered(run) == {1: 4, 2: 4, 3: 4} and not left_out(run)


def test_counting_any_later_key_the_kms_asks_no_more_and_nobody_is_noted(monkeypatch):
    """The rule as it was: eight keys for whenever are enough."""

    def counted(kms):
        coming = [client for epoch, client in kms._archive.deposited() if epoch > len(kms.epochs)]
        return tuple(name for name in kms._clients() if coming.count(name) < 8)

    monkeypatch.setattr(KMS, "clients_to_ask", counted)
    run = relayed(HELD_BACK["the first eight"])
    assert rostered(run) == {1: 3, 2: 3, 3: 3} and not left_out(run)

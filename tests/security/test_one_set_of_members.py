"""A round has one set of members, for all holders together: else the coordinator and t - 1 holders subtract two sums."""

import numpy as np
import pytest

from hefl_core.errors import HeflError, IntegrityError, RoundError
from hefl_core.federation import witness
from hefl_core.ids import AUDITOR, COORDINATOR
from hefl_core.keys.vault.store import KeyStore
from hefl_core.runtime.stage import make_auditor
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.envelope import Position
from tests.security.hostile import World, names

TOGETHER = Experiment(
    dataset="breast_cancer",
    model="logistic",
    scheme="INSECURE_bfv-threshold-1024",
    custody="3-of-5",
    clients=5,
    rounds=2,
)


def without_the_rule(monkeypatch):
    """The control: witnesses that look at no earlier sum of the round."""
    monkeypatch.setattr(witness, "check_members", lambda listed, summed: None)


def subtract(custody, accomplices, honest):
    """All honest clients in the sum, then each of them left out once and the sum opened by one that was not asked yet."""
    world = World(TOGETHER.but(custody=custody))
    everybody, opened = names(1, 2, 3, 4, 5), {}
    whole = world.open_with(Position(1, 1, 1), world.sum_of(Position(1, 1, 1), everybody), accomplices, honest[0])
    for attempt, (victim, asked) in enumerate(zip(honest[1:], honest[2:] + honest[1:2], strict=True), start=2):
        members = tuple(name for name in everybody if name != victim)
        position = Position(1, 1, attempt)
        rest = world.open_with(position, world.sum_of(position, members), accomplices, asked)
        opened[victim] = (whole.values - rest.values, whole.integers[0] - rest.integers[0])
    return world, opened


@pytest.mark.parametrize(
    ("custody", "accomplices", "honest"),
    [("3-of-5", names(1, 2), names(3, 4, 5)), ("2-of-5", names(1), names(3, 4, 5))],
)
def test_without_the_rule_the_coordinator_and_t_minus_1_holders_read_honest_updates(
    monkeypatch, custody, accomplices, honest
):
    without_the_rule(monkeypatch)
    world, opened = subtract(custody, accomplices, honest)
    assert set(opened) == set(honest[1:])
    step = world.clients["client-1"].scheme.fields(5).step(world.bound)
    for name, (values, examples) in opened.items():
        update, count = world.truth(name)
        assert np.max(np.abs(values - update)) <= 0.51 * step and examples == count


@pytest.mark.parametrize(
    ("custody", "accomplices", "honest"),
    [("3-of-5", names(1, 2), names(3, 4, 5)), ("2-of-5", names(1), names(3, 4, 5))],
)
def test_the_auditor_takes_no_list_with_other_members(custody, accomplices, honest):
    with pytest.raises(IntegrityError, match=r"this round's first sum .*client-4 left out, nobody added"):
        subtract(custody, accomplices, honest)


def begun(kind=TOGETHER):
    """A world in which a first sum of four has been confirmed."""
    world = World(kind)
    world.sum_of(Position(1, 1, 1), names(1, 2, 3, 4))
    return world


@pytest.mark.parametrize("members", [names(1, 2, 3, 4, 5), names(2, 3, 4, 5)])
def test_neither_a_newcomer_nor_an_exchange_passes_the_auditor_or_a_client(members):
    world = begun()
    listed = world.list_of(Position(1, 1, 2), members)
    for name in (AUDITOR, "client-3"):
        with pytest.raises(IntegrityError, match="client-5 added"):
            world.deliver(listed, name)


def test_individual_custody_keeps_the_rule():
    """A curious client would subtract the two sums that it opens."""
    world = begun(TOGETHER.but(scheme="bfv-lean", custody="individual", min_cohort=3))
    listed = world.list_of(Position(1, 1, 2), names(1, 2, 3))
    for name in (AUDITOR, "client-3"):
        with pytest.raises(IntegrityError, match="client-4 left out"):
            world.deliver(listed, name)


def test_a_new_key_in_the_middle_of_the_round_does_not_make_them_forget():
    world = begun()
    world.new_key(1)
    with pytest.raises(RoundError, match="began under the key of epoch 1"):
        world.list_of(Position(2, 1, 2), names(1, 2, 3, 5))
    with pytest.raises(HeflError):
        world.deliver(world.coordinator.plan(Position(2, 1, 2)).envelope, "client-3")


def test_a_roster_alone_does_not_make_them_forget():
    """The second fault: no key follows, the old epoch goes on; what the checkpoint dropped is not asked for again."""
    world = begun()
    world.another_key(1, 1)
    for name in (AUDITOR, "client-3"):
        world.deliver(world.parties.kms.roster_envelope(), name)
        with pytest.raises(RoundError, match="began under the key of epoch 1, and epoch 2 was announced"):
            world.deliver(world.coordinator.plan(Position(1, 1, 2)).envelope, name)


def test_an_auditor_that_is_started_again_still_knows_the_members():
    store = KeyStore()
    world = World(TOGETHER, store=store)
    world.sum_of(Position(1, 1, 1), names(1, 2, 3, 4))
    world.auditor = make_auditor(world.manifest, world.parties.kms.member, store)
    listed = world.list_of(Position(1, 1, 2), names(1, 2, 3, 5))
    with pytest.raises(IntegrityError, match="client-4 left out, client-5 added"):
        world.deliver(listed, AUDITOR)


# -- one history -------------------------------------------------------------------------------------------------------


ALONE = TOGETHER.but(scheme="bfv-lean", custody="individual", min_cohort=3)


def fork(second):
    """Attempt 1 is shown to clients 1 and 2, attempt 2, with these members, to the others; all are honest."""
    world = World(ALONE)
    world.sum_of(Position(1, 1, 1), names(1, 2, 3, 4, 5))
    early = [client.apply(Position(1, 1, 1)) for client in list(world.clients.values())[:2]]
    position = Position(1, 1, 2)
    world.coordinator.members, world.coordinator.carried = second, names(1, 2)
    late = names(3, 4, 5)
    world.deliver(world.coordinator.plan(position).envelope, AUDITOR, *late)
    for name in [name for name in late if name in second]:
        world.deliver(world.said(name, "commit", position), COORDINATOR)
    world.deliver(world.coordinator.commitments(position).envelope, AUDITOR, *late)
    for name in [name for name in late if name in second]:
        world.deliver(world.said(name, "upload", position), COORDINATOR, AUDITOR)
    total = world.coordinator.aggregate(position).envelope
    world.deliver(total, AUDITOR, *late)
    world.deliver(world.auditor.confirm(position).envelope, COORDINATOR, *late)
    world.applied(position, *late)
    world.auditor.close(position)
    assert early
    return world


def models(world):
    return {client.theta.tobytes() for client in world.clients.values()}


def test_without_the_rule_the_coordinator_forks_the_model(monkeypatch):
    without_the_rule(monkeypatch)
    assert len(models(fork(names(1, 2, 3, 4)))) == 2


def test_with_the_rule_no_second_model_is_confirmed():
    with pytest.raises(IntegrityError, match="client-5 left out"):
        fork(names(1, 2, 3, 4))


def test_two_attempts_of_the_same_members_give_one_model_and_the_next_plan_shows_the_fork():
    """What is left of a fork: the histories differ, the models do not, and nobody goes on in both."""
    world = fork(names(1, 2, 3, 4, 5))
    clients = world.clients
    assert len(models(world)) == 1
    assert clients["client-1"].state == clients["client-2"].state != clients["client-3"].state == world.auditor.state
    world.coordinator.close(Position(1, 1, 2))
    plan = world.coordinator.plan(Position(1, 2, 1)).envelope
    world.deliver(plan, AUDITOR, *names(3, 4, 5))
    with pytest.raises(RoundError, match="followed another history"):
        world.deliver(plan, "client-1")


def test_the_other_history_finds_no_auditor():
    """The second fault: the coordinator goes on with the clients that saw attempt 1, in their own history."""
    world = fork(names(1, 2, 3, 4, 5))
    world.coordinator.close(Position(1, 1, 2))
    world.coordinator.state = world.clients["client-1"].state
    world.coordinator._plan = world.clients["client-1"]._plan
    plan = world.coordinator.plan(Position(1, 2, 1)).envelope
    world.deliver(plan, *names(1, 2))
    with pytest.raises(RoundError, match="followed another history"):
        world.deliver(plan, AUDITOR)

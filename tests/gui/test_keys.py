import pytest

from hefl_core.app.key_playground import KeyPlayground
from hefl_core.errors import KeyNotActive, ParameterError, RoundError
from hefl_core.keys.collusion import KMS_AND_COORDINATOR
from hefl_core.keys.epochs import EpochState
from tests.gui.conftest import run_on


@pytest.fixture
def playground():
    playground = KeyPlayground("bfv-lean", 4, "individual")
    playground.play_round()
    playground.rotate()
    playground.play_round()
    return playground


def opened(tried):
    return {item.round for item in tried if item.opened}


def test_a_stolen_key_opens_its_own_epoch_only(playground):
    assert opened(playground.steal(1, ("client-1",))) == {1}
    assert opened(playground.steal(2, ("client-1",))) == {2}


def test_fewer_than_t_shares_open_nothing():
    playground = KeyPlayground("bfv-threshold-classroom", 4, "3-of-4")
    playground.play_round()
    assert not opened(playground.steal(1, ("client-1", "client-2")))
    assert opened(playground.steal(1, ("client-1", "client-2", "client-4"))) == {1}


def test_a_destroyed_epoch_has_nothing_to_steal(playground):
    playground.destroy(1)
    assert playground.epochs[0].state is EpochState.DESTROYED
    with pytest.raises(KeyNotActive):
        playground.steal(1, ("client-1",))
    with pytest.raises(RoundError):
        playground.steal(2, ())


def test_the_revoked_hold_no_new_key(playground):
    playground.revoke("client-4")
    playground.play_round()
    assert "client-4" not in playground.clients
    assert playground.holdings()["client-4"] == {1: "the whole key", 2: "the whole key", 3: ""}
    assert playground.holdings()["coordinator"][3] == "public key"


def test_a_key_is_changed_after_it_served_a_round(playground):
    playground.rotate()
    with pytest.raises(RoundError, match="expected a round under the key of epoch 3, found none"):
        playground.rotate()  # the KMS would take it for a repetition and change nothing
    playground.revoke("client-4")
    assert [epoch.state.value for epoch in playground.epochs] == ["decrypt-only"] * 3 + ["active"]


def test_sizes_are_measured(playground):
    sizes = playground.sizes()
    assert sizes.ciphertext == playground.recorded[-1].ciphertext.nbytes
    assert sizes.public_key == len(playground.parties["coordinator"].public_key.material)


@pytest.mark.parametrize(("preset", "custody"), [("bfv-lean", "individual"), ("bfv-threshold-classroom", "2-of-4")])
def test_the_example_shows_what_rotation_theft_and_revocation_do(preset, custody):
    playground = KeyPlayground(preset, 4, custody)
    assert playground.live_through() == ""
    assert [line.rounds for line in playground.epochs] == [(1, 2), (3,), (4,)]
    assert [line.revoked for line in playground.epochs] == [(), (), ("client-4",)]
    assert [playground.theft_opens(line.epoch) for line in playground.epochs] == [(1, 2), (3,), (4,)]
    playground.destroy(1)
    assert playground.theft_opens(1) is None and playground.theft_opens(2) == (3,)
    assert playground.holdings()["kms"] == {1: "destroyed", 2: "dealt", 3: "dealt"}


def test_a_theft_that_is_tried_again_after_a_round_finds_the_new_round():
    playground = KeyPlayground("bfv-lean", 4, "individual")
    playground.play_round()
    assert playground.theft_opens(1) == (1,)
    playground.play_round()
    assert playground.theft_opens(1) == (1, 2)


def test_where_nobody_can_be_revoked_the_example_says_so():
    playground = KeyPlayground("bfv-threshold-classroom", 4, "4-of-4")
    assert "4" in playground.live_through()
    assert [line.revoked for line in playground.epochs] == [(), (), ()]


def test_lean_presets_cannot_be_shared_out():
    with pytest.raises(ParameterError, match="bfv-threshold"):
        KeyPlayground("bfv-lean", 4, "2-of-4")


def test_the_page(app):
    run_on(app, "keys", clients=3, rounds=1)
    assert not app.error
    assert any(KMS_AND_COORDINATOR[0] in item.value for item in app.markdown)
    assert any("Roster fingerprint `" in item.value for item in app.caption)
    app.button(key="key:rotate").click().run()
    app.button(key="key:play").click().run()
    assert not app.exception
    app.segmented_control(key="theft:epoch").set_value(1).run()
    app.pills(key="theft:victims:1").set_value(["client-1"]).run()
    assert not app.exception
    assert any("rounds 1" in item.value for item in app.markdown)


def test_custody_by_the_slider(app):
    run_on(app, "keys", clients=4, rounds=1)
    app.select_slider(key="keys:threshold").set_value(2).run()
    assert not app.exception and not app.error
    chosen = app.session_state["experiment"]
    assert (chosen.custody, chosen.scheme) == ("2-of-4", "bfv-threshold")
    app.select_slider(key="keys:threshold").set_value(1).run()
    assert app.session_state["experiment"].custody == "individual"


def test_custody_that_leaves_no_cohort_is_explained(app):
    run_on(app, "keys", clients=3, rounds=1)
    app.select_slider(key="keys:threshold").set_value(3).run()
    assert not app.exception
    assert app.error and "min_cohort" in app.error[0].value


def test_rounds_under_one_key_are_chosen_with_cost_and_limit_beside(app):
    run_on(app, "keys", clients=4, rounds=3, custody="2-of-4", scheme="bfv-threshold")

    def said():
        return " ".join(item.value for item in app.caption)

    (chosen,) = [one for one in app.number_input if one.label == "Rounds under one key"]
    assert chosen.value == 1 and "A new key for each round" in said()
    chosen.set_value(3).run()
    assert app.session_state["experiment"].epoch_rounds == 3
    assert "One key for 3 rounds: a client that deviates" in said() and "ceremony of" not in said()


def test_a_key_without_a_dealer_says_what_a_new_one_costs(app):
    run_on(app, "keys", clients=4, rounds=3, custody="dealer-free:2-of-4", scheme="bfv-threshold")
    said = " ".join(item.value for item in app.caption)
    assert "One key for 3 rounds" in said and "a ceremony of 44 messages" in said

"""When a party dies in mid-run: the screen names it, offers to start again, and the session goes on."""

import pytest

from hefl_core.errors import IntegrityError, RuntimeUnavailable
from hefl_core.federation.client import Client
from hefl_core.federation.coordinator import Coordinator
from tests.gui.conftest import run_on


def test_a_party_that_died_is_named_and_the_run_can_be_started_again(app, monkeypatch):
    def gone(self, position):
        raise RuntimeUnavailable("coordinator: its process is gone (ActorDiedError); start the round again")

    with monkeypatch.context() as patch:
        patch.setattr(Coordinator, "aggregate", gone)
        at = run_on(app, "one_round", dataset="digits", seed=11)  # a run of its own: AppTest sessions share one runner
        assert "coordinator: its process is gone" in at.error[0].value
    at.button(key="run-again").click().run()
    at.run()
    assert not at.error and not at.exception


@pytest.fixture
def absent_client(monkeypatch):
    """client-3 commits to nothing and refuses nothing: it gives no answer from round 2 on."""
    commit = Client.commit

    def answers(self, position):
        if self.name == "client-3" and position.round == 2:
            raise IntegrityError("plan: expected the key of epoch 1, found another")
        return commit(self, position)

    monkeypatch.setattr(Client, "commit", answers)


def test_who_was_left_out_and_why_is_on_the_pages(app, absent_client):
    at = run_on(app, "system", dataset="digits", seed=12, clients=3, rounds=2, cursor=999)
    for _ in range(20):
        if any("reason" in table.value for table in at.dataframe):
            break
        at.run()
    tables = [table.value for table in at.dataframe]
    absences = next(table for table in tables if "reason" in table)
    assert absences[["party", "round", "step"]].values.tolist() == [["client-3", 2, "commit"]]
    assert "expected the key of epoch 1" in absences["reason"][0]
    at.switch_page("pages/one_round.py").run()
    assert any("client-3 was left out" in caption.value for caption in at.caption)


def test_a_run_in_which_nothing_happened_says_so(app):
    at = run_on(app, "system", dataset="digits", seed=13, clients=3, rounds=1)
    assert any(caption.value.startswith("Nobody was left out") for caption in at.caption)

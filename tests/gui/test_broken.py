"""When a party dies in mid-run: the screen names it, offers to start again, and the session goes on."""

from hefl_core.errors import RuntimeUnavailable
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

"""Two people at one server: what one of them runs is not in the other's session."""

from pathlib import Path

from streamlit.testing.v1 import AppTest

from hefl_core.app.session import SESSIONS
from tests.gui.conftest import PATIENCE, ROOT, run_on
from tests.security.canary import hits, needles, reachable, secrets_of, shown


def state_of(app):
    return {key: app.session_state[key] for key in app.session_state}


def test_a_second_session_holds_nothing_of_the_first(app):
    run_on(app, "one_round", clients=3, rounds=1, scheme="bfv-lean", model="logistic", dataset="breast_cancer")
    (first,) = SESSIONS._open
    assert first.wait(PATIENCE) and first.run is not None
    wanted = needles(secrets_of(first.run))
    other = AppTest.from_file(str(Path(ROOT) / "app.py"), default_timeout=PATIENCE)
    other.run()
    assert not other.exception
    theirs = list(reachable(state_of(other)))
    assert theirs and not any(thing is first.run or thing is first for thing in theirs)
    assert [hit for thing in theirs for hit in hits(shown(thing), wanted)] == []
    assert hits(str(dict(other.query_params)), wanted) == [] == hits(str(dict(app.query_params)), wanted)
    share = first.run.parties.clients[0].enrolment.share
    assert hits(shown({"planted": share._SecretShare__material}), wanted), "the control"

"""A client that cheats: what is refused, by whom, and the lies that nothing here stops."""

import pytest

from hefl_core.checks.lying_clients import (
    CLIP,
    LIES,
    FewerExamples,
    Honest,
    Malformed,
    MoreExamples,
    PastTheBound,
    PastTheClip,
    SentBefore,
    WellFormed,
    tell,
    tell_all,
)
from hefl_core.terms.experiment import Experiment

RUN = Experiment(dataset="digits", clients=5, rounds=2, seed=7)
MISSED = {PastTheBound, PastTheClip, MoreExamples, WellFormed}
MISSED_UNDER_A_CLIP = {MoreExamples, WellFormed}
LATE = {SentBefore, FewerExamples}
"""Lies that begin in the second round."""


@pytest.fixture(scope="module")
def found():
    lies = tell_all(RUN)
    return lies, dict(zip(LIES, lies.told, strict=True))


def test_an_honest_client_in_the_same_place_is_refused_by_nobody(found):
    lies, _ = found
    assert not lies.honest.refused_by and lies.honest.applied == 2 and lies.honest.accuracy > 0.35


@pytest.mark.parametrize("lie", [lie for lie in LIES if lie not in MISSED], ids=lambda lie: lie.__name__)
def test_what_is_refused_changes_no_model(found, lie):
    lies, by_lie = found
    outcome = by_lie[lie]
    assert outcome.refused_by and outcome.reason
    if outcome.decrypted:
        assert len(outcome.refused_by) == 5 and outcome.applied == (1 if lie in LATE else 0)
    else:  # the lying client is left out, and the others go on
        assert set(outcome.refused_by) <= {"coordinator", "auditor"} and outcome.applied == 2
        assert outcome.accuracy > lies.honest.accuracy - 0.1


def test_the_others_go_on_only_as_long_as_there_are_enough_of_them():
    """The control: with three clients, min_cohort is three, and nobody can be left out."""
    outcome = tell(Malformed, RUN.but(clients=3))
    assert outcome.refused_by == ("coordinator", "auditor") and outcome.applied == 0


@pytest.mark.parametrize("lie", sorted(MISSED, key=lambda lie: lie.__name__), ids=lambda lie: lie.__name__)
def test_a_lie_that_is_well_formed_is_not_caught(found, lie):
    lies, by_lie = found
    assert by_lie[lie] in lies.missed and by_lie[lie].applied == 2
    if lie in (PastTheBound, WellFormed):
        assert by_lie[lie].accuracy < lies.honest.accuracy - 0.2


def test_under_a_clip_what_is_too_long_is_caught_as_well():
    """After decrypting, by all five; a lie that keeps the mean short is missed as before."""
    lies = tell_all(RUN.but(clip_norm=CLIP))
    assert not lies.honest.refused_by and lies.honest.applied == 2
    assert {one.title for one in lies.missed} == {lie.title for lie in MISSED_UNDER_A_CLIP}
    long = [one for one in lies.caught if one.title in {PastTheBound.title, PastTheClip.title}]
    assert len(long) == 2 and all("mean: expected a norm" in one.reason and one.decrypted for one in long)


@pytest.mark.parametrize("clip", [None, CLIP])
@pytest.mark.parametrize("scheme", ["ckks-lean", "bfv-compact-2048-seeded", "INSECURE_paillier-512"])
def test_under_other_schemes_the_same_is_caught_and_missed(scheme, clip):
    lies = tell_all(RUN.but(scheme=scheme, clients=3, clip_norm=clip))
    missed = MISSED if clip is None else MISSED_UNDER_A_CLIP
    caught = {one.title for one in lies.caught}
    assert caught == {lie.title for lie in LIES if lie not in missed}, (lies.missed, lies.caught)


def test_under_custody_of_three_the_well_formed_lie_passes_too():
    assert not tell(WellFormed, RUN.but(scheme="bfv-threshold", custody="3-of-5")).refused_by
    assert not tell(Honest, RUN.but(scheme="bfv-threshold", custody="3-of-5")).refused_by

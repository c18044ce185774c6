"""Claims of a live class: honest classes on which each holds, and faults on which each fails.

Some faults are planted into what a laboratory saw, others into servers and pages that are then played.
"""

from pathlib import Path

import pytest

from hefl_core.checks.claims.claim import MIN_CONTROLS
from hefl_core.classroom.claims import CLASS_LEDGER, UPLOAD, ClassSeen, keyless
from hefl_core.errors import NotChecked
from hefl_core.runtime.result import ClaimVerdict
from tests.classroom.laboratory import BARE, KEYLESS, LAX, PLAIN, Laboratory

MOST_MIB = 400
CLAIMS = {claim.id: claim for claim in CLASS_LEDGER}
PLANTED = [(claim, control) for claim in CLASS_LEDGER for control in claim.controls]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="reads /proc/PID/mem"),
]


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A class in which nobody lies; the server's memory stays small."""
    laboratory = Laboratory(tmp_path_factory.mktemp("honest"))
    seen = laboratory.play()
    assert not laboratory.refused and laboratory.rss < MOST_MIB * 2**20
    return seen


def verdicts(seen):
    return {claim.id: claim.examine(seen) for claim in CLASS_LEDGER if claim.applies(seen)}


def test_every_claim_holds_of_an_honest_class(honest):
    found = verdicts(honest)
    assert {one.verdict for one in found.values()} == {ClaimVerdict.HOLDS} and set(found) == set(CLAIMS), found
    assert "3 answers of holders" in found["class-sums"].evidence
    assert "14 uploads" in found["class-blind"].evidence


@pytest.mark.parametrize(
    ("claim", "control"), PLANTED, ids=[f"{claim.id}-{control.__name__}" for claim, control in PLANTED]
)
def test_the_check_fails_on_every_planted_fault(honest, claim, control):
    found = claim.examine(control(honest))
    assert found.verdict is ClaimVerdict.FAILS, found


def test_each_row_has_faults_of_two_kinds_and_says_which():
    for claim in CLASS_LEDGER:
        assert len(set(claim.controls)) == len(claim.controls) >= MIN_CONTROLS
        assert all(control.__doc__ for control in claim.controls)


@pytest.mark.parametrize("without", ["looks", "uploads", "needles"])
def test_a_look_that_found_nothing_at_all_is_no_look(honest, without):
    scans = () if without == "looks" else honest.scans
    kept = {"looks": ("answer", UPLOAD, "key material"), "uploads": ("key material",), "needles": (UPLOAD,)}[without]
    needles = tuple(form for form in honest.needles if form.kind in kept)
    with pytest.raises(NotChecked):
        keyless(ClassSeen(honest.record, honest.sent, needles, scans))


# -- servers and pages that have the fault --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "claim", "said"),
    [
        ({"phone": BARE}, "class-keyless", "piece 1 to 2"),
        ({"phone": PLAIN}, "class-blind", "phone 7, weighted update, packed words"),
        ({"phone": KEYLESS}, "class-blind", "the upload of seat 7 opens without a key"),
        ({"phone": LAX, "server": "opens one"}, "class-sums", "expected 4 members or more, found 1"),
        ({"phone": LAX, "server": "opens one as all"}, "class-sums", "gives other bytes"),
    ],
    ids=lambda one: "-".join(one.values()) if isinstance(one, dict) else "",
)
def test_the_claim_fails_of_a_class_that_has_the_fault(tmp_path, how, claim, said):
    found = verdicts(Laboratory(tmp_path, **how).play())
    assert found[claim].verdict is ClaimVerdict.FAILS and said in found[claim].evidence, found


def test_a_server_that_deals_the_key_and_keeps_it_is_seen(tmp_path):
    seen = Laboratory(tmp_path, server="keeps the key", custody="3-of-5").play()
    found = CLAIMS["class-keyless"].examine(seen)
    assert found.verdict is ClaimVerdict.FAILS and "in the process that adds: share" in found.evidence, found


@pytest.mark.parametrize(
    ("server", "rule"), [("opens one", "rule 'cohort'"), ("opens one as all", "not that of the listed ciphertexts")]
)
def test_holders_that_keep_their_rules_leave_a_sum_of_one_closed(tmp_path, server, rule):
    laboratory = Laboratory(tmp_path, server=server)
    laboratory.play()
    assert rule in laboratory.refused

"""The table of the protocol is one: the verifier reads it, the documentation shows it, honest records keep to it."""

from pathlib import Path

import pytest

from hefl_core.errors import RoundError
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.protocol_table import READABLE, TABLE, UNKEPT_KINDS, row_of, to_markdown
from hefl_core.federation.record.verify import pin_of, verify
from hefl_core.keys.ceremony import STEPS
from hefl_core.keys.ceremony_result import APPROVAL_KIND, PREFIX
from hefl_core.keys.custody import Custody
from hefl_core.runtime.run import Run
from hefl_core.terms import messages as m
from tests.conftest import SMALL, finished

QUICK = SMALL.but(dataset="breast_cancer", model="logistic")
DEALER_FREE = {"scheme": "INSECURE_bfv-threshold-1024", "custody": "dealer-free:2-of-3"}


def test_the_page_shows_the_table():
    assert to_markdown() in Path("docs/protocol.md").read_text(encoding="utf-8")


def test_every_kind_is_there_once_and_comes_after_one_that_is_there():
    kinds = [row.kind for row in TABLE]
    assert len(set(kinds)) == len(kinds) and {PREFIX + step for step in STEPS} < set(kinds)
    for number, row in enumerate(TABLE):
        assert set(row.after) <= set(kinds[:number]), row.kind
        assert row_of(row.kind) is row
    with pytest.raises(RoundError, match="expected a kind"):
        row_of("gossip")


def test_what_keyless_parties_read_follows_from_it():
    assert m.PARTIAL not in READABLE and "share" not in READABLE and m.UPDATE in READABLE
    assert set(UNKEPT_KINDS) == {"share", "ceremony deal"}
    assert {row.kind for row in TABLE if row.keyless} == set(READABLE)


@pytest.mark.parametrize(
    ("custody", "epoch", "receipt"),
    [
        ("individual", "roster", m.CONFIRMATION),
        ("2-of-3", "roster", m.PARTIAL),
        ("dealer-free:2-of-3", APPROVAL_KIND, m.PARTIAL),
    ],
)
def test_custody_decides_what_comes_before(custody, epoch, receipt):
    held = Custody.parse(custody, 3)
    assert (row_of("epoch").before(held), row_of(m.RECEIPT).before(held)) == (epoch, receipt)


@pytest.mark.parametrize(
    "changes",
    [
        {"scheme": "plaintext"},
        {"scheme": "ckks-lean", "epoch_rounds": 1},
        {"scheme": "bfv-lean", "clip_norm": 0.5},
        {"scheme": "INSECURE_paillier-512", "epoch_rounds": 1},
        {"scheme": "INSECURE_paillier-512", "custody": "2-of-3", "epoch_rounds": 2},
        {"scheme": "INSECURE_bfv-threshold-1024", "custody": "3-of-4", "clients": 4, "epoch_rounds": 1},
        {"scheme": "ckks-threshold", "custody": "2-of-3", "rounds": 1},
        {**DEALER_FREE, "epoch_rounds": 1},
        {"observed": False},
        {"bound": "adaptive"},
    ],
    ids=lambda changes: " ".join(str(value) for value in changes.values()),
)
def test_honest_records_keep_to_it(changes):
    transcript = finished(QUICK.but(**changes)).transcript
    verdict = verify(transcript, pin_of(transcript), ClientHeads.of(transcript))
    clients = transcript.manifest.experiment.clients
    assert verdict.authenticated and verdict.heads == clients and verdict.signers == (clients, clients)
    assert verdict.sums == verdict.rounds == transcript.manifest.experiment.rounds and not verdict.unsent
    assert "all 2 rounds" in str(verdict) or verdict.rounds == 1


def test_an_answer_that_was_lost_leaves_its_header():
    """A client's commitment is made and does not arrive; at its next message the record has no gap."""
    from hefl_core.errors import RuntimeUnavailable

    run = Run(QUICK.but(clients=4, rounds=2))
    steps, lost = run.steps(), []
    next(steps)
    client = run.parties.clients[1]
    commit = client.commit

    def no_answer(position):
        letter = commit(position)
        if not lost:
            lost.append(letter.envelope.signed_header)
            raise RuntimeUnavailable("client-2: the answer is lost")
        return letter

    client.commit = no_answer
    for _ in steps:
        pass
    transcript = run.transcript
    assert [entry.entry.head for entry in transcript.lines if type(entry.entry).__name__ == "Unsent"][:1] == lost
    verdict = verify(transcript, pin_of(transcript), ClientHeads.of(transcript))
    assert verdict.unsent == 2 and verdict.notes == 1  # it applied round 1 as well, when the next plan came
    assert "said to be undelivered: 2" in str(verdict) and verdict.signers == (4, 4)
    assert ClientHeads.of(transcript).heads["client-2"] == client.head

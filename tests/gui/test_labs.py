"""The pages Training lab, Guarantees, Report and System, without a browser."""

import json

import pytest

from hefl_core.app.report import to_html
from hefl_core.checks.claims.ledger import LEDGER, NOT_PROMISED
from hefl_core.checks.claims.tally import tally
from hefl_core.runtime.result import ClaimVerdict, Finding
from tests.conftest import SMALL, finished
from tests.gui.conftest import run_on

PAGES = ("training", "guarantees", "report", "system", "your_data")


@pytest.mark.parametrize("page", PAGES)
def test_each_page_draws_without_an_exception(app, page):
    at = run_on(app, page)
    assert not at.exception and not at.error


def test_a_training_is_compared_with_plain_alone_and_together(app):
    at = run_on(app, "training")
    at.button(key="lab:train").click().run()
    comparison = at.session_state["comparison"]
    assert comparison.wait(60) and comparison.error is None
    at.run()
    assert not at.exception
    assert {"plain FedAvg", "bfv-lean", "best client alone", "all data in one place"} <= set(comparison.curves)
    plain, encrypted = comparison.curves["plain FedAvg"], comparison.curves["bfv-lean"]
    for one, other in zip(plain.points, encrypted.points, strict=True):
        assert abs(one.accuracy - other.accuracy) <= 2 / 114
    said = " ".join(caption.value for caption in at.caption)
    assert f"bfv-lean {encrypted.points[-1].accuracy:.3f}" in said


def test_every_claim_and_every_limit_is_on_the_page_and_a_planted_fault_turns_red(app):
    at = run_on(app, "guarantees")
    text = " ".join(block.value for block in (*at.markdown, *at.caption))
    assert all(claim.sentence in text for claim in LEDGER)
    assert all(sentence in text for sentence in NOT_PROMISED)
    assert red(at) == 0 and "executed: holds]" in text and " 0 fail," in text
    at.button(key="plant-coordinator-blind").click().run()
    assert red(at) == 1 and any(" 1 fail," in block.value for block in at.markdown)
    at.button(key="plant-coordinator-blind").click().run()
    assert red(at) == 0


def red(at):
    """Badges that say that a check failed, without the line that explains them."""
    return sum("red-badge" in block.value and "executed: FAILS" in block.value for block in at.markdown)


def test_a_board_sees_five_sentences_and_opens_the_rest(app):
    at = run_on(app, "guarantees", audience="stakeholder")
    bold = [block.value for block in at.main.markdown if "badge" in block.value and "**" in block.value]
    assert len(bold) == len(LEDGER)
    first = " ".join(bold[:5])
    assert not any(word in first for word in ("χ²", "θ_0", "float32", "cohort", " d,")), first
    assert any("Is a ciphertext personal data?" in block.value for block in at.markdown)
    assert {"Precise words and evidence"} <= {one.label for one in at.expander}


def test_every_claim_is_counted_once():
    found = tally(LEDGER, [])
    assert (found.holds, found.fails) == (0, 0) and found.silent + found.argued == len(LEDGER)
    one = next(claim for claim in LEDGER if claim.kind == "executed")
    failing = tally(LEDGER, [Finding(one.id, ClaimVerdict.FAILS, "")])
    assert (failing.fails, failing.silent) == (1, found.silent - 1)


def test_the_report_says_what_the_run_says(app):
    at = run_on(app, "report")
    number, html = at.session_state["report"]
    result = finished(SMALL.but(rounds=1)).result()
    assert number >= 1 and "Plotly.newPlot" in html
    html = to_html(result)
    assert result.transcript.tail[1].hex() in html and result.key_id in html
    assert html.count("Plotly.newPlot") == 2 and html.count("plotly.js v") == 1
    assert all(f"{item.accuracy:.4f}" in html for item in result.rounds)
    assert "http://" not in html.split("plotly.js v")[0]
    assert json.loads(result.to_json())["rounds"]


def upload(at, raw):
    at.file_uploader(key="own:file").set_value(("table.csv", raw, "text/csv")).run()
    assert not at.exception
    return at


GOOD = b"a,b,label\n" + b"".join(f"{i % 7},{i % 5},{'x' if i % 7 > 3 else 'y'}\n".encode() for i in range(120))
BAD = {
    "text in a cell": GOOD + b"1,oops,x\n",
    "one class": b"a,b,label\n" + b"1,2,x\n" * 40,
    "nan": GOOD + b"nan,1,x\n",
    "formula": GOOD + b"=1+1,1,x\n",
    "not text": bytes(range(256)) * 8,
    "empty": b"",
    "too few": b"a,b,label\n1,2,x\n2,3,y\n",
    "no header": b"1,2,3\n" * 30,
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_table_gets_a_message_and_the_session_goes_on(app, what):
    at = upload(run_on(app, "your_data"), BAD[what])
    assert at.error and "expected" in at.error[0].value
    upload(at, GOOD)
    assert not at.error and at.success


def test_a_table_of_ones_own_is_trained_on_under_encryption(app):
    at = upload(run_on(app, "your_data"), GOOD)
    at.button(key="own:train").click().run()
    comparison = at.session_state["own-comparison"]
    assert comparison.wait(60) and comparison.error is None, comparison.error
    at.run()
    assert not at.exception
    assert "coordinator-blind" in " ".join(block.value for block in at.markdown)
    assert "csv" not in str(at.query_params)


def test_a_part_encrypted_is_compared_and_the_figure_says_what_came_back(app):
    at = run_on(app, "costs")
    at.toggle(key="costs:selective").set_value(True).run()
    assert not at.exception and not at.error
    said = next(caption.value for caption in at.caption if "most sensitive" in caption.value)
    assert "100% are named among 100" in said and "average record" in said

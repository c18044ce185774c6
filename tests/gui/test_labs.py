"""The pages Training lab, Guarantees, Report and System, without a browser."""

import json
from dataclasses import replace
from datetime import date

import pytest

from hefl_core.app.attacked import beside_control
from hefl_core.app.report import Cover, to_html
from hefl_core.attacks.on_run import ON_RUN, Reading
from hefl_core.checks.claims.count import count
from hefl_core.checks.claims.ledger import LEDGER, NOT_PROMISED
from hefl_core.runtime.result import ClaimVerdict, Finding
from tests.conftest import SMALL, finished
from tests.gui.conftest import run_on
from tests.tables.hospitals import A, B, C

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
    found = count(LEDGER, [])
    assert (found.holds, found.fails) == (0, 0) and found.silent + found.argued == len(LEDGER)
    one = next(claim for claim in LEDGER if claim.kind == "executed")
    failing = count(LEDGER, [Finding(one.id, ClaimVerdict.FAILS, "")])
    assert (failing.fails, failing.silent) == (1, found.silent - 1)


def test_the_report_says_what_the_run_says(app):
    at = run_on(app, "report")
    (number, _), html = at.session_state["report"]
    result = finished(SMALL.but(rounds=1)).result()
    assert number >= 1 and "Plotly.newPlot" in html and "What the coordinator could read" in html
    html = to_html(result)
    assert result.transcript.tail[1].hex() in html and result.key_id in html
    assert html.count("Plotly.newPlot") == 2 and html.count("plotly.js v") == 1
    assert all(f"{item.accuracy:.4f}" in html for item in result.rounds)
    assert "http://" not in html.split("plotly.js v")[0]
    assert json.loads(result.to_json())["rounds"]


def test_a_report_is_a_document():
    """Date, author, numbered captions, the attack beside its control, the audience's depth and the language."""
    result = finished(SMALL.but(rounds=1, dataset="breast_cancer")).result()
    attacked = beside_control(result)
    assert {one.attack for one in attacked} == set(ON_RUN) and all(one.control or one.reason for one in attacked)
    german = {"Figure": "Abbildung"}
    cover = Cover("Two <hospitals>", "A. Author", date(2026, 1, 2), "thesis", "de", lambda text: german.get(text, text))
    thesis = to_html(result, cover, attacked)
    for said in (
        "Two &lt;hospitals&gt;",
        "A. Author",
        'datetime="2026-01-02"',
        'lang="de"',
        "Abbildung 1.",
        "Abbildung 2.",
    ):
        assert said in thesis
    assert all(f"Table {number}." in thesis for number in range(1, 5))
    assert "not encrypted" in thesis and "counter(pages)" in thesis
    stakeholder = to_html(result, replace(cover, audience="stakeholder", translate=str), attacked)
    assert "largest error" not in stakeholder and "Not promised" in stakeholder and len(stakeholder) < len(thesis)


def test_the_summary_counts_what_the_attacks_learned():
    """A control that reads and a run that does not; and the other way round, which the sentence then says."""
    result = finished(SMALL.but(rounds=1)).result()
    attacked = beside_control(result)
    told = to_html(result, None, attacked)
    unclear = [sum(one.readings[side] in (Reading.TOO_FEW, None) for one in attacked) for side in (0, 1)]
    assert f"0 of 3 attacks learned more than guessing and {unclear[0]} could not tell" in told
    assert f"did and {unclear[1]} could not tell" in told
    turned = [replace(one, run=one.control, control=one.run) for one in attacked]
    learned = sum(one.readings[1] in (Reading.READ, Reading.HINT) for one in attacked)
    assert learned > 0 and f"{learned} of 3 attacks learned more" in to_html(result, None, turned)


def upload(at, raw):
    at.file_uploader(key="own:file").set_value(("table.csv", raw, "text/csv")).run()
    assert not at.exception
    return at


GOOD = b"a,b,label\n" + b"".join(f"{i % 7},{i % 5},{'x' if i % 7 > 3 else 'y'}\n".encode() for i in range(120))
BAD = {
    "text in a cell": GOOD + b"1,oops,x\n",
    "one class": b"a,b,label\n" + b"1,2,x\n" * 40,
    "a row of another length": GOOD + b"1,1,x,2\n",
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


def test_three_hospitals_files_agree_and_train(app):
    """Three forms of one table: round zero is shown, then the training; a fourth that does not fit is refused by name."""
    at = run_on(app, "your_data")
    at.session_state["your_data:tab"] = "One file for each hospital"
    at.run()
    files = [(f"{name}.csv", content, "text/csv") for name, content in (("north", A), ("south", B), ("west", C))]
    at.file_uploader(key="own:files").set_value(files[:2]).run()
    assert "2 of at least 3 files" in " ".join(caption.value for caption in at.caption)
    at.file_uploader(key="own:files").set_value(files).run()
    assert not at.exception and not at.error
    _, job = at.session_state["own:agreement"]
    assert job.wait(60) and job.error is None, job.error
    at.run()
    assert "3 hospitals agreed on 5 features from 95 rows" in at.success[0].value
    at.button(key="own:train").click().run()
    comparison = at.session_state["own-comparison"]
    assert comparison.wait(60) and comparison.error is None, comparison.error
    at.run()
    assert not at.exception and "coordinator-blind" in " ".join(block.value for block in at.markdown)
    other = ("east.csv", C.replace(b"dose", b"Dosis"), "text/csv")
    at.file_uploader(key="own:files").set_value([*files, other]).run()
    _, job = at.session_state["own:agreement"]
    job.wait(60)
    at.run()
    assert "Dosis" in at.error[0].value


def test_a_part_encrypted_is_compared_and_the_figure_says_what_came_back(app):
    at = run_on(app, "costs")
    at.toggle(key="costs:selective").set_value(True).run()
    assert not at.exception and not at.error
    said = next(caption.value for caption in at.caption if "most sensitive" in caption.value)
    assert "100% are named among 100" in said and "average record" in said


def test_beside_accuracy_stand_the_majority_and_the_rarer_class(app):
    """Every training of the page has its metrics; measures switch without another training."""
    at = run_on(app, "training")
    at.button(key="lab:train").click().run()
    comparison = at.session_state["comparison"]
    assert comparison.wait(60) and comparison.error is None
    at.run()
    said = " ".join(block.value for block in (*at.markdown, *at.caption))
    last = comparison.curves["bfv-lean"].points[-1]
    assert f"right in {last.metrics.majority_share:.3f} of the hold-out rows" in said
    assert "rarer class: *`malignant`*" in said
    assert all(point.metrics is not None for curve in comparison.curves.values() for point in curve.points)
    for measure in ("balanced_accuracy", "average_precision"):
        at.segmented_control(key="lab:measure").set_value(measure).run()
        assert not at.exception
        said = " ".join(caption.value for caption in at.caption)
        assert f"{measure.replace('_', ' ')} after the last round" in said
        assert f"bfv-lean {getattr(last, measure):.3f}" in said


def test_the_sidebar_deals_by_each_law_and_takes_alpha_back(app):
    at = run_on(app, "training")
    at.toggle(key="w:skew").set_value(True).run()
    for law, partition, alpha in (
        ("shards", "shards", None),
        ("dirichlet-by-client", "dirichlet-by-client", 0.5),
        ("dirichlet-by-class", "iid", 0.5),
    ):
        at.selectbox(key="w:law").set_value(law).run()
        chosen = at.session_state["experiment"]
        assert not at.exception and (chosen.partition, chosen.alpha) == (partition, alpha)
    at.toggle(key="w:skew").set_value(False).run()
    assert (at.session_state["experiment"].partition, at.session_state["experiment"].alpha) == ("iid", None)

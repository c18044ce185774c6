"""The page Your data: every kind of table, every decision shown and changeable, the same table as the other doors."""

from __future__ import annotations

import hashlib
import re
from html import unescape

import numpy as np
import pytest
from PIL import Image

from hefl_core.app.report import to_html
from hefl_core.errors import DataError
from hefl_core.learning import shelf
from hefl_core.learning.pictures import packed
from hefl_core.runtime.launch import run_experiment
from hefl_core.tables.declared import Declared
from hefl_core.tables.source import TableSource
from tests.gui.conftest import run_on
from tests.tables.kinds import GAPS, KINDS, PLAIN, cell, made, outcome


def upload(app, raw, name="ward.csv", **query):
    at = run_on(app, "your_data", clients=3, rounds=1, model="logistic", **query)
    return give(at, raw, name)


def give(at, raw, name="ward.csv"):
    at.file_uploader(key="own:file").set_value((name, raw, "text/csv")).run()
    assert not at.exception, at.exception
    return at


def key(what, raw):
    return f"own:{what}:{hashlib.sha256(raw).hexdigest()[:12]}"


def said(at):
    return " ".join(block.value for block in (*at.markdown, *at.success, *at.warning, *at.error, *at.caption))


def kept(at):
    return at.session_state["own:kept"]


def table(at):
    """The table of columns on the screen: (read as, why) by name."""
    body = next(one.proto.body for one in at.get("html") if 'class="decided"' in one.proto.body)
    rows = re.findall(r'<tr class="(?:in|out)"><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td></tr>', body)
    return {unescape(name): (unescape(read_as), unescape(why)) for name, read_as, why in rows}


BY_FILE_ALONE = [name for name, case in KINDS.items() if not case.declare and case.label is None and case.content]


@pytest.mark.parametrize("kind", BY_FILE_ALONE)
def test_every_kind_is_read_as_through_the_other_doors(app, kind):
    case = KINDS[kind]
    at = upload(app, case.content)
    if case.refused:
        assert re.search(case.refused, at.error[0].value) and not at.success and "own:kept" not in at.session_state
        return
    assert not at.error and at.success
    assert kept(at).name == shelf.put(TableSource(case.content))
    assert case.warned in said(at)


DECLARED = {
    "no header, declared": ("header", "none", None),
    "totals, declared": ("summary", "drop", None),
    "missing as -999, declared": ("missing", "-999", None),
    "label missing, left out": ("unlabelled", True, None),
    "label in the middle": ("label", "outcome", None),
}


@pytest.mark.parametrize("kind", DECLARED)
def test_what_must_be_declared_can_be_declared_here(app, kind):
    case, (what, value, _) = KINDS[kind], DECLARED[kind]
    at = upload(app, case.content)
    widgets = {"missing": at.text_input, "unlabelled": at.toggle}.get(what, at.selectbox)
    widgets(key=key(what, case.content)).set_value(value).run()
    assert not at.exception and not at.error, [one.value for one in at.error]
    plain = shelf.find(shelf.put(TableSource(case.same_as))).dataset
    assert (kept(at).shelved.dataset.train.features == plain.train.features).all()


def test_label_source_and_every_columns_decision_are_said(app):
    raw = made("patient,age,city,outcome", lambda at: f"P{at},{at % 7},{'' if at == 9 else 'ab'[at % 2]},{at % 2}")
    at = upload(app, raw)
    assert "label: outcome (by its name), classes 0, 1" in said(at)
    assert hashlib.sha256(raw).hexdigest()[:12] in said(at)
    rows = table(at)
    assert list(rows) == ["patient", "age", "city"]
    assert rows["patient"][0] == "left out: identifier" and "different in each row" in rows["patient"][1]
    assert rows["age"][0] == "number" and "to change this, declare" in rows["age"][1]
    assert "1 of 48 cells are missing (empty) and take the most frequent value" in rows["city"][1]


def test_a_column_is_read_otherwise_on_request_and_back(app):
    raw = made("branch,age,outcome", lambda at: f"{10 + at % 3},{at % 7},{at % 2}")
    at = upload(app, raw)
    assert table(at)["branch"][0] == "number"
    mark = key("change", raw).rsplit(":", 1)[1]
    at.selectbox(key=f"own:kind:{mark}:0").set_value("code").run()
    at.button(key=key("change", raw)).click().run()
    assert not at.exception and table(at)["branch"][0] == "code"
    assert kept(at).shelved.dataset.feature_names[:3] == ("branch = 10", "branch = 11", "branch = 12")
    at.selectbox(key=key("column", raw)).set_value("age").run()
    at.selectbox(key=f"own:use:{mark}:1").set_value("drop").run()
    at.button(key=key("change", raw)).click().run()
    assert table(at)["age"][0] == "left out: dropped" and table(at)["branch"][0] == "code", "both are kept"
    at.selectbox(key=key("column", raw)).set_value("branch").run()
    at.selectbox(key=f"own:kind:{mark}:0").set_value("").run()
    at.button(key=key("change", raw)).click().run()
    assert table(at)["branch"][0] == "number"


def test_a_refused_column_can_be_declared_where_the_refusal_stands(app):
    raw = KINDS["ambiguous dates"].content
    at = upload(app, raw)
    assert "column 'seen'" in at.error[0].value
    mark = key("change", raw).rsplit(":", 1)[1]
    at.selectbox(key=key("column", raw)).set_value("seen").run()
    at.selectbox(key=f"own:dates:{mark}:1").set_value("day").run()
    at.button(key=key("change", raw)).click().run()
    assert not at.error and table(at)["seen"][0] == "date"


LABELS = {
    "byte-order mark": b"\xef\xbb\xbf" + PLAIN,
    "commas within quotes": PLAIN.replace(b"age,", b'"age, in years",'),
    "a blank first line": b"\n\n" + PLAIN,
    "many long names": made(
        ",".join(f"{'long name ' * 15}{n}" for n in range(80)) + ",outcome",
        lambda at: ",".join(str((at * n) % 11) for n in range(1, 81)) + f",{at % 2}",
    ),
    "colons and slashes": PLAIN.replace(b"age,dose", b"a:b,c/d:e"),
    "semicolons": PLAIN.replace(b",", b";"),
    "UTF-16": PLAIN.decode().encode("utf-16"),
    "titles above": b"Ward;;\n" + PLAIN.replace(b",", b";"),
}


@pytest.mark.parametrize("what", LABELS)
def test_the_label_box_offers_the_names_that_the_reader_found(app, what):
    raw = LABELS[what]
    at = upload(app, raw)
    box = at.selectbox(key=key("label", raw))
    names = [column.name for column in kept(at).shelved.table.columns]
    assert box.options[1:] == [*names, "outcome"] and len(names) in (2, 80)
    box.set_value("outcome").run()
    assert not at.error and "label: outcome (as named)" in said(at)
    first = names[0]
    at.selectbox(key=key("label", raw)).set_value(first).run()
    assert not at.exception and (at.error or kept(at).shelved.table.label.name == first)


def test_a_script_and_a_formula_are_text(app):
    raw = made(
        "<script>alert(1)</script>,=1+1,outcome", lambda at: f"{at % 7},{at % 5},{'<b>x</b>' if at % 2 else '=2+2'}"
    )
    at = upload(app, raw)
    assert list(table(at)) == ["<script>alert(1)</script>", "=1+1"] and at.success
    assert "begins like a formula; it is text here and is never run" in said(at)


def test_a_measured_label_is_cut_in_two_where_the_refusal_stands(app):
    raw = KINDS["measured"].content
    at = upload(app, raw)
    assert "Cut above on the page" in at.error[0].value
    for typed, said_then in (("9,5", "expected a number, found '9,5'"), ("nan", "label above: expected a number")):
        at.text_input(key=key("above", raw)).set_value(typed).run()
        assert not at.exception and said_then in at.error[0].value
    at.text_input(key=key("above", raw)).set_value("9.5").run()
    assert not at.error and "cut at 9.5: classes 9.5 or less, above 9.5" in said(at)
    assert kept(at).name == shelf.put(TableSource(raw, declared=Declared(label_above=9.5)))


def test_gaps_are_marked_on_request(app):
    at = upload(app, GAPS)
    assert kept(at).shelved.dataset.feature_names == ("age", "dose")
    at.toggle(key=key("marked", GAPS)).set_value(True).run()
    assert kept(at).shelved.dataset.feature_names == ("age", "dose", "dose was missing")


def test_trained_here_and_through_the_library_the_models_are_the_same(app):
    at = upload(app, PLAIN)
    at.button(key="own:train").click().run()
    comparison = at.session_state["own-comparison"]
    assert comparison.wait(60) and comparison.error is None, comparison.error
    here = comparison.results["bfv-lean"]
    library = run_experiment(comparison.experiment.but(dataset=shelf.put(TableSource(PLAIN, "outcome"))))
    assert [item.model for item in here.rounds] == [item.model for item in library.rounds]
    assert here.table is not None and here.table.label in to_html(here)
    assert "ward" not in here.to_json() and "table:" not in str(at.query_params)


def test_another_upload_and_a_closed_tab_forget_the_table(app):
    at = upload(app, cell("61"))
    first = kept(at).name
    give(at, cell("62"))
    assert shelf.known(first) is None and shelf.known(kept(at).name)
    second = kept(at).name
    give(at, b"")
    assert shelf.known(second) is None and "own:kept" not in at.session_state
    give(at, cell("63"))
    third = kept(at).name
    at.file_uploader(key="own:file").set_value(None).run()
    with pytest.raises(DataError, match="give the file again"):
        shelf.find(third)


def test_the_page_in_german(app):
    at = upload(app, made("age,city,outcome", lambda at: f"{at % 7},{'ab'[at % 2]},{at % 2}"), language="de")
    assert "Label: outcome (nach ihrem Namen), Klassen 0, 1" in said(at)
    assert table(at)["city"][0] == "Kategorie" and table(at)["city"][1].startswith("city: Kategorien mit je")


def test_a_rare_class_is_warned_of(app):
    at = upload(app, outcome(lambda at: int(at % 400 == 399), rows=800))
    assert "class '1' is rare, 2 of 800 rows" in at.warning[0].value


def test_arrays_and_pictures_are_read_and_dealt(app, tmp_path):
    """The same names as through the other doors; what cannot be read says why, and nothing of it stays."""
    rows, labels = np.random.default_rng(7).normal(size=(60, 4)), np.arange(60) % 3
    np.savez(tmp_path / "odd.npz", measured=rows, ill=labels)
    content = (tmp_path / "odd.npz").read_bytes()
    at = upload(app, content, "odd.npz")
    assert "features and labels" in at.error[0].value
    assert "own:kept" not in at.session_state
    at.text_input(key=key("array", content)).set_value("ill").run()
    assert not at.error and "48 rows to train on, 12 held out, 4 columns, classes: *`0, 1, 2`*" in at.success[0].value
    assert kept(at).name == shelf.resolve(f"npz:{tmp_path}/odd.npz#ill")
    at.text_input(key=key("above", content)).set_value("0.5").run()
    assert not at.error and "classes: *`0.5 or less, above 0.5`*" in at.success[0].value
    for number in range(40):
        place = tmp_path / "scans" / ("dark", "light")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8 + 2 * (number == 3)), 100 * (number % 2) + number).save(place / f"{number}.png")
    content = packed(tmp_path / "scans")
    give(at, content, "scans.zip")
    assert "pixels" in at.error[0].value
    at.number_input(key=key("side", content)).set_value(8).run()
    assert not at.error and "64 columns, classes: *`dark, light`*" in at.success[0].value
    assert kept(at).name == shelf.resolve(f"pictures:{tmp_path}/scans#8")
    at.button(key="own:train").click().run()
    comparison = at.session_state["own-comparison"]
    assert comparison.wait(60) and comparison.error is None, comparison.error
    give(at, PLAIN)
    assert kept(at).name == shelf.put(TableSource(PLAIN)), "a table after it"


def test_hospitals_have_a_label_and_declarations(app):
    """The label in the middle, 0 and 1 at one hospital beside words: declared, they agree."""

    def made_of(words, at=0):
        return "\n".join(["outcome,age", *(f"{words[n % 2]},{n * 7 % 13 + at}" for n in range(30))]).encode()

    files = [
        (f"{n}.csv", made_of(words, n), "text/csv")
        for n, words in enumerate((("no", "yes"), ("0", "1"), ("nein", "ja")))
    ]
    at = run_on(app, "your_data", scheme="plaintext")
    at.session_state["your_data:tab"] = "One file for each hospital"
    at.run()
    at.file_uploader(key="own:files").set_value(files).run()
    at.text_input(key="own:hospitals:label").set_value("outcome").run()
    for typed, said in (("", "one way to write yes and no"), ("magic=1", "declare"), ("kind='x", "closed quotes")):
        at.text_input(key="own:hospitals:declare").set_value(typed).run()
        if at.session_state["own:agreement"][1].running:
            at.session_state["own:agreement"][1].wait(60)
            at.run()
        assert not at.exception and at.error and said in at.error[0].value, at.error[0].value
    at.text_input(key="own:hospitals:declare").set_value("kind=outcome=boolean").run()
    _, job = at.session_state["own:agreement"]
    assert job.wait(60) and job.error is None, job.error
    at.run()
    assert "3 hospitals agreed on 1 features from 90 rows" in at.success[0].value
    at.text_input(key="own:hospitals:label").set_value("age").run()
    at.text_input(key="own:hospitals:above").set_value("6").run()
    _, job = at.session_state["own:agreement"]
    assert job.wait(60) and job.error is None, job.error
    at.run()
    assert job.agreement.agreed.schema.classes == ("6 or less", "above 6")
    verdicts = [block.value for block in at.markdown if "sums-confirmed" in block.value]
    assert len(verdicts) == 1 and verdicts[0].startswith(":green-badge"), "the claims are checked on round zero"

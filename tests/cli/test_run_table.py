"""``run`` on a user's own table: every kind of table through the command line, and what it says."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from hefl_core.cli.main import app
from hefl_core.errors import DataError, ParameterError
from hefl_core.learning import shelf
from hefl_core.runtime.client_home import dealt_data
from hefl_core.tables.declared import Declared
from hefl_core.tables.said import declarations, said
from hefl_core.tables.source import TableSource
from hefl_core.terms.experiment import Experiment
from tests.tables.kinds import CITIES, GAPS, KINDS, PLAIN

QUICK = ("--model", "logistic", "--scheme", "plaintext", "--clients", "3", "--rounds", "1")
SAME = Experiment(model="logistic", scheme="plaintext", clients=3, rounds=1)


def run(*args):
    return CliRunner().invoke(app, ["run", *QUICK, *map(str, args)])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_runs_or_is_refused_with_what_to_do(kind, tmp_path):
    case = KINDS[kind]
    path, out = tmp_path / "ward.csv", tmp_path / "o.json"
    path.write_bytes(case.content)
    label = ("--label", case.label) if case.label else ()
    done = run("--dataset", f"csv:{path}", *label, *(f"--declare={one}" for one in case.declare), "--json", out)
    if case.refused:
        assert isinstance(done.exception, DataError) and re.search(case.refused, str(done.exception))
        assert not out.exists()
        return
    assert done.exception is None, done.exception
    found = json.loads(out.read_text())
    source = TableSource(case.content, case.label, declarations(said(case.declare)))
    assert found["experiment"]["dataset"] == shelf.put(source), "one name, one table: the library trains on the same"
    assert found["parameters"] == dealt_data(SAME.but(dataset=shelf.put(TableSource(case.same_as)))).model.parameters
    assert found["table"]["label"].startswith("label: ") and str(tmp_path) not in out.read_text()


def test_the_screen_says_label_gaps_and_what_is_left_out(tmp_path):
    path = tmp_path / "ward.csv"
    path.write_bytes(KINDS["patient number"].content)
    said = " ".join(run("--dataset", f"csv:{path}").stderr.split())
    assert "TABLE label: outcome (by its name), classes 0, 1" in said
    assert "TABLE patient: different in each row" in said and "2 of 3 columns are learnt from" in said


def test_the_screen_says_how_many_cells_are_filled(tmp_path):
    path, schema = tmp_path / "ward.csv", tmp_path / "schema.json"
    lines = [f"{at % 7},{'x' if at % 4 == 0 else ''},{'' if at == 3 else at % 5},{at % 2}" for at in range(60)]
    path.write_text("\n".join(["age,diab,dose,outcome", *lines]))
    assert "'x' in 15 of 60 rows and 45 empty" in str(run("--dataset", f"csv:{path}").exception)
    done = run("--dataset", f"csv:{path}", "--declare", "present=diab=")
    assert done.exception is None and "TABLE filled: dose in 59 of 60 rows" in " ".join(done.stderr.split())
    checked = CliRunner().invoke(app, ["table", "check", str(path), "--present", "diab=", "--schema", str(schema)])
    assert checked.exit_code == 0, checked.output
    done = run("--dataset", f"csv:{path}", "--declare", "present=diab=", "--schema", schema)
    assert done.exception is None, "the schema reads back"


def test_a_schema_and_marked_gaps(tmp_path):
    path, schema, out = tmp_path / "ward.csv", tmp_path / "schema.json", tmp_path / "o.json"
    path.write_bytes(CITIES)
    assert CliRunner().invoke(app, ["table", "check", str(path), "--schema", str(schema)]).exit_code == 0
    path.write_bytes(CITIES.replace(b"Kiel", b"Ulm"))
    assert run("--dataset", f"csv:{path}", "--schema", schema, "--json", out).exception is None
    assert json.loads(out.read_text())["parameters"] == 2 * 4 + 2, "the city that this table lacks has its column"
    path.write_bytes(GAPS)
    assert run("--dataset", f"csv:{path}", "--mark-missing", "--json", out).exception is None
    assert json.loads(out.read_text())["parameters"] == 2 * 3 + 2
    assert "expected a readable file" in str(run("--dataset", f"csv:{path}", "--schema", tmp_path / "none").exception)


def test_a_measured_label_is_cut_in_two(tmp_path):
    """Refused with what to do, and doing it works, with a schema for others too."""
    path, out, schema = tmp_path / "ward.csv", tmp_path / "o.json", tmp_path / "schema.json"
    path.write_bytes(KINDS["measured"].content)
    assert "--label-above X" in str(run("--dataset", f"csv:{path}").exception)
    cut = ("--label-above", "9.5")
    assert run("--dataset", f"csv:{path}", *cut, "--json", out).exception is None
    found = json.loads(out.read_text())
    source = TableSource(path.read_bytes(), declared=Declared(label_above=9.5))
    assert found["experiment"]["dataset"] == shelf.put(source)
    assert "cut at 9.5: classes 9.5 or less, above 9.5" in found["table"]["label"]
    assert CliRunner().invoke(app, ["table", "check", str(path), *cut, "--schema", str(schema)]).exit_code == 0
    assert run("--dataset", f"csv:{path}", "--schema", schema, "--json", out).exception is None
    assert "cut at 9.5" in json.loads(out.read_text())["table"]["label"]
    assert "expected 2 classes or more" in str(run("--dataset", f"csv:{path}", "--label-above", "99").exception)
    assert isinstance(run("--dataset", f"csv:{path}", "--declare", "label-above=9").exception, ParameterError)


def test_declarations_that_mean_nothing_are_refused(tmp_path):
    path = tmp_path / "ward.csv"
    path.write_bytes(PLAIN)
    for text in ("magic=1", "missing", "kind=age", "kind=age=magic", "header=maybe", "drop-unlabelled=1"):
        assert isinstance(run("--dataset", f"csv:{path}", f"--declare={text}").exception, ParameterError), text
    assert isinstance(run("--dataset", "digits", "--label", "age").exception, ParameterError)
    assert isinstance(run("--dataset", "table:" + "0" * 64).exception, DataError)
    assert shelf.known("table:" + "0" * 64) is None

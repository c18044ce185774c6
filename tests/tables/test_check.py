"""The report, the command, and the room: what it may import, and that it keeps no values in reprs."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hefl_core.tables
from hefl_core.cli.main import app
from hefl_core.cli.tables import table as command
from hefl_core.errors import DataError, ParameterError
from hefl_core.tables.check import report
from hefl_core.tables.declared import Declared, DeclaredColumn
from hefl_core.tables.schema import TableSchema
from tests.tables.helpers import GOOD, column, read

WARD = "sep=;\nnr;alter;raucher;stadt;lab;outcome\n" + "\n".join(
    f"{at};{20 + at % 9},5;{'ja' if at % 3 else 'nein'};{('Ulm', 'Bonn', 'NA')[at % 3]};{-999 if at == 7 else at % 5};{at % 2}"
    for at in range(30)
)


def test_the_report_says_everything():
    said = report(read(WARD))
    for part in (
        "30 rows; 4 of 5 columns are learnt from",
        "text: UTF-8",
        "separator: semicolon (by its sep= line)",
        "label: outcome (by its name), classes 0, 1",
        "  0: 15 rows, 50.0%",
        "[identifier] nr: ",
        "[number] alter: numbers with decimal comma",
        "[boolean] raucher: yes or no, ja is 1 and nein is 0",
        "[category] stadt: categories with one column each ('Bonn', 'Ulm')",
        "stadt: 10 of 30 cells are missing ('NA')",
        "lab: 1 cells are -999, far from all others",
    ):
        assert part in said, part
    measured = read(GOOD.replace("ill", "2.5").replace("well", "0"), declared=Declared(label_above=1.0))
    assert "  above 1: 20 rows, 50.0%" in report(measured)


def test_every_decision_about_a_column_names_it_and_how_to_change_it():
    found = read(WARD)
    for one in found.columns:
        for decision in one.decisions:
            assert str(decision).startswith(f"{one.name}: ")
            assert any(words in str(decision) for words in ("to change this", "to learn from it"))


def run(*words):
    return CliRunner().invoke(app, ["table", "check", *map(str, words)])


def test_the_command_reports_and_writes_a_schema(tmp_path):
    path, schema = tmp_path / "ward.csv", tmp_path / "schema.json"
    path.write_text(WARD)
    done = run(
        path,
        "--label",
        "outcome",
        "--schema",
        schema,
        "--missing",
        "-999",
        "--drop",
        "stadt",
        "--kind",
        "alter=number",
        "--keep",
        "nr",
        "--decimal",
        "alter=comma",
    )
    assert done.exit_code == 0 and "label: outcome (as named)" in done.stdout and "[dropped] stadt" in done.stdout
    proposed = TableSchema.from_json(schema.read_bytes())
    assert not proposed.scaled and all(one.centre == 0 for one in proposed.columns), "a proposal shows no mean"
    assert str(tmp_path) not in schema.read_text()
    assert run(path, "--header", "none", "--separator", "semicolon").exit_code == 1, (
        "a refusal is an error for main() to say"
    )
    assert isinstance(run(tmp_path / "none.csv").exception, DataError)
    assert isinstance(run(path, "--kind", "alter").exception, ParameterError)
    assert isinstance(run(path, "--kind", "alter=magic").exception, ParameterError)
    assert "  above 24: 15 rows" in run(path, "--label", "alter", "--label-above", "24").stdout
    assert isinstance(run(path, "--label-above", "nan").exception, DataError)
    assert command.info.help


def test_present_cells_are_values():
    text = "drinks|z|y\n" + "\n".join(f"{('None', 'Light', 'Heavy')[at % 3]}|{at % 7}|{at % 2}" for at in range(12))
    assert column(read(text), "drinks").missing.sum() == 4
    kept = column(read(text, declared=Declared(columns=(DeclaredColumn("drinks", present=("None",)),))), "drinks")
    assert kept.categories == ("Heavy", "Light", "None") and not kept.missing.any()


def test_a_label_cannot_be_dropped():
    with pytest.raises(DataError, match="label: expected a column that is kept"):
        read(GOOD, declared=Declared(columns=(DeclaredColumn("outcome", drop=True),)))


def test_a_repr_shows_no_value_of_a_client():
    assert "123456" not in repr(read("a|b|y\n123456|1|0\n123457|2|1\n123456|4|1"))


def test_the_room_imports_errors_numpy_and_msgspec_only():
    allowed = {"numpy", "msgspec"} | set(sys.stdlib_module_names)
    for path in Path(hefl_core.tables.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                ours = name.startswith(("hefl_core.tables", "hefl_core.errors"))
                assert ours or name.split(".")[0] in allowed, (path.name, name)
        assert "cache(" not in path.read_text().replace("cache(lambda", ""), "nothing is remembered between two tables"

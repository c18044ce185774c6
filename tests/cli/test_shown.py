"""What a command prints of somebody else's file moves no cursor and colours nothing."""

import io
from dataclasses import replace

from rich.console import Console
from typer.testing import CliRunner

from hefl_core.cli import main as cli
from hefl_core.cli.output import findings_table, metrics_tables
from hefl_core.errors import DataError
from hefl_core.evaluation import ClassMetrics
from hefl_core.runtime.result import ClaimVerdict, Finding
from tests.gui.hostile_texts import forged

ESCAPES = "\x1b[2J\x1b]8;;http://evil.invalid\x07evil\x1b]8;;\x07 \u202eevil"


def test_an_error_text_sends_a_terminal_no_control_codes(monkeypatch, capsys):
    def broken():
        raise DataError(f"csv: found {ESCAPES}")

    monkeypatch.setattr(cli, "app", broken)
    try:
        cli.main()
    except SystemExit as left:
        assert left.code == 2
    said = capsys.readouterr().err
    assert "⟨001B⟩" in said and "⟨202E⟩" in said and "\x1b" not in said


def test_evidence_is_no_markup(small_result):
    hostile = replace(small_result, claims=(Finding("x", ClaimVerdict.HOLDS, "[link=http://evil.invalid]evil[/link]"),))
    wide = Console(width=200)
    with wide.capture() as caught:
        wide.print(findings_table(hostile))
    assert "[link=http://evil.invalid]evil[/link]" in caught.get()


def test_a_records_break_is_printed_as_text(small_run, tmp_path):
    record = tmp_path / "t.jsonl"
    forged(small_run.transcript, [ESCAPES]).save(record)
    found = CliRunner().invoke(cli.app, ["verify", str(record)])
    assert found.exit_code == 1 and "\x1b" not in found.output


def test_what_accuracy_hides_is_printed_beside_it(small_result):
    """The majority's share, the rarer class's precision and the confusion matrix; a class's name is text, not markup."""
    wide = Console(width=160, file=io.StringIO())
    for table in metrics_tables(small_result):
        wide.print(table)
    said, found = wide.file.getvalue(), small_result.last_metrics
    assert f"{found.majority_share:.4f}" in said and f"{found.balanced_accuracy:.4f}" in said
    assert f"{found.average_precision:.4f}" in said
    assert all(str(count) in said for row in found.confusion for count in row)
    assert all(name in said for name in small_result.classes)


def test_an_unobserved_run_prints_no_metrics(small_result):
    unseen = replace(small_result, rounds=tuple(replace(one, metrics=None) for one in small_result.rounds))
    assert metrics_tables(unseen) == () and unseen.last_metrics is None
    assert "metrics" in small_result.to_json() and small_result.remarks == unseen.remarks


def test_a_class_that_the_hold_out_lacks_is_said(small_result):
    lacking = ClassMetrics.of(((3, 0), (0, 0)), None)
    last = replace(small_result.rounds[-1], metrics=lacking)
    said = replace(small_result, rounds=(*small_result.rounds[:-1], last)).remarks
    name = small_result.classes[1]
    assert said[-1].startswith(f"The hold-out set has no row of {name}") and len(said) == len(small_result.remarks) + 1

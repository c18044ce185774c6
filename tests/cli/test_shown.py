"""What a command prints of somebody else's file moves no cursor and colours nothing."""

from dataclasses import replace

from rich.console import Console
from typer.testing import CliRunner

from hefl_core.cli import main as cli
from hefl_core.cli.output import findings_table
from hefl_core.errors import DataError
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

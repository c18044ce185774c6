"""The command line lists its commands without importing them."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from hefl_core.cli.main import COMMANDS, app

COUNT = """
import sys
from typer.testing import CliRunner
from hefl_core.cli.main import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
print(sum(name.split(".")[0] == "hefl_core" for name in sys.modules))
"""


def test_help_loads_fewer_than_twenty_of_our_modules():
    found = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 20


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_listed_command_is_there_and_says_the_same_of_itself(command):
    loaded = command.load()
    assert isinstance(loaded, typer.core.TyperCommand | typer.core.TyperGroup)
    assert loaded.help.split("\n")[0] == command.summary
    assert CliRunner().invoke(app, [command.name, "--help"]).exit_code == 0


def test_a_misspelt_command_is_answered_with_the_right_one():
    found = CliRunner().invoke(app, ["schem"])
    assert found.exit_code == 2 and "schemes" in found.output

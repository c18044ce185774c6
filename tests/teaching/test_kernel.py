"""Two of the notebooks in a real kernel: `make lessons-full` takes the same way for all of them."""

import os
import re
import subprocess
import sys

import pytest

from hefl_core.teaching import lessons

ROOT = lessons.FOLDER.parent


def run(*arguments):
    """The command in a process of its own, where the kernel's libraries may warn."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "lessons.tools.run", "--kernel", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(("number", "figures"), [("01", 3), ("02", 0)])
def test_the_notebook_runs_in_a_kernel_and_its_checks_accept_the_solutions(number, figures):
    done = run(number)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(rf"{number}_\w+: [\d.]+ s, {figures} figures, 0 refused\n", done.stdout)


def test_the_notebook_as_handed_out_is_refused():
    """The control: a count of zero above says something, since untouched stubs are counted here."""
    assert run("--stubs", "02").returncode == len(lessons.exercises("02"))

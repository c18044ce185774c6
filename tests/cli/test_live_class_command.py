"""`hefl class` without phones: a class of bots from the first question to its files, and what it refuses."""

import socket
import subprocess
import sys
import threading

import pytest
from typer.testing import CliRunner

from hefl_core.classroom.page_files import digests, page_files
from hefl_core.classroom.qr import qr_svg, qr_text
from hefl_core.cli.main import app
from hefl_core.errors import DataError, ParameterError, RuntimeUnavailable
from tests.gui.conftest import ROOT

SHEETS = "// two in one ciphertext\nTea? | yes | no\nCups? # 9\n\nCake? | yes | no\n"


def hefl(*arguments):
    command = [sys.executable, "-m", "hefl_core", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)


def test_a_class_of_bots_writes_files_that_verify_and_only_its_owner_reads(tmp_path):
    questions, record, table = tmp_path / "q.txt", tmp_path / "hefl.class", tmp_path / "counts.csv"
    questions.write_text(SHEETS)
    done = hefl(
        "class", "--questions", questions, "--address", "127.0.0.1", "--port", 0, "--phones", 4, "--bots", 4, "--rounds", 2,
        "--predict", "--transcript", record, "--csv", table,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (
        "/#" in done.stdout
        and "trained for 2 rounds" in done.stdout
        and "could read every single answer" in done.stderr
    )
    assert record.stat().st_mode & 0o077 == 0 and table.stat().st_mode & 0o077 == 0
    assert [line.split(",")[2] for line in table.read_text().splitlines()] == [
        "choice",
        "yes",
        "no",
        "mean",
        "yes",
        "no",
    ]
    checked = CliRunner().invoke(app, ["verify", str(record)])
    assert checked.exit_code == 0 and "4 of them bots" in checked.output and "4 sums added again" in checked.output
    record.write_bytes(record.read_bytes()[:-1])
    broken = CliRunner().invoke(app, ["verify", str(record)])
    assert broken.exit_code == 1 and "cut off" in broken.output
    refused = CliRunner().invoke(app, ["verify", str(record), "--roster", str(table)])
    assert refused.exit_code != 0


def test_a_taken_port_is_said_and_nothing_is_left_open():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found = CliRunner().invoke(
            app, ["class", "A? | x | y", "--address", "127.0.0.1", "--port", port, "--phones", "3"]
        )
    assert isinstance(found.exception, RuntimeUnavailable) and "another address or port" in str(found.exception)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((), "expected a question or rounds"),
        (("Tea? | yes | no",), "terminal"),
        (("Tea? | yes | no", "--address", "8.8.8.8", "--phones", "3"), "private one"),
        (("Tea? | yes | no", "--address", "0.0.0.0", "--phones", "3"), "private one"),
        (("Tea? | yes | no", "--custody", "3-of-3", "--phones", "3"), "custody"),
        (("Tea? | yes | no", "--custody", "all", "--phones", "3"), "custody"),
        (("Tea?", "--phones", "3"), "choices"),
        (("Tea? | yes | no", "--seats", "1000", "--phones", "3"), "seats"),
    ],
)
def test_what_makes_no_class_is_refused_before_anything_listens(arguments, found):
    done = CliRunner().invoke(app, ["class", *arguments])
    assert isinstance(done.exception, ParameterError | DataError) and found in str(done.exception)
    assert not [one for one in threading.enumerate() if one.name == "hefl-class"]


def test_hashes_are_those_of_the_files_that_phones_get():
    done = CliRunner().invoke(app, ["class", "--hashes"])
    assert done.output == "".join(f"{found}  {name}\n" for name, found in digests())
    assert {"phone.html", "phone.js", "holder.js"} <= set(page_files())
    assert sum(len(file.content) for file in page_files().values()) < 600_000


def test_the_qr_code_is_a_picture_of_its_own():
    svg = qr_svg("http://192.168.1.5:8502/#ABC234")
    assert svg.startswith("<svg") and "href" not in svg and "http://192" not in svg
    assert "█" in qr_text("http://192.168.1.5:8502/#ABC234")

"""The built wheel, installed into an environment of its own and used from an empty folder: commands, pages, server."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import hefl_core
from benchmarks.browser import free_port
from tests.deploy.files import ROOT

SOURCES = (
    "pyproject.toml", "setup.py", "MANIFEST.in", "requirements-light.txt", "README.md", "LICENSE",
    "app.py", "pages", "hefl_core", "lessons", "locale", ".streamlit", "docs/legal.md",
)  # fmt: skip
"""All that a wheel is built from; nothing else is copied, so whatever else it needed would be missing."""
PATIENCE = 300
"""Seconds for a command or the server on a busy machine; a free one takes five."""
pytestmark = pytest.mark.skipif(
    int(version("setuptools").split(".")[0]) < 77,
    reason="pip install -e '.[test]' brings the setuptools that is asked for",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built without the net and without the tree that the tests run in: what an older build left there stays out."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in SOURCES:
        one = ROOT / name
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if one.is_dir():
            shutil.copytree(one, source / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
        else:
            shutil.copy(one, source / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        str(built),
        ".",
    ]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = built.iterdir()
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder with the commands of an environment that has the wheel, and this environment's other packages by a path."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    places = sysconfig.get_paths("venv", {"base": str(home), "platbase": str(home)})
    python, site = Path(places["scripts"]) / Path(sys.executable).name, Path(places["purelib"])
    (site / "others.pth").write_text("\n".join(dict.fromkeys(sysconfig.get_paths()[n] for n in ("purelib", "platlib"))))
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(places["scripts"])


def clean():
    """An environment without the clone in it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HEFL_RUNTIME": "local"}


@pytest.fixture
def run(installed, tmp_path):
    def command(program, *arguments):
        return subprocess.run(
            [str(installed / program), *arguments],
            cwd=tmp_path,
            env=clean(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    return command


def test_it_has_all_of_the_application_and_no_name_that_others_use(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"hefl_core", "hefl_app", f"hefl-{hefl_core.__version__}.dist-info"}
    for needed in (
        "hefl_app/app.py",
        "hefl_app/.streamlit/config.toml",
        "hefl_app/locale/de/LC_MESSAGES/hefl.po",
        "hefl_app/docs/legal.md",
        "hefl_core/templates/report.html",
        f"hefl-{hefl_core.__version__}.dist-info/licenses/LICENSE",
    ):
        assert needed in names
    web = ROOT / "hefl_core" / "classroom" / "web"
    assert {one.relative_to(ROOT).as_posix() for one in web.iterdir()} <= set(names)
    for folder in ("pages", "lessons"):
        files = {str(one.relative_to(ROOT)) for one in (ROOT / folder).rglob("*") if one.is_file()}
        kept = {name for name in files if "__pycache__" not in name and ".ipynb_checkpoints" not in name}
        assert {f"hefl_app/{name}" for name in kept} <= set(names)
    assert not any("__pycache__" in name or name.startswith(("tests", "benchmarks")) for name in names)


def test_commands_run_in_an_empty_folder(run, tmp_path):
    where = run("python", "-c", "import hefl_core; print(hefl_core.__file__, hefl_core.__version__)").stdout
    assert str(ROOT) not in where and hefl_core.__version__ in where
    shown = run("hefl", "demo", "--trainer", "numpy", "--runtime", "local")
    assert shown.returncode == 0 and "claims hold" in shown.stdout, shown.stderr
    made = run("hefl", "run", "--clients", "3", "--rounds", "1", "--json", "o.json", "--transcript", "t.jsonl")
    assert made.returncode == 0, made.stderr
    assert json.loads((tmp_path / "o.json").read_text())["rounds"][0]["accuracy"] > 0
    good = run("hefl", "verify", "t.jsonl", "--roster", "t.jsonl.roster")
    assert good.returncode == 0 and "authenticated" in good.stdout, good.stderr
    cut = (tmp_path / "t.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "t.jsonl").write_text("".join(cut[:-2] + cut[-1:]))
    assert run("hefl", "verify", "t.jsonl", "--roster", "t.jsonl.roster").returncode == 1, "it does check"


@pytest.mark.ray
@pytest.mark.keras
def test_the_demonstration_as_the_readme_has_it(run):
    shown = run("hefl", "demo")
    assert shown.returncode == 0, shown.stderr


PAGES = """
import sys
from pathlib import Path
import hefl_core
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest, app_test

class Framed(PagesManager):
    def __init__(self, *args, **kwargs):
        PagesManager.uses_pages_directory = False
        super().__init__(*args, **kwargs)

app_test.PagesManager = Framed
app = Path(hefl_core.__file__).parents[1] / "hefl_app" / "app.py"
sys.path.insert(0, str(app.parent))
at = AppTest.from_file(str(app), default_timeout=200)
at.query_params["clients"], at.query_params["rounds"], at.query_params["language"] = "3", "1", "de"
at.run()
for page in ("lessons", "guarantees", "one_round"):
    at.switch_page(f"pages/{page}.py").run()
    assert not at.exception, (page, at.exception)
    print(page, [one.value for one in at.title], len(at.markdown))
"""


def test_pages_with_their_lessons_texts_and_german(run):
    shown = run("python", "-c", PAGES)
    assert shown.returncode == 0, shown.stderr[-3000:]
    lines = shown.stdout.splitlines()
    assert len(lines) == 3 and "Lektionen" in lines[0] and all(int(line.rsplit(" ", 1)[1]) > 0 for line in lines)


def test_the_application_serves(installed, tmp_path):
    port, told = free_port(), tmp_path / "told"
    address = f"http://127.0.0.1:{port}"
    with told.open("w") as log:
        server = subprocess.Popen(
            [str(installed / "hefl"), "app", "--port", str(port)], cwd=tmp_path, env=clean(), stdout=log, stderr=log
        )
    try:
        assert fetched(f"{address}/_stcore/health", server, told) == b"ok"
        assert b"<title>" in fetched(f"{address}/one_round", server, told)
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0, told.read_text()
    finally:
        server.kill()


def fetched(address, server, told):
    """What the server answers, as soon as it does."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.read()
        except OSError:
            assert server.poll() is None and time.monotonic() < end, told.read_text()
            time.sleep(0.1)


def test_a_port_in_use_is_said(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = run("hefl", "app", "--port", str(taken.getsockname()[1]))
    assert refused.returncode == 3 and "RuntimeUnavailable" in refused.stderr and "Traceback" not in refused.stderr

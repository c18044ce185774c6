"""A process that crashes leaves no copy of its memory. Each crash has a control that leaves one, where the machine writes them."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hefl_core import dumps
from hefl_core.runtime.run import Run
from hefl_core.runtime.services.one_machine import OneMachine
from hefl_core.terms.experiment import Experiment
from tests import untouched
from tests.conftest import SMALL

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="core files are looked for on Linux")
PATTERN = Path("/proc/sys/kernel/core_pattern")
PLANT = "secret = bytes(byte ^ 0x5a for byte in bytes.fromhex('{}')) * 64\n"
SECRET = os.urandom(32)
CRASHES = {
    "abort": "import os; os.abort()",
    "segmentation fault": "import ctypes; ctypes.string_at(0)",
    "illegal instruction": "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
}
GUARDED = "import hefl_core\n"
UNLIMITED = "import resource; resource.setrlimit = lambda *_: None\n"
UNFILTERED = f"open({str(dumps.FILTER)!r}, 'w').write('0x33')\n"
RAISED = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"


def no_core_files():
    """Why this machine would leave none in any case; empty where it does."""
    if not PATTERN.is_file() or "/" in (pattern := PATTERN.read_text().strip()) or pattern.startswith("|"):
        return "core files go elsewhere on this machine"
    return "" if untouched.hard_limit() == "unlimited" else "the limit of core files cannot be raised here"


needs_core_files = pytest.mark.skipif(bool(no_core_files()), reason=no_core_files() or "they are written here")


def crashed(folder, *pieces):
    """The core files of a child that plants a secret and crashes; it may begin with dumps without limit."""
    folder.mkdir()
    code = RAISED + "".join(pieces[:-1]) + PLANT.format(bytes(b ^ 0x5A for b in SECRET).hex()) + pieces[-1]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": ""}
    code, said = untouched.run([sys.executable, "-c", code], folder, environment)
    assert code < 0, said
    return [path for path in folder.iterdir() if path.name.startswith("core")]


@needs_core_files
@pytest.mark.parametrize("how", CRASHES)
def test_a_crash_leaves_no_core_file(tmp_path, how):
    assert crashed(tmp_path / "guarded", GUARDED, CRASHES[how]) == []
    (control,) = crashed(tmp_path / "bare", CRASHES[how])
    assert SECRET in control.read_bytes()


@needs_core_files
def test_a_dump_that_no_limit_stops_holds_no_memory(tmp_path):
    """A kernel that pipes dumps into a program does not ask for the limit: the second lock."""
    for core in crashed(tmp_path / "guarded", UNLIMITED, GUARDED, CRASHES["abort"]):
        assert SECRET not in core.read_bytes()
    (control,) = crashed(tmp_path / "bare", UNLIMITED, GUARDED, UNFILTERED, CRASHES["abort"])
    assert SECRET in control.read_bytes()


@needs_core_files
def test_a_hidden_process_leaves_no_dump_with_neither_lock(tmp_path):
    pieces = UNLIMITED, GUARDED, UNFILTERED, "hefl_core.dumps.hide()\n", CRASHES["abort"]
    assert crashed(tmp_path / "hidden", *pieces) == []


def limits_of(pid):
    """Limit of a dump in bytes, soft and hard, and what memory would go into one."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    soft, hard = next(line for line in lines if line.startswith("Max core file size")).split()[4:6]
    return soft, hard, int(Path(f"/proc/{pid}/coredump_filter").read_text(), 16)


OFF = ("0", "0", 0)


@pytest.mark.parametrize(
    "entry",
    [
        "hefl_core.cli.main",
        "hefl_core.runtime.services.service",
        "hefl_core.runtime.ray.actors",
        "hefl_core.keys.kms.key_office",
        "pages.parts.frame",
    ],
)
def test_every_way_in_switches_dumps_off_and_children_inherit_it(entry):
    code = f"import {entry}, subprocess, sys\n"
    code += "child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); sys.stdin.read(); child.kill(); child.wait()"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        child = int(parent.stdout.readline())
        assert limits_of(parent.pid) == limits_of(child) == OFF
        parent.stdin.close()


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_no_process_of_a_ray_run_dumps():
    run = Run(Experiment(clients=3, rounds=1, model="logistic"), "ray", clients_per_host=1)
    try:
        for _ in run.steps():
            pass
        found = {host.pid: limits_of(host.pid) for host in run.hosts}
    finally:
        run.close()
    assert len(found) == 6 and set(found.values()) == {OFF}


NOBODY = 65534


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv, to become another user"
)
def test_a_services_process_is_closed_to_its_own_user(monkeypatch):
    """The kernel gives what lies in /proc of a process that hides to root; of another one to its user."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    folder = Path(tempfile.mkdtemp(prefix="hefl-"))  # pytest's own folders are closed to others
    folder.chmod(0o755)
    monkeypatch.chdir(folder)
    machine = OneMachine(SMALL.but(observed=False), folder / "parties")
    for path in (machine.folder, *machine.folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", sys.executable]
    command = [*become, "-m", "hefl_core", "serve", "coordinator", "--config", "parties/coordinator/service.toml"]
    waiting = [*become, "-c", "import hefl_core; print(flush=True); input()"]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service,
        subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as control,
    ):
        try:
            said = []
            assert any('"listens"' in line or said.append(line) for line in service.stderr), said
            control.stdout.readline()
            assert limits_of(service.pid) == limits_of(control.pid) == OFF
            owners = [os.stat(f"/proc/{one.pid}/mem").st_uid for one in (service, control)]
        finally:
            service.terminate()
            control.terminate()
            service.stderr.read()
            shutil.rmtree(folder)
    assert owners == [0, NOBODY]

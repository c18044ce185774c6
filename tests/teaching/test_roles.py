"""The role play: four notebooks in four kernels, one table, one round; hospital B reads hospital A."""

import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest

from hefl_core.app.role_play import Seat, take_seat
from hefl_core.errors import RuntimeUnavailable
from hefl_core.teaching.lessons import FOLDER

KEYLESS, HOSPITALS = ("kms", "coordinator"), ("hospital_a", "hospital_b")
ROLES = (*KEYLESS, *HOSPITALS)
pytestmark = pytest.mark.ray


EXECUTE = "import sys; from nbclient.cli import main; sys.argv[0] = 'jupyter-execute'; main()"


SEARCH = f"""
import os, time
from pathlib import Path
import msgspec
from hefl_core.probes.memory import Search
from hefl_core.probes.private_forms import AGGREGATE, MODEL, UPDATE, client_fingerprints
from hefl_core.wire.fingerprint import Fingerprint, Salt

salt, hospitals = Salt(b"role play"), {HOSPITALS}
"""
"""What is put behind each notebook's last cell: the same search in every kernel; hospitals are its positive control."""
OF_A_HOSPITAL = """
needles = [one for one in client_fingerprints(me, salt, 4, 0) if one.kind in (AGGREGATE, MODEL, UPDATE)]
Path(f"{FOLDER}/{ROLE}.part").write_bytes(msgspec.json.encode(needles))
os.rename(f"{FOLDER}/{ROLE}.part", f"{FOLDER}/{ROLE}.needles")
"""
OF_THE_KEYLESS = """
needles, end = [], time.monotonic() + 120
for name in hospitals:
    path = Path(f"{FOLDER}/{name}.needles")
    while not path.exists():
        assert time.monotonic() < end, f"no fingerprints of {name}"
        time.sleep(0.2)
    needles += msgspec.json.decode(path.read_bytes(), type=list[Fingerprint])
"""
LOOK = """
print("searched for:", sorted({one.kind for one in needles}))
print("found:", sorted({hit.kind for hit in Search(salt, needles).look_into(os.getpid()).hits}))
"""


def searching(role, folder):
    """The notebook of a role, and at its end a look into its own kernel's memory."""
    notebook = nbformat.read(FOLDER / "roles" / f"{role}.ipynb", as_version=4)
    own = OF_A_HOSPITAL if role in HOSPITALS else OF_THE_KEYLESS
    places = f"FOLDER, ROLE = {str(folder)!r}, {role!r}\n"
    notebook.cells.append(nbformat.v4.new_code_cell(SEARCH + places + own + LOOK))
    path = folder / f"{role}-searching.ipynb"
    nbformat.write(notebook, path)
    return path


def begin(role, folder):
    """The notebook in a kernel of its own, as `jupyter execute` runs it."""
    source, played = searching(role, folder), folder / f"{role}.ipynb"
    command = [sys.executable, "-c", EXECUTE, str(source), "--output", str(played), "--timeout", "180"]
    return played, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def end(played, process):
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output.decode()[-3000:]
    cells = nbformat.read(played, as_version=4).cells
    return "".join(o.get("text", "") for cell in cells for o in cell.get("outputs", ()))


@pytest.fixture
def room(tmp_path, monkeypatch):
    monkeypatch.setenv("HEFL_ROOM", str(tmp_path / "room"))
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    for key in [key for key in os.environ if key.startswith("RAY_")]:
        monkeypatch.delenv(key)
    process = subprocess.Popen([sys.executable, "-m", "hefl_core", "room"], env=environment, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 90
    while not (tmp_path / "room").exists():
        assert process.poll() is None and time.monotonic() < end, "the room did not open"
        time.sleep(0.2)
    assert (tmp_path / "room").stat().st_mode & 0o077 == 0
    yield process
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert not (tmp_path / "room").exists()


def test_four_notebooks_play_one_round(room, tmp_path):
    children = psutil.Process(room.pid).children(recursive=True)
    playing = {role: begin(role, tmp_path) for role in ROLES}
    said = {role: end(*started) for role, started in playing.items()}
    model_a, model_b = (re.search(r"model: (\w{16})", said[f"hospital_{x}"])[1] for x in "ab")
    assert model_a == model_b
    own = re.search(r"your update begins: (.+)", said["hospital_a"])[1].split()
    read = re.search(r"hospital A's update begins: (.+)", said["hospital_b"])[1].split()
    assert [float(x) for x in read] == pytest.approx([float(x) for x in own], abs=2e-4)
    assert any(float(x) for x in own)
    assert "INSECURE min_cohort 2" in said["kms"]
    assert "your share of the key: coordinator" in said["coordinator"]
    assert "the coordinator's share:" in said["kms"]
    private = "['aggregate', 'model after θ_0', 'plaintext update']"
    for role in ROLES:
        assert f"searched for: {private}" in said[role]
        assert f"found: {private if role in HOSPITALS else '[]'}" in said[role], f"{role}: {said[role][-300:]}"
    room.send_signal(signal.SIGINT)
    room.wait(60)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


def test_without_a_room_one_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HEFL_ROOM", str(tmp_path / "none"))
    with pytest.raises(RuntimeUnavailable, match="hefl_core room"):
        take_seat()


def test_patience_ends_with_the_name_of_the_missing(monkeypatch):
    seat = Seat(table=None, patience_seconds=0.1)
    monkeypatch.setattr(Seat, "_ask", lambda self, method, *args: ())
    with pytest.raises(RuntimeUnavailable, match="client-1 to sit down"):
        seat.players(("client-1",))

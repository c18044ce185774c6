"""A sweep's numbers are those of single runs, however often it was interrupted; a damaged run is refused, none is made twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hefl_core.errors import DataError, ParameterError
from hefl_core.runtime.launch import run_experiment
from hefl_core.sweep import runs
from hefl_core.sweep.plan import plan_of
from hefl_core.sweep.row import RunRow

ROOT = Path(__file__).parents[2]
CONTENT = {
    "experiment": {"dataset": "breast_cancer", "clients": 3, "rounds": 2},
    "grid": {"scheme": ["plaintext", "bfv-lean"]},
    "seeds": [1, 2],
    "baseline": {"scheme": "plaintext"},
}
TOML = """
seeds = [1, 2]
[experiment]
dataset = "breast_cancer"
clients = 3
rounds = 2
[grid]
scheme = ["plaintext", "bfv-lean"]
[baseline]
scheme = "plaintext"
"""


def test_the_numbers_are_those_of_single_runs_and_no_run_is_made_twice(tmp_path, monkeypatch):
    plan, said = plan_of(CONTENT), []
    rows = runs.run_all(plan, tmp_path, 1, said.append)
    assert [row.id for row in rows] == [point.id for point in plan.points] and len(said) == 4
    for point, row in zip(plan.points, rows, strict=True):
        single = run_experiment(point.experiment)
        assert [one.accuracy for one in row.rounds] == [one.accuracy for one in single.rounds]
        assert [one.upload for one in row.rounds] == [one.bytes.upload_per_client for one in single.rounds]
        assert bool(row.failed) is bool(row.insecure) is (point.experiment.scheme == "plaintext")
        assert row.parameters == single.parameters
    monkeypatch.setattr(runs, "run_point", lambda point: pytest.fail("made again"))
    assert runs.run_all(plan, tmp_path, 1, said.append) == rows and len(said) == 4


def test_a_damaged_or_foreign_run_is_refused_and_says_what_to_do(tmp_path):
    plan = plan_of(CONTENT)
    place = tmp_path / runs.FOLDER / f"{plan.points[0].id}.json"
    place.parent.mkdir()
    place.write_bytes(b"{}")
    with pytest.raises(DataError, match="delete the file"):
        runs.done(plan, tmp_path)
    place.write_bytes(RunRow("0" * 16, "another", 1, 1, (), (), (), "0").to_json())
    with pytest.raises(DataError, match="delete the file"):
        runs.done(plan, tmp_path)


def test_a_missing_trainer_is_said_before_the_first_run(tmp_path, monkeypatch):
    monkeypatch.setattr("hefl_core.learning.trainers.trainers_here", lambda: ("numpy",))
    with pytest.raises(ParameterError, match="TensorFlow"):
        runs.run_all(plan_of({**CONTENT, "experiment": {"trainer": "keras"}}), tmp_path, 1, print)
    assert not (tmp_path / runs.FOLDER).exists()


def command(folder):
    (folder / "plan.toml").write_text(TOML)
    arguments = ["sweep", str(folder / "plan.toml"), "--output", str(folder / "out")]
    return [sys.executable, "-m", "hefl_core", *arguments]


def test_killed_in_the_middle_it_goes_on_where_it_stopped(tmp_path):
    kept = tmp_path / "out" / runs.FOLDER
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command(tmp_path), env=environment, stderr=subprocess.DEVNULL) as first:
        while not (kept.is_dir() and list(kept.glob("*.json"))) and first.poll() is None:
            time.sleep(0.01)
        first.send_signal(signal.SIGKILL)
    before = {place: place.stat().st_mtime_ns for place in kept.glob("*.json")}
    assert before
    again = subprocess.run(command(tmp_path), env=environment, capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stderr
    assert f"{len(before)} runs done earlier" in again.stderr
    assert all(place.stat().st_mtime_ns == when for place, when in before.items())
    assert len(list(kept.glob("*.json"))) == 4 and (tmp_path / "out" / "figure.svg").is_file()


@pytest.mark.ray
def test_on_ray_the_numbers_are_the_same(tmp_path):
    table = tmp_path / "own.csv"
    table.write_text("age,size,ill\n" + "".join(f"{40 + n % 31},{150 + n % 7},{n % 2}\n" for n in range(80)))
    plan = plan_of({**CONTENT, "experiment": {"dataset": f"csv:{table}", "clients": 3, "rounds": 1}})
    here = runs.run_all(plan, tmp_path / "here", 1, lambda row: None)
    there = runs.run_all(plan, tmp_path / "there", 2, lambda row: None)
    assert [[one.accuracy for one in row.rounds] for row in here] == [
        [one.accuracy for one in row.rounds] for row in there
    ]

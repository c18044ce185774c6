"""Without TensorFlow (`pip install hefl`): all but Keras works, and what asks for Keras says what to install."""

import json
import subprocess
import sys

import pytest

WITHOUT = (
    "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; from hefl_core.cli.main import main; main()"
)
"""A module that is None cannot be imported and is not found, as where it is not installed."""
WITH = "from hefl_core.cli.main import main; main()"


def hefl(program, *arguments):
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=600)


def test_a_run_is_the_same_as_with_it(tmp_path):
    command = (
        "run",
        "--dataset",
        "breast_cancer",
        "--clients",
        "3",
        "--rounds",
        "1",
        "--runtime",
        "local",
        "--json",
        "-",
    )
    light, whole = (hefl(program, *command) for program in (WITHOUT, WITH))
    assert light.returncode == whole.returncode == 0, light.stderr
    accuracies = [[one["accuracy"] for one in json.loads(done.stdout)["rounds"]] for done in (light, whole)]
    assert accuracies[0] == accuracies[1]


def test_the_demo_trains_with_numpy_and_says_so():
    done = hefl(WITHOUT, "demo", "--rounds", "1", "--runtime", "local")
    assert "NumPy trains" in done.stderr and "hefl[keras]" in done.stderr
    assert done.returncode in {0, 1}, done.stderr  # one round is too few for the verdict on accuracy


@pytest.mark.parametrize(
    "command", [("run", "--trainer", "keras", "--runtime", "local"), ("demo", "--trainer", "keras")]
)
def test_keras_is_refused_before_anything_starts(command):
    done = hefl(WITHOUT, *command)
    assert done.returncode == 2 and "hefl[keras]" in " ".join(done.stderr.split()), done.stderr
    assert "Traceback" not in done.stderr and "ray" not in done.stderr.lower().replace("array", "")

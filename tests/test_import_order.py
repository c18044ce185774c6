"""What importing costs and in which order: each case in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "tensorflow keras ray streamlit plotly sklearn pandas scipy"
LIGHT = f"""
import sys
import hefl_core
found = [name for name in {HEAVY.split()!r} if name in sys.modules]
assert not found, found
assert "tenseal" in sys.modules
"""
LEARNING = LIGHT.replace(
    "import hefl_core\n",
    "import hefl_core.vectors\n"
    "from hefl_core.learning import baselines, datasets, models, numpy_trainer, partition, shelf, trainers\n"
    "datasets.load_dataset('digits')\n",
)
COMMANDS = LIGHT.replace("import hefl_core\n", "import hefl_core.cli.main\n")
SERIALISE = """
import hefl_core
import hefl_core.learning.keras_trainer
import tenseal
context = tenseal.context(tenseal.SCHEME_TYPE.BFV, 4096, plain_modulus=1032193, n_threads=1)
vector = tenseal.bfv_vector(context, [1, 2, 3])
again = tenseal.bfv_vector_from(context, vector.copy().serialize())
assert again.decrypt() == [1, 2, 3]
assert len(context.serialize(save_secret_key=False)) > 1000
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return done


@pytest.mark.parametrize("code", [LIGHT, LEARNING, COMMANDS], ids=["package", "learning", "commands"])
def test_importing_loads_nothing_heavy(code):
    run(code)


@pytest.mark.keras
def test_tensorflow_after_tenseal_leaves_serialisation_working_and_is_quiet():
    done = run(SERIALISE)
    assert done.stdout == "" and done.stderr == ""

"""The house keeps its shape: floors, homes of heavy libraries, and who may touch a secret."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "hefl_core").rglob("*.py"))


@functools.cache
def nodes(path):
    """Every node of a file's syntax tree; each file is parsed once for all tests."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports_of(path):
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


HOMES = {
    "tensorflow": "learning/keras_",
    "keras": "learning/keras_",
    "ray": "runtime/ray/",
    "plotly": "figures/",
    "phe": "schemes/paillier/",
    "grpc": "runtime/services/channel.py",
    "streamlit": "nowhere",
}


@pytest.mark.parametrize("library", HOMES)
def test_each_heavy_library_has_one_home(library):
    for path in SOURCES:
        if any(name.split(".")[0] == library for name in imports_of(path)):
            assert str(path.relative_to(ROOT / "hefl_core")).startswith(HOMES[library]), path


def test_only_schemes_and_sealing_touch_a_share():
    users = {
        str(path.relative_to(ROOT / "hefl_core"))
        for path in SOURCES
        if any(name.endswith("expose_secret") for name in imports_of(path))
    }
    allowed = ("keys/sealing.py", "keys/ceremony.py", "classroom/bridge.py")
    assert all(user.startswith("schemes/") or user in allowed for user in users), users


def test_nothing_is_unpickled():
    for path in SOURCES:
        for name in imports_of(path):
            assert name.split(".")[0] not in ("pickle", "cloudpickle", "dill", "marshal", "shelve"), path


@pytest.mark.parametrize("name", ["eval", "exec"])
def test_nothing_is_evaluated(name):
    for path in SOURCES:
        for node in nodes(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != name, path


def test_import_is_light():
    code = (
        "import sys, hefl_core; heavy = {'tensorflow', 'ray', 'streamlit', 'plotly', 'keras', 'sklearn'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)

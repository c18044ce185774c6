"""The contracts of pyproject.toml hold, and each breaks by an import that it forbids; no folder and no room grows past its size."""

import importlib
import tomllib
from collections import Counter
from copy import deepcopy
from pathlib import Path

import grimp
import pytest
from importlinter import configuration
from importlinter.application.use_cases import read_user_options
from importlinter.domain.contract import registry

ROOT = Path(__file__).parent.parent
MOST_FILES, LARGEST_SHARE = 20, 0.115

# Contract -> an import (importer, imported) that it forbids.
PLANTED = {
    "floors: imports point down": ("hefl_core.schemes.base", "hefl_core.keys.roster"),
    "inside runtime: a run is launched from above and knows nothing of it": (
        "hefl_core.runtime.run",
        "hefl_core.runtime.launch",
    ),
    "inside keys: offices above holders above plain records": ("hefl_core.keys.secret", "hefl_core.keys.roster"),
    "inside schemes: families do not know each other": (
        "hefl_core.schemes.plaintext",
        "hefl_core.schemes.paillier.scheme",
    ),
    "inside attacks: an attack sees a view, never the laboratory or the scorer": (
        "hefl_core.attacks.methods.collusion",
        "hefl_core.attacks.scoring",
    ),
    "inside classroom: the class knows neither its server nor its bots": (
        "hefl_core.classroom.live_class",
        "hefl_core.classroom.server",
    ),
    "inside checks: each examination stands alone": (
        "hefl_core.checks.faults.judge",
        "hefl_core.checks.damage.outcomes",
    ),
    "no circle among the files and folders of any package": ("hefl_core.wire.limits", "hefl_core.wire.envelope"),
    "tensorflow stays in learning": ("hefl_core.federation.client", "tensorflow"),
    "ray is imported in runtime/ray only": ("hefl_core.runtime.run", "ray"),
    "grpc is imported in services/channel only": ("hefl_core.runtime.services.service", "grpc"),
    "plotly is imported in figures only": ("hefl_core.app.report", "plotly"),
    "matplotlib is imported in sweep only": ("hefl_core.app.report", "matplotlib"),
    "phe is imported in schemes/paillier only": ("hefl_core.schemes.plaintext", "phe"),
    "tenseal is imported in schemes/ring, in attacks and in checks/damage only": ("hefl_core.keys.secret", "tenseal"),
    "no streamlit below the pages": ("hefl_core.app.session", "streamlit"),
}


@pytest.fixture(scope="module")
def contracts():
    """Name -> contract, as ``lint-imports`` reads them."""
    configuration.configure()
    options = read_user_options(str(ROOT / "pyproject.toml"))
    for kind in {one["type"] for one in options.contracts_options}:
        module = importlib.import_module(f"importlinter.contracts.{kind}")
        registry.register(getattr(module, "".join(map(str.capitalize, kind.split("_"))) + "Contract"), kind)
    return {
        one["name"]: registry.get_contract_class(one["type"])(
            name=one["name"], session_options=options.session_options, contract_options=one
        )
        for one in options.contracts_options
    }


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("hefl_core", include_external_packages=True, cache_dir=None)


def test_every_contract_has_a_planted_violation():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    assert {one["name"] for one in listed} == set(PLANTED)


@pytest.mark.parametrize("name", PLANTED)
def test_it_holds_and_breaks_by_a_forbidden_import(name, contracts, graph):
    assert contracts[name].check(deepcopy(graph), verbose=False).kept
    broken = deepcopy(graph)
    importer, imported = PLANTED[name]
    if imported not in broken.modules:  # nobody imports it today
        broken.add_module(imported, is_squashed=True)
    assert importer in broken.modules
    broken.add_import(importer=importer, imported=imported)
    assert not contracts[name].check(broken, verbose=False).kept


def test_no_folder_of_the_core_holds_more_than_twenty_files():
    counted = Counter(path.parent.relative_to(ROOT) for path in (ROOT / "hefl_core").rglob("*.py"))
    crowded = {str(folder): files for folder, files in counted.items() if files > MOST_FILES + 1}  # and its __init__
    assert not crowded, crowded


def test_no_room_outgrows_the_others():
    lines = Counter()
    for path in (ROOT / "hefl_core").rglob("*.py"):
        lines[path.relative_to(ROOT / "hefl_core").parts[0]] += len(path.read_text("utf-8").splitlines())
    large = {room: round(n / lines.total(), 3) for room, n in lines.items() if n > LARGEST_SHARE * lines.total()}
    assert not large, large

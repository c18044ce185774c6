"""What a newcomer looks for first is there and says the same everywhere."""

import re
import tomllib
from pathlib import Path

import yaml

import hefl_core
from tests import howlong

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_version():
    """It stands in hefl_core/__init__.py; pyproject.toml takes it from there."""
    assert "version" in PROJECT["dynamic"] and "version" not in PROJECT
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", text("CHANGELOG.md"), re.MULTILINE)
    assert newest and newest[1] == hefl_core.__version__
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["version"] == hefl_core.__version__ and citation["license"] == PROJECT["license"]


def test_the_licence_is_the_one_that_is_named():
    head = " ".join(text("LICENSE").split()[:12])
    assert head.startswith("GNU GENERAL PUBLIC LICENSE Version 3") and PROJECT["license"] == "GPL-3.0-or-later"


def targets(makefile):
    return set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))


def test_every_make_target_that_a_document_names_exists():
    known = targets(text("Makefile"))
    named = {
        (page.name, target)
        for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / ".github/workflows/ci.yml")
        for line in re.findall(
            r"`make ([a-z -]+)`|(?m:^make ([a-z -]+))|run: make ([a-z -]+)", page.read_text(encoding="utf-8")
        )
        for target in next(filter(None, line)).split()
    }
    assert {target for _, target in named} >= {"run", "demo", "test", "test-fast", "docs", "wheel", "coverage"}
    assert {one for one in named if one[1] not in known} == set()


def test_links_between_documents_lead_somewhere():
    broken = [
        (page.name, link)
        for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert broken == []


def test_the_test_that_is_named_as_an_example_exists():
    path, name = re.search(r"pytest (tests/\S+\.py)::(\w+)", text("CONTRIBUTING.md")).groups()
    assert f"def {name}(" in text(path)


def test_the_workflow_runs_what_is_said():
    jobs = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]
    assert jobs["core"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    said = {c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)}
    assert said == set(jobs["core"]["strategy"]["matrix"]["python"])


def test_hooks_fetch_nothing():
    hooks = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    assert {hook["language"] for hook in hooks[0]["hooks"]} == {"system"}


def test_the_suite_says_how_long_it_takes():
    many, fast = (re.search(rf"^{name} := (.+)$", text("Makefile"), re.MULTILINE)[1] for name in ("MANY", "FAST"))
    fast = fast.replace("$(MANY)", many)
    assert set(howlong.REFERENCE) == {"", many, f"not ({many})", fast}, (
        "make test and make test-fast say it on a fresh clone"
    )
    assert (
        howlong.forecast("", None, 4)
        == f"this takes about {howlong.REFERENCE['']} minutes on two cores; this machine has 4"
    )
    assert howlong.forecast(fast, 90, 4) == "the last time this took 1.5 minutes here"
    assert howlong.forecast("ray", None, 4) is None


def test_what_make_test_fast_leaves_out():
    kept = ("keys/kms/test_kms.py", "attacks/test_command.py", "test_architecture.py")
    left = ("gui/test_start.py", "runtime/services/test_strict.py", "attacks/test_on_updates.py", "test_docs.py")
    assert all((howlong.TESTS / name).is_file() and howlong.core(howlong.TESTS / name) for name in kept)
    assert not any(howlong.core(howlong.TESTS / name) for name in left)
    assert howlong.core(ROOT / "hefl_core" / "vectors.py") and howlong.CORE <= {
        one.name for one in howlong.TESTS.iterdir()
    }

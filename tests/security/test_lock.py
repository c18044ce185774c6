"""The locks: what requirements.txt and the extras pin, with all that these need, each with the hashes of its files."""

import platform
import re
import subprocess
import sys
import tomllib
from collections import namedtuple
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", re.MULTILINE)
OPTIONAL = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
EXTRAS = {name: pins for name, pins in OPTIONAL.items() if name not in {"keras", "light"}}
"""Extras with a lock of their own: requirements.lock holds TensorFlow already."""
LOCKS = ("requirements.lock", *(f"requirements-{extra}.lock" for extra in EXTRAS))
SMALL = "annotated-doc"
"""A package of a few kilobytes without requirements of its own."""


def pins_in(text):
    return {(found[0].lower().replace("_", "-"), found[1]) for found in PIN.findall(text)}


def pins(name):
    return pins_in((ROOT / name).read_text(encoding="utf-8"))


def entries(name):
    return re.split(r"\n(?=\S)", (ROOT / name).read_text(encoding="utf-8").strip())


def test_the_lock_has_every_requirement_at_its_version():
    light, whole = pins("requirements-light.txt"), pins("requirements.txt")
    assert len(light) > 20 and "-r requirements-light.txt" in (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert light | whole <= pins("requirements.lock"), "run make lock"


def test_only_tensorflow_is_left_out_of_the_light_package():
    assert pins("requirements.txt") == pins_in("\n".join(OPTIONAL["keras"])) and OPTIONAL["light"] == []
    assert {name for name, _ in pins("requirements.txt")} == {"tensorflow", "tensorflow-cpu"}


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extras_lock_has_what_it_adds_at_its_version(extra):
    wanted, locked = pins_in("\n".join(EXTRAS[extra])), pins(f"requirements-{extra}.lock")
    assert wanted and wanted <= locked | pins("requirements.lock"), "run make lock"
    both = {name for name, _ in locked} & {name for name, _ in pins("requirements.lock")}
    assert not both, "a package of two locks could have two versions"


@pytest.mark.parametrize("name", LOCKS)
def test_each_locked_package_has_hashes_and_no_address_is_named(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert len(entries(name)) > (60 if name == LOCKS[0] else 10)
    assert all("--hash=sha256:" in entry for entry in entries(name))
    assert "://" not in text and "/opt" not in text


# -- what make does ------------------------------------------------------------------------------------------------


def made(target, tmp_path):
    """The commands of a target for a fresh folder, not run."""
    command = ["make", "-n", f"VENV={tmp_path}/fresh", f"PYTHON={sys.executable}", target]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target", ["setup", "setup-test", "setup-lessons"])
def test_make_installs_by_hash_or_says_that_it_does_not(target, tmp_path):
    installs = re.findall(r"pip install ([^;\n]*)", made(target, tmp_path))
    assert installs
    for one in installs:
        by_hash = (
            "--require-hashes" in one and "--only-binary :all:" in one and re.search(r"-r requirements\S*\.lock", one)
        )
        project = "--no-deps --no-build-isolation -e ." in one
        assert (
            by_hash or project or re.fullmatch(r"--quiet (-r requirements.txt|\.\[\w+\]|'\.\[\w+\]')", one.strip())
        ), one
    told = made(target, tmp_path)
    assert told.count("does not cover this platform") == told.count("--require-hashes") >= 1


Machine = namedtuple("Machine", "system machine version python libc")


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (Machine("Linux", "x86_64", (3, 11), "CPython", "glibc"), "locked"),
        (Machine("Linux", "aarch64", (3, 13), "CPython", "glibc"), "locked"),
        (Machine("Windows", "AMD64", (3, 12), "CPython", ""), "locked"),
        (Machine("Darwin", "arm64", (3, 11), "CPython", ""), "open"),
        (Machine("Linux", "x86_64", (3, 11), "CPython", ""), "open"),
        (Machine("Linux", "x86_64", (3, 14), "CPython", "glibc"), "open"),
        (Machine("Linux", "riscv64", (3, 11), "CPython", "glibc"), "open"),
    ],
)
def test_the_question_whether_a_platform_is_covered(machine, said, tmp_path, monkeypatch, capsys):
    """The very line of the Makefile, asked on other machines."""
    question = re.search(r"python -c '([^']*)'", made("setup", tmp_path))[1]
    monkeypatch.setattr(platform, "system", lambda: machine.system)
    monkeypatch.setattr(platform, "machine", lambda: machine.machine)
    monkeypatch.setattr(platform, "python_implementation", lambda: machine.python)
    monkeypatch.setattr(platform, "libc_ver", lambda: (machine.libc, ""))
    monkeypatch.setattr(sys, "version_info", (*machine.version, 0))
    exec(compile(question, "Makefile", "exec"), {})
    assert capsys.readouterr().out.strip() == said


# -- a wrong hash --------------------------------------------------------------------------------------------------


def downloaded(folder, lock):
    """pip's answer to a lock: nothing is installed, the files are fetched and held against their hashes."""
    folder.mkdir()
    (folder / "lock").write_text(lock)
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-cache-dir",
        "--only-binary",
        ":all:",
    ]
    command += ["--require-hashes", "-d", str(folder), "-r", str(folder / "lock")]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def own_entry(tmp_path_factory):
    """An entry of our lock; skipped where no package index answers."""
    entry = next(one for one in entries("requirements.lock") if one.startswith(f"{SMALL}=="))
    found = downloaded(tmp_path_factory.mktemp("lock") / "control", entry)
    if found.returncode:
        pytest.skip(f"no package index: {found.stderr[-200:]}")
    return entry


def test_a_file_with_another_hash_is_refused(own_entry, tmp_path):
    wrong = re.sub(r"(sha256:)([0-9a-f]{64})", lambda found: found[1] + found[2][::-1], own_entry)
    found = downloaded(tmp_path / "wrong", wrong)
    assert found.returncode and "DO NOT MATCH THE HASHES" in found.stderr


def test_one_package_without_a_hash_makes_pip_refuse_all(own_entry, tmp_path):
    """The second fault: a line slipped in, without a hash that anybody could hold it against."""
    found = downloaded(tmp_path / "slipped", f"{own_entry}\nidna==3.10\n")
    assert found.returncode and "--require-hashes mode" in found.stderr

"""requirements.lock: what requirements.txt pins, with all that these need, each with the hashes of its files."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", re.MULTILINE)


def pins(name):
    return {(found[0].lower().replace("_", "-"), found[1]) for found in PIN.findall((ROOT / name).read_text())}


def test_the_lock_has_every_requirement_at_its_version():
    assert pins("requirements.txt") <= pins("requirements.lock"), "run make lock"


def test_each_locked_package_has_hashes_and_no_address_is_named():
    text = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) > 60
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text and "/opt" not in text

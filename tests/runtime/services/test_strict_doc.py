"""docs/strict.md as it stands: its blocks are run in order in a directory with a home for each role."""

import os
import random
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hefl_core.runtime.client_results import read_rounds

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "strict.md").read_text(encoding="utf-8")
CLIENTS = ("client-1", "client-2", "client-3")
PORT = "7443"


def blocks(language, text=TEXT):
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def table(path, seed):
    """Age and pressure of 120 people; who has much of both is ill more often."""
    choose, lines = random.Random(seed), ["age,pressure,class"]
    for _ in range(120):
        age, pressure = choose.randint(20, 90), choose.randint(90, 180)
        ill = (age - 50) / 20 + (pressure - 120) / 30 + choose.gauss(0, 0.4) > 0.3
        lines.append(f"{age},{pressure},{'ill' if ill else 'healthy'}")
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Typed as written, but for the port, which may be taken here."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    place = tmp_path_factory.mktemp("followed")
    (place / "heart.json").write_text(blocks("json")[0], encoding="utf-8")
    for number, name in enumerate(CLIENTS):
        table(place / "homes" / name / "data" / "train.csv", number)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEFL_")}
    environment = clean | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    script = "set -e\n" + "\n".join(blocks("sh")).replace(PORT, port)
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=environment, capture_output=True, text=True, timeout=400
    )
    logs = "".join(path.read_text()[-600:] for path in place.glob("*.log"))
    assert done.returncode == 0, done.stderr[-2000:] + logs
    return place, done.stdout


def test_the_text_has_the_four_steps():
    assert len(blocks("sh")) == 4 and len(blocks("json")) == 1


def test_followed_literally_every_client_has_the_same_model_of_everybodys_data(followed):
    place, said = followed
    lines = {name: read_rounds(place / "homes" / name) for name in CLIENTS}
    assert len({tuple(line.model for line in own) for own in lines.values()}) == 1
    assert [line.round for line in lines["client-1"]] == [1, 2, 3, 4, 5]
    assert "verified" in said and "5 rounds" in said and "3 of 3 clients" in said
    fingerprints = re.findall(r"fingerprint ([0-9a-f]{64})", said)
    assert len(fingerprints) == 3 and len(set(fingerprints)) == 1  # at the organiser, at client-1, at the KMS


def test_no_home_has_anothers_table_or_store(followed):
    place, _ = followed
    for home in (place / "homes").iterdir():
        assert {path.stem for path in home.glob("*.db")} == {home.name}
        assert (home / "data").exists() == home.name.startswith("client")
    assert not list((place / "organiser").rglob("train*"))

"""The deployment files as data, with what Compose would make of them."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CLIENTS = ("client-1", "client-2", "client-3", "client-4")
PARTIES = ("kms", "coordinator", "auditor", *CLIENTS)


def compose(name="compose.yaml"):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def instructions():
    """The Dockerfile's instructions, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()


def arguments(instruction):
    """What follows an instruction, everywhere it occurs."""
    return [line.split(None, 1)[1] for line in instructions() if line.split()[0] == instruction]


def image_environment():
    """What the last stage sets for every container."""
    final = instructions()
    last = max(number for number, line in enumerate(final) if line.startswith("FROM"))
    found = {}
    for line in final[last:]:
        if line.startswith("ENV "):
            found |= dict(re.findall(r"(\w+)=(\S+)", line))
    return found

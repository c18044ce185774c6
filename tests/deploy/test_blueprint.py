"""The blueprint's pictures and numbers are what the code and compose.yaml say today."""

import subprocess
import sys

from tests.deploy.files import ROOT

SCRIPT = ROOT / "docs" / "diagrams.py"


def test_the_generated_parts_are_up_to_date():
    said = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], cwd=ROOT, env={"PYTHONPATH": str(ROOT), "HOME": "/tmp"}
    )
    assert said.returncode == 0, "run `python docs/diagrams.py`"


def test_a_changed_part_is_found():
    page = (ROOT / "docs" / "blueprint.md").read_text(encoding="utf-8")
    program = (
        "import sys; sys.path.insert(0, 'docs'); import diagrams; t = sys.stdin.read(); assert diagrams.filled(t) == t"
    )
    for text, code in ((page, 0), (page.replace("coordinator->>client: plan", "kms->>client: plan"), 1)):
        ran = subprocess.run([sys.executable, "-c", program], input=text, text=True, cwd=ROOT, capture_output=True)
        assert ran.returncode == code

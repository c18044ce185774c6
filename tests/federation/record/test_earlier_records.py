"""Records that version 0.1 wrote, before the house moved: they verify to the last byte, and a change in one is found.

Made at commit ba9d986 with `run --clients 3 --model logistic --transcript …`: individual.jsonl with INSECURE_bfv-1024 and one
round, collective.jsonl with INSECURE_paillier-512, custody 2-of-3 and two rounds.
"""

import shutil
from pathlib import Path

import pytest

from hefl_core.errors import IntegrityError
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.verify import verify_file
from hefl_core.keys.roster import RosterPin

RECORDS = Path(__file__).parents[2] / "fixtures" / "records"


def verified(folder, name):
    pin, heads = RosterPin.load(folder / f"{name}.jsonl.roster"), ClientHeads.load(folder / f"{name}.jsonl.heads")
    return verify_file(folder / f"{name}.jsonl", pin, heads)


@pytest.mark.parametrize(("name", "rounds"), [("individual", 1), ("collective", 2)])
def test_a_record_of_an_earlier_version_verifies(name, rounds):
    verdict = verified(RECORDS, name)
    assert (verdict.sums, verdict.signers) == (rounds, (3, 3))
    assert "authenticated by the pinned roster; contents agree" in str(verdict)


@pytest.mark.parametrize("name", ["individual", "collective"])
def test_a_changed_one_does_not(tmp_path, name):
    shutil.copytree(RECORDS, tmp_path / "records")
    blob = max((tmp_path / "records" / f"{name}.jsonl.d").iterdir(), key=lambda path: path.stat().st_size)
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    with pytest.raises(IntegrityError):
        verified(tmp_path / "records", name)

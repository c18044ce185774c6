"""The command line as a shell sees it: exit codes, one line of error, JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hefl_core.federation.record.transcript import Transcript, newest_roster

ROOT = Path(__file__).parents[2]


def hefl(*args, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "hefl_core", *args], capture_output=True, text=True, cwd=cwd, timeout=120
    )


@pytest.fixture(scope="module")
def run_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    done = hefl(
        "run",
        "--clients",
        "3",
        "--rounds",
        "2",
        "--json",
        str(folder / "o.json"),
        "--transcript",
        str(folder / "t.jsonl"),
    )
    assert done.returncode == 0, done.stderr
    roster = newest_roster(Transcript.load(folder / "t.jsonl"))
    assert roster is not None and roster.fingerprint in done.stderr
    return folder


def test_run_writes_the_stable_json(run_files):
    result = json.loads((run_files / "o.json").read_text())
    assert set(result) >= {
        "experiment",
        "environment",
        "parameters",
        "key_id",
        "cold_start_seconds",
        "rounds",
        "claims",
    }
    assert result["parameters"] == 2410 and result["key_id"].startswith("bfv-lean/epoch-1/")
    first = result["rounds"][0]
    assert set(first) >= {
        "round",
        "accuracy",
        "loss",
        "max_abs_error",
        "error_bound",
        "seconds",
        "cpu_seconds",
        "bytes",
    }
    assert set(first["seconds"]) == {"train", "encrypt", "aggregate", "decrypt", "total"}
    assert set(first["cpu_seconds"]) == {"train", "encrypt", "aggregate", "decrypt"}
    assert first["bytes"]["plaintext_update"] == 4 * 2410
    assert first["max_abs_error"] <= first["error_bound"]
    assert all(claim["holds"] for claim in result["claims"])


def test_verify_says_yes_and_then_names_the_break(run_files):
    path = run_files / "t.jsonl"
    good = hefl("verify", str(path), "--roster", f"{path}.roster")
    assert good.returncode == 0 and "authenticated by the pinned roster" in good.stdout
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 3] ^= 1
    broken = run_files / "broken.jsonl"
    broken.write_bytes(bytes(changed))
    bad = hefl("verify", str(broken))
    assert bad.returncode == 1 and "first break: line" in bad.stderr and "Traceback" not in bad.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("run", "--scheme", "rot13"),
        ("run", "--clients", "1"),
        ("run", "--clients", "many"),
        ("run", "--dataset", "csv:/nowhere.csv"),
        ("run", "--custody", "9-of-5"),
        ("run", "--lr", "nan"),
        ("run", "--no-such-option"),
        ("verify", "/nowhere.jsonl"),
        ("no-such-command",),
    ],
)
def test_bad_input_is_exit_2_without_a_traceback(args):
    done = hefl(*args)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and done.stderr.strip()


def test_a_csv_with_text_cells_names_the_cell(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("a,b,label\n" + "1,2,x\n" * 20 + "1,oops,y\n")
    done = hefl("run", "--dataset", f"csv:{path}")
    assert done.returncode == 2 and "oops" in done.stderr


def test_schemes_and_claims_can_be_read():
    listed = json.loads(hefl("schemes", "--json", "-").stdout)
    assert {"bfv-lean", "ckks-lean", "paillier-packed", "plaintext"} <= {preset["name"] for preset in listed}
    assert "coordinator-blind" in hefl("claims").stdout


def test_schemes_never_say_the_rings_bits_alone_of_a_key_held_together():
    for options in ((), ("--custody", "dealer-free:2-of-5", "--parameters", "100000", "--rounds", "3")):
        listed = json.loads(hefl("schemes", *options, "--json", "-").stdout)
        held = [preset for preset in listed if preset.get("flood_bits")]
        assert len(held) >= 5
        for preset in held:
            assert "flooding 2^-" in preset["security"] and preset["flooding"]["distance_bits"] < 0
            small = preset["name"] in ("bfv-threshold-small", "bfv-threshold-classroom")
            assert ("demonstration" in preset["security"]) == small
    assert "demonstration" in hefl("schemes").stdout


def test_the_keys_of_one_machine(tmp_path):
    store, key_file = str(tmp_path / "k.sqlite"), str(tmp_path / "unlock.key")
    options = ("--store", store, "--key-file", key_file)
    made = hefl("keys", "ceremony", *options, "--clients", "4", "--json", "-")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)[0]["state"] == "active"
    assert hefl("keys", "revoke", "client-4", *options).returncode == 0
    rotated = json.loads(hefl("keys", "rotate", *options, "--first-round", "3", "--destroy-old", "--json", "-").stdout)
    assert [line["state"] for line in rotated] == ["destroyed", "active"]
    assert rotated[1]["clients"] == ["client-1", "client-2", "client-3"]
    actions = [entry["action"] for entry in json.loads(hefl("keys", "audit", *options, "--json", "-").stdout)]
    assert actions[-4:] == ["prepare", "retire", "activate", "destroy"] and "revoke" in actions
    other = tmp_path / "other.key"
    other.write_bytes(bytes(32))
    other.chmod(0o600)
    refused = hefl("keys", "list", "--store", store, "--key-file", str(other))
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert hefl("keys", "list", "--store", str(tmp_path / "none")).returncode == 2


def test_report_writes_a_file_that_checks_itself(run_files, tmp_path):
    done = hefl("report", str(run_files / "t.jsonl"), "-o", str(tmp_path / "run.html"))
    assert done.returncode == 0 and done.stdout == "", done.stderr
    roster = newest_roster(Transcript.load(run_files / "t.jsonl"))
    assert roster is not None and roster.fingerprint in done.stderr
    assert 'id="verdict"' in (tmp_path / "run.html").read_text(encoding="utf-8")
    for given, said in (("1,x", "expected numbers such as 1,3"), ("7", "expected some of 1 to 2")):
        refused = hefl("report", str(run_files / "t.jsonl"), "-o", str(tmp_path / "no.html"), "--rounds", given)
        assert refused.returncode == 2 and said in refused.stderr
    raw = (run_files / "t.jsonl").read_bytes().split(b"\n")
    (tmp_path / "cut.jsonl").write_bytes(b"\n".join(raw[:-2]) + b"\n")
    refused = hefl("report", str(tmp_path / "cut.jsonl"), "-o", str(tmp_path / "no.html"))
    assert refused.returncode == 1 and "no file was written" in refused.stderr and not (tmp_path / "no.html").exists()

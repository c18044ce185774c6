"""The benchmarks measure what they say, on the smallest of jobs."""

import importlib
import os
import sys
from pathlib import Path

import psutil
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_a_verdict_knows_which_way_is_good(bench):
    verdict = bench("common").TargetVerdict
    assert verdict(1, "bytes", "≤", 2.0, 1.5).met and not verdict(1, "bytes", "≤", 2.0, 2.5).met
    assert verdict(2, "ratio", "≥", 2.0, 2.5).met and not verdict(2, "ratio", "≥", 2.0, 1.5).met
    assert "missed" in verdict(2, "ratio", "≥", 2.0, 1.5).row[-1]


def test_the_job_compares_with_plaintext_of_the_same_setting(bench):
    job = bench("job")
    pair = [case for case in job.cases("local", 2, quick=True) if case.name in ("plaintext", "bfv-compact")][:2]
    rows = {row["case"]: row for row in job.measure(pair, 1)}
    assert rows["plaintext"]["wall_of_plaintext"] == 1
    assert rows["bfv-compact"]["worst_error_of_bound"] <= 1
    assert all(verdict.target in (5, 6, 7) for verdict in job.verdicts(list(rows.values())))


def test_adding_is_charged_per_client_and_parameter(bench):
    aggregation = bench("aggregation")
    rows = {row["case"]: row for row in aggregation.measure(2_410, (2,), 1)}
    assert rows["bfv-compact-2048-seeded"]["float32"] <= 1.8
    assert rows[aggregation.PER_LAYER]["upload_bytes"] > rows[aggregation.TUTORIAL]["upload_bytes"]
    assert all(row["coordinator_ns_k2"] > 0 for row in rows.values())


def test_one_time_keys_stand_beside_what_they_replace_and_what_is_smaller(bench):
    rows = {row["case"]: row for row in bench("one_time").measure(100_000, 1)}
    together, today = rows["onetime, 3-of-5"], rows["bfv-threshold, 3-of-5"]
    assert together["bytes"] < today["bytes"] / 4 and rows["onetime, individual"]["bytes"] < 2.4
    assert rows["plaintext, equal bits"]["bytes"] == rows["shared pad"]["bytes"] < rows["onetime, individual"]["bytes"]


def test_the_coordinators_memory_is_looked_at(bench):
    scale = bench("scale")
    row = scale.one_round("INSECURE_bfv-1024", 5_000, 3)
    assert 0 < row["coordinator_holds"] < 1 << 20 and row["messages"] == 13


def test_accuracy_is_compared_round_by_round(bench):
    accuracy = bench("accuracy")
    assert accuracy.bits("bfv-compact", 5) == "9 of 12" and accuracy.bits("ckks-lean", 5) == "scale 2^40"


def test_few_bits_are_measured_by_the_codec_of_a_run(bench):
    few_bits = bench("few_bits")
    small = few_bits.BASE.but(dataset="breast_cancer", model="logistic", rounds=3, seed=8)
    plain = few_bits.Federation.of(small).plain()
    assert abs(few_bits.Federation.of(small.but(bits=6)).coded() - plain) < 0.05
    assert {row["bytes/parameter"] < 1 for row in few_bits.sizes() if row["d"] == 1_000_000} == {True, False}
    assert all(row["ns/parameter"] > 0 for row in few_bits.costs(50_000, 1))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_leaks_are_measured_and_a_planted_one_is_seen(bench, tmp_path):
    leaks = bench("leaks")
    step = leaks.operations("INSECURE_bfv-threshold-1024", 2)
    assert leaks.growth(step, 60) < 5 * leaks.MIB
    kept = []
    assert leaks.growth(lambda number: kept.append(os.urandom(1 << 20)), 20) > 15 * leaks.MIB
    rounds = leaks.rounds("INSECURE_bfv-1024", "individual", 40)
    assert leaks.growth(rounds, 30) < 50 * leaks.MIB
    files = psutil.Process().num_fds()
    with open(tmp_path / "left", "wb"):
        assert leaks.leftovers(str(tmp_path), files)[-2:] == ["file left", "1 open files more"]


def test_a_rotation_is_measured_beside_a_round(bench):
    rotation = bench("rotation")
    row = rotation.measure("INSECURE_bfv-threshold-1024:3-of-5", 3)
    assert row.rotation_bytes > 10_000 and row.round_cpu > 0 and row.rotation_cpu > 0
    assert row.encrypt_one_cpu == pytest.approx(row.encrypt_cpu / 3) and "| 3-of-5" not in rotation.table([row])

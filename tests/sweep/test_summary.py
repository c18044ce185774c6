"""Intervals cover, tests are calibrated, and what is written can be read by others."""

import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hefl_core.sweep.outputs import FILES, latex, write
from hefl_core.sweep.plan import plan_of
from hefl_core.sweep.row import RoundRow, RunRow
from hefl_core.sweep.summary import holm, interval, summarise

PLAN = plan_of(
    {
        "experiment": {"dataset": "breast_cancer", "clients": 3, "rounds": 4},
        "grid": {"scheme": ["plaintext", "bfv-lean", "ckks-lean"]},
        "seeds": list(range(6)),
        "baseline": {"scheme": "plaintext"},
    }
)


def made(shift):
    """Rows whose accuracies are known: ``shift[scheme]`` on top of a number of the seed."""
    rows = []
    for point in PLAN.points:
        level = 0.7 + 0.01 * point.seed + shift[point.experiment.scheme]
        rounds = tuple(RoundRow(n + 1, level + 0.01 * n, 1.0, None, None, 1000, 0.1) for n in range(4))
        rows.append(RunRow(point.id, point.name, point.seed, 10, rounds, (), (), "0"))
    return rows


def test_an_interval_is_student_s():
    values = np.array([0.7, 0.72, 0.69, 0.75])
    found = interval(values)
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert math.isclose(found.low, low) and math.isclose(found.high, high)
    assert interval(values[:1]).low is None


def test_intervals_cover_as_often_as_they_say():
    """20,000 made sweeps of five seeds: 95 % within 6.1 standard deviations of a binomial, which luck misses once in 10^9."""
    rng = np.random.default_rng(1)
    draws = rng.normal(0.0, 1.0, (20_000, 5))
    half = stats.t.ppf(0.975, 4) * draws.std(axis=1, ddof=1) / math.sqrt(5)
    assert math.isclose(interval(draws[0]).high - interval(draws[0]).mean, half[0])
    covered = np.mean(np.abs(draws.mean(axis=1)) <= half)
    assert abs(covered - 0.95) < 6.1 * math.sqrt(0.95 * 0.05 / 20_000)


def test_holm_is_the_textbook_s():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([]) == ()


def test_a_shift_is_found_and_equal_runs_are_equal():
    rows = made({"plaintext": 0.0, "bfv-lean": 0.0, "ckks-lean": -0.02})
    rows = [row if "ckks" not in row.setting else _jittered(row) for row in rows]
    plain, same, worse = summarise(PLAN, rows)
    assert plain.against is None
    assert same.against.difference.mean == 0 and same.against.p_holm == 1
    assert worse.against.difference.mean == pytest.approx(-0.02, abs=2e-3) and worse.against.p_holm < 1e-4
    assert plain.measure.mean == pytest.approx(0.7 + 0.025 + 0.02)  # the mean of the last three of four rounds


def _jittered(row):
    shift = 1e-4 * (-1) ** row.seed
    rounds = tuple(
        RoundRow(o.round, o.accuracy + shift, o.loss, None, None, o.upload, o.cpu_seconds) for o in row.rounds
    )
    return RunRow(row.id, row.setting, row.seed, row.parameters, rounds, row.failed, row.insecure, row.version)


def test_every_file_is_written_read_back_and_the_same_again(tmp_path):
    rows = made({"plaintext": 0.0, "bfv-lean": 0.0, "ckks-lean": 0.01})
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(PLAN, rows, tmp_path / name, b"seeds = [1]\n")
    assert {place.name for place in (tmp_path / "one").iterdir()} == set(FILES)
    runs = pd.read_parquet(tmp_path / "one" / "runs.parquet")
    words = {"failed_claims": str, "insecure": str, "version": str}
    again = pd.read_csv(tmp_path / "one" / "runs.csv", dtype=words).fillna(dict.fromkeys(words, ""))
    pd.testing.assert_frame_equal(runs, again, check_dtype=False)
    assert list(runs["scheme"].unique()) == ["plaintext", "bfv-lean", "ckks-lean"] and len(runs) == 18
    assert len(pd.read_parquet(tmp_path / "one" / "rounds.parquet")) == 72
    for name in ("figure.pdf", "figure.svg", "summary.tex", "runs.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert (tmp_path / "one" / "figure.pdf").read_bytes().startswith(b"%PDF")
    drawn = ElementTree.parse(tmp_path / "one" / "figure.svg").getroot()
    assert drawn.tag.endswith("svg") and "image" not in {one.tag.rpartition("}")[2] for one in drawn.iter()}


def test_the_latex_table_says_what_the_summary_says():
    summary = summarise(PLAN, made({"plaintext": 0.0, "bfv-lean": 0.0, "ckks-lean": 0.01}))
    text = latex(PLAN, summary)
    assert text.count(r"\\") == 4 and r"\bottomrule" in text
    assert all(f"{one.measure.mean:.4f}" in text for one in summary)

"""Damaged input is refused by a typed error or does no harm; the sweep that says so finds every planted fault."""

import json
import subprocess
import sys
from collections import Counter
from random import Random

import pytest

from hefl_core.checks.damage.mutation import KINDS, mutate
from hefl_core.checks.damage.outcomes import DamageOutcome
from hefl_core.checks.damage.sweep import BARE, Sweep, failures, rows, run_one, run_sweep, to_markdown
from hefl_core.checks.damage.targets import TRANSCRIPT, targets
from hefl_core.checks.damage.worker import open_bench
from hefl_core.errors import ParameterError, RuntimeUnavailable
from hefl_core.wire.canonical import encode

PLANTED = "tests.checks.damage.planted"
QUICK = "tests.checks.damage.quick:targets"


# -- the sweep itself ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")
def test_every_planted_fault_is_counted_and_named():
    sweep = Sweep(1, 18, source=f"{PLANTED}:targets", workers=1)
    cases = run_sweep(sweep)
    assert [case.number for case in cases] == list(range(18))
    found = {row.family: dict(row.counts) for row in rows(sweep, cases)}
    assert found == {
        "good": {DamageOutcome.REFUSED: 3},
        "tolerant": {DamageOutcome.HARMLESS: 3},
        "gullible": {DamageOutcome.WRONG: 3},
        "careless": {DamageOutcome.UNTYPED: 3},
        "greedy": {DamageOutcome.UNTYPED: 3},
        "fragile": {DamageOutcome.DEATH: 3},
    }
    assert {case.target for case in failures(cases)} == {"gullible", "careless", "greedy", "fragile"}
    deaths = [case for case in cases if case.outcome is DamageOutcome.DEATH]
    assert all("SIGSEGV" in case.detail for case in deaths)
    assert all("MemoryError" in case.detail for case in cases if case.target == "greedy")
    assert run_one(sweep, deaths[0].number).outcome is DamageOutcome.DEATH
    assert "| fragile | 3 | 0 | 0 | 0 | 0 | 0 | 3 |" in to_markdown(rows(sweep, cases))


def test_whoever_hangs_is_dead():
    (case,) = run_sweep(Sweep(1, 1, source=f"{PLANTED}:stuck", case_seconds=4, workers=1))
    assert case.outcome is DamageOutcome.DEATH and "no answer" in case.detail


def test_a_door_that_refuses_everything_proves_nothing():
    with pytest.raises(RuntimeUnavailable, match="before its case began"):
        run_sweep(Sweep(1, 1, source=f"{PLANTED}:unfair", workers=1))


def test_a_case_comes_back_by_its_number():
    sweep = Sweep(5, 40, only="CSV")
    cases = run_sweep(Sweep(5, 3, only="CSV", workers=1))
    assert [run_one(sweep, case.number) for case in cases[1:]] == list(cases[1:])
    with pytest.raises(ParameterError, match="no input"):
        Sweep(1, 1, only="no such").schedule()


def test_every_kind_of_damage_occurs_and_changes_something():
    valid = (encode(("a", 1, b"bytes" * 9, (1.5, "text"))), encode(("b", 2, b"other" * 9, (2.5, "word"))))
    mutants = [mutate(Random(seed), valid, seed % 2) for seed in range(600)]
    assert {mutant.kind for mutant in mutants} == {kind for kind, _ in KINDS}
    assert not any(mutant.data in valid for mutant in mutants)
    assert mutate(Random(3), (b"",), 0).data and mutate(Random(4), valid, 0) == mutate(Random(4), valid, 0)


# -- this package --------------------------------------------------------------------------------------------------


def test_no_damage_passes_and_none_kills():
    sweep = Sweep(11, 420, source=QUICK, workers=2)
    cases = run_sweep(sweep)
    assert failures(cases) == ()
    counts = Counter(case.outcome for case in cases)
    assert counts[DamageOutcome.REFUSED] > 5 * counts[DamageOutcome.HARMLESS] > 0
    assert {row.family for row in rows(sweep, cases)} >= {"ciphertext", "envelope", "key store", "transcript", "CSV"}


def test_tenseal_alone_lets_wrong_sums_pass():
    """The control: the same damage, no header and no checks."""
    cases = run_sweep(Sweep(11, 150, source=BARE, workers=1))
    assert sum(case.outcome is DamageOutcome.WRONG for case in cases) > 5


def test_every_family_of_inputs_is_there():
    families = {target.family for target in targets()}
    assert families == {
        "experiment", "CSV", "roster pin", "key store", "transcript", "envelope", "epoch record", "sealed",
        "letter in a round", "ciphertext", "sum", "public key", "key material", "secret share", "partial decryption",
    }  # fmt: skip


def test_every_tamper_of_a_transcript_is_found():
    """An untouched one passes (:func:`open_bench` checks it); of the others not one, whoever signs its end."""
    bench = open_bench(next(target for target in targets() if target.name == TRANSCRIPT))
    cases = run_sweep(Sweep(3, 150, only=TRANSCRIPT, workers=1))
    assert {case.outcome for case in cases} == {DamageOutcome.REFUSED}
    assert len({case.kind for case in cases}) > 12
    assert any("re-closed" in case.kind for case in cases) and bench.inputs


# -- the command ---------------------------------------------------------------------------------------------------


def test_the_command_writes_what_it_found(tmp_path):
    command = [sys.executable, "-m", "hefl_core", "corrupt", "--count", "12", "--only", "experiment", "--no-bare"]
    done = subprocess.run([*command, "--json", "-"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["count"] == 12 == sum(found["total"].values()) and found["failures"] == []
    one = [*command[:4], "--only", "experiment", "--case", "3"]
    again = subprocess.run(one, capture_output=True, text=True)
    assert again.returncode == 0 and again.stdout.startswith("3: experiment")

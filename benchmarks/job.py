"""The whole job: digits, five clients, ten rounds, every scheme beside plain federated averaging on the same runtime.

    python benchmarks/job.py                              tables and verdicts on targets 1, 5, 6 and 7
    python benchmarks/job.py --quick
    python benchmarks/job.py --suites local ray keras cold paillier

Suites: *local* (NumPy, one process: accuracy, bytes, CPU), *ray* and *keras* (processes of their own: wall clock of warm
rounds), *cold* (a fresh interpreter to the first decrypted round), *paillier* (alone, because it takes minutes on the
large model). One local epoch, batch 32, SGD 0.1, weighted by examples. Within each repetition the cases take turns.

Wall clock on a busy machine says little: read the ratios to ``plaintext`` of the same suite.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import TargetVerdict, median, parser, repetitions, report, table

from hefl_core.runtime.result import RunResult
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment

JOB = Experiment(dataset="digits", clients=5, rounds=10, batch=32, learning_rate=0.1, seed=7)
SCHEMES = (
    ("plaintext", "individual"),
    ("ckks-tutorial", "individual"),
    ("ckks-nvflare", "individual"),
    ("ckks-lean", "individual"),
    ("bfv-lean", "individual"),
    ("bfv-lean-seeded", "individual"),
    ("bfv-compact", "individual"),
    ("bfv-compact-seeded", "individual"),
    ("bfv-compact-2048", "individual"),
    ("bfv-compact-2048-seeded", "individual"),
    ("bfv-threshold", "3-of-5"),
)
FEW = tuple(pair for pair in SCHEMES if pair[0] in ("plaintext", "bfv-lean", "bfv-compact", "bfv-compact-seeded"))
SUITES = ("local", "ray", "keras", "cold", "paillier")
COLD_TARGETS = {"numpy": 10.0, "keras": 20.0}


@dataclass(frozen=True)
class Case:
    """One way to run the job."""

    suite: str
    experiment: Experiment
    runtime: str

    @property
    def name(self) -> str:
        """What stands in the table."""
        e = self.experiment
        return f"{e.scheme}{'' if e.custody == 'individual' else ' ' + e.custody}"

    @property
    def setting(self) -> tuple[str, str, str, str]:
        """What it may be compared within."""
        e = self.experiment
        return self.suite, e.model, "IID" if e.alpha is None else f"Dirichlet {e.alpha}", e.trainer


def cases(suite: str, rounds: int, *, quick: bool) -> list[Case]:
    """The runs of one suite."""
    found = []
    models, alphas = ("mlp", "mlp-large"), (None, 0.5)
    if suite == "local":
        settings = [(model, alpha) for model in models for alpha in alphas]
        pairs, trainer, runtime = SCHEMES, "numpy", "local"
    elif suite == "paillier":
        settings = [("mlp", None)] if quick else [(model, None) for model in models]
        pairs, trainer, runtime = (("plaintext", "individual"), ("paillier-packed", "individual")), "numpy", "local"
        rounds = min(rounds, 3)
    else:
        settings = [(model, None) for model in (("mlp-large",) if suite == "keras" else models)]
        pairs, trainer, runtime = FEW, "keras" if suite == "keras" else "numpy", "ray"
    for model, alpha in settings:
        for scheme, custody in pairs:
            change = {"model": model, "alpha": alpha, "scheme": scheme, "custody": custody}
            found.append(Case(suite, JOB.but(trainer=trainer, rounds=rounds, **change), runtime))
    return found


def play(case: Case) -> dict[str, float]:
    """One run, with the CPU of all its processes per warm round: on a busy machine that is steadier than the clock."""
    before = 0.0
    with closing(Run(case.experiment, case.runtime)) as run:
        for sent in run.steps():
            if sent.step == "plan" and sent.position.round == 2:
                before = _cpu(run)
        after = _cpu(run)
        return figures(run.result()) | {"round_cpu_s": (after - before) / max(1, case.experiment.rounds - 1)}


def _cpu(run: Run) -> float:
    """User and system seconds of every process that houses a party, and of this one. Linux only."""
    total = 0.0
    for pid in {os.getpid(), *(host.pid for host in run.hosts)}:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def figures(result: RunResult) -> dict[str, float]:
    """What one run says; seconds per warm round (the first left out), all clients together."""
    warm = result.rounds[1:] or result.rounds
    cpu = [item.cpu_seconds for item in warm]
    return {
        "upload_bytes": float(warm[-1].bytes.upload_per_client),
        "download_bytes": float(warm[-1].bytes.download_per_client),
        "float32": warm[-1].bytes.upload_per_client / warm[-1].bytes.plaintext_update,
        "he_cpu_s": median(c.encrypt + c.aggregate + c.decrypt for c in cpu),
        "train_cpu_s": median(c.train for c in cpu),
        "wall_s": median(item.seconds.total for item in warm),
        "least_wall_s": min(item.seconds.total for item in warm),
        "first_round_s": result.cold_start_seconds,
        "accuracy": result.rounds[-1].accuracy or 0.0,
        "worst_error_of_bound": max((r.max_abs_error or 0.0) / (r.error_bound or 1.0) for r in result.rounds),
    }


def measure(chosen: list[Case], turns: int) -> list[dict[str, Any]]:
    """Medians over the turns; the cases alternate within each."""
    taken: list[list[dict[str, float]]] = [[] for _ in chosen]
    for turn in range(turns):
        for number, case in enumerate(chosen):
            print(f"{case.suite} {turn + 1}/{turns}: {' '.join(case.setting[1:])} {case.name}", file=sys.stderr)
            taken[number].append(play(case))
    rows = []
    for case, found in zip(chosen, taken, strict=True):
        values = {key: median(one[key] for one in found) for key in found[0]}
        values["least_wall_s"] = min(one["least_wall_s"] for one in found)
        suite, model, partition, trainer = case.setting
        rows.append(
            {"suite": suite, "model": model, "partition": partition, "trainer": trainer, "runtime": case.runtime}
            | {"case": case.name}
            | values
        )
    for row in rows:
        plain = next(r for r in rows if r["case"] == "plaintext" and _setting(r) == _setting(row))
        for key in ("wall", "least_wall", "round_cpu"):
            row[f"{key}_of_plaintext"] = row[f"{key}_s"] / plain[f"{key}_s"]
        row["accuracy_minus_plaintext"] = row["accuracy"] - plain["accuracy"]
    return rows


def _setting(row: dict[str, Any]) -> tuple[str, ...]:
    return row["suite"], row["model"], row["partition"], row["trainer"]


def cold(turns: int) -> list[dict[str, Any]]:
    """A fresh interpreter, Ray not yet started: seconds until the first round is decrypted."""
    found: dict[str, list[tuple[float, float]]] = {trainer: [] for trainer in COLD_TARGETS}
    for _ in range(turns):
        for trainer in COLD_TARGETS:
            command = [sys.executable, "-m", "hefl_core", "run", "--model", "mlp-large", "--scheme", "bfv-compact"]
            command += ["--rounds", "1", "--runtime", "ray", "--trainer", trainer, "--json", "-"]
            began = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[trainer].append((json.loads(done.stdout)["cold_start_seconds"], time.perf_counter() - began))
    return [
        {
            "suite": "cold",
            "trainer": trainer,
            "cold_start_s": median(run for run, _ in values),
            "whole_command_s": median(whole for _, whole in values),
        }
        for trainer, values in found.items()
    ]


def verdicts(rows: list[dict[str, Any]]) -> list[TargetVerdict]:
    """Those targets that the suites at hand speak of."""
    found = []
    for row in rows:
        what = f"{row.get('case')}, {row.get('model')}, {row.get('partition')}"
        if row["suite"] == "cold":
            most = COLD_TARGETS[row["trainer"]]
            found.append(TargetVerdict(7, f"cold start on Ray, {row['trainer']}", "≤", most, row["cold_start_s"], "s"))
        elif row["suite"] == "keras" and row["case"] != "plaintext":
            what = f"warm round of {row['case']} / plaintext, {row['model']}, Keras on Ray"
            found.append(TargetVerdict(5, f"{what}: median wall", "≤", 1.5, row["wall_of_plaintext"]))
            found.append(TargetVerdict(5, f"{what}: least wall", "≤", 1.5, row["least_wall_of_plaintext"]))
            found.append(TargetVerdict(5, f"{what}: CPU of all processes", "≤", 1.5, row["round_cpu_of_plaintext"]))
        elif row["suite"] == "ray" and row["case"] == "plaintext":
            what = f"warm round without encryption, {row['model']}, NumPy training included"
            found.append(TargetVerdict(5, f"{what}: median wall", "≤", 0.1, row["wall_s"], "s"))
            found.append(TargetVerdict(5, f"{what}: least wall", "≤", 0.1, row["least_wall_s"], "s"))
        elif row["suite"] == "local":
            what = f"{what}: largest error / its bound, ten rounds"
            found.append(TargetVerdict(6, what, "≤", 1.0, row["worst_error_of_bound"]))
    return found


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--suites", nargs="+", choices=SUITES, default=list(SUITES))
    made.add_argument("--rounds", type=int, default=JOB.rounds)
    chosen = made.parse_args()
    turns = repetitions(chosen)
    rows: list[dict[str, Any]] = []
    for suite in chosen.suites:
        if suite == "cold":
            rows += cold(turns)
        else:
            found = cases(suite, chosen.rounds, quick=chosen.quick)
            rows += measure(found, min(turns, 2) if suite == "paillier" else turns)
    heads = ("case", "upload_bytes", "float32", "he_cpu_s", "train_cpu_s", "round_cpu_s", "wall_s", "least_wall_s")
    heads += ("round_cpu_of_plaintext", "wall_of_plaintext", "first_round_s", "accuracy")
    tables = []
    for setting in dict.fromkeys(_setting(row) for row in rows if row["suite"] != "cold"):
        here = [row for row in rows if row["suite"] != "cold" and _setting(row) == setting]
        lines = [[f"{row[head]:,.0f}" if head == "upload_bytes" else row[head] for head in heads] for row in here]
        tables.append(f"## {', '.join(setting)}\n\n" + table(heads, lines))
    if begun := [row for row in rows if row["suite"] == "cold"]:
        tables.append("## cold start\n\n" + table(tuple(begun[0]), (tuple(row.values()) for row in begun)))
    report(chosen, "The whole job", rows, verdicts(rows), tables)


if __name__ == "__main__":
    main()

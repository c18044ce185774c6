"""Peers on the reference job, each in an environment of its own: TensorFlow Federated, Flower SecAgg+, NVFlare HE.

    make bench-peers                       install them under build/peers, then run this
    python benchmarks/peers.py --peers tff
    python benchmarks/peers.py --quick     three rounds, the small model

Digits, 5 clients, one local epoch, batch 32, SGD 0.1; data, first model and the order of batches are the same for all.
TFF is also the oracle: from the same model, hefl's plain federated averaging must equal its within float32 rounding.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from common import TargetVerdict, median, parser, report, table

from hefl_core.learning.base import LocalTraining, batches, training_seed
from hefl_core.runtime.client_home import dealt_data, initial_parameters
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment
from hefl_core.vectors import unflatten

HERE = Path(__file__).parent
HOMES = Path("build") / "peers"
PEERS = ("tff", "flower", "nvflare")
OURS = ("plaintext", "bfv-lean", "bfv-compact", "bfv-compact-seeded")
JOB = Experiment(dataset="digits", clients=5, batch=32, learning_rate=0.1, seed=7)
ROUNDING = 1e-6
"""What float32 sums in another order may differ by after one round, relative to the largest parameter. Later rounds may jump
past it: a unit whose sum is zero but for rounding is on in one model and off in the other."""


def write_job(experiment: Experiment, path: Path, start: Any) -> None:
    """Everything a peer needs, as arrays. ``start``: theta_0, float32 (d,)."""
    whole = dealt_data(experiment)
    found: dict[str, Any] = {
        "rate": experiment.learning_rate,
        "batch": experiment.batch,
        "clients": experiment.clients,
        "rounds": experiment.rounds,
        "x_test": whole.dataset.test.features,
        "y_test": whole.dataset.test.labels,
    }
    arrays = unflatten(start, whole.model.shapes)
    found |= {"arrays": len(arrays)} | {f"start_{at}": array for at, array in enumerate(arrays)}
    for client, part in enumerate(whole.parts):
        found |= {f"x_{client}": part.features, f"y_{client}": part.labels}
        for round_ in range(experiment.rounds):
            seed = training_seed(experiment.seed, round_ + 1, client + 1)
            how = LocalTraining(experiment.local_epochs, experiment.batch, experiment.learning_rate, seed)
            found[f"order_{round_}_{client}"] = np.concatenate(list(batches(len(part), how)))
    np.savez(path, **found)


def our_models(experiment: Experiment) -> Any:
    """The model after each round of one local run of ours. Shapes: (rounds, d)."""
    with closing(Run(experiment, "local")) as run:
        for _ in run.steps():
            pass
        seen = sorted(run.result().observations.items())
    return np.array([next(np.frombuffer(one.theta, "<f4") for one in round_ if one.theta) for _, round_ in seen])


def our_run(experiment: Experiment, out: Path) -> dict[str, Any]:
    """One run of ours on Ray, started as a user would, in an interpreter of its own."""
    file = out / f"hefl-{experiment.scheme}.json"
    command = [sys.executable, "-m", "hefl_core", "run", "--runtime", "ray", "--json", str(file)]
    for option in ("dataset", "model", "scheme", "clients", "rounds", "batch", "seed"):
        command += [f"--{option}", str(getattr(experiment, option))]
    wall, cpu = whole_tree(command, out / f"hefl-{experiment.scheme}.log", dict(os.environ))
    rounds = json.loads(file.read_text(encoding="utf-8"))["rounds"]
    warm = rounds[1:] or rounds
    return {
        "peer": f"hefl {experiment.scheme}",
        "upload": warm[-1]["bytes"]["upload_per_client"],
        "warm_s": median(one["seconds"]["total"] for one in warm),
        "whole_s": wall,
        "whole_cpu_s": cpu,
        "accuracy": rounds[-1]["accuracy"],
        "note": "a Ray process per party, signed envelopes, transcript verified",
    }


def peer_run(name: str, job: Path, out: Path) -> tuple[dict[str, Any], Any]:
    """One peer's run in its own environment; the row, and the model after each round."""
    python = HOMES / name / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{name}: expected an environment at {HOMES / name}, found none; run make bench-peers")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    script = HERE / "peer" / f"{name}_job.py"
    wall, cpu = whole_tree([str(python), str(script), str(job), str(out)], out / f"{name}.log", environment)
    said = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    row = {
        "peer": name,
        "upload": said["upload"],
        "warm_s": median(said["seconds"][1:] or said["seconds"]),
        "whole_s": wall,
        "whole_cpu_s": cpu,
        "accuracy": said["accuracies"][-1],
        "note": said["note"],
    }
    return row, np.load(out / f"{name}.npy", allow_pickle=False)


def whole_tree(command: list[str], log: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command with everything it starts, looked at five times a second.

    Raises: SystemExit with the end of its output when it fails; what it left behind is stopped.
    """
    began, cpu, family = time.perf_counter(), dict[int, float](), dict[int, psutil.Process]()
    with log.open("wb") as file:
        root = psutil.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True)
        while root.poll() is None:
            with contextlib.suppress(psutil.Error):
                for process in (root, *root.children(recursive=True)):
                    family[process.pid] = process
            for pid, process in family.items():
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    cpu[pid] = times.user + times.system
            time.sleep(0.2)
    wall = time.perf_counter() - began
    for process in family.values():  # TFF leaves its workers behind
        with contextlib.suppress(psutil.Error):
            process.kill()
    if root.returncode:
        tail = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise SystemExit(f"{command[0]}: ended with {root.returncode}; the end of {log}:\n{tail}")
    return wall, sum(cpu.values())


def distance(models: Any, oracle: Any) -> float:
    """Largest difference over all rounds and parameters, relative to the largest parameter."""
    return float(np.max(np.abs(models.astype(np.float64) - oracle))) / float(np.max(np.abs(oracle)))


def main() -> None:
    """Ours, then each peer, on each model."""
    options = parser(__doc__)
    options.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    chosen = options.parse_args()
    rows, verdicts, tables = [], [], []
    for model in ("mlp",) if chosen.quick else ("mlp", "mlp-large"):
        experiment = JOB.but(model=model, rounds=3 if chosen.quick else 10)
        out = (HOMES / "results" / model).resolve()
        out.mkdir(parents=True, exist_ok=True)
        start = _start(experiment)
        write_job(experiment, out / "job.npz", start)
        found, models = [], {}
        for scheme in OURS:
            models[scheme] = our_models(experiment.but(scheme=scheme))
            found.append(our_run(experiment.but(scheme=scheme), out))
        for name in chosen.peers:
            row, models[name] = peer_run(name, out / "job.npz", out)
            found.append(row)
        plain = 4 * len(start)
        for row in found:
            row |= {"model": model, "float32": row["upload"] / plain if row["upload"] else None}
            theirs, plainly = models[row["peer"].removeprefix("hefl ")], models["plaintext"]
            row["distance"] = [distance(theirs[at : at + 1], plainly[at : at + 1]) for at in range(experiment.rounds)]
            if row["peer"] == "tff":
                what = f"plain FedAvg against TFF's, {model}, round 1: largest difference / largest parameter"
                verdicts.append(TargetVerdict(6, what, "≤", ROUNDING, row["distance"][0], ""))
        rows += found
        heads = (
            "",
            "upload bytes",
            "× float32",
            "warm s per round",
            "whole run s",
            "its CPU s",
            "accuracy",
            "model differs: round 1, last",
            "",
        )
        lines = [
            (
                row["peer"],
                f"{row['upload']:,}" if row["upload"] else "none",
                f"{row['float32']:.2f}" if row["float32"] else "",
                row["warm_s"],
                row["whole_s"],
                row["whole_cpu_s"],
                f"{row['accuracy']:.4f}",
                f"{row['distance'][0]:.0e}, {row['distance'][-1]:.0e}",
                row["note"],
            )
            for row in found
        ]
        tables += [f"## {model}, {len(start):,} parameters, {experiment.rounds} rounds", table(heads, lines)]
    report(chosen, "Peers", rows, verdicts, tables)


def _start(experiment: Experiment) -> Any:
    """theta_0 as the run draws it."""
    return initial_parameters(dealt_data(experiment).manifest(experiment))


if __name__ == "__main__":
    main()

"""How far it goes: a million parameters, a hundred clients, and what grows with what.

    python benchmarks/scale.py            tables and verdicts on target 8
    python benchmarks/scale.py --quick    a hundred thousand parameters, thirty clients

*Memory*: peak growth of one process that adds K uploads, as the coordinator does. *Round*: the real parties in one
process with made-up training, d parameters; bytes that each party still holds afterwards, and the longest silence between
two messages (every message is published as it is sent: that is the progress a user sees). *Cohort*: the reference job with
more clients; what each client receives grows with K because the sum names every signed header.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import TargetVerdict, parser, report, table

from hefl_core.errors import NotChecked
from hefl_core.evaluation import Evaluation
from hefl_core.federation.client import Client, Home
from hefl_core.federation.epoch import key_epoch
from hefl_core.federation.post import ByCall, Post
from hefl_core.federation.record.transcript import Transcript
from hefl_core.federation.round import federated_round
from hefl_core.ids import AUDITOR, COORDINATOR, client_name
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.stage import Auditor, Coordinator, custody_of, enrol, make_kms
from hefl_core.schemes.base import CiphertextVector
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.terms.experiment import Experiment, Manifest
from hefl_core.wire.envelope import Position
from hefl_core.wire.spool import MEMORY_BYTES, Spool

MEMORY_PRESETS = ("bfv-lean", "bfv-compact", "ckks-lean")
MEMORY_CLIENTS = (2, 10, 16)
ROUND_PRESETS = ("bfv-compact", "bfv-lean")
LARGE_BYTES = 1024
"""Smaller objects are not counted as held."""


def peak_growth(preset: str, length: int, clients: int) -> dict[str, float]:
    """In this process: bytes by which its peak grows while it collects and adds. Linux only."""
    scheme: Any = open_scheme(preset)
    key, shares = scheme.keygen(Quorum(1, clients))
    maker = shares[0] if scheme.preset.symmetric else key
    upload = scheme.encrypt(maker, np.zeros(length), bound=1.0, max_terms=16).to_bytes()
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, cpu = _status("VmRSS"), time.process_time()
    spool = Spool[int]()
    for number in range(clients):
        spool[number] = upload
    running = scheme.accumulator(key)
    for number in range(clients):
        running.add(CiphertextVector.from_bytes(spool[number]))
    total = running.total()
    cpu = time.process_time() - cpu
    return {"upload_bytes": len(upload), "sum_bytes": total.nbytes, "peak": _status("VmHWM") - before, "cpu_s": cpu}


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def memory(length: int) -> list[dict[str, Any]]:
    """Each measurement in a fresh process."""
    rows = []
    for preset in MEMORY_PRESETS:
        for clients in MEMORY_CLIENTS:
            command = [sys.executable, __file__, "--child", preset, str(length), str(clients)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            values = [float(value) for value in done.stdout.split()]
            names = ("upload_bytes", "sum_bytes", "peak", "cpu_s")
            rows.append({"preset": preset, "d": length, "K": clients, **dict(zip(names, values, strict=True))})
            print(rows[-1], file=sys.stderr)
    return rows


def one_round(preset: str, length: int, clients: int) -> dict[str, Any]:
    """Two rounds of the protocol with updates of noise; the second is measured."""
    experiment = Experiment(scheme=preset, clients=clients, rounds=2, observed=False)
    manifest = Manifest.draw(experiment, length, 512)
    start = np.zeros(length, dtype=np.float32)

    def train(theta: np.ndarray, round_: int) -> np.ndarray:
        return theta + np.random.default_rng(round_).normal(0, 0.02, length).astype(np.float32)

    kms = make_kms(manifest)
    coordinator = Coordinator(COORDINATOR, manifest, kms.member, start.tobytes())
    auditor = Auditor(AUDITOR, manifest, kms.member)

    def not_observed(theta: np.ndarray) -> Evaluation:
        raise NotChecked("updates of noise have no accuracy")

    home = Home(300, train, not_observed)
    made = [Client(client_name(n), manifest, kms.member, home, lambda seed: start) for n in range(1, clients + 1)]
    parties = enrol(kms, coordinator, auditor, made, custody_of(manifest))
    transcript = Transcript(manifest, kms.member, keep_bodies=False)
    post = Post(transcript, ByCall())
    for _ in key_epoch(1, 2, parties, post):
        pass
    for number in (1, 2):
        cpu, last, silence, messages = time.process_time(), time.perf_counter(), 0.0, 0
        for sent in federated_round(Position(1, number), parties, post):
            now = time.perf_counter()
            silence, last, messages = max(silence, now - last), now, messages + 1
            if sent.step in ("sum", "confirmation"):
                print(f"{preset} d = {length:,}: {sent.step}, message {messages}", file=sys.stderr)
        cpu = time.process_time() - cpu
    return {
        "preset": preset,
        "d": length,
        "K": clients,
        "round_cpu_s": cpu,
        "messages": messages,
        "longest_silence_s": silence,
        "coordinator_holds": held(coordinator),
        "auditor_holds": held(auditor),
        "client_holds": held(made[0]),
        "transcript_holds": held(transcript),
        "process_peak": _status("VmHWM"),
    }


def held(party: object) -> int:
    """Bytes of the large objects that can be reached from a party; what parties share counts for each."""
    seen: set[int] = set()
    waiting, total = [party], 0
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, type) or type(thing).__name__ in ("module", "function", "method"):
            continue
        seen.add(id(thing))
        if isinstance(thing, bytes | np.ndarray):
            size = sys.getsizeof(thing)
            total += size if size >= LARGE_BYTES else 0
            continue
        waiting.extend(gc.get_referents(thing))
    return total


def cohort(clients: int, runtime: str, per_host: int | None) -> dict[str, Any]:
    """The reference job's first rounds with more clients."""
    experiment = Experiment(scheme="bfv-lean", clients=clients, rounds=2)
    cpu, began = time.process_time(), time.perf_counter()
    result = run_experiment(experiment, runtime, clients_per_host=per_host)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    last = result.rounds[-1]
    return {
        "K": clients,
        "runtime": runtime,
        "clients per host": per_host or "-",
        "upload_bytes": last.bytes.upload_per_client,
        "download_bytes": last.bytes.download_per_client,
        "aggregate_cpu_s": last.cpu_seconds.aggregate,
        "round_wall_s": last.seconds.total,
        "run_wall_s": wall,
        "run_cpu_s": cpu if runtime == "local" else "-",
        "accuracy": last.accuracy,
    }


def main() -> None:
    """Measure and report."""
    if sys.argv[1:2] == ["--child"]:
        print(*peak_growth(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])).values())
        return
    made = parser(__doc__)
    made.add_argument("--ray", action="store_true", help="also the largest cohort on Ray, fifty clients per host")
    chosen = made.parse_args()
    length, sizes = (100_000, (5, 15, 30)) if chosen.quick else (1_000_000, (5, 25, 100))
    grown = memory(length)
    rounds = [one_round(preset, length, 10) for preset in ROUND_PRESETS]
    cohorts = [cohort(clients, "local", None) for clients in sizes]
    if chosen.ray:
        cohorts.append(cohort(sizes[-1], "ray", 50))
    found = []
    for preset in MEMORY_PRESETS:
        last = next(row for row in grown if row["preset"] == preset and row["K"] == MEMORY_CLIENTS[-1])
        beyond = (last["peak"] - 2 * MEMORY_BYTES) / last["upload_bytes"]
        what = f"{preset}: coordinator's peak at K = 16 beyond the spool's 64 MiB, in uploads of d = {length:,}"
        found.append(TargetVerdict(8, what, "≤", 8.0, beyond, "uploads"))
    for row in rounds:
        what = f"{row['preset']}: longest silence of a round, d = {length:,}, K = 10, one process"
        found.append(TargetVerdict(8, what, "≤", 10.0, row["longest_silence_s"], "s"))
    tables = [
        f"## {title}\n\n" + table(tuple(rows[0]), (tuple(row.values()) for row in rows))
        for title, rows in (("memory", grown), ("one round", rounds), ("cohort", cohorts))
    ]
    report(chosen, "Scale", {"memory": grown, "rounds": rounds, "cohorts": cohorts}, found, tables)


if __name__ == "__main__":
    main()

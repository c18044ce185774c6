"""What is left behind: memory after many rounds, processes, sockets, open files and temporary files after the end.

    python benchmarks/leaks.py            2,000 rounds' worth of each scheme's operations, 200 rounds of all parties
    python benchmarks/leaks.py --quick    a tenth of both

Each measurement runs in a fresh process with a temporary folder of its own. *Operations*: encrypt, add, decrypt, over and
over; growth of resident memory after a warm-up, with the allocator's free pages given back. *Rounds*: coordinator, auditor,
KMS and clients in one process, digests on record only, so that what grows is what the parties keep. Linux only.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from common import TargetVerdict, parser, report, table

from hefl_core.federation.epoch import key_epoch
from hefl_core.federation.post import Post
from hefl_core.federation.record.transcript import Transcript
from hefl_core.federation.round import federated_round
from hefl_core.runtime.client_home import dealt_data
from hefl_core.runtime.stage import local_stage
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.envelope import Position

MIB = 1 << 20
SCHEMES = (
    ("plaintext", 1),
    ("paillier-packed", 1),
    ("ckks-tutorial", 1),
    ("ckks-lean", 1),
    ("bfv-lean", 1),
    ("bfv-compact", 1),
    ("bfv-compact-2048-seeded", 1),
    ("bfv-threshold-classroom", 2),
    ("ckks-threshold", 2),
)
CYCLES, ROUNDS, QUICK_SHARE = 2_000, 200, 10
WARM_UP_SHARE, MOST_WARM_UP = 4, 200
OPERATIONS_LIMIT, ROUNDS_LIMIT = 5.0, 50.0


def resident() -> int:
    """Bytes of this process's resident memory, after collecting garbage and giving free pages back."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return int(psutil.Process().memory_info().rss)


def growth(step: Callable[[int], object], times: int) -> int:
    """Bytes by which memory grows over so many steps, after a warm-up."""
    warm_up = min(MOST_WARM_UP, max(1, times // WARM_UP_SHARE))
    for number in range(warm_up):
        step(number)
    before = resident()
    for number in range(warm_up, warm_up + times):
        step(number)
    return resident() - before


def operations(preset: str, threshold: int = 1) -> Callable[[int], object]:
    """A round's worth of a scheme's work for two clients."""
    scheme: Any = open_scheme(preset)
    key, shares = scheme.keygen(Quorum(threshold, 3))
    maker = shares[0] if scheme.preset.symmetric else key
    x = np.random.default_rng(1).uniform(-0.2, 0.2, 200)
    active = {share.index for share in shares[:threshold]}

    def step(_: int) -> object:
        a, b = (scheme.encrypt(maker, x, bound=0.5, max_terms=4, integers=(3, 1)) for _ in range(2))
        total = scheme.add(key, a, b)
        parts = [scheme.partial_decrypt(share, total, active) for share in shares[:threshold]]
        return scheme.open(key, total, parts, bound=0.5)

    return step


def rounds(scheme: str, custody: str, count: int) -> Callable[[int], object]:
    """Whole rounds, one per step, of three clients in this process."""
    experiment = Experiment(
        dataset="breast_cancer",
        model="logistic",
        scheme=scheme,
        custody=custody,
        clients=3,
        rounds=count,
        epoch_rounds=count,
        observed=False,
    )
    manifest = dealt_data(experiment).manifest(experiment)
    stage = local_stage(manifest, None)
    post = Post(Transcript(manifest, stage.parties.kms.member, keep_bodies=False), stage.carrier)
    for _ in key_epoch(1, count, stage.parties, post):
        pass

    def step(number: int) -> object:
        post.begin(stage.parties.coordinator)
        return [sent.step for sent in federated_round(Position(1, number + 1, 1), stage.parties, post)]

    return step


def leftovers(folder: str, files_before: int) -> list[str]:
    """What this process would leave behind: children, sockets, files."""
    me = psutil.Process()
    found = [f"process {child.pid} {child.name()}" for child in me.children(recursive=True)]
    found += [f"socket {connection.laddr}" for connection in me.net_connections()]
    found += [f"file {path.name}" for path in Path(folder).iterdir()]
    opened = me.num_fds() - files_before
    return [*found, *([f"{opened} open files more"] if opened > 0 else [])]


def child(kind: str, name: str, more: str, times: int) -> dict[str, Any]:
    """In this process: one measurement."""
    step = operations(name, int(more)) if kind == "operations" else rounds(name, more, times + MOST_WARM_UP)
    files = psutil.Process().num_fds()
    grown = growth(step, times)
    gc.collect()
    return {
        "what": kind,
        "scheme": name,
        "custody": more,
        "times": times,
        "growth": grown,
        "left": leftovers(tempfile.gettempdir(), files),
    }


def measure(quick: bool) -> list[dict[str, Any]]:
    """Every measurement in a fresh process and a fresh temporary folder, which must be empty at its end."""
    share = QUICK_SHARE if quick else 1
    jobs = [("operations", name, str(threshold), CYCLES // share) for name, threshold in SCHEMES]
    jobs += [("rounds", "bfv-lean", "individual", ROUNDS // share)]
    jobs += [("rounds", "INSECURE_bfv-threshold-1024", "2-of-3", ROUNDS // share)]
    rows = []
    for job in jobs:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--child", *map(str, job)]
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, env=os.environ | {"TMPDIR": folder}
            )
            row = json.loads(done.stdout)
            row["left"] += [f"file {path.name} after the end" for path in Path(folder).iterdir()]
        rows.append(row)
    return rows


def verdicts(rows: list[dict[str, Any]]) -> list[TargetVerdict]:
    """The worst of each kind, and everything that was left behind."""
    made = []
    for kind, limit in (("operations", OPERATIONS_LIMIT), ("rounds", ROUNDS_LIMIT)):
        ours = [row for row in rows if row["what"] == kind]
        most = max(row["growth"] for row in ours) / MIB
        made.append(TargetVerdict(7, f"memory over {ours[0]['times']} {kind}, the worst", "≤", limit, most, "MiB"))
    made.append(TargetVerdict(7, "left behind", "≤", 0, sum(len(row["left"]) for row in rows), "things"))
    return made


def _left(row: dict[str, Any]) -> str:
    return "; ".join(row["left"]) or "nothing"


def main() -> None:
    """Measure and report."""
    if sys.argv[1:2] == ["--child"]:
        kind, name, more, times = sys.argv[2:]
        print(json.dumps(child(kind, name, more, int(times))))
        return
    chosen = parser(__doc__).parse_args()
    rows = measure(chosen.quick)
    cells = [
        (*(row[name] for name in ("what", "scheme", "custody", "times")), f"{row['growth'] / MIB:.2f}", _left(row))
        for row in rows
    ]
    heads = ("what", "scheme", "threshold or custody", "times", "growth, MiB", "left behind")
    report(chosen, "Leaks", rows, verdicts(rows), [table(heads, cells)])


if __name__ == "__main__":
    main()

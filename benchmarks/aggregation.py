"""Encrypted aggregation: presets × parameters × clients, beside TenSEAL as its users write it and phe one value at a time.

    python benchmarks/aggregation.py                 tables and verdicts on targets 1-4
    python benchmarks/aggregation.py --quick --json aggregation.json

CPU of this process in nanoseconds per parameter: the client encodes, encrypts and serialises; the coordinator deserialises
and adds, per client. Cases take turns within each repetition; medians. The cases and the TenSEAL baselines are those of
schemes_quick.py; ``tenseal-per-layer`` is the tutorial's way with one vector per layer of the reference models.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tenseal as ts
from common import TargetVerdict, median, parser, repetitions, report, table
from phe import paillier as phe
from schemes_quick import BASELINES, CPU_TARGETS, NVFLARE, TUTORIAL, UPLOAD_TARGETS, Ours, TenSEAL

from hefl_core.schemes.base import CiphertextVector
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme

PRESETS = (
    "plaintext",
    "ckks-tutorial",
    "ckks-nvflare",
    "ckks-lean",
    "bfv-lean",
    "bfv-lean-seeded",
    "bfv-compact",
    "bfv-compact-seeded",
    "bfv-compact-2048",
    "bfv-compact-2048-seeded",
    "bfv-threshold",
)
LENGTHS, CLIENTS = (10_000, 100_000, 1_000_000), (4, 10, 16)
QUICK_LENGTHS, QUICK_CLIENTS = (10_000, 100_000), (4, 10)
PER_LAYER = "tenseal-per-layer"
LAYERS = {2_410: (2048, 32, 320, 10), 99_530: (16384, 256, 65536, 256, 16384, 64, 640, 10)}
"""Of the reference models 64-32-10 and 64-256-256-64-10: weights and offsets."""
PHE_SAMPLE, PACKED_SAMPLE = 60, 6_000


class PerLayer(TenSEAL):
    """The tutorial's parameters, one vector per layer."""

    def __init__(self, x: np.ndarray) -> None:
        super().__init__(TUTORIAL, x)
        ends = np.cumsum(LAYERS[len(x)])
        layers = np.split(x, ends[:-1])
        self.chunks = [layer[start:][:4096].tolist() for layer in layers for start in range(0, len(layer), 4096)]


def add(case: Ours | TenSEAL, upload: tuple[bytes, ...], clients: int) -> object:
    """Deserialise and add as many uploads as there are clients, one after the other."""
    if isinstance(case, Ours):
        running = case.scheme.accumulator(case.key)
        for _ in range(clients):
            running.add(CiphertextVector.from_bytes(upload[0]))
        return running.total()
    total = [ts.ckks_vector_from(case.context, block) for block in upload]
    for _ in range(clients - 1):
        for running, block in zip(total, upload, strict=True):
            running.add_(ts.ckks_vector_from(case.context, block))
    return total


def timed(work: Callable[..., Any], *operands: Any) -> tuple[float, Any]:
    """Process CPU seconds, all threads, and the result."""
    began = time.process_time()
    result = work(*operands)
    return time.process_time() - began, result


def measure(length: int, clients: tuple[int, ...], turns: int) -> list[dict[str, Any]]:
    """One row per case, all sizes of the cohort."""
    x = np.random.default_rng(0).normal(0, 1 / 32, length).clip(-0.25, 0.25)
    cases: dict[str, Ours | TenSEAL] = {name: TenSEAL(name, x) for name in BASELINES}
    if length in LAYERS:
        cases[PER_LAYER] = PerLayer(x)
    cases |= {name: Ours(name, x, tagged=True) for name in PRESETS}
    samples: dict[str, dict[str, list[float]]] = {}
    nbytes: dict[str, int] = {}
    for turn in range(turns + 1):  # the first fills caches
        for name, case in cases.items():
            taken = samples.setdefault(name, {})
            client, upload = timed(case.client)
            nbytes[name] = sum(map(len, upload))
            figures = {"client_ns": client * 1e9 / length}
            for count in clients:
                figures[f"coordinator_ns_k{count}"] = timed(add, case, upload, count)[0] * 1e9 / length / count
            for key, value in figures.items() if turn else ():
                taken.setdefault(key, []).append(value)
    return [
        {"case": name, "length": length, "upload_bytes": nbytes[name], "float32": nbytes[name] / (4 * length)}
        | {key: median(values) for key, values in taken.items()}
        for name, taken in samples.items()
    ]


def paillier(turns: int) -> list[dict[str, Any]]:
    """Phe one value per ciphertext, on a sample, beside packed Paillier at the same key size."""
    rng = np.random.default_rng(0)
    rows = []
    for bits, preset in ((2048, "paillier-packed"), (3072, "paillier-packed-3072")):
        public, _ = phe.generate_paillier_keypair(n_length=bits)
        scheme: Any = open_scheme(preset)
        key, _ = scheme.keygen(Quorum(1, 5))
        few, many = rng.normal(0, 0.1, PHE_SAMPLE).tolist(), rng.normal(0, 0.1, PACKED_SAMPLE)
        scheme.encrypt(key, many, bound=1.0)  # builds the table of powers, once per key
        naive_cpu, packed_cpu = [], []
        for _ in range(turns):
            seconds, naive = timed(lambda public, few: [public.encrypt(value) for value in few], public, few)
            naive_cpu.append(seconds / PHE_SAMPLE)
            seconds, packed = timed(lambda scheme, key, many: scheme.encrypt(key, many, bound=1.0), scheme, key, many)
            packed_cpu.append(seconds / PACKED_SAMPLE)
        each = sum((one.ciphertext(be_secure=False).bit_length() + 7) // 8 + 4 for one in naive) / PHE_SAMPLE
        rows.append(
            {
                "bits": bits,
                "phe_us": median(naive_cpu) * 1e6,
                "packed_us": median(packed_cpu) * 1e6,
                "cpu_ratio": median(naive_cpu) / median(packed_cpu),
                "phe_bytes": each,
                "packed_bytes": len(packed.to_bytes()) / PACKED_SAMPLE,
                "bytes_ratio": each * PACKED_SAMPLE / len(packed.to_bytes()),
            }
        )
    return rows


def verdicts(rows: list[dict[str, Any]], packed: list[dict[str, Any]]) -> list[TargetVerdict]:
    """Targets 1 to 4. CPU ratios at every size from 1e5 parameters on."""
    found = []
    at = {(row["case"], row["length"]): row for row in rows}
    for preset, length, most in UPLOAD_TARGETS:
        row = at.get((preset, length)) or {"float32": _upload(preset, length) / (4 * length)}
        found.append(
            TargetVerdict(1, f"{preset}: upload of {length:,} parameters / float32", "≤", most, row["float32"])
        )
    for length in sorted({row["length"] for row in rows if row["length"] >= 100_000}):
        for preset, seat, baseline, least in CPU_TARGETS:
            field = "client_ns" if seat == "client" else "coordinator_ns_k10"
            ratio = at[baseline, length][field] / at[preset, length][field]
            what = f"{baseline} / {preset}: {seat} CPU, {length:,} parameters"
            found.append(TargetVerdict(2 if seat == "client" else 3, what, "≥", least, ratio))
    for row in packed:
        found.append(
            TargetVerdict(4, f"phe / packed Paillier, {row['bits']} bits: bytes", "≥", 100, row["bytes_ratio"])
        )
        found.append(TargetVerdict(4, f"phe / packed Paillier, {row['bits']} bits: CPU", "≥", 1000, row["cpu_ratio"]))
    return found


def _upload(preset: str, length: int) -> int:
    return len(Ours(preset, np.zeros(length), tagged=True).client()[0])


def main() -> None:
    """Measure and report."""
    chosen = parser(__doc__).parse_args()
    turns = repetitions(chosen)
    lengths, clients = (QUICK_LENGTHS, QUICK_CLIENTS) if chosen.quick else (LENGTHS, CLIENTS)
    rows = [row for length in (2_410, 99_530, *lengths) for row in measure(length, clients, turns)]
    packed = paillier(turns)
    tables = []
    for length in (2_410, 99_530, *lengths):
        here = [row for row in rows if row["length"] == length]
        tutorial, nvflare = (next(r for r in here if r["case"] == name) for name in (TUTORIAL, NVFLARE))
        heads = ("case", "upload bytes", "× float32", "client ns", "1/tutorial", "1/NVFlare")
        lines = [
            (
                row["case"],
                f"{row['upload_bytes']:,}",
                row["float32"],
                row["client_ns"],
                tutorial["client_ns"] / row["client_ns"],
                nvflare["client_ns"] / row["client_ns"],
                *(row[f"coordinator_ns_k{count}"] for count in clients),
            )
            for row in here
        ]
        names = tuple(f"coord. ns, K = {count}" for count in clients)
        tables.append(f"## d = {length:,}\n\n" + table((*heads, *names), lines))
    tables.append("## Paillier\n\n" + table(tuple(packed[0]), (tuple(row.values()) for row in packed)))
    report(chosen, "Aggregation", {"lattice": rows, "paillier": packed}, verdicts(rows, packed), tables)


if __name__ == "__main__":
    main()

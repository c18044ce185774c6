"""What one update costs: CPU and bytes per parameter of each preset, beside plain TenSEAL in the same run.

    python benchmarks/schemes_quick.py                      a table, and which targets are met
    python benchmarks/schemes_quick.py --json quick.json    the numbers as well, "-" for standard output
    python benchmarks/schemes_quick.py --presets bfv-lean bfv-compact --tag

Three seats: the *client* encodes, encrypts and serialises; the *coordinator* deserialises, checks and adds; a client
*decrypts* the sum of ten. Everything is process CPU in nanoseconds per parameter, the median of the repetitions. The cases
take turns within each repetition, so that what else the machine does falls on all of them alike: compare within one run.

The two baselines are TenSEAL as its users write it, one vector per 4096 slots. They get Python lists that were made
beforehand, neither labels nor checks, and their sum is not serialised in between: the comparison leans their way.

- ``tenseal-tutorial``: N = 8192 [60, 40, 40, 60], scale 2^40, public key (TenSEAL's tutorials)
- ``tenseal-nvflare``:  N = 8192 [60, 40, 40],     scale 2^40, symmetric  (NVFlare's defaults)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tenseal as ts

from hefl_core.keys.sum_tag import TagKey
from hefl_core.schemes.base import CiphertextVector
from hefl_core.schemes.presets import PRESETS, load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme

TERMS = 10
BOUND = 0.25
SEATS = ("client", "coordinator", "decrypt")
TUTORIAL, NVFLARE = "tenseal-tutorial", "tenseal-nvflare"
BASELINES = {
    TUTORIAL: ([60, 40, 40, 60], ts.ENCRYPTION_TYPE.ASYMMETRIC),
    NVFLARE: ([60, 40, 40], ts.ENCRYPTION_TYPE.SYMMETRIC),
}
CPU_TARGETS = (
    ("bfv-lean", "client", TUTORIAL, 7),
    ("bfv-lean", "client", NVFLARE, 2.5),
    ("bfv-compact", "client", TUTORIAL, 16),
    ("bfv-compact", "client", NVFLARE, 6),
    ("bfv-compact-seeded", "client", TUTORIAL, 25),
    ("bfv-compact-seeded", "client", NVFLARE, 10),
    ("bfv-lean", "coordinator", TUTORIAL, 15),
    ("bfv-compact", "coordinator", TUTORIAL, 15),
    ("bfv-compact-seeded", "coordinator", TUTORIAL, 15),
)
"""Preset, seat, baseline, and how many times less CPU is asked for."""
UPLOAD_TARGETS = (
    ("bfv-lean", 2_410, 7.0),
    ("bfv-lean", 99_530, 2.4),
    ("bfv-compact-2048", 2_410, 3.5),
    ("bfv-compact", 99_530, 1.2),
    ("bfv-compact", 1_000_000, 1.02),
    ("bfv-compact-2048-seeded", 2_410, 1.8),
    ("bfv-compact-seeded", 99_530, 0.6),
)
"""Preset, parameters, and the largest upload as a multiple of float32's; small models take the smaller ring."""


class Case(Protocol):
    """One way to send an update: blocks that travel, the sum of ten times the same blocks, and its values."""

    def client(self) -> tuple[bytes, ...]:
        """Encode, encrypt, serialise."""

    def coordinator(self, upload: tuple[bytes, ...]) -> Any:
        """Deserialise and add, ten times."""

    def decrypt(self, total: Any) -> Any:
        """Values of a sum."""


class Ours:
    """A preset through the package's own interface, labels and checks included."""

    def __init__(self, name: str, x: np.ndarray, *, tagged: bool) -> None:
        self.scheme: Any = open_scheme(name)
        self.key, self.shares = self.scheme.keygen(Quorum(1, 5))
        self.maker = self.shares[0] if self.scheme.preset.symmetric else self.key
        tag = TagKey().for_message("benchmark", 1, 1, 1, "client-1") if tagged and self.scheme.preset.tagged else None
        self.x, self.options = x, {"bound": BOUND, "max_terms": 16, "integers": (99, 1), "tag": tag}

    def client(self) -> tuple[bytes, ...]:
        """One labelled vector."""
        return (self.scheme.encrypt(self.maker, self.x, **self.options).to_bytes(),)

    def coordinator(self, upload: tuple[bytes, ...]) -> Any:
        """The running sum of the aggregation, its bytes included."""
        running = self.scheme.accumulator(self.key)
        for _ in range(TERMS):
            running.add(CiphertextVector.from_bytes(upload[0]))
        return running.total()

    def decrypt(self, total: Any) -> Any:
        """Under 1 of n."""
        return self.scheme.combine(self.key, total, [self.scheme.partial_decrypt(self.shares[0], total, {1})])


class TenSEAL:
    """What everybody copies."""

    def __init__(self, name: str, x: np.ndarray) -> None:
        primes, kind = BASELINES[name]
        self.context = ts.context(
            ts.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=primes, encryption_type=kind, n_threads=1
        )
        self.context.global_scale = 2.0**40
        self.secret = self.context.secret_key()
        self.chunks = [x[start:][:4096].tolist() for start in range(0, len(x), 4096)]

    def client(self) -> tuple[bytes, ...]:
        """A vector per chunk."""
        return tuple(ts.ckks_vector(self.context, chunk).serialize() for chunk in self.chunks)

    def coordinator(self, upload: tuple[bytes, ...]) -> Any:
        """Chunk by chunk."""
        total = [ts.ckks_vector_from(self.context, block) for block in upload]
        for _ in range(TERMS - 1):
            for running, block in zip(total, upload, strict=True):
                running.add_(ts.ckks_vector_from(self.context, block))
        return total

    def decrypt(self, total: Any) -> Any:
        """With the secret key that each client has."""
        return np.concatenate([vector.decrypt(self.secret) for vector in total])


def measure(presets: list[str], length: int, repetitions: int, *, tagged: bool) -> dict[str, dict[str, float]]:
    """Rows by name: ns per parameter of each seat, bytes per parameter up and down, largest error of the mean."""
    x = np.random.default_rng(0).normal(0, BOUND / 8, length).clip(-BOUND, BOUND)
    cases: dict[str, Case] = {name: TenSEAL(name, x) for name in BASELINES}
    cases |= {name: Ours(name, x, tagged=tagged) for name in presets}
    samples: dict[str, dict[str, list[float]]] = {name: {seat: [] for seat in SEATS} for name in cases}
    rows: dict[str, dict[str, float]] = {}
    for repetition in range(repetitions + 1):
        for name, case in cases.items():
            upload = _timed(samples[name]["client"], case.client)
            total = _timed(samples[name]["coordinator"], case.coordinator, upload)
            values = _timed(samples[name]["decrypt"], case.decrypt, total)
            if repetition:
                continue
            for taken in samples[name].values():
                taken.clear()  # the first turn fills caches
            rows[name] = {
                "upload_bytes_per_parameter": sum(map(len, upload)) / length,
                "sum_bytes_per_parameter": getattr(total, "nbytes", sum(map(len, upload))) / length,
                "max_error_of_mean": float(np.max(np.abs(values - TERMS * x))) / TERMS,
            }
    for name, row in rows.items():
        for seat, taken in samples[name].items():
            row[f"{seat}_ns"] = statistics.median(taken) * 1e9 / length / (TERMS if seat == "coordinator" else 1)
    return rows


def _timed(samples: list[float], work: Any, *operands: Any) -> Any:
    began = time.process_time()
    result = work(*operands)
    samples.append(time.process_time() - began)
    return result


def check_targets(rows: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Each target with what was found."""
    found: list[dict[str, Any]] = []
    for preset, seat, baseline, factor in CPU_TARGETS:
        if preset in rows:
            ratio = rows[baseline][f"{seat}_ns"] / rows[preset][f"{seat}_ns"]
            what = f"{preset}: {seat} CPU at most 1/{factor} of {baseline}"
            found.append({"target": what, "found": f"1/{ratio:.1f}", "ratio": 1 / ratio, "met": ratio >= factor})
    for preset, length, factor in UPLOAD_TARGETS:
        if preset in rows:
            ratio = len(Ours(preset, np.zeros(length), tagged=True).client()[0]) / (4 * length)
            what = f"{preset}: upload of {length} parameters at most {factor} x float32"
            found.append({"target": what, "found": f"{ratio:.2f} x", "ratio": ratio, "met": ratio <= factor})
    return found


def table(rows: dict[str, dict[str, float]], targets: list[dict[str, Any]]) -> str:
    """For people. "1/" columns: how many times less client CPU than the two baselines take."""
    heads = ("client", "coord.", "decrypt", "1/tutorial", "1/NVFlare", "up B/p", "sum B/p", "error")
    lines = [f"{'ns CPU per parameter':26}" + "".join(f"{head:>11}" for head in heads)]
    for name, row in rows.items():
        figures = [row[f"{seat}_ns"] for seat in SEATS]
        figures += [rows[baseline]["client_ns"] / row["client_ns"] for baseline in (TUTORIAL, NVFLARE)]
        figures += [row["upload_bytes_per_parameter"], row["sum_bytes_per_parameter"]]
        shown = "".join(f"{figure:11.1f}" for figure in figures)
        lines.append(f"{name:26}{shown}{row['max_error_of_mean']:11.1e}")
    lines.append("")
    lines += [f"{'met   ' if one['met'] else 'MISSED'} {one['target']}: {one['found']}" for one in targets]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    lattice = [name for name in PRESETS if load_preset(name).family in ("bfv", "ckks") and "INSECURE" not in name]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=lattice)
    parser.add_argument("--length", type=int, default=100_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--tag", action="store_true", help="let tagged presets carry a tag, as the protocol has it")
    parser.add_argument("--json", metavar="FILE", help='where to write the numbers, "-" for standard output')
    chosen = parser.parse_args()
    rows = measure(chosen.presets, chosen.length, chosen.repetitions, tagged=chosen.tag)
    targets = check_targets(rows)
    print(table(rows, targets), file=sys.stderr if chosen.json == "-" else sys.stdout)
    if chosen.json:
        machine = {"python": platform.python_version(), "numpy": np.__version__, "cores": os.cpu_count()}
        settings = {"length": chosen.length, "repetitions": chosen.repetitions, "terms": TERMS, "tag": chosen.tag}
        result = {"machine": machine, "settings": settings, "rows": rows, "targets": targets}
        text = json.dumps(result, indent=1)
        if chosen.json == "-":
            print(text)
        else:
            Path(chosen.json).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What it costs to hold the key together: CPU and bytes per preset, beside individual custody in the same run.

    python benchmarks/custody.py                       a table
    python benchmarks/custody.py --json custody.json   the numbers as well, "-" for standard output
    python benchmarks/custody.py --presets bfv-threshold ckks-threshold --quorums 1-of-5 3-of-5 dealer-free:3-of-5

CPU is this process's, the median of the repetitions; presets and quorums take turns within each repetition, so that what
else the machine does falls on all of them alike. Only ratios within one run mean something.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hefl_core.keys.custody import Custody
from hefl_core.schemes.base import CiphertextVector, PublicKey, SecretShare
from hefl_core.schemes.presets import RingPreset
from hefl_core.schemes.registry import open_scheme

PRESETS = (
    "bfv-lean",
    "bfv-threshold-classroom",
    "bfv-threshold",
    "bfv-threshold-small",
    "bfv-threshold-strict",
    "ckks-lean",
    "ckks-threshold",
)
QUORUMS = ("1-of-5", "3-of-5", "6-of-10", "dealer-free:3-of-5")
TERMS = 10


@dataclass
class CustodyRow:
    """One preset under one quorum, everything for ``length`` parameters and a sum of ten."""

    preset: str
    custody: str
    length: int
    keygen_ms: float = 0.0
    encrypt_ms: float = 0.0
    partial_ms: float = 0.0
    open_ms: float = 0.0
    ciphertext_bytes_per_parameter: float = 0.0
    partial_bytes_per_parameter: float | None = None
    received_bytes_per_parameter: float | None = None
    gap_bits: float | None = None
    distance_bits_after_100_rounds: float | None = None
    max_error: float = 0.0
    samples: dict[str, list[float]] = field(default_factory=dict, repr=False)


class Case:
    """A preset under a quorum: keys, a sum, and what is timed."""

    def __init__(self, preset: str, custody: Custody, length: int, rng: np.random.Generator) -> None:
        self.row = CustodyRow(preset, str(custody), length)
        self.scheme: Any = open_scheme(preset)
        self.custody, self.quorum = custody, custody.quorum
        self.active = tuple(range(1, self.quorum.threshold + 1))
        self.key, self.shares = self.timed("keygen", self.make_key)
        self.vectors = [rng.uniform(-1, 1, length) for _ in range(TERMS)]
        key: PublicKey | SecretShare = self.shares[0] if self.scheme.preset.symmetric else self.key
        running = self.scheme.accumulator(self.key)
        for x in self.vectors:
            running.add(self.timed("encrypt", self.scheme.encrypt, key, x, bound=1.0, integers=(1,)))
        self.total: CiphertextVector = running.total()

    def make_key(self) -> tuple[PublicKey, tuple[SecretShare, ...]]:
        """Dealt, or in the ceremony's algebra: the work of all n parties together."""
        if not self.custody.dealer_free:
            return self.scheme.keygen(self.quorum)  # type: ignore[no-any-return]
        n, seed = self.quorum.holders, os.urandom(32)
        made = [self.scheme.joint_contribution(seed) for _ in range(n)]
        key = self.scheme.joint_public_key(seed, [part for _, part in made], self.quorum)
        dealt = [self.scheme.joint_deal(secret, self.quorum, i) for i, (secret, _) in enumerate(made, 1)]
        return key, tuple(self.scheme.joint_share(key, j, [row[j - 1] for row in dealt]) for j in range(1, n + 1))

    def timed(self, what: str, work: Callable[..., Any], *operands: Any, **options: Any) -> Any:
        """The result of ``work``; its CPU goes to the samples."""
        began = time.process_time()
        result = work(*operands, **options)
        self.row.samples.setdefault(what, []).append((time.process_time() - began) * 1000)
        return result

    def repeat(self) -> None:
        """One decryption. Collective: each holder's part and the combination. Individual: the whole of it."""
        partials = [
            self.timed("partial", self.scheme.partial_decrypt, self.shares[i - 1], self.total, self.active)
            for i in self.active
        ]
        opened = self.timed("open", self.scheme.open, self.key, self.total, partials)
        self.row.max_error = max(self.row.max_error, float(np.max(np.abs(opened.values - sum(self.vectors)))))
        self.row.ciphertext_bytes_per_parameter = self.total.nbytes / self.row.length
        if self.quorum.collective:
            each = sum(len(block) for block in partials[0].blocks) / self.row.length
            self.row.partial_bytes_per_parameter = each
            self.row.received_bytes_per_parameter = each * self.quorum.threshold

    def finish(self) -> CustodyRow:
        """Medians, and the flooding's figures."""
        for what, samples in self.row.samples.items():
            setattr(self.row, f"{what}_ms", statistics.median(samples))
        preset = self.scheme.preset
        if self.quorum.collective and isinstance(preset, RingPreset):
            free, opened = self.custody.dealer_free, 100 * len(self.total.blocks)
            self.row.gap_bits = preset.gap_bits(self.quorum, TERMS, dealer_free=free)
            self.row.distance_bits_after_100_rounds = preset.distance_bits(self.quorum, TERMS, opened, dealer_free=free)
        return self.row


def measure(presets: list[str], quorums: list[str], length: int, repetitions: int) -> list[CustodyRow]:
    """Every preset under every quorum that it carries."""
    rng = np.random.default_rng(1)
    cases = []
    for preset in presets:
        for text in quorums:
            custody = Custody.parse(text, int(text.rpartition("-")[2]))
            if custody.quorum.collective and not open_scheme(preset).preset.collective:
                continue
            cases.append(Case(preset, custody, length, rng))
    for case in cases:
        case.repeat()
        case.row.samples["partial"].clear()
        case.row.samples["open"].clear()
    for _ in range(repetitions):
        for case in cases:
            case.repeat()
    return [case.finish() for case in cases]


def table(rows: list[CustodyRow]) -> str:
    """For people."""
    lines = [
        f"d = {rows[0].length}, sums of {TERMS}; CPU in ms. Individual custody: 'partial' is the whole decryption, done once",
        "by each client. Collective: 'partial' by each of t holders, 'open' by each client.",
        "",
        f"{'preset':26}{'custody':22}{'keygen':>8}{'encrypt':>9}{'partial':>9}{'open':>7}"
        f"{'ct B/p':>8}{'part B/p':>9}{'gap':>6}{'dist.':>7}{'max error':>11}",
    ]
    for row in rows:
        flood = f"{row.gap_bits:6.0f}{row.distance_bits_after_100_rounds:7.0f}" if row.gap_bits else f"{'-':>6}{'-':>7}"
        part = f"{row.partial_bytes_per_parameter:9.1f}" if row.partial_bytes_per_parameter else f"{'-':>9}"
        lines.append(
            f"{row.preset:26}{row.custody:22}{row.keygen_ms:8.1f}{row.encrypt_ms:9.1f}{row.partial_ms:9.1f}"
            f"{row.open_ms:7.1f}{row.ciphertext_bytes_per_parameter:8.1f}{part}{flood}{row.max_error:11.1e}"
        )
    lines += ["", "gap: log2(flooding / largest noise). dist.: log2 of the statistical distance after 100 such rounds."]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    parser.add_argument("--quorums", nargs="+", default=list(QUORUMS))
    parser.add_argument("--length", type=int, default=100_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help='where to write the numbers, "-" for standard output')
    chosen = parser.parse_args()
    rows = measure(chosen.presets, chosen.quorums, chosen.length, chosen.repetitions)
    print(table(rows), file=sys.stderr if chosen.json == "-" else sys.stdout)
    if chosen.json:
        machine = {"python": platform.python_version(), "numpy": np.__version__, "cores": os.cpu_count()}
        text = json.dumps({"machine": machine, "terms": TERMS, "rows": [asdict(row) for row in rows]}, indent=1)
        if chosen.json == "-":
            print(text)
        else:
            Path(chosen.json).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

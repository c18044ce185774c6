"""One aggregator against a tree of them on Ray: from how many clients on does the tree pay?

    python benchmarks/tree.py
    python benchmarks/tree.py --quick

K uploads of d parameters lie in the object store, as clients' would; measured is the wall time from there to the sum. The tree
spreads over this machine's cores only: the crossover with machines is further down (docs/scale.md says by how much).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from aggregator_tree import tree_sum
from common import TargetVerdict, median, parser, repetitions, report, table

from hefl_core.runtime.ray.cluster import CLUSTER, ray
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme

PRESET = "bfv-lean"
CLIENTS, QUICK_CLIENTS = (8, 16, 32, 64, 128), (8, 32)
LENGTHS, QUICK_LENGTHS = (10_000, 100_000), (10_000,)
FAN_INS = (4, 8, 16)


def measure(length: int, clients: int, turns: int) -> dict[str, Any]:
    """Median seconds of one aggregator and of each tree, in turns."""
    scheme = open_scheme(PRESET)
    key, _ = scheme.keygen(Quorum(1, clients))
    upload = scheme.encrypt(key, np.zeros(length), max_terms=128, integers=(1, 1), tag=lambda words, modulus: 0)
    references = [ray.put(upload.to_bytes()) for _ in range(clients)]
    shapes = {"one": clients} | {f"tree of {fan_in}": fan_in for fan_in in FAN_INS if fan_in < clients}
    taken: dict[str, list[float]] = {name: [] for name in shapes}
    for _ in range(turns + 1):
        for name, fan_in in shapes.items():
            began = time.perf_counter()
            tree_sum(key, references, max(2, fan_in))
            taken[name].append(time.perf_counter() - began)
    return {"d": length, "K": clients} | {name: median(values[1:]) for name, values in taken.items()}


def main() -> None:
    """Measure and report."""
    chosen = parser(__doc__).parse_args()
    CLUSTER.warm_up()
    CLUSTER.wait()
    turns = repetitions(chosen)
    rows = [
        measure(length, clients, turns)
        for length in (QUICK_LENGTHS if chosen.quick else LENGTHS)
        for clients in (QUICK_CLIENTS if chosen.quick else CLIENTS)
    ]
    names = ("one", *(f"tree of {fan_in}" for fan_in in FAN_INS))
    cells = [
        (
            row["d"],
            row["K"],
            *(f"{1e3 * row[name]:.0f} ms" if name in row else "" for name in names),
            f"{row['one'] / min(value for name, value in row.items() if name.startswith('tree')):.2f}",
        )
        for row in rows
    ]
    heads = ("d", "K", "one aggregator", *names[1:], "one / best tree")
    report(chosen, f"A tree of aggregators, {PRESET}", rows, list[TargetVerdict](), [table(heads, cells)])


if __name__ == "__main__":
    main()

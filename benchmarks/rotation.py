"""What a new key costs beside a round, and what the spares of collective custody cost beside one encryption.

    python benchmarks/rotation.py                         a table
    python benchmarks/rotation.py --json rotation.json    the numbers as well, "-" for standard output
    python benchmarks/rotation.py --cases bfv-threshold:3-of-5 --rounds 5

All parties are objects of this process: CPU is this process's, of everybody together. A rotation is everything from the KMS's
roster to the last sealed share, a ceremony included; a round everything from its plan to the last receipt. Medians; the
first of each warms up and is left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from hefl_core.federation.record.transcript import Sent
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment
from hefl_core.terms.messages import MAX_ATTEMPTS, RECEIPT

CASES = (
    "bfv-threshold:3-of-5",
    "bfv-threshold-classroom:3-of-5",
    "ckks-threshold:3-of-5",
    "paillier-packed:3-of-5",
    "bfv-threshold:dealer-free:3-of-5",
    "ckks-threshold:dealer-free:3-of-5",
)
CLIENTS = 5


@dataclass(frozen=True)
class RotationRow:
    """Seconds and bytes of one rotation and one round, and CPU seconds per client for all attempts' ciphertexts and for one."""

    case: str
    rounds: int
    rotation_wall: float
    rotation_cpu: float
    rotation_bytes: int
    round_wall: float
    round_cpu: float
    encrypt_cpu: float
    encrypt_one_cpu: float

    @property
    def ratio(self) -> float:
        """A rotation's CPU over a round's."""
        return self.rotation_cpu / self.round_cpu


@dataclass
class Span:
    """Clocks between two moments, and bytes of what was sent."""

    wall: float = 0.0
    cpu: float = 0.0
    nbytes: int = 0


def measure(case: str, rounds: int) -> RotationRow:
    """Run it with a new key for every round."""
    scheme, _, custody = case.partition(":")
    experiment = Experiment(
        dataset="digits",
        model="mlp",
        scheme=scheme,
        custody=custody,
        clients=CLIENTS,
        rounds=rounds,
        epoch_rounds=1,
        observed=False,
    )
    spans: dict[tuple[str, int], Span] = {}
    encrypting: list[float] = []
    run = Run(experiment)
    wall, cpu = time.perf_counter(), time.process_time()
    for one in run.steps():
        key = ("rotation", one.position.epoch) if not one.position.round else ("round", one.position.round)
        span = spans.setdefault(key, Span())
        now = time.perf_counter(), time.process_time()
        span.wall, span.cpu, span.nbytes = span.wall + now[0] - wall, span.cpu + now[1] - cpu, span.nbytes + one.nbytes
        if one.step == RECEIPT:
            encrypting += _encrypting(run, one)
        wall, cpu = time.perf_counter(), time.process_time()
    encrypt = statistics.median(encrypting)
    later = {kind: [span for (what, at), span in spans.items() if what == kind and at > 1] for kind, _ in spans}
    return RotationRow(
        case=case,
        rounds=rounds,
        rotation_wall=statistics.median(span.wall for span in later["rotation"]),
        rotation_cpu=statistics.median(span.cpu for span in later["rotation"]),
        rotation_bytes=round(statistics.median(span.nbytes for span in later["rotation"])),
        round_wall=statistics.median(span.wall for span in later["round"]),
        round_cpu=statistics.median(span.cpu for span in later["round"]),
        encrypt_cpu=encrypt,
        encrypt_one_cpu=encrypt / MAX_ATTEMPTS,
    )


def _encrypting(run: Run, receipt: Sent) -> list[float]:
    """CPU seconds of this client's encryptions in the round: its costs stay with it, and here it is an object at hand."""
    client = next(client for client in run.parties.clients if client.name == receipt.sender)
    works = (work for spent in client.spent(receipt.position.round) for work in spent.work)
    return [work.cpu_seconds for work in works if work.step == "encrypt"]


def table(rows: list[RotationRow]) -> str:
    """Milliseconds and KiB."""
    lines = [
        "| case | rotation wall ms | rotation CPU ms | rotation KiB | round CPU ms | rotation / round | "
        "encrypt CPU ms per client | of that one attempt |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.case} | {1e3 * row.rotation_wall:.0f} | {1e3 * row.rotation_cpu:.0f} | {row.rotation_bytes / 1024:.0f} "
            f"| {1e3 * row.round_cpu:.0f} | {row.ratio:.2f} | {1e3 * row.encrypt_cpu:.1f} | {1e3 * row.encrypt_one_cpu:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--json")
    options = parser.parse_args()
    rows = []
    for case in options.cases:
        rows.append(measure(case, options.rounds))
        print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(rows))
    if options.json:
        text = json.dumps([asdict(row) | {"ratio": row.ratio} for row in rows], indent=1)
        print(text) if options.json == "-" else Path(options.json).write_text(text + "\n")


if __name__ == "__main__":
    main()

"""How far off the forecast is: ten configurations that were not used to calibrate, run for real, forecast beside measured.

Target: the median error at most 20 % (bytes are forecast to the byte; the error is that of the CPU).
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import hefl_core  # noqa: F401
from benchmarks.common import TargetVerdict, median, parser, repetitions, report, table
from hefl_core.measure.forecast import Outlook
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.result import outlook_of
from hefl_core.terms.experiment import Experiment

_DIGITS, _CANCER = Experiment(rounds=4), Experiment(dataset="breast_cancer", batch=16, rounds=4)
CONFIGURATIONS = (
    _DIGITS.but(scheme="bfv-lean", clients=5, model="mlp-large"),
    _DIGITS.but(scheme="bfv-lean", clients=12, model="mlp"),
    _DIGITS.but(scheme="bfv-compact", clients=8, model="mlp-large"),
    _DIGITS.but(scheme="bfv-compact-seeded", clients=10, model="mlp-large"),
    _DIGITS.but(scheme="ckks-lean", clients=4, model="mlp-large"),
    _DIGITS.but(scheme="ckks-tutorial", clients=5, model="mlp"),
    _DIGITS.but(scheme="plaintext", clients=7, model="mlp-large"),
    _DIGITS.but(scheme="bfv-threshold", custody="3-of-5", clients=5, model="mlp-large"),
    _CANCER.but(scheme="bfv-threshold-classroom", custody="4-of-6", clients=6, model="mlp"),
    _CANCER.but(scheme="paillier-packed", clients=4, model="mlp"),
)
COLUMNS = ("scheme", "custody", "clients", "d", "bytes up", "bytes down", "CPU", "encrypt", "aggregate", "decrypt")


def main() -> None:
    """Run every configuration and report the median of the errors."""
    chosen = parser(__doc__).parse_args()
    rows = []
    for experiment in CONFIGURATIONS:
        found = [outlook_of(run_experiment(experiment)) for _ in range(repetitions(chosen))]
        rows.append(_row(experiment, found))
        print("*", *rows[-1], file=sys.stderr)
    verdicts = [
        TargetVerdict(
            0, "forecast error of CPU, median over configurations", "≤", 0.20, median(row[6] for row in rows), ""
        ),
        TargetVerdict(0, "forecast error of bytes sent, largest", "≤", 0.01, max(row[4] for row in rows), ""),
    ]
    report(chosen, "Forecast", [dict(zip(COLUMNS, row, strict=True)) for row in rows], verdicts, [table(COLUMNS, rows)])


def _row(experiment: Experiment, found: list[Outlook]) -> tuple[object, ...]:
    names = ("bytes_up", "bytes_down", "cpu", "encrypt", "aggregate", "decrypt")
    errors = (median(getattr(one.error, name) for one in found) for name in names)
    return (
        experiment.scheme, experiment.custody, experiment.clients, found[0].forecast.parameters, *errors
    )  # fmt: skip


if __name__ == "__main__":
    main()

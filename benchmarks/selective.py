"""Selective encryption beside whole encryption: what part of the update encrypted costs, and what the rest gives away.

    python benchmarks/selective.py            tables for digits and breast_cancer
    python benchmarks/selective.py --quick

One record per update, one step; the attacker knows the model and which entries are open (hefl_core/attacks/selective.py).
FedML-HE reports that a tenth of the most sensitive entries stops gradient inversion of LeNet on pictures; here the model has a
dense first layer, whose gradient is a product of two vectors, and the attack uses that.
"""

from __future__ import annotations

from dataclasses import asdict

from common import TargetVerdict, parser, report, table

from hefl_core.attacks.selective import Leak, compare

PRESETS = ("bfv-lean", "bfv-compact-2048")


def rows(leaks: tuple[Leak, ...], full: int) -> list[tuple[object, ...]]:
    """One per selection. ``full``: bytes of the wholly encrypted update."""
    return [
        (
            leak.what,
            f"{leak.encrypted:.0%}",
            f"{leak.nbytes:,}",
            f"{leak.nbytes / full:.2f}",
            f"{1e3 * leak.cpu_seconds:.1f}",
            f"{leak.psnr:.0f} ({leak.low:.0f} to {leak.high:.0f})",
            f"{leak.named:.0%}",
        )
        for leak in leaks
    ]


def main() -> None:
    """Measure and report."""
    chosen = parser(__doc__).parse_args()
    trials = 10 if chosen.quick else 100
    tables, taken, verdicts = [], [], list[TargetVerdict]()
    heads = ("encrypted", "share", "bytes", "of all encrypted", "CPU ms", "record, PSNR in dB", "named among 100")
    for dataset in ("digits", "breast_cancer"):
        for preset in PRESETS:
            leaks = compare(dataset, preset, trials=trials)
            tables += [f"## {dataset}, {preset}, {trials} records", table(heads, rows(leaks, leaks[-1].nbytes))]
            taken += [{"dataset": dataset, "preset": preset} | asdict(leak) for leak in leaks]
    report(chosen, "Selective encryption", taken, verdicts, tables)


if __name__ == "__main__":
    main()

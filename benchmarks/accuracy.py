"""What each saved byte costs in accuracy: bits × scheme × bytes × accuracy, beside plain federated averaging.

    python benchmarks/accuracy.py              digits and breast_cancer, IID and Dirichlet 0.5, three seeds
    python benchmarks/accuracy.py --quick      one seed, digits

The learning is seeded and the same under every scheme; only the encoding differs. Target 6: mean final accuracy within
0.005 of plain federated averaging over three seeds; every round's aggregate within the preset's bound.
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

from common import TargetVerdict, parser, report, table

from hefl_core.runtime.client_home import dealt_data
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.result import RunResult
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.schemes.presets import BFVPreset, CKKSPreset, PaillierPreset, load_preset
from hefl_core.terms.experiment import Experiment

SCHEMES = (
    ("ckks-tutorial", "individual"),
    ("ckks-nvflare", "individual"),
    ("ckks-lean", "individual"),
    ("ckks-threshold", "3-of-5"),
    ("bfv-lean", "individual"),
    ("bfv-lean-seeded", "individual"),
    ("bfv-compact", "individual"),
    ("bfv-compact-seeded", "individual"),
    ("bfv-compact-2048", "individual"),
    ("bfv-compact-2048-seeded", "individual"),
    ("bfv-threshold", "3-of-5"),
    ("bfv-threshold-classroom", "3-of-5"),
    ("bfv-threshold-small", "3-of-5"),
    ("bfv-threshold-strict", "3-of-5"),
    ("paillier-packed", "individual"),
)
SETTINGS = tuple((data, alpha) for data in ("digits", "breast_cancer") for alpha in (None, 0.5))
SEEDS = (7, 8, 9)
BASE = Experiment(model="mlp", clients=5, rounds=10)


def bits(scheme: str, clients: int) -> str:
    """Precision of one value."""
    preset = load_preset(scheme)
    if isinstance(preset, BFVPreset | PaillierPreset):
        return f"{FixedPoint(preset.field_bits, clients).value_bits} of {preset.field_bits}"
    return f"scale 2^{preset.scale_bits}" if isinstance(preset, CKKSPreset) else "float32"


def run(model: str, scheme: str, custody: str, setting: tuple[str, float | None], seed: int) -> RunResult:
    """Ten rounds; Paillier three, exact as it is."""
    data, alpha = setting
    rounds = 3 if scheme.startswith("paillier") else BASE.rounds
    change = {
        "model": model,
        "dataset": data,
        "alpha": alpha,
        "scheme": scheme,
        "custody": custody,
        "rounds": rounds,
        "seed": seed,
    }
    print(f"{data} {alpha} seed {seed} {scheme}", file=sys.stderr)
    return run_experiment(BASE.but(**change))


def measure(
    model: str, schemes: list[str], settings: tuple[tuple[str, float | None], ...], seeds: tuple[int, ...]
) -> list[dict[str, Any]]:
    """One row per scheme and setting: the mean over the seeds, and the worst of any round."""
    rows = []
    for setting in settings:
        plain = {seed: run(model, "plaintext", "individual", setting, seed) for seed in seeds}
        for scheme, custody in (pair for pair in SCHEMES if pair[0] in schemes):
            found = {seed: run(model, scheme, custody, setting, seed) for seed in seeds}
            pairs = [(found[seed].rounds, plain[seed].rounds) for seed in seeds]
            rows.append(
                {
                    "data": setting[0],
                    "partition": "IID" if setting[1] is None else f"Dirichlet {setting[1]}",
                    "scheme": scheme,
                    "bits": bits(scheme, BASE.clients),
                    "float32": found[seeds[0]].rounds[-1].bytes.upload_per_client
                    / found[seeds[0]].rounds[-1].bytes.plaintext_update,
                    "rounds": len(found[seeds[0]].rounds),
                    "accuracy": statistics.mean(ours[-1].accuracy or 0 for ours, _ in pairs),
                    "difference": statistics.mean(
                        (ours[-1].accuracy or 0) - (theirs[len(ours) - 1].accuracy or 0) for ours, theirs in pairs
                    ),
                    "worst_round_difference": max(
                        abs((a.accuracy or 0) - (b.accuracy or 0))
                        for ours, theirs in pairs
                        for a, b in zip(ours, theirs, strict=False)
                    ),
                    "error_of_bound": max(
                        (item.max_abs_error or 0) / (item.error_bound or 1) for ours, _ in pairs for item in ours
                    ),
                    "max_error": max(item.max_abs_error or 0 for ours, _ in pairs for item in ours),
                }
            )
    return rows


def verdicts(rows: list[dict[str, Any]]) -> list[TargetVerdict]:
    """Per scheme, the worst of the settings."""
    found = []
    for scheme in dict.fromkeys(row["scheme"] for row in rows):
        here = [row for row in rows if row["scheme"] == scheme]
        worst = max(abs(row["difference"]) for row in here)
        found.append(TargetVerdict(6, f"{scheme}: |mean final accuracy - plain|, worst setting", "≤", 0.005, worst, ""))
        error = max(row["error_of_bound"] for row in here)
        found.append(TargetVerdict(6, f"{scheme}: largest error / its bound", "≤", 1.0, error))
        if (isinstance(load_preset(scheme), CKKSPreset)) and load_preset(scheme).scale_bits == 40:  # type: ignore[attr-defined]
            same = max(row["worst_round_difference"] for row in here if row["partition"] == "IID")
            found.append(TargetVerdict(6, f"{scheme}: accuracy in every IID round - plain", "≤", 0.00005, same, ""))
    return found


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--model", default=BASE.model)
    made.add_argument("--data", nargs="+", default=["digits", "breast_cancer"])
    made.add_argument("--schemes", nargs="+", default=[scheme for scheme, _ in SCHEMES])
    chosen = made.parse_args()
    settings, seeds = (SETTINGS[:2], SEEDS[:1]) if chosen.quick else (SETTINGS, SEEDS)
    settings = tuple(setting for setting in settings if setting[0] in chosen.data)
    rows = measure(chosen.model, chosen.schemes, settings, seeds)
    tested = {data: len(dealt_data(BASE.but(dataset=data)).dataset.test) for data in {data for data, _ in settings}}
    sizes = "Test examples: " + ", ".join(f"{data} {count}" for data, count in sorted(tested.items()))
    tables = [sizes]
    for setting in dict.fromkeys((row["data"], row["partition"]) for row in rows):
        here = [row for row in rows if (row["data"], row["partition"]) == setting]
        heads = tuple(here[0])[2:]
        tables.append(f"## {', '.join(setting)}\n\n" + table(heads, ([row[head] for head in heads] for row in here)))
    report(chosen, "Accuracy", {"rows": rows, "test_examples": tested}, verdicts(rows), tables)


if __name__ == "__main__":
    main()

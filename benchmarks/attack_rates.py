"""How often each attack that the pages, the lessons and docs/ speak of succeeds: over at least 100 records, beside guessing.

`python benchmarks/attack_rates.py` measures every case, minutes on two cores, and writes hefl_core/attacks/rates.json, to which
tests/attacks/test_stated_rates.py binds every number of a sentence. `--only PART` measures the cases whose name holds PART
and keeps the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, parser
from scipy.stats import binomtest

from hefl_core.app.captured_run import of_result
from hefl_core.attacks.catalogue import run
from hefl_core.attacks.five_seats import naming_rate
from hefl_core.attacks.lab import CLIENT, COORDINATOR, PLAIN, Setting
from hefl_core.attacks.on_run import attack_run
from hefl_core.attacks.rates import FILE, MeasuredRate, measured
from hefl_core.attacks.result import AttackResult
from hefl_core.attacks.scoring import bootstrap, wilson
from hefl_core.attacks.trials import CROWD
from hefl_core.runtime.launch import run_experiment
from hefl_core.terms.experiment import Experiment

DIGITS = 4
"""Significant digits that are kept of each trial's value."""


Measure = Callable[[int | None], MeasuredRate]
"""Of so many trials; None: as many as the file has."""


def attacked(name: str, seat: str, trials: int, **fields: Any) -> Measure:
    """An attack of the catalogue."""

    def measure(few: int | None = None) -> MeasuredRate:
        return _of(run(name, seat, trials=few or trials or None, **fields))

    return measure


def _of(found: AttackResult) -> MeasuredRate:
    names = [item.name for item in found.evidence]
    values = found.array("values") if "values" in names else np.zeros(0)
    return MeasuredRate(
        found.value,
        found.low,
        found.high,
        found.prior,
        found.trials,
        found.p_value,
        tuple(float(f"{value:.{DIGITS}g}") for value in values),
    )


@lru_cache(maxsize=64)
def _pictures(seat: str, trials: int, fields: tuple[tuple[str, Any], ...]) -> AttackResult:
    return run("inverting-gradients", seat, trials=trials, **dict(fields))


def pictures(seat: str = PLAIN, trials: int = 100, **fields: Any) -> Measure:
    """Pictures 28 x 28 from a convolutional network, in dB."""

    def measure(few: int | None = None) -> MeasuredRate:
        found = _pictures(seat, few or trials, tuple(fields.items()))
        each = found.array("psnrs")
        values = tuple(float(f"{value:.{DIGITS}g}") for value in each)
        return MeasuredRate(float(each.mean()), *bootstrap(each), found.prior, len(each), found.p_value, values)

    return measure


def pictures_named(seat: str = PLAIN, trials: int = 100, **fields: Any) -> Measure:
    """How often the pictures of the same updates are named among 100."""

    def measure(few: int | None = None) -> MeasuredRate:
        found = _pictures(seat, few or trials, tuple(fields.items()))
        hits = tuple(float(rank == 1) for rank in found.array("ranks"))
        low, high = wilson(sum(hits), len(hits))
        luck = float(binomtest(int(sum(hits)), len(hits), 1 / CROWD, alternative="greater").pvalue)
        return MeasuredRate(sum(hits) / len(hits), low, high, 1 / CROWD, len(hits), luck, hits)

    return measure


@lru_cache(maxsize=64)
def _letters(seat: str, trials: int, fields: tuple[tuple[str, Any], ...]) -> AttackResult:
    return run("dager", seat, trials=trials, **dict(fields))


def letters(seat: str = PLAIN, trials: int = 100, **fields: Any) -> Measure:
    """Words of letters that are named, of each update."""

    def measure(few: int | None = None) -> MeasuredRate:
        return _of(_letters(seat, few or trials, tuple(fields.items())))

    return measure


def letters_read(what: str, seat: str = PLAIN, trials: int = 100, **fields: Any) -> Measure:
    """Of the same updates: those read in full (``whole``), or the share of the named words that is the victim's (``right``)."""

    def measure(few: int | None = None) -> MeasuredRate:
        each = _letters(seat, few or trials, tuple(fields.items())).array(what)
        ends = wilson(float(each.sum()), len(each)) if what == "whole" else bootstrap(each)
        values = tuple(float(f"{value:.{DIGITS}g}") for value in each)
        return MeasuredRate(float(each.mean()), *ends, 0.0, len(each), None, values)

    return measure


def named(**fields: Any) -> Measure:
    """How often a seat's guess at a single record names it among 100."""

    def measure(few: int | None = None) -> MeasuredRate:
        rate = naming_rate(Setting(**fields), few or CROWD)
        hits = tuple(float(rank == 1) for rank in rate.ranks)
        return MeasuredRate(rate.named, *rate.interval, rate.chance, rate.records, rate.p_value, hits)

    return measure


def near(**fields: Any) -> Measure:
    """Median PSNR in dB of the same guesses, with the quartiles as its ends."""

    def measure(few: int | None = None) -> MeasuredRate:
        psnrs = naming_rate(Setting(**fields), few or CROWD).psnrs
        low, middle, high = np.quantile(psnrs, [0.25, 0.5, 0.75])
        values = tuple(float(f"{value:.{DIGITS}g}") for value in psnrs)
        return MeasuredRate(float(middle), float(low), float(high), 0.0, len(psnrs), None, values)

    return measure


def on_a_run(name: str, **fields: Any) -> Measure:
    """An attack on round 1 of a run's own messages, from the coordinator's seat; ``trials``: records of its clients."""

    def measure(few: int | None = None) -> MeasuredRate:
        captured = of_result(run_experiment(Experiment(dataset="breast_cancer", batch=16, rounds=2, **fields)))
        found = attack_run(captured, name, "coordinator", 1)
        records = sum(victim.examples for victim in captured.victims("coordinator", 1))
        whole = found.array("recovered")[:, 1].sum() if name == "records" else found.value
        return MeasuredRate(float(whole), found.low, found.high, found.prior, records, found.p_value, ())

    return measure


PICTURED: dict[str, dict[str, Any]] = {
    "plain": {},
    "coordinator": {"seat": COORDINATOR, "trials": 400},
    "mean of 5": {"seat": CLIENT},
    "trained 5": {"trained": 5},
    "E=5": {"local_epochs": 5},
    **{f"B={size}": {"batch": size, "trials": -(-100 // size)} for size in (2, 4, 8)},
}
"""Updates from which pictures are searched: seats, passes of earlier training, local steps E, batches B: 100 records each."""
LETTERED: dict[str, dict[str, Any]] = {
    "plain": {},
    "coordinator": {"seat": COORDINATOR, "trials": 400},
    **{f"B={size}": {"batch": size} for size in (2, 4, 8, 16, 32, 64)},
    **{f"E={steps}": {"local_epochs": steps} for steps in (2, 4, 8)},
    "trained 5": {"trained": 5},
    "mean of 5": {"seat": CLIENT},
    **{f"noise {noise}": {"clip": 1.0, "noise": noise} for noise in (0.001, 0.003, 0.01)},
}
"""Updates from which words are read: seats, letters B of an update, local steps E, passes of earlier training, noise; 100 each."""
CASES: dict[str, Measure] = {
    "label digits": attacked("label", PLAIN, 200),
    "label breast_cancer": attacked("label", PLAIN, 200, dataset="breast_cancer"),
    "label coordinator": attacked("label", COORDINATOR, 400),
    "label-counts": attacked("label-counts", PLAIN, 100),
    "record": attacked("record", PLAIN, 100),
    "patient": attacked("patient", PLAIN, 100),
    **{f"records B={size}": attacked("records", PLAIN, 100, batch=size) for size in (1, 2, 4, 8)},
    **{f"imprint B={size}": attacked("imprint", PLAIN, 100, batch=size) for size in (1, 4, 16, 64)},
    "inversion": attacked("inversion", PLAIN, 100),
    "property": attacked("property", PLAIN, 100),
    "membership": attacked("membership", PLAIN, 8),
    "membership coordinator": attacked("membership", COORDINATOR, 25),
    **{f"records K={count}": attacked("records", CLIENT, 100, batch=1, clients=count) for count in (2, 4, 8, 16, 32)},
    **{f"membership K={count}": attacked("membership", CLIENT, 8, clients=count) for count in (2, 4, 8, 16, 32)},
    "differencing": attacked("differencing", CLIENT, 100),
    "loss": attacked("loss", "model user", 0),
    "lira": attacked("lira", "model user", 16),
    "exponents": attacked("exponents", PLAIN, 100),
    "exponents ours": attacked("exponents", COORDINATOR, 100),
    "named plain": named(),
    "named coordinator": named(seat=COORDINATOR, scheme="bfv-lean"),
    "named mean of 5": named(seat=CLIENT, clients=5),
    **{
        f"named noise {noise}": named(clip=1.0, noise=noise) for noise in (0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 1.0)
    },
    **{f"dB noise {noise}": near(clip=1.0, noise=noise) for noise in (0.01, 0.03, 0.1)},
    **{
        f"{what} {case}": how(**fields)
        for case, fields in PICTURED.items()
        for what, how in (("pictures:", pictures), ("pictures named:", pictures_named))
    },
    **{
        f"{what}: {case}": measure
        for case, fields in LETTERED.items()
        for what, measure in (
            ("letters", letters(**fields)),
            ("letters right", letters_read("right", **fields)),
        )
    },
    "letters whole: plain": letters_read("whole"),
    **{
        f"run {what}: {name}": on_a_run(name, **fields)
        for what, fields in {
            "uneven": {"clients": 12, "alpha": 0.05, "scheme": "plaintext"},
            "equal": {"clients": 5, "scheme": "plaintext"},
        }.items()
        for name in ("property", "membership", "records")
    },
}
"""Each with at least 100 records; the laboratory's seed is 7."""


def main() -> None:
    """Measure and write."""
    options = parser(__doc__)
    options.add_argument("--only", default="", help="the cases whose name holds this")
    chosen = options.parse_args()
    where = Path(chosen.json) if chosen.json else FILE
    kept = {name: asdict(one) for name, one in measured().rates.items()} if chosen.only else {}
    for name, measure in CASES.items():
        if chosen.only in name:
            found = measure(10 if chosen.quick else None)
            kept[name] = asdict(found)
            print(
                f"{name}: {found.value:.4g} ({found.low:.4g} to {found.high:.4g}), guessing {found.prior:.4g}, "
                f"{found.trials} trials",
                flush=True,
            )
            _write(where, kept)


def _write(where: Path, rates: dict[str, Any]) -> None:
    """After each case: a run that is stopped has kept what it measured. One case a line."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in rates.items())
    head = f'"command": "python benchmarks/attack_rates.py",\n"machine": {json.dumps(machine())}'
    where.write_text(f'{{{head},\n"rates": {{\n{lines}\n}}}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()

"""Few bits under a rotation: accuracy beside plain federated averaging, bytes per parameter, and what the codec costs.

    python benchmarks/few_bits.py            digits small and large, breast_cancer, IID and Dirichlet 0.5, five seeds
    python benchmarks/few_bits.py --quick    two seeds, digits small

Accuracy is the mean of rounds 8 to 10. Training and codec run as in a run of the protocol, by the same code (the client's
Precision, the manifest's rotation, the preset's mixed radix); what is left out is the encryption, which adds exact integers.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from common import TargetVerdict, median, parser, repetitions, report, table

from hefl_core.federation.client import Home
from hefl_core.measure.sizes import round_bytes
from hefl_core.runtime.client_home import dealt_data, home_of, initial_parameters
from hefl_core.schemes.base import Vector
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.schemes.presets import FewBitsBFV, few_bits, load_preset
from hefl_core.schemes.rotated import Rotation
from hefl_core.terms.adaptive_bound import Precision
from hefl_core.terms.experiment import Experiment, Manifest

BASE: Final = Experiment(scheme="bfv-compact", clients=5, rounds=10)
SETTINGS: Final = tuple(
    (data, model, alpha)
    for data, model in (("digits", "mlp"), ("digits", "mlp-large"), ("breast_cancer", "mlp"))
    for alpha in (None, 0.5)
)
CODECS: Final = ((3, True), (4, True), (4, False), (2, True))
"""Bits, and whether rotated: what is asked for, the control without a rotation, and the least that there is."""
SEEDS: Final = (7, 8, 9, 10, 11)
STUDENT: Final = {2: 12.706, 5: 2.776}
"""97.5 % quantiles of Student's t for so many seeds."""
ASKED: Final = 0.003


@dataclass
class Federation:
    """One experiment's clients and codec, without messages and without encryption."""

    experiment: Experiment
    manifest: Manifest
    homes: list[Home]

    @classmethod
    def of(cls, experiment: Experiment) -> Federation:
        """Deal the data."""
        homes = [home_of(experiment, number) for number in range(1, experiment.clients + 1)]
        return cls(experiment, dealt_data(experiment).manifest(experiment), homes)

    def accuracy(self, mean: Callable[[int, list[Vector]], Vector]) -> float:
        """Mean accuracy of the last three rounds. ``mean`` turns a round's weighted updates into the applied mean."""
        theta, found = initial_parameters(self.manifest), []
        for number in range(1, self.experiment.rounds + 1):
            weighted = [
                (home.train(theta, number).astype(np.float64) - theta) * (home.examples / self.manifest.examples_max)
                for home in self.homes
            ]
            theta = (theta.astype(np.float64) + mean(number, weighted)).astype(np.float32)
            found.append(self.homes[0].evaluate(theta).accuracy)
        return statistics.mean(found[-3:])

    @property
    def scale(self) -> float:
        """From a sum of weighted updates to the mean."""
        return self.manifest.examples_max / sum(home.examples for home in self.homes)

    def plain(self) -> float:
        """Plain federated averaging."""
        return self.accuracy(lambda _, weighted: np.sum(weighted, axis=0) * self.scale)

    def coded(self) -> float:
        """The same through the codec."""
        preset, terms = cast(FewBitsBFV, self.experiment.preset), self.experiment.clients
        fields, rng = FixedPoint.of(preset.value_bits, terms), np.random.default_rng(0)
        memories = [Precision(self.manifest.bounds, feedback=True) for _ in self.homes]

        def mean(number: int, weighted: list[Vector]) -> Vector:
            rotation, bound = self.manifest.rotation(number), memories[0].bound
            fitted = [own.fit(x, fields, rng, rotation) for own, x in zip(memories, weighted, strict=True)]
            words = sum(preset.radix.pack(fields.quantise(one.rounded, bound)) for one in fitted)
            total = fields.restore(preset.radix.unpack(np.asarray(words), len(weighted[0]), terms), bound, terms)
            for own, one in zip(memories, fitted, strict=True):
                own.follow(total, terms, fields, one, rotated=rotation is not None)
            whole = fields.whole(total, bound)
            return (total if rotation is None else rotation.undo_whole(whole) * fields.step(bound)) * self.scale

        return self.accuracy(mean)


def name_of(bits: int, rotated: bool) -> str:
    """How a codec is called in the tables."""
    return f"{bits} bits{', rotated' if rotated else ', not rotated'}"


def accuracies(settings: tuple[tuple[str, str, float | None], ...], seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    """One row per setting and codec: accuracy, difference to plain over the seeds, its 95 % interval."""
    rows = []
    for data, model, alpha in settings:
        chosen = BASE.but(dataset=data, model=model, alpha=alpha)
        plain = [Federation.of(chosen.but(seed=seed)).plain() for seed in seeds]
        for bits, rotated in CODECS:
            experiment = chosen.but(bits=bits, rotate=rotated)
            coded = [Federation.of(experiment.but(seed=seed)).coded() for seed in seeds]
            apart = [a - b for a, b in zip(coded, plain, strict=True)]
            rows.append(
                {
                    "data": f"{data} {model}",
                    "partition": "IID" if alpha is None else f"Dirichlet {alpha}",
                    "codec": name_of(bits, rotated),
                    "plain": statistics.mean(plain),
                    "plain seed to seed": statistics.stdev(plain),
                    "coded": statistics.mean(coded),
                    "difference": statistics.mean(apart),
                    "± 95 %": STUDENT[len(seeds)] * statistics.stdev(apart) / math.sqrt(len(seeds)),
                }
            )
    return rows


def sizes() -> list[dict[str, Any]]:
    """Bytes per parameter of one upload, transport included, beside float32, int8 and plaintext at equal bits."""
    rows = []
    for parameters in (2_410, 99_530, 1_000_000):
        for scheme in ("bfv-lean", "bfv-compact", "bfv-lean-seeded", "bfv-compact-seeded"):
            for bits in (None, 4, 3):
                experiment = BASE.but(scheme=scheme, bits=bits)
                rows.append(
                    {
                        "d": parameters,
                        "scheme": scheme,
                        "bits": bits or "own",
                        "fields per word": cast(FewBitsBFV, experiment.preset).fields,
                        "bytes/parameter": round_bytes(experiment, parameters).up / parameters,
                        "float32": 4,
                        "int8": 1,
                        "plaintext, equal bits": "" if bits is None else bits / 8,
                    }
                )
    return rows


def costs(parameters: int, repeat: int, bits: int = 3) -> list[dict[str, Any]]:
    """CPU nanoseconds per parameter of each step of the codec, medians. Units: ns."""
    preset = cast(FewBitsBFV, load_preset(few_bits("bfv-compact", bits, 5)))
    fields, x = FixedPoint.of(bits, 5), np.random.default_rng(1).normal(0, 0.3, parameters)
    single, rotation = x.astype(np.float32), Rotation(parameters, b"round")
    sent = np.clip(rotation.apply(single).astype(np.float64), -1, 1)
    quantised = fields.quantise(sent, 1.0)
    words, total = preset.radix.pack(quantised), fields.restore(quantised, 1.0, 1)
    whole, left = fields.whole(total, 1.0), (sent - total).astype(np.float32)
    steps: dict[str, tuple[str, Callable[[], object]]] = {
        "order and signs": ("once per round, public", lambda: Rotation(parameters, b"round")),
        "rotate": ("client", lambda: rotation.apply(single)),
        "clip and quantise": ("client", lambda: fields.quantise(np.clip(sent, -1, 1), 1.0)),
        "pack in mixed radix": ("client", lambda: preset.radix.pack(quantised)),
        "what is left out, rotated back": ("client, error feedback", lambda: rotation.undo(left.copy())),
        "unpack and restore": (
            "decode, once per round",
            lambda: fields.restore(preset.radix.unpack(words, parameters, 1), 1.0, 1),
        ),
        "un-rotate whole numbers": (
            "decode, once per round",
            lambda: rotation.undo_whole(fields.whole(total, 1.0)) * fields.step(1.0),
        ),
    }
    assert np.array_equal(whole, np.rint(whole))
    return [
        {"d": parameters, "step": name, "who": who, "ns/parameter": median(_cpu(do, parameters) for _ in range(repeat))}
        for name, (who, do) in steps.items()
    ]


def _cpu(do: Callable[[], object], parameters: int) -> float:
    before = time.process_time()
    do()
    return 1e9 * (time.process_time() - before) / parameters


def verdicts(accuracy: list[dict[str, Any]], cost: list[dict[str, Any]]) -> list[TargetVerdict]:
    """3 bits within .003 of plain in every setting; rotation and quantiser within 25 ns."""
    found = [
        TargetVerdict(
            20, f"{row['data']}, {row['partition']}: |{row['codec']} - plain|", "≤", ASKED, abs(row["difference"]), ""
        )
        for row in accuracy
        if row["codec"] == name_of(3, True)
    ]
    for parameters in dict.fromkeys(row["d"] for row in cost):
        spent = sum(
            row["ns/parameter"]
            for row in cost
            if row["d"] == parameters and row["step"] in ("rotate", "clip and quantise")
        )
        found.append(TargetVerdict(20, f"rotation and quantiser, d = {parameters:,}", "≤", 25.0, spent, "ns/parameter"))
    return found


def main() -> None:
    """Measure and report."""
    chosen = parser(__doc__).parse_args()
    accuracy = accuracies(SETTINGS[:2], SEEDS[:2]) if chosen.quick else accuracies(SETTINGS, SEEDS)
    cost = [row for d in (99_530, 1_000_000) for row in costs(d, 2 * repetitions(chosen) + 1)]
    weights = sizes()
    tables = [
        "Difference: mean over the seeds of (rounds 8 to 10 through the codec - the same of plain federated averaging).",
        *(table(tuple(rows[0]), (tuple(row.values()) for row in rows)) for rows in (accuracy, weights, cost)),
    ]
    report(chosen, "Few bits", {"accuracy": accuracy, "sizes": weights, "cpu": cost}, verdicts(accuracy, cost), tables)


if __name__ == "__main__":
    main()

"""One record seen from five seats, and how the leak falls with clients and batch: data for the pages.

Like catalogue.py, but one chosen record to look at. What a seat can do in general is a rate over many records (:class:`SeatRate`):
one record is an anecdote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hefl_core.attacks import scoring
from hefl_core.attacks.catalogue import run
from hefl_core.attacks.lab import CLIENT, COORDINATOR, PLAIN, Lab, Setting
from hefl_core.attacks.methods import gradient_inversion, inverting_gradients, record_leak
from hefl_core.attacks.result import AttackResult
from hefl_core.attacks.scoring import Truth
from hefl_core.attacks.trials import CROWD
from hefl_core.attacks.view import Doubles, View
from hefl_core.errors import DataError
from hefl_core.learning.base import Examples
from hefl_core.learning.inversion_job import SearchProcess
from hefl_core.terms.dp import Mechanism
from hefl_core.terms.experiment import SMALLEST_COHORT

NOTHING = 0.02
"""A share of records below this counts as none: two in a hundred."""
NOISED = "with noise"
PICTURES = "inverting-gradients"
"""The search on pictures of a convolutional network."""
READS = {
    PLAIN: "reads the update",
    COORDINATOR: "reads {of} bytes",
    CLIENT: "reads the mean of {of}",
    NOISED: "reads the update + noise {of}",
}
SEATS_SHOWN = ("private", PLAIN, COORDINATOR, CLIENT, NOISED)


@dataclass(frozen=True)
class Portrait:
    """A record as one seat reconstructs it. ``rank``: place of the true record among ``CROWD`` candidates (1: named).

    ``reads``: what the seat reads, a template for translators, and ``of`` what goes into it.
    """

    seat: str
    values: Doubles
    psnr: float
    rank: int
    reads: str = ""
    of: str | float = ""


@dataclass(frozen=True)
class SeatRate:
    """How often a seat's guess names its own record among ``CROWD``, and how near it comes, over many records.

    Shapes: psnrs and ranks (records,). ``low`` and ``high``: 95 % interval of ``named``. A blind guess reaches ``chance``.
    """

    seat: str
    psnrs: Doubles
    ranks: Doubles

    @property
    def records(self) -> int:
        """Records that were attacked."""
        return len(self.ranks)

    @property
    def hits(self) -> int:
        """Records that were named."""
        return int(np.sum(self.ranks == 1))

    @property
    def named(self) -> float:
        """Share of the records that were named."""
        return self.hits / self.records

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share. Source: Wilson 1927."""
        return scoring.wilson(self.hits, self.records)

    @property
    def psnr(self) -> float:
        """Median PSNR in dB."""
        return float(np.median(self.psnrs))

    @property
    def chance(self) -> float:
        """What a blind guess reaches."""
        return 1 / CROWD

    @property
    def p_value(self) -> float:
        """Of as many hits by blind guessing: small where the seat does better. Exact binomial tail."""
        from scipy.stats import binomtest  # a second to import, which no other command should wait for

        return float(binomtest(self.hits, self.records, self.chance, alternative="greater").pvalue)


@dataclass(frozen=True)
class SeatRow:
    """The five portraits of one record, and what the screen says about it. ``side`` None: a table's row."""

    portraits: tuple[Portrait, ...]
    label: str
    side: int | None
    names: tuple[str, ...]
    raw: tuple[Doubles, ...]


def five_seats(
    dataset: str = "digits",
    record: int = 0,
    *,
    scheme: str = "bfv-lean",
    clients: int = 5,
    batch: int = 1,
    noise: float = 0.1,
    seed: int = 7,
) -> SeatRow:
    """The record itself, and each seat's best guess at it.

    ``raw`` has the portraits in the table's own units. ``noise`` is the deviation per entry, times the clipping norm 1, on the
    update of the last portrait. Raises: DataError for a record that is not there.
    """
    settings = _settings(dataset, scheme, clients, batch, noise, seed)
    lab = Lab(settings[PLAIN])
    if not 0 <= record < len(lab.data.train):
        raise DataError(f"record: expected 0..{len(lab.data.train) - 1}, found {record}; choose another")
    victim, crowd = _dealt(lab, record)
    first = victim.features[0].astype(np.float64)
    portraits = [Portrait("private", first, scoring.BEST_DB, 1)]
    of: dict[str, str | float] = {PLAIN: "", COORDINATOR: scheme, CLIENT: clients, NOISED: noise}
    for name, setting in settings.items():
        view, truth = Lab(setting).trial(record, examples=victim)
        portraits.append(replace(_portrait(name, view, truth, crowd), reads=READS[name], of=of[name]))
    restore = lab.data.scaling.restore if lab.data.scaling else lambda values: np.asarray(values, np.float64)
    raw = tuple(restore(portrait.values.astype(np.float32)) for portrait in portraits)
    label = lab.data.classes[int(victim.labels[0])]
    return SeatRow(tuple(portraits), label, lab.data.image_side, lab.data.feature_names, raw)


def _settings(dataset: str, scheme: str, clients: int, batch: int, noise: float, seed: int) -> dict[str, Setting]:
    """The laboratory of each seat that is shown."""
    plain = Setting(dataset=dataset, batch=batch, seed=seed)
    return {
        PLAIN: plain,
        COORDINATOR: plain.but(seat=COORDINATOR, scheme=scheme) if scheme != "plaintext" else plain,
        CLIENT: plain.but(seat=CLIENT, clients=clients),
        NOISED: plain.but(clip=1.0, noise=noise),
    }


def _dealt(lab: Lab, record: int) -> tuple[Examples, Examples]:
    """The victim's batch, and the candidates; the record is the first of both."""
    rng = np.random.default_rng([lab.setting.seed, record])
    others = np.delete(np.arange(len(lab.data.train)), record)
    batch = np.concatenate([[record], rng.choice(others, lab.setting.batch - 1, replace=False)]).astype(np.int64)
    crowd = np.concatenate([[record], rng.choice(others, CROWD - 1, replace=False)])
    return lab.data.train.take(batch), lab.data.train.take(crowd)


def naming_rate(setting: Setting, records: int = CROWD, name: str = "") -> SeatRate:
    """The seat's guess at each of the first ``records`` records: how near it comes, and at which place the true one is.

    The table's order says nothing about its records, so the first hundred are as good as any.
    """
    lab = Lab(setting)
    found = []
    for record in range(records):
        victim, crowd = _dealt(lab, record)
        view, truth = lab.trial(record, examples=victim)
        found.append(_portrait(name, view, truth, crowd))
    return SeatRate(
        name or setting.seat, np.array([one.psnr for one in found]), np.array([float(one.rank) for one in found])
    )


def naming_rates(
    dataset: str = "digits",
    *,
    scheme: str = "bfv-lean",
    clients: int = 5,
    batch: int = 1,
    noise: float = 0.1,
    records: int = CROWD,
    seed: int = 7,
) -> tuple[SeatRate, ...]:
    """Like :func:`five_seats`, but over many records: what each seat that is shown reaches in general."""
    settings = _settings(dataset, scheme, clients, batch, noise, seed)
    return tuple(naming_rate(setting, records, name) for name, setting in settings.items())


def _portrait(name: str, view: View, truth: Truth, crowd: Examples) -> Portrait:
    """The seat's guess nearest to the first record (batches give several guesses)."""
    agreed = record_leak.records(view)
    guesses = agreed if len(agreed) else record_leak.best_record(view)
    target = truth.examples.features[0].astype(np.float64)
    best = max(guesses, key=lambda guess: scoring.psnr(guess, target))
    return Portrait(name, best, scoring.psnr(best, target), scoring.rank(best, crowd.features))


@dataclass(frozen=True)
class Film:
    """A gradient inversion as it runs. Shapes: frames (f, features) of the first record, psnr (f,)."""

    frames: Doubles
    psnr: Doubles
    target: Doubles
    side: int


def film(
    record: int = 0,
    *,
    seat: str = PLAIN,
    scheme: str = "bfv-lean",
    batch: int = 1,
    search: str = "dlg",
    seed: int = 7,
) -> Film:
    """Invert the gradient of one picture of the digits, from the plain update or from ciphertext bytes.

    ``search`` inverting-gradients takes pictures of mnist-5000 and a convolutional network, in a process of its own.
    Raises: RuntimeUnavailable when that process fails.
    Source: Zhu 2019 (DLG), algorithm 1; ``search`` cosine-tv and inverting-gradients: Geiping 2020, equation 4.
    """
    setting = Setting(
        batch=batch, activation="sigmoid", seat=seat, scheme=scheme if seat != PLAIN else "plaintext", seed=seed
    )
    if search == PICTURES:
        setting = setting.but(dataset="mnist-5000", network="cnn", activation="relu")
    lab = Lab(setting)
    rng = np.random.default_rng([seed, record])
    others = np.delete(np.arange(len(lab.data.train)), record)
    chosen = np.concatenate([[record], rng.choice(others, batch - 1, replace=False)]).astype(np.int64)
    view, truth = lab.trial(record, examples=lab.data.train.take(chosen))
    found = _searched(view, search, batch, seed)
    target = truth.examples.features[0].astype(np.float64)
    best = int(np.argmax([scoring.psnr(guess, target) for guess in found.records]))
    frames = found.frames[:, best]
    quality = np.array([scoring.psnr(frame, target) for frame in frames])
    return Film(frames, quality, target, lab.data.image_side or 1)


def _searched(view: View, search: str, batch: int, seed: int) -> gradient_inversion.Inversion:
    if search == PICTURES:
        with SearchProcess() as process:
            return inverting_gradients.invert(view, process, seed=seed)
    metric, tv = gradient_inversion.SEARCHES[search]
    steps = 250 if batch > 1 else 120
    return gradient_inversion.invert(view, metric=metric, tv=tv, side=8, steps=steps, restarts=1, seed=seed)


@dataclass(frozen=True)
class Curve:
    """An attack against one quantity. ``results`` carry the intervals."""

    name: str
    at: tuple[int, ...]
    results: tuple[AttackResult, ...]

    @property
    def chance(self) -> tuple[float, ...]:
        """What guessing reaches at each place."""
        return tuple(result.prior for result in self.results)

    @property
    def nothing_from(self) -> int | None:
        """The smallest quantity from which on the interval of every measured value reaches down to guessing; None: nowhere."""
        above = [place for place, result in enumerate(self.results) if result.low > max(result.prior, NOTHING)]
        first = above[-1] + 1 if above else 0
        return self.at[first] if first < len(self.at) else None


def over_clients(
    dataset: str, counts: Sequence[int] = (1, 2, 4, 8, 16, 32), trials: int = 30, seed: int = 7
) -> tuple[Curve, ...]:
    """What one curious client learns from the decrypted mean as K grows: membership, and a single record."""
    curves = []
    for name, few in (("records", trials), ("membership", 8)):
        found = []
        for count in counts:
            seat = PLAIN if count == 1 else CLIENT
            batch = 1 if name == "records" else 16
            found.append(run(name, seat, dataset=dataset, clients=max(2, count), batch=batch, trials=few, seed=seed))
        curves.append(Curve(name, tuple(counts), tuple(found)))
    return tuple(curves)


def over_batches(
    dataset: str, sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64), trials: int = 30, seed: int = 7
) -> tuple[Curve, ...]:
    """What a plain update leaks as the batch grows: under the honest model, and under an imprint model."""
    curves = []
    for name in ("records", "imprint"):
        found = tuple(run(name, PLAIN, dataset=dataset, batch=size, trials=trials, seed=seed) for size in sizes)
        curves.append(Curve(name, tuple(sizes), found))
    return tuple(curves)


def after_steps(dataset: str, steps: Sequence[int] = (1, 2, 5, 10, 30), trials: int = 30, seed: int = 7) -> Curve:
    """The same as local steps grow: records that were trained on several times before the upload."""
    found = tuple(
        run("records", PLAIN, dataset=dataset, batch=4, local_epochs=count, trials=trials, seed=seed) for count in steps
    )
    return Curve("records", tuple(steps), found)


@dataclass(frozen=True)
class Noised:
    """One level of noise: the attack's result, how often it names its record, and the ε that it proves for one round."""

    level: float
    result: AttackResult
    rate: SeatRate
    epsilon: float


def over_noise(
    dataset: str, levels: Sequence[float] = (0.01, 0.05, 0.3, 1.0, 3.0), trials: int = CROWD, seed: int = 7
) -> tuple[Noised, ...]:
    """One record's PSNR, and how often it is named, as noise on the clipped update grows, and (ε, δ) of one round.

    The attacked update carries Gaussian noise of the mechanism's size in the sum; a run adds discrete Gaussian shares.
    """
    return tuple(
        Noised(
            one,
            run("record", PLAIN, dataset=dataset, clip=1.0, noise=one, trials=trials, seed=seed),
            naming_rate(Setting(dataset=dataset, clip=1.0, noise=one, seed=seed), trials, NOISED),
            Mechanism(1.0, one, SMALLEST_COHORT).guarantee(1).epsilon,
        )
        for one in levels
    )

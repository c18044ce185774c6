"""Run each attack from a seat: deal trials, pass views to the attack, score the guesses.

This file connects laboratories, attacks and scoring; an attack itself sees only a view.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hefl_core.attacks import ckks_key_lab, scoring
from hefl_core.attacks.lab import (
    CLIENT,
    COALITION,
    COORDINATOR,
    PLAIN,
    THREATS,
    Lab,
    Setting,
    finished_model,
)
from hefl_core.attacks.methods import (
    ckks_key_recovery,
    collusion,
    dager,
    deviating_client,
    differencing,
    distinguishing,
    gradient_inversion,
    inverting_gradients,
    key_reuse,
    label_leak,
    membership,
    naive_schemes,
    poisoning,
    record_leak,
    related_ciphertexts,
    tampering,
)
from hefl_core.attacks.result import AttackResult, Evidence
from hefl_core.attacks.scoring import Score, Truth
from hefl_core.attacks.view import View
from hefl_core.errors import ParameterError
from hefl_core.learning.base import Dataset, pooled
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.inversion_job import SearchProcess
from hefl_core.schemes.registry import open_scheme

SOURCES = {
    "label": "Zhao 2020 (iDLG), section 3",
    "label-counts": "Wainakh 2022 (LLG), section 3",
    "record": "Phong 2018, section 3",
    "records": "Phong 2018, section 3; Boenisch 2023, section 4",
    "imprint": "Fowl 2022 (Robbing the Fed), section 4",
    "patient": "Phong 2018, section 3",
    "inversion": "Zhu 2019 (DLG), algorithm 1; Geiping 2020, equation 4",
    "dager": "Petrov 2024 (DAGER, arXiv 2405.15586), section 4",
    "inverting-gradients": "Geiping 2020 (Inverting Gradients), equation 4",
    "property": "Ganju 2018, section 2; Wainakh 2022",
    "membership": "Melis 2019, section 4; Ngo 2024 (2403.17775)",
    "differencing": "Pasquini 2022, section 2; Dwork 2006",
    "loss": "Yeom 2018, section 3",
    "lira": "Carlini 2022 (LiRA), algorithm 1",
    "distinguish": "Goldwasser and Micali 1984 (IND-CPA)",
    "key-heist": "Li and Micciancio 2021, section 4",
    "exponents": "phe 1.5.0, EncodedNumber.encode",
    "multi-key": "Asharov 2012, section 3, read against the grain",
    "key-reuse": "a one-time pad used twice; Bell 2025 (Willow, eprint 2024/936), section 3",
    "collusion": "Shamir 1979; docs/threat_model.md",
    "related": "Cortier and Smyth 2011; docs/threat_model.md, related ciphertexts",
    "delta": "Chenal and Tang 2014 (key recovery by chosen ciphertexts); docs/threat_model.md, a client that deviates",
    "tampering": "Paillier 1999, section 8; docs/protocol.md, steps 6 to 8",
    "poisoning": "Bagdasaryan 2020, section 4",
}
"""Paper and section of each attack, by name."""

SEEN = ("ranks", "psnrs", "ssim")
MOST_WORDS = 24
"""Of the first update, words that a note quotes: more than a letter has."""
CROWD = 100
"""Candidates among which a guess should identify the victim."""
CHANCE_TRIALS = 400
"""Trials where an attack is expected at chance."""
SEARCH_STEPS, SEARCH_STARTS = 120, 2
"""Of a gradient inversion: enough to find single pictures beyond 100 dB, and affordable 400 times."""


@dataclass(frozen=True)
class Order:
    """What to run. None: the attack's own choice. ``threshold``: holders needed to decrypt (1: individual custody).

    ``hidden``: units of the victim's model; ``trained``: passes that the model of ``inverting-gradients`` and
    ``dager`` was trained before.
    ``search``: how an inversion matches (``inversion.SEARCHES``).
    ``epoch_rounds``: rounds under one key, of ``related`` and ``delta`` (1: every round has its own).
    ``deviation``: what the client of ``delta`` does (``deviating_client.DEVIATIONS``; ``none`` is its control).

    Raises: ParameterError naming the invalid field.
    """

    seat: str
    dataset: str | None = None
    scheme: str = "bfv-lean"
    batch: int | None = None
    clients: int = 5
    threshold: int = 1
    epoch_rounds: int = 2
    local_epochs: int = 1
    clip: float | None = None
    noise: float = 0.0
    trials: int | None = None
    hidden: int | None = None
    trained: int = 0
    search: str = "dlg"
    deviation: str = deviating_client.LOUD
    seed: int = 7

    def __post_init__(self) -> None:
        if self.search not in gradient_inversion.SEARCHES:
            raise ParameterError(f"search: expected {' or '.join(gradient_inversion.SEARCHES)}, found {self.search!r}")
        if self.deviation not in deviating_client.DEVIATIONS:
            raise ParameterError(
                f"deviation: expected {' or '.join(deviating_client.DEVIATIONS)}, found {self.deviation!r}"
            )
        for name, low, high in (
            ("batch", 1, 10_000),
            ("clients", 2, 1000),
            ("threshold", 1, self.clients),
            ("epoch_rounds", 1, 10_000),
            ("local_epochs", 1, 1000),
            ("trials", 1, 1_000_000),
            ("hidden", 1, 10_000),
            ("trained", 0, 1000),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ParameterError(f"{name}: expected {low}..{high}, found {value}")

    def setting(self, **fixed: Any) -> Setting:
        """The laboratory's setting; ``fixed``: the attack's own choices where the order has none."""
        chosen: dict[str, Any] = {"dataset": self.dataset or fixed.pop("dataset", "digits")}
        chosen["batch"] = fixed.pop("batch", 1) if self.batch is None else self.batch
        if self.hidden is not None:
            chosen["hidden"] = self.hidden
        return Setting(
            seat=self.seat,
            scheme="plaintext" if self.seat == PLAIN else self.scheme,
            clients=self.clients,
            threshold=self.threshold,
            local_epochs=self.local_epochs,
            clip=self.clip,
            noise=self.noise,
            seed=self.seed,
            **{"dataset": "digits", "batch": 1, **fixed, **chosen},
        )


# -- on updates ------------------------------------------------------------------------------------------------------

UPDATE_SEATS = (PLAIN, COORDINATOR, CLIENT, COALITION)


@dataclass(frozen=True)
class OnUpdate:
    """How an attack on updates guesses and is scored. ``fit`` decides whether the guesses fit their own victims."""

    guess: Callable[[View], Any]
    value: Callable[[Any, Truth], float]
    fit: Callable[[Sequence[Any], Sequence[Truth]], Any] | None
    metric: str
    prior_is: str = "another victim's guess"
    rate: bool = False
    setting: dict[str, Any] = field(default_factory=dict)
    trials: int = 100
    note: Callable[[Setting, Sequence[Any], Sequence[Truth]], str] = lambda setting, guesses, truths: ""
    more: Callable[[Setting, Sequence[Any], Sequence[Truth]], Sequence[Evidence]] = lambda setting, guesses, truths: ()


def on_update(name: str, how: OnUpdate, order: Order) -> AttackResult:
    """Deal the trials, guess, score; the first trial is the evidence."""
    lab = Lab(order.setting(**how.setting))
    trials = order.trials or (CHANCE_TRIALS if order.seat == COORDINATOR else how.trials)
    started = time.process_time()
    views, truths = zip(*(lab.trial(number) for number in range(trials)), strict=True)
    guesses = [how.guess(view) for view in views]
    seconds = time.process_time() - started
    score = scoring.over_trials(guesses, truths, how.value, how.fit, rate=how.rate)
    evidence = [Evidence("record", truths[0].examples.features.astype(np.float64)), _as_evidence(guesses[0])]
    if isinstance(guesses[0], gradient_inversion.Inversion):
        evidence += [Evidence("frames", guesses[0].frames), Evidence("losses", guesses[0].losses)]
    evidence += how.more(lab.setting, guesses, truths)
    note = how.note(lab.setting, guesses, truths)
    return _result(
        name, order, lab.scheme.preset.name, how.metric, score, how.prior_is, trials, seconds, evidence, note
    )


def _as_evidence(guess: Any) -> Evidence:
    rows = guess.records if isinstance(guess, gradient_inversion.Inversion) else guess
    return Evidence("guess", np.atleast_1d(np.asarray(rows, np.float64)))


def _result(
    name: str,
    order: Order,
    scheme: str,
    metric: str,
    score: Score,
    prior_is: str,
    trials: int,
    seconds: float,
    evidence: Sequence[Evidence] = (),
    note: str = "",
) -> AttackResult:
    each = () if score.values is None else (Evidence("values", score.values),)
    return AttackResult(
        attack=name,
        seat=order.seat,
        scheme=scheme,
        threat=THREATS[order.seat],
        metric=metric,
        value=score.value,
        low=score.low,
        high=score.high,
        prior=score.prior,
        prior_is=prior_is,
        trials=trials,
        cpu_seconds=seconds,
        p_value=score.p_value,
        seed=order.seed,
        source=SOURCES[name],
        note=note,
        evidence=(*evidence, *each),
    )


def precision_note(setting: Setting, guesses: Sequence[Any], truths: Sequence[Truth]) -> str:
    """Share of the attacker's claims that are right, in words."""
    claims = [scoring.precision(g, t) for g, t in zip(guesses, truths, strict=True) if len(g)]
    if not claims:
        return "the attacker's own rule claims no record"
    return f"of the attacker's claims {np.mean(claims):.0%} are a record of the victim"


COUNTS = OnUpdate(label_leak.label_counts, scoring.labels_right, None, "labels of a batch named right")
RECORDS = OnUpdate(
    record_leak.records,
    scoring.recovered,
    scoring.likeness,
    "records recovered (> 30 dB)",
    setting={"batch": 4},
    note=precision_note,
)


def _likeness_of(found: Sequence[gradient_inversion.Inversion], truths: Sequence[Truth]) -> Any:
    return scoring.likeness([one.records for one in found], truths)


def _psnr_of(found: gradient_inversion.Inversion, truth: Truth) -> float:
    return scoring.best_psnr(found.records, truth)


def play_inversion(order: Order) -> AttackResult:
    """The same search with the same number of steps in every seat."""
    side = load_dataset(order.dataset or "digits").image_side
    metric, tv = gradient_inversion.SEARCHES[order.search]
    guess = partial(
        gradient_inversion.invert, metric=metric, tv=tv, side=side, steps=SEARCH_STEPS, restarts=SEARCH_STARTS
    )
    trials = CHANCE_TRIALS if order.seat == COORDINATOR else 8
    how = OnUpdate(
        guess, _psnr_of, _likeness_of, "PSNR in dB", setting={"activation": "sigmoid", "hidden": 32}, trials=trials
    )
    return on_update("inversion", how, order)


def play_pictures(order: Order) -> AttackResult:
    """Pictures from a convolutional network's gradient: the same search, process and number of steps in every seat."""
    setting = {"dataset": "mnist-5000", "network": "cnn", "trained": order.trained}
    with SearchProcess() as process:
        how = OnUpdate(
            partial(inverting_gradients.invert, process=process),
            _psnr_of,
            _likeness_of,
            "PSNR in dB",
            setting=setting,
            trials=10,
            note=_named_note,
            more=_seen,
        )
        found = on_update("inverting-gradients", how, order)
        return replace(found, cpu_seconds=found.cpu_seconds + process.cpu_seconds)


def _seen(setting: Setting, guesses: Sequence[Any], truths: Sequence[Truth]) -> list[Evidence]:
    """Of every record: place among 100 candidates, PSNR and structural similarity of the guess nearest to it."""
    data = load_dataset(setting.dataset)
    found = []
    for number, (guess, truth) in enumerate(zip(guesses, truths, strict=True)):
        rng = np.random.default_rng([setting.seed, number, 3])
        for record in truth.examples.features.astype(np.float64):
            best = guess.records[int(np.argmax([scoring.psnr(one, record) for one in guess.records]))]
            drawn = data.train.features[rng.choice(len(data.train), 2 * CROWD, replace=False)]
            # The record itself is among those that are drawn from, and would tie with itself.
            others = drawn[np.any(drawn != record.astype(drawn.dtype), axis=1)][: CROWD - 1]
            place = scoring.rank(best, np.vstack([record, others]))
            found.append((place, scoring.psnr(best, record), scoring.ssim(best, record, data.image_side or 1)))
    return [Evidence(name, np.array(one, np.float64)) for name, one in zip(SEEN, zip(*found, strict=True), strict=True)]


def _named_note(setting: Setting, guesses: Sequence[Any], truths: Sequence[Truth]) -> str:
    ranks, _, likenesses = (one.values for one in _seen(setting, guesses, truths))
    hits = int(np.sum(ranks == 1))
    low, high = scoring.wilson(hits, len(ranks))
    return (
        f"records named among {CROWD}: {hits} of {len(ranks)} ({low:.0%} to {high:.0%}; blindly 1 in {CROWD}); "
        f"median structural similarity {np.median(likenesses):.2f}"
    )


def play_words(order: Order) -> AttackResult:
    """Words of letters, from the gradient of an attention layer: the same test of the same vectors in every seat."""
    how = OnUpdate(
        dager.words,
        scoring.words_named,
        scoring.words_alike,
        "words of the letters named",
        setting={"dataset": "letters", "network": "attention", "trained": order.trained},
        note=_words_note,
        more=_words_read,
    )
    return on_update("dager", how, order)


def _words_read(setting: Setting, guesses: Sequence[Any], truths: Sequence[Truth]) -> list[Evidence]:
    """Of each trial: is the guess exactly the letters' words, each at its place; and which share of its words is theirs."""
    pairs = [*zip(guesses, truths, strict=True)]
    return [
        Evidence("whole", np.array([scoring.exactly(guess, truth) for guess, truth in pairs])),
        Evidence("right", np.array([scoring.words_right(guess, truth) for guess, truth in pairs])),
    ]


def _words_note(setting: Setting, guesses: Sequence[Any], truths: Sequence[Truth]) -> str:
    exact, right = (one.values for one in _words_read(setting, guesses, truths))
    words = read_words(load_dataset(setting.dataset), guesses[0])
    read = " ".join(words[:MOST_WORDS]) + " …" * (len(words) > MOST_WORDS)
    return (
        f"of the words named {np.mean(right):.0%} are the letters'; {int(exact.sum())} of {len(exact)} updates read in full, with "
        f"every word's place; the first: {read}"
    )


def read_words(data: Dataset, guess: npt.NDArray[np.int64]) -> tuple[str, ...]:
    """A guess of ``dager`` as words by place: a letter where each place has one word, else each word once.

    A number without a word is a question mark.
    """
    known = data.vocabulary or ()
    ordered = sorted((int(place), int(number)) for number, place in guess)
    numbers = [number for _, number in ordered]
    one_letter = len({place for place, _ in ordered}) == len(ordered)
    return tuple(known[at] if at < len(known) else "?" for at in (numbers if one_letter else dict.fromkeys(numbers)))


def play_property(order: Order) -> AttackResult:
    """Share of the first class among 50 patients, which varies from client to client."""
    setting = order.setting(dataset="breast_cancer", batch=50)
    lab, trials = Lab(setting), order.trials or (CHANCE_TRIALS if order.seat == COORDINATOR else 100)
    own = lab.data.train.labels
    rng = np.random.default_rng(order.seed)
    started = time.process_time()
    guesses, truths = [], []
    for number in range(trials):
        count = int(rng.binomial(setting.batch, rng.uniform(0.05, 0.95)))
        chosen = [
            rng.choice(np.flatnonzero(own == 0), count, replace=True),
            rng.choice(np.flatnonzero(own != 0), setting.batch - count, replace=True),
        ]
        view, truth = lab.trial(number, examples=lab.data.train.take(np.concatenate(chosen)))
        guesses.append(float(np.clip(label_leak.label_shares(view)[0], 0, 1)))
        truths.append(truth)
    seconds = time.process_time() - started
    score = scoring.over_trials(guesses, truths, scoring.share_error, _nearness, rate=False)
    guessing = float(np.mean([scoring.share_error(0.5, truth) for truth in truths]))
    pairs = Evidence(
        "shares", np.array([[g, np.mean(t.examples.labels == 0)] for g, t in zip(guesses, truths, strict=True)])
    )
    name, metric = lab.scheme.preset.name, f"mean error of the share of {lab.data.classes[0]}"
    return _result(
        "property", order, name, metric, replace(score, prior=guessing), "saying one half", trials, seconds, [pairs]
    )


def _nearness(shares: Sequence[float], truths: Sequence[Truth]) -> Any:
    return -np.array([[scoring.share_error(share, truth) for truth in truths] for share in shares])


def play_membership(order: Order) -> AttackResult:
    """Members against as many others, pooled over trials."""
    lab = Lab(order.setting(batch=16))
    trials = order.trials or (-(-CHANCE_TRIALS // 16) if order.seat == COORDINATOR else 8)
    started = time.process_time()
    inside, outside = [], []
    for number in range(trials):
        view, truth = lab.trial(number)
        rng = np.random.default_rng([order.seed, number, 1])
        others = lab.data.test.take(rng.choice(len(lab.data.test), lab.setting.batch, replace=False))
        found = membership.by_gradients(view, pooled([truth.examples, others]))
        found = found / (np.std(found) or 1.0)
        inside.append(found[: len(truth.examples)])
        outside.append(found[len(truth.examples) :])
    seconds = time.process_time() - started
    scores = np.concatenate(inside), np.concatenate(outside)
    curve = Evidence("roc", scoring.roc(*scores))
    count = len(scores[0])
    name = lab.scheme.preset.name
    return _result(
        "membership", order, name, "AUC", scoring.auc(*scores), "a coin", count, seconds, [curve], f"{trials} updates"
    )


# -- on the mean and on the model ------------------------------------------------------------------------------------


def play_differencing(order: Order) -> AttackResult:
    """Trials of ``differencing``."""
    lab = Lab(replace(order.setting(batch=4), seat=CLIENT))
    trials, crowd = order.trials or 40, 20
    started = time.process_time()
    right, errors = [], []
    for number in range(trials):
        view, truth = lab.two_rounds(number)
        rng = np.random.default_rng([order.seed, number, 2])
        others = [
            lab.data.train.take(rng.choice(len(lab.data.train), lab.setting.batch, replace=False))
            for _ in range(crowd - 1)
        ]
        right.append(float(np.argmax(differencing.whose(view, [truth.examples, *others])) == 0))
        errors.append(scoring.worst_error(differencing.missing_update(view), truth.update))
    seconds = time.process_time() - started
    low, high = scoring.wilson(sum(right), trials)
    score = Score(float(np.mean(right)), low, high, 1 / crowd, None)
    note = f"update known up to {np.median(errors):.1e}"
    metric = f"client that left found among {crowd}"
    return _result("differencing", order, "any", metric, score, "a blind guess", trials, seconds, (), note)


@lru_cache(maxsize=8)
def _scored_model(dataset: str, seed: int, shadows: int) -> tuple[Any, Any, float]:
    """Scores of members and others on one finished model; shadow models are trained once and cached."""
    started = time.process_time()
    view, candidates, inside, how = finished_model(dataset, seed=seed)
    if shadows:
        models, halves = membership.shadow_models(view, candidates, how, shadows, seed + 1)
        found = membership.by_shadows(view, candidates, models, halves)
    else:
        found = membership.by_loss(view, candidates)
    return found[inside == 1], found[inside == 0], time.process_time() - started


def on_model(name: str, shadows: int, order: Order) -> AttackResult:
    """Trials of ``loss``, ``lira``."""
    inside, outside, seconds = _scored_model(
        order.dataset or "digits", order.seed, shadows and max(2, order.trials or shadows)
    )
    curve = scoring.roc(inside, outside)
    note = f"TPR {scoring.tpr_at(curve, 0.01):.3f} at 1 % FPR"
    score = scoring.auc(inside, outside)
    return _result(name, order, "any", "AUC", score, "a coin", len(inside), seconds, [Evidence("roc", curve)], note)


# -- on the cryptography ---------------------------------------------------------------------------------------------


def play_distinguishing(order: Order) -> AttackResult:
    """Trials of ``distinguish``."""
    trials = order.trials or CHANCE_TRIALS
    broken = order.seat == PLAIN
    started = time.process_time()
    encrypt = distinguishing.broken_encryptor() if broken else distinguishing.encryptor(order.scheme)
    game = distinguishing.play(encrypt, trials, order.seed)
    seconds = time.process_time() - started
    score = _of_coin(game.right)
    curve = Evidence("roc", scoring.roc(game.margins[game.second == 1], game.margins[game.second == 0]))
    name = "one mask for all (broken)" if broken else order.scheme
    return _result("distinguish", order, name, "guesses right", score, "a coin", trials, seconds, [curve])


def _of_coin(right: Any) -> Score:
    from scipy.stats import binomtest

    low, high = scoring.wilson(float(right.sum()), len(right))
    p_value = float(binomtest(int(right.sum()), len(right), 0.5, alternative="greater").pvalue)
    return Score(float(right.mean()), low, high, 0.5, p_value)


def key_recovery(recovery: ckks_key_lab.KeyRecovery, seat: str = COORDINATOR) -> AttackResult:
    """Stage a returned decryption and recover the key; scores the share of updates that it opens."""
    view, truth = ckks_key_lab.stage(recovery)
    started = time.process_time()
    evidence: tuple[Evidence, ...] = ()
    if recovery.returned == "nothing":
        score, note = Score(0.0, 0.0, 1.0, 0.0, None), "no decryption goes back: there is no equation"
    else:
        key = ckks_key_recovery.recover_key(view)
        opened = ckks_key_recovery.open_updates(view, key)
        errors = [scoring.worst_error(a, b) for a, b in zip(opened, truth.updates, strict=True)]
        rate = float(np.mean(np.array(errors) < 1e-5))
        score = Score(rate, *scoring.wilson(rate * len(errors), len(errors)), 0.0, None)
        evidence = (
            Evidence("key", key.coefficients.astype(np.float64)),
            Evidence("opened", opened[0]),
            Evidence("update", truth.updates[0]),
        )
        small = f"{key.ternary:.0%} of {len(key.coefficients):,} coefficients are -1, 0 or 1"
        note = f"{small}; largest error of an opened update {max(errors):.1e}"
    seconds = time.process_time() - started
    order = Order(seat, scheme=recovery.scheme, seed=recovery.seed)
    return _result(
        "key-heist", order, recovery.scheme, "updates opened", score, "none", recovery.clients, seconds, evidence, note
    )


def play_key_recovery(order: Order) -> AttackResult:
    """Trials of ``key-heist``."""
    scheme = order.scheme if order.scheme.startswith(("ckks", "INSECURE_ckks")) else "ckks-lean"
    returned: ckks_key_lab.Returned = "preset flooding" if scheme == "ckks-threshold" else "float64"
    return key_recovery(
        ckks_key_lab.KeyRecovery(scheme=scheme, returned=returned, clients=order.clients, seed=order.seed)
    )


def play_exponents(order: Order) -> AttackResult:
    """Pixels that the exponents of a digit's first-layer gradient classify correctly as ink or no ink."""
    lab, trials = Lab(replace(order.setting(), seat=PLAIN, scheme="plaintext")), order.trials or 50
    ours = order.seat == COORDINATOR
    started = time.process_time()
    shares, first = [], np.zeros(0)
    for number in range(trials):
        _, truth = lab.trial(number)
        unit = int(np.argmax(np.abs(truth.update[lab.model.features * lab.setting.hidden :][: lab.setting.hidden])))
        column = truth.update[: lab.model.features * lab.setting.hidden].reshape(lab.model.features, -1)[:, unit]
        published = np.zeros(len(column), np.int64) if ours else naive_schemes.phe_exponents(column)
        seen = naive_schemes.silhouette(published) if not ours else np.ones(len(column), bool)
        ink = truth.examples.features[0] > 0
        shares.append(float(np.mean(seen == ink)))
        first = seen.astype(np.float64) if number == 0 else first
    seconds = time.process_time() - started
    values = np.array(shares)
    ink_share = float(np.mean(load_dataset(lab.setting.dataset).train.features > 0))
    score = Score(float(values.mean()), *scoring.bootstrap(values), max(ink_share, 1 - ink_share), None)
    scheme = "integers of one scale" if ours else "phe's default encoding"
    picture = [Evidence("guess", first[None]), Evidence("record", lab.trial(0)[1].examples.features.astype(np.float64))]
    prior = "calling every pixel the same"
    return _result("exponents", order, scheme, "pixels told ink or not", score, prior, trials, seconds, picture)


def play_multi_key(order: Order) -> AttackResult:
    """Trials of ``multi-key``."""
    rng, trials = np.random.default_rng(order.seed), order.trials or 5
    started = time.process_time()
    errors = []
    for _ in range(trials):
        update = np.clip(rng.normal(scale=0.05, size=200), -0.5, 0.5)
        errors.append(scoring.worst_error(naive_schemes.read_naive(naive_schemes.naive_multi_key(update))[0], update))
    seconds = time.process_time() - started
    rate = float(np.mean(np.array(errors) < 1e-5))
    score = Score(rate, *scoring.wilson(rate * trials, trials), 0.0, None)
    note = f"largest error {max(errors):.1e}"
    return _result("multi-key", order, "ckks-lean", "updates opened", score, "none", trials, seconds, (), note)


def play_collusion(order: Order) -> AttackResult:
    """Colluding clients needed to open an update; evidence: opened or not, for 0, 1, … of them."""
    together = {"bfv-lean": "bfv-threshold", "ckks-lean": "ckks-threshold"}.get(order.scheme, order.scheme)
    scheme = together if order.threshold > 1 else order.scheme
    started = time.process_time()
    coalition = collusion.gather(scheme, order.threshold, order.clients, order.seed)
    opened = [collusion.open_together(view) for view in coalition.views]
    seconds = time.process_time() - started
    # Narrow fields are rounded by more than that: read exactly is what the scheme lets its own clients read.
    room = max(1e-3, open_scheme(scheme).sum_error(1.0, 1, order.clients))
    close = [o.update is not None and scoring.worst_error(o.update, coalition.truth) <= room for o in opened]
    reach = np.array(close, np.float64)
    value = float(np.mean(reach))
    needed = int(np.argmax(reach)) if reach.any() else len(reach)
    score = Score(value, *scoring.wilson(float(reach.sum()), len(reach)), 0.0, None)
    note = f"{needed} client{'s' * (needed != 1)} and the coordinator open another's update; fewer: {opened[0].refusal}"
    metric = f"coalitions of 0..{order.clients - 1} clients that open an update"
    return _result(
        "collusion", order, scheme, metric, score, "none", len(reach), seconds, [Evidence("opened", reach)], note
    )


def play_key_reuse(order: Order) -> AttackResult:
    """Words of m - m' from two bodies under one key. Evidence: read or not, word by word."""
    scheme = order.scheme if "onetime" in order.scheme else "onetime"
    started = time.process_time()
    view, truth = key_reuse.stage(scheme, order.clients, seed=order.seed)
    right, count = key_reuse.recovered(key_reuse.read_difference(view), truth), len(truth.difference)
    fresh, apart = key_reuse.stage(scheme, order.clients, reused=False, seed=order.seed)
    prior = key_reuse.recovered(key_reuse.read_difference(fresh), apart)
    seconds = time.process_time() - started
    score = Score(right, *scoring.wilson(right * count, count), prior, None)
    note = (
        f"{round(right * count)} of {count} words of the difference of two updates of one client, with the rule off; the shipped "
        f"client refuses: {key_reuse.refusal(scheme, order.clients, order.seed) or 'nothing'}"
    )
    words = np.array(key_reuse.read_difference(view) == truth.difference, dtype=np.float64)
    metric = "words of m - m' read"
    evidence = [Evidence("read", words)]
    return _result("key-reuse", order, scheme, metric, score, "two fresh keys", count, seconds, evidence, note)


def _related(order: Order) -> AttackResult:
    """Words of an old update that a client reads from the next round's sum. Evidence: read or not, word by word."""
    together = order.scheme if order.scheme.startswith(("bfv-threshold", "INSECURE_bfv-threshold")) else "bfv-threshold"
    threshold = order.threshold if order.threshold > 1 else min(3, order.clients)
    started = time.process_time()
    one_key = order.epoch_rounds > 1
    view, truth = related_ciphertexts.stage(together, threshold, order.clients, one_key=one_key, seed=order.seed)
    reading = related_ciphertexts.open_mixture(view)
    seconds = time.process_time() - started
    right, count = related_ciphertexts.recovered(reading, truth), len(truth.words)
    score = Score(right, *scoring.wilson(right * count, count), truth.guessed, None)
    note = (
        f"{round(right * count)} of {count} words of client 1's update of round 1, read from round 2's sum"
        if not reading.refusal
        else f"the mixture opens to nothing: {reading.refusal}"
    )
    words = np.array([float(word) for word in reading.words == truth.words]) if right else np.zeros(count)
    metric, prior = "words of an old update read", "the attacker's own words"
    return _result("related", order, together, metric, score, prior, count, seconds, [Evidence("read", words)], note)


def _delta(order: Order) -> AttackResult:
    """Honest uploads of two rounds that the key from one's own upload opens. Evidence: which, and the key read."""
    held = ("bfv-threshold", "ckks-threshold", "INSECURE_bfv-threshold", "INSECURE_ckks-threshold")
    usual = "ckks-threshold" if "ckks" in order.scheme else "bfv-threshold"
    together = order.scheme if order.scheme.startswith(held) else usual
    threshold = order.threshold if order.threshold > 1 else min(3, order.clients)
    started = time.process_time()
    deviates, one_key = order.deviation != deviating_client.NONE, order.epoch_rounds > 1
    view, truth = deviating_client.stage(
        together, threshold, order.clients, deviates=deviates, one_key=one_key, seed=order.seed
    )
    key = deviating_client.read_key(view)
    right = np.array(deviating_client.opened_rightly(view, deviating_client.open_uploads(view, key), truth), np.float64)
    refusal = deviating_client.honest_verdict(view, key, order.deviation)
    seconds = time.process_time() - started
    count, each = len(right), len(right) // 2
    score = Score(float(right.mean()), *scoring.wilson(float(right.sum()), count), 0.0, None)
    first, second = int(right[:each].sum()), int(right[each:].sum())
    seen = f"honest clients refuse the sum: {refusal}" if refusal else "honest clients notice nothing"
    note = f"opened: {first} of {each} uploads of round 1, {second} of {each} of round 2; {seen}"
    evidence = [Evidence("opened", right), Evidence("key", key.coefficients.astype(np.float64))]
    return _result("delta", order, together, "uploads opened", score, "none", count, seconds, evidence, note)


def play_tampering(order: Order) -> AttackResult:
    """Evidence: per forgery (rows) its error, and which checks reject it (columns after the first)."""
    others = ("paillier", "plaintext", "INSECURE_paillier", "onetime", "INSECURE_onetime")
    scheme = "bfv-lean" if order.scheme.startswith(others) else order.scheme
    started = time.process_time()
    desk = tampering.set_desk(scheme, order.clients, order.seed)
    verdicts = [tampering.judge(desk, forgery) for forgery in tampering.FORGERIES]
    seconds = time.process_time() - started
    table = np.array([[v.error, *(check in v.caught_by for check in tampering.CHECKS)] for v in verdicts])
    passed = float(np.mean([not verdict.caught_by for verdict in verdicts]))
    score = Score(passed, *scoring.wilson(passed * len(verdicts), len(verdicts)), 1.0, None)
    note = "; ".join(f"{v.forgery}: {' and '.join(v.caught_by) or 'nobody notices'}" for v in verdicts)
    return _result(
        "tampering",
        order,
        scheme,
        "forgeries unnoticed",
        score,
        "with the checks off",
        len(verdicts),
        seconds,
        [Evidence("forgeries", table)],
        note,
    )


def play_poisoning(order: Order) -> AttackResult:
    """Trials of ``poisoning``."""
    started = time.process_time()
    found = poisoning.poison(order.dataset or "digits", clients=order.clients, seed=order.seed)
    seconds = time.process_time() - started
    lost = float(found.honest[-1] - found.poisoned[-1])
    score = Score(lost, lost, lost, 0.0, None)
    seen = " and ".join(found.caught_by) or "no check"
    evidence = [Evidence("honest", found.honest), Evidence("poisoned", found.poisoned)]
    note = f"noticed by {seen}; accuracy {found.honest[-1]:.3f} without, {found.poisoned[-1]:.3f} with one lying client"
    return _result(
        "poisoning", order, "bfv-lean", "accuracy lost", score, "an honest client", 1, seconds, evidence, note
    )


LABEL = OnUpdate(label_leak.label, scoring.same_label, None, "labels right", rate=True, trials=200)
BEST = OnUpdate(record_leak.best_record, scoring.best_psnr, scoring.likeness, "PSNR in dB")

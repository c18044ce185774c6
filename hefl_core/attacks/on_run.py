"""Attacks on a real run's messages. Like catalogue.py, but one run and one round, with exactly its victims.

Three attacks fit updates of many records and steps: label shares, membership, and records of small clients.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

import numpy as np

from hefl_core.attacks import catalogue, scoring
from hefl_core.attacks.capture import Capture, Victim
from hefl_core.attacks.methods import label_leak, membership, record_leak
from hefl_core.attacks.result import AttackResult, Evidence
from hefl_core.attacks.scoring import Score
from hefl_core.attacks.view import Doubles, View
from hefl_core.errors import ParameterError
from hefl_core.learning.base import Examples, pooled
from hefl_core.learning.models import Dense

MOST_CANDIDATES = 200
"""Members of a victim that are tested, against as many non-members."""
MOST_NUMBERS = 12_000_000
"""Numbers in the candidates' gradients at a time: 96 MB."""
SMALL_UPDATE = 8
"""Records up to which a first layer's quotients usually still leak some; see the curve on the page."""


def attack_run(capture: Capture, name: str, seat: str, round_: int = 1, seed: int = 7) -> AttackResult:
    """Run one attack from one seat on one round's own messages.

    Raises: ParameterError for an attack that a run's updates do not allow, a seat without an update, or a model that the
        attack does not fit.
    """
    if name not in ON_RUN:
        raise ParameterError(
            f"attack on a run: expected one of {', '.join(ON_RUN)}, found {name!r}",
            "the others need victims dealt for them; leave the transcript out",
        )
    victims = capture.victims(seat, round_)
    started = time.process_time()
    score, evidence, note = ON_RUN[name](victims, capture.auxiliary, seed)
    seconds = time.process_time() - started
    metric, prior_is = METRICS[name]
    return AttackResult(
        attack=name,
        seat=seat,
        scheme=capture.scheme,
        threat=threat(seat),
        metric=metric,
        value=score.value,
        low=score.low,
        high=score.high,
        prior=score.prior,
        prior_is=prior_is,
        trials=len(victims),
        cpu_seconds=seconds,
        p_value=score.p_value,
        seed=seed,
        source=catalogue.find(name).source,
        note=f"{_whom(victims)}; {note}",
        evidence=tuple(evidence),
    )


class Reading(Enum):
    """An attack's result compared with guessing."""

    READ = "read"
    HINT = "hint"
    NOTHING = "nothing"
    TOO_FEW = "too few"


BEYOND_LUCK: Final = 1e-6
"""Guessing reaches a result called READ in fewer than one of 100,000 runs, also where the scores of one update spread 7 % wider
than a p-value assumes (as measured in tests/attacks/test_on_run.py)."""
HINTS: Final = 0.01


def reading(result: AttackResult) -> Reading:
    """Whether the attack on a run learned more than guessing.

    A recovered record (30 dB) is certain. Label shares are compared by permuting the victims: with fewer than five, chance
    alone puts all in the right place too often for any verdict.
    """
    if result.attack == "records":
        return Reading.READ if result.value > result.prior else Reading.NOTHING
    if result.p_value is None or (result.attack == "property" and math.factorial(result.trials) * HINTS < 1):
        return Reading.TOO_FEW
    if result.p_value < BEYOND_LUCK:
        return Reading.READ
    return Reading.HINT if result.p_value < HINTS else Reading.NOTHING


def luck(result: AttackResult) -> int:
    """Guessing does as well in one of so many runs (two significant digits). Raises: ValueError without a p-value."""
    if not result.p_value:
        raise ValueError(f"{result.attack}: expected a p-value above 0, found {result.p_value}")
    return int(float(f"{1 / result.p_value:.2g}"))


def threat(seat: str) -> str:
    """The party at this seat, in a sentence."""
    parts = seat.split("+")
    what = {
        "coordinator": "the run's coordinator, honest but curious: every upload as it was sent, and the public key",
        "auditor": "the run's auditor, honest but curious: every upload, to add them again",
        "kms": "the run's key management: it dealt the key and deleted it; no update reaches it",
        "eavesdropper": "who taps the network: every body as it travels, sealed",
    }
    if len(parts) > 1:
        return f"{' and '.join(parts)} of the run together: their messages and their shares of the key"
    return what.get(seat, f"{seat} of the run, curious: its own update and the decrypted mean")


def _whom(victims: Sequence[Victim]) -> str:
    """Assumed records and steps; a seat that reads nothing assumes the largest that the manifest allows."""
    sizes, steps = [one.examples for one in victims], [one.steps for one in victims]
    who = victims[0].name if len(victims) == 1 else "each update"
    return f"{who} taken for {_span(sizes)} records in {_span(steps)} step{'s' * (max(steps) > 1)}"


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


# -- the attacks -----------------------------------------------------------------------------------------------------

Played = tuple[Score, Sequence[Evidence], str]


def _shares(victims: Sequence[Victim], others: Examples, seed: int) -> Played:
    """Label shares of each client's records; the prior is the hold-out set's shares."""
    truths = [victim.truth for victim in victims]
    classes = victims[0].view.public.model.classes
    guesses = [label_leak.label_mixture(victim.view) for victim in victims]
    usual = np.bincount(others.labels, minlength=classes) / len(others)
    score = scoring.over_trials(guesses, truths, scoring.mixture_error, _closeness, rate=False)
    prior = float(np.mean([scoring.mixture_error(usual, truth) for truth in truths]))
    true = [np.bincount(truth.examples.labels, minlength=classes) / len(truth.examples) for truth in truths]
    found = [Evidence("read", np.array(guesses)), Evidence("true", np.array(true)), Evidence("usual", usual)]
    return Score(score.value, score.low, score.high, prior, score.p_value), found, "0 is exact"


def _closeness(guesses: Sequence[Doubles], truths: Sequence[scoring.Truth]) -> Doubles:
    return -np.array([[scoring.mixture_error(guess, truth) for truth in truths] for guess in guesses])


def _members(victims: Sequence[Victim], others: Examples, seed: int) -> Played:
    """Every victim's records (or a draw of them) against as many of the hold-out set."""
    inside, outside = [], []
    for at, victim in enumerate(victims):
        rng, own, most = np.random.default_rng([seed, at]), victim.truth.examples, _candidates(victim.view, others)
        count = min(len(own), most)
        drawn = [part.take(rng.choice(len(part), count, replace=False)) for part in (own, others)]
        found = membership.by_gradients(victim.view, pooled(drawn))
        found = found / (float(np.std(found)) or 1.0)
        inside.append(found[:count])
        outside.append(found[count:])
    scores = np.concatenate(inside), np.concatenate(outside)
    tried = f"{len(scores[0])} members tried against as many others"
    return scoring.auc(*scores), [Evidence("roc", scoring.roc(*scores))], tried


def _candidates(view: View, others: Examples) -> int:
    """Least squares needs fewer candidates than parameters; large models allow few for memory."""
    d = view.public.model.parameters
    return max(1, min(MOST_CANDIDATES, len(others), d // 4, MOST_NUMBERS // (2 * d)))


def _records(victims: Sequence[Victim], others: Examples, seed: int) -> Played:
    """Records by the attacker's own rule; the picture shows the smallest client, which leaks most."""
    first = victims[0].view.public.model.layers[0]
    if not isinstance(first, Dense):
        name = victims[0].view.public.model.name
        raise ParameterError(f"records: expected a dense first layer, found the model {name}", "use the model mlp")
    guesses = [record_leak.records(victim.view) for victim in victims]
    truths = [victim.truth for victim in victims]
    score = scoring.over_trials(guesses, truths, scoring.recovered, scoring.likeness, rate=False)
    at = int(np.argmin([victim.examples for victim in victims]))
    shown = guesses[at] if len(guesses[at]) else record_leak.best_record(victims[at].view)
    guess, row, quality = scoring.nearest(shown, truths[at])
    whole = [scoring.recovered(one, truth) * len(truth.examples) for one, truth in zip(guesses, truths, strict=True)]
    found = [
        Evidence("guess", shown[guess].astype(np.float64)),
        Evidence("record", truths[at].examples.features[row].astype(np.float64)),
        Evidence("psnr", np.array([quality])),
        Evidence("recovered", np.array([[victim.examples, n] for victim, n in zip(victims, whole, strict=True)])),
    ]
    total = sum(len(truth.examples) for truth in truths)
    mixed = "" if min(one.examples for one in victims) <= SMALL_UPDATE else ", the first layer mixes so many"
    note = f"{round(sum(whole))} of {total} records whole, {sum(map(len, guesses))} claimed{mixed}"
    return score, found, note


ON_RUN: dict[str, Callable[[Sequence[Victim], Examples, int], Played]] = {
    "property": _shares,
    "membership": _members,
    "records": _records,
}
"""Attacks that fit an update of real training."""
METRICS = {
    "property": ("error of a client's label shares", "the hold-out set's shares"),
    "membership": ("AUC", "a coin"),
    "records": ("share of a client's records recovered (> 30 dB)", "another victim's guess"),
}

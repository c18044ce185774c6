"""Remarks to read a run with: what is not checked, how much a shared key reveals, and which quorum is no majority.

Unlike ``Experiment.insecure`` these are no mistakes but limits of a choice, shown where it is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hefl_core.evaluation import ClassMetrics
from hefl_core.schemes.flooding import Flooding, at_ceiling
from hefl_core.shown import visible
from hefl_core.terms.experiment import Experiment

CHECKED: Final = (
    "Every client checks that the decrypted mean is no longer than the clip of {0}, plus rounding and noise."
)
UNCHECKED: Final = (
    "Length of the mean: not checked. Without a clip a client that lies about its update moves the model as far as its numbers "
    "reach."
)
FLOODED: Final = (
    "Flooding: when each holder has answered all {0} ciphertexts that it may under one key, their answers differ from ones made "
    "without the key by 2^-{1} at most."
)
DEMONSTRATION: Final = (
    "Demonstration flooding: when each holder has answered all {0} ciphertexts that it may under one key, their answers differ "
    "from ones made without the key by up to 2^-{1}; take a preset with 2^-40 or less for anything but a demonstration."
)
MINORITY: Final = (
    "{0} of {1} is no majority: two groups without a common member can each open a sum, and half of the clients or "
    "fewer can collude."
)
ABSENT: Final = "The hold-out set has no row of {0}: no metric of this run says how often that is recognised."
SAID: Final = (CHECKED, UNCHECKED, FLOODED, DEMONSTRATION, MINORITY, ABSENT)
"""Every sentence, for translations: a screen looks the sentence up and fills the values in."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence with placeholders, and their values."""

    sentence: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.sentence.format(*self.values)


def mean_remark(experiment: Experiment) -> Remark:
    """Whether the mean's length is checked."""
    clip = experiment.clip_norm
    return Remark(UNCHECKED) if clip is None else Remark(CHECKED, (f"{clip:g}",))


def flooding_remark(found: Flooding) -> Remark:
    """What a key reveals at most."""
    sentence = DEMONSTRATION if found.demonstration else FLOODED
    return Remark(sentence, (f"{found.per_holder:,}", str(found.exponent)))


def majority_remark(experiment: Experiment) -> tuple[Remark, ...]:
    """Empty where two groups that can decrypt have a member in common, or where each client can alone."""
    quorum = experiment.quorum
    if quorum.majority or not quorum.collective:
        return ()
    return (Remark(MINORITY, (str(quorum.threshold), str(quorum.holders))),)


def hold_out_remark(metrics: ClassMetrics, classes: Sequence[str]) -> tuple[Remark, ...]:
    """Empty where the hold-out set has every class; otherwise the classes that it lacks."""
    lacking = ", ".join(visible(classes[at], 40) for at in metrics.absent)
    return (Remark(ABSENT, (lacking,)),) if lacking else ()


def ceiling_remarks(experiment: Experiment) -> tuple[Remark, ...]:
    """What belongs beside a custody before the model is known: the most that its preset ever allows."""
    found = at_ceiling(experiment.preset, experiment.quorum, dealer_free=experiment.dealer_free)
    return (*(() if found is None else (flooding_remark(found),)), *majority_remark(experiment))


def custody_remarks(experiment: Experiment, parameters: int) -> tuple[Remark, ...]:
    """What belongs beside a custody, for a model of d parameters. Raises: ParameterError where a sum does not fit."""
    found = experiment.flooding(parameters)
    return (*(() if found is None else (flooding_remark(found),)), *majority_remark(experiment))


def remarks_on(experiment: Experiment, parameters: int) -> tuple[Remark, ...]:
    """Everything that a run of this experiment should be read with. Raises: as :func:`custody_remarks`."""
    return (mean_remark(experiment), *custody_remarks(experiment, parameters))

"""Every attack by name, and the seats from which it can be tried; trials.py runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from hefl_core.attacks import scoring
from hefl_core.attacks.lab import (
    CLIENT,
    COALITION,
    COORDINATOR,
    PLAIN,
    SEATS,
    THREATS,
    USER,
)
from hefl_core.attacks.methods import (
    record_leak,
)
from hefl_core.attacks.result import AttackResult
from hefl_core.attacks.trials import (
    BEST,
    COUNTS,
    LABEL,
    RECORDS,
    SOURCES,
    UPDATE_SEATS,
    OnUpdate,
    Order,
    _delta,
    _related,
    on_model,
    on_update,
    play_collusion,
    play_differencing,
    play_distinguishing,
    play_exponents,
    play_inversion,
    play_key_recovery,
    play_key_reuse,
    play_membership,
    play_multi_key,
    play_pictures,
    play_poisoning,
    play_property,
    play_tampering,
    play_words,
    precision_note,
)
from hefl_core.errors import ParameterError

FAMILIES = ("update", "aggregate", "model", "cryptography", "use")
"""What an attack works on, in the order of the round."""
NO_REMEDY = "none here"
MINUTES = ("inverting-gradients",)
"""Attacks whose trials from a seat at chance take minutes: run one at a time."""


@dataclass(frozen=True)
class Attack:
    """One attack. ``seats``: where it can be tried; ``remedy``: what stops it."""

    name: str
    title: str
    family: str
    seats: tuple[str, ...]
    remedy: str
    play: Callable[[Order], AttackResult] = field(repr=False)

    @property
    def has_remedy(self) -> bool:
        """Whether something here stops it."""
        return not self.remedy.startswith(NO_REMEDY)

    @property
    def source(self) -> str:
        """The paper and section that it follows."""
        return SOURCES[self.name]


def run(name: str, seat: str | None = None, **wanted: Any) -> AttackResult:
    """Run one attack. ``seat`` None: the first it has; ``wanted``: fields of :class:`Order`.

    Raises: ParameterError for an unknown attack, or a seat from which it cannot be tried.
    """
    attack = find(name)
    seat = attack.seats[0] if seat is None else seat
    if seat not in attack.seats:
        raise ParameterError(f"{name}: expected the seat {' or '.join(attack.seats)}, found {seat!r}")
    return attack.play(Order(seat, **wanted))


def find(name: str) -> Attack:
    """The attack of this name. Raises: ParameterError."""
    for attack in ATTACKS:
        if attack.name == name:
            return attack
    raise ParameterError(f"attack: expected one of {', '.join(a.name for a in ATTACKS)}, found {name!r}")


def of_family(family: str) -> tuple[Attack, ...]:
    """The attacks of one family, in the order in which they are explained."""
    return tuple(attack for attack in ATTACKS if attack.family == family)


@dataclass(frozen=True)
class Overview:
    """All attacks, counted: ``at_the_server`` stopped by encryption there, ``unstopped`` by nothing here."""

    attacks: int
    at_the_server: int
    unstopped: int


def overview() -> Overview:
    """The list in three numbers."""
    return Overview(len(ATTACKS), len(of_family("update")), sum(not attack.has_remedy for attack in ATTACKS))


def _named(name: str, how: OnUpdate) -> Callable[[Order], AttackResult]:
    return partial(on_update, name, how)


ATTACKS: tuple[Attack, ...] = (
    Attack(
        "label",
        "Label of a record",
        "update",
        UPDATE_SEATS,
        "encryption; larger batches blur it into counts",
        _named("label", LABEL),
    ),
    Attack(
        "label-counts",
        "Labels of a batch",
        "update",
        UPDATE_SEATS,
        "encryption; more clients",
        _named("label-counts", replace(COUNTS, setting={"batch": 16})),
    ),
    Attack(
        "record",
        "The record itself",
        "update",
        UPDATE_SEATS,
        "encryption; more clients; larger batches",
        _named("record", BEST),
    ),
    Attack(
        "records",
        "Records of a batch",
        "update",
        UPDATE_SEATS,
        "encryption; more clients; larger batches",
        _named("records", RECORDS),
    ),
    Attack(
        "imprint",
        "Records, by a model made for it",
        "update",
        UPDATE_SEATS,
        "clients check θ_0 against the manifest; encryption",
        _named(
            "imprint",
            OnUpdate(
                record_leak.imprinted,
                scoring.recovered,
                scoring.likeness,
                "records recovered (> 30 dB)",
                setting={"imprint_bins": 256, "batch": 16},
                trials=20,
                note=precision_note,
            ),
        ),
    ),
    Attack(
        "patient",
        "A patient's 30 measurements",
        "update",
        UPDATE_SEATS,
        "encryption; more clients; larger batches",
        _named("patient", replace(BEST, setting={"dataset": "breast_cancer"})),
    ),
    Attack(
        "inversion",
        "Gradient inversion",
        "update",
        UPDATE_SEATS,
        "encryption; more clients; more local steps",
        play_inversion,
    ),
    Attack(
        "inverting-gradients",
        "A picture, from a convolutional network",
        "update",
        UPDATE_SEATS,
        "encryption; more clients; larger batches, more local steps",
        play_pictures,
    ),
    Attack(
        "dager",
        "The words of a letter",
        "update",
        UPDATE_SEATS,
        "encryption; more clients; batches of more words than a vector has numbers; not more local steps",
        play_words,
    ),
    Attack(
        "property",
        "Share of malignant patients",
        "update",
        UPDATE_SEATS,
        "encryption; more clients",
        play_property,
    ),
    Attack(
        "membership",
        "Was this record used? (update)",
        "update",
        UPDATE_SEATS,
        "encryption; many clients; differential privacy",
        play_membership,
    ),
    Attack(
        "differencing",
        "Who left between two rounds?",
        "aggregate",
        (CLIENT,),
        "stable cohorts; differential privacy; not encryption",
        play_differencing,
    ),
    Attack(
        "loss",
        "Was this record used? (final model, loss)",
        "model",
        (USER, CLIENT),
        "differential privacy; not encryption",
        partial(on_model, "loss", 0),
    ),
    Attack(
        "lira",
        "Was this record used? (final model, shadows)",
        "model",
        (USER, CLIENT),
        "differential privacy; not encryption",
        partial(on_model, "lira", 16),
    ),
    Attack(
        "distinguish",
        "Tell two ciphertexts apart",
        "cryptography",
        (COORDINATOR, PLAIN),
        "fresh randomness in each encryption",
        play_distinguishing,
    ),
    Attack(
        "key-heist",
        "The CKKS key from a returned decryption",
        "cryptography",
        (COORDINATOR,),
        "decryptions stay with the clients; flood once, cache, rotate",
        play_key_recovery,
    ),
    Attack(
        "exponents",
        "phe's exponents in the open",
        "cryptography",
        (PLAIN, COORDINATOR),
        "integers of one common scale",
        play_exponents,
    ),
    Attack(
        "multi-key",
        "A share of one's own ciphertext, published",
        "cryptography",
        (COORDINATOR,),
        "decrypt the sum under a joint key, never a summand",
        play_multi_key,
    ),
    Attack(
        "key-reuse",
        "A one-time key, used twice",
        "cryptography",
        (COORDINATOR,),
        "one body for each key: the client refuses a second in a round, so do coordinator and auditor",
        play_key_reuse,
    ),
    Attack(
        "collusion",
        "Coordinator and clients together",
        "use",
        (COALITION,),
        "collective custody, against fewer than t",
        play_collusion,
    ),
    Attack(
        "related",
        "An old upload, mixed into one's own",
        "use",
        (COALITION,),
        "a key epoch per round; within a round commitments with spares, and the auditor's word before uploads",
        _related,
    ),
    Attack(
        "delta",
        "The key, from one's own upload",
        "use",
        (COALITION,),
        "none here: a key epoch per round limits it to the rounds in which that client deviates",
        _delta,
    ),
    Attack(
        "tampering",
        "Six forged sums",
        "use",
        (COORDINATOR,),
        "re-adding by the auditor; the tag",
        play_tampering,
    ),
    Attack(
        "poisoning",
        "A client that lies about its update",
        "use",
        (CLIENT,),
        "none here: no check catches it",
        play_poisoning,
    ),
)
"""In the order in which they are explained."""

__all__ = ["ATTACKS", "FAMILIES", "SEATS", "THREATS", "Attack", "find", "of_family", "overview", "run"]

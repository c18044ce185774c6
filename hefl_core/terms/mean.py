"""Limits of an opened sum when every contributor kept the rules: the range of Σ n_k, and under a clip the mean's length.

A client sends x_k = n_k/n_max · Δ_k with ‖Δ_k‖ ≤ C, so ‖Σ x_k‖ ≤ C · Σ n_k/n_max whatever the weights: the mean is no longer
than C. Rounding and the noise of differential privacy come on top, and both are bounded here, so that an honest run passes.

A refusal names public numbers only: it travels to the coordinator, which must learn neither Σ n_k nor the mean.

Lies within the limits pass: a wrong n_k within the range, a wrong update that leaves the mean short. A sum hides its
contributions, so a check of the sum cannot find them.

Source: the clip is McMahan 2018, section 2; the tail is Hsu, Kakade, Zhang 2012 (A tail inequality for quadratic forms of
subgaussian random vectors), theorem 2.1 with the identity matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, cast

from hefl_core.errors import IntegrityError
from hefl_core.schemes.base import Scheme, Vector
from hefl_core.terms.adaptive_bound import FieldScheme
from hefl_core.terms.dp import Mechanism
from hefl_core.vectors import norm_of

FALSE_ALARM: Final = 1e-12
"""Probability per round that honest noise, or rounding at random, is longer than its bound."""
FLOAT_ROOM: Final = 1e-9
"""Relative room for float64 in the norm itself."""


def check_examples(examples: int, count: int, largest: int, mine: int | None) -> None:
    """Refuse a total that ``count`` contributors of 1..``largest`` examples cannot have.

    ``mine``: this client's own examples, None when it did not contribute. Without this check a lie modulo the plaintext
    modulus makes the total tiny and the mean huge.
    Raises: IntegrityError.
    """
    others = count if mine is None else count - 1
    own = mine or 0
    if not own + others <= examples <= own + others * largest:
        raise IntegrityError(
            f"examples: expected a total that {count} contributors of 1 to {largest} each can have, found one that they cannot; "
            "somebody lied about its count: do not apply the sum; after a decryption nobody knows who it was"
        )


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much longer than the clip allows the sum Σ n_k/n_max · Δ_k can be. ``rounding`` never more, ``noise`` hardly ever.

    Units: of the weighted sum, as it is decrypted.
    """

    rounding: float
    noise: float

    @property
    def total(self) -> float:
        """Both."""
        return self.rounding + self.noise


@dataclass(frozen=True, slots=True)
class Sending:
    """How updates were encoded: what decides about rounding. ``bound``, ``max_terms`` as agreed for the round.

    ``at_random``: rounded up or down at random (an adaptive bound without error feedback), not to the nearest step.
    ``step``: of the noise's grid, where there is noise.
    """

    bound: float
    max_terms: int
    at_random: bool
    step: float


def allowance(
    scheme: Scheme, sending: Sending, clip: float, terms: int, length: int, mechanism: Mechanism | None = None
) -> Allowance:
    """What rounding and noise may add to the sum of ``terms`` updates of ``length`` entries.

    Nearest: the scheme's own bound on every entry, so √d of it. At random: the error of one entry has mean zero and a range
    of one step, so it is subgaussian with half a step, and √K of that in the sum. Noise: a discrete Gaussian is subgaussian
    with its own standard deviation (Canonne, Kamath, Steinke 2020).
    """
    if sending.at_random:
        step = cast(FieldScheme, scheme).fields(sending.max_terms).step(sending.bound)
        return Allowance(0.0, longest(step / 2 * math.sqrt(terms), length))
    fixed = scheme.preset.family in ("bfv", "paillier", "onetime") or mechanism is not None
    entry = (
        sending.bound if fixed else min(sending.bound, clip)
    )  # floats round an entry by its size, which the clip limits
    rounding = math.sqrt(length) * scheme.sum_error(entry, terms, sending.max_terms)
    if mechanism is None:
        return Allowance(rounding, 0.0)
    std = mechanism.share_std(sending.step) * sending.step
    return Allowance(rounding, longest(std * math.sqrt(terms), length))


def longest(std: float, length: int) -> float:
    """A length that ``length`` independent subgaussian entries exceed with probability :data:`FALSE_ALARM` at most.

    >>> round(longest(1.0, 1), 1), round(longest(1.0, 10_000) / 100, 2)
    (8.2, 1.05)
    """
    # Theorem 2.1 with Σ = I: P(‖x‖² > std²·(d + 2√(dt) + 2t)) ≤ exp(-t).
    t = -math.log(FALSE_ALARM)
    return std * math.sqrt(length + 2 * math.sqrt(length * t) + 2 * t)


def check_length(total: Vector, weight: float, clip: float, room: Allowance) -> None:
    """Refuse a sum whose mean is longer than the clip. ``weight``: Σ n_k/n_max, the divisor of the mean.

    Shapes: float64 (d,). Raises: IntegrityError; the model stays as it was.
    """
    limit = (clip * weight + room.total) * (1 + FLOAT_ROOM)
    if not norm_of(total) <= limit:  # not `norm >`: a NaN has to fail
        raise IntegrityError(
            f"mean: expected a norm of at most the clip {clip:.6g} and what rounding and noise can add, found a longer one; "
            "somebody did not clip: do not apply the sum; after a decryption nobody knows who it was"
        )

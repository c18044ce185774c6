"""Differential privacy of the sum: every client adds its share of the noise before it encrypts.

Client k truncates its clipped update to whole steps x_k (towards zero, so the norm never grows) and sends x_k + e_k, e_k
discrete Gaussian of standard deviation s per entry. With m honest contributors the sum carries m·s² of variance: shares
are sized for m = min_cohort, more contributors mean more noise. Neighbouring runs differ in one client's updates, all of
them replaced by zero; who takes part is public.

Source: Kairouz, Liu, Steinke 2021 (The Distributed Discrete Gaussian Mechanism for Federated Learning with Secure
Aggregation), section 4; the sampler is Canonne, Kamath, Steinke 2020 (The Discrete Gaussian for
Differential Privacy), algorithms 1 to 3.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.errors import EncodingError, ParameterError
from hefl_core.schemes.base import Vector

Words: TypeAlias = Callable[[int], npt.NDArray[np.uint64]]
"""n -> n independent uniform 64-bit words."""
Integers: TypeAlias = npt.NDArray[np.int64]

DELTA = 1e-5
"""The δ at which ε is stated. It must stay far below one over the number of clients."""
TAIL = 10.0
"""Head-room for a share's noise in standard deviations before rounding up: beyond it lie 2e-23 of the probability per
entry on fine grids, 6e-14 on the coarsest."""
SMALLEST_SHARE, LARGEST_SHARE = 4, 1 << 20
"""Steps per standard deviation of one share. Below four, a sum of discrete Gaussians is not one nearly enough."""


def os_words(count: int) -> npt.NDArray[np.uint64]:
    """From the operating system's entropy: predictable noise protects nobody."""
    return np.frombuffer(os.urandom(8 * count), dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What a run proves about one client: (ε, δ) against a reader of the sums and the model.

    ``epsilon_inside``: against one of the contributing clients, which knows its own share of the noise and subtracts it.
    """

    epsilon: float
    epsilon_inside: float
    delta: float
    noise: float
    clip_norm: float

    @property
    def sentence(self) -> str:
        """What the number proves, and what it does not."""
        strength = (
            "a strong guarantee"
            if self.epsilon <= 1
            else "a moderate one"
            if self.epsilon <= 10
            else "next to no guarantee"
        )
        return (
            f"ε = {self.epsilon:.3g} at δ = {self.delta:g} per client ({self.epsilon_inside:.3g} against a fellow "
            f"contributor): {strength}. It holds if every contributor adds its noise; noise may stop an attack long before "
            "it proves anything."
        )


@dataclass(frozen=True, slots=True)
class Mechanism:
    """Clip to ``clip_norm`` (L2), noise of ``noise`` · clip_norm on the sum when only ``survivors`` contribute.

    Raises: ParameterError for numbers that are not positive and finite, or fewer than two survivors.
    """

    clip_norm: float
    noise: float
    survivors: int

    def __post_init__(self) -> None:
        for name, value in (("clip_norm", self.clip_norm), ("dp_noise", self.noise)):
            if not 0 < value < math.inf:
                raise ParameterError(f"{name}: expected a positive finite number, found {value}")
        if self.survivors < 2:
            raise ParameterError(f"min_cohort: expected at least 2 to share the noise, found {self.survivors}")

    @property
    def bound(self) -> float:
        """Largest |entry| of a noised update: the whole norm in one entry, and the noise's tail on top."""
        return self.clip_norm * (1 + TAIL * self.noise / math.sqrt(self.survivors))

    def share_std(self, step: float) -> int:
        """Standard deviation of one client's share, in steps, rounded up.

        Raises: ParameterError when the steps are too coarse, or too fine, for the noise.
        """
        std = self.noise * self.clip_norm / step / math.sqrt(self.survivors)
        if not SMALLEST_SHARE - 1 < std <= LARGEST_SHARE:  # not of what is no number
            raise ParameterError(
                f"dp_noise: expected {SMALLEST_SHARE}..{LARGEST_SHARE} steps per share of the noise, found {std:.3g}",
                "take more noise, fewer clients or a preset with wider fields (bfv-lean)",
            )
        return math.ceil(std)

    def noised(self, clipped: Vector, step: float, words: Words = os_words) -> Vector:
        """The update on the grid with this client's share of the noise; |entry| ≤ ``bound``.

        Shapes: float64 (d,) in and out; every entry a whole number of steps.
        Raises: EncodingError when the update was not clipped; ParameterError when the grid does not fit the noise.
        """
        norm = float(np.linalg.norm(clipped))
        if not norm <= self.clip_norm:  # not `norm >`: a NaN has to fail
            raise EncodingError(
                f"update: expected a norm of at most {self.clip_norm:.6g}, found {norm:.6g}; clip it first"
            )
        whole = np.trunc(clipped / step).astype(np.int64)
        if not Fraction(_square_sum(whole)) <= (Fraction(self.clip_norm) / Fraction(step)) ** 2:
            raise EncodingError(
                "update: its whole steps are longer than the clip, which the noise is sized for; clip it first"
            )
        whole += discrete_gaussian(self.share_std(step), len(clipped), words)
        most = math.floor(self.bound / step)
        return np.asarray(np.clip(whole, -most, most) * step, dtype=np.float64)

    def guarantee(self, rounds: int, delta: float = DELTA) -> Guarantee:
        """(ε, δ) after so many rounds, by dp-accounting's Rényi accountant."""
        # A contributor subtracts its own share: (m-1)/m of the variance is left, so ρ grows by m/(m-1).
        inside = self.survivors / (self.survivors - 1)
        return Guarantee(
            epsilon=epsilon(1 / (2 * self.noise**2), rounds, delta),
            epsilon_inside=epsilon(inside / (2 * self.noise**2), rounds, delta),
            delta=delta,
            noise=self.noise,
            clip_norm=self.clip_norm,
        )


def _square_sum(whole: Integers) -> int:
    """Σ x², exactly: in halves, whose products fit into 64 bits. Shapes: int64 (d,), |x| < 2^40."""
    high, low = whole >> 20, whole & 0xFFFFF
    return (int(high @ high) << 40) + (int(high @ low) << 21) + int(low @ low)


def epsilon(rho: float, rounds: int, delta: float) -> float:
    """ε of ``rounds`` mechanisms that are each ρ-zCDP, a discrete Gaussian of noise z being 1/(2z²)-zCDP."""
    import dp_accounting
    from dp_accounting import rdp

    accountant = rdp.RdpAccountant(neighboring_relation=dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE)
    accountant.compose(dp_accounting.ZCDpEvent(rho), rounds)
    return float(accountant.get_epsilon(delta))


def grid(bound: float, bits: int = 16) -> float:
    """A step for schemes without fields: a power of two, so that float32 holds every noised entry exactly."""
    return 2.0 ** (math.floor(math.log2(bound)) - bits)


def discrete_gaussian(std: int, count: int, words: Words = os_words) -> Integers:
    """Independent integers with P(x) ∝ exp(-x²/(2·std²)), exactly: integer arithmetic and rejection only.

    Shapes: int64 (count,). Raises: ParameterError unless 1 ≤ std ≤ 2^20.
    """
    if not 1 <= std <= LARGEST_SHARE:
        raise ParameterError(f"std: expected 1..{LARGEST_SHARE} steps, found {std}")
    found = np.empty(0, dtype=np.int64)
    while len(found) < count:
        # exp(-|x|/σ) · exp(-(|x| - σ)²/2σ²) = exp(-x²/2σ² - 1/2): Laplace, kept with the second factor, is Gaussian.
        trial = _discrete_laplace(std, 2 * (count - len(found)) + 16, words)
        away = np.abs(np.abs(trial) - std)
        kept = _bernoulli_exp((away * away).astype(np.uint64), 2 * std * std, words)
        found = np.concatenate([found, trial[kept]])
    return found[:count]


def _discrete_laplace(scale: int, count: int, words: Words) -> Integers:
    """At most ``count`` integers with P(x) ∝ exp(-|x|/scale): what rejection leaves."""
    # low kept with exp(-low/s), high geometric with ratio 1/e: size = low + s·high has P ∝ exp(-size/s).
    low = _below(np.full(count, scale, dtype=np.uint64), words)
    low = low[_bernoulli_exp(low, scale, words)]
    high = np.zeros(len(low), dtype=np.int64)
    going = np.arange(len(low))
    while len(going):
        going = going[_bernoulli_exp_fraction(np.ones(len(going), dtype=np.uint64), 1, words)]
        high[going] += 1
    size = low.astype(np.int64) + scale * high
    negative = (words(len(size)) & np.uint64(1)).astype(bool)
    # 0 and -0 are one integer: without rejecting one of them 0 would be twice as likely.
    once = ~(negative & (size == 0))
    return np.asarray(np.where(negative, -size, size)[once], dtype=np.int64)


def _bernoulli_exp(top: npt.NDArray[np.uint64], bottom: int, words: Words) -> npt.NDArray[np.bool_]:
    """True with probability exp(-top/bottom), for any top ≥ 0."""
    # exp(-w - r) = exp(-r) · exp(-1)^w: the fraction once, then a factor 1/e for each whole.
    whole, rest = np.divmod(top, np.uint64(bottom))
    result = _bernoulli_exp_fraction(rest, bottom, words)
    for done in range(int(whole.max(initial=0))):
        going = np.flatnonzero(result & (whole > done))
        if not len(going):
            break
        result[going] = _bernoulli_exp_fraction(np.ones(len(going), dtype=np.uint64), 1, words)
    return result


def _bernoulli_exp_fraction(top: npt.NDArray[np.uint64], bottom: int, words: Words) -> npt.NDArray[np.bool_]:
    """True with probability exp(-top/bottom), top ≤ bottom: von Neumann's run of falling chances, true if it is even."""
    result = np.zeros(len(top), dtype=bool)
    going = np.arange(len(top))
    turn = 1
    while len(going):
        on = _below(np.full(len(going), bottom * turn, dtype=np.uint64), words) < top[going]
        # With γ = top/bottom a run of k or more has probability γ^k/k!, so an even run has Σ (-γ)^k/k! = exp(-γ).
        result[going[~on]] = turn % 2 == 1
        going = going[on]
        turn += 1
    return result


def _below(limits: npt.NDArray[np.uint64], words: Words) -> npt.NDArray[np.uint64]:
    """Uniform integers below each limit (≥ 1), by rejection: no modulo bias."""
    drawn = np.array(words(len(limits)), dtype=np.uint64)
    # 0 - limit wraps to 2^64 - limit, so this is 2^64 mod limit: without that many words every result is equally likely.
    surplus = (np.uint64(0) - limits) % limits
    again = np.flatnonzero(drawn < surplus)
    while len(again):
        drawn[again] = words(len(again))
        again = again[drawn[again] < surplus[again]]
    return drawn % limits

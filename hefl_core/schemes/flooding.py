"""What answers to decryption requests leak under one key: a statistical distance, stated and capped.

    distance ≤ ciphertexts · N · E|v| / 2^(f+1)

Each factor: a holder's answer to one ciphertext has N coefficients, each hidden in e uniform on 2^(f+1) integers; shifted by v,
that is |v| / 2^(f+1) away from itself. v is what an answer without the key could not have: the sum's own noise and, for BFV,
the rounding of its K plaintexts. Coefficients and ciphertexts add up (triangle inequality). Only the sum of all honest
answers is seen (pairwise.py), so that v counts once; the least hidden case has one honest holder, whose e alone hides it.

*Ciphertexts* are those that can be opened under the key. Each holder answers ``per_holder`` and no more
(keys/decryption_policy.py); each opened one needs an answer of at least one of the n - t + 1 honest holders: at most
(n - t + 1) · per_holder.

Flooding comes from SHAKE-256 under the share: against an unbounded attacker, the statement is about a random function.

Source: Asharov et al. 2012 (eprint 2011/613), lemma 1 (smudging); E|v| of a folded normal distribution, measured in
tests/schemes/test_flooding.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from hefl_core.errors import ParameterError
from hefl_core.schemes.presets import FULL_FLOODING_BITS, Preset, RingPreset, key_preset
from hefl_core.schemes.quorum import Quorum

ANSWERS_PER_ROUND: Final = 4
"""Answers per round: its sum, and three more for attempts that ended after a holder had answered."""
SELF_TESTS: Final = 2
"""A dealer-free ceremony opens a ciphertext with each holder, one holder twice at most."""


def wanted_answers(blocks: int, rounds: int, *, dealer_free: bool = False) -> int:
    """Ciphertexts that one holder may have to answer in this many rounds of sums of ``blocks`` ciphertexts."""
    return ANSWERS_PER_ROUND * blocks * rounds + SELF_TESTS * dealer_free


@dataclass(frozen=True, slots=True)
class Flooding:
    """The most that a collective key leaks, once everything was opened that may be.

    ``per_holder``: ciphertexts that a holder answers. ``ciphertexts``: that can be opened by all of them. ``terms``: of a sum.
    """

    preset: str
    quorum: Quorum
    dealer_free: bool
    terms: int
    per_holder: int
    ciphertexts: int
    distance_bits: float

    @property
    def exponent(self) -> int:
        """X of 2^-x, rounded so that the distance is no larger than said."""
        # 1e-9 undoes float rounding: a distance of 2^-40 computed as 2^-39.9999999999 still counts as 40.
        return math.floor(-self.distance_bits + 1e-9)

    @property
    def demonstration(self) -> bool:
        """Whether the distance is too large to rely on: more than 2^-40."""
        return self.exponent < FULL_FLOODING_BITS

    def __str__(self) -> str:
        kind = "demonstration flooding" if self.demonstration else "flooding"
        return f"{kind} 2^-{self.exponent} over {self.ciphertexts:,} ciphertexts"


def flooded(preset: Preset, quorum: Quorum) -> RingPreset | None:
    """The preset of the key whose answers are flooded; None where none are: Paillier's need it not, individual custody has none."""
    ring = key_preset(preset, quorum)
    return ring if quorum.collective and isinstance(ring, RingPreset) and ring.collective else None


def answers_cap(preset: Preset, quorum: Quorum, terms: int, wanted: int, *, dealer_free: bool = False) -> int:
    """Ciphertexts that each holder may answer: what is wanted, within the preset's ceiling and its stated distance.

    Each holder computes it (keys/custody.py): a KMS that writes more into the record gets no more.
    """
    ring = flooded(preset, quorum)
    if ring is None:
        return wanted
    honest = quorum.holders - quorum.threshold + 1
    room = ring.max_decryptions
    if not ring.demonstration:
        # The distance grows in proportion to the ciphertexts: 2^-40 has room for 2^-40 / (distance of one).
        one = ring.distance_bits(quorum, terms, 1, dealer_free=dealer_free)
        room = min(room, math.floor(2.0 ** (-FULL_FLOODING_BITS - one)))
    return min(wanted, room // honest)


def flooding(
    preset: Preset, quorum: Quorum, terms: int, wanted: int, *, blocks: int = 1, dealer_free: bool = False
) -> Flooding | None:
    """The statement for a key whose holders may have to answer ``wanted`` ciphertexts each; None where nothing is flooded.

    Raises: ParameterError where not even one sum of ``blocks`` ciphertexts fits.
    """
    ring = flooded(preset, quorum)
    if ring is None:
        return None
    cap = answers_cap(preset, quorum, terms, wanted, dealer_free=dealer_free)
    if cap < blocks + SELF_TESTS * dealer_free:
        raise ParameterError(
            f"{preset.name}: a sum of {blocks} ciphertexts exceeds the {cap} that each of {quorum.holders} holders may answer "
            f"({quorum}, sums of {terms})",
            "take bfv-threshold-strict, more holders to decrypt, or a smaller model",
        )
    honest = quorum.holders - quorum.threshold + 1
    distance = ring.distance_bits(quorum, terms, honest * cap, dealer_free=dealer_free)
    return Flooding(preset.name, quorum, dealer_free, terms, cap, honest * cap, distance)


def at_ceiling(preset: Preset, quorum: Quorum, *, dealer_free: bool = False) -> Flooding | None:
    """The same for the most that the preset ever allows, sums of all n clients; None where nothing is flooded."""
    ring = flooded(preset, quorum)
    most = 0 if ring is None else ring.max_decryptions
    return flooding(preset, quorum, quorum.holders, most, dealer_free=dealer_free)

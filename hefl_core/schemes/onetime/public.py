"""The public polynomials a_j of a round: every party computes them, and no party chooses them.

They depend on the experiment, the key epoch, the preset and the round, and on nothing that changes within a round: not the
plan, not the attempt. An upload that is carried over from an earlier attempt must open with the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hefl_core.ids import digest
from hefl_core.schemes.base import RoundContext
from hefl_core.schemes.ring import rlwe
from hefl_core.schemes.ring.rlwe import Residues
from hefl_core.wire.canonical import encode

_DOMAIN: Final = b"hefl/onetime/a"
_KEPT: Final = 512
"""Polynomials kept: 16 MiB, a model of two million parameters; of a longer one they are expanded again."""


@dataclass(frozen=True, slots=True)
class Public:
    """The a_j of one round under one preset."""

    seed: bytes
    prime: int
    degree: int

    @classmethod
    def of(cls, context: RoundContext, preset_digest: bytes, prime: int, degree: int) -> Public:
        """Fix the seed of a round."""
        place = (context.experiment, context.epoch_record, context.round)
        return cls(digest(_DOMAIN, encode(place), preset_digest), prime, degree)

    def polynomial(self, number: int) -> Residues:
        """a_j as NTT values. Shapes: uint64 (N,), read-only."""
        return _expanded(self.seed, number, self.prime, self.degree)


@lru_cache(maxsize=_KEPT)
def _expanded(seed: bytes, number: int, prime: int, degree: int) -> Residues:
    # The parties of one process, and encryption and opening of one round, share the expansion.
    row: Residues = rlwe.expand(digest(_DOMAIN, seed, number.to_bytes(8, "big")), (prime,), degree)[0]
    row.flags.writeable = False
    return row

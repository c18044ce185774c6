"""Custody of a class's key, which lives as long as the class.

One key
    this computer has it and opens every sum. It could open every answer too: the lesson that the others are compared with.
Dealt, t of n
    this computer makes the key, hands one share to each of n phones, and drops both. Until then it could open everything.
Without a dealer, t of n
    the phones of n holders make the key; this computer relays and adds what they send and never has it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from hefl_core.classroom import bridge
from hefl_core.classroom.guards import Refusal
from hefl_core.errors import ParameterError
from hefl_core.ids import digest
from hefl_core.schemes.base import PublicKey, SecretShare
from hefl_core.schemes.flooding import Flooding, flooding
from hefl_core.schemes.presets import BFVPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import load_preset
from hefl_core.schemes.ring.bfv import BFVScheme

ONE, DEALT, DEALER_FREE = "one", "dealt", "dealer-free"
KINDS: Final = (ONE, DEALT, DEALER_FREE)
LEAN, CLASSROOM = "bfv-lean", "bfv-threshold-classroom"
MOST_HOLDERS: Final = 7
"""Without a dealer each holder sends a share to every other one through this computer: 7 holders, 2 MB."""
COMMITMENT_BYTES: Final = 32

SMALLEST_COHORT: Final = 3


def smallest_cohort(quorum: Quorum) -> int:
    """Fewest members of a sum that may be opened: t - 1 accomplices among them leave two others.

    >>> smallest_cohort(Quorum(1, 1)), smallest_cohort(Quorum(3, 5))
    (3, 4)
    """
    return max(SMALLEST_COHORT, quorum.threshold + 1)


@dataclass(frozen=True, slots=True)
class Held:
    """How a class's key is held. Raises: ParameterError for a kind, preset or quorum that do not go together."""

    kind: str = ONE
    quorum: Quorum = field(default_factory=lambda: Quorum(1, 1))
    preset: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ParameterError(f"custody: expected one of {', '.join(KINDS)}, found {self.kind!r}")
        if (self.kind == ONE) == self.quorum.collective:
            raise ParameterError(f"custody {self.kind}: found {self.quorum}", "one key is 1 of 1; others need t > 1")
        if self.kind != ONE and not 2 <= self.quorum.threshold < self.quorum.holders <= MOST_HOLDERS:
            raise ParameterError(
                f"custody: expected 2 ≤ t < n ≤ {MOST_HOLDERS}, found {self.quorum}", "3-of-5 lets two phones sleep"
            )
        self.scheme.preset.require_room(self.quorum)

    @property
    def scheme(self) -> BFVScheme:
        """The scheme: bfv-lean for one key, bfv-threshold-classroom for t of n, unless another is named."""
        preset = load_preset(self.preset or (LEAN if self.kind == ONE else CLASSROOM))
        if not isinstance(preset, BFVPreset) or preset.insecure or (self.kind != ONE) != preset.collective:
            raise ParameterError(
                f"class: expected a secure BFV preset for custody {self.kind}, found {preset.name}",
                f"take {LEAN} for one key, {CLASSROOM} or bfv-threshold for t of n",
            )
        return BFVScheme(preset)

    def flooding(self, terms: int, openings: int) -> Flooding | None:
        """What the holders' answers leak after so many sums. Raises: ParameterError where the key may not open as many."""
        return flooding(self.scheme.preset, self.quorum, terms, openings, dealer_free=self.kind == DEALER_FREE)


class ClassKey:
    """The key of one class. ``public`` is None until the holders' phones have made it."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self.scheme = held.scheme
        self.public: PublicKey | None = None
        self._shares: dict[int, SecretShare] = {}
        if held.kind != DEALER_FREE:
            self.public, shares = self.scheme.keygen(held.quorum)
            self._shares = {share.index: share for share in shares}
        self.ceremony = Ceremony(held) if held.kind == DEALER_FREE else None

    def require_public(self) -> PublicKey:
        """The public key. Raises: Refusal (409) before it is made."""
        if self.public is None:
            raise Refusal(409, "key: expected the holders to have made it, found their ceremony under way; wait")
        return self.public

    @property
    def undelivered(self) -> tuple[int, ...]:
        """Holders whose dealt share is still in this process."""
        return tuple(self._shares) if self.held.kind == DEALT else ()

    def take_share(self, index: int) -> bytes:
        """A dealt share, once; this process keeps it no longer. Raises: Refusal (409) the second time."""
        if self.held.kind != DEALT or index not in self._shares:
            raise Refusal(409, f"share {index}: expected to hand it out once, found it gone; t others can still open")
        return bridge.phone_share(self._shares.pop(index))

    def settle(self) -> tuple[int, ...]:
        """Drop the shares that no phone fetched, before anything is encrypted; the holders whose share is lost.

        Raises: Refusal (409) while fewer than t phones have theirs.
        """
        lost = self.undelivered
        have = self.held.quorum.holders - len(lost)
        if lost and have < self.held.quorum.threshold:
            raise Refusal(
                409, f"shares: expected {self.held.quorum.threshold} phones to have theirs, found {have}; wait"
            )
        for index in lost:
            del self._shares[index]
        return lost

    @property
    def whole(self) -> SecretShare:
        """The key itself, which only custody ``one`` leaves here. Raises: ParameterError."""
        if self.held.kind != ONE:
            raise ParameterError("key: expected custody 'one', found a key that is held together", "ask the holders")
        return self._shares[1]

    def end(self) -> None:
        """Drop what secret is left."""
        self._shares.clear()

    def finish_ceremony(self) -> None:
        """The public key from all contributions. Raises: WireError."""
        if self.ceremony is not None:
            self.public = self.ceremony.public_key(self.scheme)


class Ceremony:
    """The relay of a key without a dealer: commitments, contributions, sealed shares, each step when all have sent.

    Without the commitments the last holder could choose its contribution so that the key is its own.

    Leaks: nothing but the public b_i, if the phones' page is honest: shares pass sealed between phones.
    """

    STEPS: Final = ("commitment", "contribution", "dealing", "done")

    def __init__(self, held: Held) -> None:
        self.held = held
        self.seed = os.urandom(32)
        self._sent: dict[str, dict[int, bytes]] = {step: {} for step in self.STEPS[:-1]}

    @property
    def step(self) -> str:
        """The step that is under way."""
        return next((step for step in self.STEPS[:-1] if len(self._sent[step]) < self.held.quorum.holders), "done")

    @property
    def arrived(self) -> int:
        """Holders that have sent theirs in this step."""
        return len(self._sent.get(self.step, ()))

    def nbytes(self, step: str) -> int:
        """Bytes of what a holder sends in a step."""
        preset = self.held.scheme.preset
        sealed = bridge.sealed_nbytes(preset) * (self.held.quorum.holders - 1)
        return {"commitment": COMMITMENT_BYTES, "contribution": bridge.contribution_nbytes(preset), "dealing": sealed}[
            step
        ]

    def put(self, step: str, index: int, body: bytes) -> None:
        """Take what a holder sends. Raises: Refusal (409) out of order or twice; WireError for a damaged contribution."""
        if step != self.step or index in self._sent[step]:
            raise Refusal(409, f"ceremony: expected a {self.step} of each holder once, found another {step} of {index}")
        if step == "contribution":
            bridge.contribution(body, self.held.scheme.preset)
        self._sent[step][index] = body

    def all_of(self, step: str) -> bytes:
        """What all holders sent in a step, in their order. Raises: Refusal (409) before all have."""
        found = self._sent[step]
        if len(found) < self.held.quorum.holders:
            raise Refusal(
                409, f"ceremony: expected every {step}, found {len(found)} of {self.held.quorum.holders}; wait"
            )
        return b"".join(found[index] for index in sorted(found))

    def dealt_to(self, index: int) -> bytes:
        """The sealed shares for one holder, in their senders' order. Raises: Refusal (409) before all have dealt."""
        self.all_of("dealing")
        size = bridge.sealed_nbytes(self.held.scheme.preset)
        parts = []
        for sender, body in sorted(self._sent["dealing"].items()):
            if sender != index:
                # A sender leaves itself out, so that those after it move up by one.
                place = index - 1 - (index > sender)
                parts.append(body[size * place : size * (place + 1)])
        return b"".join(parts)

    def public_key(self, scheme: BFVScheme) -> PublicKey:
        """The joint public key. Raises: Refusal (409) before all have contributed; WireError."""
        self.all_of("contribution")
        sent = self._sent["contribution"]
        parts: Sequence[bytes] = [bridge.contribution(sent[index], scheme.preset) for index in sorted(sent)]
        return scheme.joint_public_key(self.seed, parts, self.held.quorum)

    def digest(self) -> bytes:
        """What was public in it, for the record."""
        return digest(self.seed, self.all_of("commitment"), self.all_of("contribution"))

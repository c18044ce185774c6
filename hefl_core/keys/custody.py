"""Who holds the key: every client a copy, or t of n clients together; dealt by the KMS, or made without a dealer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hefl_core.errors import KeyNotActive, KeyUseError, ParameterError
from hefl_core.keys.secret import Hidden
from hefl_core.schemes.base import SecretShare
from hefl_core.schemes.quorum import Quorum

INDIVIDUAL: Final = "individual"
DEALER_FREE: Final = "dealer-free:"
_FORM = re.compile(r"(dealer-free:)?([0-9]{1,4})-of-([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Custody:
    """One idea, :class:`~hefl_core.schemes.quorum.Quorum`, and where the key comes from.

    Raises: ParameterError for a dealer-free key that each client would hold alone: somebody would have to deal it.

    >>> str(Custody.parse("3-of-5", clients=5)), Custody.parse("individual", clients=5).quorum
    ('3-of-5', Quorum(threshold=1, holders=5))
    """

    quorum: Quorum
    dealer_free: bool = False

    def __post_init__(self) -> None:
        if self.dealer_free and not self.quorum.collective:
            raise ParameterError(
                f"custody: a dealer-free key is held together, found {self.quorum}",
                f"choose 'individual' or 'dealer-free:2-of-{max(2, self.quorum.holders)}'",
            )

    @classmethod
    def parse(cls, text: str, clients: int) -> Custody:
        """Read 'individual', 'T-of-N' or 'dealer-free:T-of-N'; N is the number of clients ('1-of-N' is 'individual').

        Raises: ParameterError for another form, or when N is not the number of clients.
        """
        if text == INDIVIDUAL:
            return cls(Quorum(1, clients))
        found = _FORM.fullmatch(text)
        if found is None:
            raise ParameterError(
                f"custody: expected 'individual', 'T-of-N' or 'dealer-free:T-of-N', found {text[:80]!r}",
                f"for example '{clients // 2 + 1}-of-{clients}'",
            )
        threshold, holders = int(found[2]), int(found[3])
        if holders != clients:
            raise ParameterError(
                f"custody: expected N = {clients}, the number of clients, found {holders}",
                f"choose '{text.rpartition('-')[0]}-{clients}' or {holders} clients",
            )
        return cls(Quorum(threshold, holders), found[1] is not None)

    def for_clients(self, clients: int) -> Custody:
        """The same threshold for another number of clients (after a revocation, or with joiners).

        Raises: ParameterError when fewer clients are left than the threshold.
        """
        return Custody(Quorum(self.quorum.threshold, clients), self.dealer_free)

    def __str__(self) -> str:
        if not self.quorum.collective:
            return INDIVIDUAL
        return f"{DEALER_FREE if self.dealer_free else ''}{self.quorum}"


class ShareHolder(Hidden):
    """A client's secret shares, by epoch. Leaks: the epochs, to whoever sees its repr."""

    __slots__ = ("__shares", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.__shares: dict[int, SecretShare | None] = {}

    def _label(self) -> str:
        return f"{self.name}, epochs {sorted(e for e, share in self.__shares.items() if share)}"

    def take(self, share: SecretShare) -> None:
        """Keep the share of an epoch.

        Raises: KeyUseError when another share of that epoch is held; KeyNotActive when it was destroyed.
        """
        epoch = share.id.epoch
        if epoch in self.__shares:
            held = self.__shares[epoch]
            if held is None:
                raise KeyNotActive(f"epoch {epoch}: its share was destroyed; expected a later epoch")
            if (held.id, held.index) != (share.id, share.index):
                raise KeyUseError(
                    f"epoch {epoch}: holding share {held.index} of {held.id.short}, found another; refuse it"
                )
            return
        self.__shares[epoch] = share

    def share(self, epoch: int) -> SecretShare:
        """The share of this epoch. Raises: KeyNotActive when there is none (any more)."""
        held = self.__shares.get(epoch)
        if held is None:
            gone = "was destroyed" if epoch in self.__shares else "was never received"
            raise KeyNotActive(f"{self.name}: the share of epoch {epoch} {gone}; ask the KMS for the active epoch")
        return held

    def destroy(self, epoch: int) -> None:
        """Forget the share for good. Python may leave copies in freed memory until they are overwritten."""
        self.__shares[epoch] = None

"""A client's sealing keys: one for each epoch, made ahead, vouched for by its signing key, destroyed with the epoch.

A sealed share remains on every relay that it passed. If its opening key outlived the epoch, a later theft of the client would
open it; so no lasting key opens anything. The client deposits :data:`AHEAD` public keys with the KMS before they are needed: a
client that is away when an epoch begins takes part in it, and finds the private key in its store when it returns.

Source: prekeys as in Marlinspike and Perrin 2016 (X3DH), one-time and signed; the epoch's number stands in the signature.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from hefl_core.errors import KeyNotActive, KeyUseError
from hefl_core.keys.identity import Identity, SealingKey
from hefl_core.keys.roster import CLIENT, Member, sealing_statement
from hefl_core.keys.secret import Hidden
from hefl_core.keys.vault.store import KeyStore
from hefl_core.wire.canonical import decode, encode

AHEAD: Final = 16
"""Epochs that a client's deposit reaches. More would help a client that is away for longer, and a thief of its store."""
MOST: Final = 4 * AHEAD
"""Keys a client holds at most, and epochs ahead for which the KMS takes one: no party can fill a store."""
DESTROYED: Final = "destroyed"


@dataclass(frozen=True, slots=True)
class Prekey:
    """A client's public sealing key for one epoch, and its signature under it. Public."""

    client: str
    epoch: int
    sealing: bytes
    voucher: bytes

    def line(self, member: Member) -> Member:
        """The client's line in the roster of that epoch."""
        return replace(member, sealing=self.sealing, voucher=self.voucher)


class Prekeys(Hidden):
    """The private halves, by epoch. With a ``store`` they are written before the public ones are given out.

    Raises: KeyUseError for another role than a client's.
    """

    __slots__ = ("__gone", "__identity", "__keys", "__store", "experiment")

    def __init__(self, identity: Identity, experiment: str, store: KeyStore | None = None) -> None:
        if identity.role != CLIENT:
            raise KeyUseError(
                f"{identity.name}: expected a client, found a {identity.role}, whose own key seals and lasts"
            )
        self.experiment = experiment
        self.__identity = identity
        self.__store = store
        self.__keys: dict[int, SealingKey] = {}
        self.__gone = 0
        if store is not None:
            for name in store.list(self._table):
                self._recall(name, store.get(self._table, name))

    def _label(self) -> str:
        return f"{self.__identity.name}, epochs {sorted(self.__keys)}"

    @property
    def _table(self) -> str:
        return f"sealing/{self.__identity.name}"

    def _recall(self, name: str, row: bytes) -> None:
        if name == DESTROYED:
            self.__gone = decode(row, int)
        else:
            self.__keys[int(name)] = SealingKey._import(self.__identity.name, row)

    def offer(self, first: int) -> tuple[Prekey, ...]:
        """The public keys for ``AHEAD`` epochs from ``first`` on; asking again brings the same.

        Leaks: nothing; they are public.
        Raises: KeyNotActive for an epoch that is destroyed; KeyUseError past ``MOST`` keys.
        """
        epochs = range(first, first + AHEAD)
        if first <= self.__gone:
            raise KeyNotActive(f"sealing key: expected an epoch after {self.__gone}, which is destroyed, found {first}")
        fresh = [epoch for epoch in epochs if epoch not in self.__keys]
        if len(self.__keys) + len(fresh) > MOST:
            raise KeyUseError(
                f"sealing key: expected at most {MOST} at a time, found {len(self.__keys)} and {len(fresh)} more asked for"
            )
        self._make(fresh)
        return tuple(self._prekey(epoch) for epoch in epochs)

    def _make(self, epochs: list[int]) -> None:
        # Stored before the public half leaves: a share sealed to a key lost in a crash could never be opened.
        made = {epoch: SealingKey(self.__identity.name) for epoch in epochs}
        if self.__store is not None and made:
            with self.__store.transaction():
                for epoch, key in made.items():
                    self.__store.put(self._table, f"{epoch:08d}", key._export())
        self.__keys |= made

    def _prekey(self, epoch: int) -> Prekey:
        name, public = self.__identity.name, self.__keys[epoch].public
        return Prekey(
            name, epoch, public, self.__identity.sign(sealing_statement(self.experiment, epoch, name, public))
        )

    def key(self, epoch: int) -> SealingKey:
        """The private key of an epoch. Raises: KeyNotActive when it was never made, or is destroyed."""
        if epoch not in self.__keys:
            gone = "was destroyed" if epoch <= self.__gone else "was never made here"
            raise KeyNotActive(
                f"{self.__identity.name}: its sealing key of epoch {epoch} {gone}; nothing sealed to it opens"
            )
        return self.__keys[epoch]

    def destroy(self, epoch: int) -> None:
        """Forget the keys up to this epoch for good. Python may leave copies in freed memory until they are overwritten."""
        old = [number for number in self.__keys if number <= epoch]
        gone = max(self.__gone, epoch)
        if self.__store is not None:
            with self.__store.transaction():
                for number in old:
                    self.__store.delete(self._table, f"{number:08d}")
                self.__store.put(self._table, DESTROYED, encode(gone))
        for number in old:
            del self.__keys[number]
        self.__gone = gone

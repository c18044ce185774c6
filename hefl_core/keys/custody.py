"""Custody of the key: a copy at every client, or t of n clients together; dealt by the KMS, or made without a dealer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hefl_core.errors import KeyMismatch, KeyNotActive, KeyUseError, ParameterError, RuntimeUnavailable
from hefl_core.ids import KeyId
from hefl_core.keys.decryption_policy import AnsweredSet, Question, check_question, left_out, mask_digests
from hefl_core.keys.epochs import DEALER_FREE, EpochRecord
from hefl_core.keys.roster import Roster
from hefl_core.keys.sealing import pack_share, unpack_share
from hefl_core.keys.secret import Hidden
from hefl_core.keys.sum_tag import TagKey
from hefl_core.keys.vault.store import KeyStore
from hefl_core.schemes.base import PartialDecryption, Scheme, SecretShare
from hefl_core.schemes.flooding import answers_cap
from hefl_core.schemes.quorum import Quorum
from hefl_core.wire.envelope import Position

INDIVIDUAL: Final = "individual"
_FORM = re.compile(r"(dealer-free:)?([0-9]{1,4})-of-([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Custody:
    """One idea, :class:`~hefl_core.schemes.quorum.Quorum`, and where the key comes from.

    Raises: ParameterError for a dealer-free key that each client would hold alone: it would need a dealer.

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
        return f"{f'{DEALER_FREE}:' if self.dealer_free else ''}{self.quorum}"


class ShareHolder(Hidden):
    """A client's secret shares and tag keys, by epoch, and the rules by which it answers (keys/decryption_policy.py).

    With a ``store`` the answered set and destroyed epochs survive a restart. Dealt shares are not stored here: they are
    opened again from the KMS's sealed messages (keys/enrolment.py). A process started in the middle of a round, after this
    holder had committed, repeats its answers of that round and gives no new one: a restored backup has forgotten answers,
    and a second active set for one c1 would give the share away.
    ``INSECURE_without``: rules that the attack lab leaves out, by name.
    Leaks: the epochs, in its repr.
    """

    __slots__ = ("__earlier", "__gone", "__shares", "__store", "__tags", "insecure_without", "name")

    def __init__(self, name: str, store: KeyStore | None = None, *, INSECURE_without: Iterable[str] = ()) -> None:
        self.name = name
        self.insecure_without = left_out(INSECURE_without)
        self.__shares: dict[int, SecretShare] = {}
        self.__tags: dict[int, TagKey] = {}
        self.__store = store
        self.__gone: set[int] = set()
        self.__earlier = (0, 0)
        if store is not None:
            self.__earlier = self._answers.last_commitment
            for row in store.list(f"shares/{name}"):
                share, tag_key = unpack_share(store.get(f"shares/{name}", row))
                self.take(share, tag_key)

    def _label(self) -> str:
        lab = f", INSECURE without {', '.join(sorted(self.insecure_without))}" if self.insecure_without else ""
        return f"{self.name}, epochs {sorted(self.__shares)}{lab}"

    @property
    def _answers(self) -> AnsweredSet:
        if self.__store is None:
            self.__store = KeyStore()
        return AnsweredSet(self.__store, self.name)

    def is_destroyed(self, epoch: int) -> bool:
        """Whether the share of an epoch was destroyed."""
        return epoch in self.__gone or (self.__store is not None and self._answers.is_destroyed(epoch))

    def take(self, share: SecretShare, tag_key: TagKey | None = None) -> None:
        """Keep the share and the tag key of an epoch.

        Raises: KeyUseError when another share of that epoch is held; KeyNotActive when it was destroyed.
        """
        epoch = share.id.epoch
        if self.is_destroyed(epoch):
            raise KeyNotActive(f"epoch {epoch}: its share was destroyed; expected a later epoch")
        held = self.__shares.setdefault(epoch, share)
        if (held.id, held.index) != (share.id, share.index):
            raise KeyUseError(f"epoch {epoch}: holding share {held.index} of {held.id.short}, found another; refuse it")
        if tag_key is not None:
            self.__tags.setdefault(epoch, tag_key)

    def adopt(self, share: SecretShare, tag_key: TagKey | None = None, self_tests: int = 0) -> None:
        """Keep a share made in a ceremony; with a store it is written there. Raises: as :meth:`take`."""
        self.take(share, tag_key)
        if self.__store is not None:
            with self.__store.transaction():
                self._answers.count_self_tests(share.id.epoch, self_tests)
                self.__store.put(f"shares/{self.name}", f"{share.id.epoch:08d}", pack_share(share, tag_key))
        else:
            self._answers.count_self_tests(share.id.epoch, self_tests)

    def check(self, key_id: KeyId) -> None:
        """Compare an announced key with the share that is held already. Raises: KeyMismatch."""
        held = self.__shares.get(key_id.epoch)
        if held is not None and held.id != key_id:
            raise KeyMismatch(f"epoch {key_id.epoch}: expected {held.id.short}, found {key_id.short}; refuse it")

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs whose share is held."""
        return tuple(self.__shares)

    def share(self, epoch: int) -> SecretShare:
        """The share of this epoch. Raises: KeyNotActive when there is none (any more)."""
        if epoch not in self.__shares:
            gone = "was destroyed" if self.is_destroyed(epoch) else "was never received"
            raise KeyNotActive(f"{self.name}: the share of epoch {epoch} {gone}; ask the KMS for the active epoch")
        return self.__shares[epoch]

    def tag_key(self, epoch: int) -> TagKey:
        """The tag key of this epoch. Raises: KeyNotActive when there is none (any more)."""
        if epoch not in self.__tags:
            gone = "was destroyed" if self.is_destroyed(epoch) else "was never received"
            raise KeyNotActive(f"{self.name}: the tag key of epoch {epoch} {gone}; ask for the active epoch")
        return self.__tags[epoch]

    def destroy(self, epoch: int) -> None:
        """Forget share and tag key for good. Python may leave copies in freed memory until they are overwritten."""
        self.__gone.add(epoch)
        # On disk before memory: a crash in between must not leave a share that the next start takes again.
        if self.__store is not None:
            with self.__store.transaction():
                self._answers.destroy(epoch)
                self.__store.delete(f"shares/{self.name}", f"{epoch:08d}")
        self.__shares.pop(epoch, None)
        self.__tags.pop(epoch, None)

    def commit(self, position: Position, ciphertext_digest: bytes) -> None:
        """Note this client's commitment before it is sent: the holder answers for no sum without that ciphertext.

        A holder of the whole key is asked nothing: without a store of its own it notes nothing, and none is opened for it.
        Raises: RoundError when it committed to another one at this position.
        """
        share = self.__shares.get(position.epoch)
        if self.__store is not None or share is None or share.quorum.collective:
            self._answers.commit(position, ciphertext_digest)

    def answers_in(self, position: Position) -> bool:
        """Whether this process answers in this round: it started before the holder committed."""
        return (position.epoch, position.round) > self.__earlier

    def answer(self, question: Question, *, record: EpochRecord, roster: Roster, scheme: Scheme) -> PartialDecryption:
        """This holder's part in decrypting one confirmed sum; the same question brings the same bytes.

        The answer is written before it is given. ``record`` and ``roster`` are those of the question's epoch.
        Leaks: to the clients, the sum's plaintext once t holders answered; to fewer than t, what the flooding leaves
            (docs/threat_model.md). Under BFV and CKKS the key, where a client put a number into c1 (`attack delta`).
        Raises: DecryptionRefused naming the rule that forbids it; KeyNotActive when the share is gone; RuntimeUnavailable
            for a new question in a round in which an earlier process of this holder had committed.
        Source: docs/protocol.md, "Custody"; the attacks behind each rule stand in docs/sharp_edges.md.
        """
        share = self.share(question.position.epoch)
        answers, without = self._answers, self.insecure_without
        with answers.transaction():
            # Before the rules: the old bytes tell nothing new, and fresh flooding on the same c1 could be averaged away.
            given = None if "same bytes" in without else answers.given(question.digest)
            if given is not None:
                return PartialDecryption.from_bytes(given)
            check_question(question, self.name, share, record, roster, without)
            masks = mask_digests(scheme, question.total)
            answers.check(question, masks, _most_answers(record, scheme), without)
            if not self.answers_in(question.position):
                raise RuntimeUnavailable(
                    f"{self.name}: expected a round that this life of it began, found round {question.position.round}, "
                    "which it came back into; it answers nothing new there: name others, or make another attempt"
                )
            active = tuple(sorted(roster.index(name) for name in question.active))
            partial = scheme.partial_decrypt(share, question.total, active)
            answers.write(question, masks, active, partial.to_bytes())
        return partial

    def forget(self, before_round: int) -> None:
        """Drop the bytes of old answers. The note that they were given stays, so they are never made anew."""
        self._answers.forget(before_round)


def _most_answers(record: EpochRecord, scheme: Scheme) -> int:
    """The record's cap, and no more than the flooding carries: the KMS, which signs records, cannot raise it."""
    free, n = record.dealer == DEALER_FREE, record.quorum.holders
    return answers_cap(scheme.preset, record.quorum, n, record.max_decryptions, dealer_free=free)

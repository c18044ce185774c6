"""When a share holder answers: the question, the rules, and the set of its earlier answers.

Each rule stands against an attack that works without it (docs/sharp_edges.md):

====================  =============================================================================================
own commitment        a chosen ciphertext instead of the sum makes holders hand out the key, or one client's update
auditor               a coordinator's "sum" that is not the sum of the listed updates
active set            partials that serve any active set give the key to t-1 colluders
one set per mask      two active sets on one c1 leak the share
one sum per round     the difference of two sums is somebody's update (a retry has the same members: who is alive encrypts
                      the same update again, the ciphertext of a holder that died is carried over); for all holders
                      together the auditor and every witness see to it (federation/witness.py)
cohort                a sum of few contributors is nearly one update
cap                   the flooding distance is stated for so many ciphertexts, and no more
same bytes            the same question answered with fresh flooding each time averages away
====================  =============================================================================================

The attack lab, and nothing else, can switch off each rule by name (``INSECURE_without``), so that its attack can be seen
to succeed. The check of epoch, experiment and custody is never left out.

A restored backup of the store has forgotten answers. It cannot be told from a restart, so a restarted holder answers nothing
new in a round it had committed in (keys/custody.py); restoring a backup should still end the epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hefl_core.errors import DecryptionRefused, ParameterError, RoundError
from hefl_core.ids import digest
from hefl_core.keys.roster import Roster
from hefl_core.keys.vault.store import KeyStore
from hefl_core.schemes.base import CiphertextVector, Scheme, SecretShare
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Position

if TYPE_CHECKING:
    from hefl_core.keys.epochs import EpochRecord

TABLE: Final = "answers"
KEPT_ROUNDS: Final = 2
"""The bytes of older answers are dropped; the note that they were given stays."""
RULES: Final = (
    "own commitment",
    "auditor",
    "active set",
    "one set per mask",
    "one sum per round",
    "cohort",
    "cap",
    "same bytes",
)


def left_out(rules: Iterable[str]) -> frozenset[str]:
    """The rules that a lab leaves out. Raises: ParameterError for a name that is none."""
    wanted = frozenset(rules)
    if not wanted <= set(RULES):
        raise ParameterError(f"rules: expected some of {', '.join(RULES)}, found {', '.join(sorted(wanted))}")
    return wanted


@dataclass(frozen=True, slots=True)
class Contribution:
    """One update in the sum: its client, the digest of its signed header, SHA-256 of its ciphertext."""

    client: str
    header: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Question:
    """A request to decrypt one sum, with everything that a holder checks.

    The caller has checked signatures: of the contributions' headers, of the auditor's confirmation (``confirmed_headers``
    and ``confirmed_blocks`` are what it signed), and of the request that names ``active``. ``min_cohort`` is the
    manifest's, never the coordinator's.
    """

    experiment: str
    position: Position
    contributions: tuple[Contribution, ...]
    confirmed_headers: tuple[bytes, ...]
    confirmed_blocks: tuple[bytes, ...]
    active: tuple[str, ...]
    total: CiphertextVector
    min_cohort: int

    @property
    def contributors(self) -> tuple[str, ...]:
        """Names, in the order of the sum."""
        return tuple(c.client for c in self.contributions)

    @property
    def digest(self) -> bytes:
        """Two questions with this digest are the same question."""
        place = (self.experiment, self.position, self.contributions, self.active)
        return digest(b"hefl/question", encode(place), self.total.to_bytes())


@dataclass(frozen=True, slots=True)
class Answered:
    """A sum that was answered: its position, its question, its contributors."""

    position: Position
    question: bytes
    contributors: tuple[str, ...]


def refuse(rule: str, expected: object, found: object, advice: str) -> DecryptionRefused:
    """The refusal of one rule, with both values."""
    return DecryptionRefused(f"rule '{rule}': expected {expected}, found {found}; {advice}")


def mask_digests(scheme: Scheme, total: CiphertextVector) -> tuple[bytes, ...]:
    """What a partial decryption multiplies with the share, one digest per block.

    For lattice schemes this is the canonical c1 (``scheme.mask_digests``), never the serialised bytes: compression and
    c0 can be changed without changing c1. Elsewhere (Paillier) it is the block.
    """
    canonical = getattr(scheme, "mask_digests", None)
    if canonical is not None:
        return tuple(canonical(total))
    return tuple(hashlib.sha256(block).digest() for block in total.blocks)


def check_question(
    question: Question,
    holder: str,
    share: SecretShare,
    record: EpochRecord,
    roster: Roster,
    without: frozenset[str] = frozenset(),
) -> None:
    """The rules that need no memory. Raises: DecryptionRefused naming the first that forbids to answer."""
    _check_place(question, share, record, roster)
    if "cohort" not in without:
        _check_cohort(question, roster)
    if "auditor" not in without:
        _check_confirmation(question)
    if "active set" not in without:
        _check_active(question, holder, share)


def _check_place(question: Question, share: SecretShare, record: EpochRecord, roster: Roster) -> None:
    position, quorum = question.position, share.quorum
    if not quorum.collective:
        raise refuse(
            "custody", "a key held together", f"custody {quorum}", "open the sum with your own copy of the key"
        )
    places = {question.experiment, record.experiment, roster.experiment}
    epochs = {position.epoch, record.epoch, roster.epoch, share.id.epoch}
    if len(places) != 1 or len(epochs) != 1 or record.roster_digest != roster.digest:
        raise refuse("epoch", f"epoch {record.epoch} and its roster", f"epochs {sorted(epochs)}", "ask again, in place")
    if question.total.key_id != share.id:
        raise refuse("epoch", share.id.short, question.total.key_id.short, "a sum under another key is not opened")
    if not record.first_round <= position.round <= record.last_round:
        raise refuse("epoch", f"rounds {record.first_round} to {record.last_round}", position.round, "rotate")


def _check_cohort(question: Question, roster: Roster) -> None:
    names = question.contributors
    if len(set(names)) != len(names) or not set(names) <= set(roster.clients):
        raise refuse("cohort", "different rostered clients", ", ".join(names), "refuse the request")
    if len(names) < max(question.min_cohort, 2):
        raise refuse("cohort", f"at least {question.min_cohort} contributors", len(names), "wait for a larger round")
    if question.total.terms != len(names):
        raise refuse("cohort", f"a sum of {len(names)} terms", question.total.terms, "refuse the request")


def _check_confirmation(question: Question) -> None:
    headers = tuple(c.header for c in question.contributions)
    blocks = tuple(hashlib.sha256(block).digest() for block in question.total.blocks)
    # A sum without blocks would agree with a confirmation of none.
    if (headers, blocks) != (question.confirmed_headers, question.confirmed_blocks) or not blocks:
        raise refuse("auditor", "the sum that the auditor confirmed", "another one", "do not decrypt")


def _check_active(question: Question, holder: str, share: SecretShare) -> None:
    active, threshold = question.active, share.quorum.threshold
    if len(active) != threshold or len(set(active)) != threshold:
        raise refuse("active set", f"{threshold} different holders", ", ".join(active), "name exactly t of them")
    if not set(active) <= set(question.contributors):
        raise refuse("active set", "contributors only", ", ".join(active), "who is not in the sum does not decrypt it")
    if holder not in active:
        raise refuse("active set", f"one with {holder}", ", ".join(active), "it is not this holder's turn")


class AnsweredSet:
    """One holder's commitments and answers, durably. Leaks: nothing secret is in it but encrypted partials."""

    def __init__(self, store: KeyStore, holder: str) -> None:
        self._store = store
        self._table = f"{TABLE}/{holder}"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is written together before it ends."""
        with self._store.transaction():
            yield

    # -- what it records ----------------------------------------------------------------------------------------

    def destroy(self, epoch: int) -> None:
        """Note that the share of an epoch is destroyed, and empty the answers given with it."""
        with self._store.transaction():
            self._store.put(self._table, f"destroyed/{epoch:08d}", b"")
            for name in [name for name in self._store.list(self._table) if name.startswith("round/")]:
                for answered in self._answered(int(name.removeprefix("round/"))):
                    if answered.position.epoch == epoch:
                        self._store.put(self._table, f"answer/{answered.question.hex()}", b"")

    def is_destroyed(self, epoch: int) -> bool:
        """Whether the share of an epoch was destroyed."""
        return self._store.find(self._table, f"destroyed/{epoch:08d}") is not None

    def commit(self, position: Position, ciphertext_digest: bytes) -> None:
        """Note a commitment. Raises: RoundError when there is another one at this position."""
        with self._store.transaction():
            known = self._store.find(self._table, _place("commitment", position))
            if known not in (None, ciphertext_digest):
                raise RoundError(
                    f"round {position.round}, attempt {position.attempt}: committed to another ciphertext before; "
                    "send that one, or begin the next attempt"
                )
            self._store.put(self._table, _place("commitment", position), ciphertext_digest)

    @property
    def last_commitment(self) -> tuple[int, int]:
        """Epoch and round of the newest commitment; (0, 0) before the first."""
        places = (name.split("/") for name in self._store.list(self._table))
        return max(((int(p[1]), int(p[2])) for p in places if p[0] == "commitment"), default=(0, 0))

    def count_self_tests(self, epoch: int, decryptions: int) -> None:
        """Count the ciphertexts that a ceremony's self-test decrypted, once per epoch: the first call counts."""
        with self._store.transaction():
            if self._store.find(self._table, f"count/{epoch:08d}") is None:
                self._store.put(self._table, f"count/{epoch:08d}", encode(decryptions))

    def given(self, question: bytes) -> bytes | None:
        """The answer to this very question, where it was given. Raises: DecryptionRefused when its bytes are dropped."""
        answer = self._store.find(self._table, f"answer/{question.hex()}")
        if answer == b"":
            raise refuse("one sum per round", "a question of the last rounds", "one answered long ago", "move on")
        return answer

    def write(self, question: Question, masks: tuple[bytes, ...], active: tuple[int, ...], answer: bytes) -> None:
        """Note an answer, before it is given."""
        position, name = question.position, question.digest
        earlier = self._answered(position.round)
        now = Answered(position, name, question.contributors)
        self._store.put(self._table, f"round/{position.round:08d}", encode((*earlier, now)))
        self._store.put(self._table, f"count/{position.epoch:08d}", encode(self._count(position.epoch) + len(masks)))
        for mask in masks:
            self._store.put(self._table, f"mask/{mask.hex()}", encode((active, name)))
        self._store.put(self._table, f"answer/{name.hex()}", answer)
        self.forget(position.round - KEPT_ROUNDS)

    def forget(self, before_round: int) -> None:
        """Empty the answers of earlier rounds; an empty row still says that its answer was given."""
        with self._store.transaction():
            row = self._store.find(self._table, "forgotten")
            done = 0 if row is None else decode(row, int)
            names = (name for name in self._store.list(self._table) if name.startswith("round/"))
            for round in (int(name.removeprefix("round/")) for name in names):
                if done <= round < before_round:
                    for answered in self._answered(round):
                        self._store.put(self._table, f"answer/{answered.question.hex()}", b"")
            self._store.put(self._table, "forgotten", encode(max(done, before_round)))

    # -- the rules that need memory -----------------------------------------------------------------------------

    def check(
        self,
        question: Question,
        masks: tuple[bytes, ...],
        max_decryptions: int,
        without: frozenset[str] = frozenset(),
    ) -> None:
        """Raises: DecryptionRefused naming the first rule that forbids to answer."""
        if "own commitment" not in without:
            self._check_own_commitment(question)
        if "one sum per round" not in without:
            self._check_round(question)
        if "one set per mask" not in without:
            self._check_masks(masks)
        if "cap" not in without:
            self._check_cap(question.position.epoch, len(masks), max_decryptions)

    def _check_cap(self, epoch: int, more: int, most: int) -> None:
        """Every block of a sum is a ciphertext of its own, and gives away as much as any other."""
        count = self._count(epoch)
        if count + more > most:
            found = f"{count} answered and {more} more"
            raise refuse("cap", f"at most {most} answered ciphertexts in this epoch", found, "rotate the key")

    def _check_masks(self, masks: tuple[bytes, ...]) -> None:
        if len(set(masks)) != len(masks):
            raise refuse("one set per mask", "blocks of their own randomness", "one block twice", "do not decrypt")
        for mask in masks:
            if self._store.find(self._table, f"mask/{mask.hex()}") is not None:
                raise refuse("one set per mask", "a fresh c1", "one answered before", "encrypt again, attempt + 1")

    def _check_own_commitment(self, question: Question) -> None:
        mine = self._store.find(self._table, _place("commitment", question.position))
        holder = self._table.removeprefix(f"{TABLE}/")
        found = [c.ciphertext for c in question.contributions if c.client == holder]
        if mine is None or found != [mine]:
            raise refuse("own commitment", "a sum with my committed ciphertext", "one without it", "do not decrypt")

    def _check_round(self, question: Question) -> None:
        """One answered sum per round; a later attempt only for the same members, so that no difference says anything."""
        for earlier in self._answered(question.position.round):
            before, now = earlier.position, question.position
            if (before.epoch, before.attempt) >= (now.epoch, now.attempt) or before.epoch != now.epoch:
                raise refuse("one sum per round", f"an attempt after {before.attempt}", now.attempt, "one was answered")
            if set(earlier.contributors) != set(question.contributors):
                raise refuse(
                    "one sum per round",
                    f"the members of attempt {before.attempt}: {', '.join(earlier.contributors)}",
                    ", ".join(question.contributors),
                    "the difference of two sums would be somebody's update",
                )

    def _answered(self, round: int) -> tuple[Answered, ...]:
        row = self._store.find(self._table, f"round/{round:08d}")
        return () if row is None else decode(row, tuple[Answered, ...])

    def _count(self, epoch: int) -> int:
        row = self._store.find(self._table, f"count/{epoch:08d}")
        return 0 if row is None else decode(row, int)


def _place(what: str, position: Position) -> str:
    return f"{what}/{position.epoch:08d}/{position.round:08d}/{position.attempt:04d}"

"""A share holder that thinks: what it answers, what it refuses, and that it remembers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hefl_core.errors import DecryptionRefused, KeyNotActive, ParameterError, RoundError, RuntimeUnavailable
from hefl_core.ids import KeyId
from hefl_core.keys.custody import ShareHolder
from hefl_core.keys.decryption_policy import RULES, Contribution, Question, mask_digests
from hefl_core.keys.epochs import EpochRecord
from hefl_core.keys.identity import Identity
from hefl_core.keys.vault.store import KeyStore
from hefl_core.keys.vault.unlock import KeyFile
from hefl_core.schemes.base import CiphertextVector, PartialDecryption, SecretShare
from hefl_core.schemes.presets import load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.wire.envelope import Position

from .world import roster_of

EXPERIMENT = "experiment-1"
ID = KeyId("bfv", "bfv-threshold", 1, "0" * 64)
QUORUM = Quorum(3, 5)
CLIENTS = tuple(f"client-{i}" for i in range(1, 6))
ROSTER, _ = roster_of(EXPERIMENT, 1, *(Identity(name, "client") for name in CLIENTS))
RECORD = EpochRecord(
    EXPERIMENT, 1, b"", "bfv-threshold", b"p" * 32, b"k" * 32, QUORUM, "kms", ROSTER.digest, 1, 10, max_decryptions=8
)
ME = "client-1"


class Weak:
    """Partials that differ each time, as flooding makes them; the mask is the block's first half (its "c1")."""

    preset = load_preset("bfv-threshold")

    def __init__(self) -> None:
        self.calls = 0

    def mask_digests(self, total: CiphertextVector) -> Sequence[bytes]:
        return [hashlib.sha256(block[:8]).digest() for block in total.blocks]

    def partial_decrypt(self, share: SecretShare, total: CiphertextVector, active: Sequence[int]) -> PartialDecryption:
        self.calls += 1
        return PartialDecryption(ID, share.index, tuple(active), b"t" * 32, (os.urandom(16),))


SCHEME: Any = Weak()


def total(terms: int = 5, *, mask: bytes | None = None, blocks: int = 2) -> CiphertextVector:
    masks = [mask or os.urandom(8) for _ in range(blocks)]
    return CiphertextVector(ID, 4, 2, True, 1.0, 16, terms, tuple(m + os.urandom(8) for m in masks))


def ciphertext(client: str, attempt: int = 1, round_: int = 1) -> bytes:
    return hashlib.sha256(f"{client} {round_} {attempt}".encode()).digest()


def question(
    contributors: Sequence[str] = CLIENTS, *, round_: int = 1, attempt: int = 1, sum_: CiphertextVector | None = None
) -> Question:
    added = sum_ or total(len(contributors))
    contributions = tuple(
        Contribution(name, hashlib.sha256(name.encode()).digest(), ciphertext(name, attempt, round_))
        for name in contributors
    )
    return Question(
        experiment=EXPERIMENT,
        position=Position(1, round_, attempt),
        contributions=contributions,
        confirmed_headers=tuple(c.header for c in contributions),
        confirmed_blocks=tuple(hashlib.sha256(block).digest() for block in added.blocks),
        active=("client-1", "client-2", "client-5"),
        total=added,
        min_cohort=4,
    )


def with_sum(asked: Question, sum_: CiphertextVector) -> Question:
    return replace(asked, total=sum_, confirmed_blocks=tuple(hashlib.sha256(b).digest() for b in sum_.blocks))


def holder(
    store: KeyStore | None = None, *, commit: bool = True, without: Sequence[str] = (), name: str = ME
) -> ShareHolder:
    made = ShareHolder(name, store, INSECURE_without=without)
    made.take(SecretShare(ID, QUORUM, CLIENTS.index(name) + 1, b"material"))
    if commit:
        for round_ in range(1, 8):
            for attempt in (1, 2, 3):
                made.commit(Position(1, round_, attempt), ciphertext(name, attempt, round_))
    return made


def ask(one: ShareHolder, asked: Question, **changes: Any) -> PartialDecryption:
    return one.answer(asked, **{"record": RECORD, "roster": ROSTER, "scheme": SCHEME, **changes})


def test_it_answers_and_the_same_question_brings_the_same_bytes() -> None:
    one, asked = holder(), question()
    answer = ask(one, asked)
    assert (answer.index, answer.active) == (1, (1, 2, 5))
    assert ask(one, asked).to_bytes() == ask(one, replace(asked)).to_bytes() == answer.to_bytes()


Change = Callable[[Question], Question]
REFUSED: dict[str, tuple[str, Change]] = {
    "not my ciphertext": ("own commitment", lambda q: replace(q, contributions=(
        replace(q.contributions[0], ciphertext=b"x" * 32), *q.contributions[1:]))),
    "without me": ("active set", lambda q: replace(question(CLIENTS[1:]), active=CLIENTS[1:4])),
    "me active, not in the sum": ("active set", lambda q: replace(question(CLIENTS[1:]), active=CLIENTS[:3])),
    "one client's ciphertext as the sum": ("cohort", lambda q: question((ME,))),
    "too few": ("cohort", lambda q: question(CLIENTS[:3])),
    "somebody twice": ("cohort", lambda q: question((*CLIENTS[:4], "client-4"))),
    "a stranger": ("cohort", lambda q: question((*CLIENTS[:4], "client-9"))),
    "the coordinator": ("cohort", lambda q: question((*CLIENTS[:4], "kms"))),
    "more terms than names": ("cohort", lambda q: with_sum(q, total(6))),
    "unconfirmed sum": ("auditor", lambda q: replace(q, total=total(5))),
    "unconfirmed updates": ("auditor", lambda q: replace(q, confirmed_headers=q.confirmed_headers[::-1])),
    "no blocks": ("auditor", lambda q: with_sum(q, replace(q.total, blocks=()))),
    "fewer active": ("active set", lambda q: replace(q, active=q.active[:2])),
    "more active": ("active set", lambda q: replace(q, active=CLIENTS[:4])),
    "one active twice": ("active set", lambda q: replace(q, active=("client-1", "client-1", "client-2"))),
    "a stranger active": ("active set", lambda q: replace(q, active=("client-1", "client-2", "client-9"))),
    "another key": ("epoch", lambda q: with_sum(q, replace(q.total, key_id=replace(ID, fingerprint="1" * 64)))),
    "another experiment": ("epoch", lambda q: replace(q, experiment="experiment-2")),
    "a round of another epoch": ("epoch", lambda q: question(round_=11)),
    "a round nobody committed to": ("own commitment", lambda q: question(round_=9)),
    "an attempt nobody committed to": ("own commitment", lambda q: replace(q, position=Position(1, 1, 4))),
    "one block twice": ("one set per mask", lambda q: with_sum(q, total(5, mask=b"same    "))),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "change"), REFUSED.values(), ids=REFUSED.keys())
def test_each_rule_refuses_and_gives_nothing(rule: str, change: Change) -> None:
    one, calls = holder(), SCHEME.calls
    with pytest.raises(DecryptionRefused, match=f"^rule '{rule}'"):
        ask(one, change(question()))
    assert SCHEME.calls == calls
    assert ask(one, question())  # a refused question uses nothing up


@pytest.mark.parametrize(("rule", "change"), REFUSED.values(), ids=REFUSED.keys())
def test_each_refusal_is_its_rule_s_own(rule: str, change: Change) -> None:
    """The positive control: with that rule alone it is refused, without any rule the same question is answered."""
    if rule == "epoch":
        return
    with pytest.raises(DecryptionRefused, match=f"^rule '{rule}'"):
        ask(holder(without=[name for name in RULES if name != rule]), change(question()))
    lab = holder(without=RULES)
    assert "INSECURE" in repr(lab)
    if change(question()).active != ("client-1", "client-2", "client-9"):  # whom the roster does not know has no number
        assert ask(lab, change(question()))


def test_without_the_rule_fresh_flooding_averages_away() -> None:
    asked = question()
    lab = holder(without=["same bytes", "one sum per round", "one set per mask", "cap"])
    assert len({ask(lab, asked).to_bytes() for _ in range(6)}) == 6
    with pytest.raises(ParameterError):
        holder(without=["no such rule"])


def test_nothing_without_a_commitment_of_its_own() -> None:
    with pytest.raises(DecryptionRefused, match="own commitment"):
        ask(holder(commit=False), question())


def test_one_commitment_per_attempt() -> None:
    one = holder()
    one.commit(Position(1, 1, 1), ciphertext(ME))
    with pytest.raises(RoundError):
        one.commit(Position(1, 1, 1), b"x" * 32)


def test_one_active_set_per_mask_ever() -> None:
    """The same c1 with another set, another c0, in another round: refused each time."""
    one, asked = holder(), question()
    ask(one, asked)
    same_c1 = replace(asked.total, blocks=tuple(b[:8] + os.urandom(8) for b in asked.total.blocks))
    for again in (
        replace(asked, active=("client-1", "client-3", "client-4"), position=Position(1, 1, 2)),
        with_sum(question(attempt=2), same_c1),
        with_sum(question(round_=2), same_c1),
        with_sum(question(round_=2), replace(same_c1, blocks=(same_c1.blocks[1], os.urandom(16)))),
    ):
        contributions = question(round_=again.position.round, attempt=again.position.attempt).contributions
        with pytest.raises(DecryptionRefused, match="one set per mask"):
            ask(one, replace(again, contributions=contributions))


def test_one_answered_sum_per_round_but_for_a_retry_of_the_same_members() -> None:
    one, first = holder(), question(attempt=2)
    ask(one, first)
    for other in (question(attempt=1), question(attempt=2), question(CLIENTS[:4], attempt=3)):
        asked = other if "client-5" in other.contributors else replace(other, active=CLIENTS[:3])
        with pytest.raises(DecryptionRefused, match="one sum per round"):
            ask(one, asked)
    retry = question(attempt=3)
    assert ask(one, retry) != ask(one, first)
    assert ask(one, question(CLIENTS, round_=2))


def test_the_cap() -> None:
    one = holder()
    for round_ in range(1, 5):
        ask(one, question(round_=round_))
    for most in (8, 9):  # two ciphertexts in each sum: counted as sums, nine would be twice as many as were opened
        with pytest.raises(DecryptionRefused, match="cap"):
            ask(one, question(round_=5), record=replace(RECORD, max_decryptions=most))
    assert ask(one, question(round_=5), record=replace(RECORD, max_decryptions=10))


def test_who_signs_the_record_cannot_raise_the_cap() -> None:
    """2^-40 for three of five: 7,000 ciphertexts, of three holders that may answer in each other's place."""
    one, generous = holder(), replace(RECORD, max_decryptions=10**9)
    ask(one, question(sum_=total(blocks=2333)), record=generous)
    with pytest.raises(DecryptionRefused, match="at most 2333 answered"):
        ask(one, question(round_=2, sum_=total(blocks=1)), record=generous)
    other = holder()
    with pytest.raises(DecryptionRefused, match="cap"):
        ask(other, question(sum_=total(blocks=2334)), record=generous)


def test_individual_custody_is_not_answered() -> None:
    one = ShareHolder(ME)
    one.take(SecretShare(ID, Quorum(1, 5), 1, b"material"))
    with pytest.raises(DecryptionRefused, match="custody"):
        ask(one, question())


def test_a_record_or_roster_of_another_epoch() -> None:
    for changes in (
        {"record": replace(RECORD, epoch=2)},
        {"roster": replace(ROSTER, epoch=2)},
        {"roster": replace(ROSTER, members=ROSTER.members[::-1])},
    ):
        with pytest.raises(DecryptionRefused, match="epoch"):
            ask(holder(), question(), **changes)


def test_it_remembers_after_a_restart(tmp_path: Path, key_file: KeyFile) -> None:
    path = tmp_path / "client.db"
    asked = question()
    with KeyStore(path, key_file) as store:
        answer = ask(holder(store), asked).to_bytes()
    with KeyStore(path, key_file) as store:
        one = holder(store, commit=False)
        assert ask(one, asked).to_bytes() == answer
        other = with_sum(question(attempt=1), total())
        with pytest.raises(DecryptionRefused, match="one sum per round"):
            ask(one, other)
        with pytest.raises(RuntimeUnavailable, match="round 2, which it came back into"):
            ask(one, question(round_=2))  # committed to, not answered: a backup could have forgotten the answer
        one.commit(Position(1, 8, 1), ciphertext(ME, 1, 8))
        assert ask(one, question(round_=8))
        one.destroy(1)
    with KeyStore(path, key_file) as store:
        again = ShareHolder(ME, store)
        with pytest.raises(KeyNotActive):
            again.take(SecretShare(ID, QUORUM, 1, b"material"))
        with pytest.raises(KeyNotActive):
            ask(again, asked)
    disk = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.name.startswith("client.db"))
    assert answer not in disk


def test_an_answer_is_written_before_it_is_given(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    one, asked = holder(store), question()
    honest = KeyStore.put

    def full(self: KeyStore, table: str, name: str, value: bytes) -> None:
        if name.startswith("answer/"):
            raise OSError("disk full")
        honest(self, table, name, value)

    monkeypatch.setattr(KeyStore, "put", full)
    with pytest.raises(OSError):
        ask(one, asked)
    monkeypatch.setattr(KeyStore, "put", honest)
    assert not any(name.startswith(("mask/", "round/", "count/")) for name in store.list(f"answers/{ME}"))
    assert ask(one, asked)


def test_forgetting_bytes_is_not_forgetting_answers() -> None:
    one, asked, newer = holder(), question(), question(round_=2)
    ask(one, asked)
    answer = ask(one, newer)
    one.forget(before_round=2)
    with pytest.raises(DecryptionRefused, match="one sum per round"):
        ask(one, asked)
    assert ask(one, newer) == answer


def test_memory_does_not_grow_with_the_rounds(store: KeyStore) -> None:
    one, kept = holder(store), []
    for round_ in range(1, 8):
        ask(one, question(round_=round_), record=replace(RECORD, max_decryptions=18))
        names = [name for name in store.list(f"answers/{ME}") if name.startswith("answer/")]
        kept.append(sum(store.get(f"answers/{ME}", name) != b"" for name in names))
    assert kept == [1, 2, 3, 3, 3, 3, 3]


def test_without_a_canonical_c1_the_block_is_the_mask() -> None:
    asked = total()
    assert mask_digests(object(), asked) == tuple(hashlib.sha256(b).digest() for b in asked.blocks)  # type: ignore[arg-type]

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hefl_core.errors import KeyNotActive, ParameterError, RoundError
from hefl_core.keys.epochs import EpochLedger, EpochRecord, EpochState
from hefl_core.schemes.quorum import Quorum
from hefl_core.wire.canonical import decode, encode


def record(epoch: int, previous: EpochRecord | None = None, **changes: Any) -> EpochRecord:
    made = EpochRecord(
        experiment="experiment-1",
        epoch=epoch,
        previous=previous.digest if previous else b"",
        preset="plaintext",
        preset_digest=b"p" * 32,
        public_key_digest=b"k" * 32,
        quorum=Quorum(1, 3),
        dealer="kms",
        roster_digest=b"r" * 32,
        first_round=10 * epoch - 9,
        last_round=10 * epoch,
        max_decryptions=20,
    )
    return replace(made, **changes)


FIRST = record(1)
SECOND = record(2, FIRST)


def ledger(*records: EpochRecord) -> EpochLedger:
    made = EpochLedger("experiment-1")
    for one in records:
        made.accept(one)
    return made


def test_epochs_go_up_along_the_chain() -> None:
    kept = ledger(FIRST, FIRST, SECOND, record(5, SECOND))
    assert (kept.highest, kept.newest) == (5, record(5, SECOND))
    assert [r.epoch for r in kept.records] == [1, 2, 5]
    assert decode(encode(SECOND), EpochRecord).digest == SECOND.digest


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (replace(SECOND, roster_digest=b"x" * 32), RoundError),  # a second record of epoch 2
        (record(3, FIRST), RoundError),  # leaves epoch 2 out
        (record(3), RoundError),  # a new beginning
        (record(3, SECOND, experiment="experiment-2"), RoundError),
        (record(3, SECOND, first_round=1), RoundError),  # rounds of long ago
    ],
)
def test_what_does_not_follow_is_refused(refused: EpochRecord, error: type[Exception]) -> None:
    kept = ledger(FIRST, SECOND)
    with pytest.raises(error):
        kept.accept(refused)
    assert kept.records == (FIRST, SECOND)


def test_rollback_is_refused() -> None:
    third = record(3, FIRST)
    kept = ledger(FIRST, third)
    with pytest.raises(KeyNotActive):
        kept.accept(SECOND)
    assert kept.highest == 3


def test_states_and_rounds() -> None:
    kept = ledger(FIRST, SECOND)
    assert (kept.state(1), kept.state(2)) == (EpochState.DECRYPT_ONLY, EpochState.ACTIVE)
    assert kept.require_encrypt(2, 11) == SECOND
    assert kept.require_decrypt(1, 10) == FIRST
    kept.destroy(1)
    for refused in (
        lambda: kept.require_encrypt(1, 10),
        lambda: kept.require_decrypt(1, 10),
        lambda: kept.require_encrypt(2, 21),
        lambda: kept.require_decrypt(2, 10),
        lambda: kept.require_encrypt(3, 21),
        lambda: kept.destroy(3),
    ):
        with pytest.raises(KeyNotActive):
            refused()
    assert kept.state(1) is EpochState.DESTROYED


def test_trying_on_a_copy_changes_nothing() -> None:
    kept = ledger(FIRST)
    other = kept.copy()
    other.accept(SECOND)
    other.destroy(1)
    assert (kept.highest, kept.state(1)) == (1, EpochState.ACTIVE)


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": 0},
        {"first_round": 0},
        {"last_round": 1, "first_round": 2},
        {"max_decryptions": 0},
        {"dealer": "me"},
        {"preset_digest": b""},
        {"previous": b"x"},
    ],
)
def test_contradicting_records_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        replace(FIRST, **changes)

"""The exercises of lesson 11: masks instead of keys."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from hefl_core.teaching.exercise import Choice, Number, Task

Words: TypeAlias = npt.NDArray[np.uint32]
Seeds: TypeAlias = dict[tuple[int, int], int]
_LENGTH, _CLIENTS = 50, 4


def _words(seed: int, length: int) -> Words:
    return np.random.default_rng(seed).integers(0, 2**32, length, dtype=np.uint32)


def _seeds() -> Seeds:
    return {pair: 1_000 + place for place, pair in enumerate(combinations(range(_CLIENTS), 2))}


def _numbers(me: int) -> Words:
    return _words(me, _LENGTH) % np.uint32(1000)


def _masked(me: int) -> Words:
    found = _numbers(me).copy()
    for (first, second), seed in _seeds().items():
        if first == me:
            found += _words(seed, _LENGTH)
        elif second == me:
            found -= _words(seed, _LENGTH)
    return found


def _judge_masked(answer: object) -> str:
    if not callable(answer):
        return f"expected a function of numbers, me, seeds and words, found {type(answer).__name__}"
    masked = cast(Callable[..., Any], answer)
    for me in range(_CLIENTS):
        found = np.asarray(masked(_numbers(me), me, _seeds(), _words)).astype(np.int64) % 2**32
        if found.shape != (_LENGTH,):
            return f"client {me}: expected {_LENGTH} words, found an answer of shape {found.shape}"
        if not np.array_equal(found, _masked(me)):
            return f"client {me}: {_hint_of(found, me)}"
    return ""


def _hint_of(found: npt.NDArray[Any], me: int) -> str:
    if np.array_equal(found, _numbers(me)):
        return "these are its numbers in the open"
    if np.array_equal((2 * _numbers(me).astype(np.int64) - found) % 2**32, _masked(me)):
        return "added and subtracted the wrong way round"
    return "expected its numbers plus and minus the words of its pairs modulo 2^32, found others"


def _judge_leftovers(answer: object) -> str:
    if not callable(answer):
        return f"expected a function of partial, gone, told and words, found {type(answer).__name__}"
    without = cast(Callable[..., Any], answer)
    for gone in range(_CLIENTS):
        present = [me for me in range(_CLIENTS) if me != gone]
        partial = np.sum([_masked(me) for me in present], axis=0, dtype=np.uint32)
        told = {pair: seed for pair, seed in _seeds().items() if gone in pair}
        right = np.sum([_numbers(me) for me in present], axis=0, dtype=np.uint32)
        found = np.asarray(without(partial.copy(), gone, told, _words)).astype(np.int64) % 2**32
        if not np.array_equal(found, right):
            return f"with client {gone} gone: the sum of the others' numbers is still hidden"
    return ""


EXERCISES = (
    Number(
        "11.1",
        "How many seeds are there for 100 clients?",
        value=100 * 99 / 2,
        tolerance=0.0,
        unit="seeds",
        why="each of 100 clients has a pair with 99 others, and each pair is counted twice",
        hints=("How many pairs does one client belong to?", "100 times 99, and each pair was counted twice."),
    ),
    Task(
        "11.2",
        "Write masked(numbers, me, seeds, words).",
        judge=_judge_masked,
        why="every pair's words are added once and subtracted once",
        hints=(
            "Go through `seeds.items()`: each key is a pair (first, second).",
            "`found = numbers.copy()`, then `found += words(seed, len(numbers))` where first == me.",
        ),
    ),
    Choice(
        "11.3",
        "The coordinator hands Anna a public key of its own as Ben's, and Ben one as Anna's. What happens?",
        options=(
            "the sum is wrong, so that everybody sees it",
            "nothing: public keys are public",
            "it can know both secrets, unless somebody the clients trust has signed whose key is whose",
        ),
        right=2,
        why="it agrees on a secret with each of them and sits in between; here a signed roster prevents it",
        hints=("With whom does Anna share a secret then?",),
    ),
    Task(
        "11.4",
        "Write without_leftovers(partial, gone, told, words).",
        judge=_judge_leftovers,
        why="what the others added for the missing client is taken out again",
        hints=(
            "In the pair (a, gone) client a comes first: it added the words.",
            "Subtract the words where `gone` is second, add them where it is first.",
        ),
    ),
    Choice(
        "11.5",
        "Why does the second mask close the gap of the late upload?",
        options=(
            "because it is longer",
            "because the coordinator then knows the pair seeds, but not the late client's own",
            "because late uploads are refused",
        ),
        right=1,
        why="for a client that counts as gone nobody gives out a share of its own seed",
        hints=("Shares of which secret do the others give out for a client that is gone?",),
    ),
)

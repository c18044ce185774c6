"""Questions to predict on the pages that have no steps. Those of a round come from its run (figures/questions.py)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PageQuestion:
    """A question on ``page``; ``right`` is the number of the right option, counted from 0."""

    page: str
    name: str
    question: str
    options: tuple[str, ...]
    right: int
    why: str


QUESTIONS = (
    PageQuestion(
        "attack",
        "plain-record",
        "Plain learning, an update of one step on one record. How much of the record can the server read?",
        ("nothing", "roughly what it looks like", "every number of it"),
        2,
        "One division per measurement gives the record back, up to rounding. Of more records or steps less comes back.",
    ),
    PageQuestion(
        "limits",
        "two-clients",
        "Two clients, and nobody can break the encryption. What can one learn of the other's update?",
        ("nothing", "some of it", "all of it"),
        2,
        "It decrypts the mean, as it must, and subtracts its own half.",
    ),
    PageQuestion(
        "limits",
        "longer-key",
        "Does a longer key help against that?",
        ("yes", "only together with more rounds", "no"),
        2,
        "No key was broken. More clients, stable cohorts and differential privacy help.",
    ),
    PageQuestion(
        "guarantees",
        "found-nothing",
        "A check looked for a leak and found none. When is that evidence?",
        ("always", "when the same check finds a planted leak", "never"),
        1,
        "Plant a fault on this page: the same check must fail on it.",
    ),
)


def asked_on(page: str) -> tuple[PageQuestion, ...]:
    """The questions of a page.

    >>> [one.name for one in asked_on("limits")]
    ['two-clients', 'longer-key']
    """
    return tuple(one for one in QUESTIONS if one.page == page)


SAID = tuple(text for one in QUESTIONS for text in (one.question, *one.options, one.why))
"""For translators."""

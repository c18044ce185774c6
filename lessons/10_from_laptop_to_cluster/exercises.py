"""Exercises of lesson 10: from laptop to cluster."""

from __future__ import annotations

from hefl_core.teaching.exercise import Choice, Number

EXERCISES = (
    Number(
        "10.1",
        "Five clients on a laptop: how many processes house parties?",
        value=5.0,
        tolerance=0,
        unit="processes",
        why="KMS, coordinator and auditor alone, and two hosts for the clients: three in one, two in the other.",
        hints=(
            "Which three parties always live alone?",
            "Half of five, rounded up, share one; the rest share another.",
        ),
    ),
    Choice(
        "10.2",
        "In round 2 the operating system kills a process with three clients. What happens to the training?",
        options=(
            "it stops with an error",
            "they come back from their stores, or the others go on without them; no round is lost",
            "round 2 is skipped",
        ),
        right=1,
        why="What a party accepted and said lies in its store before it answers; and min_cohort clients are enough to go on.",
        hints=("Where could a new process find what the old one knew?",),
    ),
    Choice(
        "10.3",
        "A hospital's node joins the coordinator's Ray cluster. What can whoever drives that cluster do there?",
        options=("nothing without the hospital's key", "see its traffic", "run any code, and so read its data"),
        right=2,
        why="Running other people's code on its nodes is what such a cluster is for.",
        hints=("What does a driver send to a node so that an actor can live there?",),
    ),
    Number(
        "10.4",
        "How many services publish a port outside the machine (an address other than 127.0.0.1)?",
        value=0.0,
        tolerance=0,
        unit="services",
        why="Only the screen's port is published, and only on 127.0.0.1.",
        hints=("Look at the ports column: what stands before the first colon?",),
    ),
    Choice(
        "10.5",
        "Collective custody 3-of-5. Whose disks must a thief take to read one client's old upload?",
        options=("the coordinator's", "the coordinator's and one client's", "the coordinator's and three clients'"),
        right=2,
        why="The ciphertext from the coordinator, three shares from three clients, and what unlocks their stores.",
        hints=("Who has the ciphertext? How many shares open it?",),
    ),
)

"""Walks: the screens of a lecture, a defence or a meeting in their order, with what to say and what to ask at each.

A stop is an address: ``/one_round?walk=class&stop=3``. docs/teaching.md has them as tables; a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from urllib.parse import urlencode

from hefl_core.terms.experiment import Experiment

START = "start"
"""The page at the bare address."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """One screen. ``minutes``: how long it lasts; ``tab``, ``seat``, ``cursor``: what is open on it.

    ``promises``: words that the screen shows without scrolling.
    """

    page: str
    minutes: int
    say: str
    ask: str
    promises: tuple[str, ...]
    tab: str = ""
    seat: str = ""
    cursor: int = 0


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Stops with one audience, one experiment and one patient. ``presenter``: for a projector."""

    name: str
    title: str
    audience: str
    experiment: Experiment
    presenter: bool
    patient: int
    stops: tuple[Stop, ...]

    def at(self, number: int) -> Stop:
        """The stop of this number, counted from 1."""
        return self.stops[number - 1]

    def query(self, number: int) -> dict[str, str]:
        """The state of the screen at a stop: what differs from the usual one, as the address would say it."""
        stop, usual = self.at(number), Experiment()
        chosen = {
            field.name: str(getattr(self.experiment, field.name))
            for field in fields(Experiment)
            if field.name == "dataset" or getattr(self.experiment, field.name) != getattr(usual, field.name)
        }
        screen = {
            "audience": self.audience,
            "presenter": str(int(self.presenter)),
            "patient": str(self.patient),
            "tab": stop.tab,
            "seat": stop.seat,
            "cursor": str(stop.cursor),
        }
        return chosen | {name: value for name, value in screen.items() if value not in ("", "0")}

    def address(self, number: int) -> str:
        """Path and query that open a stop.

        >>> CLASS.address(3)
        '/one_round?walk=class&stop=3'
        """
        page = self.at(number).page
        return f"/{'' if page == START else page}?{urlencode({'walk': self.name, 'stop': number})}"

    def minutes(self, number: int) -> tuple[int, int]:
        """When a stop begins and ends, in minutes."""
        begins = sum(stop.minutes for stop in self.stops[: number - 1])
        return begins, begins + self.at(number).minutes


CLASS = Walk(
    name="class",
    title="A class",
    audience="class",
    experiment=Experiment(dataset="breast_cancer", batch=16, scheme="bfv-lean", clients=3, rounds=1),
    presenter=True,
    patient=3,
    stops=(
        Stop(
            page=START,
            minutes=6,
            say="Federated learning keeps data at home. What leaves is an update. "
            "Watch a record come back from the update of one step on it.",
            ask="Is an update a summary?",
            promises=("Patient",),
        ),
        Stop(
            page="attack",
            tab="a-patient",
            minutes=8,
            say="One attack, the same patient, the same code. A seat decides only what it is given.",
            ask="Which of these seats would you want to be in?",
            promises=("A patient", "Records per client", "a seat decides only what it is given"),
        ),
        Stop(
            page="one_round",
            cursor=1,
            minutes=14,
            say="Step with the arrow keys: commit, upload, add, confirm, decrypt, apply. Stop at the sum.",
            ask="Who can open this message?",
            promises=("secret key (sk)", "update of client 2", "model (θ)", "who takes part"),
        ),
        Stop(
            page="one_round",
            seat="coordinator",
            cursor=14,
            minutes=6,
            say="The coordinator's seat. This is everything it has.",
            ask="What would you have to give it so that it could read?",
            promises=("encrypted sum", "Coordinator can read 0 of 3", "secret key (sk)"),
        ),
        Stop(
            page="limits",
            tab="the-sum-itself",
            minutes=6,
            say="Two clients: each subtracts itself, and reads the other.",
            ask="Does a longer key help?",
            promises=("The sum itself", "Another client's record, from the mean"),
        ),
        Stop(
            page="guarantees",
            minutes=5,
            say="Each sentence has a check that ran, and a fault on which the check fails.",
            ask="Which promise is missing?",
            promises=("Each sentence has a badge", "When is that evidence?"),
        ),
    ),
)

THESIS = Walk(
    name="thesis",
    title="A thesis defence",
    audience="thesis",
    experiment=Experiment(dataset="digits", scheme="bfv-threshold", custody="3-of-5", clients=5, rounds=3),
    presenter=True,
    patient=3,
    stops=(
        Stop(
            page="one_round",
            cursor=1,
            minutes=5,
            say="The protocol as round.py has it. The numbers in the formula are this run's.",
            ask="Which message could a malicious coordinator change unnoticed?",
            promises=("sk: secret key", "θ: model", "who takes part"),
        ),
        Stop(
            page="training",
            minutes=2,
            say="Encrypted equals plain within the stated bound; the difference is plotted beside it.",
            ask="What does the bound depend on?",
            promises=("the model is right in", "stated bound", "The difference to plain FedAvg"),
        ),
        Stop(
            page="attack",
            tab="who-was-in-the-data",
            minutes=4,
            say="Intervals, guessing rates, family-wise error; the positive control stands beside each.",
            ask="What would an attack prove that finds nothing, without its control?",
            promises=("Who was in the data?", "better than a coin", "a coin"),
        ),
        Stop(
            page="guarantees",
            minutes=3,
            say="Plant a fault; the badge turns.",
            ask="Which sentence is argued, and by whom?",
            promises=("Plant a fault and watch its check fail", "rests on the named source", "Plant fault 1"),
        ),
        Stop(
            page="report",
            minutes=1,
            say="One file, and verify checks the transcript offline.",
            ask="What can this file not prove?",
            promises=("Report (HTML)", "hefl verify transcript.zip", "offline and without a secret"),
        ),
    ),
)

STAKEHOLDER = Walk(
    name="stakeholder",
    title="A stakeholder",
    audience="stakeholder",
    experiment=Experiment(dataset="breast_cancer", batch=16, scheme="bfv-lean", clients=3, rounds=1),
    presenter=True,
    patient=3,
    stops=(
        Stop(
            page=START,
            minutes=1,
            say="This is a patient's record, computed from the plain update of one step on it. "
            "This is what our server has.",
            ask="Which of the two would you sign for?",
            promises=("Patient",),
        ),
        Stop(
            page="attack",
            tab="a-patient",
            minutes=2,
            say="The same attack on both. On ours it guesses.",
            ask="What is left of the patient in the encrypted update?",
            promises=("A patient", "the server with encryption", "A blind guess names 1 in 100"),
        ),
        Stop(
            page="guarantees",
            minutes=2,
            say="Each promise ran a check a moment ago. What we do not promise stands below, in the same size.",
            ask="What would you have to believe without these checks?",
            promises=("Each sentence has a badge", "executed: holds", "not checked"),
        ),
    ),
)

WALKS = (CLASS, THESIS, STAKEHOLDER)


def find_walk(name: str) -> Walk | None:
    """The walk of this name, if there is one."""
    return next((walk for walk in WALKS if walk.name == name), None)
